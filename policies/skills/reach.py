"""Touch: closed fingers come down on a thing and stop there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate
from vlagym.envs.kinematics import kinematics
from vlagym.envs.objects import UPRIGHT
from vlagym.envs.predicates.state import fixture_pose
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import risen_first
from vlagym.policies.skills.grasping import hand_of, resting_pose
from vlagym.policies.skills.surroundings import crowding, height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, Command, SkillBase, Verdict, View, asset_of, turn_between

_TURNS_RAD = tuple(math.radians(d) for d in (0, 30, -30, 60, -60, 90))
_HOVER_M = 0.02
"""The hand slows down this far above the highest point of the thing."""
_PRESS_M = 0.004
"""How far below where the hand is it is sent while it feels its way down: presses with less than 30 N."""
_RING_M = 0.012


class Touch(SkillBase):
    """touch(a): comes down on a prop or a fixture from above with closed fingers until it presses on it, and is done then.

    Where the fingers come down beside it (it is hollow, or bent), they try again a little further on.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._hand = hand_of(spec)
        self._tries = 0
        self._turn: float | None = None
        self._is_down = False
        self._still = 0
        self._height = math.inf

    def step(self, view: View) -> tuple[Command, Verdict]:
        point, top = self._point(view)
        around, room = obstacles(self.spec, view, self.args), self._hand.room
        if self._turn is None:
            self._turn = self._choose_turn(view, point)
        quat = multiply(from_yaw(self._turn), DOWN)
        tip = view.ee.pos - [0, 0, room.finger_below_m]
        across, turn_error = math.hypot(*(point[:2] - tip[:2])), turn_between(view.ee.quat, quat)
        if not self._is_down:
            over = height_to_pass(room, around, view.ee.pos, point, below_m=room.finger_below_m)
            high = max(top + _HOVER_M + room.finger_below_m, min(over, top + 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.08)))
            self._is_down = across < 0.006 and turn_error < 0.1 and view.ee.pos[2] < top + _HOVER_M + room.finger_below_m + 0.008
            return Command(risen_first(view.ee.pos, np.array([*point[:2], high])), quat, CLOSE), "running"
        self._still = self._still + 1 if view.ee.pos[2] > self._height - 0.001 else 0
        self._height = float(view.ee.pos[2])
        if tip[2] < 0.004 and self._still > 2:  # on the table: beside the thing
            self._tries, self._is_down, self._still, self._height = self._tries + 1, False, 0, math.inf
            return Command(view.ee.pos + [0, 0, 0.04], quat, CLOSE), "running"
        below = np.array([*point[:2], view.ee.pos[2] - _PRESS_M])
        return Command(below, quat, CLOSE, _PRESS_M), "done" if self._still > 3 else "running"

    def _point(self, view: View) -> tuple[Array, float]:
        """Returns where to come down, (3,) m, and the height of the top of the thing."""
        name = self.args[0]
        if name not in view.props:
            fixture = next(f for f in self.spec.scene.fixtures if f.name == name)
            top = fixture_pose(fixture).apply([0.0, 0.0, get_fixture(fixture.asset).size_m[2]])
            return top, float(top[2])
        (box,) = [o for o in obstacles(self.spec, view, [n for n in view.props if n != name]) if o.name == name]
        middle = np.array([box.x, box.y, box.top_m])
        asset, thing = asset_of(self.spec, name), view.props[name]
        upright = asset.grasps_in(UPRIGHT) if resting_pose(asset, thing) == UPRIGHT else ()
        grasps = [g for g in upright if g.kind == "rim"] or [g for g in upright if not g.symmetric]
        if grasps:
            # What is hollow or bent is not where its middle is: where it is grasped, it is.
            middle[:2] = thing.apply(np.array([*grasps[0].offset_xy_m, 0.0]))[:2]
        angle = 2.4 * self._tries  # on a spiral outwards, by the golden angle
        if asset.place is not None and "graspable" not in asset.roles:
            # Hollow or flat, and wide: the fingers come down in its middle.
            middle[2] = float(thing.pos[2]) + asset.place.surface_height_m
        middle[:2] += _RING_M * math.sqrt(self._tries) * np.array([math.cos(angle), math.sin(angle)])
        return middle, float(middle[2])

    def _choose_turn(self, view: View, point: Array) -> float:
        around, room, arm = obstacles(self.spec, view, self.args), self._hand.room, kinematics(self.spec.robot)
        for turn in sorted(_TURNS_RAD, key=lambda t: (round(20.0 * crowding(room, around, point, t) + 0.05 * abs(t), 6), t)):
            if arm.reaches(Pose(point, multiply(from_yaw(turn), DOWN))):
                return turn
        raise NotGraspable(f"the top of {self.args[0]!r} at {point.round(3).tolist()} is out of the reach of {self.spec.robot}")


SKILLS: Mapping[str, type[SkillBase]] = {"touch": Touch}
