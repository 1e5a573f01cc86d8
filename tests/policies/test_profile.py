"""Profiles are data that is checked: each connects with the episodes of its rig or robot, or is refused with the reason that its file states."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world
from vlagym.benchmark.rig import load_rig, rig_names
from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadData, BadSpec, ConventionMismatch, UnknownName
from vlagym.envs.proprioception import state_components
from vlagym.envs.sampling import sample
from vlagym.envs.types import ActionChunk, ActionSpec, Base, CameraSpec, ImageComponent, Observation, ObservationSpec
from vlagym.policies.conventions import Pipeline, connect
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import Profile, load_profile, profile_names, read_profile
from vlagym.policies.wire import gr00t_modality, names, openpi, rest

PLAYED_AT: dict[str, tuple[str, str, str]] = {
    "vlagym": ("panda", "", "ee_delta"),
    "libero": ("panda", "libero", "default"),
    "libero_rlds": ("panda", "libero", "default"),
    "openvla_libero": ("panda", "libero", "default"),
    "bridge_widowx": ("panda", "", "ee_delta"),
    "bridge_widowx_rt1": ("panda", "", "ee_delta"),
    "octo": ("panda", "", "ee_delta"),
    "droid": ("panda", "droid", "default"),
    "droid_jointpos": ("panda", "droid", "joint_position"),
    "rt1_google": ("panda", "droid", "ee_delta"),
    "gr00t_g1": ("g1", "", "joint_position_fingers"),
}
"""Profile -> robot, rig and control of episodes that take it. Those that are absent have none."""

NOTHING = Observation(images={}, proprio={}, instruction="", time_s=0.0)


@cache
def environment(robot: str, rig: str, control: str) -> tuple[ActionSpec, ObservationSpec]:
    """Returns what an episode of that kind takes and sends; nothing is simulated."""
    body = catalog.load("robot", robot)
    base: Base = "planar" if robot == "g1" else "fixed"
    action = load_rig(rig).control.spec(body, control) if rig else action_spec(body, control, base=base)
    cameras: dict[str, CameraSpec] = {c.name: c for c in (*body.views, *body.cameras)}
    cameras |= {c.name: c for c in load_rig(rig).camera} if rig else {}
    front = ImageComponent(name="front", width=256, height=256)
    images = {"front": front} | {c.name: ImageComponent(name=c.name, width=c.width, height=c.height) for c in cameras.values()}
    return action, ObservationSpec(images=tuple(images.values()), state=state_components(body, base), rate_hz=action.rate_hz)


def pipeline(name: str, profile: Profile | None = None) -> Pipeline:
    return connect((profile or load_profile(name)).spec("foreign"), *environment(*PLAYED_AT[name]))


def drive(name: str, *rows: list[float]) -> np.ndarray:
    """Returns what the environment is asked for where a policy of the profile sends these actions."""
    chunk = ActionChunk(values=np.array(rows, np.float32), spec=load_profile(name).action)
    return np.asarray(pipeline(name).open().drive(chunk, NOTHING))


def executed(name: str, *rows: list[float]) -> np.ndarray:
    """Returns what the environment executes of that, step by step of its own."""
    link = pipeline(name).open()
    chunk = ActionChunk(values=np.array(rows, np.float32), spec=load_profile(name).action)
    return np.concatenate([link.spread(row) for row in link.drive(chunk, NOTHING)])


def shown(name: str, image: np.ndarray, proprio: dict[str, list[float]]) -> Observation:
    """Returns what a policy of the profile is shown of an observation."""
    arrays = {k: np.array(v, np.float32) for k, v in proprio.items()}
    cameras = {c: image for c in ("front", "wrist", "head")}
    return pipeline(name).open().show(Observation(images=cameras, proprio=arrays, instruction="stack them", time_s=0.0))


# ------------------------------------------------------------------------------------------------------------------------ all
@pytest.mark.parametrize("name", profile_names())
def test_a_profile_loads_says_where_it_is_from_and_comes_back_from_plain_data(name: str) -> None:
    profile = load_profile(name)
    assert profile.about and profile.sources
    assert Profile.from_plain(json.loads(json.dumps(profile.to_plain()))) == profile
    assert profile.rig is None or profile.rig == PLAYED_AT[name][1] in rig_names()


@pytest.mark.parametrize("name", [n for n in profile_names() if n in PLAYED_AT])
def test_a_profile_connects_with_the_episodes_of_its_rig_or_robot(name: str) -> None:
    made = pipeline(name)
    assert len(made.actions) == len(made.environment.components)
    assert made.repeats * load_profile(name).action.rate_hz == pytest.approx(made.environment.rate_hz)


def test_nothing_here_plays_aloha_and_the_profile_says_so() -> None:
    aloha = load_profile("aloha")
    assert "No robot here has arms of six joints" in aloha.gaps[0] and "No robot here can play it" in aloha.about
    for robot, control in (("panda_bimanual", "joint_position"), ("g1", "joint_position")):
        with pytest.raises(ConventionMismatch, match="action left_arm: size 6 is not 7"):
            connect(aloha.spec("aloha"), *environment(robot, "", control))


def test_a_real_episode_of_each_rig_takes_its_profile() -> None:
    world = make_world(WorldOptions(render=False))
    for name in ("libero", "droid"):
        spec = load_rig(name).apply(sample("stack", seed=0, catalogue="core"))
        world.start(spec)
        assert connect(load_profile(name).spec("foreign"), spec.control, world.observation_spec()).describe() == pipeline(name).describe()


@pytest.mark.parametrize("name", profile_names())
def test_the_wire_tables_of_a_profile_are_such_as_its_adapters_read(name: str) -> None:
    profile = load_profile(name)
    spec = profile.spec("foreign")
    read = {"rt1"}  # by the adapter of the SavedModel, which has no messages
    for dialect in get_args(openpi.Dialect):
        if dialect in profile.wire:
            default = openpi.default_names(dialect, profile.action, profile.observation)
            names.read_names(profile.wire[dialect], default, profile.action, profile.observation, name)
            read.add(dialect)
    if "oft" in profile.wire:
        rest.layout("oft", profile.wire["oft"], profile.action, profile.observation, name)
        read.add("oft")
    if "gr00t" in profile.wire:
        keys = gr00t_modality.keys_of(spec, profile.wire["gr00t"], None, name)
        assert sum(piece.size for piece in keys.action) == profile.action.size
        read.add("gr00t")
    assert set(profile.wire) <= read, "each table is one that somebody reads"


# --------------------------------------------------------------------------------------------------------------------- libero
def test_the_state_of_libero_is_that_of_its_world_by_robosuites_formula() -> None:
    half = math.sqrt(0.5)
    # The hand looks down, turned by 90 degrees about the vertical: half a turn about (1, 1, 0).
    felt = {"ee_pos_base_m": [0.5, 0.1, 0.2], "ee_quat_base_wxyz": [0.0, half, half, 0.0], "gripper_opening_m": [0.06]}
    state = shown("libero", np.zeros((256, 256, 3), np.uint8), felt).proprio["state"]
    angle = math.pi * half
    assert np.allclose(state, [-0.16, 0.1, 1.1069, angle, angle, 0.0, 0.03, -0.03], atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_rotation_of_libero_does_not_jump_where_the_hand_leans_a_little_to_either_side(sign: float) -> None:
    lean = 0.1
    states = []
    for w in (math.sin(lean / 2), -math.sin(lean / 2)):
        # What robosuite has: x is positive, w crosses 0, and the angle goes beyond half a turn. Ours may come with the other sign.
        quat = (sign * np.array([w, math.sqrt(1.0 - w * w), 0.0, 0.0])).tolist()
        felt = {"ee_pos_base_m": [0.5, 0.0, 0.2], "ee_quat_base_wxyz": quat, "gripper_opening_m": [0.0]}
        states.append(shown("libero", np.zeros((256, 256, 3), np.uint8), felt).proprio["state"])
    assert np.allclose(states[0][3:6], [math.pi - lean, 0.0, 0.0], atol=1e-5)
    assert np.allclose(states[1][3:6], [math.pi + lean, 0.0, 0.0], atol=1e-5)


def test_the_state_of_libero_at_its_start_is_robosuites() -> None:
    world = make_world(WorldOptions(render=False))
    rig = load_rig("libero")
    spec = replace(rig.apply(sample("stack", seed=0, catalogue="core")), robot_qpos=rig.robot_qpos)
    world.start(spec)
    link = connect(load_profile("libero").spec("foreign"), spec.control, replace(world.observation_spec(), images=pipeline_images())).open()
    felt = world.observe(())
    state = link.show(replace(felt, images={c: np.zeros((256, 256, 3), np.uint8) for c in ("front", "wrist")})).proprio["state"]
    # robosuite 1.4.1, measured in LIBERO's posture: 0.4515, 0, 0.2613 m from a base at (-0.66, 0, 0.912); here the base stands at table height.
    assert np.allclose(state[:3], [-0.66 + 0.4515, 0.0, 0.90 + 0.2613], atol=1e-3)
    # eef_quat xyzw 0.99960, 0.00025, -0.02840, -0.00001
    assert np.allclose(state[3:6], [math.pi * 0.99960, 0.0, -math.pi * 0.02840], atol=2e-3)
    assert np.allclose(state[6:], [0.04, -0.04], atol=1e-3), "open"


def pipeline_images() -> tuple[ImageComponent, ...]:
    return tuple(ImageComponent(name=name, width=256, height=256) for name in ("front", "wrist"))


@pytest.mark.parametrize("name", ["libero", "libero_rlds", "openvla_libero"])
def test_libero_sees_both_views_mirrored_and_not_turned(name: str) -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:128, :128] = 255  # upper left
    seen = shown(name, image, {"ee_pos_base_m": [0.0] * 3, "ee_quat_base_wxyz": [0.0, 1.0, 0.0, 0.0], "gripper_opening_m": [0.0]}).images
    assert list(seen) == (["image"] if name == "openvla_libero" else ["image", "wrist_image"])
    for picture in seen.values():
        side = picture.shape[0]
        bright = picture.astype(float).mean(axis=2) > 200
        assert bright[side // 8, -side // 8] and not bright[side // 8, side // 8] and not bright[-side // 8].any(), "upper right"


@pytest.mark.parametrize(("name", "opened", "closed"), [("libero", -1.0, 1.0), ("libero_rlds", 1.0, 0.0), ("openvla_libero", 1.0, 0.0)])
def test_the_gripper_of_libero_opens_and_closes_the_right_way(name: str, opened: float, closed: float) -> None:
    asked = drive(name, [0.0] * 6 + [opened], [0.0] * 6 + [closed])
    assert asked[:, 6].tolist() == [-1.0, 1.0]


def test_of_liberos_gripper_the_sign_counts_and_0_leaves_it_as_it_is() -> None:
    asked = executed("libero", *([0.0] * 6 + [g] for g in (0.0, 0.1, 0.0, -0.02, 0.0, 1e-3)))
    assert asked[:, 6].tolist() == [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    for name in ("libero", "libero_rlds", "openvla_libero"):
        assert any("0.4 s from open to closed" in gap for gap in load_profile(name).gaps)


def test_an_action_of_libero_is_passed_on_at_its_rig_and_scaled_elsewhere() -> None:
    action = [1.0, -0.5, 0.0, 0.25, 0.0, -1.0, -1.0]
    assert drive("libero", action)[0].tolist() == pytest.approx(action)
    link = connect(load_profile("libero").spec("foreign"), *environment("panda", "", "ee_delta")).open()
    chunk = ActionChunk(values=np.array([action], np.float32), spec=load_profile("libero").action)
    elsewhere = link.drive(chunk, NOTHING)[0]
    assert elsewhere[:3] == pytest.approx([0.256, -0.128, 0.0], abs=1e-6), "12.8 mm of 50"
    assert elsewhere[3:6] == pytest.approx([0.112, 0.0, -0.448], abs=1e-6), "0.112 rad of 0.25"


# ---------------------------------------------------------------------------------------------------------------------- droid
def test_velocities_of_droid_are_passed_on_and_its_gripper_closes_above_a_half() -> None:
    asked = drive("droid", [1.0, -0.5, 0, 0, 0, 0, 0.25, 0.4], [0] * 7 + [0.6])
    assert asked[0, :7].tolist() == pytest.approx([1.0, -0.5, 0, 0, 0, 0, 0.25]) and asked[:, 7].tolist() == [-1.0, 1.0]


def test_droid_hears_and_tells_its_last_joint_an_eighth_of_a_turn_less() -> None:
    joints = [0.1, 0.2, 0.3, -2.0, 0.5, 1.6, 1.0]
    felt = {"joint_pos_rad": joints, "gripper_opening_m": [0.08]}
    seen = shown("droid", np.zeros((180, 320, 3), np.uint8), felt)
    assert np.allclose(seen.proprio["joint_position"], [*joints[:6], 1.0 - math.pi / 4], atol=1e-6)
    assert np.allclose(seen.proprio["gripper_position"], [0.0], atol=1e-6)
    felt["gripper_opening_m"] = [0.0]
    assert np.allclose(shown("droid", np.zeros((180, 320, 3), np.uint8), felt).proprio["gripper_position"], [1.0], atol=1e-6)
    asked = drive("droid_jointpos", [*joints[:6], 1.0 - math.pi / 4, 1.0])
    assert np.allclose(asked[0], [*joints, 1.0], atol=1e-6), "and what it says so comes back as it is"


def test_pictures_of_droid_keep_their_sides_within_black_borders() -> None:
    felt = {"joint_pos_rad": [0.0] * 7, "gripper_opening_m": [0.0]}
    seen = shown("droid", np.full((180, 320, 3), 200, np.uint8), felt).images
    for picture in (seen["exterior_image_1_left"], seen["wrist_image_left"]):
        assert picture.shape == (224, 224, 3) and picture[:49].max() == 0 and picture[-49:].max() == 0 and picture[49:-49].min() == 200


# --------------------------------------------------------------------------------------------------------------------- others
def test_an_action_of_bridge_lasts_four_steps_and_its_gripper_counts_by_halves() -> None:
    steps = executed("bridge_widowx", [0.02, 0, 0, 0, 0, 0.2, 0.9])
    assert steps.shape == (4, 7)
    assert steps[:, :3].sum(axis=0) * 0.05 == pytest.approx([0.02, 0.0, 0.0], abs=1e-6), "metres"
    assert steps[:, 3:6].sum(axis=0) * 0.25 == pytest.approx([0.0, 0.0, 0.2], abs=1e-6), "rad"
    assert (steps[:, 6] == -1.0).all(), "1 is open there"


def test_rt1_x_on_bridge_is_heard_in_its_own_numbers_and_closes_above_0() -> None:
    rest = [0.0] * 6
    steps = executed("bridge_widowx_rt1", [0.35, -3.0, 0, 0.7, 0, 0, 0.2, *rest], [0] * 6 + [-0.2, *rest])
    assert steps[:4, :3].sum(axis=0) * 0.05 == pytest.approx([0.01, -0.05, 0.0], abs=1e-6), "0.35 of 1.75 are 10 mm; more than 1.75 is 50"
    assert steps[:4, 3:6].sum(axis=0) * 0.25 == pytest.approx([0.125, 0.0, 0.0], abs=1e-6), "0.7 of 1.4"
    assert steps[:, 6].tolist() == [1.0] * 4 + [-1.0] * 4
    assert "RT-1-X" not in load_profile("bridge_widowx").about and "bridge_widowx_rt1" in load_profile("bridge_widowx").gaps[0]


def test_aloha_is_told_of_its_grippers_in_shares_as_it_says_them() -> None:
    (state,) = load_profile("aloha").observation.state
    hands = [part for part in state.parts if part.array.endswith("hand_opening_m")]
    assert len(hands) == 2 and all(0.0791 * hand.gain == pytest.approx(1.0, abs=1e-3) for hand in hands), "twice 0.058 less 0.01844 m"
    assert any("is a guess" in gap for gap in load_profile("aloha").gaps)


def test_the_google_robot_closes_by_so_much_further_and_hears_each_command() -> None:
    zeros, rest = [0.0] * 6, [0.0] * 6
    asked = executed("rt1_google", *([*zeros, g, *rest] for g in (0.4, 0.4, 0.4, 0.0, -1.0, 0.009)))
    assert asked.shape == (30, 7) and asked[::5, 6].tolist() == pytest.approx([-0.2, 0.6, 1.0, 1.0, -1.0, -1.0]), "as rt1_model.py adds them up"
    long = executed("rt1_google", [1.0, *zeros[1:], 0.0, *rest])
    assert long[:, 0].tolist() == [1.0] * 5, "an arm does no metre in a third of a second: it is clipped to what the environment takes"


def test_the_g1_of_gr00t_moves_arms_fingers_waist_and_base() -> None:
    values = [*np.linspace(0.0, 0.3, 31).tolist(), -0.2, 0.4, 0.0, 0.1]
    asked = drive("gr00t_g1", values)[0]
    spec = environment(*PLAYED_AT["gr00t_g1"])[0]
    there = spec.slices()
    assert asked[there["left_arm"]] == pytest.approx(np.clip(values[:7], spec.low[there["left_arm"]], spec.high[there["left_arm"]]), abs=1e-6)
    assert asked[there["navigate_command"]] == pytest.approx([0.4, 0.0, 0.1], abs=1e-6)
    assert pipeline("gr00t_g1").ignored == ("base_height_command",)


def test_octo_is_shown_the_last_picture_and_the_present_one() -> None:
    assert load_profile("octo").spec("octo").history == (-1, 0)


# ------------------------------------------------------------------------------------------------------------- specs of policies
def test_the_spec_of_a_profile_is_what_its_policy_declares() -> None:
    spec = load_profile("libero").spec("pi0", card={"url": "ws://here"}, runs_in_worker=False)
    assert (spec.name, spec.profile, spec.chunk_steps, spec.execute_steps, spec.runs_in_worker) == ("pi0", "libero", 10, 5, False)
    assert spec.card == {"url": "ws://here"}
    assert load_profile("libero").spec("pi0", chunk_steps=3).execute_steps == 3, "not more than there are"
    assert load_profile("libero").spec("pi0", execute_steps=10).execute_steps == 10
    with pytest.raises(BadData, match="11 actions of each chunk are to be executed, and a chunk of 'pi0' has 10: say execute = 1 to 10"):
        load_profile("libero").spec("pi0", execute_steps=11)


@pytest.mark.parametrize("name", profile_names())
def test_the_profile_of_a_policy_says_what_the_policy_declares(name: str) -> None:
    spec = load_profile(name).spec("served")
    again = Profile.of(spec)
    assert replace(again.spec("served"), profile_digest=spec.profile_digest) == spec and again.name == name, "but for names on wires"


def test_our_own_model_has_a_profile_and_policies_without_conventions_have_none() -> None:
    minivla = Profile.of(load_policy("minivla", {}).spec)
    assert minivla.name == "minivla" and minivla.action.name == "ee_delta" and Profile.from_plain(minivla.to_plain()) == minivla
    with pytest.raises(BadSpec, match="policy 'hold' takes whatever actions the environment has: it has no conventions of its own"):
        Profile.of(load_policy("hold", {}).spec)
    with pytest.raises(BadSpec, match="policy 'expert' reads the true state"):
        Profile.of(load_policy("expert", {}).spec)


def test_what_a_profile_does_not_say_is_left_out_of_its_plain_data() -> None:
    bare = Profile(name="bare", action=load_profile("vlagym").action, observation=load_profile("vlagym").observation)
    assert set(bare.to_plain()) == {"name", "action", "observation"}


# ------------------------------------------------------------------------------------------------------------------------ files
MINE = """
name = "mine"
[action]
name = "mine"
rate_hz = 20.0
[[action.components]]
name = "translation"
size = 3
convention = "delta_position"
frame = "base"
unit = "m"
scale = 0.05
low = [-1.0, -1.0, -1.0]
high = [1.0, 1.0, 1.0]
[[observation.images]]
name = "front"
width = 256
height = 256
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_profile_of_ones_own_is_a_file_that_may_leave_out_what_is_usual(tmp_path: Path) -> None:
    mine = load_profile(str(written(tmp_path, MINE)))
    assert (mine.observation.rate_hz, mine.observation.state, mine.chunk_steps, mine.rig) == (20.0, (), 1, None)
    assert mine.observation.images[0].orientation == "upright"


def test_the_page_on_profiles_names_every_profile_and_its_example_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/profiles.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.M)) == profile_names()
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    mine = load_profile(str(written(tmp_path, example)))
    action, observation = environment("panda", "", "ee_delta")
    assert connect(mine.spec("mine"), action, observation).repeats == 4


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('unit = "m"', 'units = "m"', r"profile.action.components\[0\] has an unknown key 'units'. Known: name, size, convention"),
        ('name = "mine"\n[action]', 'name = "mine"\nrigg = "libero"\n[action]', "profile has an unknown key 'rigg'. Known: name, about"),
        ("width = 256", 'width = 256\nfit = "shrink"', r"observation.images\[0\].fit is 'shrink'; it must be one of 'exact', 'stretch', 'pad'"),
        ("high = [1.0, 1.0, 1.0]", "high = [1.0, 1.0]", "declares action 'translation' with 3 numbers, and 3 of low and 2 of high"),
        ("rate_hz = 20.0", "rate_hz = 0.0", "acts at 0 Hz; the rate must be 0.1 to 1000 Hz"),
        ('name = "mine"\n[action]', 'name = "mine"\nexecute_steps = 2\n[action]', "executes 2 of 1 actions; it must be 1 to chunk_steps"),
        ("[[obs", "[normalisation.translation]\nkind = 'min_max'\nfirst = [0.0]\nsecond = []\n[[obs", "as many first as second"),
        ('name = "mine"\n[action]', 'name = "yours"\n[action]', "calls its profile 'yours'; a profile bears the name of its file, 'mine'"),
        ("[action]", "[action", "is not TOML"),
        ("[[obs", '[[observation.images]]\nname = "front"\nwidth = 1\nheight = 1\n[[obs', "two parts of one name: image 'front'"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_says_why(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in MINE
    path = written(tmp_path, MINE.replace(old, new, 1))
    with pytest.raises(BadData, match=told) as caught:
        read_profile(path)
    assert str(path) in str(caught.value)


def test_a_rig_that_a_profile_names_must_exist(tmp_path: Path) -> None:
    def named(rig: str) -> Path:
        return written(tmp_path, MINE.replace('name = "mine"\n', f'name = "mine"\nrig = "{rig}"\n', 1))

    assert read_profile(named("libero")).rig == "libero"
    with pytest.raises(BadData, match="mine.toml: no rig is called 'libreo'. Did you mean libero.*The profile 'mine' names it; one of your own"):
        read_profile(named("libreo"))
    with pytest.raises(BadData, match="names the rig 'station.toml', and there is no file .*station.toml"):
        read_profile(named("station.toml"))
    (tmp_path / "station.toml").write_text("", encoding="utf-8")
    mine = read_profile(named("station.toml"))
    assert mine.rig == mine.spec("mine").rig == str(tmp_path / "station.toml"), "seen from the profile's file"
    assert Profile.of(mine.spec("mine")).rig == "station.toml", "others are not told where it lies"


def test_two_profiles_of_one_name_are_told_apart_by_all_but_their_prose(tmp_path: Path) -> None:
    mine = read_profile(written(tmp_path, MINE))
    same = replace(mine, name="yours", about="something", sources=("a paper",), gaps=("a gap",))
    assert same.digest() == mine.digest() == mine.spec("mine").profile_digest
    others = [replace(mine, rig="libero"), replace(mine, wire={"openpi": {"front": "a"}}), replace(mine, wire={"openpi": {"front": "b"}})]
    others += [replace(mine, clip=True), replace(mine, chunk_steps=2)]
    assert len({mine.digest(), *(other.digest() for other in others)}) == 6


def test_an_unknown_profile_is_answered_with_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="no profile is called 'libera'.*libero.*One of your own is written as the path of its .toml file"):
        load_profile("libera")


@pytest.mark.parametrize("data", [None, [], {}, {"name": "x", "action": None, "observation": None}, {"name": "x", "action": {}, "observation": {}}])
def test_plain_data_that_is_no_profile_is_refused(data: Any) -> None:
    with pytest.raises(BadData, match="^profile"):
        Profile.from_plain(data)
