"""Two runs on the episodes that they share: what is counted, what is set aside, and what is said of it."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.statistics import mcnemar, paired_rate_interval
from vlagym.envs.errors import BadData
from vlagym.results.comparison import compare, compare_all, looked_at, scene_values, shared
from vlagym.results.pooling import Run

WORDS = {"s": "success", "f": "failure", "e": "error"}


def make_run(traces: ModuleType, policy: str, outcomes: str, *, name: str = "run", scenes: int = 0, tasks: int = 1, **header: Any) -> Run:
    """Returns a run whose episodes are spelled; with `scenes` the episodes from that number on are variations of the first ones."""
    results = []
    for i, letter in enumerate(outcomes):
        spec = traces.make_spec(seed=i % scenes if scenes else i, task=["stack", "push"][i % tasks])
        if scenes and i >= scenes:
            base = spec.digest()
            spec = dataclasses.replace(spec, axes={"camera": i // scenes}, base=base, instruction=f"{spec.instruction} {i}")
        results.append(traces.make_result(spec, outcome=WORDS[letter]))
    return Run(name=name, header=traces.make_header(policy=policy, **header), results=results)


def test_rates_differences_and_p_are_those_of_the_pairs(traces: ModuleType) -> None:
    a, b = "ssssssfsssssffssssss", "fsfsffffssfsffffsfsf"
    found = compare(make_run(traces, "minivla", a), make_run(traces, "hold", b))
    first, second = [x == "s" for x in a], [x == "s" for x in b]
    test, interval = mcnemar(first, second), paired_rate_interval(first, second)
    assert found.total.p == pytest.approx(test.p) and (found.total.first_only, found.total.second_only) == (test.b10, test.b01)
    assert found.total.difference == pytest.approx(interval) and found.total.n == found.total.scenes == 20
    assert (found.total.first.mean, found.total.second.mean) == (17 / 20, 7 / 20)
    assert (found.first, found.second, found.total.task, found.differs, found.notes) == ("minivla", "hold", None, (), ())


def test_each_task_has_a_row_and_p_is_adjusted_over_them(traces: ModuleType) -> None:
    found = compare(make_run(traces, "a", "sf" * 12, tasks=2), make_run(traces, "b", "ff" * 12, tasks=2))
    assert [(row.task, row.n, row.first_only) for row in found.tasks] == [("push", 12, 0), ("stack", 12, 12)]
    push, stack = found.tasks
    assert stack.p is not None and stack.p_adjusted == pytest.approx(2 * stack.p) and push.p_adjusted == 1.0
    assert found.total.p_adjusted is None and found.total.first_only == 12


def test_errors_are_set_aside_counted_and_judged_as_failures_beside(traces: ModuleType) -> None:
    found = compare(make_run(traces, "a", "sssee" + "s" * 15), make_run(traces, "b", "ffsse" + "f" * 15))
    assert (found.total.n, found.total.errors, found.total.first_only) == (18, 2, 17)
    assert found.total.difference.mean == pytest.approx(17 / 18)
    assert found.total.difference_if_failures is not None and found.total.difference_if_failures.mean == pytest.approx((17 - 1) / 20)
    assert found.sequential.n == 18 and found.sequential_if_failures is not None and found.sequential_if_failures.n == 20
    without = compare(make_run(traces, "a", "ss"), make_run(traces, "b", "sf"))
    assert without.total.difference_if_failures is None and without.sequential_if_failures is None


def test_what_is_not_shared_is_counted_and_what_else_differs_is_named(traces: ModuleType) -> None:
    one, other = make_run(traces, "a", "ssss"), make_run(traces, "b", "ffffff", quality="high")
    found = compare(one, other)
    assert (found.only_first, found.only_second, found.total.n) == (0, 2, 4)
    assert found.differs == ("quality: fast against high",)


def test_runs_without_a_common_episode_are_refused_with_what_they_differ_in(traces: ModuleType) -> None:
    one = make_run(traces, "a", "ss", name="monday")
    other = make_run(traces, "b", "ffff", name="tuesday", suite="tabletop")
    other = dataclasses.replace(other, results=other.results[2:])
    with pytest.raises(BadData, match=r"monday \(2 episodes\) and tuesday \(2\) have no episode in common.*suite.name: smoke against tabletop"):
        compare(one, other)


def test_a_run_that_was_cut_short_is_told_of(traces: ModuleType) -> None:
    (note,) = compare(make_run(traces, "a", "ss", episodes=30), make_run(traces, "b", "fs", episodes=30)).notes
    assert "a has stored 2 of 30 episodes, b has stored 2 of 30 episodes" in note and "claim too much" in note


def test_variations_of_one_scene_are_one_piece_of_evidence(traces: ModuleType) -> None:
    """Four scenes of six episodes each, in which all goes one way: 24 pairs would be overwhelming, four scenes are not."""
    found = compare(make_run(traces, "a", "s" * 24, scenes=4), make_run(traces, "b", "f" * 24, scenes=4))
    assert (found.total.n, found.total.scenes, found.total.p) == (24, 4, 2 / 16)
    assert found.sequential.n == 4 and found.sequential.decided is None


def test_the_value_of_a_scene_is_the_mean_of_its_differences(traces: ModuleType) -> None:
    found = shared(make_run(traces, "a", "ssse", scenes=1).results, make_run(traces, "b", "sffs", scenes=1).results)
    assert list(scene_values(found).values()) == [pytest.approx(2 / 3)]
    assert list(scene_values(found, errors_fail=True).values()) == [pytest.approx(1 / 4)]


def test_looks_come_in_an_order_that_knows_nothing_of_how_episodes_went(traces: ModuleType) -> None:
    found = shared(make_run(traces, "a", "s" * 30).results, make_run(traces, "b", "f" * 15 + "s" * 15).results)
    scenes = [s.scene for s in found]
    assert scenes == sorted(scenes)
    whole, some = (looked_at(found, alpha=0.05, difference=None, order=order) for order in (None, scenes[:7]))
    assert (whole.n, some.n) == (30, 7)


def test_of_several_runs_each_is_compared_with_each_and_letters_tell_who_differs(traces: ModuleType) -> None:
    runs = [make_run(traces, name, text) for name, text in (("low", "f" * 30), ("best", "s" * 30), ("good", "s" * 27 + "fff"))]
    standing = compare_all(runs)
    assert standing.names == ("best", "good", "low") and standing.letters == {"best": "a", "good": "a", "low": "b"}
    raw = [c.total.p for c in standing.comparisons]
    assert all(a is not None and p is not None and a >= p for a, p in zip(standing.p_adjusted, raw, strict=True))


def test_runs_of_one_policy_are_told_apart_by_their_folders(traces: ModuleType) -> None:
    found = compare(make_run(traces, "a", "ss", name="monday"), make_run(traces, "a", "sf", name="tuesday"))
    assert (found.first, found.second) == ("a (monday)", "a (tuesday)")


def test_the_number_that_was_needed_is_that_of_a_plan_for_what_was_found(traces: ModuleType) -> None:
    found = compare(make_run(traces, "a", "s" * 20), make_run(traces, "b", "f" * 20))
    assert found.needed == 6, "six wins of six are the fewest that McNemar's exact test rejects with"
    assert compare(make_run(traces, "a", "sf"), make_run(traces, "b", "fs")).needed is None
