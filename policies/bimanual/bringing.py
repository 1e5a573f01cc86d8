"""Bring what both hands hold to another table: a gliding base goes there with it and stands before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.bases import stance_of
from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import from_yaw, pose
from vlagym.envs.predicates.state import fixture_of
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.bimanual.base import Glider, Place
from vlagym.policies.bimanual.motion import Ways
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand
from vlagym.policies.skills.view import Verdict

_RESTS, _LOST_STEPS = 4, 6
_WITHIN_M, _WITHIN_RAD = 0.02, math.radians(3.0)


class BringBefore(BimanualSkill):
    """bring_before(a, table): with a in both hands the base goes to where it stands before a table, as it stands before the table of the arena."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._glider = Glider(spec, Ways(spec))
        self._way: list[Place] = []
        self._rested = self._lost = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name = self.args[0]
        if not self._way:
            # Farther off there is room to turn; from there it goes straight to the table.
            ends = {first: last for last in self._before() if (first := self._glider.back_off(view, last, (name,))) is not None}
            first = self._glider.go(view, list(ends), carried=(name,))
            self._way = [first, ends[first]]
        place = self._way[0]
        if len(self._way) > 1 and self._glider.is_at(view, place, 0.04, math.radians(6.0)):
            self._way = self._way[1:]
            place = self._way[0]
            self._glider.go_straight(place)
        self._lost = 0 if all(name in view.touched_by.get(side, ()) for side in self.robot.sides) else self._lost + 1
        if self._lost > _LOST_STEPS:
            return BodyCommand(), "lost"
        self._rested = self._rested + 1 if len(self._way) == 1 and self._glider.is_at(view, place, _WITHIN_M, _WITHIN_RAD) else 0
        return BodyCommand(velocity=self._glider.velocity(view, place)), "done" if self._rested > _RESTS else "running"

    def _before(self) -> list[Place]:
        """Returns the places before the four sides of the table. Raises BadSpec for furniture without a top."""
        fixture, asset = fixture_of(self.spec, self.args[1])
        top = get_fixture(fixture.asset).top
        if top is None:
            raise BadSpec(f"nothing can be put down on {fixture.name!r}: {asset.id!r} has no [top]")
        here = pose(fixture.pos_world, from_yaw(fixture.yaw_rad))
        away = stance_of(self.robot).table_edge_x_m
        places: list[Place] = []
        for turn in (0.0, math.pi / 2, math.pi, -math.pi / 2):
            out = np.array([math.cos(turn), math.sin(turn)])
            half = float(np.abs(out) @ np.array(asset.size_m[:2])) / 2
            x, y, _ = here.apply([*(np.array(top.centre_m) + (half + away) * out), 0.0]).tolist()
            places.append(Place(x, y, fixture.yaw_rad + turn + math.pi))
        return places


SKILLS: Mapping[str, type[BimanualSkill]] = {"bring_before": BringBefore}
"""Name -> class."""
