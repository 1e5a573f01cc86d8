"""What a task is: how its scene is laid out, what its goals are, and the plan by which the expert reaches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlagym.envs.catalogues import catalogue_of
from vlagym.envs.errors import BadSpec, Unsatisfiable, unknown_name
from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.types import EpisodeSpec, FixtureSpec, Predicate, PropSpec


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One step of a plan: a name of `policies.skills` and the things it acts on."""

    name: str
    args: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal that could be asked for in a scene."""

    conditions: tuple[Predicate, ...]
    stages: tuple[Predicate, ...]
    """Ordered subgoals, the conditions last."""
    steps: tuple[tuple[Predicate, ...], ...] = ()
    """What must come true one after another, in this order; empty where there is no order."""
    expert_s: float | None = None
    """What the expert needs for this goal at the 95th percentile; the task's where None."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of the table, in m of the world frame: (low, high) along each axis."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]

    def __post_init__(self) -> None:
        for name, (low, high) in (("x_m", self.x_m), ("y_m", self.y_m)):
            if not low <= high:
                raise BadSpec(f"a Region has {name} = ({low}, {high}); it must be (low, high)")


class Crowded(Exception):
    """A layout attempt failed; the sampler tries again."""


class Draft:
    """A scene that is being laid out. Handed to a task's `layout`, which draws from `rng` only."""

    def __init__(self, rng: np.random.Generator, objects: str, catalogue: str = "full") -> None:
        self.rng = rng
        self.objects = objects
        """seen | unseen: the split that the goal's objects come from. What only stands around may be seen."""
        self.catalogue = catalogue
        """core | full: which part of the assets is drawn from."""
        self._assets = catalogue_of(catalogue)
        self.props: list[PropSpec] = []
        self.fixtures: list[FixtureSpec] = []
        self._discs: list[tuple[float, float, float, bool]] = []

    def choose(
        self,
        count: int,
        *,
        role: str,
        first_split: str | None = None,
        kinds: Sequence[str] = (),
        without: Sequence[str] = (),
        suits: Callable[[ObjectAsset], bool] = lambda asset: True,
    ) -> list[str]:
        """Draws different objects that have a role.

        Args:
          count: How many.
          role: graspable | support | container | stackable.
          first_split: Split of the first one; the draft's where None. If it is unseen, so is the last one, or else "the new one" would be
            all that one must understand; the others are seen.
          kinds: Only these kinds; empty: any.
          without: Ids that are not wanted.
          suits: A further condition: a category, a size.

        Raises:
          Unsatisfiable: If the catalogue has not enough of them.
        """
        roles = {r for a in catalog().values() for r in a.roles}
        if role not in roles:
            raise unknown_name("role", role, roles)
        known_kinds = {a.kind for a in catalog().values()}
        for kind in kinds:
            if kind not in known_kinds:
                raise unknown_name("kind of object", kind, known_kinds)
        first_split = first_split or self.objects
        chosen: list[str] = []
        for i in range(count):
            split = first_split if i in (0, count - 1) else "seen"
            there = [
                a.id
                for a in catalog().values()
                if role in a.roles and a.split == split and (not kinds or a.kind in kinds) and a.id not in chosen and a.id not in without
                and a.id in self._assets.objects and suits(a)
            ]
            if not there:
                raise Unsatisfiable(f"the catalogue has no {split} object left with the role {role!r}" + (f" of {', '.join(kinds)}" if kinds else ""))
            chosen.append(there[int(self.rng.integers(len(there)))])
        return chosen

    def choose_fixtures(self, count: int, *, kind: str) -> list[str]:
        """Draws different furniture of a kind; the first and the last one from the draft's split, the others seen."""
        chosen: list[str] = []
        for i in range(count):
            split = self.objects if i in (0, count - 1) else "seen"
            there = [f.id for f in fixtures().values() if f.kind == kind and f.split == split and f.id not in chosen and f.id in self._assets.fixtures]
            if not there:
                raise Unsatisfiable(f"the catalogue has no {split} {kind} left")
            chosen.append(there[int(self.rng.integers(len(there)))])
        return chosen

    def put(self, asset_id: str, region: Region, *, tries: int = 40) -> str:
        """Puts an object upright somewhere in a region, free of what stands there, turned at random; returns its name.

        Raises:
          Crowded: After `tries` positions that were all taken.
        """
        asset = catalog()[asset_id]
        radius, graspable = footprint_m(asset), "graspable" in asset.roles
        for _ in range(tries):
            x, y = (float(self.rng.uniform(*side)) for side in (region.x_m, region.y_m))
            if self._is_free(x, y, radius, graspable):
                break
        else:
            raise Crowded(f"no free place for {asset_id}")
        yaw = float(self.rng.uniform(-np.pi, np.pi))
        return self._add(asset, x, y, yaw, radius)

    def put_at(self, asset_id: str, x: float, y: float, yaw: float) -> str:
        """Puts an object upright at a place on the table, in m and rad; returns its name.

        Raises:
          Crowded: If that place is taken.
        """
        asset = catalog()[asset_id]
        radius = footprint_m(asset)
        if not self._is_free(x, y, radius, "graspable" in asset.roles):
            raise Crowded(f"no free place for {asset_id}")
        return self._add(asset, x, y, yaw, radius)

    def _add(self, asset: ObjectAsset, x: float, y: float, yaw: float, radius: float) -> str:
        self._discs.append((x, y, radius, "graspable" in asset.roles))
        quat = (round(float(np.cos(yaw / 2)), 6), 0.0, 0.0, round(float(np.sin(yaw / 2)), 6))
        self.props.append(PropSpec(name=asset.id, asset=asset.id, pos_world=(round(x, 5), round(y, 5), 0.0), quat_world_wxyz=quat))
        return asset.id

    def keep_free(self, x: float, y: float, radius_m: float) -> None:
        """Sees to it that nothing is put within `radius_m` of a place: where something must fit later."""
        self._discs.append((x, y, radius_m, False))

    def is_free(self, x: float, y: float, radius_m: float) -> bool:
        """Returns whether a disc on the table is free of what was put so far, with room for a finger beside it."""
        return self._is_free(x, y, radius_m, True)

    def stand(
        self, asset_id: str, x: float, y: float, yaw: float, *, keep_free_m: float, joints: Mapping[str, float] | None = None
    ) -> str:
        """Stands a fixture somewhere; nothing is put within `keep_free_m` of its middle. Returns its name.

        Args:
          joints: Start positions in m or rad, by the joint's name; 0 (closed) for those that are not given.

        Raises:
          Crowded: If that place is taken.
        """
        if not self._is_free(x, y, keep_free_m, False):
            raise Crowded(f"no free place for {asset_id}")
        self._discs.append((x, y, keep_free_m, False))
        asset = fixtures()[asset_id]
        for name in joints or {}:
            asset.joint(name)
        start = tuple((j.name, round(float((joints or {}).get(j.name, 0.0)), 5)) for j in asset.joints)
        pos = (round(x, 5), round(y, 5), 0.0)
        self.fixtures.append(FixtureSpec(name=asset_id, asset=asset_id, pos_world=pos, yaw_rad=round(yaw, 5), joints=start))
        return asset_id

    def _is_free(self, x: float, y: float, radius: float, graspable: bool) -> bool:
        for ox, oy, other, other_graspable in self._discs:
            gap = _FINGER_GAP_M if graspable or other_graspable else _GAP_M
            if np.hypot(x - ox, y - oy) < radius + other + gap:
                return False
        return True


_FINGER_GAP_M = 0.05  # an open finger needs 4 cm beside a grasp and is 2 cm thick; the expert turns its hand where that is not enough
_GAP_M = 0.015


def footprint_m(asset: ObjectAsset | FixtureAsset) -> float:
    """Returns the radius of the circle around an object's outline, seen from above."""
    x, y, _ = asset.size_m
    is_round = isinstance(asset, ObjectAsset) and asset.yaw_symmetry == 0
    return max(x, y) / 2 if is_round else float(np.hypot(x, y)) / 2


@dataclass(frozen=True, kw_only=True)
class Task:
    """A family of episodes. `TASK` of a file in envs/tasks."""

    summary: str
    expert_s: float
    """What the expert needs, seconds of the simulation at the 95th percentile; measured. A goal may have its own."""
    layout: Callable[[Draft], Sequence[Goal]]
    """Lays out a scene in the draft and returns at least two goals that are feasible in it; the first one is asked for."""
    plan: Callable[[EpisodeSpec], Sequence[Skill]]
    """The expert's skills, in order."""
    robots: tuple[str, ...] = ("panda",)
    """Bodies that can do it."""
    horizon_factor: float = 2.0
    """The horizon is so many times what the expert needs."""
    hold_s: float = 0.5
    """How long the goal conditions must hold together."""

    def horizon_s(self, goal: Goal) -> float:
        """Returns how long an episode may last in which this goal is asked for, in s."""
        return round(self.horizon_factor * (goal.expert_s or self.expert_s), 3)
