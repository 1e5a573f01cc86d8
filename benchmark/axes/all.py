"""Everything at once: things, places, looks, cameras, posture, physics, images, delay and words, each at the level that is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis, Group, NotApplicable, vary
from vlagym.envs import catalog
from vlagym.envs.errors import Unsatisfiable
from vlagym.envs.types import EpisodeSpec

_WITHOUT: tuple[Group, ...] = ("safety", "control", "all")
"""Groups that are no part of it: what breaks is measured by itself, and a control says that the sentence asks for nothing."""
ONE_OF = (("novel_kind", "novel_object"), ("indirect", "paraphrase"))
"""Each of two would undo the other: one is drawn, and the other takes its place where the drawn one cannot vary the episode."""


_FIRST = (*(name for pair in ONE_OF for name in pair), "layout")
"""In their group: they say anew what the others of it then change a little, or find room for what the others add."""


def parts() -> list[str]:
    """Returns the axes that it is made of, in the order in which they are applied."""
    axes = {name: catalog.load("axis", name) for name in catalog.names("axis") if name != "all"}
    names = [name for name, axis in axes.items() if axis.group not in _WITHOUT]
    return sorted(names, key=lambda name: (axes[name].rank, name not in _FIRST, name))


def _all(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    drawn = {name: bool(rng.integers(2)) for name, _ in ONE_OF}
    instead = {pair[drawn[pair[0]]]: pair[not drawn[pair[0]]] for pair in ONE_OF}
    varied = spec
    for name in parts():
        if name in instead.values():
            continue  # tried where the other one of its pair cannot vary the episode
        for choice in (name, instead[name]) if name in instead else (name,):
            try:
                varied = vary(varied, choice, min(level, catalog.load("axis", choice).levels[-1]))
                break
            except (NotApplicable, Unsatisfiable):
                continue
    if varied is spec:
        raise NotApplicable(f"none of {', '.join(parts())} can vary it")
    return replace(varied, axes=spec.axes, base=spec.base)


def _told(level: int) -> str:
    of_pairs = ", ".join(f"of {' and '.join(pair)} one" for pair in ONE_OF)
    return f"each of its axes at level {level}, {of_pairs}; what cannot vary an episode is left out"


AXIS = Axis(
    group="all",
    tells=tuple(map(_told, range(1, 6))),
    changes=("scene", "split", "robot_qpos", "sensing", "action_delay_steps", "instruction", "phrase", "level"),
    apply=_all,
)
