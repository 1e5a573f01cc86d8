"""Drawers and doors: their files, how they move, where the hand goes, and how they are stood on the table."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.fixtures import FixtureAsset, fixtures, get_fixture, load_fixture
from vlagym.envs.frames import rotate
from vlagym.envs.layouts.furniture import fill_up, fits_drawer, furnish
from vlagym.envs.handles import hook_pose, pull_direction, push_pose
from vlagym.envs.objects import get
from vlagym.envs.sampling import sample
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.task import Draft, Region
from vlagym.envs.types import EpisodeSpec, FixtureSpec, Predicate
from vlagym.envs.world import World

KINDS = ("cabinet", "chest", "sideboard", "cupboard", "microwave")
WITH_HANDLES = [f for f in fixtures().values() if f.kind in KINDS]
CUPBOARD = assets.path("fixtures/cupboard/cupboard_opens_left.toml")
CUPBOARD_RED = 'design = "cupboard"\ncolour = "red"\nrgba = [0.7, 0.1, 0.1, 1.0]\nsplit = "seen"\n'


def _cupboard(folder: Path, text: str, change: tuple[str, str] = ("", "")) -> Path:
    kind = folder / "cupboard"
    (kind / "mine").mkdir(parents=True)
    design = CUPBOARD.read_text(encoding="utf-8")
    assert change[0] in design
    (kind / "cupboard.toml").write_text(design.replace(*change, 1), encoding="utf-8")
    (kind / "mine" / "fixture.toml").write_text(text, encoding="utf-8")
    return kind / "mine" / "fixture.toml"


def _standing(asset: str, **joints: float) -> FixtureSpec:
    return FixtureSpec(name=asset, asset=asset, pos_world=(0.4, 0.1, 0.0), yaw_rad=0.2, joints=tuple(joints.items()))


@pytest.fixture
def scene() -> EpisodeSpec:
    """Two cabinets that can be replaced by what a test looks at."""
    return sample("open_drawer", seed=3, catalogue="core")


def _with(spec: EpisodeSpec, stands: FixtureSpec) -> EpisodeSpec:
    scene = dataclasses.replace(spec.scene, fixtures=(stands,), props=())
    return dataclasses.replace(spec, scene=scene, goal=(Predicate(name="touched", args=(stands.name,)),), stages=(), alternatives=())


# ------------------------------------------------------------------------------------------------------------------- the files
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_furniture_has_both_splits_so_that_two_new_ones_can_meet(kind: str) -> None:
    here = [f for f in fixtures().values() if f.kind == kind]
    assert {f.split for f in here} == {"seen", "unseen"} and len(here) >= 3


@pytest.mark.parametrize("asset", WITH_HANDLES, ids=lambda a: a.id)
def test_a_handle_stands_off_its_front_by_more_than_the_closed_fingers(asset: FixtureAsset) -> None:
    for joint in asset.joints:
        handle = joint.require_handle()
        assert joint.range_m[0] <= joint.closed_threshold_m < joint.open_threshold_m < joint.range_m[1]
        assert handle.hook_pos_m[0] < handle.pos_m[0] and handle.hook_pos_m[2] <= handle.pos_m[2]
        assert handle.hook_gap_m >= 0.03  # two closed fingers are about 2.2 cm thick together


@pytest.mark.parametrize("asset", [f for f in WITH_HANDLES if f.joints[0].type == "slide"], ids=lambda a: a.id)
def test_a_drawer_holds_a_banana_and_stays_within_its_furniture(asset: FixtureAsset) -> None:
    still = joint_bounds(asset.collision)
    for joint in asset.joints:
        assert joint.inside_m is not None
        low, high = (np.array(corner) for corner in joint.inside_m)
        wide, deep, tall = high[1] - low[1], joint.range_m[1], high[2] - low[2]
        assert max(wide, deep) > 0.115 and min(wide, deep) > 0.055 and tall > 0.045
        assert still[0][0] <= low[0] and still[0][1] <= low[1] and high[1] <= still[1][1] and high[2] <= still[1][2]
        assert joint.range_m[1] < high[0] - low[0]  # its end stays in


def test_drawers_over_each_other_are_things_of_their_own() -> None:
    top, bottom = (get_fixture("chest_white").joint(name) for name in ("top", "bottom"))
    assert top.names[0] == "top drawer" and bottom.names[0] == "bottom drawer"
    assert not set((*top.names, *top.unseen_names)) & set((*bottom.names, *bottom.unseen_names))
    red, blue = get_fixture("sideboard_red_blue").joints
    assert (red.names, red.colour, blue.names, blue.colour) == (("drawer",), "red", ("drawer",), "blue") and red.rgba != blue.rgba


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (CUPBOARD_RED, ("handle_axis = [0.0, 1.0, 0.0]\n", ""), r"joint\[0\] gives some of handle_pos_m, .*a handle needs all four"),
        (CUPBOARD_RED, ("closed_threshold_m = 0.08", "closed_threshold_m = 1.2"), r"closed_threshold_m is 1\.2; it must lie between 0\.0"),
        (CUPBOARD_RED, ("frictionloss = 0.04", "frictionloss = 0.04\nunseen_names = ['flap']"), r"joint\[0\] has unseen_names but no names"),
        (CUPBOARD_RED, ("frictionloss = 0.04", "frictionloss = 0.04\nstiffness = -1.0"), r"joint\[0\]\.stiffness is -1\.0; it must not be negative"),
        (CUPBOARD_RED, ("damping", "inside_m = [[0,0,0],[1,0,1]]\ndamping"), r"inside_m is .* the lowest corner, then the highest"),
    ],
)
def test_a_wrong_door_is_refused_with_file_and_key(tmp_path: Path, text: str, change: tuple[str, str], message: str) -> None:
    with pytest.raises(BadData, match=message):
        load_fixture(_cupboard(tmp_path, text, change))


def test_what_has_no_handle_says_so(tmp_path: Path) -> None:
    keys = [line for line in CUPBOARD.read_text(encoding="utf-8").splitlines() if line.startswith(("handle_", "hook_"))]
    asset = load_fixture(_cupboard(tmp_path, CUPBOARD_RED, ("\n".join(keys) + "\n", "")))
    with pytest.raises(BadSpec, match=r"the hinge 'door' has no handle: its file gives no handle_pos_m"):
        asset.joint("door").require_handle()


# ------------------------------------------------------------------------------------------------------------------ how it moves
@pytest.mark.parametrize(("asset", "side"), [("cupboard_white", 1.0), ("cupboard_red", -1.0), ("microwave_white", -1.0)])
def test_a_door_swings_its_free_edge_outwards_about_its_own_hinge(asset: str, side: float) -> None:
    door = get_fixture(asset).joint("door")
    hinge, handle = np.array(door.pos_m), np.array(door.handle_pos_m)
    assert np.allclose(door.at(0.0).apply(handle), handle)
    quarter = door.at(math.pi / 2).apply(handle)
    assert np.sign(hinge[1]) == side and np.sign(hinge[1] - handle[1]) == side
    assert np.linalg.norm(quarter[:2] - hinge[:2]) == pytest.approx(np.linalg.norm(handle[:2] - hinge[:2]))
    assert quarter[0] > handle[0] + 0.05 and quarter[2] == pytest.approx(handle[2])


def test_the_simulation_moves_a_door_as_its_data_says(scene: EpisodeSpec) -> None:
    fixture = _standing("cupboard_red", door=0.9)
    world = World(render=False)
    facts = world.start(_with(scene, fixture))
    door = get_fixture("cupboard_red").joint("door")
    assert facts.fixture_joint_pos[0] == pytest.approx(0.9, abs=1e-3)  # it stays where it was left
    body = world.simulation.data.body("cupboard_red/door")
    expected = door.at(float(facts.fixture_joint_pos[0])).pos
    turned = rotate(np.array([math.cos(0.1), 0.0, 0.0, math.sin(0.1)]), expected) + np.array(fixture.pos_world)
    assert np.allclose(body.xpos, turned, atol=1e-4)


def test_the_hand_goes_behind_the_bar_to_hook_and_before_it_to_push() -> None:
    for asset in WITH_HANDLES:
        fixture = _standing(asset.id)
        for joint in asset.joints:
            for position in (0.0, joint.open_threshold_m):
                out = pull_direction(fixture, joint, position)
                apart = push_pose(fixture, joint, position).pos - hook_pose(fixture, joint, position).pos
                assert np.linalg.norm(out) == pytest.approx(1.0) and float(apart @ out) > 0.03


def test_the_hand_leans_past_the_upper_drawers_and_straightens_as_the_drawer_opens() -> None:
    fixture, lower = _standing("tall_chest_green"), get_fixture("tall_chest_green").joint("bottom")

    def lean(position: float) -> float:
        return math.acos(-rotate(hook_pose(fixture, lower, position).quat, np.array([0.0, 0.0, 1.0]))[2])

    assert lean(0.0) == pytest.approx(lower.require_handle().hook_tilt_rad) and lean(0.0) > lean(0.03) > lean(0.1) == pytest.approx(0.0, abs=1e-6)


# ---------------------------------------------------------------------------------------------------------------- how it stands
@pytest.mark.parametrize("opened", [False, True])
def test_there_is_always_more_than_one_joint_to_choose_from(opened: bool) -> None:
    for seed in range(30):
        draft = Draft(np.random.default_rng(seed), "unseen" if seed % 2 else "seen")
        joints = furnish(draft, kinds=("cabinet", "chest", "sideboard"), opened=opened)
        assert len(set(joints)) == len(joints) >= 2
        start = {f"{f.name}/{name}": value for f in draft.fixtures for name, value in f.joints}
        assert all((start[joint] > 0.05) == opened for joint in joints)
        assert all(value == 0.0 for joint, value in start.items() if joint not in joints)


def test_of_drawers_over_each_other_one_is_open() -> None:
    for seed in range(30):
        draft = Draft(np.random.default_rng(seed), "seen")
        furnish(draft, kinds=("chest",), opened=True)
        assert all(sum(value > 0.0 for _, value in f.joints) == 1 for f in draft.fixtures if get_fixture(f.asset).kind == "chest")


def test_a_drawer_shuts_over_what_is_flat_and_short_enough() -> None:
    assert fits_drawer(get("lemon"), "cabinet_red/drawer") and not fits_drawer(get("bottle_blue"), "cabinet_red/drawer")
    assert fits_drawer(get("block_red"), "tall_chest_green/bottom") and not fits_drawer(get("apple"), "tall_chest_green/bottom")
    assert not fits_drawer(get("lemon"), "microwave_white/door")


def test_furniture_without_handles_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no kind of furniture with handles is called 'shelf'"):
        furnish(Draft(np.random.default_rng(0), "seen"), kinds=("shelf",))


def test_the_scenes_of_the_core_catalogue_hold_core_cabinets_only() -> None:
    for seed in range(5):
        spec = sample("open_drawer", seed=seed, catalogue="core")
        assert len(spec.scene.fixtures) == 2 and {get_fixture(f.asset).kind for f in spec.scene.fixtures} == {"cabinet"}
        assert spec.horizon_s == 6.0


def test_a_task_can_put_its_own_things_down_before_the_table_is_filled_up() -> None:
    at_once, later = (Draft(np.random.default_rng(5), "seen") for _ in range(2))
    assert furnish(at_once, kinds=("chest",))
    furnish(later, kinds=("chest",), fill=False)
    assert not later.props and later.fixtures[0] == at_once.fixtures[0]
    own = at_once.props[0].asset
    later.put(own, Region(x_m=(0.5, 0.64), y_m=(-0.26, 0.26)))
    fill_up(later)
    assert len(later.props) > 1 and [prop.asset for prop in later.props].count(own) == 1
