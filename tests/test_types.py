"""Specs, actions and names: what travels is equal when it should be, and wrong input is answered with what is known."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog, errors
from vlagym.envs.errors import BadAction, BadData, BadSpec, UnknownName, VlagymError, unknown_name
from vlagym.envs.types import (
    SPEC_SCHEMA,
    ActionComponent,
    ActionSpec,
    CameraSpec,
    EpisodeSpec,
    LightSpec,
    PhysicsSpec,
    Predicate,
    PropSpec,
    SceneSpec,
    canonical_json,
    from_plain,
    sha_arrays,
    stream,
    to_plain,
)

ACTION = ActionSpec(
    name="ee_delta",
    components=(
        ActionComponent(
            name="translation", size=3, convention="delta_position", frame="base", unit="m", scale=0.05, low=(-1.0,) * 3, high=(1.0,) * 3
        ),
        ActionComponent(
            name="gripper", size=1, convention="gripper_closed_positive", frame="joint", unit="fraction", scale=1.0, low=(-1.0,), high=(1.0,)
        ),
    ),
    rate_hz=20.0,
)
SPEC = EpisodeSpec(
    task="place_on",
    robot="panda",
    scene=SceneSpec(
        arena="table",
        props=(
            PropSpec(name="mug", asset="mug_red", pos_world=(0.5, 0.1, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0), rgba=(1.0, 0.0, 0.0, 1.0)),
            PropSpec(name="plate", asset="plate_white", pos_world=(0.4, -0.1, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0)),
        ),
        cameras=(CameraSpec(name="front", parent="world", pos_parent=(1.2, 0.0, 0.6), quat_parent_wxyz=(0.6, 0.3, 0.3, 0.6), fovy_deg=45.0),),
    ),
    robot_qpos=(0.0, -0.3, 0.0, -2.4, 0.0, 2.1, 0.8),
    goal=(Predicate(name="on", args=("mug", "plate")), Predicate(name="open", args=("cabinet/drawer",))),
    stages=(),
    alternatives=(),
    instruction="put the café mug on the plate",
    phrase="on.1",
    control=ACTION,
    horizon_s=10.0,
    axes=(("blank", 1),),
    seed=7,
)


# ------------------------------------------------------------------------------------------------------------------------- specs
def test_a_spec_comes_back_equal_from_its_json() -> None:
    again = EpisodeSpec.from_json(SPEC.to_json())
    assert again == SPEC and again.digest() == SPEC.digest() and again.to_json() == SPEC.to_json()


def test_any_change_of_a_spec_changes_its_digest() -> None:
    digests = {SPEC.digest(), dataclasses.replace(SPEC, seed=8).digest(), dataclasses.replace(SPEC, instruction="").digest()}
    moved = dataclasses.replace(SPEC.scene.props[0], pos_world=(0.5 + 1e-12, 0.1, 0.0))
    digests.add(dataclasses.replace(SPEC, scene=dataclasses.replace(SPEC.scene, props=(moved, SPEC.scene.props[1]))).digest())
    assert len(digests) == 4 and all(len(d) == 32 for d in digests)


def _scene(**changes: Any) -> dict[str, Any]:
    return {"scene": dataclasses.replace(SPEC.scene, **changes)}


MUG = SPEC.scene.props[0]
EYE = CameraSpec(name="eye", parent="world", pos_parent=(1.0, 0.0, 1.0), quat_parent_wxyz=(1.0, 0.0, 0.0, 0.0), fovy_deg=45.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon_s": 0.0}, "horizon_s is 0, and must be more than 0"),
        ({"horizon_s": math.nan}, "horizon_s is nan"),
        ({"hold_s": -0.5}, "hold_s is -0.5, and must be 0 or more"),
        ({"seed": -1}, "seed is -1, and must be 0 or more"),
        ({"goal": ()}, "goal is empty: there is nothing to succeed in"),
        ({"steps": ((),)}, "steps[0] is empty: it must hold at least one condition"),
        ({"alternatives": (SPEC.goal, ())}, "alternatives[1] is empty: it must hold at least one condition"),
        ({"level": "foo"}, "level is 'foo'; it must be one of plain, paraphrase, compositional, indirect, multi_step"),
        (_scene(props=(dataclasses.replace(MUG, rgba=(2.0, 0.0, 0.0, 1.0)),)), "the rgba of 'mug' is (2.0, 0.0, 0.0, 1.0); its entries must"),
        (_scene(cameras=(EYE, EYE)), "2 things are called 'eye'"),
        (_scene(cameras=(dataclasses.replace(EYE, width=0),)), "the width of camera 'eye' is 0"),
        (_scene(cameras=(dataclasses.replace(EYE, quat_parent_wxyz=(0.0,) * 4),)), "the rotation of camera 'eye' is zero"),
        (_scene(lights=(LightSpec(name="sun", direction_world=(0.0, 0.0, 0.0)),)), "the direction of light 'sun' is zero"),
        (_scene(props=(dataclasses.replace(MUG, name="a/b"),)), "a prop or fixture is called 'a/b'; a name is not empty and holds no slash"),
        (_scene(props=(dataclasses.replace(MUG, quat_world_wxyz=(0.0,) * 4),)), "the rotation of 'mug' is zero"),
        (_scene(props=(dataclasses.replace(MUG, pos_world=(math.inf, 0.0, 0.0)),)), r"scene.props[0].pos_world[0] is inf"),
        (_scene(props=(dataclasses.replace(MUG, scale=-1.0),)), "the scale of 'mug' is -1, and must be more than 0"),
        (_scene(physics=PhysicsSpec(timestep_s=0.0)), "scene.physics.timestep_s is 0, and must be more than 0"),
    ],
)
def test_a_spec_that_says_what_cannot_be_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    wrong = dataclasses.replace(SPEC, **changes)
    with pytest.raises(BadSpec) as caught:
        wrong.check()
    assert message in str(caught.value)
    text = json.dumps({"schema": SPEC_SCHEMA, **to_plain(wrong)})  # Python's JSON writes NaN and infinity, and reads them
    with pytest.raises((BadSpec, BadData)):
        EpisodeSpec.from_json(text)


def test_a_sound_spec_is_returned() -> None:
    assert SPEC.check() is SPEC


def test_the_digest_is_that_of_the_same_episode_in_another_process() -> None:
    code = "import sys; from vlagym.envs.types import EpisodeSpec; print(EpisodeSpec.from_json(sys.stdin.read()).digest())"
    done = subprocess.run([sys.executable, "-c", code], input=SPEC.to_json(), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == SPEC.digest()


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPEC.seed = 8  # type: ignore[misc]


def test_the_goal_names_things_in_order_of_first_mention_and_fixtures_without_their_joints() -> None:
    assert SPEC.named == ("mug", "plate", "cabinet")


@pytest.mark.parametrize(("seconds", "steps"), [(10.0, 200), (0.5, 10), (0.51, 11), (0.1 + 0.2, 6)])
def test_horizons_are_rounded_up_to_whole_steps_and_not_by_float_noise(seconds: float, steps: int) -> None:
    assert dataclasses.replace(SPEC, horizon_s=seconds).horizon_steps == steps
    assert dataclasses.replace(SPEC, hold_s=seconds).hold_steps == steps


def test_holding_for_no_time_at_all_still_asks_for_one_step() -> None:
    assert dataclasses.replace(SPEC, hold_s=0.0).hold_steps == 1


def _changed(**changes: object) -> str:
    return json.dumps({**json.loads(SPEC.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"an episode spec is not JSON"),
        ("[]", r"an episode spec has schema None; this version of vlagym reads 2"),
        (_changed(schema=99), r"an episode spec has schema 99; this version of vlagym reads 2"),
        (_changed(colour="red"), r"EpisodeSpec has an unknown key 'colour'. Known: task, robot, scene"),
        (_changed(seed="7"), r"EpisodeSpec.seed must be int, not '7'"),
        (_changed(seed=True), r"EpisodeSpec.seed must be int, not True"),
        (_changed(horizon_s="long"), r"EpisodeSpec.horizon_s must be a number, not 'long'"),
        (_changed(split="new"), r"EpisodeSpec.split is 'new'; it must be one of 'seen', 'unseen'"),
        (_changed(goal=[{"name": "on"}]), r"EpisodeSpec.goal\[0\] lacks the key 'args'"),
        (_changed(goal={"name": "on"}), r"EpisodeSpec.goal must be a list, not dict"),
        (_changed(scene="table"), r"EpisodeSpec.scene must be a table, not str"),
        (_changed(axes=[["blank"]]), r"EpisodeSpec.axes\[0\] must have 2 entries, not 1"),
        (_changed(task=None), r"EpisodeSpec.task must be str, not None"),
    ],
)
def test_a_wrong_spec_is_refused_by_the_path_of_its_field(text: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        EpisodeSpec.from_json(text)


def test_a_field_that_may_be_absent_may_be_null() -> None:
    assert EpisodeSpec.from_json(_changed(base=None)).base is None


def test_whole_numbers_are_read_where_a_float_is_meant() -> None:
    camera = from_plain(CameraSpec, {**to_plain(SPEC.scene.cameras[0]), "fovy_deg": 45})
    assert camera == SPEC.scene.cameras[0] and isinstance(camera.fovy_deg, float)


def test_numpy_numbers_become_plain_ones() -> None:
    assert to_plain({"a": np.float64(0.5), "b": (np.int32(3), np.bool_(True))}) == {"a": 0.5, "b": [3, True]}


def test_canonical_json_sorts_keys_and_refuses_what_is_no_number() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


# ------------------------------------------------------------------------------------------------------------------------- actions
def test_an_action_within_bounds_is_returned_as_float32_in_memory_of_its_own() -> None:
    given = np.array([0.1, -1.0, 1.0, 0.5], np.float32)
    taken = ACTION.check(given)
    given[:] = 0
    assert taken.dtype == np.float32 and taken.tolist() == pytest.approx([0.1, -1.0, 1.0, 0.5])


def test_a_rounding_error_beyond_the_bounds_is_clipped() -> None:
    assert ACTION.check([1.0 + 5e-7, 0.0, 0.0, -1.0 - 5e-7]).tolist() == [1.0, 0.0, 0.0, -1.0]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0.0, 0.0, 0.0], r"the action has shape \(3,\); ee_delta wants \(4,\) float32: translation\[3\], gripper\[1\]"),
        ([[0.0, 0.0, 0.0, 0.0]], r"the action has shape \(1, 4\)"),
        ([0.0, float("nan"), 0.0, 0.0], r"the action holds nan at index 1 \(translation\)"),
        ([0.0, 0.0, 0.0, float("inf")], r"the action holds inf at index 3 \(gripper\)"),
        ([0.0, 0.0, -1.5, 0.0], r"the action holds -1.5 at index 2 \(translation\), outside \[-1, 1\].*Clip it in the policy"),
        (["a", "b", "c", "d"], r"the action has dtype <U1"),
        ([True, True, True, True], r"the action has dtype bool"),
        (None, r"the action has dtype object"),
        ([0j, 0j, 0j, 0j], r"the action has dtype complex128"),
    ],
)
def test_a_wrong_action_is_told_what_came_and_what_was_wanted(action: object, message: str) -> None:
    with pytest.raises(BadAction, match=message):
        ACTION.check(action)


def test_components_lie_one_after_the_other() -> None:
    assert ACTION.slices() == {"translation": slice(0, 3), "gripper": slice(3, 4)} and ACTION.size == 4
    assert ACTION.low.tolist() == [-1.0] * 4 and ACTION.high.tolist() == [1.0] * 4


# ---------------------------------------------------------------------------------------------------------- digests and randomness
def test_digests_of_arrays_tell_values_shapes_and_types_apart() -> None:
    a = np.arange(6, dtype=np.float32)
    digests = [sha_arrays(a), sha_arrays(a.reshape(2, 3)), sha_arrays(a.astype(np.float64)), sha_arrays(a[:3], a[3:]), sha_arrays(np.nextafter(a, 9))]
    assert len(set(digests)) == len(digests)


def test_digests_of_arrays_depend_neither_on_memory_layout_nor_on_byte_order() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert sha_arrays(a) == sha_arrays(np.asfortranarray(a)) == sha_arrays(a.astype(">f4"))


def test_streams_of_one_key_are_equal_and_of_two_keys_independent() -> None:
    first = stream(7, "stack", "layout").random(4).tolist()
    assert first == stream(7, "stack", "layout").random(4).tolist()
    others = [stream(8, "stack", "layout"), stream(7, "stack"), stream(7, "layout", "stack"), stream(7, "stack", "words")]
    assert all(first != other.random(4).tolist() for other in others)


# ------------------------------------------------------------------------------------------------------------------------- names
def test_an_unknown_name_is_answered_with_near_ones_all_ones_and_advice() -> None:
    error = unknown_name("camera", "writs", ["wrist", "front"], "Add it to the robot's file.")
    assert isinstance(error, UnknownName) and isinstance(error, VlagymError)
    assert str(error) == "no camera is called 'writs'. Did you mean wrist? There are: front, wrist. Add it to the robot's file."
    assert str(unknown_name("camera", "x", [])) == "no camera is called 'x'. There are: none."


def test_every_error_is_one_that_the_command_line_can_print() -> None:
    causes = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(causes) > 5 and all(issubclass(e, VlagymError) and e.__doc__ for e in causes)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package root with one metric, one suite and one file that is nobody's business."""
    folder = tmp_path / "benchmark" / "metrics"
    folder.mkdir(parents=True)
    (folder / "jerk.py").write_text('"""Measures jerk.\n\nAt length.\n"""\nraise RuntimeError("must not be imported for its name")\n')
    (folder / "_private.py").write_text("")
    (folder / "__init__.py").write_text("")
    (tmp_path / "benchmark" / "smoke.toml").write_text("")
    monkeypatch.setattr(catalog, "_ROOT", tmp_path)
    return tmp_path


def test_a_saved_file_is_a_name_at_once_and_is_not_imported_for_it(house: Path) -> None:
    assert catalog.names("metric") == catalog.names("metrics") == ["jerk"]
    assert catalog.summary("metric", "jerk") == "Measures jerk."
    (house / "benchmark" / "metrics" / "drops.py").write_text("")
    assert catalog.names("metric") == ["drops", "jerk"] and catalog.summary("metric", "drops") == ""
    assert catalog.toml_names("benchmark") == ["smoke"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jrek", r"no metric is called 'jrek'. Did you mean jerk\? There are: jerk. An outsider's metric is written package.module:ATTRIBUTE."),
        ("no_such_package.jerk:METRIC", r"no metric is called 'no_such_package.jerk:METRIC'.*no module 'no_such_package.jerk' is importable"),
        ("json:METRIC", r"no attribute is called 'METRIC'.*It was looked for in json"),
    ],
)
def test_a_name_that_is_neither_a_file_nor_an_attribute_is_refused(house: Path, name: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        catalog.load("metric", name)


def test_a_name_may_be_an_attribute_of_anyones_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_lab.py").write_text("class Mine:\n    METRIC = 'mine'\n")
    (tmp_path / "a_broken_lab.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert catalog.load("metric", "a_lab:Mine.METRIC") == "mine"
    with pytest.raises(BadData, match="a_broken_lab does not import: No module named 'no_such_dependency'"):
        catalog.load("metric", "a_broken_lab:METRIC")


def test_a_file_without_the_attribute_of_its_kind_is_refused_by_its_path(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("vlagym.benchmark.metrics.jerk")
    module.__file__ = "benchmark/metrics/jerk.py"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(BadData, match="benchmark/metrics/jerk.py defines no METRIC; a file of benchmark/metrics/ must"):
        catalog.load("metric", "jerk")


def test_an_unknown_kind_is_answered_with_the_near_one() -> None:
    with pytest.raises(UnknownName, match="no kind is called 'metrik'. Did you mean metric"):
        catalog.kind("metrik")


def test_required_names_are_returned_and_others_refused() -> None:
    assert catalog.require(["a", "b"], "a", "letter") == "a"
    with pytest.raises(UnknownName, match="no letter is called 'c'"):
        catalog.require(["a", "b"], "c", "letter")
