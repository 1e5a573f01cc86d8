"""Plain noun phrases that are true of one thing and of no other: "the banana", "the blue mug"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec
from vlagym.envs.language.phrases import language


class Nameable(Protocol):
    """Whatever a plain noun phrase can speak of: objects, fixtures, a `Referent`."""

    @property
    def kind(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]:
        """Nouns of the seen split."""
        ...

    @property
    def unseen_names(self) -> tuple[str, ...]:
        """Nouns that are kept for evaluation."""
        ...

    @property
    def colour(self) -> str | None: ...


def describe(target: Nameable, others: Sequence[Nameable], rng: np.random.Generator, split: Split = "seen") -> str:
    """Returns a noun phrase that is true of the target and of none of the others: "the banana", "the blue mug".

    The noun is drawn from those of the split that can single the target out, with or without the colour; if none can, from those of the
    other split. A colour that is not needed is said with the probability that words.toml states.

    Raises:
      BadSpec: If every phrase is true of another thing as well.
    """
    own, kept = (target.names, target.unseen_names) if split == "seen" else (target.unseen_names, target.names)
    for nouns in (own, kept):
        choices = [(noun, colours) for noun in nouns if (colours := _telling_colours(target, noun, others))]
        if choices:
            noun, colours = choices[int(rng.integers(len(choices)))]
            say_colour = bool(rng.random() < language().colour_probability)
            colour = colours[0] if len(colours) == 1 else (target.colour if say_colour else None)
            return f"the {colour} {noun}" if colour else f"the {noun}"
    alike = [o for o in others if set(_nouns(o)) & set(_nouns(target)) and (target.colour is None or o.colour in (None, target.colour))]
    raise BadSpec(f"no phrase tells {plain(target)} from {', '.join(map(plain, alike))}. Give them other colours or leave one out of the scene")


def plain(thing: Nameable) -> str:
    """Returns the first noun of a thing with its colour, whatever else there is."""
    return f"the {thing.colour} {thing.names[0]}" if thing.colour else f"the {thing.names[0]}"


def _telling_colours(target: Nameable, noun: str, others: Sequence[Nameable]) -> list[str | None]:
    """Returns the colours, None for saying none, with which the noun is true of the target alone."""
    rivals = [o for o in others if noun in _nouns(o)]
    said = [None] if target.colour is None else [None, target.colour]
    # A rival without a colour word could have any colour.
    return [colour for colour in said if not any(colour is None or r.colour in (None, colour) for r in rivals)]


def _nouns(thing: Nameable) -> tuple[str, ...]:
    return (*thing.names, *thing.unseen_names)
