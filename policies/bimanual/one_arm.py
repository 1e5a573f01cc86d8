"""Skills of a single arm, done by one of two: an arm that is a whole robot by itself does what that robot does, where it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose
from vlagym.envs.types import EpisodeSpec, Vec3
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.view import SkillBase, Verdict, View


class OneArm(BimanualSkill):
    """A skill of `policies.skills`, done by the arm of a side. Which side is settled when it is first asked what to do."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str], kind: type[SkillBase], side: str, shifts: Mapping[str, Array] | None = None) -> None:
        """Takes over a skill.

        Args:
          spec: The episode.
          args: Of the skill.
          kind: Its class.
          side: Of the arm.
          shifts: Prop -> (3,) m by which the arm is to take it for standing elsewhere: so that what is put there keeps off the other hand.

        Raises:
          BadSpec: If that arm is no robot by itself.
        """
        super().__init__(spec, args)
        self._shifts = shifts or {}
        self._side = side
        self._alone = alone(spec, self, side)
        self._offset = _offset(self, side)
        self._skill = kind(self._alone, args)

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if self._shifts:
            moved = {name: Pose(here.pos + self._shifts.get(name, 0.0), here.quat) for name, here in view.props.items()}
            view = dataclasses.replace(view, props=moved)
        command, verdict = self._skill.step(seen_alone(view, self._side, self._offset))
        pose = Pose(command.pos + self._offset, command.quat)
        hand = HandCommand(pose=pose, closing=command.gripper, speed_m=command.speed_m)
        return BodyCommand(hands={self._side: hand}), verdict


def alone(spec: EpisodeSpec, skill: BimanualSkill, side: str) -> EpisodeSpec:
    """Returns the episode as the robot sees it that an arm is by itself: its base at the origin, its joints alone.

    Raises:
      BadSpec: If that arm is no robot by itself.
    """
    hand = skill.hand(side)
    if hand.single is None:
        raise BadSpec(f"the {side} arm of {spec.robot!r} is no robot by itself; it has skills of its own")
    x, y, z = hand.single.base_pos_m
    order = [skill.robot.joints.index(joint) for joint in hand.arm_joints]

    def shifted(pos: Vec3) -> Vec3:
        return pos[0] - x, pos[1] - y, pos[2] - z

    scene = dataclasses.replace(
        spec.scene,
        props=tuple(dataclasses.replace(p, pos_world=shifted(p.pos_world)) for p in spec.scene.props),
        fixtures=tuple(dataclasses.replace(f, pos_world=shifted(f.pos_world)) for f in spec.scene.fixtures),
    )
    return dataclasses.replace(spec, robot=hand.single.robot, scene=scene, robot_qpos=tuple(spec.robot_qpos[i] for i in order))


def seen_alone(view: BimanualView, side: str, offset: Array) -> View:
    """Returns what the robot sees that the arm of a side is by itself; `offset` (3,) m is where it stands."""
    here = view.hands[side]
    return View(
        ee=Pose(here.pos - offset, here.quat),
        opening_m=view.opening_m[side],
        gripper_command=view.closing[side],
        props={name: Pose(pose.pos - offset, pose.quat) for name, pose in view.props.items()},
        held=view.held_by.get(side, frozenset()),
        joints=view.joints,
        goal_met=view.goal_met,
    )


def _offset(skill: BimanualSkill, side: str) -> Array:
    single = skill.hand(side).single
    return np.zeros(3) if single is None else np.array(single.base_pos_m, np.float64)
