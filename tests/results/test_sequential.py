"""A comparison that is looked at after every pair: how often it is wrong, what it saves, and that it is what its paper says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.benchmark.statistics import SequentialComparison, confidence_sequence, decided_after, episodes_for_difference, state_after
from vlagym.envs.errors import BadData
from vlagym.results.sequential import any_time_p, decisions, log_capital

ALPHA = 0.05


class Looks(NamedTuple):
    """Counts after each pair of each experiment, `(experiments, pairs)`."""

    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    losses: NDArray[np.int64]

    @staticmethod
    def of(differences: NDArray[np.int64]) -> Looks:
        return Looks(*((differences == x).cumsum(axis=1) for x in (1, 0, -1)))

    def decisions(self, difference: float | None = None) -> NDArray[np.int64]:
        def found(w: Any, t: Any, s: Any) -> NDArray[Any]:
            return decisions(np.stack([w, t, s], axis=-1), alpha=ALPHA, difference=difference)

        # A sign depends on the discordant pairs alone.
        looks = self if difference is not None else self._replace(ties=np.zeros_like(self.ties))
        return looks.each_once(found)

    def misses(self, mean: float) -> NDArray[np.bool_]:
        """Returns whether the interval of each look misses the mean."""
        enough = np.log(2 / ALPHA)

        def is_out(w: Any, t: Any, s: Any) -> NDArray[Any]:
            counts = np.stack([w, t, s], axis=-1)
            best = np.maximum(log_capital(counts, (1, 0, -1), mean), log_capital(counts, (-1, 0, 1), -mean))
            return np.asarray(best >= enough)

        return self.each_once(is_out)

    def each_once(self, of: Callable[[Any, Any, Any], NDArray[Any]]) -> NDArray[Any]:
        """Returns what `of` says of each look, asked once for counts that are met many times."""
        base = int(max(c.max() for c in self)) + 1
        codes, place = np.unique((self.wins * base + self.ties) * base + self.losses, return_inverse=True)
        return np.asarray(of(codes // base**2, codes // base % base, codes % base)[place.reshape(self.wins.shape)])


def draw(experiments: int, pairs: int, difference: float, discordance: float, seed: int = 0) -> NDArray[np.int64]:
    shares = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
    return np.asarray(np.random.default_rng(seed).choice([-1, 0, 1], size=(experiments, pairs), p=shares), np.int64)


def independent(rate: float, experiments: int, pairs: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(1)
    drawn = rng.random((2, experiments, pairs)) < rate
    return np.asarray(drawn[0].astype(np.int64) - drawn[1].astype(np.int64))


def cancelling_tasks(experiments: int, pairs: int) -> NDArray[np.int64]:
    """The first wins by 0.6 on half of the tasks and loses by as much on the others; the episodes of a suite come in random order."""
    rng = np.random.default_rng(2)
    halves = np.stack([draw(experiments, pairs // 2, d, 0.7, seed) for seed, d in ((3, 0.6), (4, -0.6))], axis=1).reshape(experiments, -1)
    return np.asarray(rng.permuted(halves, axis=1), np.int64)


NULLS = {
    "both one half, independent": lambda e, n: independent(0.5, e, n),
    "both 0.9, independent": lambda e, n: independent(0.9, e, n),
    "identical policies": lambda e, n: np.zeros((e, n), np.int64),
    "discordance 5 %": lambda e, n: draw(e, n, 0.0, 0.05),
    "every pair discordant": lambda e, n: draw(e, n, 0.0, 1.0),
    "tasks that cancel each other": cancelling_tasks,
}


# ------------------------------------------------------------------------------------------------------------------ how often wrong
@pytest.mark.parametrize("shape", NULLS)
def test_in_2000_null_experiments_looking_after_every_pair_a_difference_is_claimed_less_often_than_alpha(shape: str) -> None:
    experiments, pairs = 2000, 300
    looks = Looks.of(NULLS[shape](experiments, pairs))
    claims = np.isin(looks.decisions(), (0, 1)).any(axis=1)
    assert claims.mean() <= ALPHA
    assert looks.misses(0.0).any(axis=1).mean() <= ALPHA


@pytest.mark.slow
@pytest.mark.parametrize("shape", NULLS)
def test_in_2000_null_experiments_of_3000_pairs_too(shape: str) -> None:
    looks = Looks.of(NULLS[shape](2000, 3000))
    assert np.isin(looks.decisions(), (0, 1)).any(axis=1).mean() <= ALPHA


def test_looking_at_a_fixed_size_test_after_every_pair_is_wrong_far_more_often() -> None:
    """Why this exists: McNemar's exact test, looked at after each of 300 pairs of the same null experiments."""
    from scipy.stats import binom

    def p_value(w: Any, t: Any, s: Any) -> NDArray[Any]:
        return np.asarray(2 * binom.cdf(np.minimum(w, s), w + s, 0.5))

    looks = Looks.of(independent(0.5, 500, 300))
    p = looks._replace(ties=np.zeros_like(looks.ties)).each_once(p_value)
    assert (p <= ALPHA).any(axis=1).mean() > 3 * ALPHA


@pytest.mark.parametrize(("difference", "discordance"), [(0.1, 0.2), (0.1, 0.5), (0.2, 0.4), (0.3, 0.3), (-0.3, 0.5)])
def test_the_interval_covers_the_true_difference_at_all_looks_together(difference: float, discordance: float) -> None:
    looks = Looks.of(draw(600, 200, difference, discordance))
    assert looks.misses(difference).any(axis=1).mean() <= ALPHA


@pytest.mark.parametrize(("difference", "discordance"), [(0.1, 0.1), (0.1, 0.3), (-0.1, 0.2)])
def test_a_difference_that_matters_is_seldom_called_equivalent(difference: float, discordance: float) -> None:
    """The true difference is the margin itself: the hardest case."""
    found = Looks.of(draw(400, 250, difference, discordance)).decisions(difference=0.1)
    assert (found == 2).any(axis=1).mean() <= ALPHA


# ------------------------------------------------------------------------------------------------------------------- what it saves
@pytest.mark.parametrize(
    ("difference", "discordance", "saved_at_least", "power_at_least"),
    [(0.1, 0.3, -0.15, 0.9), (0.2, 0.4, 0.55, 0.999), (0.3, 0.5, 0.75, 0.999)],
)
def test_it_saves_most_of_the_episodes_of_a_plan_for_ten_points_where_the_difference_is_larger(
    difference: float, discordance: float, saved_at_least: float, power_at_least: float
) -> None:
    """Against the fixed number of pairs that sees 0.1 with power 0.8 at the same discordance; the suite has 600 pairs.

    Where the difference is just what was planned for, looking all the time costs about a tenth more pairs and finds it far more often.
    """
    plan = episodes_for_difference(0.1, 0.8, discordance=discordance)
    found = Looks.of(draw(80, 600, difference, discordance)).decisions(difference=0.1)
    is_decided = (found >= 0).any(axis=1)
    stopped = np.where(is_decided, (found >= 0).argmax(axis=1) + 1, 600)
    right = found[np.arange(80), stopped - 1] == 0
    assert 1 - stopped.mean() / plan.n >= saved_at_least
    assert right.mean() >= power_at_least


def test_policies_that_are_the_same_are_known_to_be_equivalent_soon() -> None:
    after = decided_after([0] * 300, difference=0.1)
    assert after is not None and after[1] == "equivalent" and 36 <= after[0] <= 70
    assert decided_after([0] * 300) is None


# ------------------------------------------------------------------------------------------------------------------------ what it is
def test_the_capital_is_a_martingale_under_the_null() -> None:
    """The mean over all ways in which six pairs can come out, each weighed with its chance, is 1: at the null's own mean, for three nulls."""
    for mean, tie in ((0.0, 0.4), (0.25, 0.3), (-0.5, 0.2)):
        win = (1 - tie + mean) / 2
        chance = {1: win, 0: tie, -1: 1 - tie - win}
        total = 0.0
        for x in itertools.product((1, 0, -1), repeat=6):
            capital = np.exp(float(log_capital([x.count(1), x.count(0), x.count(-1)], (1, 0, -1), mean)))
            total += capital * float(np.prod([chance[v] for v in x]))
        assert total == pytest.approx(1.0, abs=1e-12)


def test_the_capital_is_the_mean_over_gamblers_who_bet_pair_by_pair() -> None:
    from vlagym.results.sequential import _FRACTIONS

    rng = np.random.default_rng(0)
    x, mean = rng.choice([-1, 0, 1], size=40), 0.1
    capital = np.ones_like(_FRACTIONS)
    for value in x:
        capital *= 1 + _FRACTIONS * (value - mean) / (1 + mean)
        assert (capital >= 0).all()
    counted = log_capital([(x == v).sum() for v in (1, 0, -1)], (1, 0, -1), mean)
    assert float(counted) == pytest.approx(np.log(capital.mean()), abs=1e-10)


def test_the_sign_is_known_exactly_where_zero_leaves_the_interval() -> None:
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 60, (200, 3))
    low, high = confidence_sequence(counts)
    found = decisions(counts, difference=0.1)
    assert ((found == 0) == (low > 0)).all() and ((found == 1) == (high < 0)).all()
    is_small = (low > -0.1) & (high < 0.1) & (low <= 0) & (high >= 0)
    assert ((found == 2) == is_small).all()
    assert ((any_time_p([30, 9, 2]) < ALPHA), (any_time_p([2, 9, 2]) < ALPHA)) == (True, False)


def test_the_interval_holds_the_estimate_and_shrinks_with_the_root_of_the_pairs() -> None:
    few, many = confidence_sequence([30, 60, 10]), confidence_sequence([3000, 6000, 1000])
    for found in (few, many):
        assert float(found.low) < 0.2 < float(found.high)
    assert 7 < float((few.high - few.low) / (many.high - many.low)) < 12
    nothing = confidence_sequence([0, 0, 0])
    assert (float(nothing.low), float(nothing.high)) == (-1.0, 1.0)


def test_the_larger_the_sample_of_all_wins_the_higher_the_lower_end() -> None:
    low, high = confidence_sequence([[n, 0, 0] for n in (1, 5, 20, 100, 1000)])
    assert (np.diff(low) > 0).all() and (high == 1.0).all() and low[-1] > 0.98


def test_a_decision_stays_and_says_when_it_fell() -> None:
    comparison = SequentialComparison(difference=0.1)
    states = [comparison.update(True, False) for _ in range(12)]
    first = next(s for s in states if s.decided)
    assert (first.decided, first.decided_at, first.difference) == ("first", first.n, 1.0)
    assert first.n == decided_after([1] * 12)[0]  # type: ignore[index]
    for _ in range(40):
        last = comparison.update(False, True)
    assert last.decided == "first" and last.decided_at == first.n and last.high < 0 and last.difference == pytest.approx(-28 / 52)


def test_the_order_of_the_pairs_does_not_move_the_interval() -> None:
    pairs = [(True, False)] * 9 + [(False, True)] * 4 + [(True, True)] * 7
    there, back = SequentialComparison(), SequentialComparison()
    for (a, b), (c, d) in zip(pairs, pairs[::-1], strict=True):
        one, other = there.update(a, b), back.update(c, d)
    assert one[:4] == other[:4] and one.p == other.p


def test_episodes_of_one_scene_are_one_value_and_not_several_pieces_of_evidence() -> None:
    """Scenes of four episodes that all go the same way, heads or tails: as pairs they mislead, as scenes they do not."""
    rng = np.random.default_rng(0)
    scenes = rng.choice([-1.0, 1.0], size=(300, 60))
    as_scenes = np.mean([decided_after(x) is not None for x in scenes])
    as_pairs = np.mean([decided_after(np.repeat(x, 4)) is not None for x in scenes])
    assert as_scenes <= ALPHA < 3 * ALPHA < as_pairs


def test_many_at_once_give_the_state_of_one_after_another() -> None:
    rng = np.random.default_rng(7)
    for values in (rng.choice([-1, 0, 1], size=60, p=[0.1, 0.4, 0.5]), rng.choice([-1, -0.5, 0, 0.25, 1], size=60), np.zeros(0), np.ones(9)):
        comparison = SequentialComparison(difference=0.3)
        for value in values:
            comparison.add(float(value))
        assert state_after(values, difference=0.3) == pytest.approx(comparison.state, abs=1e-9)


def test_a_scene_may_give_any_value_between() -> None:
    comparison = SequentialComparison()
    for _ in range(40):
        comparison.add(0.5)
    state = comparison.state
    assert state.difference == 0.5 and 0 < state.low < 0.5 < state.high < 1 and state.decided == "first"
    with pytest.raises(BadData, match="lies between -1 and 1; 1.5 does not"):
        comparison.add(1.5)


def test_swapping_the_policies_turns_everything_round() -> None:
    assert decided_after([1] * 20) is not None and decided_after([-1] * 20) == (decided_after([1] * 20)[0], "second")  # type: ignore[index]


def test_before_the_first_pair_nothing_is_known() -> None:
    assert SequentialComparison().state == (0, None, -1.0, 1.0, None, 1.0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"alpha": 5.0}, "alpha is 5; it must lie between 0 and 1"), ({"difference": 10.0}, "0.1 is ten points of success rate")],
)
def test_what_makes_no_comparison_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(BadData, match=message):
        SequentialComparison(**options)
