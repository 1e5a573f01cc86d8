"""Letters over several policies, on what they have in common."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from vlagym.envs.types import EpisodeResult
from vlagym.results.standings import comparisons, letters

OUTCOMES = {"s": "success", "f": "failure", "e": "error"}


def results_of(traces: ModuleType, outcomes: str, first: int = 0) -> list[EpisodeResult]:
    return [traces.make_result(digest=f"{first + i:032x}", outcome=OUTCOMES[letter]) for i, letter in enumerate(outcomes)]


def test_policies_that_differ_share_no_letter(traces: ModuleType) -> None:
    rivals = {
        "good": results_of(traces, "s" * 28 + "ff"),
        "fair": results_of(traces, "s" * 27 + "fff"),
        "poor": results_of(traces, "s" * 5 + "f" * 25),
    }
    assert letters(rivals) == {"good": "a", "fair": "a", "poor": "b"}
    found = {(c.first, c.second): c for c in comparisons(rivals)}
    tests = [found["good", "fair"], found["good", "poor"], found["fair", "poor"]]
    expected = [mcnemar([[0, c.test.b10], [c.test.b01, 0]], exact=True).pvalue for c in tests]
    assert [c.test.p for c in tests] == pytest.approx(expected)
    assert [c.p_adjusted for c in tests] == pytest.approx(multipletests(expected, method="holm")[1])


def test_an_overlap_has_two_letters(traces: ModuleType) -> None:
    rivals = {
        "good": results_of(traces, "s" * 20),
        "fair": results_of(traces, "s" * 15 + "f" * 5),
        "poor": results_of(traces, "s" * 10 + "f" * 10),
    }
    assert letters(rivals) == {"good": "a", "fair": "ab", "poor": "b"}


def test_errors_are_in_no_pair_and_strangers_have_no_letter(traces: ModuleType) -> None:
    rivals = {"a": results_of(traces, "sse"), "b": results_of(traces, "ssf"), "far": results_of(traces, "fff", first=100)}
    (found,) = comparisons(rivals)
    assert found.test.n == 2
    assert letters(rivals) == {"a": "a", "b": "a"}
    assert letters({"far": rivals["far"]}) == {}


def test_the_variations_of_one_scene_are_one_piece_of_evidence(traces: ModuleType) -> None:
    def varied(outcome: str) -> list[EpisodeResult]:
        twin = traces.make_result(digest="0" * 32, outcome=outcome)
        return [twin, *(dataclasses.replace(traces.make_result(digest=f"{i:032x}", outcome=outcome), base="0" * 32) for i in range(1, 12))]

    (found,) = comparisons({"always": varied("success"), "never": varied("failure")})
    assert found.test.n == 12 and found.test.p == 1.0  # twelve wins, all in one scene
    apart = [dataclasses.replace(r, base=None) for r in varied("success")], [dataclasses.replace(r, base=None) for r in varied("failure")]
    assert comparisons({"always": apart[0], "never": apart[1]})[0].test.p == pytest.approx(2 * 0.5**12)
