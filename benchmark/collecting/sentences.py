"""Other sentences for a demonstration: each asks for the same goal in the same scene, and for nothing else, in words of the training split."""

from __future__ import annotations

import dataclasses

from vlagym.benchmark.axis import asks_for_its_goal
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec, Unspeakable
from vlagym.envs.types import EpisodeSpec, stream

_TRIES_EACH = 3
_SEEN: Split = "seen"


def paraphrases(spec: EpisodeSpec, count: int) -> tuple[str, ...]:
    """Returns up to `count` sentences that differ from the episode's and from each other; fewer where so many were not found.

    They are drawn from seen templates and seen nouns alone, by a generator that the episode's digest decides, and each is read back before it is
    taken (`vlagym.envs.language.sentences.say`). An episode without a sentence that asks for its goal (`blank`, `nonsense` …) has none.
    """
    from vlagym.envs.language.sentences import say

    if not count or not spec.instruction or spec.told is not None or (spec.axes and not asks_for_its_goal(spec)):
        return ()
    found: dict[str, None] = {}
    rng = stream(spec.seed, "demo", "paraphrases", spec.digest())
    bare = dataclasses.replace(spec, instruction="")
    levels = ("multi_step",) if spec.steps else ("paraphrase", "plain")
    for attempt in range(_TRIES_EACH * count):
        if len(found) == count:
            break
        try:
            sentence = say(bare, rng, split=_SEEN, level=levels[attempt % len(levels)], nouns=_SEEN).text
        except (Unspeakable, BadSpec):
            continue
        if sentence != spec.instruction:
            found[sentence] = None
    return tuple(found)
