"""An episode with another sentence for the same goal, and what axes of language ask about sentences."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlagym.benchmark.axis import NotApplicable, Unfit
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec, Unspeakable
from vlagym.envs.types import EpisodeSpec

if TYPE_CHECKING:
    from vlagym.envs.language.wording import Wording

CHANGES = ("instruction", "phrase", "level", "split")
"""What the axes of language change."""
_KIND = re.compile(r"\bplease\b|\?$|^(?:can|could|would|will) you\b|\bwould like\b|\bso kind\b|\bfavour\b|\bdon't mind\b", re.IGNORECASE)


def worded(
    spec: EpisodeSpec, rng: np.random.Generator, *, level: str, wording: Wording, split: Split = "seen", nouns: Split = "seen"
) -> EpisodeSpec:
    """Returns an episode with another sentence that asks for exactly its goal.

    An episode with templates or nouns that are kept for evaluation is of the unseen split.

    Args:
      spec: With a sentence, which is not said again.
      rng: Draws templates and words.
      level: One of LEVELS of `vlagym.envs.types`.
      wording: What else is asked of the sentence.
      split: Of the templates and frames.
      nouns: Of the nouns; a thing without an unseen one keeps its seen ones.

    Raises:
      NotApplicable: If the goal has no such sentence, or none was found that asks for it alone in as many tries as `say` makes.
      Unfit: If the sentence is the one that the episode has.
    """
    from vlagym.envs.language.sentences import say

    if not spec.instruction:
        raise NotApplicable("the episode has no sentence that could be said in another way; vary it before that is taken away")
    try:
        sentence = say(spec, rng, split=split, level=level, nouns=nouns, wording=wording)
    except Unspeakable as unspeakable:
        raise NotApplicable(f"no such {level} {split} sentence was found that asks for the goal and for nothing else") from unspeakable
    except BadSpec as never:
        raise NotApplicable(str(never)) from never
    if sentence.text == spec.instruction:
        raise Unfit("the sentence stayed as it was")
    is_unseen = "unseen" in (spec.split, split, nouns)
    return dataclasses.replace(
        spec, instruction=sentence.text, phrase=sentence.template_id, level=sentence.level, split="unseen" if is_unseen else spec.split
    )


def longest(specs: Sequence[EpisodeSpec]) -> EpisodeSpec:
    """Returns the episode with the most words in its sentence, the first of several."""
    return max(specs, key=num_words)


def num_words(spec: EpisodeSpec) -> int:
    """Returns how many words the sentence of an episode has."""
    return len(spec.instruction.split())


def is_kind(text: str) -> bool:
    """Returns whether a sentence asks politely: says please, begins "could you", or is a question."""
    return _KIND.search(text) is not None


def split_said(spec: EpisodeSpec) -> Split:
    """Returns the split of the templates that an episode's sentence was made of.

    Raises:
      NotApplicable: If it has no sentence.
    """
    from vlagym.envs.language.phrases import split_of

    if not spec.instruction:
        raise NotApplicable("the episode has no sentence that could be varied; vary it before that is taken away")
    return split_of(spec.phrase)
