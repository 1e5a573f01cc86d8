"""Pick, place, retreat: a thing is taken from above and put down somewhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, from_yaw, multiply
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.grasping import ChosenGrasp, choose_grasp
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, asset_of, clear_height, hand_yaw, turn_between


class Pick(SkillBase):
    """pick(a): reaches a grasp of the prop from above, closes, and is done when the prop is held. Tries again when the fingers close on nothing."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._grasp: ChosenGrasp | None = None
        self._closing = 0
        self._firm = 0
        self._held_at = np.zeros(3)

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        thing = view.props[name]
        if self._grasp is None:
            self._grasp = choose_grasp(self.spec, name, view)
        point, turn = self._grasp.at(thing)
        quat = multiply(from_yaw(turn), DOWN)
        if self._closing:
            self._closing += 1
            self._firm = self._firm + 1 if name in view.held else 0
            if self._firm >= 2:
                return Command(view.ee.pos, quat, CLOSE), "done"
            if self._closing > 14 or (self._closing > 4 and view.opening_m < 0.003):
                self._closing, self._firm, self._grasp = 0, 0, None  # closed on nothing: look again, try again
                return Command(view.ee.pos + [0, 0, 0.05], quat, OPEN), "running"
            return Command(self._held_at, quat, CLOSE), "running"
        away = point - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, quat)
        is_open = view.opening_m > 0.9 * min(0.078, self._grasp.width_m + 0.02)
        if across < 0.005 and abs(away[2]) < 0.006 and turn_error < 0.06 and is_open:
            self._closing, self._held_at = 1, point
            return Command(point, quat, CLOSE), "running"
        ceiling = clear_height(self.spec, view, without=(name,)) - point[2]
        height = min(max(0.08, ceiling), 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.08))
        if not is_open:
            height = max(height, 0.05)
        return Command(point + [0, 0, height], quat, OPEN), "running"


class Place(SkillBase):
    """place(a, b): carries the held prop over b, lowers it, lets go. Lost when the prop slips out of the hand on the way."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._releasing = 0
        self._released_at = np.zeros(3)
        asset = asset_of(spec, args[1])
        if asset.place is None:
            raise BadSpec(f"nothing can be put on {args[1]!r}: {asset.id} is no support")
        self._surface_m = asset.place.surface_height_m
        self._drop_m = 0.02 if "container" in asset.roles else 0.004
        self._slipped = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        name, destination = self.args
        thing, support = view.props[name], view.props[destination]
        quat = multiply(from_yaw(hand_yaw(view.ee.quat)), DOWN)
        if self._releasing:
            self._releasing += 1
            return Command(self._released_at, quat, OPEN), "done" if self._releasing > 4 else "running"
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > 3:
            return Command(view.ee.pos, quat, OPEN), "lost"
        goal = support.pos + [0, 0, self._surface_m + self._drop_m]
        away = goal - thing.pos
        across = math.hypot(away[0], away[1])
        if across < 0.008 and abs(away[2]) < 0.006:
            self._releasing, self._released_at = 1, view.ee.pos
            return Command(view.ee.pos, quat, OPEN), "running"
        carry = max(0.06, clear_height(self.spec, view, without=(name,)) - goal[2])
        height = min(carry, 2.5 * max(0.0, across - 0.008))
        wanted = goal + [0, 0, height]
        lift = wanted - thing.pos
        # Up first: sideways only as far as the height already allows.
        sideways = 1.0 if lift[2] < 0.02 else max(0.0, 1.0 - (lift[2] - 0.02) / 0.03)
        step = np.array([lift[0] * sideways, lift[1] * sideways, lift[2]])
        return Command(view.ee.pos + step, quat, CLOSE), "running"


class Retreat(SkillBase):
    """retreat(): goes straight up by 10 cm, gripper as it is, and stays there."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Array | None = None

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal = view.ee.pos + [0, 0, 0.10]
            self._quat = multiply(from_yaw(hand_yaw(view.ee.quat)), DOWN)
        return Command(self._goal, self._quat, CLOSE if view.gripper_command > 0 else OPEN, 0.02), "running"


SKILLS: Mapping[str, type[SkillBase]] = {"pick": Pick, "place": Place, "retreat": Retreat}
