"""The sentence of an episode is said again where its scene has changed, or where it is to be said in another way."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Unfit, asks_for_its_goal
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec, Unspeakable
from vlagym.envs.types import EpisodeSpec


def said_again(
    spec: EpisodeSpec, rng: np.random.Generator, *, level: str | None = None, split: Split | None = None, nouns: Split = "seen"
) -> EpisodeSpec:
    """Returns an episode with a sentence that asks for exactly what is to be asked for: its goal, or the alternative that `told` names.

    Where nothing else is wanted, a sentence that still does so stays as it is, and otherwise the same templates are filled again, with the same
    words as far as these are still true: nothing else should differ between an episode and its twin. Where that will not do, or another level or
    split is given, a new sentence is drawn.

    Args:
      spec: With a sentence. Its scene may have changed since that was said.
      rng: Draws templates and words; nothing is drawn where the sentence stays.
      level: How it is to be said: one of LEVELS of `vlagym.envs.types`, or mixed; None: as before.
      split: Of the templates and frames; None: as before.
      nouns: "unseen": nouns that are kept for evaluation are wanted ("the dish" for a plate), and the sentence is drawn anew.

    Raises:
      BadSpec: If it has no sentence, or nothing of this level can be said of its goal.
      Unfit: If no sentence was found that asks for that and nothing else.
    """
    from vlagym.envs.language.phrases import split_of
    from vlagym.envs.language.sentences import say
    from vlagym.envs.language.wording import ANY, Wording, templates_in

    if not spec.instruction:
        which = f"the episode of {spec.task!r} with seed {spec.seed}"
        raise BadSpec(f"{which} has no sentence that could be said again; vary it before that is taken away")
    stays = level is None and split is None and nouns == "seen"
    if stays and asks_for_its_goal(spec):
        return spec
    meant = spec if spec.told is None else dataclasses.replace(spec, goal=spec.alternatives[spec.told], steps=(), told=None)
    level, split = level or spec.level, split or split_of(spec.phrase)
    alike = Wording(only=templates_in(spec.phrase), is_polite="polite/" in spec.phrase)
    for wording in (dataclasses.replace(alike, keeps=spec.instruction), alike, ANY) if stays else (ANY,):
        try:
            sentence = say(meant, rng, split=split, level=level, nouns=nouns, wording=wording)
        except Unspeakable:
            continue
        return dataclasses.replace(spec, instruction=sentence.text, phrase=sentence.template_id, level=sentence.level)
    raise Unfit(f"no {level} sentence asks for the goal and for nothing else")
