"""Beads: a handful of small balls that lie in a cup, side by side on its floor, so that they are at rest from the beginning."""

from __future__ import annotations

import math

from vlagym.envs.errors import BadSpec, Unsatisfiable
from vlagym.envs.objects import catalog, get
from vlagym.envs.task import Draft

_GAP_M = 0.0002  # between two beads: they must not push each other when the scene settles


def fill(draft: Draft, vessel: str, count: int) -> tuple[str, ...]:
    """Puts beads of one colour into a vessel of a scene that is being laid out; returns their names, "<vessel>_bead_1" and so on.

    Args:
      draft: The scene.
      vessel: Name of a prop of it, whose asset has a [place]: its floor.
      count: How many beads.

    Raises:
      BadSpec: If the vessel has no floor, or so many beads do not lie beside each other on it.
      Unsatisfiable: If the catalogue has no bead.
    """
    prop = next(p for p in draft.props if p.name == vessel)
    place = get(prop.asset).place
    if place is None:
        raise BadSpec(f"nothing can lie in {vessel!r}: the file of {prop.asset!r} has no [place]")
    kinds = sorted(asset.id for asset in catalog().values() if "bead" in asset.roles)
    if not kinds:
        raise Unsatisfiable("the catalogue has no object with the role 'bead'")
    around = {get(p.asset).colour for p in draft.props if "bead" not in get(p.asset).roles}
    kinds = [bead for bead in kinds if get(bead).colour not in around] or kinds  # beads stand out where they can
    bead = kinds[int(draft.rng.integers(len(kinds)))]
    turn = float(draft.rng.uniform(-math.pi, math.pi))
    names = []
    for i, (x, y) in enumerate(spots(place.inner_radius_m, get(bead).size_m[2] / 2, count), 1):
        u, v = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
        height = prop.pos_world[2] + place.surface_height_m
        names.append(draft.put_upon(bead, prop.pos_world[0] + u, prop.pos_world[1] + v, height, 0.0, name=f"{vessel}_bead_{i}", content_of=vessel))
    return tuple(names)


def spots(floor_radius_m: float, bead_radius_m: float, count: int) -> list[tuple[float, float]]:
    """Returns places (x, y) in m, around the middle of a round floor, at which beads lie beside each other: an outer ring, then what fits inside.

    Raises:
      BadSpec: If so many do not fit.
    """
    found: list[tuple[float, float]] = []
    ring, apart = floor_radius_m - bead_radius_m - _GAP_M, 2 * bead_radius_m + _GAP_M
    while ring >= 0.0 and len(found) < count:
        wanted = count - len(found)
        most = max(1, int(math.pi / math.asin(apart / (2 * ring)) + 1e-9)) if 2 * ring >= apart else 1
        found += _ring(found, ring if most > 1 else 0.0, min(most, wanted), apart)
        ring -= apart / 8
    if len(found) < count:
        raise BadSpec(f"{count} beads of radius {bead_radius_m:g} m do not lie beside each other within {floor_radius_m:g} m; {len(found)} do")
    return found


def _ring(found: list[tuple[float, float]], radius: float, count: int, apart: float) -> list[tuple[float, float]]:
    """Returns the places of a ring, turned so that they keep clear of those that were found before; none if no turn does."""
    for shift in range(24):
        angles = [2 * math.pi * (k + shift / 24) / count for k in range(count)]
        ring = [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
        if all(math.dist(p, q) >= apart - 1e-9 for p in ring for q in found):
            return ring
    return []
