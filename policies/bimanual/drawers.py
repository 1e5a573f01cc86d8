"""Pull a drawer out with one hand: fingers behind the bar, the thumb before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, from_matrix, from_yaw, pose
from vlagym.envs.handles import hook_pose, pull_direction
from vlagym.envs.kinematics import kinematics
from vlagym.envs.predicates.state import fixture_of, joint_of
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.motion import Ways, gap_m, is_there, over, posture, with_way
from vlagym.policies.bimanual.one_arm import OneArm, alone
from vlagym.policies.bimanual.view import CLOSE, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.grasping import hand_of
from vlagym.policies.skills.handles import SKILLS as HANDLES
from vlagym.policies.skills.surroundings import Obstacle
from vlagym.policies.skills.view import Verdict

_TILTS_RAD = tuple(math.radians(d) for d in (0, 20, 40))
"""How far the hand leans back from looking straight down."""
_ABOVE_M = 0.09
_CLOSING_STEPS = 10
_LEAD_M = 0.03
_MARGIN_M = 0.012
_END_M = 0.004
_ROOM_M = 0.008
_OPENING_STEPS = 8
_LOST_M = 0.05


class _Hold(NamedTuple):
    side: str
    tilt_rad: float
    cost: float


class PullWith(BimanualSkill):
    """pull_with(fixture/joint): the hand that the goal names, or the one that gets there more easily, draws the handle until the joint is open."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._fixture, self._joint = fixture_of(spec, args[0])[0], joint_of(spec, args[0])
        self._ways = Ways(spec)
        self._sides = free_hands(spec, self.robot, args[0])
        self._single: OneArmPlan | None = None
        self._holds: list[_Hold] = []
        self._tries = self._steps = 0
        self._stage = "come"

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        command, verdict = self._pull(view)
        return with_way(self._ways, view, command), verdict

    def _pull(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if self.robot.end_effectors[0].single is not None:
            self._single = self._single or OneArmPlan(self.spec, self.args, ("hook", "pull", "unhook"), self._nearest())
            return self._single.step(view)
        if not self._holds:
            self._holds = self._look(view)
        hold = self._holds[self._tries % len(self._holds)]
        side, position = hold.side, view.joints[self.args[0]]
        here, there = view.hands[side], self._at(position, hold.tilt_rad)
        self._steps += 1
        half_open = 1.0 - 2.0 * self._closure(side)
        above = Pose(there.pos - _ABOVE_M * _down(there), there.quat)
        if self._stage == "come":
            if is_there(here, above, 0.012, 0.12) or self._steps > 60:
                self._stage, self._steps = "lower", 0
            return BodyCommand(hands={side: over(self._ways, view, side, above, half_open, self._ways.around(view))}), "running"
        if self._stage == "lower":
            if is_there(here, there, 0.007, 0.10) or self._steps > 24:
                self._stage, self._steps = "close", 0
            return BodyCommand(hands={side: HandCommand(pose=there, closing=half_open, speed_m=0.012)}), "running"
        if self._stage == "close":
            if self._steps > _CLOSING_STEPS:
                self._stage, self._steps = "pull", 0
            return BodyCommand(hands={side: HandCommand(closing=CLOSE)}), "running"
        if self._stage == "pull":
            enough = min(self._joint.open_threshold_m + _MARGIN_M, self._joint.range_m[1] - _END_M)
            away = float(np.linalg.norm(here.pos - there.pos))
            if position >= enough:
                self._stage, self._steps = "open", 0
            elif away > _LOST_M or self._steps > 80:
                self._stage, self._steps, self._tries = "come", 0, self._tries + 1
            ahead = self._at(min(position + _LEAD_M, self._joint.range_m[1]), hold.tilt_rad)
            return BodyCommand(hands={side: HandCommand(pose=ahead, closing=CLOSE, speed_m=0.012)}), "running"
        if self._stage == "open":
            if self._steps > _OPENING_STEPS:
                self._stage, self._steps = "leave", 0
            return BodyCommand(hands={side: HandCommand(closing=half_open)}), "running"
        done = is_there(here, above, 0.02, 0.3) or self._steps > 20
        return BodyCommand(hands={side: HandCommand(pose=above, closing=half_open, speed_m=0.02)}), "done" if done else "running"

    def _at(self, position: float, tilt_rad: float) -> Pose:
        """Returns the pose of the pinch point, in the world, with the bar between fingers and thumb while the joint is at a position."""
        handle = self._joint.require_handle()
        bar = (pose(self._fixture.pos_world, from_yaw(self._fixture.yaw_rad)) @ self._joint.at(position)).apply(handle.pos_m)
        pull = pull_direction(self._fixture, self._joint, position)
        level = np.array([pull[0], pull[1], 0.0]) / math.hypot(pull[0], pull[1])
        down = np.array([0.0, 0.0, -1.0])
        looks = math.cos(tilt_rad) * down - math.sin(tilt_rad) * level
        thumb = math.cos(tilt_rad) * level + math.sin(tilt_rad) * down
        return Pose(bar, from_matrix(np.stack([np.cross(thumb, looks), thumb, looks], axis=1)))

    def _closure(self, side: str) -> float:
        """Returns how far the hand opens on its way, as a share of the whole: as wide as it takes bars with, 1 all the way."""
        hand = self.hand(side)
        if hand.bar_opening_m is None or not hand.opening_of_closure_m:
            return 1.0
        closures, openings = zip(*reversed(hand.opening_of_closure_m), strict=True)
        return 1.0 - float(np.interp(hand.bar_opening_m, openings, closures))

    def _look(self, view: BimanualView) -> list[_Hold]:
        """Returns the ways to take the handle that are in reach from closed to open, the best first. Raises NotGraspable."""
        body, from_base = whole_body(self.spec.robot, self.spec.robot_base), view.base.inverse()
        end = min(self._joint.open_threshold_m + _MARGIN_M, self._joint.range_m[1])
        (x, y, z), (long, wide, tall) = self._fixture.pos_world, get_fixture(self._fixture.asset).size_m
        cabinet = Obstacle(self._fixture.name, x, y, self._fixture.yaw_rad, long / 2, wide / 2, False, z, z + tall)
        found: list[_Hold] = []
        for side in self._sides:
            home = posture(view, self.robot)
            arm = [self.robot.joints.index(joint) for joint in self.hand(side).arm_joints]
            home[arm] = np.array(self.robot.home_qpos)[arm]
            for tilt in _TILTS_RAD:
                closed = body.solve({side: from_base @ self._at(view.joints[self.args[0]], tilt)}, home, iterations=24)
                opened = body.solve({side: from_base @ self._at(end, tilt)}, closed.q, iterations=24)
                if not (closed.is_near(8e-3, 0.15) and opened.is_near(0.015, 0.2)):
                    continue
                cost = 0.0
                for q in (closed.q, opened.q):
                    taken = self._ways.taken(view, q, side, 1.0 - 2.0 * self._closure(side))
                    room = gap_m(np.concatenate([taken.hand, taken.arm]), [*self._ways.around(view, (self._fixture.name,))])
                    low = float(taken.hand[:, 2].min())
                    cost += float(np.sum((q - home) ** 2)) + 800.0 * (max(0.0, _ROOM_M - room) + max(0.0, 0.004 - low))
                inside = gap_m(self._ways.taken(view, closed.q, side, 0.0).arm, [cabinet])
                found.append(_Hold(side, tilt, cost + 800.0 * max(0.0, _ROOM_M - inside)))
        if not found:
            raise NotGraspable(f"no hand of {self.spec.robot} reaches the handle of {self.args[0]!r}")
        return sorted(found, key=lambda hold: (round(hold.cost, 6), hold.side))

    def _nearest(self) -> str:
        """Returns the side of the arm, a robot by itself, that reaches the handle closed and open: the nearest that may. Raises NotGraspable."""
        y = float(self._fixture.pos_world[1])
        for side in sorted(self._sides, key=lambda one: abs(y - (0.3 if one == "left" else -0.3))):
            single = alone(self.spec, self, side)
            fixture, hand = fixture_of(single, self.args[0])[0], hand_of(single)
            ends = (0.0, self._joint.open_threshold_m + _MARGIN_M)
            if all(kinematics(single.robot).reaches(hook_pose(fixture, self._joint, position, hand)) for position in ends):
                return side
        raise NotGraspable(f"no arm of {self.spec.robot} that may reaches the handle of {self.args[0]!r}")


def _down(there: Pose) -> Array:
    """Returns the unit vector of the world along which a hand looks."""
    return Pose(np.zeros(3), there.quat).apply([0.0, 0.0, 1.0])


class OneArmPlan(BimanualSkill):
    """Skills of a single arm one after another, on the same thing, by the arm of a side."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str], names: Sequence[str], side: str) -> None:
        super().__init__(spec, args)
        self._names, self._side, self._at = tuple(names), side, 0
        self._skill = self._make()

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        command, verdict = self._skill.step(view)
        if verdict == "done" and self._at + 1 < len(self._names):
            self._at += 1
        elif verdict == "lost" and self._at > 0:
            self._at -= 1
        elif verdict == "again":
            self._at = 0
        else:
            return command, verdict
        self._skill = self._make()
        return command, "running"

    def _make(self) -> OneArm:
        return OneArm(self.spec, self.args, HANDLES[self._names[self._at]], self._side)


SKILLS: Mapping[str, type[BimanualSkill]] = {"pull_with": PullWith}
"""Name -> class."""
