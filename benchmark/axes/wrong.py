"""The sentence asks for another feasible goal of the same scene, which `told` names; success is judged by the goal nevertheless.

A policy that listens fulfils the told goal, and fails; one that does not does as it would have done.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit, asks_for_its_goal
from vlagym.benchmark.rewording import said_again
from vlagym.envs.types import EpisodeSpec


def _wrong(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    from vlagym.envs.errors import BadSpec
    from vlagym.envs.language.sentences import levels

    ordered = {condition for step in spec.steps for condition in step}
    others = [i for i, goal in enumerate(spec.alternatives) if ordered.isdisjoint(goal)]
    if not others:
        raise NotApplicable("every other goal shares a condition with an ordered step: who does as told could be stopped for doing it out of turn")
    for index in rng.permutation(len(others)):
        told = others[int(index)]
        meant = replace(spec, goal=spec.alternatives[told], steps=(), told=None)
        try:
            # By the twin's own templates wherever these can say it: nothing else of the sentence is to differ.
            varied = said_again(replace(spec, told=told), rng, level=None if spec.level in levels(meant) else "plain")
        except (Unfit, BadSpec):
            continue  # nobody can ask for this one alone; the next one
        if asks_for_its_goal(varied):
            return varied
    raise Unfit("none of the other goals can be asked for alone")


AXIS = Axis(
    levels=(0, 1),
    tells=("the sentence of another feasible goal of the scene, drawn; success is still judged by the goal",),
    group="control",
    changes=("instruction", "phrase", "level", "told"),
    apply=_wrong,
)
