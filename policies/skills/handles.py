"""Hook, pull: the closed fingers draw a handle along its joint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, from_yaw, multiply, pose, rotate
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.grasping import nearest_turn
from vlagym.policies.skills.view import CLOSE, DOWN, Command, SkillBase, Verdict, View, turn_between


class Hook(SkillBase):
    """hook(fixture/joint): closes the fingers and brings them behind the bar of the handle, from above."""

    def step(self, view: View) -> tuple[Command, Verdict]:
        hook = _Hook.of(self.spec, self.args[0], view)
        away = hook.point - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, hook.quat)
        if across < 0.006 and abs(away[2]) < 0.008 and turn_error < 0.08:
            return Command(hook.point, hook.quat, CLOSE), "done"
        closed = view.opening_m < 0.01
        height = min(0.09, 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.06) + (0.0 if closed else 0.08))
        return Command(hook.point + [0, 0, height], hook.quat, CLOSE), "running"


class Pull(SkillBase):
    """pull(fixture/joint): draws the hooked handle along the joint's axis until it is open with a margin.

    Lost when the hand is no longer behind the bar.
    """

    _MARGIN_M = 0.012

    def step(self, view: View) -> tuple[Command, Verdict]:
        hook = _Hook.of(self.spec, self.args[0], view)
        away = hook.point - view.ee.pos
        if np.linalg.norm(away[:2]) > 0.05 or abs(away[2]) > 0.03:
            return Command(view.ee.pos + [0, 0, 0.05], hook.quat, CLOSE), "lost"
        if hook.opened_m >= hook.threshold_m + self._MARGIN_M:
            return Command(view.ee.pos, hook.quat, CLOSE), "done"
        return Command(hook.point + 0.035 * hook.axis, hook.quat, CLOSE), "running"


class _Hook(NamedTuple):
    point: Array
    axis: Array
    quat: Array
    opened_m: float
    threshold_m: float

    @staticmethod
    def of(spec: EpisodeSpec, name: str, view: View) -> _Hook:
        fixture_name, _, joint_name = name.partition("/")
        fixture = next(f for f in spec.scene.fixtures if f.name == fixture_name)
        joint = get_fixture(fixture.asset).joint(joint_name)
        here = pose(fixture.pos_world, from_yaw(fixture.yaw_rad))
        opened = view.joints[name]
        axis = rotate(here.quat, np.array(joint.axis))
        bar = rotate(here.quat, np.array(joint.handle_axis))
        turn = nearest_turn(math.atan2(bar[1], bar[0]), 0.0)
        return _Hook(
            here.apply(np.array(joint.hook_pos_m)) + opened * axis, axis, multiply(from_yaw(turn), DOWN), opened, joint.open_threshold_m
        )


SKILLS: Mapping[str, type[SkillBase]] = {"hook": Hook, "pull": Pull}
