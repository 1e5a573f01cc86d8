"""Everything at once: things, places, looks, cameras, posture, physics, images, delay and words, each at the level that is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, vary
from vlagym.envs import catalog
from vlagym.envs.errors import Unsatisfiable
from vlagym.envs.types import EpisodeSpec

PARTS = (
    "novel_kind", "novel_object", "colour", "size", "texture", "layout", "distractors", "background", "lighting", "camera", "robot_state", "friction",
    "mass", "sensor_noise", "latency", "indirect", "paraphrase", "reference", "language_noise",
)  # fmt: skip
"""What it is made of, in the order in which they are applied. A list and not the folder, so that a new axis does not change published episodes.
No axes of safety, for what breaks is measured by itself, and no controls, after which the sentence asks for nothing."""
ONE_OF = (("novel_kind", "novel_object"), ("indirect", "paraphrase"))
"""Each of two would undo the other: one is drawn, and the other takes its place where the drawn one cannot vary the episode."""


def _all(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    drawn = {name: bool(rng.integers(2)) for name, _ in ONE_OF}
    instead = {pair[drawn[pair[0]]]: pair[not drawn[pair[0]]] for pair in ONE_OF}
    varied = spec
    for name in PARTS:
        if name in instead.values():
            continue  # tried where the other one of its pair cannot vary the episode
        for choice in (name, instead[name]) if name in instead else (name,):
            try:
                varied = vary(varied, choice, min(level, catalog.load("axis", choice).levels[-1]))
                break
            except (NotApplicable, Unsatisfiable):
                continue
    if varied is spec:
        raise NotApplicable(f"none of {', '.join(PARTS)} can vary it")
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
