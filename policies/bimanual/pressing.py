"""Press a button with a hand: what is slender of it comes down on the button and on no other one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.frames import Array, Pose
from vlagym.envs.predicates.controls import control_of
from vlagym.envs.predicates.state import fixture_of, fixture_pose, joint_of
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.motion import giving_way, is_there, over
from vlagym.policies.bimanual.reach import Approach, Reacher, box_of
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.view import Verdict

_ELEVATIONS_RAD = tuple(math.radians(d) for d in (90, 75, 60))
_STANDOFF_M = 0.035
_SPEED_M = 0.010
_BESIDE_M = 0.012
"""So far beside the middle of the button the finger may come down."""
_DOWN = 4
"""Control steps that a button is held down."""
_PATIENCE = 60
_UP_M = 0.05


class PressWith(BimanualSkill):
    """press_with(panel/button): the hand that the goal names, or the one that gets there more easily, presses the button, and lets go of it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        control = control_of(spec, args[0])
        if control.pressed_from is None:
            raise BadSpec(f"{args[0]!r} is a {control.kind}; it is not pressed")
        self._point, self._pressed_from = control.pos_m, control.pressed_from
        fixture, _ = fixture_of(spec, args[0])
        self._panel, self._here, self._joint = fixture.name, fixture_pose(fixture), joint_of(spec, args[0])
        self._reacher = Reacher(spec, self.robot)
        self._ranked: list[Approach] = []
        self._tries = self._waited = self._down = 0
        self._phase = "going"

    def _top(self, position: float) -> Array:
        """Returns where the middle of the button's top is (3,) in the world, at a position of its joint."""
        return self._here.apply(self._joint.at(position).apply(self._point))

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if not self._ranked:
            self._ranked = self._choose(view)
        ways, approach = self._reacher.ways, self._ranked[self._tries % len(self._ranked)]
        side, here = approach.side, view.hands[approach.side]
        self._waited += 1
        if self._phase == "leaving":
            goal = approach.before(_UP_M)
            verdict: Verdict = "done" if is_there(here, goal, 0.02, 0.3) or self._waited > 20 else "running"
            return BodyCommand(hands={side: HandCommand(pose=goal, closing=approach.closing)}), verdict
        if self._waited > _PATIENCE:
            self._tries, self._waited, self._phase = self._tries + 1, 0, "going"
        start = approach.before(_STANDOFF_M)
        if self._phase == "going":
            if is_there(here, start, 0.008, 0.10):
                self._phase, self._waited = "pressing", 0
            hands = {side: over(ways, view, side, start, approach.closing, ways.around(view)), **giving_way(ways, view, side, start)}
            return BodyCommand(hands=hands), "running"
        is_down = view.joints[self.args[0]] >= self._pressed_from
        self._down += int(is_down)
        if self._down >= _DOWN:
            self._phase, self._waited = "leaving", 0
        ahead = float((here.pos - approach.pose.pos) @ approach.direction)
        beside = here.pos - approach.pose.pos - ahead * approach.direction
        if float(np.linalg.norm(beside)) > _BESIDE_M:
            self._phase, self._waited = "going", 0
        pos = here.pos + (0.0 if is_down else _SPEED_M) * approach.direction - 2.0 * beside
        return BodyCommand(hands={side: HandCommand(pose=Pose(pos, approach.pose.quat), closing=approach.closing, speed_m=_SPEED_M)}), "running"

    def _choose(self, view: BimanualView) -> list[Approach]:
        top = self._top(view.joints[self.args[0]])
        box = box_of(self.spec, view, self._panel)._replace(name=self.args[0], x=float(top[0]), y=float(top[1]), top_m=float(top[2]))
        sides = free_hands(self.spec, self.robot, self.args[0])
        ranked = self._reacher.approaches(view, self._panel, sides, aim=top, box=box, elevations=_ELEVATIONS_RAD, slender=True)
        if not ranked:
            raise NotGraspable(f"no hand of {self.spec.robot} comes to {self.args[0]!r} at {top.round(3).tolist()} from above")
        return ranked


SKILLS: Mapping[str, type[BimanualSkill]] = {"press_with": PressWith}
"""Name -> class."""
