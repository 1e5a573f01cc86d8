"""Things wear another colour of the palette; those that share a noun never the same one, so that a sentence can still tell them apart."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.concern import GRADES, asked_for, graded
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.language.phrases import language
from vlagym.envs.language.scene_words import colour_word
from vlagym.envs.objects import get
from vlagym.envs.split import rules
from vlagym.envs.types import EpisodeSpec, Rgba

_UNSEEN_FROM = 4
"""From this level on what could be asked for wears colours that are kept for evaluation, as far as they go round."""
_WARM = 0.04
"""By how much each channel of a colour may differ from that of the palette, as long as its word stays the nearest."""


class _Painted(NamedTuple):
    """A thing that has a colour, and what it is called."""

    nouns: frozenset[str]
    colour: str


def _colour(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    things = _painted(spec)
    chosen = graded(spec, level, set(things), "has a colour that one would name, which could be another", rng)
    now = {name: thing.colour for name, thing in things.items() if name not in chosen}
    new: dict[str, Rgba] = {}
    for name in chosen:
        others = {now[other] for other, thing in things.items() if other in now and thing.nouns & things[name].nouns}
        now[name] = _drawn(things[name].colour, others, level >= _UNSEEN_FROM and name in asked_for(spec), rng)
        new[name] = _shade(now[name], rng)
    scene = dataclasses.replace(
        spec.scene,
        props=tuple(dataclasses.replace(p, rgba=new.get(p.name, p.rgba)) for p in spec.scene.props),
        fixtures=tuple(dataclasses.replace(f, rgba=new.get(f.name, f.rgba)) for f in spec.scene.fixtures),
    )
    split = "unseen" if {now[name] for name in chosen} & {*rules().colours.unseen} else spec.split
    repainted = {name: (things[name], now[name]) for name in chosen}
    text = _said_in_colours(spec.instruction, repainted)
    return said_again(dataclasses.replace(spec, scene=scene, split=split, instruction=text), rng)


def _said_in_colours(text: str, repainted: Mapping[str, tuple[_Painted, str]]) -> str:
    """Returns a sentence with the new colours in the place of the old ones: "the blue cup" becomes "the pink cup", where that is said of a cup."""
    marks: dict[str, str] = {}
    for thing, colour in repainted.values():
        for noun in sorted(thing.nouns, key=lambda noun: (-len(noun), noun)):
            mark = f"<{len(marks)}>"
            text, count = re.subn(rf"\b{thing.colour}(?= (?:[a-z]+ )?{re.escape(noun)}\b)", mark, text, flags=re.IGNORECASE)
            if count:
                marks[mark] = colour
    for mark, colour in marks.items():
        text = text.replace(mark, colour)
    return text


def _painted(spec: EpisodeSpec) -> dict[str, _Painted]:
    """Returns the props and the furniture whose main colour has a word, by name."""
    found: dict[str, _Painted] = {}
    for prop in spec.scene.props:
        asset = get(prop.asset)
        if asset.colour is not None and "bead" not in asset.roles:
            found[prop.name] = _Painted(frozenset((*asset.names, *asset.unseen_names)), colour_word(prop.rgba) if prop.rgba else asset.colour)
    for fixture in spec.scene.fixtures:
        piece = get_fixture(fixture.asset)
        if piece.colour is not None:
            nouns = frozenset((*piece.names, *piece.unseen_names))
            found[fixture.name] = _Painted(nouns, colour_word(fixture.rgba) if fixture.rgba else piece.colour)
    return found


def _drawn(own: str, others: set[str], wants_unseen: bool, rng: np.random.Generator) -> str:
    """Returns a colour that is neither the thing's own nor that of another thing with the same noun.

    Raises:
      Unfit: If none is left.
    """
    unseen = sorted({*rules().colours.unseen} - {own} - others)
    seen = sorted({*language().colours} - {*rules().colours.unseen} - {own} - others)
    there = unseen if wants_unseen and unseen else seen
    if not there:
        raise Unfit("no colour is left that tells things of one noun apart")
    return there[int(rng.integers(len(there)))]


def _shade(colour: str, rng: np.random.Generator) -> Rgba:
    """Returns a shade of a colour of the palette."""
    plain = np.array(language().colours[colour])
    r, g, b = np.clip(plain + rng.uniform(-_WARM, _WARM, 3), 0.02, 0.98).round(3).tolist()
    if colour_word((r, g, b, 1.0)) != colour:
        r, g, b = plain.tolist()
    return (r, g, b, 1.0)


_UNSEEN, _SEEN = "pink or purple (unseen) where it could be asked for", "one that training shows"

AXIS = Axis(
    tells=tuple(f"{what}: another colour, {_UNSEEN if level >= _UNSEEN_FROM else _SEEN}" for level, what in enumerate(GRADES, 1)),
    group="object",
    changes=("scene", "split", "instruction", "phrase", "level"),
    apply=_colour,
)
