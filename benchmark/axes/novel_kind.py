"""Things are of another kind that is as large and is used alike: a jar for a can, a parcel for a block; wholly unseen kinds where there are any."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.variation.concern import GRADES
from vlagym.benchmark.variation.substitutes import Asset, exchanged
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.split import rules
from vlagym.envs.types import EpisodeSpec


def _rank(new: Asset, old: Asset) -> int | None:
    """Ranks kinds that are wholly kept for evaluation before unseen things of other kinds, and those before other kinds that training shows."""
    if not isinstance(new, ObjectAsset) or not isinstance(old, ObjectAsset) or new.kind == old.kind:
        return None
    return 0 if new.kind in rules().kinds.unseen else 1 if new.split == "unseen" else 2


def _novel_kind(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return exchanged(spec, level, rng, _rank, "has one of another kind that could stand there")


AXIS = Axis(
    tells=tuple(f"{what}: one of another kind, an unseen one where there is one" for what in GRADES),
    group="object",
    changes=("scene", "split", "instruction", "phrase", "level"),
    apply=_novel_kind,
)
