"""Intervals of means: drawn where there are few values, computed where there are many, and alike where the two meet."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.types import stream
from vlagym.results import intervals
from vlagym.results.intervals import DRAWN_UP_TO, bootstrap_mean, content_rng, mean_interval


def test_up_to_a_thousand_values_the_resamples_are_drawn() -> None:
    values, strata = np.arange(DRAWN_UP_TO) % 7 / 3, [f"t{i % 3}" for i in range(DRAWN_UP_TO)]
    assert mean_interval(values, strata, "steps") == bootstrap_mean(values, strata, content_rng(values, strata, "steps"))


@pytest.mark.parametrize("shape", ["normal", "exponential", "counts"])
def test_with_more_the_moments_give_what_drawing_would(shape: str) -> None:
    rng = stream(3, "values", shape)
    drawn = {"normal": rng.normal(size=3000), "exponential": rng.exponential(size=3000), "counts": rng.poisson(0.2, 3000).astype(float)}[shape]
    strata = [f"t{i % 4}" for i in range(3000)]
    drawn += np.array([float(name[1]) for name in strata])  # tasks differ, and that is no part of the spread
    found, slow = mean_interval(drawn, strata), bootstrap_mean(drawn, strata, stream(3, "many"), resamples=20_000)
    assert found.mean == slow.mean and found.n == 3000
    assert found.low is not None and found.high is not None and slow.low is not None and slow.high is not None
    width = slow.high - slow.low
    assert abs(found.low - slow.low) < 0.015 * width and abs(found.high - slow.high) < 0.015 * width


def test_a_rare_event_is_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of 3,000: the bootstrap distribution is that of a few whole numbers, and no expansion gives its ends."""
    values, strata = np.array([1.0] * 4 + [0.0] * 2996), ["t"] * 3000
    assert mean_interval(values, strata) == bootstrap_mean(values, strata, content_rng(values, strata))
    monkeypatch.setattr(intervals, "bootstrap_mean", None)
    assert mean_interval([2.5] * 3000, strata) == (2.5, 2.5, 2.5, 3000), "equal values need no draw"
