"""Words that stand for something: names of things, colours, materials, numbers, sides, settings. Noise never makes them, nonsense has none."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING

from vlagym.benchmark.axis import Unfit
from vlagym.envs.types import EpisodeSpec

if TYPE_CHECKING:
    from vlagym.envs.fixtures import FixtureAsset, FixtureJoint
    from vlagym.envs.objects import ObjectAsset

_WORD = re.compile(r"[A-Za-z0-9]+")


@functools.cache
def meaningful_words() -> frozenset[str]:
    """Returns the words, in lower case, that any sentence about any scene could tell one wish from another by."""
    from vlagym.envs.fixtures import fixtures
    from vlagym.envs.language.inflection import NUMBERS, ORDINALS, plural
    from vlagym.envs.language.phrases import language
    from vlagym.envs.language.referents import SIDES
    from vlagym.envs.objects import catalog

    words = language().words
    joints = [joint for fixture in fixtures().values() for joint in fixture.joints]
    things: list[ObjectAsset | FixtureAsset | FixtureJoint] = [*catalog().values(), *fixtures().values(), *joints]
    nouns = {noun for thing in things for noun in (*thing.names, *thing.unseen_names)}
    nouns |= {noun for category in words.categories.values() for noun in (*category.one, *category.many, *category.mass)}
    other = {*words.colours, *words.substances, *words.substances.values(), *NUMBERS, *ORDINALS, *SIDES}
    other |= {"up", "down", "on", "off", "top", "bottom", "upper", "lower", "middle", "front", "back", "open", "close", "closed", "shut"}
    other |= {setting for joint in joints if joint.control is not None for setting in joint.control.settings}
    other |= {joint.label for joint in joints if joint.label is not None}
    texts = {*nouns, *map(plural, nouns), *other}
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text)) - _LITTLE


_LITTLE = frozenset(("a", "an", "and", "for", "in", "of", "the", "to", "with"))
"""Words of nouns such as "block with the hole" that mean nothing alone."""


def garbled_to(spec: EpisodeSpec, text: str) -> EpisodeSpec:
    """Returns an episode with its sentence garbled to a text.

    Raises:
      Unfit: If that has an unseen word which the sentence has not: the "pen" of a "felt pen" that was torn apart.
    """
    from vlagym.envs.split import unseen_words

    varied, before = dataclasses.replace(spec, instruction=text), unseen_words(spec)
    by_accident = [word for word in unseen_words(varied) if word not in before]
    if by_accident:
        raise Unfit(f"{by_accident[0]!r} stands alone now, which is a word that is kept for evaluation")
    return varied


def names_to_keep_whole(spec: EpisodeSpec) -> tuple[str, ...]:
    """Returns the names of several words, of things of a scene, of which a word is an unseen noun there: the "pen" of a "felt pen"."""
    from vlagym.envs.language.scene_words import scene_words

    things = scene_words(spec).referents.values()
    unseen = {noun for thing in things for noun in thing.unseen_names}
    return tuple(dict.fromkeys(noun for thing in things for noun in thing.names if " " in noun and unseen & {*noun.split()}))


def wishes_of_other_goals(text: str, spec: EpisodeSpec) -> bool:
    """Returns whether a sentence can be read, in the scene of an episode, to ask for anything but its goal."""
    from vlagym.envs.language.clauses import wish_of
    from vlagym.envs.language.understand import understand

    return bool({*understand(text, spec)} - {wish_of(spec)})
