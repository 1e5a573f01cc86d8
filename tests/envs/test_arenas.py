"""Arenas: places that look different and are the same to touch; mistakes in their files are answered in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs import arenas, scene, scenery
from vlagym.envs.textures import surfaces as arena_textures
from vlagym.envs.arenas import Table, arena, arena_names, read_arena, surroundings, top_boxes
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World


def _in(spec: EpisodeSpec, name: str) -> EpisodeSpec:
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, arena=name, lights=arena(name).light))


def _alone(name: str) -> Any:
    """Returns the compiled model of an arena with nothing in it."""
    import mujoco

    mj = mujoco.MjSpec()
    scene._add_arena(mj, name, is_seen=True)
    return mj.compile()


# ------------------------------------------------------------------------------------------------------------------- every arena
def test_there_are_at_least_seven_places_to_be() -> None:
    assert len(arena_names()) >= 7 and "studio" in arena_names()


@pytest.mark.parametrize("name", arena_names())
def test_only_table_and_floor_are_touched(name: str) -> None:
    model = _alone(name)
    touched = {model.geom(g).name.split("_")[0] for g in range(model.ngeom) if model.geom_contype[g] or model.geom_conaffinity[g]}
    assert touched == {"table", "floor"}


@pytest.mark.parametrize("name", arena_names())
def test_front_and_side_see_all_that_the_robot_works_on(name: str) -> None:
    import mujoco

    model = _alone(name)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    (x0, x1), (y0, y1) = arenas.WORK_X_M, arenas.WORK_Y_M
    grid = [(x, y, z) for x in np.linspace(x0, x1, 6) for y in np.linspace(y0, y1, 7) for z in (0.01, 0.1, arenas.WORK_HEIGHT_M)]
    hit = np.zeros(1, np.int32)
    for camera in arena(name).camera:
        eye = np.array(camera.eye_m)
        for point in grid:
            ray = np.array(point) - eye
            length = float(np.linalg.norm(ray))
            distance = mujoco.mj_ray(model, data, eye, ray / length, None, 1, -1, hit, None)
            assert not 0.0 <= distance < length, f"{model.geom(int(hit[0])).name} hides {point} from {camera.name}"


@pytest.mark.parametrize("name", arena_names())
def test_nothing_that_is_only_seen_stands_where_the_arm_moves(name: str) -> None:
    for part in surroundings(name):
        x, y, z = part.vertices.T
        inside = (x > -0.25) & (x < 0.85) & (np.abs(y) < 0.42) & (z > 1e-3) & (z < 1.1)
        assert not inside.any(), f"{part.finish} reaches {part.vertices[inside][0]}"


@pytest.mark.parametrize("name", arena_names())
def test_things_rest_on_every_table_and_what_is_seen_does_not_change_the_physics(name: str, two_blocks: EpisodeSpec) -> None:
    spec = _in(two_blocks, name)
    unseen = World(render=False)
    facts = unseen.start(spec)
    assert np.abs(facts.prop_pos_world_m - np.array([p.pos_world for p in spec.scene.props])).max() < 0.001
    assert float(np.abs(unseen.simulation.data.qvel).max()) < 0.01
    robot_look = World()
    robot_look.start(spec)
    assert unseen.model_digest == robot_look.model_digest


def test_every_surface_can_be_drawn_and_is_never_drawn_twice() -> None:
    for name in arena_textures.surface_names():
        picture = arena_textures.surface(name)
        assert picture.dtype == np.uint8 and picture.shape[0] == picture.shape[1] and picture.shape[2] == 3 and not picture.flags.writeable
        assert picture.std() > 1.0 and arena_textures.surface(name) is picture


def test_a_round_top_is_cut_into_strips_that_meet_and_stay_inside_its_rim() -> None:
    table = Table(centre_m=(0.3, 0.1), size_m=(1.4, 1.4, 0.03), shape="round", edge_rgba=(1, 1, 1, 1), texture="marble")
    boxes = top_boxes(table)
    spans = sorted((centre[0] - half[0], centre[0] + half[0]) for half, centre in boxes)
    assert all(a[1] == pytest.approx(b[0]) for a, b in zip(spans, spans[1:], strict=False))
    assert spans[0][0] == pytest.approx(-0.4) and spans[-1][1] == pytest.approx(1.0)
    assert sum(4 * half[0] * half[1] for half, _ in boxes) > 0.8 * np.pi * 0.7**2
    assert all(centre[2] + half[2] == pytest.approx(0.0) for half, centre in boxes)


@pytest.mark.gl
def test_an_arena_looks_the_same_whatever_was_shown_before(two_blocks: EpisodeSpec) -> None:
    def frame(world: World, name: str) -> np.ndarray:
        world.start(_in(two_blocks, name))
        return world.observe(("front",)).images["front"]

    names = ("kitchen", "cafe", "studio")
    alone = {name: frame(World(), name) for name in names}
    used = World()
    for name in (*names, *reversed(names)):
        assert np.array_equal(frame(used, name), alone[name])
    assert not np.array_equal(alone["kitchen"], alone["cafe"])


# -------------------------------------------------------------------------------------------------------------------- bad input
def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="no arena is called 'kichen'. Did you mean kitchen.*An arena is a file of assets/arenas"):
        arena("kichen")
    with pytest.raises(UnknownName, match="no texture is called 'marbel'. Did you mean marble"):
        arena_textures.surface("marbel")
    with pytest.raises(UnknownName, match="no arena is called 'nowhere'"):
        surroundings("nowhere")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('about =', 'abaut =', "kitchen.toml has an unknown key 'abaut'. Known: about"),
        ('texture = "granite"', 'texture = "granit"', "no texture is called 'granit'. Did you mean granite.*kitchen.toml.table.texture"),
        ('texture = "stone_tiles"', 'texture = "sand"', "no texture is called 'sand'.*floor.texture"),
        ('texture = "wall_tiles"', 'texture = "sand"', "no texture is called 'sand'.*room.texture"),
        ('furnishing = "oven"', 'furnishing = "ovn"', r"no furnishing is called 'ovn'. Did you mean oven.*item\[5\]"),
        ("size_m = [1.30, 1.80, 0.04]", "size_m = [0.50, 1.80, 0.04]", "table covers x 0.15 to 0.65 m .*the robot works on x 0 to 0.75"),
        ("size_m = [1.30, 1.80, 0.04]", "size_m = [1.30, -1.80, 0.04]", "table.size_m is .*lengths must be above 0"),
        ("size_m = [1.30, 1.80, 0.04]", 'size_m = [1.30, 1.80, 0.04]\nshape = "round"', "is round: its size_m is .diameter, diameter, thickness"),
        ("size_m = [1.30, 1.80, 0.04]", 'size_m = [1.30, 1.80, 0.04]\nshape = "oval"', "table.shape is 'oval'; it must be one of 'box', 'round'"),
        ("height_m = -0.92", "height_m = 0.1", "floor.height_m is 0.1; the floor lies below the table top"),
        ('name = "side"', 'name = "sight"', r"has no \[\[camera\]\] called 'side'"),
        ("shadow_radius_m = 1.7", "shadow_radius_m = 0.0", "shadow_radius_m is 0.0; it must be above 0"),
        ("pos_m = [0.40, 0.60, 0.0]", "pos_m = [0.40, 0.60]", r"item\[0\].pos_m must have 3 entries, not 2"),
        ("pos_m = [0.40, 0.60, 0.0]", "pos_m = [0.40, 0.60, 0.0]\nscale = 0.0", r"item\[0\].scale is 0.0; it must be above 0"),
    ],
)
def test_a_wrong_arena_file_says_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = assets.path("arenas/kitchen.toml").read_text()
    assert old in text
    path = tmp_path / "kitchen.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises((BadData, UnknownName), match=message):
        read_arena(path)


def test_a_file_that_is_not_toml_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shed.toml"
    path.write_text("[table")
    with pytest.raises(BadData, match="arenas/shed.toml cannot be read"):
        read_arena(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pattern": "plank", "rgb": [1.0, 2.0, 3.0]}, "no pattern is called 'plank'. Did you mean planks.*It is asked for in here"),
        ({"pattern": "planks"}, "here lacks the key 'rgb'"),
        ({"pattern": "planks", "rgb": [1.0, 2.0, 3.0], "grane": 1.0}, "here has an unknown key 'grane'. Known: rgb, planks, grain"),
        ({"pattern": "planks", "rgb": [1.0, 2.0]}, "here.rgb must have 3 entries, not 2"),
        ({"rgb": [1.0, 2.0, 3.0]}, "here lacks the key 'pattern'"),
        ({"pattern": "planks", "rgb": [1.0, 2.0, 3.0], "pixels": 100}, "here.pixels is 100; it must be one of 64, 128, 256, 512"),
    ],
)
def test_a_wrong_surface_says_what_is_wrong(table: dict[str, Any], message: str) -> None:
    with pytest.raises((BadData, UnknownName), match=message):
        arena_textures.draw(table, "here")


_PANEL = 'visual = []\npanel = [{surface = "books", centre_m = [0, 0, 0], size_m = [1, 1], facing = [1, 0, 0]}]'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('visual = [{shape = "bax"}]', None),
        ('visuals = []', "furnishings/thing.toml has an unknown key 'visuals'"),
        (_PANEL.replace("books", "book"), "no texture is called 'book'. Did you mean books"),
        (_PANEL.replace("[1, 1]", "[1, 0]"), "size_m and tile_m must be above 0"),
        (_PANEL.replace("[1, 0, 0]}", "[0, 0, 0]}"), "facing is zero"),
        (_PANEL.replace("[1, 0, 0]}", "[1, 0, 0], glow = 2.0}"), "glow is 2.0; it must lie between 0 and 1"),
    ],
)
def test_a_wrong_furnishing_says_what_is_wrong(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "thing.toml"
    path.write_text(text)
    if message is None:  # the shape is looked at when it is built
        tables = scenery.read_furnishing(path).visual
        with pytest.raises(BadData, match=r"here.visual\[0\].*no shape is called 'bax'"):
            scenery.compose([], [], tables, -1.0, "here")
        return
    with pytest.raises((BadData, UnknownName), match=message):
        scenery.read_furnishing(path)
