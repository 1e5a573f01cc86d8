"""What is remembered of each episode that a foreign policy plays at the same time as others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from vlagym.envs.errors import NotReset
from vlagym.envs.types import sha
from vlagym.policies.base import EpisodeContext

Memory = TypeVar("Memory")


@dataclass(kw_only=True)
class Slot(Generic[Memory]):
    """One episode."""

    instruction: str
    digest: str
    memory: Memory
    """Whatever the family keeps: a copy of the model's state, a history."""
    calls: int = 0
    """How often the policy was asked."""

    def next_seed(self) -> int:
        """Returns what seeds the draws of the next call: of the episode and the call alone, not of who else is asked."""
        self.calls += 1
        return int(sha(f"{self.digest}/{self.calls}".encode())[:15], 16)


class Slots(Generic[Memory]):
    """The episodes by their slot."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._slots: dict[int, Slot[Memory]] = {}

    def begin(self, context: EpisodeContext, memory: Memory) -> Slot[Memory]:
        """Forgets what the slot held, and returns its new episode."""
        self._slots[context.slot] = Slot(instruction=context.instruction, digest=context.digest, memory=memory)
        return self._slots[context.slot]

    def memory(self, slot: int) -> Memory | None:
        """Returns what a slot has kept from an earlier episode; None if there was none."""
        return self._slots[slot].memory if slot in self._slots else None

    def __getitem__(self, slot: int) -> Slot[Memory]:
        """Returns the episode of a slot.

        Raises:
          NotReset: If none was begun there.
        """
        if slot not in self._slots:
            raise NotReset(f"slot {slot} of {self._who} was asked for actions before its episode began: call reset first")
        return self._slots[slot]

    def clear(self) -> None:
        """Forgets all."""
        self._slots.clear()
