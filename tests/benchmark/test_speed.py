"""vlagym bench compares like with like: the same states, the same pictures, the parts add up."""

from __future__ import annotations

import json
import re
from typing import Any

import mujoco
import pytest

from vlagym.benchmark import cli, demo_speed, speed
from vlagym.envs.control import Controller
from vlagym.envs.errors import BadSpec, UnknownName, VlagymError

TINY = speed.BenchOptions(cameras=("front",), size=32, steps=2, repeats=1)


@pytest.mark.gl
def test_the_parts_of_a_step_add_up_to_less_than_a_second_and_leave_nothing_patched() -> None:
    calls = (mujoco.mj_step, mujoco.mjr_render, Controller.command)
    ticks: list[int] = []
    found = speed.measure(TINY, lambda: ticks.append(1))
    assert (mujoco.mj_step, mujoco.mjr_render, Controller.command) == calls
    assert len(ticks) == 2 * found.episodes
    parts = (found.physics_ms, found.ik_ms, found.render_ms, found.overhead_ms)
    assert all(0.0 < part.low <= part.median <= part.high for part in parts)
    assert found.bare_ms.median > 0.0 and found.overhead_above_bare.median == pytest.approx(found.environment_ms.median / found.bare_ms.median - 1.0)


@pytest.mark.gl
def test_bare_calls_that_do_other_work_are_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed._Bare, "record_ctrl", lambda self, data: self._ctrl.append(data.ctrl * 0))
    with pytest.raises(VlagymError, match="the bare calls end '.*' in another state than the environment: the comparison would be void"):
        speed.measure(TINY)


def test_an_unknown_camera_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="no camera is called 'writs'. Did you mean wrist"):
        speed.workloads(speed.BenchOptions(cameras=("writs",)))


def test_the_workload_is_the_same_every_time_and_within_bounds() -> None:
    first, second = speed.workloads(TINY), speed.workloads(TINY)
    assert [w.spec.digest() for w in first] == [w.spec.digest() for w in second]
    for a, b in zip(first, second, strict=True):
        assert a.actions.tobytes() == b.actions.tobytes()
        for action in a.actions:
            a.spec.control.check(action)


@pytest.mark.gl
def test_the_command_reports_every_number_of_processes(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "--steps", "2", "--repeats", "1", "--size", "32", "--cameras", "front", "--processes", "1", "--json"]
    assert cli.main(words) == cli.DONE
    report = json.loads(capsys.readouterr().out)
    assert report["observations_per_s"]["1"]["median"] > 0.0 and report["step"]["renderer"]


ON_LEGS = speed.BenchOptions(robot="g1", base="legs", tasks=("touch_with",), size=32, steps=2, repeats=1)


@pytest.mark.gl
def test_a_body_on_its_legs_is_taken_apart_into_its_own_parts() -> None:
    found = speed.measure(ON_LEGS)
    assert found.episodes == 1 and found.balance_ms.median > 0.0 and found.ik_ms.median > 0.0


def test_two_hands_are_measured_through_the_cameras_that_the_robot_carries() -> None:
    options = speed.BenchOptions(robot="cmu_humanoid")
    assert options.views == ("head", "left_wrist", "right_wrist") and options.side_px == 224
    assert "touch_with" in options.chosen() and "place_on" not in options.chosen()
    (work,) = speed.workloads(ON_LEGS)
    assert (work.spec.robot_base, [c.width for c in work.spec.scene.cameras]) == ("legs", [32, 32, 32])
    for action in work.actions:
        work.spec.control.check(action)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"robot": "g2"}, UnknownName, "no robot is called 'g2'. There are: cmu_humanoid, g1"),
        ({"robot": "g1", "tasks": ("place_on",)}, BadSpec, "'place_on' cannot be done with 'g1'; it can with: panda, jaco"),
        ({"robot": "g1", "tasks": ("go_to",), "base": "legs"}, BadSpec, "'go_to' with 'g1' does not run on base 'legs'; it does on: planar"),
        ({"robot": "panda", "base": "legs"}, BadSpec, "'panda' does no task on base 'legs'; it has: fixed"),
        ({"robot": "g1", "base": "leg"}, UnknownName, "no base is called 'leg'. Did you mean legs"),
    ],
)
def test_what_a_body_does_not_do_is_not_measured(options: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=re.escape(told)):
        speed.BenchOptions(**options).chosen()


def test_numbers_below_1_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--steps", "0"]) == cli.USER_ERROR
    assert "--steps, --repeats, --size and --processes are 1 or more" in capsys.readouterr().err


@pytest.mark.gl
def test_what_demonstrations_cost_is_told_for_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    """An episode each; what was played, rendered, written and built makes up the whole."""
    words = ["bench", "--demos", "lerobot_v3", "--repeats", "1", "--size", "32", "--cameras", "front", "--json"]
    assert cli.main(words) == cli.DONE
    row = json.loads(capsys.readouterr().out)["demonstrations"]["lerobot_v3"]
    parts = [row[f"{what}_ms"] for what in ("played", "rendered", "written", "built")]
    assert row["kept"] == row["episodes"] == 1 and row["steps"] > 20 and all(part > 0.0 for part in parts)
    assert row["share_of_writing"] == pytest.approx(sum(parts[2:]) / sum(parts)) and 0.0 < row["episode_mb"] < 1.0
    assert row["per_minute"] == pytest.approx(60e3 / (sum(parts) * row["steps"]))


def test_demonstrations_of_an_unknown_format_are_not_measured() -> None:
    with pytest.raises(UnknownName, match="no format is called 'lerobot'"):
        demo_speed.formats(["hdf5", "lerobot"])
