"""The sentence arrives garbled: typing errors, fillers, false starts, letter case and punctuation, misheard words. It never becomes another wish."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.variation.garbling import Edit, garbled
from vlagym.benchmark.variation.vocabulary import garbled_to, meaningful_words, names_to_keep_whole, wishes_of_other_goals
from vlagym.envs.types import EpisodeSpec, stream

_LEVELS: tuple[tuple[int, tuple[Edit, ...]], ...] = (
    (1, ("filler", "case", "punctuation")),
    (2, ("filler", "case", "punctuation", "typing")),
    (4, ("filler", "case", "punctuation", "typing", "repair")),
    (6, ("filler", "case", "punctuation", "typing", "repair", "hearing")),
    (9, ("filler", "case", "punctuation", "typing", "typing", "repair", "hearing", "hearing")),
)
"""Edits of a sentence, and the kinds of which they are drawn, level by level."""


def _noise(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    if not spec.instruction:
        raise NotApplicable("the episode has no sentence that could be garbled; vary it before that is taken away")
    num_edits, kinds = _LEVELS[level - 1]
    own = stream(int(rng.integers(2**31)), spec.task)  # the same seed in another task is garbled otherwise
    text = garbled(spec.instruction, num_edits, kinds, meaningful_words(), own, whole=names_to_keep_whole(spec))
    if text == spec.instruction:
        raise Unfit("the sentence stayed as it was")
    if wishes_of_other_goals(text, spec):
        raise Unfit("the garbled sentence would ask for something else")
    return garbled_to(spec, text)


AXIS = Axis(
    group="noise",
    changes=("instruction",),
    tells=(
        "1 edit: a filler, letter case, or punctuation",
        "2 edits, typing errors among them",
        "4 edits, also words said twice: put the I mean put the",
        "6 edits, also misheard words: blew for blue",
        "9 edits, most of them typing errors and misheard words; fewer where a short sentence has no room",
    ),
    apply=_noise,
)
