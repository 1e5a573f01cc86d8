"""Words that no object, fixture or template brings: what words.toml of a language holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vlagym.envs.types import Vec3


@dataclass(frozen=True, kw_only=True)
class CategoryWords:
    """Nouns for all that is of one category."""

    one: tuple[str, ...]
    """Singular nouns that stand for one such thing."""
    many: tuple[str, ...]
    """Plural nouns; empty where the noun cannot be counted."""
    mass: tuple[str, ...] = ()
    """Nouns that cannot be counted and mean all of it: "fruit"."""


@dataclass(frozen=True, kw_only=True)
class UseWords:
    """How one speaks of what a thing is good for."""

    clause: str
    """After a noun: "the mug you drink from"."""
    something: tuple[str, ...]
    """Seen phrases for whatever it is done with."""
    unseen_something: tuple[str, ...]
    needs: tuple[str, ...]
    """Seen sentences of somebody who needs it."""
    unseen_needs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Words:
    """Keys of words.toml: all words that no object, fixture or template brings."""

    colour_probability: float
    """How often a colour is said that is not needed."""
    colours: Mapping[str, Vec3]
    """Word to RGB."""
    verbs: Mapping[str, str]
    """First word of an order, and its -ing form."""
    plurals: Mapping[str, str]
    """Plurals that do not follow the rules."""
    always_plural: tuple[str, ...]
    """Nouns such as scissors: one of them takes "them" and "are"."""
    categories: Mapping[str, CategoryWords]
    substances: Mapping[str, str]
    """The material as an adjective, and as a noun."""
    uses: Mapping[str, UseWords]
    limbs: Mapping[str, tuple[str, ...]]
    """What one calls the hands of a robot that stands, and the arms of one that stands on the table; the side comes before it."""
    members: Mapping[str, tuple[str, ...]]
    """Nouns for a joint, by its type, that has no names of its own."""
