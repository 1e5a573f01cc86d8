"""Buttons, knobs and switches: what the catalogue holds, what their files may say, and when they count as pressed or set."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs.controls import Control
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.fixtures import FixtureAsset, FixtureJoint, fixtures, load_fixture
from vlagym.envs.predicates import compile_predicate
from vlagym.envs.predicates.state import WorldState
from vlagym.envs.sampling import sample
from vlagym.envs.shapes.parts import bounds
from vlagym.envs.types import EpisodeSpec, Predicate
from vlagym.envs.world import World

CONTROLS = [(asset, joint, joint.control) for asset in fixtures().values() for joint in asset.joints if joint.control is not None]
IDS = [f"{asset.id}/{joint.name}" for asset, joint, _ in CONTROLS]
CONTROLLED = list({asset.id: asset for asset, _, _ in CONTROLS}.values())


# ------------------------------------------------------------------------------------------------------------------- the catalogue
def test_every_kind_of_control_comes_in_both_splits_and_in_several_colours() -> None:
    for kind in ("button", "knob", "lever", "rocker"):
        of_kind = {asset.id: asset for asset, _, control in CONTROLS if control.kind == kind}.values()
        assert {asset.split for asset in of_kind} == {"seen", "unseen"}, kind
        assert len({asset.colour for asset in of_kind}) >= 3, kind
    assert len(CONTROLLED) >= 30


@pytest.mark.parametrize("asset", CONTROLLED, ids=lambda asset: asset.id)
def test_things_on_one_fixture_can_be_told_apart(asset: FixtureAsset) -> None:
    said = [(joint.names, joint.colour, joint.label) for joint in asset.joints]
    assert len(set(said)) == len(said)
    assert len(asset.joints) == 1 or all(joint.names for joint in asset.joints)


@pytest.mark.parametrize(("asset", "joint", "control"), CONTROLS, ids=IDS)
def test_the_hand_works_on_what_is_there(asset: FixtureAsset, joint: FixtureJoint, control: Control) -> None:
    point = np.array(control.pos_m)
    assert any(np.all(low - 0.002 < point) and np.all(point < high + 0.002) for low, high in map(bounds, joint.collision))
    assert asset.size_m[2] < point[2] < asset.height_m + 1e-6


@pytest.mark.parametrize("name", [asset.id for asset in CONTROLLED])
def test_it_stays_at_its_setting_when_it_is_left_alone(name: str) -> None:
    asset = fixtures()[name]
    start = {j.name: c.settings[w] if (c := j.control) and (w := next(iter(c.settings), "")) else 0.0 for j in asset.joints}
    world = World(render=False)
    spec = _alone(asset, start)
    world.start(spec)
    for _ in range(40):
        facts = world.advance(np.zeros(7))
    drift = np.abs(facts.fixture_joint_pos - list(start.values()))
    assert all(d <= 0.5 * (j.control.tolerance or 0.002) for d, j in zip(drift, asset.joints, strict=True) if j.control)


# ------------------------------------------------------------------------------------------------------------------ what files say
PANEL, STOVE = "button_panel/panel_grey_two", "stove/stove_white"


def _changed(folder: Path, which: str, old: str, new: str) -> Path:
    text = assets.path(f"fixtures/{which}/fixture.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / which / "fixture.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("which", "old", "new", "message"),
    [
        (PANEL, "pressed_from = 0.005", "pressed_from = 0.05", r"pressed_from is 0\.05; it must lie within range_m, 0\.0 to 0\.008"),
        (PANEL, "pressed_from = 0.005", "", r"joint\[0\]\.control\.pressed_from is missing from a button; besides pos_m it has: pressed_from"),
        (PANEL, "pressed_from = 0.005", "tolerance = 0.1", r"pressed_from is missing from a button"),
        (PANEL, 'kind = "button"', 'kind = "knob"', r"bar_axis is missing from a knob; besides pos_m it has: bar_axis, settings, tolerance"),
        (PANEL, 'kind = "button"', 'kind = "buton"', r"control\.kind is 'buton'; it must be one of 'button', 'knob', 'lever', 'rocker'"),
        (PANEL, 'type = "slide"', 'type = "hinge"', r"is a button on a hinge; a button needs a slide"),
        (STOVE, "off = -1.2", "off = -3.0", r"settings\.off is -3\.0; it must lie within range_m"),
        (STOVE, "low = -0.4", "low = -1.0", r"settings\.off and low must ascend and lie further apart than twice the tolerance 0\.22"),
        (STOVE, "tolerance = 0.22", "tolerance = -0.1", r"tolerance is -0\.1; it must be above 0"),
        (STOVE, "bar_axis = [1.0, 0.0, 0.0]", "bar_axis = [1.0, 0.0, 1.0]", r"bar_axis is .*; it must be level and have length 1"),
        (STOVE, "armature = 0.0005", "armature = -1.0", r"armature is -1\.0; it must not be negative"),
        (STOVE, "[joint.control]", "[joint.contrl]", r"unknown key 'contrl'"),
    ],
)
def test_a_control_that_contradicts_itself_is_refused(tmp_path: Path, which: str, old: str, new: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        load_fixture(_changed(tmp_path, which, old, new))


def test_the_nearest_setting_is_known_within_the_tolerance_only() -> None:
    knob = fixtures()["stove_white"].joints[0].control
    assert knob is not None
    assert [knob.nearest_setting(q) for q in (-1.2, -0.5, 0.0, 0.6, 1.35)] == ["off", "low", None, "medium", "high"]
    button = fixtures()["panel_grey_two"].joints[0].control
    assert button is not None and button.nearest_setting(0.0) is None


# -------------------------------------------------------------------------------------------------------------------- predicates
@pytest.fixture(scope="module")
def kitchen() -> EpisodeSpec:
    return _alone(fixtures()["stove_white"], {"knob": -1.2}, fixtures()["panel_grey_two"])


def _alone(asset: FixtureAsset, start: Mapping[str, float], *others: FixtureAsset) -> EpisodeSpec:
    """Returns an episode with a fixture in front of the robot, and others to its left."""
    spec = sample("press_button", seed=800_000)
    base = spec.scene.fixtures[0]
    here = dataclasses.replace(base, name=asset.id, asset=asset.id, pos_world=(0.48, -0.1, 0.0), yaw_rad=0.0, joints=tuple(start.items()))
    there = [
        dataclasses.replace(base, name=a.id, asset=a.id, pos_world=(0.48, 0.2, 0.0), yaw_rad=0.0, joints=tuple((j.name, 0.0) for j in a.joints))
        for a in others
    ]
    scene = dataclasses.replace(spec.scene, props=(), fixtures=(here, *there))
    goal = (Predicate(name="touched", args=(asset.id,)),)
    return dataclasses.replace(spec, scene=scene, goal=goal, stages=goal, alternatives=())


def _holds(spec: EpisodeSpec, name: str, *args: str, touched: str = "", **joints: float) -> bool:
    state = WorldState(
        props={},
        held=frozenset(),
        fixture_joints={name.replace("__", "/"): value for name, value in joints.items()},
        find_touching=frozenset,
        ee_pos_world=np.zeros(3),
        touched_by_robot=frozenset({touched} - {""}),
        gripper_command=-1.0,
        find_speed_m_s=lambda prop: 0.0,
    )
    return bool(compile_predicate(Predicate(name=name, args=args), spec)(state))


def test_a_button_is_pressed_from_its_threshold_on(kitchen: EpisodeSpec) -> None:
    button = "panel_grey_two/red_button"
    assert not _holds(kitchen, "pressed", button, panel_grey_two__red_button=0.0049)
    assert _holds(kitchen, "pressed", button, panel_grey_two__red_button=0.0051)


def test_a_knob_is_set_within_the_tolerance_of_its_setting(kitchen: EpisodeSpec) -> None:
    knob = "stove_white/knob"
    for position, is_low in ((-0.4, True), (-0.2, True), (-0.61, True), (-0.15, False), (-0.65, False)):
        assert _holds(kitchen, "set_to", knob, "=low", stove_white__knob=position) is is_low
        assert _holds(kitchen, "turned_from", knob, "=low", stove_white__knob=position) is not is_low


def test_a_knob_is_set_only_once_it_is_let_go(kitchen: EpisodeSpec) -> None:
    knob = "stove_white/knob"
    assert not _holds(kitchen, "set_to", knob, "=low", touched="stove_white", stove_white__knob=-0.4), "it may be turned on past low"
    assert _holds(kitchen, "set_to", knob, "=low", touched="panel_grey_two", stove_white__knob=-0.4)
    assert not _holds(kitchen, "turned_from", knob, "=low", touched="stove_white", stove_white__knob=-0.4), "it has not left low either"


def test_a_switch_is_set_under_the_finger() -> None:
    found = next((a, j) for a, j, control in CONTROLS if control.kind == "rocker")
    asset, joint = found
    assert joint.control is not None
    setting, position = next(iter(joint.control.settings.items()))
    spec = _alone(asset, {j.name: 0.0 for j in asset.joints})
    assert _holds(spec, "set_to", f"{asset.id}/{joint.name}", f"={setting}", touched=asset.id, **{f"{asset.id}__{joint.name}": position})


@pytest.mark.parametrize(
    ("name", "args", "error", "message"),
    [
        ("set_to", ("stove_white/knob", "=hi"), UnknownName, r"no setting of stove_white/knob is called 'hi'.*high"),
        ("set_to", ("stove_white/knob", "high"), BadSpec, r"'high' names a thing; a word is written with a leading '='"),
        ("set_to", ("stove_white/nob", "=high"), UnknownName, r"no joint of 'stove_white' is called 'nob'\. Did you mean knob"),
        ("set_to", ("panel_grey_two/red_button", "=on"), BadSpec, r"is a button; it has no settings, so it cannot be set to 'on'"),
        ("pressed", ("stove_white/knob",), BadSpec, r"'stove_white/knob' cannot be pressed: it is a knob\. Speak of set_to"),
        ("pressed", ("stove_black/red_knob",), UnknownName, r"no fixture of the scene is called 'stove_black'"),
    ],
)
def test_what_cannot_be_asked_of_a_control_is_said(
    kitchen: EpisodeSpec, name: str, args: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compile_predicate(Predicate(name=name, args=args), kitchen)


def test_a_drawer_is_no_control(kitchen: EpisodeSpec) -> None:
    spec = _alone(fixtures()["cabinet_red"], {"drawer": 0.0})
    with pytest.raises(BadSpec, match=r"'cabinet_red/drawer' is neither button nor knob nor switch: its file has no \[joint\.control\]"):
        compile_predicate(Predicate(name="pressed", args=("cabinet_red/drawer",)), spec)


# ------------------------------------------------------------------------------------------------------------------------- scenes
@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", ["press_button", "turn_knob", "flip_switch"])
def test_goals_are_of_the_split_that_was_asked_for_and_differ(task: str, objects: str) -> None:
    for seed in range(801_000, 801_006):
        spec = sample(task, seed=seed, objects=objects)
        asked = spec.goal[0].args[0].split("/")[0]
        assert fixtures()[asked].split == objects
        goals = [spec.goal, *spec.alternatives]
        assert len(goals) >= 2 and len(set(goals)) == len(goals)
        if objects == "seen":
            assert all(fixtures()[f.asset].split == "seen" for f in spec.scene.fixtures)
