"""How much a thing matters to an episode, which is how axes of objects are graded: from one bystander to everything that stands there."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from vlagym.benchmark.axis import NotApplicable
from vlagym.envs.types import EpisodeSpec, Predicate

GRADES = (
    "one thing, beside those that the goal names where there is one",
    "the thing that the goal is about",
    "all that the goal names",
    "all that any goal names that could be asked for",
    "everything that stands there",
)
"""What the levels 1 to 5 of an axis of objects vary, of what it can vary at all."""


def graded(spec: EpisodeSpec, level: int, able: Collection[str], what: str, rng: np.random.Generator) -> list[str]:
    """Returns the names of the things that a level varies, what matters most first.

    Args:
      spec: The episode.
      level: 1 to 5, see GRADES; each but the first holds the one before it.
      able: Names of the props and furniture that the axis can vary.
      what: That things have which it can vary, for the error: "has a colour of its own".
      rng: Draws the bystander of level 1, and the order of things that matter alike.

    Raises:
      NotApplicable: If it can vary none of what the level is about.
    """
    everything = [p.name for p in spec.scene.props if p.content_of is None] + [f.name for f in spec.scene.fixtures]
    there = [name for name in everything if name in able]
    about, named, asked = ([name for name in there if name in among] for among in (subjects(spec), spec.named, asked_for(spec)))
    beside = [name for name in there if name not in spec.named]
    chosen = {1: beside or there, 2: about, 3: named, 4: asked, 5: there}[level]
    if not chosen:
        raise NotApplicable(f"in {spec.task!r} with seed {spec.seed} nothing of what this level is about ({GRADES[level - 1]}) {what}")
    mixed = [chosen[int(i)] for i in rng.permutation(len(chosen))]
    if level == 1:
        return mixed[:1]
    return sorted(mixed, key=lambda name: (name not in about, name not in named, name not in asked))


def subjects(spec: EpisodeSpec) -> tuple[str, ...]:
    """Returns what a goal is about: the first thing of each of its conditions."""
    return tuple(dict.fromkeys(p.things[0] for p in _conditions(spec) if p.things))


def asked_for(spec: EpisodeSpec) -> tuple[str, ...]:
    """Returns what the goal names, and every other goal that could be asked for."""
    return tuple(dict.fromkeys(thing for p in (*_conditions(spec), *_alternatives(spec)) for thing in p.things))


def predicates(spec: EpisodeSpec) -> tuple[Predicate, ...]:
    """Returns every condition of the goal, of its steps, and of what else could be asked for."""
    return (*_conditions(spec), *_alternatives(spec))


def _conditions(spec: EpisodeSpec) -> tuple[Predicate, ...]:
    return tuple(dict.fromkeys((*spec.goal, *(p for step in spec.steps for p in step))))


def _alternatives(spec: EpisodeSpec) -> tuple[Predicate, ...]:
    return tuple(dict.fromkeys(p for goal in spec.alternatives for p in goal))
