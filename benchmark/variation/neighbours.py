"""What stands near a thing of the goal: places on the table beside it that are free, and stay out of the way of what must happen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from vlagym.benchmark.axis import NotApplicable, Unfit
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.cells import UPON_M
from vlagym.envs.objects import ObjectAsset, asset_of, catalog, get
from vlagym.envs.split import start_of
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec, PropSpec

_TABLE_X_M, _TABLE_Y_M = (0.28, 0.70), (-0.34, 0.34)
"""Of the table top that an arm works over and every arena has."""
_APART_M = 0.015
_SWEEP_M = 0.24
"""Before furniture that opens."""
PUSHED = ("within", "along", "off")
"""Predicates that are fulfilled by pushing."""
_NUM_ANGLES = 24
_HAND_M = 0.09
_MARGIN_M = 0.02
"""Between what is moved along a way and what stands beside it."""


@dataclass(frozen=True, kw_only=True)
class Circle:
    """A round patch of the table."""

    name: str
    x: float
    y: float
    radius_m: float

    def gap_m(self, x: float, y: float) -> float:
        """Returns how far a point lies outside."""
        return math.hypot(x - self.x, y - self.y) - self.radius_m


def subjects(spec: EpisodeSpec) -> list[str]:
    """Returns what the goal is about and stands on the table: the things that are to be handled before those that they go to.

    Raises:
      NotApplicable: If there is no such thing.
    """
    there = {circle.name for circle in _circles(spec)}
    predicates = (*spec.goal, *(p for step in spec.steps for p in step))
    found = [name for name in dict.fromkeys([*(p.things[0] for p in predicates if p.things), *spec.named]) if name in there]
    if not found:
        raise NotApplicable(f"the goal of {spec.task!r} names nothing that stands on the table by itself: nothing can stand beside it")
    return found


def angles(rng: np.random.Generator) -> list[float]:
    """Returns directions all around, in rad from the x axis of the world, in a random order."""
    first = float(rng.uniform(-math.pi, math.pi))
    return [first + 2 * math.pi * int(k) / _NUM_ANGLES for k in rng.permutation(_NUM_ANGLES)]


def beside(spec: EpisodeSpec, subject: str, asset: ObjectAsset, name: str, gap_m: float, angle_rad: float, yaw_rad: float) -> PropSpec | None:
    """Returns an object upright on the table, beside one of `subjects`; None where there is no room for it.

    No room is where something stands, where it would stand in the way of what must happen, and where the arm does not work.

    Args:
      spec: Where it is to stand.
      subject: Beside what.
      asset: Of the object.
      name: Of the new prop.
      gap_m: Between its outline and that of the subject, both taken as circles.
      angle_rad: Direction from the subject, from the x axis of the world.
      yaw_rad: Its turn.
    """
    target, radius = next(circle for circle in _circles(spec) if circle.name == subject), footprint_m(asset)
    away = target.radius_m + gap_m + radius
    x, y = (round(target.x + away * math.cos(angle_rad), 5), round(target.y + away * math.sin(angle_rad), 5))
    is_worked_at = _TABLE_X_M[0] <= x <= _TABLE_X_M[1] and _TABLE_Y_M[0] <= y <= _TABLE_Y_M[1]
    is_taken = any(circle.gap_m(x, y) < radius + _APART_M for circle in (*_circles(spec), *_goals(spec)) if circle.name != target.name)
    if not is_worked_at or is_taken or any(distance < radius for distance in _ways(spec, x, y)):
        return None
    turn = (round(math.cos(yaw_rad / 2), 6), 0.0, 0.0, round(math.sin(yaw_rad / 2), 6))
    return PropSpec(name=name, asset=asset.id, pos_world=(x, y, 0.0), quat_world_wxyz=turn)


def somewhere_beside(spec: EpisodeSpec, asset: ObjectAsset, name: str, gap_m: float, rng: np.random.Generator) -> PropSpec:
    """Returns an object beside the first of `subjects` that has room for it, in a direction where there is; the rest is as with `beside`.

    Raises:
      NotApplicable: As `subjects`.
      Unfit: If there is room beside none of them.
    """
    yaw = float(rng.uniform(-math.pi, math.pi))
    for subject in subjects(spec):
        for angle in angles(rng):
            if (prop := beside(spec, subject, asset, name, gap_m, angle, yaw)) is not None:
                return prop
    raise Unfit(f"there is no room {100 * gap_m:g} cm beside what the goal is about")


def with_neighbours(spec: EpisodeSpec, *props: PropSpec) -> EpisodeSpec:
    """Returns the episode with further props in its scene, of the unseen split where one of them is."""
    split = "unseen" if any(get(prop.asset).split == "unseen" for prop in props) else spec.split
    return replace(spec, split=split, scene=replace(spec.scene, props=(*spec.scene.props, *props)))


def others(spec: EpisodeSpec, suits: Callable[[ObjectAsset], bool]) -> list[ObjectAsset]:
    """Returns the objects, of either split, that suit and of which the scene has none yet, sorted by id.

    Raises:
      NotApplicable: If there are none.
    """
    here = {p.asset for p in spec.scene.props} | {p.name for p in spec.scene.props} | {f.name for f in spec.scene.fixtures}
    found = [a for a in catalog().values() if a.id not in here and "bead" not in a.roles and suits(a)]
    if not found:
        raise NotApplicable(f"the catalogue has no object left that could stand beside what {spec.task!r} is about")
    return found


def draw(assets: list[ObjectAsset], rng: np.random.Generator) -> ObjectAsset:
    """Returns one of some objects."""
    return assets[int(rng.integers(len(assets)))]


def _circles(spec: EpisodeSpec) -> Iterator[Circle]:
    """Yields what is taken of the table: things that stand on it, and furniture with the room before it that it needs to open."""
    for prop in spec.scene.props:
        if prop.content_of is None and prop.pos_world[2] <= UPON_M + asset_of(prop).size_m[2]:
            x, y = start_of(prop)
            yield Circle(name=prop.name, x=x, y=y, radius_m=footprint_m(asset_of(prop)))
    for fixture in spec.scene.fixtures:
        asset = get_fixture(fixture.asset)
        x, y, radius = fixture.pos_world[0], fixture.pos_world[1], footprint_m(asset)
        yield Circle(name=fixture.name, x=x, y=y, radius_m=radius)
        if asset.joints:
            # Furniture looks along its own -x or +x; what opens needs room on either side of it.
            for sign in (-1.0, 1.0):
                ahead = sign * (radius + _SWEEP_M / 2)
                yield Circle(
                    name=f"before {fixture.name}",
                    x=x + ahead * math.cos(fixture.yaw_rad),
                    y=y + ahead * math.sin(fixture.yaw_rad),
                    radius_m=_SWEEP_M / 2,
                )


def _goals(spec: EpisodeSpec) -> Iterator[Circle]:
    """Yields the room around what the subject of the goal is to stand in a relation to: it must find a place there."""
    there = {circle.name: circle for circle in _circles(spec)}
    for predicate in (*spec.goal, *(p for step in spec.steps for p in step)):
        here = [there[name] for name in predicate.things if name in there]
        for first, other in ((here[0], other) for other in here[1:]):
            if other.name != first.name:
                yield Circle(name=f"around {other.name}", x=other.x, y=other.y, radius_m=other.radius_m + 2 * first.radius_m + _MARGIN_M)


def _ways(spec: EpisodeSpec, x: float, y: float) -> Iterator[float]:
    """Yields how far a place lies from each way that one thing goes to another by the goal, less half the breadth of what goes there."""
    there = {circle.name: circle for circle in _circles(spec)}
    for predicate in (*spec.goal, *(p for step in spec.steps for p in step)):
        ends = [there[name] for name in predicate.things if name in there]
        for first, second in zip(ends, ends[1:], strict=False):
            along = np.array([second.x - first.x, second.y - first.y])
            length = float(along @ along)
            at = 0.0 if length == 0 else float(np.clip(np.array([x - first.x, y - first.y]) @ along / length, 0.0, 1.0))
            nearest = np.array([first.x, first.y]) + at * along
            yield math.hypot(x - nearest[0], y - nearest[1]) - first.radius_m - _MARGIN_M
            if predicate.name in PUSHED and length > 0:
                # The hand comes down behind the thing that it pushes.
                behind = np.array([first.x, first.y]) - (first.radius_m + _HAND_M / 2) * along / math.sqrt(length)
                yield math.hypot(x - behind[0], y - behind[1]) - _HAND_M
