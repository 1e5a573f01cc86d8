"""A person as a policy: at its time, each control step takes what the player asks for then. Without a player the episode waits, and at last ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from vlagym.benchmark.rollout import Decision
from vlagym.benchmark.teleoperation.inputs import NUM_AXES, Input
from vlagym.benchmark.teleoperation.pace import Pace
from vlagym.benchmark.teleoperation.seat import Seat
from vlagym.benchmark.teleoperation.steering import ONE_ARM, TWO_HANDS, Steering
from vlagym.envs.errors import VlagymError
from vlagym.envs.types import ActionChunk, ActionSpec, Observation, ObservationSpec
from vlagym.policies.base import PolicySpec

SPEC = PolicySpec(
    name="human",
    action=None,
    controls=(ONE_ARM, TWO_HANDS),
    observation=ObservationSpec(images=(), state=(), rate_hz=0.0),
    reads_all_state=True,
    runs_in_worker=True,
)
"""What a person reads and sends: no images, which they see for themselves."""

LIVE_S = 0.25
"""An input that is older moves nothing any more, and the hands stay as they are: the page repeats it several times in that time."""
_LOOK_S = 0.1

End = Literal["given up", "begun again", "left", "changed"]
"""given up; begun again: the same one; left: nobody was there any more; changed: another episode was asked for."""
Pausing = Literal["asked", "away"]


class Stopped(VlagymError):
    """The player has ended the episode, or is not there any more."""


class Driver:
    """The player of one try of an episode."""

    def __init__(
        self, episode: int, control: ActionSpec, seat: Seat, steering: Steering, pace: Pace, *, wait_s: float, tell: Callable[[Pausing | None], None]
    ) -> None:
        """Begins a try.

        Args:
          episode: Its number, which inputs and orders must bear.
          control: What the environment takes.
          seat: Of the player.
          steering: Makes actions of inputs.
          pace: When each step begins.
          wait_s: How long a player who is away is waited for.
          tell: Is told when the episode is paused, and why, and with None when it goes on.
        """
        self._episode, self._control, self._seat, self._steering = episode, control, seat, steering
        self._pace, self._wait_s, self._tell = pace, wait_s, tell
        self._last: Input | None = None
        self._came = seat.came
        self._began_s: float | None = None
        self.end: End | None = None
        """How the player ended it; None: it was not the player."""
        self.clock_s: list[float] = []
        """When each step began: of the clock, without pauses, in s since the first."""
        self.paused_s = 0.0
        self.held_steps = 0
        """Steps in which nothing moved because no input had come in time."""
        self.devices: dict[str, int] = {}
        """Device -> steps in which it moved something."""

    @property
    def large(self) -> int:
        """Number of the camera that the player's page shows large."""
        return 0 if self._last is None else self._last.large

    def decide(self, seen: Observation) -> Decision:
        """Returns the action of the next control step, once its time has come.

        Raises:
          Stopped: If the player ends the episode.
        """
        self._attend()
        if self._began_s is None:
            self._pace.begin()
        now_s = self._pace.wait()
        self._began_s = now_s if self._began_s is None else self._began_s
        self.clock_s.append(round(now_s - self._began_s - self.paused_s, 4))
        action = self._steering.action(self._wanted(), seen)
        return Decision(ActionChunk(values=action[None], spec=self._control), 0.0)

    def _wanted(self) -> Input | None:
        """Returns the present input; the last one without its motion where none has come in time, None where there never was one."""
        heard = self._seat.heard()
        if heard.input is not None and heard.input.episode == self._episode and heard.age_s <= LIVE_S:
            self._last = heard.input
            if any(self._last.axes):
                self.devices[self._last.device] = self.devices.get(self._last.device, 0) + 1
            return self._last
        self.held_steps += 1
        return None if self._last is None else replace(self._last, axes=(0.0,) * NUM_AXES)

    def _attend(self) -> None:
        """Obeys what was ordered, and stands still while nobody is there."""
        pausing: Pausing | None = None
        while (ordered := self._seat.order(0.0)) is not None:
            if ordered.episode == self._episode:
                pausing = "asked" if ordered.order == "pause" else pausing
                self._end_if_ordered(ordered.order)
        if self._seat.is_away() or self._seat.came != self._came:  # who has come meanwhile shall say that it goes on
            pausing = "away"
        if pausing is not None:
            self._pause(pausing)

    def _pause(self, why: Pausing) -> None:
        began_s = time.monotonic()
        self._tell(why)
        away_since: float | None = None
        while True:
            ordered = self._seat.order(_LOOK_S)
            if ordered is not None and ordered.episode == self._episode:
                if ordered.order == "resume":
                    break
                self._end_if_ordered(ordered.order)
            if not self._seat.is_away():
                away_since = None
                continue
            away_since = time.monotonic() if away_since is None else away_since
            if time.monotonic() - away_since > self._wait_s:
                self._stop("left")
        if self._began_s is not None:
            self.paused_s += time.monotonic() - began_s
        self._came = self._seat.came
        self._pace.begin()
        self._tell(None)

    def _end_if_ordered(self, order: str) -> None:
        if order == "give_up":
            self._stop("given up")
        if order == "again":
            self._stop("begun again")
        if order == "another":
            self._stop("changed")

    def _stop(self, end: End) -> None:
        self.end = end
        raise Stopped(end)
