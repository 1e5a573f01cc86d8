"""Lanes for pushing: the fingers have room behind a thing, and nothing is in the way."""

from __future__ import annotations

import itertools
import math

import pytest

from vlagym.envs.layouts.lanes import Disc, Lanes, behind, can_push, distance_m
from vlagym.envs.task import Crowded, Region
from vlagym.envs.types import stream

REGION = Region(x_m=(0.38, 0.62), y_m=(-0.22, 0.22))


def test_the_distance_from_a_lane_is_measured_to_its_nearest_point() -> None:
    assert distance_m((0.5, 0.1), (0.4, 0.0), (0.6, 0.0)) == pytest.approx(0.1)
    assert distance_m((0.7, 0.0), (0.4, 0.0), (0.6, 0.0)) == pytest.approx(0.1)
    assert distance_m((0.4, 0.3), (0.4, 0.0), (0.4, 0.0)) == pytest.approx(0.3)


def test_a_push_begins_behind_the_thing() -> None:
    assert behind((0.5, 0.0), (0.5, 0.2), 0.1) == pytest.approx((0.5, -0.1))


def test_a_thing_in_the_way_or_where_the_fingers_come_down_forbids_a_push() -> None:
    start, end = (0.5, -0.1), (0.5, 0.1)
    assert can_push(start, end, 0.03, [Disc(0.58, 0.0, 0.03)])
    assert not can_push(start, end, 0.03, [Disc(0.55, 0.0, 0.03)])
    assert not can_push(start, end, 0.03, [Disc(0.5, -0.2, 0.03)]), "the fingers come down there"


def test_a_push_from_beyond_the_reach_is_none() -> None:
    assert not can_push((0.36, 0.0), (0.5, 0.0), 0.03, [])
    assert can_push((0.5, 0.0), (0.36, 0.0), 0.03, [])


def test_what_is_planned_can_be_pushed_and_most_plans_succeed() -> None:
    planned = 0
    for seed in range(40):
        lanes = Lanes(stream(seed, "lanes"), REGION)
        try:
            places = {name: lanes.place(name, 0.03) for name in ("a", "b")}
            ends = [lanes.goal(name, 0.07, ("a", "b")) for name in ("zone", "other zone")]
        except Crowded:
            continue
        planned += 1
        for name, end in itertools.product(places, ends):
            others = [Disc(*place, 0.03) for other, place in places.items() if other != name]
            assert can_push(places[name], end, 0.03, others)
        assert math.dist(*ends) >= 0.14
    assert planned >= 20


def test_two_lanes_do_not_cross() -> None:
    for seed in range(10):
        lanes = Lanes(stream(seed, "lanes"), REGION)
        first, second = (lanes.lane(name, 0.03, 0.2) for name in ("a", "b"))
        points = [behind(first.start, first.end, -0.02 * k) for k in range(11)]
        assert min(distance_m(p, *second[:2]) for p in points) > 0.06


def test_a_table_that_is_full_is_said_to_be() -> None:
    lanes = Lanes(stream(0, "lanes"), REGION)
    with pytest.raises(Crowded, match="no free place for thing"):
        for k in range(30):
            lanes.place(f"thing {k}", 0.05)
