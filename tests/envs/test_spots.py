"""Free places on the table, and what has room on what."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlagym.envs.layouts.milestones import carried, grasped
from vlagym.envs.predicates.relations import Disc, margin_m
from vlagym.envs.layouts.room import fit_together, put_into, ring_m
from vlagym.envs.layouts.spots import CLEAR_M, distance_from, free_spots
from vlagym.envs.task import Draft, Region, footprint_m
from vlagym.envs.objects import get
from vlagym.envs.types import Predicate

MARK = Disc(0.5, 0.0, 0.04)


def test_spots_lie_well_within_their_region_and_touch_nothing() -> None:
    stone = Disc(0.5, 0.11, 0.03)
    spots = free_spots("left_of", 0.025, [MARK], distance_from([MARK, stone]))
    assert spots
    for spot in spots:
        assert float(margin_m("left_of", np.array(spot.x), np.array(spot.y), 0.025, [MARK])) == pytest.approx(spot.margin_m)
        assert min(math.hypot(spot.x - d.x, spot.y - d.y) - d.radius_m - 0.025 for d in (MARK, stone)) >= CLEAR_M


def test_there_is_no_spot_where_the_table_is_full() -> None:
    crowd = [Disc(x, y, 0.04) for x in np.arange(0.3, 0.7, 0.07) for y in np.arange(-0.3, 0.3, 0.07)]
    assert free_spots("next_to", 0.025, [MARK], distance_from(crowd)) == []
    assert distance_from([])(np.zeros((2, 2))).tolist() == [1.0, 1.0]


def test_things_side_by_side_need_a_ring() -> None:
    assert ring_m(1, 0.03) == 0.0 and ring_m(2, 0.03) == pytest.approx(0.036)
    assert fit_together(["apple", "orange"], "bowl_red") and fit_together(["apple"], "plate_white")
    assert not fit_together(["apple"] * 5, "bowl_red") and not fit_together(["banana"], "bowl_red") and not fit_together(["apple"], "banana")
    assert fit_together(["spoon"], "plate_white"), "a flat thing may be longer than the middle of a plate"


def test_things_are_put_on_what_is_flat_and_into_what_is_hollow() -> None:
    assert str(put_into("apple", "plate_white")) == "on(apple, plate_white)" and str(put_into("apple", "bowl_red")) == "inside(apple, bowl_red)"


def test_the_stages_of_a_goal_end_with_its_conditions() -> None:
    first, second = (Predicate(name="on", args=(thing, "plate_white")) for thing in ("apple", "plum"))
    stages = carried([first, second])
    assert stages[-2:] == (first, second) and stages[:3] == grasped("apple")
    assert stages.index(first) < stages.index(Predicate(name="held", args=("plum",)))


def test_a_thing_that_lies_is_put_by_its_middle() -> None:
    draft = Draft(np.random.default_rng(3), "seen")
    name = draft.put("soup_can", Region(x_m=(0.5, 0.5), y_m=(0.1, 0.1)), pose="lying", name="tin")
    prop = draft.props[0]
    asset = get("soup_can")
    assert name == prop.name == "tin" and prop.asset == "soup_can" and prop.pos_world[2] == pytest.approx(asset.pose("lying").height_m)
    assert math.hypot(prop.pos_world[0] - 0.5, prop.pos_world[1] - 0.1) == pytest.approx(asset.size_m[2] / 2, abs=1e-3)
    assert footprint_m(asset, "lying") > footprint_m(asset)
