"""Whether the sentence matters: differences on the same scenes, the score, the bound, and what the wrong sentence brings about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlagym.envs.errors import BadData
from vlagym.results.gaps import gaps
from vlagym.results.language_use import language_use
from vlagym.results.pooling import Run

MakeRun = Callable[..., Run]
BLANK, SHUFFLED, WRONG = (("blank", 1),), (("shuffled", 1),), (("wrong", 1),)


def test_the_score_is_right_minus_wrong_and_each_arm_has_its_difference(paired_run: MakeRun) -> None:
    run = paired_run({WRONG: "sf sf sf ss ff", BLANK: "ss ss sf ss ff"})
    (use,) = language_use([run]).rows
    assert [arm.name for arm in use.arms] == ["blank", "wrong"]
    blank, wrong = use.arms
    assert (wrong.n, wrong.right.mean, wrong.success.mean) == (5, 0.8, 0.2)
    assert wrong.difference.mean == pytest.approx(0.6) and blank.difference.mean == pytest.approx(0.2)
    assert use.score == wrong.difference
    assert wrong.p == 0.25 and blank.p == 1.0 and (wrong.p_adjusted, blank.p_adjusted) == (0.5, 1.0)


def test_it_is_the_gap_of_the_arm_with_the_sign_turned(paired_run: MakeRun) -> None:
    run = paired_run({WRONG: " ".join(["sf"] * 30 + ["ss"] * 20 + ["fs"] * 5)}, task=("stack", "pour"))
    (use,) = language_use([run]).rows
    (gap,) = gaps([run], pool_axes=["wrong"]).rows
    assert use.score is not None and use.score.mean == pytest.approx(-(gap.gap.mean or 0.0)) and use.arms[0].p == gap.p


def test_a_policy_that_ignores_the_sentence_scores_nothing_beside_its_bound(paired_run: MakeRun) -> None:
    (use,) = language_use([paired_run({WRONG: " ".join(["ss", "ff"] * 10)}, measures={"chance": 0.5})]).rows
    assert use.score is not None and use.score.mean == 0.0
    assert use.chance == 0.5 and use.arms[0].right.mean == 0.5


def test_what_the_wrong_sentence_names_is_counted_apart(paired_run: MakeRun) -> None:
    run = paired_run({WRONG: "sf sf sf sf", BLANK: "sf sf sf sf"}, varied_measures={"named_success": 1.0})
    (use,) = language_use([run]).rows
    blank, wrong = use.arms
    assert (wrong.named.mean, wrong.named.n) == (1.0, 4)
    assert blank.named.n == 0, "no other arm names a goal"


def test_without_the_wrong_arm_there_is_no_score(paired_run: MakeRun) -> None:
    (use,) = language_use([paired_run({BLANK: "sf", SHUFFLED: "ss"})]).rows
    assert use.score is None and use.chance is None
    assert use.arm("shuffled") is not None and use.arm("nonsense") is None


def test_levels_of_an_arm_are_arms(paired_run: MakeRun) -> None:
    (use,) = language_use([paired_run({SHUFFLED: "sf", (("shuffled", 3),): "sf", BLANK: "ss"})]).rows
    assert [arm.name for arm in use.arms] == ["blank", "shuffled:1", "shuffled:3"]


def test_errors_and_missing_twins_are_told(paired_run: MakeRun) -> None:
    found = language_use([paired_run({WRONG: "sf se -f"})])
    (arm,) = found.rows[0].arms
    assert (arm.n, arm.errors, arm.unpaired, arm.difference.mean, arm.difference_if_errors_failed) == (1, 1, 1, 1.0, 1.0)
    assert found.notes[0].startswith("hold on smoke: 1 episodes of control arms have no twin with the right sentence in these runs")


def test_the_highest_score_stands_first_and_other_axes_are_left_alone(paired_run: MakeRun) -> None:
    deaf, listens = paired_run({WRONG: "ss"}, policy="deaf"), paired_run({WRONG: "sf"}, policy="listens", name="other")
    plain = paired_run({(("camera", 1),): "sf"}, policy="plain", name="third")
    assert [use.policy for use in language_use([deaf, listens, plain]).rows] == ["listens", "deaf"]
    assert language_use([plain]).rows == []
    with pytest.raises(BadData, match="at least one run folder"):
        language_use([])
