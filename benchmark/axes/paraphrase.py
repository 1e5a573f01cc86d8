"""Other words for the same goal in the same scene: the template changes, then the nouns, then length and politeness. Never what the twin says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.variation.wordings import CHANGES, is_kind, longest, num_words, split_said, worded
from vlagym.envs.asset_files import Split
from vlagym.envs.types import EpisodeSpec, Level

_DRAWN = 8
"""Sentences that are drawn at once, of which the one that does best is taken."""
_LONGER, _LONG = 4, 14
"""Words by which a long sentence is longer than the twin's, at least; one of the second number is long enough."""


_AS_BEFORE: tuple[Level, ...] = ("compositional", "indirect")
"""Levels at which a sentence stays where things are called alike."""


class _Words(NamedTuple):
    split: Split
    nouns: Split
    says_things_alike: bool
    """Whether things are called what the twin's sentence calls them, where that fits."""


_LEVELS: tuple[_Words, ...] = (
    _Words("seen", "seen", True),
    _Words("seen", "seen", False),
    _Words("unseen", "seen", True),
    _Words("unseen", "unseen", False),
    _Words("unseen", "unseen", False),
)


def _paraphrase(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    from vlagym.envs.language.wording import Wording, of_families, templates_in

    split_said(spec)
    words = _LEVELS[level - 1]
    is_long = level == len(_LEVELS)
    own = of_families(templates_in(spec.phrase))
    keeps = spec.instruction if words.says_things_alike else ""
    is_framed = "polite/" in spec.phrase
    wording = Wording(without=own, keeps=keeps, is_polite=True if is_long else is_framed if words.says_things_alike else None)
    manner = _level(spec, words.says_things_alike)
    drawn: list[EpisodeSpec] = []
    while len(drawn) < _DRAWN:
        try:
            drawn.append(worded(spec, rng, level=manner, wording=wording, split=words.split, nouns=words.nouns))
        except NotApplicable:
            if drawn or manner not in _AS_BEFORE:
                raise
            manner = "plain"  # there is no other sentence of this kind
            continue
        is_as_kind = level > 1 or manner == "indirect" or is_kind(drawn[-1].instruction) == is_kind(spec.instruction)
        if not is_long and is_as_kind:
            return drawn[-1]
    if is_long and drawn and num_words(longest(drawn)) >= min(num_words(spec) + _LONGER, _LONG):
        return longest(drawn)
    raise Unfit("no longer sentence was found" if is_long else "no other sentence that is as polite was found")


def _level(spec: EpisodeSpec, says_things_alike: bool) -> Level:
    """Returns how the goal is to be said again: as indirectly and by such expressions as before where things are called alike."""
    if not says_things_alike:
        return "paraphrase"
    return spec.level if spec.level in _AS_BEFORE else "plain"


AXIS = Axis(
    group="language",
    changes=CHANGES,
    tells=(
        "another seen template, as polite as the twin's; things are called the same",
        "another seen template, other nouns, adjectives or categories for things, a polite frame in 40 % of them",
        "an unseen template; things are called the same",
        "an unseen template, and unseen nouns where a thing has one",
        f"as 4, with an unseen polite frame, at least {_LONGER} words longer than the twin's or {_LONG} words long",
    ),
    apply=_paraphrase,
)
