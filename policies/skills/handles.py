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
from vlagym.policies.skills.grasping import hand_of
from vlagym.policies.skills.surroundings import height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, Command, SkillBase, Verdict, View, turn_between


class _OnHandle(SkillBase):
    """What works with the handle of a joint: skill(fixture/joint)."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self.fixture: FixtureSpec = fixture_of(spec, args[0])[0]
        self.joint: FixtureJoint = joint_of(spec, args[0])

    def position(self, view: View) -> float:
        """Returns where the joint is, in m or rad."""
        return view.joints[self.args[0]]

    def ahead(self, distance_m: float) -> float:
        """Returns by how much the joint's position changes while its handle moves by a distance in m."""
        if self.joint.type == "slide":
            return distance_m
        arm = np.array(self.joint.require_handle().hook_pos_m) - np.array(self.joint.pos_m)
        return distance_m / math.hypot(arm[0], arm[1])

    def approach(self, view: View, target: Pose, *, lift_m: float) -> tuple[Command, bool]:
        """Returns the command that brings the closed hand to a pose, along its own axis at last, and whether it is there.

        Args:
          view: What is the case.
          target: Of the pinch point.
          lift_m: From how far above it comes.
        """
        back = -rotate(target.quat, np.array([0.0, 0.0, 1.0]))
        away = target.pos - view.ee.pos
        aside = away - back * float(away @ back)
        across, turn_error = float(np.linalg.norm(aside)), turn_between(view.ee.quat, target.quat)
        if across < 0.006 and abs(float(away @ back)) < 0.008 and turn_error < 0.08:
            return Command(target.pos, target.quat, CLOSE), True
        closed = view.opening_m < 0.01
        room = hand_of(self.spec).room
        over = height_to_pass(room, obstacles(self.spec, view, ()), view.ee.pos, target.pos, below_m=room.finger_below_m) - float(target.pos[2])
        slope = 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.06) + (0.0 if closed else 0.08)
        wanted = target.pos + min(max(lift_m, over), slope) * back
        return Command(risen_first(view.ee.pos, wanted), target.quat, CLOSE), False


class Hook(_OnHandle):
    """hook(fixture/joint): closes the fingers and brings them behind the bar of the handle, from above."""

    def step(self, view: View) -> tuple[Command, Verdict]:
        command, there = self.approach(view, hook_pose(self.fixture, self.joint, self.position(view)), lift_m=0.09)
        return command, "done" if there else "running"


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
        hook = hook_pose(self.fixture, self.joint, position)
        away = hook.pos - view.ee.pos
        if np.linalg.norm(away[:2]) > 0.05 or abs(away[2]) > 0.03:
            return Command(view.ee.pos + [0, 0, 0.05], hook.quat, CLOSE), "lost"
        if position >= self.enough():
            return Command(view.ee.pos, hook.quat, CLOSE), "done"
        if self.joint.type == "slide":
            return Command(hook.pos + self._LEAD_M * pull_direction(self.fixture, self.joint, position), hook.quat, CLOSE), "running"
        # Along the arc, turning with the door.
        return Command(*hook_pose(self.fixture, self.joint, position + self.ahead(self._LEAD_M)), CLOSE), "running"


class PullOut(Pull):
    """pull_out(fixture/joint): as pull, to the end of the joint's way: room for something to be put in."""

    def enough(self) -> float:
        return self.joint.range_m[1] - self.ahead(self._END_M)


class PushShut(_OnHandle):
    """push_shut(fixture/joint): brings the closed fingers in front of the handle and pushes until the joint is closed.

    Goes back in front of the handle when it has slid off.
    """

    _LEAD_M = 0.03

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._pushing = False

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = self.position(view)
        target = push_pose(self.fixture, self.joint, position)
        if position <= 0.5 * (self.joint.range_m[0] + self.joint.closed_threshold_m):
            return Command(view.ee.pos, target.quat, CLOSE), "done"
        outward = pull_direction(self.fixture, self.joint, position)
        if not self._pushing:
            waiting = Pose(target.pos + 0.012 * outward, target.quat)
            command, self._pushing = self.approach(view, waiting, lift_m=0.09)
            return command, "running"
        away = target.pos - view.ee.pos
        aside: Array = away - outward * float(away @ outward)
        if np.linalg.norm(aside) > 0.03 or float(away @ outward) > 0.03:
            self._pushing = False
            return Command(view.ee.pos + [0, 0, 0.05], target.quat, CLOSE), "running"
        beyond = push_pose(self.fixture, self.joint, position - self.ahead(self._LEAD_M))
        return Command(beyond.pos, beyond.quat, CLOSE), "running"


class Unhook(SkillBase):
    """unhook(...): draws the hand back along its own axis by 9 cm, turned as it is, and is done there."""

    _WAY_M = 0.09

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Pose | None = None

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal = Pose(view.ee.pos - rotate(view.ee.quat, np.array([0.0, 0.0, self._WAY_M])), view.ee.quat)
        there = float(np.linalg.norm(self._goal.pos - view.ee.pos)) < 0.02
        return Command(self._goal.pos, self._goal.quat, CLOSE), "done" if there else "running"


SKILLS: Mapping[str, type[SkillBase]] = {"hook": Hook, "pull": Pull, "pull_out": PullOut, "push_shut": PushShut, "unhook": Unhook}
