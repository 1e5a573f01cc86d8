"""Reach far down: a robot on its legs squats and leans until it has before it what stands low, takes it, and stands up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.body_control import HEIGHT_M, LEAN_RAD
from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Pose, from_yaw, pose, to_yaw
from vlagym.envs.predicates.state import prop_of
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.carrying import PickWith
from vlagym.policies.bimanual.motion import Ways, posture
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.view import Verdict

_BELOW_PELVIS_M = 0.03
"""The board that things stand on is about so far below the pelvis while a G1 takes them: as a table is while it stands."""
_LEAN_M, _LEAN_MIN_RAD = 1.6, 0.20
"""Torsos lean by so many rad for each metre that the pelvis goes down, and at least so far."""
_SINK_M, _LEAN_STEP_RAD = 0.010, 0.02
"""Per control step: what is commanded changes no faster than the body follows."""
_SETTLED_M, _PATIENCE = 0.02, 100
_HAND_SPEED_M = 0.03


class Stoop(BimanualSkill):
    """stoop(a): the robot goes down until a is before it as things on a table are; hands go down with it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        check_legs(spec)
        self._ways = Ways(spec)
        self._steps = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        self._steps += 1
        start = prop_of(self.spec, self.args[0]).pos_world
        down = float(np.clip(start[2] + _BELOW_PELVIS_M - view.base.pos[2], *HEIGHT_M))
        lean = float(np.clip(max(_LEAN_MIN_RAD, -_LEAN_M * down), *LEAN_RAD))
        height = max(down, -_SINK_M * self._steps)
        hands = {side: HandCommand(pose=pelvis_of(view, self) @ home, speed_m=_HAND_SPEED_M) for side, home in self._ways.home.items()}
        there = abs(float(view.proprio["base_height_m"][0]) - down) < _SETTLED_M
        command = BodyCommand(hands=hands, height_m=height, lean_rad=min(lean, _LEAN_STEP_RAD * self._steps))
        return command, "done" if there or self._steps > _PATIENCE else "running"


class PickLow(BimanualSkill):
    """pick_low(a): as pick_with takes things from a table, for what stands lower, before a robot that has gone down to it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        check_legs(spec)
        x, y, yaw = spec.robot_start
        self._there = pose((x, y, prop_of(spec, args[0]).pos_world[2]), from_yaw(yaw))
        self._skill = PickWith(seen_from(spec, self._there), args)

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        there, back = self._there, self._there.inverse()
        seen = dataclasses.replace(
            view,
            hands={side: back @ hand for side, hand in view.hands.items()},
            targets={side: back @ hand for side, hand in view.targets.items()},
            base=back @ pelvis_of(view, self),
            props={name: back @ here for name, here in view.props.items()},
        )
        command, verdict = self._skill.step(seen)
        hands = {side: dataclasses.replace(hand, pose=there @ hand.pose) if hand.pose else hand for side, hand in command.hands.items()}
        return dataclasses.replace(command, hands=hands), verdict


class Rise(BimanualSkill):
    """rise(a): the robot stands up; its hands, and a in one of them, come up with it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        check_legs(spec)
        self._ways = Ways(spec)
        self._hands: dict[str, Pose] = {}
        self._from: tuple[float, float] | None = None
        self._steps = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if self._from is None:
            back = pelvis_of(view, self).inverse()
            holder = view.holder(self.args[0])
            self._hands = {side: back @ view.targets[side] if side == holder else home for side, home in self._ways.home.items()}
            self._from = float(view.proprio["base_height_m"][0]), float(view.proprio["torso_lean_rad"][0])
        self._steps += 1
        height, lean = self._from
        upright = pose(pelvis_of(view, self).pos, from_yaw(to_yaw(view.base.quat)))
        command = BodyCommand(
            hands={side: HandCommand(pose=upright @ hand, speed_m=_HAND_SPEED_M) for side, hand in self._hands.items()},
            height_m=min(0.0, height + _SINK_M * self._steps),
            lean_rad=max(0.0, lean - _LEAN_STEP_RAD * self._steps),
        )
        there = float(view.proprio["base_height_m"][0]) > -_SETTLED_M
        return command, "done" if there or self._steps > _PATIENCE else "running"


def pelvis_of(view: BimanualView, skill: BimanualSkill) -> Pose:
    """Returns the pose of the base body in the world: what of the hands' poses the posture of the arms does not explain."""
    side = skill.robot.sides[0]
    in_pelvis = whole_body(skill.spec.robot, skill.spec.robot_base).forward(posture(view, skill.robot))[side]
    return view.hands[side] @ in_pelvis.inverse()


def seen_from(spec: EpisodeSpec, there: Pose) -> EpisodeSpec:
    """Returns an episode in another frame: things on a board before a robot become things on a table before it, and the furniture is left out.

    Args:
      spec: The episode.
      there: Pose in the world, level, of the frame that takes the world's place.
    """
    back = there.inverse()

    def moved(pos: Sequence[float], quat: Sequence[float]) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
        here = back @ pose(pos, quat)
        (x, y, z), (w, i, j, k) = here.pos.tolist(), here.quat.tolist()
        return (x, y, z), (w, i, j, k)

    props = []
    for prop in spec.scene.props:
        pos, quat = moved(prop.pos_world, prop.quat_world_wxyz)
        props.append(dataclasses.replace(prop, pos_world=pos, quat_world_wxyz=quat))
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=tuple(props), fixtures=()), robot_start=(0.0, 0.0, 0.0))


def check_legs(spec: EpisodeSpec) -> None:
    """Raises BadSpec if the robot of an episode does not stand on its legs."""
    if spec.robot_base != "legs":
        raise BadSpec(f"only on the base 'legs' the robot squats and leans; this episode has {spec.robot_base!r}")


SKILLS: Mapping[str, type[BimanualSkill]] = {"pick_low": PickLow, "rise": Rise, "stoop": Stoop}
"""Name -> class."""
