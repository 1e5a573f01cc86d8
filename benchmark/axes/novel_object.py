"""Things are unseen ones of their kind: another mug, another fruit, a cabinet of another colour, where the ones of the twin stood."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.variation.concern import GRADES
from vlagym.benchmark.variation.substitutes import Asset, exchanged
from vlagym.envs.types import EpisodeSpec


def _rank(new: Asset, old: Asset) -> int | None:
    return 0 if new.kind == old.kind and new.split == "unseen" and old.split == "seen" else None


def _novel_object(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return exchanged(spec, level, rng, _rank, "has an unseen one of its kind that could stand there")


AXIS = Axis(
    tells=tuple(f"{what}: an unseen one of its kind" for what in GRADES),
    group="object",
    changes=("scene", "split", "instruction", "phrase", "level"),
    apply=_novel_object,
)
