"""Furniture with handles is stood on the table, with room in front of it: what the tasks with drawers and doors lay out alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlagym.envs.errors import unknown_name
from vlagym.envs.fixtures import FixtureJoint, fixtures, get_fixture
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.task import Crowded, Draft, Region, footprint_m


@dataclass(frozen=True, kw_only=True)
class _Stand:
    """Where a kind of furniture stands so that its handles are in reach."""

    x_m: tuple[float, float]
    keep_free_m: float
    is_wide: bool = False
    """Fills the table: it stands alone."""
    can_be_alone: bool = False
    """Has several handles, between which the sentence decides."""
    opened: tuple[float, float]
    """Where a joint begins that is open at the start, as a share of the open threshold."""


_STANDS = {
    "cabinet": _Stand(x_m=(0.36, 0.42), keep_free_m=0.115, opened=(0.7, 1.2)),
    "chest": _Stand(x_m=(0.34, 0.38), keep_free_m=0.125, can_be_alone=True, opened=(0.7, 1.15)),
    "sideboard": _Stand(x_m=(0.36, 0.42), keep_free_m=0.18, is_wide=True, can_be_alone=True, opened=(0.7, 1.15)),
    "cupboard": _Stand(x_m=(0.38, 0.44), keep_free_m=0.12, opened=(0.7, 1.2)),
    "microwave": _Stand(x_m=(0.38, 0.44), keep_free_m=0.125, opened=(0.7, 1.2)),
}
_ALONE = 0.4
_BESIDE = ("shelf", "dish_rack")
_AROUND = Region(x_m=(0.40, 0.68), y_m=(-0.27, 0.27))
_OPENED_M = 0.1
"""So much of every drawer is free once it is pulled open."""
_WAY_M = 0.12
"""How far before the front the hand works."""


def furnish(draft: Draft, *, kinds: Sequence[str], opened: bool = False, fill: bool = True) -> list[str]:
    """Stands one or two pieces of furniture on the table, and small things around them.

    Args:
      draft: Where they come to stand.
      kinds: Of furniture with handles.
      opened: Whether the joints that are returned begin open. Of drawers that lie over each other, one is.
      fill: Whether small things come around them at once. A task that puts down things of its own calls `fill_up` after that instead.

    Returns:
      Two "fixture/joint" or more, between which a sentence can decide, in an order that is drawn.

    Raises:
      UnknownName: For a kind of furniture without handles.
      Crowded: If they do not fit.
    """
    for kind in kinds:
        if kind not in _STANDS:
            raise unknown_name("kind of furniture with handles", kind, _STANDS)
    rng = draft.rng
    first = _draw_kind(draft, kinds)
    stands = _STANDS[first]
    alone = stands.is_wide or (stands.can_be_alone and not opened and rng.random() < _ALONE)
    if alone:
        chosen = draft.choose_fixtures(1, kind=first)
    else:
        second = _draw_kind(draft, [kind for kind in kinds if not _STANDS[kind].is_wide])
        counts = {first: 2} if first == second else {first: 1, second: 1}
        chosen = [asset_id for kind, count in counts.items() for asset_id in draft.choose_fixtures(count, kind=kind)]
    side = 1.0 if rng.random() < 0.5 else -1.0
    joints: list[str] = []
    for asset_id, sign in zip(chosen, (side, -side), strict=False):
        there = _STANDS[fixtures()[asset_id].kind]
        x, yaw = float(rng.uniform(*there.x_m)), float(rng.uniform(-0.18, 0.18))
        y = sign * float(rng.uniform(0.0, 0.05) if alone else rng.uniform(0.145, 0.18))
        members = _members(draft, asset_id, opened=opened)
        start = {m.name: m.open_threshold_m * float(rng.uniform(*there.opened)) for m in members} if opened else {}
        name = draft.stand(asset_id, x, y, yaw, keep_free_m=there.keep_free_m, joints=start)
        draft.keep_free(x + there.keep_free_m + 0.5 * _WAY_M, y, 0.5 * _WAY_M + 0.03)
        joints += [f"{name}/{m.name}" for m in members]
    if fill:
        fill_up(draft)
    return [joints[int(i)] for i in rng.permutation(len(joints))]


def fill_up(draft: Draft) -> None:
    """Puts up to four small things on what is left of the table; beside furniture that stands alone, sometimes a shelf or a rack.

    What finds no room is left out: all of it is only there to be looked at.
    """
    rng = draft.rng
    if len(draft.fixtures) == 1 and rng.random() < 0.5:
        side = math.copysign(1.0, -draft.fixtures[0].pos_world[1])  # where there is more room
        kind = _BESIDE[int(rng.integers(len(_BESIDE)))]
        (name,) = draft.choose_fixtures(1, kind=kind)
        try:
            x, y, yaw = (float(rng.uniform(low, high)) for low, high in ((0.36, 0.42), (0.27, 0.29), (-0.15, 0.15)))
            draft.stand(name, x, side * y, yaw, keep_free_m=0.10)
        except Crowded:
            pass  # the table is full: the shelf is only there to be looked at
    there = [prop.asset for prop in draft.props]
    for name in draft.choose(int(rng.integers(1, 5)), role="graspable", first_split="seen", suits=_is_small, without=there):
        try:
            draft.put(name, _AROUND, tries=60)
        except Crowded:
            continue  # as many as fit


def fits_drawer(asset: ObjectAsset, joint: str) -> bool:
    """Returns whether a drawer, "fixture/joint" by the fixture's asset, can be shut over an object that lies in it as it stands on a table."""
    fixture, _, name = joint.partition("/")
    inside = get_fixture(fixture).joint(name).inside_m
    if inside is None:
        return False
    wide, tall = inside[1][1] - inside[0][1], inside[1][2] - inside[0][2]
    return asset.size_m[2] <= tall and 2 * footprint_m(asset) <= min(wide, _OPENED_M) - 0.01


def _draw_kind(draft: Draft, kinds: Sequence[str]) -> str:
    """Returns a kind, the likelier the more pieces of it there are in the draft's split."""
    there = [f.kind for f in fixtures().values() if f.kind in kinds and f.split == draft.objects]
    return there[int(draft.rng.integers(len(there)))]


def _members(draft: Draft, asset_id: str, *, opened: bool) -> list[FixtureJoint]:
    """Returns the joints of a piece of furniture that one can be asked for; of drawers over each other only one, if they are to be open."""
    joints = [joint for joint in fixtures()[asset_id].joints if joint.handle is not None]
    heights = {joint.handle_pos_m[2] for joint in joints}
    if opened and len(heights) > 1:
        return [joints[int(draft.rng.integers(len(joints)))]]
    return joints


def _is_small(asset: ObjectAsset) -> bool:
    return max(asset.size_m) <= 0.1
