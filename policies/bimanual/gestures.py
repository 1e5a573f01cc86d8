"""Gestures: a hand that waves, hands that are raised, a trunk that bows, a head that nods or is shaken."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import NotGraspable, unknown_name
from vlagym.envs.frames import Array, Pose
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


SKILLS: Mapping[str, type[BimanualSkill]] = {"gesture": Gesture}
"""Name -> class."""
