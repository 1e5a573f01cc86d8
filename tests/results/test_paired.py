"""Two arms on the same episodes: against statsmodels, against published intervals, against inverting the score test by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlagym.benchmark.statistics import bootstrap_mean, count_pairs, mcnemar, paired_bootstrap, paired_rate_interval
from vlagym.envs.errors import BadData
from vlagym.results.paired import mcnemar_p, tango


def outcomes(both: int, first_only: int, second_only: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * (both + first_only) + [False] * (second_only + neither)
    b = [True] * both + [False] * first_only + [True] * second_only + [False] * neither
    return a, b


@pytest.mark.parametrize("counts", [(10, 3, 9, 4), (0, 5, 5, 0), (3, 0, 6, 1), (1, 12, 0, 0), (4, 0, 0, 4), (0, 1, 0, 0)])
def test_mcnemar_agrees_with_statsmodels(counts: tuple[int, int, int, int]) -> None:
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    both, first_only, second_only, neither = counts
    found = mcnemar(*outcomes(*counts))
    expected = theirs([[both, first_only], [second_only, neither]], exact=True)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-12) and found.statistic == expected.statistic
    assert (found.n, found.b10, found.b01) == (sum(counts), first_only, second_only)


def test_mcnemar_of_the_approval_ratings_of_agresti() -> None:
    """Agresti, Categorical Data Analysis, 10.1: 794, 150, 86, 570; z² is 17.36. With 236 discordant pairs the exact p is near that of the normal."""
    from scipy.stats import chi2

    assert mcnemar(*outcomes(794, 150, 86, 570)).p == pytest.approx(chi2.sf(17.36, 1), rel=0.25)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((794, 86, 150, 570), -0.059, -0.021),  # Agresti, Categorical Data Analysis, 10.1.1; with 1600 pairs all intervals agree
        ((1, 1, 7, 12), -0.517, -0.026),  # Fagerland, Lydersen and Laake 2014 (Statistics in Medicine 33, 2850-2875): hyper-responsiveness
    ],
)
def test_tangos_interval_is_the_published_one(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = paired_rate_interval(*outcomes(*counts))
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)
    assert found.n == sum(counts) and found.mean == pytest.approx((counts[1] - counts[2]) / sum(counts))


@pytest.mark.parametrize(("first_only", "second_only", "n"), [(7, 2, 30), (0, 4, 12), (5, 5, 10), (1, 0, 200), (9, 0, 10)])
def test_the_ends_are_where_the_score_test_gives_up(first_only: int, second_only: int, n: int) -> None:
    """The nuisance parameter of the score test is found by maximising the likelihood numerically, not by Tango's formula."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    def score(difference: float) -> float:
        def minus_log_likelihood(lost: float) -> float:
            shares = (lost + difference, lost, 1 - 2 * lost - difference)
            counts = (first_only, second_only, n - first_only - second_only)
            return -sum(k * math.log(max(p, 1e-300)) for k, p in zip(counts, shares, strict=True) if k)

        bounds = (max(0.0, -difference), (1 - difference) / 2)
        lost = minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
        return float((first_only - second_only - n * difference) / math.sqrt(n * (2 * lost + difference - difference**2)))

    low, high = tango(first_only, second_only, n)
    z = norm.ppf(0.975)
    assert (score(low), score(high)) == pytest.approx((z, -z), abs=2e-3)


@pytest.mark.parametrize("n", [1, 5, 50, 1000])
def test_pairs_that_all_agree_have_an_interval_with_a_width(n: int) -> None:
    found = paired_rate_interval([True] * n, [True] * n)
    z2 = 1.959964**2
    assert (found.mean, found.low, found.high) == pytest.approx((0.0, -z2 / (n + z2), z2 / (n + z2)), abs=1e-6)


def test_an_arm_that_always_wins_has_an_interval_that_ends_at_one() -> None:
    always, never = paired_rate_interval([True] * 20, [False] * 20), paired_rate_interval([False] * 20, [True] * 20)
    assert (always.mean, always.high) == (1.0, 1.0) and (never.mean, never.low) == (-1.0, -1.0)
    assert always.low is not None and never.high is not None
    assert always.low == pytest.approx(-never.high) and 0.6 < always.low < 0.9


def test_swapping_the_arms_turns_the_interval_round() -> None:
    a, b = outcomes(4, 7, 2, 8)
    there, back = paired_rate_interval(a, b), paired_rate_interval(b, a)
    assert there.low is not None and there.high is not None
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)


@pytest.mark.parametrize(("rate", "discordance"), [(0.5, 0.3), (0.95, 0.06), (0.99, 0.02)])
def test_the_interval_covers_the_difference_about_as_often_as_it_says_also_near_the_ends(rate: float, discordance: float) -> None:
    rng, n = np.random.default_rng(0), 60
    shares = [rate - discordance / 2, discordance / 2, discordance / 2, 1 - rate - discordance / 2]
    drawn = rng.multinomial(n, shares, size=600)
    intervals = {tuple(k): tango(k[1], k[2], n) for k in np.unique(drawn, axis=0).tolist()}
    covered = np.mean([intervals[tuple(k)][0] <= 0 <= intervals[tuple(k)][1] for k in drawn.tolist()])
    assert covered >= 0.93


# --------------------------------------------------------------------------------------------------------------------- bootstrap
def test_the_paired_bootstrap_is_that_of_the_differences() -> None:
    rng = np.random.default_rng(3)
    x, tasks = rng.choice([-1.0, 0.0, 1.0], size=300, p=[0.1, 0.6, 0.3]), ["a"] * 100 + ["b"] * 200
    ours = paired_bootstrap(x, tasks, np.random.default_rng(0), resamples=20_000)
    theirs = bootstrap_mean(x, tasks, np.random.default_rng(1), resamples=20_000)
    assert ours.mean == theirs.mean and (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_the_paired_bootstrap_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap

    x = np.random.default_rng(5).choice([-1.0, 0.0, 1.0], size=150, p=[0.2, 0.5, 0.3])
    ours = paired_bootstrap(x, ["a"] * 150, np.random.default_rng(0), resamples=20_000)
    theirs = bootstrap((x,), np.mean, method="percentile", rng=np.random.default_rng(1), n_resamples=9_999).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_differences_that_do_not_vary_claim_no_interval() -> None:
    assert paired_bootstrap([0.0] * 9, ["a"] * 9, np.random.default_rng(0)) == (0.0, None, None, 9)
    assert paired_bootstrap([1.0] * 4 + [0.0] * 4, ["a"] * 4 + ["b"] * 4, np.random.default_rng(0)) == (0.5, None, None, 8)
    assert paired_bootstrap([], [], np.random.default_rng(0)) == (None, None, None, 0)


# ----------------------------------------------------------------------------------------------------------------------- refusals
def test_no_pairs_say_nothing() -> None:
    assert paired_rate_interval([], []) == (None, None, None, 0)
    assert mcnemar([], []).p == 1.0 and mcnemar_p(0, 0) == 1.0
    assert count_pairs([], []).difference is None


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(BadData, match="2 outcomes of the first and 1 of the second: pairs need one of each"):
        mcnemar([True, False], [True])
    with pytest.raises(BadData, match="leave out pairs in which one ended in an error, and say how many"):
        mcnemar([0.5], [True])  # type: ignore[list-item]
    with pytest.raises(BadData, match="one name for each"):
        paired_bootstrap([1.0], [], np.random.default_rng(0))
    with pytest.raises(BadData, match="leave out the pairs to which the measure does not apply"):
        paired_bootstrap([float("nan")], ["a"], np.random.default_rng(0))
    with pytest.raises(BadData, match="4 and 4 discordant of 5 pairs"):
        tango(4, 4, 5)
