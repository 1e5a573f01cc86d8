"""Axes of scene and physics: each changes what it says, by as much as it says, and leaves the room that the task needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from vlagym.benchmark.axis import NotApplicable, vary, vary_all
from vlagym.benchmark.variation.clearance import start_clearance
from vlagym.benchmark.variation.ground import units
from vlagym.benchmark.variation.room import hindrance
from vlagym.envs.arenas import arena
from vlagym.envs.catalogues import catalogue_of
from vlagym.envs.errors import UnknownName
from vlagym.envs.frames import rotate
from vlagym.envs.objects import get
from vlagym.envs.sampling import sample
from vlagym.envs.split import arena_split, place_split
from vlagym.envs.types import CameraSpec, EpisodeSpec, PropSpec
from vlagym.envs.world import World


@pytest.fixture(scope="module")
def twin() -> EpisodeSpec:
    return sample("pick_up", seed=3)


@pytest.fixture(scope="module")
def drawers() -> EpisodeSpec:
    return sample("open_drawer", seed=1)


@pytest.fixture(scope="module")
def first() -> Callable[[str, Callable[[EpisodeSpec], bool]], EpisodeSpec]:
    """Returns the search for the first episode of a task that is of a sort."""

    def search(task: str, suits: Callable[[EpisodeSpec], bool]) -> EpisodeSpec:
        return next(spec for seed in range(20) if suits(spec := sample(task, seed=seed)))

    return search


def _angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1.0, 1.0))))


# -------------------------------------------------------------------------------------------------------------------- light, background, camera
def test_light_comes_from_farther_off_at_each_level_and_the_last_one_is_low_and_warm(twin: EpisodeSpec) -> None:
    def turned_deg(level: int) -> float:
        pairs = zip(twin.scene.lights, vary(twin, "lighting", level).scene.lights, strict=True)
        return max(_angle_deg(np.array(a.direction_world), np.array(b.direction_world)) for a, b in pairs)

    assert turned_deg(1) < 15.0 < turned_deg(5)
    lights = vary(twin, "lighting", 5).scene.lights
    (low,) = [light for light in lights if light.casts_shadow]
    height_deg = 90.0 - _angle_deg(np.array(low.direction_world), np.array([0.0, 0.0, -1.0]))
    assert 19.0 < height_deg < 29.0 and low.diffuse[0] > 2 * low.diffuse[2]
    assert all(max(light.diffuse) < 0.12 for light in lights if light is not low)


def test_the_background_changes_from_the_table_to_the_whole_place_and_nothing_that_is_touched(twin: EpisodeSpec) -> None:
    own = arena(twin.scene.arena).table.texture
    for level in (1, 2):
        varied = vary(twin, "background", level)
        assert varied.scene.arena == twin.scene.arena and varied.scene.table_texture not in (None, own) and varied.split == "seen"
    elsewhere, unseen, strange = (vary(twin, "background", level) for level in (3, 4, 5))
    assert elsewhere.scene.arena != twin.scene.arena and arena_split(elsewhere.scene.arena) == "seen" == elsewhere.split
    assert arena_split(unseen.scene.arena) == arena_split(strange.scene.arena) == "unseen" == unseen.split == strange.split
    assert unseen.scene.table_texture is None and strange.scene.table_texture is not None
    world = World(render=False)
    world.start(twin)
    digest = world.model_digest
    world.start(vary(twin, "background", 2))
    assert world.model_digest == digest


@pytest.mark.gl
def test_another_table_top_is_seen_whatever_was_shown_before(twin: EpisodeSpec) -> None:
    def frame(world: World, spec: EpisodeSpec) -> np.ndarray:
        world.start(spec)
        return world.observe(("front",)).images["front"]

    there = ("studio", "kitchen")  # one whose table is a box, and one whose table is dressed
    specs = [
        dataclasses.replace(twin, scene=dataclasses.replace(twin.scene, arena=name, table_texture=top))
        for name in there
        for top in (None, "bricks")
    ]
    alone = [frame(World(), spec) for spec in specs]
    used = World()
    for i in (0, 1, 0, 2, 3, 2):
        assert np.array_equal(frame(used, specs[i]), alone[i])
    assert np.mean(alone[0] != alone[1]) > 0.3 and np.mean(alone[2] != alone[3]) > 0.3


def test_a_table_top_that_does_not_exist_is_answered_with_the_near_ones(twin: EpisodeSpec) -> None:
    wrong = dataclasses.replace(twin, scene=dataclasses.replace(twin.scene, table_texture="marbel"))
    with pytest.raises(UnknownName, match="no texture is called 'marbel'. Did you mean marble.*table_texture of a scene"):
        World(render=False).start(wrong)


def _seen_at(camera: CameraSpec) -> np.ndarray:
    """Returns the point 6 cm above the table that a camera looks at."""
    eye, forward = np.array(camera.pos_parent), rotate(np.array(camera.quat_parent_wxyz), np.array([0.0, 0.0, -1.0]))
    return np.asarray(eye + forward * (eye[2] - 0.06) / -forward[2])


def test_cameras_go_around_what_they_look_at(twin: EpisodeSpec) -> None:
    for level, shift_m, turn_deg, share in ((1, 0.01, 1.0, 0.02), (5, 0.12, 15.0, 0.20)):
        for was, now in zip(twin.scene.cameras, vary(twin, "camera", level).scene.cameras, strict=True):
            if was.parent != "world":
                continue
            far = float(np.linalg.norm(np.array(was.pos_parent) - _seen_at(was)))
            moved = float(np.linalg.norm(np.array(now.pos_parent) - np.array(was.pos_parent)))
            assert 0.0 < moved <= shift_m + 2 * far * math.sin(math.radians(turn_deg) / 2) + 1e-4
            assert _seen_at(now) == pytest.approx(_seen_at(was), abs=2e-3)
            assert share / 2 <= abs(now.fovy_deg / was.fovy_deg - 1.0) <= share + 1e-3


def test_a_camera_on_the_robot_is_shaken_loose_from_level_three_on(twin: EpisodeSpec) -> None:
    (wrist,) = [c for c in twin.scene.cameras if c.parent != "world"]
    mounts = [next(c for c in vary(twin, "camera", level).scene.cameras if c.name == wrist.name) for level in (2, 3, 5)]
    shifts = [float(np.linalg.norm(np.array(c.pos_parent) - np.array(wrist.pos_parent))) for c in mounts]
    assert mounts[0] == wrist and 0.0 < shifts[1] <= 0.00301 and shifts[1] < shifts[2] <= 0.01001


# --------------------------------------------------------------------------------------------------------------------------- robot and physics
def test_the_robot_begins_elsewhere_and_clear_of_everything(twin: EpisodeSpec) -> None:
    off = [np.abs(np.array(vary(twin, "robot_state", level).robot_qpos) - np.array(twin.robot_qpos)).max() for level in (1, 3, 5)]
    assert 0.037 < off[0] <= 0.05 and 0.15 <= off[1] <= 0.2 and 0.3 <= off[2] <= 0.4
    assert start_clearance(vary(twin, "robot_state", 5), 0.03).things_m == 0.03


def test_clearance_is_that_of_the_nearest_thing(a_block_below: EpisodeSpec) -> None:
    assert start_clearance(a_block_below, 0.30).things_m == pytest.approx(0.05, abs=0.002)
    assert start_clearance(a_block_below, 0.02).things_m == 0.02


@pytest.fixture
def a_block_below(twin: EpisodeSpec) -> EpisodeSpec:
    """Returns an episode with a block in the air, 5 cm below one finger tip of the robot."""
    world = World(render=False)
    world.start(twin)
    x, y, z = world.advance(np.zeros(twin.control.size, np.float32)).ee_pos_world_m[0]
    top = float(z) - 0.009 - 0.05  # the pads reach 9 mm below the pinch point
    base = (float(x), float(y) + 0.04, top - get("block_red").size_m[2])
    block = PropSpec(name="block_red", asset="block_red", pos_world=base, quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
    scene = dataclasses.replace(
        twin.scene, props=(block,), fixtures=(), physics=dataclasses.replace(twin.scene.physics, settle_s=0.0, gravity_m_s2=(0.0, 0.0, 0.0))
    )
    goal = (dataclasses.replace(twin.goal[0], args=("block_red",)),)
    return dataclasses.replace(twin, scene=scene, goal=goal, stages=goal, alternatives=())


def _table_contacts(spec: EpisodeSpec) -> list[tuple[float, int, tuple[float, ...]]]:
    """Returns friction, dimension and solref of each contact of props with the table once an episode has settled."""
    world = World(render=False)
    world.start(spec)
    scene, data = world.scene, world.simulation.data
    table, first_prop = scene.parties.index("table"), len(scene.parties) - len(spec.scene.props)
    found = []
    for contact in data.contact:
        parties = scene.geom_party[contact.geom]
        if table in parties and max(parties) >= first_prop:
            found.append((float(contact.friction[0]), int(contact.dim), tuple(contact.solref.tolist())))
    return found


def test_the_friction_that_is_stated_is_that_of_the_contact_and_nothing_else_about_it_changes(twin: EpisodeSpec) -> None:
    varied = vary(twin, "friction", 5)
    assert {round(p.friction or 0.0, 2) for p in varied.scene.props} <= {0.5, 2.0}
    before, after = _table_contacts(twin), _table_contacts(varied)
    assert {slide for slide, _, _ in before} == {1.0} and {round(slide, 6) for slide, _, _ in after} <= {0.5, 2.0}
    assert {(dimension, solref) for _, dimension, solref in before} == {(dimension, solref) for _, dimension, solref in after}


def test_pads_feel_the_friction_that_is_stated(twin: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(vary(twin, "friction", 5))
    model = world.scene.model
    pads = {i for i in range(model.ngeom) if model.geom(i).name.endswith("_pad")}
    felt = {round(float(model.pair_friction[i, 0]), 6) for i in range(model.npair) if pads & {model.pair_geom1[i], model.pair_geom2[i]}}
    assert len(pads) == 2 and felt and felt <= {0.5, 2.0}


def test_things_weigh_what_the_axis_says(twin: EpisodeSpec) -> None:
    for level, factors in ((1, (0.8, 1.25)), (5, (0.25, 3.0))):
        varied = vary(twin, "mass", level)
        world = World(render=False)
        world.start(varied)
        for prop, body in zip(varied.scene.props, world.scene.prop_bodies, strict=True):
            share = float(world.scene.model.body_mass[body]) / get(prop.asset).mass_kg
            assert min(abs(share - factor) for factor in factors) < 1e-3


def test_physics_of_things_is_not_varied_where_the_goal_is_about_furniture_alone(drawers: EpisodeSpec) -> None:
    for axis in ("friction", "mass"):
        with pytest.raises(NotApplicable, match=rf"'open_drawer' with seed 1 is about .* alone, whose {axis} an episode does not state"):
            vary(drawers, axis, 1)


# ------------------------------------------------------------------------------------------------------------------------ layout and distractors
def test_things_move_by_a_little_then_to_the_cells_that_are_kept_for_evaluation(twin: EpisodeSpec) -> None:
    near = vary(twin, "layout", 1)
    shifts = [math.dist(a.pos_world, b.pos_world) for a, b in zip(twin.scene.props, near.scene.props, strict=True)]
    assert all(0.0 < shift <= 0.045 for shift in shifts) and near.split == "seen"  # the origin of what lies is not its middle, and turns with it
    for level in (4, 5):
        far = vary(twin, "layout", level)
        target = next(unit for unit in units(far) if far.named[0] in unit.names)
        assert place_split(target.x, target.y) == "unseen" == far.split


def test_furniture_keeps_its_front_to_the_viewer_and_its_joints(drawers: EpisodeSpec) -> None:
    for level in (1, 5):
        varied = vary(drawers, "layout", level)
        assert any(a.pos_world != b.pos_world for a, b in zip(drawers.scene.fixtures, varied.scene.fixtures, strict=True))
        assert all(f.joints == g.joints and abs(g.yaw_rad) <= 0.3 for f, g in zip(drawers.scene.fixtures, varied.scene.fixtures, strict=True))


def test_beads_stay_in_their_cup() -> None:
    pouring = sample("pour", seed=0)
    varied = vary(pouring, "layout", 5)
    for bead in (p for p in pouring.scene.props if p.content_of):

        def from_cup(spec: EpisodeSpec, name: str, cup: str) -> float:
            at = {p.name: p.pos_world for p in spec.scene.props}
            return math.dist(at[name], at[cup])

        assert bead.content_of is not None
        assert from_cup(varied, bead.name, bead.content_of) == pytest.approx(from_cup(pouring, bead.name, bead.content_of), abs=2e-5)


def test_what_is_pushed_along_a_line_stays_at_its_beginning(first: Callable[[str, Callable[[EpisodeSpec], bool]], EpisodeSpec]) -> None:
    pushing = first("push", lambda spec: spec.goal[0].name == "along")
    varied = vary(pushing, "layout", 3)
    for goal in (pushing.goal, *pushing.alternatives):
        thing, line = goal[0].args
        for spec in (pushing, varied):
            together = next(unit for unit in units(spec) if line in unit.names)
            assert thing in together.names
    assert hindrance(varied) is None


def test_what_stands_in_a_lane_hinders(first: Callable[[str, Callable[[EpisodeSpec], bool]], EpisodeSpec]) -> None:
    pushing = first("push", lambda spec: spec.goal[0].name == "within")
    assert hindrance(pushing) is None
    thing, zone = pushing.goal[0].args
    at = {p.name: p.pos_world for p in pushing.scene.props} | {f.name: f.pos_world for f in pushing.scene.fixtures}
    x, y = ((a + b) / 2 for a, b in zip(at[thing][:2], at[zone][:2], strict=True))
    post = PropSpec(name="in_the_way", asset="can_red", pos_world=(x, y, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
    blocked = dataclasses.replace(pushing, scene=dataclasses.replace(pushing.scene, props=(*pushing.scene.props, post)))
    assert hindrance(blocked) == f"there is no room for within({thing}, {zone})"


def test_things_that_have_nothing_to_do_with_it_become_more(twin: EpisodeSpec) -> None:
    counts = []
    for level in range(1, 6):
        varied = vary(twin, "distractors", level)
        added = varied.scene.props[len(twin.scene.props) :]
        assert varied.scene.props[: len(twin.scene.props)] == twin.scene.props and varied.goal == twin.goal
        assert level == 5 or all(get(p.asset).split == "seen" for p in added)
        counts.append(len(added))
    assert counts == [1, 2, 3, 5, 8]


def test_further_things_do_not_belong_to_what_is_asked_for_as_a_whole() -> None:
    sorting = sample("sort", seed=0)
    moved = {get(p.asset).category for p in sorting.scene.props if any(p.name == c.args[0] for c in sorting.goal)}
    added = vary(sorting, "distractors", 4).scene.props[len(sorting.scene.props) :]
    assert not moved & {get(p.asset).category for p in added}


def test_the_small_world_stays_small() -> None:
    small = sample("place_on", seed=0, catalogue="core")
    varied = vary_all(small, [("layout", 2), ("distractors", 3), ("camera", 1)])
    assert {p.asset for p in varied.scene.props} <= catalogue_of("core").objects and varied.base == small.digest()


def test_bodies_with_two_hands_keep_the_layout_that_their_hands_need() -> None:
    body = sample("touch_with", seed=0)
    with pytest.raises(NotApplicable, match="things stand where each hand of 'g1' can do its part"):
        vary(body, "layout", 1)
    with pytest.raises(NotApplicable, match="the arms of 'g1' sweep over the whole table"):
        vary(body, "distractors", 1)


def test_all_of_them_together_are_one_episode_whose_twin_is_known(twin: EpisodeSpec) -> None:
    names = ("layout", "distractors", "lighting", "background", "camera", "robot_state", "friction", "mass")
    varied = vary_all(twin, [(name, 3) for name in names])
    assert varied.base == twin.digest() and {name for name, _ in varied.axes} == set(names)
    assert EpisodeSpec.from_json(varied.to_json()) == varied
