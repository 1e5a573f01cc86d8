"""Deciding ahead: where actions arrive late, a privileged policy decides each on the state that it will meet, which it knows from a rehearsal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec, Divergence, VlagymError
from vlagym.envs.types import EpisodeSpec, Observation, Privileged
from vlagym.envs.world import World


class Rehearsal:
    """Plays an episode in a world of its own, so many control steps ahead of the real one as an action is late there.

    Physics is deterministic: what is executed here at once, and there late, leads to the same states. So each action is decided on the very
    state in which it will be executed, and whoever solves an episode without a delay solves it with one, if the first steps of waiting leave
    the time to. It holds as long as what is executed is what was sent; `act` looks whether it still does.

    Args:
      spec: The real episode, with `action_delay_steps` of at least 1.
      decide: Decides on a privileged observation; called once for each control step, in order.
    """

    def __init__(self, spec: EpisodeSpec, decide: Callable[[Observation], NDArray[np.float32]]) -> None:
        self._decide, self._world = decide, World(render=False)
        self._world.start(replace(spec, action_delay_steps=0))
        self._ahead: deque[tuple[float, Privileged | None]] = deque()
        """(time, true state) from the real present to that of the rehearsal."""
        self._last: NDArray[np.float32] = np.clip(np.zeros(spec.control.size, np.float32), spec.control.low, spec.control.high)
        self._diverged = False
        for _ in range(spec.action_delay_steps):
            self._note(self._world.observe((), privileged=True))
            self._pass(None)

    def act(self, seen: Observation) -> NDArray[np.float32]:
        """Returns the action `(D,)` to send now.

        Args:
          seen: What the real world shows now, privileged.

        Raises:
          BadSpec: If it is not privileged.
          VlagymError: If the real world is in another state than was rehearsed: something else was executed than what was sent.
        """
        if seen.privileged is None:
            raise BadSpec("a rehearsal is held against the true state of the scene; the observation holds none")
        if self._diverged:
            # The real world will diverge as well, in a moment.
            return self._last
        ahead = self._world.observe((), privileged=True)
        self._note(ahead)
        if (seen.time_s, seen.privileged) != self._ahead.popleft():
            raise VlagymError(
                f"at {seen.time_s:g} s the scene is not as it was rehearsed: actions of this episode arrive late, and something else was executed "
                "than what was sent. Let the expert play it without noise and without a safety filter"
            )
        self._last = self._decide(ahead)
        self._pass(self._last)
        return self._last

    def _note(self, observation: Observation) -> None:
        self._ahead.append((observation.time_s, observation.privileged))

    def _pass(self, action: NDArray[np.float32] | None) -> None:
        try:
            if action is None:
                self._world.wait()
            else:
                self._world.advance(action)
        except Divergence:
            self._diverged = True
