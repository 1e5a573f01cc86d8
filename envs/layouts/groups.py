"""Groups of things for sorting: two of a colour, two or three of a category."""

from __future__ import annotations

from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.task import Crowded, Draft, footprint_m

CATEGORIES = ("ball", "block", "fruit", "vegetable")


def is_small(asset: ObjectAsset) -> bool:
    """Returns whether several of a thing have room on a plate or in a bowl."""
    return footprint_m(asset) <= 0.033


def two_colours(draft: Draft) -> tuple[list[str], list[str]]:
    """Draws two things of each of two colours, of different kinds each; returns the assets of the one colour and of the other."""
    groups: list[list[str]] = []
    taken: list[str] = []
    for split in (draft.objects, "seen"):
        kinds: dict[str, set[str]] = {}
        for asset in catalog().values():
            if asset.colour and asset.colour not in taken and asset.split == split and is_small(asset) and "graspable" in asset.roles:
                kinds.setdefault(asset.colour, set()).add(asset.kind)
        colours = sorted(colour for colour, found in kinds.items() if len(found) > 1)
        if not colours:
            raise Crowded(f"no two {split} things of different kinds share a colour")
        taken.append(colours[int(draft.rng.integers(len(colours)))])
        groups.append(_of_colour(draft, taken[-1], split))
    return groups[0], groups[1]


def _of_colour(draft: Draft, colour: str, split: str) -> list[str]:
    """Draws two things of a colour, of different kinds."""
    chosen: list[str] = []
    for _ in range(2):
        there = [catalog()[name].kind for name in chosen]
        chosen += draft.choose(
            1, role="graspable", first_split=split, suits=lambda a: is_small(a) and a.colour == colour and a.kind not in there
        )
    return chosen


def two_categories(draft: Draft, count: int) -> tuple[list[str], list[str]]:
    """Draws `count` things of one category and two of another one."""
    first, second = (CATEGORIES[int(i)] for i in draft.rng.permutation(len(CATEGORIES))[:2])
    one = draft.choose(count, role="graspable", suits=lambda a: is_small(a) and a.category == first)
    other = draft.choose(2, role="graspable", first_split="seen", suits=lambda a: is_small(a) and a.category == second)
    return one, other
