"""What a variation costs: pairs, tests and intervals whose values one knows, and what is never averaged silently."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import stream
from vlagym.results.differences import paired_difference
from vlagym.results.gaps import curves, gaps
from vlagym.results.paired import paired_rate_interval
from vlagym.results.pooling import Run

MakeRun = Callable[..., Run]
CAMERA = (("camera", 1),)
TWENTY = " ".join(["ss"] * 10 + ["sf"] * 6 + ["fs"] * 1 + ["ff"] * 3)


def test_a_gap_is_the_varied_rate_minus_the_rate_of_the_twins(paired_run: MakeRun) -> None:
    (gap,) = gaps([paired_run({CAMERA: TWENTY})]).rows
    assert (gap.n, gap.num_twins, gap.lost, gap.won, gap.errors, gap.unpaired) == (20, 20, 6, 1, 0, 0)
    assert (gap.twin.mean, gap.varied.mean) == (0.8, 0.55)
    assert gap.gap.mean == pytest.approx(-0.25)
    assert (gap.policy, gap.suite, gap.axis, gap.level, gap.task) == ("hold", "smoke", "camera", "", None)


def test_its_p_is_that_of_mcnemars_exact_test(paired_run: MakeRun) -> None:
    (gap,) = gaps([paired_run({CAMERA: TWENTY})]).rows
    assert gap.p == pytest.approx(2 * (1 + 7) / 2**7)  # two tails of 7 coins, at most 1 of them heads
    assert gap.p == pytest.approx(statsmodels_mcnemar([[10, 6], [1, 3]], exact=True).pvalue)


def test_the_interval_of_few_pairs_is_tangos(paired_run: MakeRun) -> None:
    (gap,) = gaps([paired_run({CAMERA: TWENTY})]).rows
    twin, varied = ([word[i] == "s" for word in TWENTY.split()] for i in (0, 1))
    assert (gap.gap.low, gap.gap.high) == pytest.approx(paired_rate_interval(varied, twin)[1:3])
    (none,) = gaps([paired_run({CAMERA: " ".join(["ss"] * 30)})]).rows
    assert none.gap.mean == 0.0 and none.p == 1.0
    assert none.gap.low == pytest.approx(-(1.96**2) / (30 + 1.96**2), abs=1e-4), "no pair differs, and that is not known to be so of all"


def test_the_interval_of_many_pairs_is_a_bootstrap_within_each_task(paired_run: MakeRun) -> None:
    """One task loses always, the other never: between tasks there is a spread, within none of them much."""
    words = " ".join("sf" if k % 2 else "sf" if k % 20 == 0 else "ss" for k in range(200))
    (gap,) = gaps([paired_run({CAMERA: words}, task=("stack", "pour"))]).rows
    assert gap.gap.mean == pytest.approx(-0.55)
    # Only `stack` varies: 10 of 100. Its standard error is sqrt(0.1 * 0.9 / 99) / 2 of the whole.
    half = 1.96 * np.sqrt(0.1 * 0.9 / 99) / 2
    assert gap.gap.low == pytest.approx(-0.55 - half, abs=0.006) and gap.gap.high == pytest.approx(-0.55 + half, abs=0.006)


def test_holm_is_over_the_axes_of_a_policy(paired_run: MakeRun) -> None:
    words = {
        CAMERA: " ".join(["sf"] * 8 + ["ss"] * 4),
        (("mass", 2),): " ".join(["sf"] * 5 + ["ss"] * 7),
        (("size", 2),): " ".join(["ss"] * 12),
    }
    rows = gaps([paired_run(words), paired_run(words, policy="uniform", name="other")]).rows
    of_hold = [g for g in rows if g.policy == "hold"]
    assert [g.axis for g in of_hold] == ["camera", "mass", "size"]
    assert [g.p_adjusted for g in of_hold] == pytest.approx(multipletests([g.p for g in of_hold], method="holm")[1])
    assert [g.p_adjusted for g in rows if g.policy == "uniform"] == [g.p_adjusted for g in of_hold], "another policy is another family"


def test_an_error_on_either_side_leaves_the_pair_out_and_is_told(paired_run: MakeRun) -> None:
    (gap,) = gaps([paired_run({CAMERA: "ss ss se es ee"})]).rows
    assert (gap.n, gap.errors, gap.varied_errors, gap.twin_errors, gap.gap.mean) == (2, 3, 2, 2, 0.0)
    # As failures: ss ss sf fs ff.
    assert gap.gap_if_errors_failed == 0.0
    (worse,) = gaps([paired_run({CAMERA: "ss se se"})]).rows
    assert worse.gap.mean == 0.0 and worse.gap_if_errors_failed == pytest.approx(-2 / 3)


def test_the_twins_of_a_run_that_was_varied_as_a_whole_are_found_in_the_unvaried_run_of_its_suite(paired_run: MakeRun) -> None:
    both = paired_run({CAMERA: "sf ss sf"})
    suite = {**both.header.suite, "digest": "b" * 32}
    unvaried = dataclasses.replace(both, results=[r for r in both.results if not r.axes])
    header = dataclasses.replace(both.header, suite=suite)
    varied = dataclasses.replace(both, name="varied", header=header, results=[r for r in both.results if r.axes])
    (row,) = gaps([unvaried, varied]).rows
    assert (row.n, row.unpaired) == (3, 0) and row.gap.mean == pytest.approx(-2 / 3)


def test_what_has_no_twin_is_in_no_number_and_told(paired_run: MakeRun) -> None:
    found = gaps([paired_run({CAMERA: "ss -f -f", (("mass", 1),): "ss -s"})])
    camera, mass = found.rows
    assert (camera.n, camera.unpaired, camera.gap.mean) == (1, 2, 0.0)
    assert (mass.n, mass.unpaired) == (1, 1)
    assert found.notes == [
        "hold on smoke: 3 varied episodes have no twin in these runs and are in no gap (camera: 2, mass: 1). "
        "Name the run that holds their unvaried episodes too"
    ]


def test_a_twin_may_be_in_a_run_of_the_same_policy_on_another_suite(paired_run: MakeRun) -> None:
    whole = paired_run({CAMERA: "sf sf"})
    twins = Run(name="core", header=whole.header, results=[r for r in whole.results if not r.axes])
    varied = paired_run({CAMERA: "sf sf"}, suite="camera")
    alone = Run(name="camera", header=varied.header, results=[r for r in varied.results if r.axes])
    (gap,) = gaps([twins, alone]).rows
    assert (gap.suite, gap.n, gap.unpaired, gap.gap.mean) == ("camera", 2, 0, -1.0)
    other = paired_run({CAMERA: "sf sf"}, suite="camera", policy="uniform")
    (lonely,) = gaps([twins, Run(name="uniform", header=other.header, results=alone.results)]).rows
    assert (lonely.policy, lonely.n, lonely.unpaired, lonely.gap.mean) == ("uniform", 0, 2, None), "the twin of another policy is none"


def test_levels_make_a_curve(paired_run: MakeRun) -> None:
    run = paired_run({(("camera", 3),): "sf sf", (("camera", 1),): "ss sf", (("camera", 1), ("mass", 1)): "ss ss"})
    rows = gaps([run], "level").rows
    assert [(g.axis, g.levels, g.gap.mean) for g in rows] == [("camera", (1,), -0.5), ("camera", (3,), -1.0), ("camera + mass", (1, 1), 0.0)]
    (curve,) = curves(rows).values()
    assert {axis: [g.levels for g in of] for axis, of in curve.items()} == {"camera": [(1,), (3,)]}
    assert rows[2].level == "1 + 1"


def test_levels_of_one_twin_are_one_piece_of_evidence(paired_run: MakeRun) -> None:
    """The same loss told five times is no better known than told once."""
    words = " ".join(["sf"] * 6 + ["ss"] * 6)
    (once,) = gaps([paired_run({CAMERA: words})]).rows
    (often,) = gaps([paired_run({(("camera", level),): words for level in range(1, 6)})]).rows
    assert (once.n, often.n, often.num_twins) == (12, 60, 12)
    assert often.p == once.p and often.gap.mean == once.gap.mean
    assert (often.gap.low, often.gap.high) == pytest.approx((once.gap.low, once.gap.high))


def test_tasks_have_rows_of_their_own_where_they_are_asked_for(paired_run: MakeRun) -> None:
    rows = gaps([paired_run({CAMERA: "sf ss sf ss"}, task=("stack", "pour"))], "task").rows
    assert [(g.task, g.n, g.gap.mean) for g in rows] == [("pour", 2, 0.0), ("stack", 2, -1.0)]


def test_control_arms_are_no_gap(paired_run: MakeRun) -> None:
    found = gaps([paired_run({(("blank", 1),): "sf", (("blank", 1), ("camera", 1)): "sf"})])
    assert found.rows == []
    assert found.notes == ["hold on smoke: 1 episodes combine a language control with another variation; they are in no gap"]


def test_neither_the_order_of_the_episodes_nor_that_of_the_runs_matters(paired_run: MakeRun) -> None:
    words = " ".join(["ss"] * 40 + ["sf"] * 30 + ["fs"] * 10)
    run = paired_run({CAMERA: words, (("mass", 1),): words}, task=("stack", "pour", "push"))
    other = paired_run({CAMERA: words}, policy="uniform", name="other")
    turned = Run(name="run", header=run.header, results=run.results[::-1])
    assert gaps([run, other]).rows == gaps([other, turned]).rows


def test_no_runs_have_no_gaps() -> None:
    with pytest.raises(BadData, match="gaps need at least one run folder"):
        gaps([])


@pytest.mark.slow
@pytest.mark.parametrize(("tasks", "each"), [(17, 2), (17, 5), (17, 20)])
@pytest.mark.parametrize(("twin", "varied"), [(0.6, 0.6), (0.08, 0.01), (0.99, 0.95)])
def test_intervals_cover_the_true_gap(tasks: int, each: int, twin: float, varied: float) -> None:
    rng = stream(7, "coverage", str(tasks), str(each), str(twin))
    names = [f"task {k % tasks}" for k in range(tasks * each)]
    covered = 0
    for _ in range(200):
        pairs = list(zip((rng.random(len(names)) < twin).tolist(), (rng.random(len(names)) < varied).tolist(), strict=True))
        interval, _ = paired_difference(pairs, [str(k) for k in range(len(names))], names)
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= varied - twin <= interval.high
    assert covered >= 0.9 * 200


def test_where_nothing_changes_and_nearly_all_succeed_little_is_found() -> None:
    """20 twins at 5 levels each, rate 0.95 everywhere: sign flips alone reject in 10 % of such experiments."""
    rng = stream(9, "null")
    rejected = 0
    for _ in range(300):
        outcomes = rng.random((20, 6)) < 0.95
        pairs = [(bool(row[0]), bool(varied)) for row in outcomes for varied in row[1:]]
        _, p = paired_difference(pairs, [str(k // 5) for k in range(100)], ["stack"] * 100, shared="first")
        rejected += p is not None and p < 0.05
    assert rejected / 300 < 0.05


def test_an_episode_that_pairs_share_has_one_outcome() -> None:
    with pytest.raises(BadData, match="twin a succeeded in one pair and failed in another"):
        paired_difference([(True, True), (False, True)], ["a", "a"], ["stack", "stack"], shared="first")


def test_another_measure_that_is_0_or_1_has_gaps_too(paired_run: MakeRun) -> None:
    """Nothing is lost but the safety: twins and varied episodes all succeed."""
    run = paired_run({(("fragile", 5),): "ss ss ss ss"}, measures={"safe_success": 1.0}, varied_measures={"safe_success": 0.0, "cost": 0.3})
    (plain,), (safe,) = gaps([run]).rows, gaps([run], measure="safe_success").rows
    assert (plain.measure, plain.gap.mean, safe.measure, safe.gap.mean) == ("success", 0.0, "safe_success", -1.0)
    assert (safe.n, safe.lost, safe.won, safe.twin.mean, safe.varied.mean) == (4, 4, 0, 1.0, 0.0)
    with pytest.raises(BadData, match="cost is 0.3 in episode .*gaps compare what is 0 or 1"):
        gaps([run], measure="cost")
    with pytest.raises(UnknownName, match="safe_succes.*Did you mean safe_success"):
        gaps([run], measure="safe_succes")


def test_pairs_without_the_measure_are_in_no_gap_of_it_and_told(paired_run: MakeRun) -> None:
    found = gaps([paired_run({CAMERA: "ss se"}, varied_measures={"safe_success": 1.0})], measure="safe_success")
    assert (found.rows[0].n, found.rows[0].errors) == (0, 1)
    assert found.notes == ["hold on smoke: 1 of 2 pairs have no safe_success and are in no gap of it"]
