"""A fluent sentence of as many words that asks for nothing in the scene: a policy that does as before has not listened."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.variation.gibberish import gibberish
from vlagym.envs.types import EpisodeSpec, stream


def _nonsense(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    from vlagym.envs.language.scene_words import scene_words
    from vlagym.envs.language.understand import understand

    if not spec.instruction:
        raise NotApplicable("the episode has no sentence whose length could be matched; vary it before that is taken away")
    own = stream(int(rng.integers(2**31)), spec.task)  # the same seed in another task is told other nonsense
    text = gibberish(len(spec.instruction.split()), own)
    named = [noun for thing in scene_words(spec).referents.values() for noun in thing.nouns if re.search(rf"\b{re.escape(noun)}\b", text)]
    if named or understand(text, spec):
        raise Unfit(f"{text!r} speaks of the scene")
    return replace(spec, instruction=text, phrase="nonsense", level="plain")


AXIS = Axis(
    levels=(0, 1),
    tells=("as many words as the twin's sentence has, grammatical, about nothing that is there or could be done",),
    group="control",
    changes=("instruction", "phrase", "level"),
    apply=_nonsense,
)
