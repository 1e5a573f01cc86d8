"""A world plays equal specs equally, tells the truth, shares no memory, and says so when it breaks."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, Divergence, NotReset, UnknownName
from vlagym.envs.robot import Robot, look_of
from vlagym.envs.types import CONTACT_KINDS, EpisodeSpec, FixtureSpec, PhysicsSpec, Predicate
from vlagym.envs.world import World

STILL = [0, 0, 0, 0, 0, 0, -1]
KIND = {name: i for i, name in enumerate(CONTACT_KINDS)}


def _with_scene(spec: EpisodeSpec, **changes: object) -> EpisodeSpec:
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, **changes))  # type: ignore[arg-type]


def _path(length: int = 15) -> np.ndarray:
    return np.clip(np.random.default_rng(3).normal(0, 0.4, (length, 7)), -1, 1)


@pytest.mark.gl
def test_the_same_spec_gives_the_same_states_and_frames_whatever_was_played_before(
    two_blocks: EpisodeSpec, already_stacked: EpisodeSpec
) -> None:
    def play(world: World) -> tuple[str, str, bytes]:
        world.start(two_blocks)
        for action in _path():
            world.advance(action)
        image = world.observe(("front", "wrist")).images
        return world.initial_state_digest, world.state_digest(), image["front"].tobytes() + image["wrist"].tobytes()

    fresh = World()
    first = play(fresh)
    again = play(fresh)
    used = World()
    used.start(already_stacked)
    used.observe()
    assert first == again == play(used)


@pytest.mark.gl
def test_observations_share_no_memory(two_blocks: EpisodeSpec) -> None:
    world = World(depth=True, segmentation=True)
    world.start(two_blocks)
    first = world.observe()
    kept = {name: image.copy() for name, image in first.images.items()}
    world.advance([1, 1, -1, 0, 0, 0, 1])
    second = world.observe()
    for name in first.images:
        assert not np.shares_memory(first.images[name], second.images[name])
        assert np.array_equal(first.images[name], kept[name])
    for name in first.proprio:
        assert not np.shares_memory(first.proprio[name], second.proprio[name])


@pytest.mark.gl
def test_images_are_upright_rgb_and_not_mirrored(two_blocks: EpisodeSpec) -> None:
    world = World(segmentation=True)
    world.start(two_blocks)
    seen = world.observe(("front",))
    image, label = seen.images["front"], seen.segmentation["front"]
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    red, blue, apple = (np.argwhere(label == 3 + i).mean(axis=0) for i in range(3))
    # The camera looks at the robot: what is on the robot's left (+y) is on the right of the image.
    assert blue[1] > red[1] > apple[1]
    assert (label[:20] == 1).any() and not (label[-40:] == 1).any()  # the robot is at the top of the image
    assert image[int(red[0]), int(red[1]), 0] > 2 * image[int(red[0]), int(red[1]), 2]
    assert image[int(blue[0]), int(blue[1]), 2] > 2 * image[int(blue[0]), int(blue[1]), 0]


@pytest.mark.gl
def test_depth_is_the_distance_along_the_viewing_axis(two_blocks: EpisodeSpec) -> None:
    world = World(depth=True)
    world.start(two_blocks)
    depth = world.observe(("front",)).depth["front"]
    camera = world.scene.cameras["front"]
    # The middle of the image looks at the table: distance = height / cosine of the angle to the vertical.
    from vlagym.envs.frames import rotate

    forward = rotate(np.array(camera.quat_parent_wxyz), np.array([0.0, 0.0, -1.0]))
    expected = camera.pos_parent[2] / -forward[2]
    table = depth[200, 128]
    half = np.tan(np.radians(camera.fovy_deg) / 2)
    up = rotate(np.array(camera.quat_parent_wxyz), np.array([0.0, 1.0, 0.0]))
    ray = forward + up * half * (127.5 - 200) / 128
    assert table == pytest.approx(camera.pos_parent[2] / -ray[2], rel=5e-3)
    assert depth[128, 128] == pytest.approx(expected, rel=0.2)


def test_facts_name_who_is_touched_and_how_hard(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    facts = world.start(two_blocks)
    assert facts.contact_force_n.shape == (0, len(CONTACT_KINDS)) and not facts.prop_is_held.any()
    for _ in range(14):
        facts = world.advance([0.08, 0, -0.5, 0, 0, 0, -1])
        if facts.ee_pos_world_m[0, 2] < 0.035:
            break
    for _ in range(12):
        facts = world.advance([0, 0, 0, 0, 0, 0, 1])
    assert facts.prop_is_held.tolist() == [True, False, False]
    assert facts.stage_met.tolist() == [True, False]
    assert {(c.kind, c.b) for c in facts.contacts} == {("robot_target", "block_red")}
    assert 10.0 < facts.prop_robot_force_n[0] < 200.0
    assert facts.contact_force_n.shape == (25, len(CONTACT_KINDS))


def test_a_held_prop_that_hits_another_one_is_a_collision_and_its_own_support_is_not(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(two_blocks)
    total = np.zeros(len(CONTACT_KINDS))

    def go(action: list[float], steps: int) -> None:
        nonlocal total
        for _ in range(steps):
            total = np.maximum(total, world.advance(action).contact_force_n.max(axis=0, initial=0.0))

    go([0.08, 0, -0.5, 0, 0, 0, -1], 12)
    while world.simulation.ee_pose_world().pos[2] > 0.03:
        go([0, 0, -0.2, 0, 0, 0, -1], 1)
    go([0, 0, 0, 0, 0, 0, 1], 10)
    assert total[KIND["held_fixture"]] == 0.0  # it stood on the table when it was grasped
    go([0, 0, 0.3, 0, 0, 0, 1], 10)
    assert total[KIND["held_fixture"]] == 0.0 and total[KIND["held_prop"]] == 0.0
    go([0, 0, -0.3, 0, 0, 0, 1], 12)
    assert total[KIND["held_fixture"]] > 1.0


def test_goal_and_stages_see_what_stands_on_what(already_stacked: EpisodeSpec) -> None:
    world = World(render=False)
    assert world.start(already_stacked).goal_met.tolist() == [True]
    swapped = dataclasses.replace(already_stacked, goal=already_stacked.alternatives[0])
    assert world.start(swapped).goal_met.tolist() == [False]


def test_a_diverged_simulation_is_an_error_with_the_warning_and_writes_no_log(
    two_blocks: EpisodeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world = World(render=False)
    world.start(two_blocks)
    world.simulation.data.qvel[:] = 1e12
    with pytest.raises(Divergence, match="MuJoCo warned of .*BADQVEL"):
        world.advance(STILL)
    with pytest.raises(NotReset, match="diverged; start another one"):
        world.advance(STILL)
    assert list(tmp_path.iterdir()) == []
    assert world.start(two_blocks).goal_met.tolist() == [False]
    world.advance(STILL)


def test_nothing_is_stepped_or_seen_before_the_first_start(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    for call in (lambda: world.advance(STILL), lambda: world.observe(()), lambda: world.spec):
        with pytest.raises(NotReset, match="no episode is running: reset the environment"):
            call()


def test_specs_that_contradict_themselves_are_refused(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    twice = _with_scene(two_blocks, props=(two_blocks.scene.props[0], two_blocks.scene.props[0]))
    with pytest.raises(BadSpec, match="2 things are called .block_red."):
        world.start(twice)
    unknown = _with_scene(two_blocks, props=(dataclasses.replace(two_blocks.scene.props[0], asset="blok_red"), *two_blocks.scene.props[1:]))
    with pytest.raises(UnknownName, match="no object is called 'blok_red'. Did you mean block_red"):
        world.start(unknown)
    with pytest.raises(UnknownName, match="no arena is called 'studios'. Did you mean studio"):
        world.start(_with_scene(two_blocks, arena="studios"))
    with pytest.raises(BadSpec, match="not a whole number of timesteps"):
        world.start(_with_scene(two_blocks, physics=PhysicsSpec(timestep_s=0.003)))
    with pytest.raises(BadSpec, match="robot_qpos has 6 entries; panda has 7 joints"):
        world.start(dataclasses.replace(two_blocks, robot_qpos=(0.0,) * 6))
    with pytest.raises(UnknownName, match="no prop of the scene is called 'block_green'"):
        world.start(dataclasses.replace(two_blocks, goal=(Predicate(name="stacked", args=("block_red", "block_green")),)))
    with pytest.raises(BadSpec, match="nothing can be put on 'apple'"):
        world.start(dataclasses.replace(two_blocks, goal=(Predicate(name="on", args=("block_red", "apple")),)))
    with pytest.raises(UnknownName, match="no predicate is called 'stakced'. Did you mean stacked"):
        world.start(dataclasses.replace(two_blocks, goal=(Predicate(name="stakced", args=("block_red", "block_blue")),)))
    with pytest.raises(BadSpec, match=r"speaks of 1 things; stacked takes 2"):
        world.start(dataclasses.replace(two_blocks, goal=(Predicate(name="stacked", args=("block_red",)),)))
    drawer = FixtureSpec(name="c", asset="cabinet_red", pos_world=(0.4, -0.4, 0.0), yaw_rad=0.0, joints=(("door", 0.0),))
    with pytest.raises(BadSpec, match="fixture 'c' has no joint 'door'. There are: drawer"):
        world.start(_with_scene(two_blocks, fixtures=(drawer,)))
    with pytest.raises(UnknownName, match="no quality is called 'fats'. Did you mean fast"):
        World(quality="fats")


@pytest.mark.gl
def test_an_unknown_camera_is_answered_with_the_known_ones(two_blocks: EpisodeSpec) -> None:
    world = World()
    world.start(two_blocks)
    with pytest.raises(UnknownName, match=r"no camera is called 'writs'. Did you mean wrist\? There are: front, side, wrist"):
        world.observe(("writs",))


def test_scale_mass_and_colour_of_a_prop_are_taken_from_the_spec(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(two_blocks)
    plain = world.model_digest
    heavy = dataclasses.replace(two_blocks.scene.props[0], mass_kg=0.5, scale=1.1, friction=0.4)
    world.start(_with_scene(two_blocks, props=(heavy, *two_blocks.scene.props[1:])))
    assert world.scene.model.body("block_red").mass == pytest.approx(0.5)
    assert world.model_digest != plain
    painted = dataclasses.replace(two_blocks.scene.props[0], rgba=(0.0, 1.0, 0.0, 1.0))
    world.start(_with_scene(two_blocks, props=(painted, *two_blocks.scene.props[1:])))
    assert world.model_digest == plain


@pytest.mark.gl
def test_another_arena_is_seen_as_it_is_whatever_was_seen_before(
    two_blocks: EpisodeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlagym.envs import arenas, scene

    studio = arenas.arena("studio")
    bare = dataclasses.replace(studio, table=dataclasses.replace(studio.table, texture=None, rgba=(0.2, 0.5, 0.3, 1.0)))
    monkeypatch.setattr(scene, "arena", lambda name, top=None: bare if name == "bare" else studio)
    monkeypatch.setattr(scene, "surroundings", lambda name, top=None, **options: ())
    specs = [_with_scene(two_blocks, arena=name) for name in ("bare", "studio")]

    def frame(world: World, spec: EpisodeSpec) -> np.ndarray:
        world.start(spec)
        return world.observe(("front",)).images["front"]

    alone = [frame(World(), spec) for spec in specs]
    used = World()
    for i in (0, 1, 0, 1):
        assert np.array_equal(frame(used, specs[i]), alone[i])
    assert not np.array_equal(alone[0], alone[1])
    scene._base.cache_clear()


def test_a_look_is_one_for_all_or_one_for_each_robot_that_is_named() -> None:
    panda: Robot = catalog.load("robot", "panda")
    assert look_of("gymnasium_robotics", panda) == "gymnasium_robotics"
    assert look_of("g1=menagerie", panda) == look_of("auto", panda)
    assert look_of("g1=shell,panda=gymnasium_robotics", panda) == "gymnasium_robotics"
    with pytest.raises(UnknownName, match="shell"):
        look_of("panda=shell", panda)
