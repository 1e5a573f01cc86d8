"""Numbers of a dataset: exact but for quantiles, which are near; whatever the order; in memory that does not grow; under names with units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec, stream
from vlagym.results.datacard.columns import Columns, numbers_of, numbers_of_action
from vlagym.results.datacard.numbers import BINS, NumberTally

RNG = stream(0, "tests", "datacard")
VALUES: dict[str, NDArray[Any]] = {
    "normal": RNG.normal(size=30_000),
    "a gripper": np.sign(RNG.normal(size=5_000)),
    "one value": np.full(3_000, 0.7, np.float32),
    "alone": np.array([5.0]),
    "far apart": np.concatenate([RNG.normal(size=5_000) * 1e-6, [1e6]]),
    "near together": 1e6 + RNG.normal(size=20_000) * 1e-9,
    "nothing": np.zeros(10),
}


def tallied(values: NDArray[Any], parts: int) -> NumberTally:
    tally = NumberTally()
    for part in np.array_split(values, parts):
        tally.add(part)
    return tally


@pytest.mark.parametrize("name", VALUES)
def test_a_number_is_summed_up_as_numpy_does(name: str) -> None:
    values = VALUES[name]
    found = tallied(values, max(1, len(values) // 150)).summary(name, "")
    span = float(np.ptp(values))
    assert (found.count, found.min, found.max) == (len(values), values.min(), values.max())
    assert found.mean == pytest.approx(values.astype(float).mean(), rel=1e-12, abs=1e-12)
    assert found.std == pytest.approx(values.astype(float).std(), rel=1e-6, abs=1e-12 + 1e-9 * span)
    for q, told in ((0.01, found.q01), (0.99, found.q99)):
        assert abs(told - np.quantile(values, q)) <= span / 1000


def test_neither_order_nor_company_changes_what_is_told() -> None:
    values = VALUES["far apart"]
    one, two = tallied(values, 40), tallied(RNG.permutation(values), 7)
    assert one.quantile(0.3) == two.quantile(0.3)
    edges = np.linspace(-1.0, 1.0, 9)
    assert one.histogram(edges).tolist() == two.histogram(edges).tolist()


def test_quantiles_of_few_values_are_exact_and_memory_does_not_grow() -> None:
    found = tallied(VALUES["a gripper"], 50).summary("gripper", "")
    assert (found.q01, found.q99) == (-1.0, 1.0)
    tally = tallied(VALUES["normal"], 200)
    tally.quantile(0.5)
    assert len(tally._at) <= BINS and not tally._waiting


def test_what_is_no_number_is_refused_by_name() -> None:
    columns = Columns()
    columns.add("ee_pos_base_m", np.zeros((2, 3), np.float32))
    with pytest.raises(BadData, match="ee_pos_base_m, number 1: a column of numbers holds nan"):
        columns.add("ee_pos_base_m", np.array([[0.0, np.nan, 0.0]]))


def test_each_number_has_its_name_and_its_unit() -> None:
    assert numbers_of("ee_pos_base_m", 3) == [(f"ee_pos_base_m.{axis}", "m") for axis in "xyz"]
    assert numbers_of("joint_vel_rad_s", 2) == [("joint_vel_rad_s.0", "rad/s"), ("joint_vel_rad_s.1", "rad/s")]
    assert numbers_of("left_ee_quat_base_wxyz", 4)[0] == ("left_ee_quat_base_wxyz.w", "")
    assert numbers_of("gripper_opening_m", 1) == [("gripper_opening_m", "m")] and numbers_of("gripper_command", 1) == [("gripper_command", "")]
    assert numbers_of("base_pose_m_rad", 3)[2] == ("base_pose_m_rad.yaw", "rad") and numbers_of("state", 2) == [("state.0", ""), ("state.1", "")]


def test_an_action_says_what_one_means() -> None:
    def part(name: str, size: int, unit: str, scale: float) -> ActionComponent:
        bounds = {"low": (-1.0,) * size, "high": (1.0,) * size}
        return ActionComponent(name=name, size=size, convention="x", frame="base", unit=unit, scale=scale, **bounds)

    action = ActionSpec(name="a", components=(part("translation", 3, "m", 0.05), part("grip", 1, "unknown", 1.0)), rate_hz=10.0)
    assert numbers_of_action(action) == [*((f"translation.{axis}", "0.05 m") for axis in "xyz"), ("grip", "")]


def test_arrays_of_robots_of_several_kinds_are_told_apart() -> None:
    columns = Columns()
    columns.add("joint_pos_rad", np.zeros((2, 1)))
    assert [n.name for n in columns.state()] == ["joint_pos_rad"]
    columns.add("joint_pos_rad", np.ones((3, 2)))
    found = columns.state()
    assert [(n.name, n.count) for n in found] == [("joint_pos_rad (1)", 2), ("joint_pos_rad.0 (2)", 3), ("joint_pos_rad.1 (2)", 3)]
