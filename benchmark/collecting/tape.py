"""A world that is played in, with a note of every state and of what the controllers were asked: enough to render the episode afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import RunnableWorld
from vlagym.envs.types import EpisodeSpec, Facts, Observation, ObservationSpec

State = NDArray[np.float64]


@runtime_checkable
class Rewindable(Protocol):
    """A world whose earlier states can be looked at again: `vlagym.envs.world.World`. Its other methods are those of `RunnableWorld`."""

    def far_m(self) -> float: ...

    def state(self) -> State: ...

    def show(self, state: State) -> None: ...

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]: ...

    def commanded(self, action: NDArray[np.float32] | None = None) -> Any:
        """Returns a `vlagym.envs.world.Commanded`."""
        ...


class Tape:
    """Plays in a world for a `Rollout`, and keeps what is needed later.

    Args:
      world: Where it is played; it is left open.
      tells_commands: Whether what the controllers are asked is kept too.
    """

    def __init__(self, world: RunnableWorld, *, tells_commands: bool) -> None:
        self.world, self._tells_commands = world, tells_commands
        self.states: list[State] = []
        """Before each action, and after the last: (T + 1) of them, where the world is Rewindable."""
        self.commanded: list[Any] = []
        """At the start and after each action: `vlagym.envs.world.Commanded`."""

    @property
    def model_digest(self) -> str:
        return self.world.model_digest

    @property
    def initial_state_digest(self) -> str:
        return self.world.initial_state_digest

    def start(self, spec: EpisodeSpec) -> Facts:
        """Begins an episode, and a new tape."""
        facts = self.world.start(spec)
        self.states, self.commanded = [], []
        self._note()
        return facts

    def advance(self, action: NDArray[np.float32]) -> Facts:
        """Lets one control step pass."""
        facts = self.world.advance(action)
        self._note()
        return facts

    def observe(self, cameras: Sequence[str] | None = None, *, privileged: bool = False) -> Observation:
        """Renders and reads."""
        return self.world.observe(cameras, privileged=privileged)

    def observation_spec(self) -> ObservationSpec:
        """Returns what `observe` holds."""
        return self.world.observation_spec()

    def state_digest(self) -> str:
        """Returns the digest of the present state."""
        return self.world.state_digest()

    def close(self) -> None:
        """Closes the world."""
        self.world.close()

    def _note(self) -> None:
        if isinstance(self.world, Rewindable):
            self.states.append(self.world.state())
            if self._tells_commands:
                self.commanded.append(self.world.commanded())
