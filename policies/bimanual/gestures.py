"""Gestures: a hand that waves, hands that are raised, a trunk that bows, a head that nods or is shaken."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable, unknown_name
from vlagym.envs.frames import Array, Pose, from_axis_angle, pose
from vlagym.envs.predicates.state import word
from vlagym.envs.types import EpisodeSpec, Vec3
from vlagym.envs.whole_body import HandTarget, pointing, whole_body
from vlagym.policies.bimanual.motion import Ways, posture
from vlagym.policies.bimanual.view import OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.view import SPEED_M, Verdict

_HIGH_M, _WAVE_M = 0.06, -0.10
"""Above the camera in the head: of a raised hand, and of one that waves."""
_OUT_M = (0.14, 0.06, 0.22)
_AHEAD_M = (0.14, 0.22, 0.06)
"""From the shoulder to the raised hand, outwards and forwards."""
_SWING_M, _TURN_M = 0.085, 0.055
"""A waving hand is sent so far to each side, and turns back once it has come so far."""
_NEAR_M = 0.03
_LOOKS: Mapping[str, Sequence[str]] = {
    "wave_left": ("left",), "wave_right": ("right",), "raise_left": ("left",), "raise_right": ("right",), "arms_up": ("left", "right"),
}  # fmt: skip
"""Which hands go up."""
_HEAD_TURNS: Mapping[str, tuple[Vec3, float]] = {"nod": ((0.0, 1.0, 0.0), 0.18), "shake_head": ((0.0, 0.0, 1.0), 0.28)}
"""The axis of the base frame about which the head turns, and how far to either side, in rad."""
_BOW_RAD, _BOW_STEPS = 0.45, 8
"""How far, and for how many control steps, who bows leans forward."""
_BOW_LIFT_M = (-0.05, 0.0, 0.12)
"""What the hands do meanwhile, in the frame of the trunk: a table may be below them."""
_MAINLY = 0.8
"""A joint of the neck takes part if its axis has so much of that one."""
_LONG_ENOUGH = 120
"""Control steps after which a gesture is begun again."""


class Gesture(BimanualSkill):
    """gesture(=name): waves, or raises hands, until it has been seen."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        name = word(args[0])
        if name not in _LOOKS:
            raise unknown_name("gesture of hands", name, _LOOKS)
        self._sides = _LOOKS[name]
        self._waves = name.startswith("wave")
        self._ways = Ways(spec)
        self._body = whole_body(spec.robot, spec.robot_base)
        self._raised: dict[str, Pose] = {}
        self._outward = 1.0
        self._steps = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        self._steps += 1
        if not self._raised:
            self._raised = {side: self._place(view, side) for side in self._sides}
        hands: dict[str, HandCommand] = {}
        # A trunk that straightens as the hands go up takes the head with it.
        height = float(self._ways.head_m(view)[2]) + (_WAVE_M if self._waves else _HIGH_M)
        for side, planned in self._raised.items():
            place = Pose(np.array([*planned.pos[:2], max(float(planned.pos[2]), height)]), planned.quat)
            goal = view.base @ place
            away = view.base.inverse().apply(view.hands[side].pos) - place.pos
            if self._waves and abs(float(away[2])) < _NEAR_M:
                if float(away[1]) * self._outward > _TURN_M:
                    self._outward = -self._outward
                goal = view.base @ Pose(place.pos + [0.0, self._outward * _SWING_M, 0.0], place.quat)
            hands[side] = HandCommand(pose=goal, closing=OPEN, speed_m=SPEED_M)
        return BodyCommand(hands=hands), "running" if self._steps < _LONG_ENOUGH else "done"

    def _place(self, view: BimanualView, side: str) -> Pose:
        """Returns where a raised hand is, in the base frame: beside and before the head, fingers up, as the arm comes there most easily."""
        home = posture(view, self.robot)
        near = self._body.forward(home)[side]
        shoulder = view.base.inverse().apply(self._ways.shoulder(view, side))
        head = self._ways.head_m(view)
        sign = 1.0 if side == "left" else -1.0
        axis: Vec3 = self.hand(side).point_axis
        ranked: list[tuple[float, int, Pose]] = []
        for i, (out, ahead, lower) in enumerate(itertools.product(_OUT_M, _AHEAD_M, (0.0, 0.05))):
            height = float(head[2]) + (_WAVE_M if self._waves else _HIGH_M) - lower
            pos = np.array([shoulder[0] + ahead, shoulder[1] + sign * out, height])
            for lean in (0.0, 0.5):
                wanted = pointing(pos, np.array([lean, 0.0, 1.0]), axis, near.quat)
                solved = self._body.solve({side: HandTarget(wanted, "axis", axis)}, home, iterations=48)
                if solved.is_near(0.02, 0.35):
                    found = self._body.forward(solved.q)[side]
                    ranked.append((self._cost(solved.q, home) + 20.0 * solved.position_m[side] + 0.3 * (lower > 0.0), i, found))
        if not ranked:
            raise NotGraspable(f"the {side} hand of {self.spec.robot} does not come up to its head")
        return min(ranked, key=lambda item: item[:2])[2]

    def _cost(self, q: Array, home: Array) -> float:
        return float(np.sum((q - home) ** 2))


class Bow(BimanualSkill):
    """bow(): a robot on its legs leans forward, stays there a moment, and stands up again; its hands go with the trunk, a little higher."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        if spec.robot_base != "legs":
            raise BadSpec(f"the lean of the torso is commanded on the base 'legs'; this episode has {spec.robot_base!r}")
        self._low = self._steps = 0
        self._hands: dict[str, Pose] = {}

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        self._steps += 1
        to_base = view.base.inverse()
        self._hands = self._hands or {side: to_base @ here for side, here in view.targets.items()}
        leaned = float(view.proprio["torso_lean_rad"][0])
        self._low += int(leaned > _BOW_RAD - 0.05 or self._low > 0)
        lean = _BOW_RAD if self._low < _BOW_STEPS else 0.0
        # Hands that stay where they are would hold the trunk upright above hips that lean.
        trunk = pose(np.zeros(3), from_axis_angle([0.0, leaned + float(np.clip(lean - leaned, -0.06, 0.06)), 0.0]))
        lift = max(0.0, leaned) / _BOW_RAD * np.array(_BOW_LIFT_M)
        hands = {side: HandCommand(pose=view.base @ trunk @ Pose(here.pos + lift, here.quat)) for side, here in self._hands.items()}
        return BodyCommand(hands=hands, lean_rad=lean), "running" if self._steps < _LONG_ENOUGH else "done"


class MoveHead(BimanualSkill):
    """move_head(=nod | =shake_head): the neck turns the head down and up, or to one side and the other, until it has been seen."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        name = word(args[0])
        if name not in _HEAD_TURNS:
            raise unknown_name("gesture of the head", name, _HEAD_TURNS)
        if not any(group.kind == "neck" for group in self.robot.groups):
            raise BadSpec(f"{spec.robot!r} cannot {name.replace('_', ' its ')}: it has no neck")
        self._about, self._half_rad = _HEAD_TURNS[name]
        self._ways = Ways(spec)
        self._still: Array | None = None
        self._shares = np.zeros(0)
        self._sense = 1.0
        self._steps = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        self._steps += 1
        now = view.joint_pos["neck"]
        if self._still is None:
            self._still = now.copy()
            along = self._ways.axes(view, self.robot.group("neck").joints) @ np.array(self._about)
            chosen = np.where(np.abs(along) > _MAINLY, along, 0.0)
            self._shares = chosen / float(np.abs(chosen).sum())
        turned = float((now - self._still) @ self._shares) / float(self._shares @ self._shares)
        if self._sense * turned > 0.7 * self._half_rad:
            self._sense = -self._sense
        neck = self._still + self._sense * self._half_rad * self._shares
        return BodyCommand(neck_rad=neck), "running" if self._steps < _LONG_ENOUGH else "done"


SKILLS: Mapping[str, type[BimanualSkill]] = {"gesture": Gesture, "move_head": MoveHead, "bow": Bow}
"""Name -> class."""
