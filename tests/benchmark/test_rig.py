"""A rig puts the cameras, start posture and control of a station over an episode, and changes nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry
from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.reservations import _suite
from vlagym.benchmark.rig import Rig, load_rig, read_rig, rig_names
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import load_suite, suite_from_plain, suite_to_plain
from vlagym.envs import catalog
from vlagym.envs.cameras import contact_sheet
from vlagym.envs.control import action_spec, is_control_of, rescaled
from vlagym.envs.errors import BadData, BadSpec, UnknownName, Unsatisfiable
from vlagym.envs.frames import Pose, from_axis_angle, multiply, pose, to_matrix
from vlagym.envs.kinematics import kinematics
from vlagym.envs.sampling import sample
from vlagym.envs.types import ActionChunk, CameraSpec, EpisodeSpec, Observation, ObservationSpec, StateComponent
from vlagym.policies.adapters.expert import action_towards
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile
from vlagym.policies.skills.performer import Performer

LIBERO_WORLD_OF_BASE_M = (0.66, 0.0, -0.90)
"""Where LIBERO's world begins, in our base frame: below the middle of its table."""


@cache
def episode(task: str = "stack", seed: int = 0) -> EpisodeSpec:
    spec: EpisodeSpec = sample(task, seed=seed, catalogue="core")
    return spec


def camera(spec: EpisodeSpec, name: str) -> CameraSpec:
    return next(c for c in spec.scene.cameras if c.name == name)


# ------------------------------------------------------------------------------------------------------------------ what changes
@pytest.mark.parametrize("name", rig_names())
def test_an_episode_at_a_rig_has_the_same_things_goal_sentence_and_seed(name: str) -> None:
    spec = episode()
    moved = load_rig(name).apply(spec)
    assert moved.digest() != spec.digest() and moved == load_rig(name).apply(spec)
    kept = ("task", "robot", "goal", "stages", "steps", "alternatives", "instruction", "phrase", "hold_s", "split", "seed", "axes", "base")
    assert all(getattr(moved, field) == getattr(spec, field) for field in kept)
    assert (moved.scene.props, moved.scene.fixtures, moved.scene.lights) == (spec.scene.props, spec.scene.fixtures, spec.scene.lights)
    assert load_rig(name).complaint(moved) is None


@pytest.mark.parametrize("name", rig_names())
def test_an_episode_keeps_what_its_posture_differs_from_home(name: str) -> None:
    rig, spec = load_rig(name), episode()
    home = np.array(catalog.load("robot", rig.robot).home_qpos)
    moved = np.array(rig.apply(spec).robot_qpos)
    assert np.allclose(moved - np.array(rig.robot_qpos), np.array(spec.robot_qpos) - home, atol=2e-5)


def test_libero_has_its_views_at_20_hz_and_droid_its_own_at_15() -> None:
    libero, droid = (load_rig(name).apply(episode()) for name in ("libero", "droid"))
    assert [(c.name, c.width, c.height) for c in libero.scene.cameras if c.name in ("front", "wrist")] == [("front", 256, 256), ("wrist", 256, 256)]
    assert [(c.name, c.width, c.height) for c in droid.scene.cameras if c.name != "side"] == [
        ("front", 320, 180), ("wrist", 320, 180), ("exterior_2", 320, 180),
    ]  # fmt: skip
    assert (libero.control.name, libero.control.rate_hz) == ("ee_delta", 20.0)
    assert (droid.control.name, droid.control.rate_hz) == ("joint_delta", 15.0)
    assert libero.scene.physics.timestep_s == pytest.approx(0.002) and droid.scene.physics.timestep_s == pytest.approx(1 / 510)


def test_the_front_camera_of_libero_stands_where_agentview_stands_in_its_world() -> None:
    front = camera(load_rig("libero").apply(episode()), "front")
    in_their_world = np.array(front.pos_parent) - LIBERO_WORLD_OF_BASE_M
    assert np.allclose(in_their_world, (0.6586131746834771, 0.0, 1.6103500240372423), atol=1e-5)
    look = -to_matrix(front.quat_parent_wxyz)[:, 2]
    hits = np.array(front.pos_parent) - look * front.pos_parent[2] / look[2]
    assert np.allclose(hits[:2], (0.439, 0.0), atol=0.002), "its middle is a little nearer to the robot than what stands on the table"


def test_the_start_posture_of_libero_puts_the_hand_where_robosuite_has_it() -> None:
    # robosuite 1.4.1, measured: grip site 0.4515, 0, 0.2613 m from the base, which lies 6.9 mm nearer to the palm than our pinch point.
    hand = kinematics("panda").forward(np.array(load_rig("libero").robot_qpos))
    assert np.allclose(hand.pos, (0.4515, 0.0, 0.2613 - 0.0069), atol=6e-4)
    assert np.allclose(hand.quat, (0.0, 0.99960, 0.0, -0.02840), atol=3e-4), "and turned as its eef_quat says"


def test_fingers_of_droid_open_to_the_sides_although_the_hand_is_mounted_askew() -> None:
    hand = kinematics("panda").forward(np.array(load_rig("droid").robot_qpos))
    assert np.allclose(np.abs(to_matrix(hand.quat)[:, 1]), (0.0, 1.0, 0.0), atol=1e-6)


def test_another_control_takes_the_rate_of_the_rig_and_its_own_scale() -> None:
    droid = load_rig("droid")
    robot = catalog.load("robot", "panda")
    assert droid.apply(episode()).control.components[0].scale == 0.2
    assert droid.apply(episode(), "joint_position").control == action_spec(robot, "joint_position", 15.0)
    assert droid.apply(episode(), "ee_delta").control == action_spec(robot, "ee_delta", 15.0)


def test_a_rig_is_of_one_robot_and_comes_before_variations() -> None:
    with pytest.raises(BadSpec, match="the rig 'libero' is one of 'panda', and the episode is of 'jaco': choose --robot panda"):
        load_rig("libero").apply(replace(episode(), robot="jaco"))
    with pytest.raises(BadSpec, match="varied along 'camera' before; the rig comes first"):
        load_rig("libero").apply(replace(episode(), axes=(("camera", 1),)))


# ------------------------------------------------------------------------------------------------------------------ how it moves
def test_the_world_takes_displacements_of_another_scale_and_nothing_else_that_differs() -> None:
    own = action_spec(catalog.load("robot", "panda"), "ee_delta")
    other = rescaled(own, {"translation": 0.01})
    assert is_control_of(other, own) and not is_control_of(replace(own, name="mine"), own)
    gripper = replace(own.components[2], scale=2.0)
    assert not is_control_of(replace(own, components=(*own.components[:2], gripper)), own)
    assert not is_control_of(replace(own, components=own.components[:2]), own)
    with pytest.raises(UnknownName, match="no component of ee_delta is called 'joints'"):
        rescaled(own, {"joints": 0.1})
    with pytest.raises(BadSpec, match="the scale of 'translation' in ee_delta is -1; it must be more than 0"):
        rescaled(own, {"translation": -1.0})
    with pytest.raises(BadSpec, match="'gripper' of ee_delta is no displacement"):
        rescaled(own, {"gripper": 2.0})
    world = make_world(WorldOptions(render=False))
    with pytest.raises(BadSpec, match="the spec's control is not this version's 'ee_delta': its components differ"):
        world.start(replace(episode(), control=replace(own, components=(*own.components[:2], gripper))))


@pytest.mark.parametrize("axis", range(3))
def test_a_full_action_at_libero_moves_the_hand_as_its_controller_does_in_steady_motion(axis: int) -> None:
    # robosuite 1.4.1 at 20 Hz, steps 9 to 12 of a full command: x 12.3, y 13.1, z 12.7 mm a step.
    world = make_world(WorldOptions(render=False))
    world.start(load_rig("libero").apply(episode()))
    action = np.zeros(7, np.float32)
    action[axis], action[6] = 1.0, -1.0
    places = []
    for _ in range(12):
        world.advance(action)
        places.append(world.observe(()).proprio["ee_pos_base_m"])
    moved = np.diff(np.array(places), axis=0)[8:]
    assert np.allclose(1e3 * moved[:, axis], (12.3, 13.1, 12.7)[axis], atol=0.8)
    assert np.abs(np.delete(moved, axis, axis=1)).max() < 1e-3


def test_the_expert_solves_an_episode_at_libero() -> None:
    world = make_world(WorldOptions(render=False))
    for task in ("stack", "open_drawer"):
        played = play_episode(world, load_rig("libero").apply(episode(task)), load_policy("expert", {}))
        assert played.result.outcome == "success", played.result


class JointSpeaker:
    """The expert, who says what he wants as a checkpoint of DROID does: velocities, or positions, of joints and 1 for a closed gripper."""

    def __init__(self, profile: str) -> None:
        found = load_profile(profile)
        wanted = ("ee_target_pos_base_m", 3), ("ee_target_quat_base_wxyz", 4), ("ee_pos_base_m", 3), ("ee_quat_base_wxyz", 4)
        arrays = (*wanted, ("gripper_opening_m", 1), ("gripper_command", 1))
        state = (*found.observation.state, *(StateComponent(name=name, size=size) for name, size in arrays))
        observation = ObservationSpec(images=(), state=state, rate_hz=found.observation.rate_hz)
        self.spec: PolicySpec = replace(found.spec("speaker", chunk_steps=1), observation=observation, privileged=True)
        self._is_absolute = profile == "droid_jointpos"

    def reset(self, context: EpisodeContext) -> None:
        assert context.spec is not None
        self._performer = Performer(context.spec, catalog.load("task", context.spec.task).plan(context.spec))
        self._joints: np.ndarray | None = None
        self._hand = action_spec(catalog.load("robot", "panda"), "ee_delta", 15.0)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        return {slot: self._act(seen) for slot, seen in observations.items()}

    def close(self) -> None:
        """Holds nothing."""

    def _act(self, seen: Observation) -> ActionChunk:
        askew = np.array([0.0] * 6 + [np.pi / 4])
        if self._joints is None:  # from then on it remembers what it asked for
            self._joints = seen.proprio["joint_position"].astype(np.float64) + askew
        wish = action_towards(self._performer.step(seen), seen, self._hand)
        here = pose(seen.proprio["ee_target_pos_base_m"].tolist(), seen.proprio["ee_target_quat_base_wxyz"].tolist())
        target = Pose(here.pos + 0.05 * wish[:3], multiply(from_axis_angle((0.25 * wish[3:6]).tolist()), here.quat))
        change = np.clip(kinematics("panda").step(self._joints, target) - self._joints, -0.14, 0.14)
        self._joints = self._joints + change
        values = self._joints - askew if self._is_absolute else change / 0.2
        assert self.spec.action is not None
        return ActionChunk(values=np.append(values, float(wish[6] > 0))[None].astype(np.float32), spec=self.spec.action)


@pytest.mark.parametrize("profile", ["droid", "droid_jointpos"])
def test_an_expert_who_speaks_as_droid_does_solves_an_episode_at_its_rig(profile: str) -> None:
    world = make_world(WorldOptions(render=False))
    control = "joint_position" if profile == "droid_jointpos" else "default"
    played = play_episode(world, load_rig("droid").apply(episode(), control), JointSpeaker(profile))
    assert played.result.outcome == "success", played.result


@pytest.mark.slow
@pytest.mark.parametrize("task", ["place_on", "stack", "open_drawer"])
def test_an_expert_who_speaks_as_droid_does_solves_most_episodes(task: str) -> None:
    world = make_world(WorldOptions(render=False))
    played = [play_episode(world, load_rig("droid").apply(episode(task, seed)), JointSpeaker("droid")) for seed in range(10)]
    assert sum(p.result.outcome == "success" for p in played) >= 9


# -------------------------------------------------------------------------------------------------------------------- in suites
def test_a_suite_at_a_rig_bears_its_name_and_comes_back_from_a_header() -> None:
    smoke = load_suite("smoke")
    at = smoke.restrict(rig="libero", episodes=1)
    assert at.name == "smoke@libero" and {e.rig for e in at.entries} == {"libero"}
    plain = suite_to_plain(at)
    assert plain["entry"][0]["rig"] == "libero" and suite_from_plain(plain, "header") == at
    assert "rig" not in suite_to_plain(smoke)["entry"][0], "what has no rig is written as before"
    assert at.restrict(rig="libero").name == "smoke@libero" and at.restrict(rig="none").name == "smoke"
    assert at.check().restrict(rig="droid").name == "smoke@droid"
    assert [e.first_seed for e in at.in_season("spring").entries] == [e.first_seed for e in smoke.in_season("spring").entries]


def test_a_suite_that_ships_is_known_at_a_rig_that_ships_and_at_no_other(tmp_path: Path) -> None:
    smoke = load_suite("smoke")
    assert _suite(smoke.restrict(rig="libero")) == [] == _suite(smoke.in_season("spring").restrict(rig="droid"))
    (part,) = _suite(smoke.restrict(rig="libero", episodes=1))
    assert "these are not the episodes of the suite 'smoke@libero' as it ships (3 episodes there, 30 here)" in part
    (other,) = _suite(smoke.restrict(rig=str(changed(tmp_path, "width = 256", "width = 128"))))
    assert other == "the rig 'mine.toml' is none that ships: nobody but its author says what is in it"


def test_episodes_of_an_entry_at_a_rig_are_those_of_the_entry_moved_there() -> None:
    entry = Entry(task="stack", episodes=1, catalogue="core", rig="libero")
    assert entry.sample(0) == load_rig("libero").apply(episode())
    varied = replace(entry, axes=("lighting",)).sample(0)
    assert varied.base == entry.sample(0).digest(), "the twin stands at the rig, too"


def test_where_the_camera_of_a_rig_does_not_see_what_is_named_another_seed_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = {0: "hidden"}
    monkeypatch.setattr(Rig, "complaint", lambda self, spec: hidden.get(spec.seed))
    entry = Entry(task="stack", episodes=2, rig="libero")
    asked: list[int] = []

    def draw(task: str, *, seed: int, **options: object) -> EpisodeSpec:
        asked.append(seed)
        return replace(episode(), seed=seed)

    spares = [entry.sample(0, draw).seed for _ in range(2)]
    assert spares[0] == spares[1] and 900_000 <= spares[0] < FIRST_DEMO_SEED and asked[:2] == [0, spares[0]]
    assert entry.sample(1, draw).seed == 1
    for first, last in ((900_000_000, FIRST_SEASON_SEED), (2 * 10**12, 3 * 10**12)):
        seed = FIRST_DEMO_SEED if last == FIRST_SEASON_SEED else FIRST_SEASON_SEED
        hidden[seed] = "hidden"
        assert first <= entry.sample(seed, draw).seed < last, "and serves the same: tests, demonstrations or seasons"
    monkeypatch.setattr(Rig, "complaint", lambda self, spec: f"{spec.seed} is hidden")
    with pytest.raises(Unsatisfiable, match="'stack' with seed 1 cannot be played at the rig 'libero', nor can 5 others: 1 is hidden"):
        entry.sample(1, draw)


def test_a_rig_of_another_robot_is_refused_before_anything_is_sampled() -> None:
    suite = Suite(name="tiny", version=1, entries=(Entry(task="stack", episodes=1),))
    with pytest.raises(BadData, match=r"tiny@libero, entry 1 \(stack\): the rig 'libero' is one of 'panda', and the entry is of 'jaco'"):
        suite.restrict(robot="jaco", rig="libero").check()
    with pytest.raises(UnknownName, match="no rig is called 'libra'.*libero"):
        suite.restrict(rig="libra").check()


# ---------------------------------------------------------------------------------------------------------------------- as files
def changed(folder: Path, old: str, new: str) -> Path:
    text = (Path(__file__).parents[2] / "benchmark/rigs/libero.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "mine.toml"
    path.write_text(text.replace('name = "libero"', 'name = "mine"', 1).replace(old, new), encoding="utf-8")
    return path


def test_a_rig_of_ones_own_is_the_path_of_a_file(tmp_path: Path) -> None:
    path = changed(tmp_path, "width = 256", "width = 128")
    assert load_rig(str(path)).camera[0].width == 128
    assert Entry(task="stack", episodes=1, rig=str(path)).sample(0).scene.cameras[0].width == 128
    assert load_suite("smoke").restrict(rig=str(path)).name == "smoke@mine.toml"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "front"', 'name = "agentview"', "has no .* called front; it has: agentview, wrist"),
        ('name = "wrist"', 'name = "front"', "has two cameras of one name: front, front"),
        ("rate_hz = 20.0", "rate_hz = 0.0", "control.rate_hz = 0; it must be more than 0"),
        ("rotation = 0.112", "turning = 0.112", "no component of ee_delta is called 'turning'"),
        ("rotation = 0.112", "gripper = 0.112", "'gripper' of ee_delta is no displacement"),
        ("robot_qpos = [0.0, ", "robot_qpos = [", "has 6 joint positions; 'panda' has 7 joints"),
        ("horizon_factor", "horizon_share", "rig has an unknown key 'horizon_share'"),
        ('name = "mine"', 'name = "yours"', "calls its rig 'yours'; a rig bears the name of its file, 'mine'"),
        ("[control]", "[control", "is not TOML"),
    ],
)
def test_a_rig_that_cannot_be_says_why(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = changed(tmp_path, "fovy_deg = 45.0", "fovy_deg = 46.0")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises((BadData, UnknownName), match=told):
        read_rig(path)


def test_an_absent_rig_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="none.toml cannot be read: No such file"):
        load_rig(str(tmp_path / "none.toml"))
    with pytest.raises(UnknownName, match="no rig is called 'driod'.*droid.*One of your own is written as the path of its .toml file"):
        load_rig("driod")


def test_views_of_several_sizes_share_a_sheet() -> None:
    sheet = contact_sheet([np.zeros((4, 8, 3), np.uint8), np.ones((6, 6, 3), np.uint8)], columns=2, gap=1)
    assert sheet.shape == (6, 17, 3) and (sheet[:4, :8] == 0).all() and (sheet[4:, :8] == 255).all() and (sheet[:, 9:15] == 1).all()


def test_a_gymnasium_environment_says_that_an_episode_of_a_rig_moves_otherwise() -> None:
    from vlagym.envs.env import VlaEnv

    env = VlaEnv("stack", cameras=("front", "wrist"), image_size=(256, 256))
    with pytest.raises(BadSpec, match=r"translation\[3\] of 0.0128 m, .* this environment by .*translation\[3\] of 0.05 m"):
        env.reset(options={"spec": load_rig("libero").apply(episode())})
    env.close()
