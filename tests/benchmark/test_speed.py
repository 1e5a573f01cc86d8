"""vlagym bench compares like with like: the same states, the same pictures, the parts add up."""

from __future__ import annotations

import json

import mujoco
import pytest

from vlagym.benchmark import cli, speed
from vlagym.envs.control import Controller
from vlagym.envs.errors import UnknownName, VlagymError

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


def test_numbers_below_1_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--steps", "0"]) == cli.USER_ERROR
    assert "--steps, --repeats, --size and --processes are 1 or more" in capsys.readouterr().err
