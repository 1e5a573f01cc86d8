"""The same things are told apart in another way: by colour, kind, category, by comparing, counting, denying. The template stays where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.variation.wordings import CHANGES, longest, split_said, worded
from vlagym.envs.asset_files import Split
from vlagym.envs.types import EpisodeSpec, Level

if TYPE_CHECKING:
    from vlagym.envs.language.wording import Wording

_STYLES: tuple[tuple[str, ...], ...] = (
    ("plain", "adjectives"),
    ("category", "label", "part"),
    ("size", "extreme"),
    ("relation", "nearest", "ordinal"),
    ("negation", "use", "viewer", "relation", "nearest", "ordinal"),
)
"""Styles of `vlagym.envs.language.expressions`, level by level."""
_DRAWN = 8


def _reference(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    """Speaks in the styles of the level; where a thing has none of these, in those of the next level that it has."""
    split = split_said(spec)
    for styles in _STYLES[level - 1 :]:
        drawn: list[EpisodeSpec] = []
        for keeps_template in (True, False):
            for _ in range(_DRAWN if level == len(_STYLES) else 1):
                try:
                    drawn.append(_told(spec, _wording(spec, styles, keeps_template), level, split, rng))
                except (NotApplicable, Unfit):
                    break
            if drawn:
                return longest(drawn)
    raise NotApplicable("nothing that the sentence names can be told apart so, or in a way of a higher level")


def _wording(spec: EpisodeSpec, styles: tuple[str, ...], keeps_template: bool) -> Wording:
    from vlagym.envs.language.wording import ANY, Wording, templates_in

    only = templates_in(spec.phrase) if keeps_template else ANY.only
    return Wording(only=only, styles=styles, avoids=spec.instruction, is_polite="polite/" in spec.phrase)


def _told(spec: EpisodeSpec, wording: Wording, level: int, split: Split, rng: np.random.Generator) -> EpisodeSpec:
    told = worded(spec, rng, level=_level(spec, level), wording=wording, split=split)
    if wording.only and told.phrase != spec.phrase:
        raise Unfit("the template did not stay")
    return told


def _level(spec: EpisodeSpec, level: int) -> Level:
    if spec.level == "indirect":
        return "indirect"
    if level >= 3:
        return "compositional"
    return "plain" if spec.level == "multi_step" else spec.level


AXIS = Axis(
    group="language",
    changes=CHANGES,
    tells=(
        "another noun, a colour more or less, a material",
        "a category, a label, or what it is a part of: the piece of fruit, the wooden thing, the button labelled 4",
        "comparing: the bigger mug, the leftmost block",
        "by another thing or by counting: next to the bowl, nearest to the robot, the second from the left",
        f"by denying, by use, as the viewer sees it, by other things or counting: the longest sentence of {_DRAWN}",
    ),
    apply=_reference,
)
