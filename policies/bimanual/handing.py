"""From hand to hand: the one that holds a thing brings it before the chest, the other one takes it above or below, and the first lets go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Pose
from vlagym.envs.predicates.state import word
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.bimanual.carrying import carried_over
from vlagym.policies.bimanual.grasping import Grip, Gripper, Height
from vlagym.policies.bimanual.motion import is_there
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.view import Verdict, asset_of

_MEETINGS = ((0.3, 0.03, 0.10), (0.3, 0.03, 0.15), (0.5, 0.06, 0.12), (0.1, 0.0, 0.12), (0.5, -0.03, 0.16))
"""Where hands meet, one after another until the other one can take the thing: the share of the depth of the work area from its near side, how far
on the side of the giving hand, and how high the base of the thing is above the table, in m."""
_CLEAR_M = 0.14
"""Above what stands so near to the meeting both hands keep, too."""
_APART_M = 0.008
_SLOW_M = 0.012
_CLOSING_STEPS = 22
_HELD_STEPS = 4
_OPENING_STEPS = 10
_BACK_M = 0.12


class HandOver(BimanualSkill):
    """hand_over(a, =giver, =taker): a, which the giver holds, is brought to the middle, taken by the taker, and let go by the giver."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._gripper = Gripper(spec, self.robot)
        self._giver, self._taker = word(args[1]), word(args[2])
        self._stage = "bring"
        self._steps = self._held = self._tries = self._lost = self._place = 0
        self._grips: list[Grip] = []
        self._away: Pose | None = None

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name, giver, taker = self.args[0], self._giver, self._taker
        self._steps += 1
        holds = name in view.held_by.get(giver, ())
        if self._stage in ("bring", "come", "reach", "close"):
            self._lost = 0 if holds else self._lost + 1
            if self._lost > 5 and name not in view.held_by.get(taker, ()):
                return BodyCommand(hands={side: HandCommand(closing=OPEN) for side in (giver, taker)}), "lost"
        here, thing = view.hands[taker], view.props[name]
        keep = HandCommand(closing=CLOSE)
        if self._stage == "bring":
            goal = self._meeting(view, name)
            if is_there(view.hands[giver], goal, 0.015, 0.15) or self._steps > 90:
                self._stage, self._steps = "come", 0
                self._grips = self._look(view, name)
                if not self._grips and self._place + 1 < len(_MEETINGS):
                    self._stage, self._place = "bring", self._place + 1
                elif not self._grips:
                    raise NotGraspable(f"the {taker} hand of {self.spec.robot} does not take {name!r} from the {giver} one")
            return BodyCommand(hands={giver: HandCommand(pose=goal, closing=CLOSE, speed_m=0.02)}), "running"
        if self._stage == "come":
            grip = self._grips[self._tries % len(self._grips)]
            before = grip.before(thing)
            if is_there(here, before, 0.012, 0.12) or self._steps > 50:
                self._stage, self._steps = "reach", 0
            return BodyCommand(hands={giver: keep, taker: HandCommand(pose=self._round(view, before), closing=OPEN)}), "running"
        if self._stage == "reach":
            goal = self._grips[self._tries % len(self._grips)].at(thing)
            if is_there(here, goal, 0.008, 0.10) or self._steps > 24:
                self._stage, self._steps, self._held = "close", 0, 0
            return BodyCommand(hands={giver: keep, taker: HandCommand(pose=goal, closing=OPEN, speed_m=_SLOW_M)}), "running"
        if self._stage == "close":
            self._held = self._held + 1 if name in view.held_by.get(taker, ()) else 0
            if self._held >= _HELD_STEPS and self._steps >= 10:
                self._stage, self._steps = "open", 0
            elif self._steps > _CLOSING_STEPS:
                self._stage, self._steps, self._tries = "come", 0, self._tries + 1
                return BodyCommand(hands={giver: keep, taker: HandCommand(closing=OPEN)}), "running"
            return BodyCommand(hands={giver: keep, taker: keep}), "running"
        if self._stage == "open":
            if self._steps > _OPENING_STEPS:
                back = self._leaving(view, giver)
                self._stage, self._steps = "leave", 0
                self._away = Pose(view.hands[giver].pos + _BACK_M * back, view.targets[giver].quat)
            return BodyCommand(hands={giver: HandCommand(closing=OPEN), taker: keep}), "running"
        assert self._away is not None
        done = is_there(view.hands[giver], self._away, 0.02, 0.3) or self._steps > 24
        return BodyCommand(hands={giver: HandCommand(pose=self._away, closing=OPEN, speed_m=0.015), taker: keep}), "done" if done else "running"

    def _meeting(self, view: BimanualView, name: str) -> Pose:
        """Returns the pose of the giving hand with the thing before the chest, turned as it holds it."""
        here, thing, ways = view.hands[self._giver], view.props[name], self._gripper.ways
        low, high = self.robot.work.x_m if self.robot.work else (0.3, 0.5)
        share, aside, above = _MEETINGS[self._place]
        x, y = low + share * (high - low), aside if self._giver == "left" else -aside
        around = [o for o in ways.around(view, (name,)) if float(o.distance(np.array([[x, y]]))[0]) < _CLEAR_M]
        meeting = np.array([x, y, max([above, *(o.top_m + 0.02 for o in around)])])
        if math.hypot(*(meeting[:2] - thing.pos[:2])) > 0.02:
            return carried_over(self, ways, view, self._giver, name, meeting)
        return Pose(here.pos + (meeting - thing.pos), view.targets[self._giver].quat)

    def _look(self, view: BimanualView, name: str) -> list[Grip]:
        """Returns how the other hand takes the thing, above the first or below it."""
        held_m = float(view.hands[self._giver].pos[2] - view.props[name].pos[2])
        room = self._gripper.reach_m(self._giver) + self._gripper.reach_m(self._taker) + _APART_M
        height = asset_of(self.spec, name).size_m[2]
        above = Height(held_m + room, height, is_low_best=False)
        below = Height(0.0, held_m - room)
        found = self._gripper.grips(view, name, (self._taker,), height=above, in_air=True)
        return found or self._gripper.grips(view, name, (self._taker,), height=below, in_air=True)

    def _round(self, view: BimanualView, before: Pose) -> Pose:
        """Returns where the taking hand goes next: to the height of the grip on its own side first, then in."""
        here = view.hands[self._taker]
        if abs(float(here.pos[2] - before.pos[2])) > 0.03:
            return Pose(np.array([*here.pos[:2], before.pos[2]]), before.quat)
        return before

    def _leaving(self, view: BimanualView, side: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Returns the unit vector of the world along which an open hand leaves what it held: against the way it looks."""
        matrix = Pose(np.zeros(3), view.hands[side].quat).apply([0.0, 0.0, -1.0])
        return np.asarray(matrix)


class KeepHold(BimanualSkill):
    """keep_hold(a): the hand that holds a stays as it is."""

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        side = view.holder(self.args[0])
        return BodyCommand(hands={} if side is None else {side: HandCommand(closing=CLOSE)}), "again" if side is None else "running"


SKILLS: Mapping[str, type[BimanualSkill]] = {"hand_over": HandOver, "keep_hold": KeepHold}
"""Name -> class."""
