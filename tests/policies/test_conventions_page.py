"""The page on conventions names every word that a policy may say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from vlagym.envs.types import ImageComponent, StatePart
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conversions import grippers, rotations, scales, states
from vlagym.policies.matching import IGNORED

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "conventions.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`]+)`", PAGE))
OF_IMAGES = {word for field in ("orientation", "fit", "filter", "values") for word in get_args(get_type_hints(ImageComponent)[field])}
OF_STATISTICS = set(get_args(get_type_hints(Normalisation)["kind"]))
SPOKEN = {
    *(form for form in rotations.SIZES if not form.startswith("euler_")),
    *(form for form in states.FORMS if form not in rotations.SIZES),
    *(name for name in grippers.CONVENTIONS if not name.endswith("_binary")),
    *scales.DISPLACEMENTS,
    *ImageComponent.YOUNGER,
    *("joint_velocity", "euler_xyz", "euler_XYZ", "_binary", IGNORED),
}


@pytest.mark.parametrize("word", sorted(SPOKEN | OF_IMAGES | OF_STATISTICS))
def test_the_page_says_what_a_word_means(word: str) -> None:
    assert word in WORDS


@pytest.mark.parametrize("word", ["parts", "array", "form", "gain", "offset", "turn_wxyz", "history", "sticky_steps", "normalisation", "mask"])
def test_the_page_names_fields_that_there_are(word: str) -> None:
    fields = {*get_type_hints(StatePart), *get_type_hints(PolicySpec), *get_type_hints(Normalisation), "parts"}
    assert word in WORDS and word in fields
