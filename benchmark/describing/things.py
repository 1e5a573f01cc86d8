"""What an episode shows and asks for: objects, kinds and colours of its goal, and what of it is kept for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from vlagym.envs.catalogues import CORE
from vlagym.envs.errors import UnknownName
from vlagym.envs.fixtures import FixtureAsset, get_fixture
from vlagym.envs.language.scene_words import colour_word
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.split import unseen_in
from vlagym.envs.types import EpisodeSpec, FixtureSpec, PropSpec
from vlagym.results.datacard.tally import Describe, Shown

A = TypeVar("A")
B = TypeVar("B")


def describing(provenance: Mapping[str, object]) -> Describe:
    """Returns what describes the episodes of a dataset.

    Args:
      provenance: Of the dataset; it says which tasks were demonstrated in the small world, which knows no split of places.
    """
    entries = provenance.get("entries")
    found = [e for e in entries if isinstance(e, Mapping)] if isinstance(entries, list) else []
    small = {str(e.get("task")) for e in found if e.get("catalogue") == CORE} - {str(e.get("task")) for e in found if e.get("catalogue") != CORE}
    return lambda spec: describe(spec, places=spec.task not in small)


def describe(spec: EpisodeSpec, *, places: bool = True) -> Shown:
    """Returns what an episode shows and asks for.

    Args:
      spec: The episode.
      places: Whether places on the table have a split there.
    """
    everything: list[PropSpec | FixtureSpec] = [*spec.scene.props, *spec.scene.fixtures]
    things = {thing.name: thing for thing in everything}
    objects: list[str] = []
    kinds: list[str] = []
    colours: list[str] = []
    for thing in (things[name] for name in spec.named if name in things):
        objects.append(thing.asset)
        look: Callable[[str], ObjectAsset | FixtureAsset] = get if isinstance(thing, PropSpec) else get_fixture
        asset = _looked_up(look, thing.asset)
        colour = colour_word(thing.rgba) if thing.rgba is not None else None if asset is None else asset.colour
        kinds += [] if asset is None else [asset.kind]
        colours += [colour] if colour is not None else []
    unseen = _looked_up(lambda of: unseen_in(of, places=places), spec)
    return Shown(objects=tuple(objects), kinds=tuple(kinds), colours=tuple(colours), unseen=unseen)


def _looked_up(look: Callable[[A], B], what: A) -> B | None:
    """Returns what was looked up; None for what this version of vlagym does not have."""
    try:
        return look(what)
    except UnknownName:
        return None
