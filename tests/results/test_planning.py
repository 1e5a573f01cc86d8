"""Plans: against statsmodels and published sizes, and against simulating what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.benchmark.statistics import (
    discordance_of,
    episodes_for_difference,
    episodes_for_width,
    mcnemar_p,
    power_paired,
    power_unpaired,
    width_of,
    width_of_difference,
    wilson,
)
from vlagym.envs.errors import BadData


@pytest.mark.parametrize("n", [1, 10, 50, 200])
def test_the_width_is_that_of_wilsons_interval(n: int) -> None:
    low, high = wilson(n * 3 // 10, n)
    assert width_of(n, (n * 3 // 10) / n) == pytest.approx(float(high - low), abs=1e-12)


def test_the_width_of_a_plan_is_the_width_that_is_got_on_average() -> None:
    from scipy.stats import binom

    for n, rate in ((50, 0.8), (200, 0.5), (400, 0.95)):
        counts = np.arange(n + 1)
        low, high = wilson(counts, n)
        assert float(binom.pmf(counts, n, rate) @ (high - low)) == pytest.approx(width_of(n, rate), rel=0.02)


@pytest.mark.parametrize(("width", "rate"), [(0.1, 0.8), (0.1, 0.5), (0.2, 0.5), (0.05, 0.95), (0.9, 0.5)])
def test_one_episode_fewer_would_not_do(width: float, rate: float) -> None:
    n = episodes_for_width(width, rate)
    assert width_of(n, rate) <= width and (n == 1 or width_of(n - 1, rate) > width)


def test_ten_points_at_one_half_cost_what_statsmodels_says() -> None:
    from statsmodels.stats.proportion import samplesize_confint_proportion

    assert episodes_for_width(0.1) == 381 == pytest.approx(samplesize_confint_proportion(0.5, 0.05), rel=0.02)


def test_a_paired_width_at_expected_counts_is_the_one_of_the_textbook() -> None:
    """Wald: 2 z sqrt((discordance - difference²) / n), which Tango's interval approaches."""
    assert width_of_difference(2000, 0.3, 0.1) == pytest.approx(2 * 1.96 * np.sqrt((0.3 - 0.01) / 2000), rel=0.01)
    assert width_of_difference(50, 0.0) == pytest.approx(2 * 1.96**2 / (50 + 1.96**2), rel=1e-3)


# ------------------------------------------------------------------------------------------------------------------------- power
def test_the_power_of_mcnemars_test_is_what_counting_every_outcome_gives() -> None:
    from scipy.stats import multinomial

    n, d, delta = 14, 0.3, 0.5
    shares = [(delta + d) / 2, (delta - d) / 2, 1 - delta]
    expected = sum(
        float(multinomial.pmf([a, b, n - a - b], n, shares)) for a in range(n + 1) for b in range(n + 1 - a) if mcnemar_p(a, b) <= 0.05
    )
    assert power_paired(n, d, delta) == pytest.approx(expected, abs=1e-9) == power_paired(n, -d, delta)


@pytest.mark.parametrize(("n", "difference", "discordance"), [(168, 0.1, 0.2), (46, 0.3, 0.5), (100, 0.0, 0.3)])
def test_a_simulation_finds_the_power_of_the_paired_plan(n: int, difference: float, discordance: float) -> None:
    shares = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    drawn = np.random.default_rng(0).multinomial(n, shares, size=4000)
    pairs, of = np.unique(drawn[:, :2], axis=0, return_inverse=True)
    rejects = np.array([mcnemar_p(int(a), int(b)) <= 0.05 for a, b in pairs])[of.ravel()]
    assert rejects.mean() == pytest.approx(power_paired(n, difference, discordance), abs=0.025)
    assert difference or rejects.mean() <= 0.05


def test_a_simulation_finds_the_power_of_the_unpaired_plan() -> None:
    from statsmodels.stats.proportion import proportions_ztest

    rng = np.random.default_rng(0)
    plan = episodes_for_difference(0.1, 0.8, rate=0.6)
    x, y = rng.binomial(plan.n, 0.7, 1500), rng.binomial(plan.n, 0.6, 1500)
    rejects = np.mean([proportions_ztest([a, b], [plan.n, plan.n])[1] <= 0.05 for a, b in zip(x, y, strict=True)])
    assert rejects == pytest.approx(plan.power, abs=0.035)


def test_the_unpaired_plan_is_the_classical_one() -> None:
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, table A.4: 0.6 against 0.7, power 0.8: 376 each with the continuity
    correction, hence 356 without."""
    assert episodes_for_difference(0.1, 0.8, rate=0.6).n == pytest.approx(356, abs=2)
    assert power_unpaired(356, 0.1, 0.6) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(("difference", "discordance"), [(0.1, 0.2), (0.2, 0.4), (0.05, 0.2)])
def test_the_paired_plan_is_near_the_formula_of_miettinen_and_keeps_its_power(difference: float, discordance: float) -> None:
    """Miettinen 1968: (z_a sqrt(discordance) + z_b sqrt(discordance - difference²))² / difference². The exact test needs a little more."""
    plan = episodes_for_difference(difference, 0.8, discordance=discordance)
    formula = (1.96 * np.sqrt(discordance) + 0.8416 * np.sqrt(discordance - difference**2)) ** 2 / difference**2
    assert formula <= plan.n <= 1.15 * formula + 4
    assert all(power_paired(n, difference, discordance) >= 0.8 for n in range(plan.n, plan.n + 10))
    assert power_paired(plan.n - 1, difference, discordance) < 0.8 <= plan.power


def test_pairs_need_fewer_episodes_than_strangers() -> None:
    strangers = episodes_for_difference(0.1, 0.8, rate=0.5)
    worst = episodes_for_difference(0.1, 0.8, discordance=discordance_of(0.5, 0.6))
    usual = episodes_for_difference(0.1, 0.8, discordance=0.2)
    assert usual.n < worst.n < strangers.n * 1.1 and usual.n < strangers.n / 2
    assert discordance_of(0.5, 0.6) == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------------------------------- refusals
def test_impossible_plans_are_refused_with_the_reason() -> None:
    with pytest.raises(BadData, match="a difference of 0.3 needs a discordance of at least that, not 0.2"):
        episodes_for_difference(0.3, discordance=0.2)
    with pytest.raises(BadData, match="needs more than 1,000,000 episodes: ask for less"):
        episodes_for_width(1e-4)
    with pytest.raises(BadData, match="the difference is 0; it must lie between 0 and 1"):
        episodes_for_difference(0.0, discordance=0.2)
    with pytest.raises(BadData, match="the power is 80; it must lie between 0 and 1, e.g. 0.8"):
        episodes_for_difference(0.1, 80, discordance=0.2)
    with pytest.raises(BadData, match="the rate of the other policy is 1.1"):
        episodes_for_difference(0.6, rate=0.5)
    with pytest.raises(BadData, match="at least one episode, not 0"):
        width_of(0)
