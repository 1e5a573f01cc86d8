"""Statistics there and back, and how many steps of one rate make one of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec
from vlagym.policies.base import Normalisation
from vlagym.policies.conversions.scales import normalise, unnormalise, whole_ratio

FIRST, SECOND = (-2.0, 0.0, 5.0), (2.0, 1.0, 7.0)


@pytest.mark.parametrize("kind", ["min_max", "q01_q99"])
def test_ranges_are_minus_one_to_one(kind: Any) -> None:
    by = Normalisation(kind=kind, first=FIRST, second=SECOND)
    assert unnormalise([[-1, -1, -1], [1, 1, 1], [0, 0, 0]], by).tolist() == [[-2, 0, 5], [2, 1, 7], [0, 0.5, 6]]
    assert normalise([[-2, 0, 5], [2, 1, 7], [0, 0.5, 6]], by).tolist() == [[-1, -1, -1], [1, 1, 1], [0, 0, 0]]


def test_means_and_deviations_are_zero_and_one() -> None:
    by = Normalisation(kind="mean_std", first=(10.0, 20.0), second=(2.0, 3.0))
    assert unnormalise([0, 1], by).tolist() == [10, 23] and normalise([12, 14], by).tolist() == [1, -2]


@pytest.mark.parametrize("kind", ["min_max", "q01_q99", "mean_std"])
def test_there_and_back_is_nothing(kind: Any) -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=8)
    by = Normalisation(kind=kind, first=tuple(first), second=tuple(abs(first) + rng.uniform(0.1, 3, 8)), mask=(True,) * 6 + (False,) * 2)
    sent = rng.uniform(-1, 1, (50, 8))
    assert np.allclose(normalise(unnormalise(sent, by), by), sent)


def test_what_the_mask_leaves_out_is_raw() -> None:
    by = Normalisation(kind="q01_q99", first=(-0.1, 0.0), second=(0.1, 1.0), mask=(True, False))
    assert unnormalise([0.5, 0.5], by).tolist() == pytest.approx([0.05, 0.5]) and normalise([0.05, 3.0], by).tolist() == pytest.approx([0.5, 3.0])


def test_beyond_the_percentiles_a_state_is_clipped_and_beyond_the_extremes_it_is_not() -> None:
    assert normalise([9.0], Normalisation(kind="q01_q99", first=(0.0,), second=(1.0,))).tolist() == [1.0]
    assert normalise([9.0], Normalisation(kind="min_max", first=(0.0,), second=(1.0,))).tolist() == [17.0]
    assert unnormalise([1.5], Normalisation(kind="q01_q99", first=(0.0,), second=(1.0,))).tolist() == [1.25]


@pytest.mark.parametrize(("kind", "second"), [("min_max", 4.0), ("q01_q99", 4.0), ("mean_std", 0.0)])
def test_a_number_that_never_varied_is_zero_to_the_policy_and_itself_to_us(kind: Any, second: float) -> None:
    by = Normalisation(kind=kind, first=(4.0,), second=(second,))
    assert normalise([7.0], by).tolist() == [0.0] and unnormalise([0.3], by).tolist() == [4.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second": (1.0,)}, "as many first as second numbers.*there are 2, 1 and 0"),
        ({"mask": (True,)}, "there are 2, 2 and 1"),
        ({"first": (0.0, 9.0)}, "by min_max holds a second number below its first, at index 1"),
        ({"kind": "mean_std", "second": (1.0, -1.0)}, "a standard deviation below 0, at index 1"),
        ({"first": (0.0, float("nan"))}, "not finite"),
    ],
)
def test_statistics_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSpec, match=message):
        Normalisation(**{"kind": "min_max", "first": (0.0, 0.0), "second": (1.0, 1.0), **changes})


@pytest.mark.parametrize(("environment", "policy", "ratio"), [(20, 20, 1), (20, 5, 4), (15, 3, 5), (20, 15, None), (20, 50, None), (20, 0, None)])
def test_a_step_of_the_policy_lasts_a_whole_number_of_the_environments(environment: float, policy: float, ratio: int | None) -> None:
    assert whole_ratio(environment, policy) == ratio
