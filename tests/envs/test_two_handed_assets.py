"""Things for two hands and furniture that stands on the floor: where hands take hold, where things can stand, and that the tabletop never sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs import catalog as folders
from vlagym.envs.errors import BadData
from vlagym.envs.fixtures import fixtures, load_fixture
from vlagym.envs.objects import ObjectAsset, catalog, load_object
from vlagym.envs.robot import Robot

TABLETOP_ROLES = {"graspable", "support", "container", "stackable", "pourable", "peg", "lid", "pot", "pushable", "standable", "bead"}
FLOOR_KINDS = ("side_table", "low_shelf", "chair", "bin", "stool", "bystander", "plant", "floor_lamp", "suitcase")
TRAY, SIDE_TABLE = assets.path("objects/tray/grip_tray.toml"), assets.path("fixtures/side_table/side_table.toml")


def with_role(role: str) -> list[ObjectAsset]:
    return [asset for asset in catalog().values() if role in asset.roles]


@pytest.mark.parametrize(("role", "least"), [("tray", 5), ("box", 5), ("passable", 8)])
def test_there_are_enough_of_each_in_both_splits(role: str, least: int) -> None:
    found = with_role(role)
    assert len([a for a in found if a.split == "seen"]) >= least - 2 and len(found) >= least
    assert len([a for a in found if a.split == "unseen"]) >= 2
    assert not {r for asset in found for r in asset.roles} & TABLETOP_ROLES, "a task of the tabletop would draw them"


@pytest.mark.parametrize("asset", [*with_role("tray"), *with_role("box")], ids=lambda asset: asset.id)
def test_two_hands_take_hold_of_it_on_either_side(asset: ObjectAsset) -> None:
    a, b = asset.holds
    apart = float(np.linalg.norm(np.subtract(a.pos_m, b.pos_m)))
    assert 0.19 <= apart <= 0.32 and a.kind == b.kind and np.allclose(np.add(a.out, b.out), 0.0)
    if "box" in asset.roles:
        assert asset.mass_kg <= 0.5 and a.kind == "face" and a.width_m == pytest.approx(apart)
    else:
        assert asset.place is not None and asset.place.inner_radius_m >= 0.08, "there is no room for a load"
        assert a.kind == "post" and 0.035 <= a.width_m <= 0.045, "a gripper opens by 8 cm, and a hand holds 27 mm of radius best"


def test_holds_are_checked(tmp_path: Path) -> None:
    def changed(old: str, new: str) -> Path:
        path = tmp_path / "tray" / "mine" / "object.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = TRAY.read_text(encoding="utf-8")
        assert old in text
        (path.parent.parent / "grip_tray.toml").write_text(text.replace(old, new), encoding="utf-8")
        path.write_text('design = "grip_tray"\ncolour = "red"\nrgba = [0.78, 0.07, 0.07, 1]\nsplit = "seen"\n', encoding="utf-8")
        return path

    with pytest.raises(BadData, match=r"its two holds must lie opposite each other, between its foot and its top, each with a level `out` of length 1"):
        load_object(changed("pos_m = [-0.146, 0.0, 0.066]", "pos_m = [-0.1, 0.0, 0.066]"))
    with pytest.raises(BadData, match=r"a tray or a box needs two \[\[hold\]\], and only such a one has any; it has 2"):
        load_object(changed('roles = ["tray"]', 'roles = ["support"]'))
    with pytest.raises(BadData, match=r"a support, tray, container, .* object needs a \[place\]"):
        load_object(changed("[place]\nsurface_height_m = 0.006\ninner_radius_m = 0.085\n", ""))


def test_furniture_of_the_floor_has_nothing_that_a_task_of_the_tabletop_asks_for() -> None:
    for asset in fixtures().values():
        if asset.kind in FLOOR_KINDS:
            assert not asset.joints and (asset.zone, asset.line, asset.hole) == (None, None, None) and asset.height_m > 0.3, asset.id
    seen = {asset.kind for asset in fixtures().values() if asset.split == "seen"}
    assert set(FLOOR_KINDS) <= seen and "desk_mat" in seen


def test_side_tables_are_as_high_as_the_tables_that_robots_stand_at_and_low_shelves_low() -> None:
    stances = [robot.stance for robot in map(_robot, folders.names("robot")) if robot.stance is not None]
    assert stances and max(stance.table_height_m[1] for stance in stances) <= 0.95, "the feet of a side table would hang in the air"
    assert {asset.kind for asset in fixtures().values() if asset.top is not None} == {"side_table", "low_shelf"}
    for asset in fixtures().values():
        if asset.kind == "side_table":
            assert asset.top is not None and asset.top.height_m == 0.95 == pytest.approx(asset.height_m)
            assert asset.top.inside_m(0.0, 0.0) >= 0.19, "no box would fit"
        if asset.kind == "low_shelf":
            assert asset.top is not None and 0.35 <= asset.top.height_m <= 0.5 and asset.top.inside_m(0.0, 0.4) < 0.0


def test_a_top_without_extent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "side_table" / "mine" / "fixture.toml"
    path.parent.mkdir(parents=True)
    shutil.copy(SIDE_TABLE, tmp_path / "side_table" / "side_table.toml")
    text = 'design = "side_table"\ncolour = "red"\nrgba = [0.78, 0.07, 0.07, 1]\nsplit = "seen"\n[top]\nheight_m = 0.8\nsize_m = [0.0, 0.5]\n'
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"side_table/mine/fixture.toml.top has size_m \(0.0, 0.5\) and height_m 0.8; lengths must be above 0"):
        load_fixture(path)


def _robot(name: str) -> Robot:
    robot: Robot = folders.load("robot", name)
    return robot
