"""The Gymnasium space of instructions: text that also arrives through the shared memory of asynchronous vector environments.

Gymnasium reads shared text once, when the vector environment is made, and hands out that reading for ever (seen in 1.0 to 1.4). Here what is
handed out is looked up when it is copied or read.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, overload

from gymnasium.spaces import Text
from gymnasium.vector.utils import shared_memory as gym_memory

from vlagym.envs.language.sentences import MAX_CHARACTERS

MAX_LENGTH = MAX_CHARACTERS


class SentenceSpace(Text):
    """English sentences of up to MAX_LENGTH characters, possibly empty."""

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        super().__init__(max_length, min_length=0, charset=string.ascii_letters + string.digits + string.punctuation + " ")


class _LiveTexts(Sequence[str]):
    """What stands in the shared memory at the moment of asking. A deep copy, which Gymnasium hands out, is a plain tuple."""

    def __init__(self, space: SentenceSpace, memory: Any, n: int) -> None:
        self._space, self._memory, self._n = space, memory, n

    def _now(self) -> tuple[str, ...]:
        read: Any = gym_memory.read_from_shared_memory.dispatch(Text)
        texts: tuple[str, ...] = read(self._space, self._memory, n=self._n)
        return texts

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._now()[index]

    def __len__(self) -> int:
        return self._n

    def __eq__(self, other: object) -> bool:
        return self._now() == (other._now() if isinstance(other, _LiveTexts) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._now())

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return self._now()


@gym_memory.read_from_shared_memory.register(SentenceSpace)
def _read(space: SentenceSpace, shared_memory: Any, n: int = 1) -> _LiveTexts:
    return _LiveTexts(space, shared_memory, n)
