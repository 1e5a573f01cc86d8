"""A need or a state instead of an order: what is to be done is left to the listener. Only where the goal is one that has such sentences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable
from vlagym.benchmark.variation.wordings import CHANGES, split_said, worded
from vlagym.envs.asset_files import Split
from vlagym.envs.types import EpisodeSpec


class _Words(NamedTuple):
    split: Split
    nouns: Split
    is_told_apart: bool
    """Whether a thing is spoken of by comparing, counting, denying, or by other things."""


_TOLD_APART = ("size", "extreme", "relation", "nearest", "ordinal", "negation", "use", "viewer")
"""Styles of `vlagym.envs.language.expressions`."""
_LEVELS: tuple[_Words, ...] = (
    _Words("seen", "seen", False),
    _Words("unseen", "seen", False),
    _Words("seen", "seen", True),
    _Words("unseen", "seen", True),
    _Words("unseen", "unseen", True),
)


def _indirect(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    from vlagym.envs.language.sentences import levels
    from vlagym.envs.language.wording import Wording, of_families, templates_in

    split_said(spec)
    if "indirect" not in levels(spec):
        raise NotApplicable(f"nobody asks for {', '.join(map(str, spec.goal))} by a need or a state alone: its families have no indirect template")
    words = _LEVELS[level - 1]
    own = of_families(templates_in(spec.phrase)) if spec.level == "indirect" else frozenset[str]()
    wording = Wording(without=own, styles=_TOLD_APART if words.is_told_apart else (), avoids=spec.instruction if words.is_told_apart else "")
    return worded(spec, rng, level="indirect", wording=wording, split=words.split, nouns=words.nouns)


AXIS = Axis(
    group="language",
    changes=CHANGES,
    tells=(
        "a need or a state that training has words for",
        "an unseen need or state",
        "as 1, and a thing is told apart by comparing, counting, denying, or by another thing",
        "as 2, and a thing is told apart so",
        "as 4, with unseen nouns where a thing has one",
    ),
    apply=_indirect,
)
