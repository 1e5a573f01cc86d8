"""The words of the sentence in another order: all of them are there, and it can no longer be read."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.variation.vocabulary import garbled_to
from vlagym.envs.types import EpisodeSpec

_MAX_KEPT = 1 / 3
"""Share of the words that may stay where they are."""


def _shuffled(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    from vlagym.envs.language.understand import understand

    words = spec.instruction.split()
    if len(set(words)) < 3:
        raise NotApplicable(f"{spec.instruction!r} has too few words for another order")
    mixed = [words[int(i)] for i in rng.permutation(len(words))]
    if sum(a == b for a, b in zip(words, mixed, strict=True)) > _MAX_KEPT * len(words):
        raise Unfit("too many words stayed in their places")
    text = " ".join(mixed)
    if understand(text, spec):
        raise Unfit("the words still ask for something")
    return garbled_to(spec, text)


AXIS = Axis(
    levels=(0, 1),
    tells=("the same words, at most a third of them in their places, in an order that asks for nothing",),
    group="control",
    changes=("instruction",),
    apply=_shuffled,
)
