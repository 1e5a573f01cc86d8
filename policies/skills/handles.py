"""Hook, pull, push shut: closed fingers move drawers and doors by their handles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.fixtures import FixtureJoint
from vlagym.envs.frames import Array, Pose, rotate
from vlagym.envs.handles import hook_pose, pull_direction, push_pose
from vlagym.envs.predicates.state import fixture_of, joint_of
from vlagym.envs.types import EpisodeSpec, FixtureSpec
from vlagym.policies.skills.carry import risen_first
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.surroundings import height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, OPEN, SPEED_M, Command, SkillBase, Verdict, View, turn_between

_EMPTY_M = 0.005
"""Closed up to here, the hand has no bar between its fingers."""
_LET_GO_STEPS = 5


class _OnHandle(SkillBase):
    """What works with the handle of a joint: skill(fixture/joint)."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self.fixture: FixtureSpec = fixture_of(spec, args[0])[0]
        self.joint: FixtureJoint = joint_of(spec, args[0])
        self.hand = hand_of(spec)

    def hook_at(self, position: float) -> Pose:
        """Returns where the pinch point has the handle while the joint is at a position."""
        return hook_pose(self.fixture, self.joint, position, self.hand)

    def position(self, view: View) -> float:
        """Returns where the joint is, in m or rad."""
        return view.joints[self.args[0]]

    def ahead(self, distance_m: float) -> float:
        """Returns by how much the joint's position changes while its handle moves by a distance in m."""
        if self.joint.type == "slide":
            return distance_m
        arm = np.array(self.joint.require_handle().hook_pos_m) - np.array(self.joint.pos_m)
        return distance_m / math.hypot(arm[0], arm[1])

    def approach(self, view: View, target: Pose, *, lift_m: float, opening_m: float = 0.0) -> tuple[Command, bool]:
        """Returns the command that brings the hand to a pose, along its own axis at last, and whether it is there.

        Args:
          view: What is the case.
          target: Of the pinch point.
          lift_m: From how far above it comes.
          opening_m: How far the hand is open on the way; 0: closed.
        """
        gripper = opening_command(self.hand, opening_m) if opening_m else CLOSE
        back = -rotate(target.quat, np.array([0.0, 0.0, 1.0]))
        away = target.pos - view.ee.pos
        aside = away - back * float(away @ back)
        across, turn_error = float(np.linalg.norm(aside)), turn_between(view.ee.quat, target.quat)
        if across < 0.006 and abs(float(away @ back)) < 0.008 and turn_error < 0.08:
            return Command(target.pos, target.quat, gripper), True
        ready = abs(view.opening_m - opening_m) < 0.01
        room = self.hand.room
        over = height_to_pass(room, obstacles(self.spec, view, ()), view.ee.pos, target.pos, below_m=room.finger_below_m) - float(target.pos[2])
        slope = 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.06) + (0.0 if ready else 0.08)
        wanted = target.pos + min(max(lift_m, over), slope) * back
        return Command(risen_first(view.ee.pos, wanted), target.quat, gripper), False


class Hook(_OnHandle):
    """hook(fixture/joint): closes the fingers and brings them behind the bar of the handle, from above.

    A hand whose closed fingers do not fit there brings them down on both sides of the bar, and closes.
    """

    _CLOSING_STEPS = 8

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._closing = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        target = self.hook_at(self.position(view))
        if not self._closing:
            command, there = self.approach(view, target, lift_m=0.09, opening_m=self.hand.bar_opening_m or 0.0)
            if there and self.hand.bar_opening_m is not None:
                self._closing = 1
                return command, "running"
            return command, "done" if there else "running"
        self._closing += 1
        if self._closing <= self._CLOSING_STEPS:
            return Command(target.pos, target.quat, CLOSE), "running"
        if view.opening_m > _EMPTY_M:
            return Command(target.pos, target.quat, CLOSE), "done"
        self._closing = 0  # closed on nothing: from above again
        return Command(view.ee.pos + [0, 0, 0.05], target.quat, OPEN), "running"


class Pull(_OnHandle):
    """pull(fixture/joint): draws the hooked handle along the way of its joint until it is open with a margin.

    Lost when the hand is no longer behind the bar.
    """

    _MARGIN_M = 0.012
    _END_M = 0.003
    _LEAD_M = 0.035

    def enough(self) -> float:
        """Returns the position up to which it pulls."""
        return min(self.joint.open_threshold_m + self.ahead(self._MARGIN_M), self.joint.range_m[1] - self.ahead(self._END_M))

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = self.position(view)
        hook = self.hook_at(position)
        away = hook.pos - view.ee.pos
        if np.linalg.norm(away[:2]) > 0.05 or abs(away[2]) > 0.03:
            return Command(view.ee.pos + [0, 0, 0.05], hook.quat, CLOSE), "lost"
        if position >= self.enough():
            return Command(view.ee.pos, hook.quat, CLOSE), "done"
        if self.joint.type == "slide":
            return Command(hook.pos + self._LEAD_M * pull_direction(self.fixture, self.joint, position), hook.quat, CLOSE), "running"
        # Along the arc, turning with the door.
        return Command(*self.hook_at(position + self.ahead(self._LEAD_M)), CLOSE), "running"


class PullOut(Pull):
    """pull_out(fixture/joint): as pull, to the end of the joint's way: room for something to be put in."""

    def enough(self) -> float:
        return self.joint.range_m[1] - self.ahead(self._END_M)


class PushShut(_OnHandle):
    """push_shut(fixture/joint): brings the closed fingers in front of the handle, pushes until the joint is closed, and leaves the handle.

    Goes back in front of the handle when it has slid off.
    """

    _LEAD_M = 0.03
    _PRESS_M = 0.004
    _SLOWEST_M = 0.004
    _NEAR_M = 0.008
    _OFF_M = 0.012

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._pushing = False
        self._is_leaving = False

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = self.position(view)
        target = push_pose(self.fixture, self.joint, position)
        outward = pull_direction(self.fixture, self.joint, position)
        is_closed = position <= 0.5 * (self.joint.range_m[0] + self.joint.closed_threshold_m)
        before_m = float((view.ee.pos - target.pos) @ outward)
        # What slides on by itself is closed before the hand has come to rest.
        self._is_leaving = is_closed and (self._is_leaving or (self._pushing and before_m < self._NEAR_M))
        if is_closed and (not self._pushing or (self._is_leaving and before_m > self._OFF_M)):
            return Command(view.ee.pos, target.quat, CLOSE), "done"
        if self._is_leaving:  # off the bar first: a rising finger would drag it along
            return Command(target.pos + 2 * self._OFF_M * outward, target.quat, CLOSE), "running"
        if not self._pushing:
            waiting = Pose(target.pos + 0.012 * outward, target.quat)
            command, self._pushing = self.approach(view, waiting, lift_m=0.09)
            return command, "running"
        away = target.pos - view.ee.pos
        aside: Array = away - outward * float(away @ outward)
        if np.linalg.norm(aside) > 0.03 or float(away @ outward) > 0.03:
            self._pushing = False
            return Command(view.ee.pos + [0, 0, 0.05], target.quat, CLOSE), "running"
        # No farther than to its stop, and slowly at last, so that it does not bang.
        stop = self.joint.range_m[0] - self.ahead(self._PRESS_M)
        beyond = push_pose(self.fixture, self.joint, max(position - self.ahead(self._LEAD_M), stop))
        left_m = float((view.ee.pos - push_pose(self.fixture, self.joint, stop).pos) @ outward)
        return Command(beyond.pos, beyond.quat, CLOSE, min(SPEED_M, self._SLOWEST_M + 0.3 * max(0.0, left_m))), "running"


class Unhook(SkillBase):
    """unhook(...): lets go of a handle, draws the hand back along its own axis by 9 cm, turned as it is, and is done there."""

    _WAY_M = 0.09

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Pose | None = None
        hand = hand_of(spec)
        self._gripper = CLOSE if hand.bar_opening_m is None else opening_command(hand, hand.bar_opening_m)
        self._opening = _LET_GO_STEPS if hand.bar_opening_m is not None else 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._opening:
            self._opening -= 1
            return Command(view.ee.pos, view.ee.quat, self._gripper), "running"
        if self._goal is None:
            self._goal = Pose(view.ee.pos - rotate(view.ee.quat, np.array([0.0, 0.0, self._WAY_M])), view.ee.quat)
        there = float(np.linalg.norm(self._goal.pos - view.ee.pos)) < 0.02
        return Command(self._goal.pos, self._goal.quat, self._gripper), "done" if there else "running"


SKILLS: Mapping[str, type[SkillBase]] = {"hook": Hook, "pull": Pull, "pull_out": PullOut, "push_shut": PushShut, "unhook": Unhook}
