"""A run gives equal results however it is played, survives what goes wrong, and is resumed only as what it was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.episode import make_world
from vlagym.benchmark.metrics import steps
from vlagym.benchmark.runner import RunOptions, RunReport, default_folder, run
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData, ConventionMismatch, RunStopped, UnknownName, VlagymError
from vlagym.envs.types import EpisodeResult, EpisodeSpec, Trace, to_plain
from vlagym.results.store import Store

WORKERS = {"serial": None, "processes": 2}
SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=8),))


class Told:
    """Remembers what it was told; interrupts after so many episodes."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.begun: tuple[int, int, int] | None = None
        self.results: list[EpisodeResult] = []
        self._interrupt_after = interrupt_after

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        self.begun = (total, done, workers)

    def stored(self, result: EpisodeResult) -> None:
        self.results.append(result)
        if len(self.results) == self._interrupt_after:
            raise KeyboardInterrupt


def episodes(count: int = 8, **troubles: str) -> list[EpisodeSpec]:
    """`_3="die:2"`: what happens in the episode of seed 3."""
    return [fakes.spec(seed, trouble=troubles.get(f"_{seed}", "")) for seed in range(count)]


def play(out: Path, specs: Sequence[EpisodeSpec], policy: str = "fakes:CARRIER", told: Told | None = None, **options: Any) -> RunReport:
    options.setdefault("executor", "serial")
    where = None if "resume" in options else out
    return run(RunOptions(policy=policy, suite=SUITE, make_world=fakes.make_world, out=where, **options), specs, told or Told())


def deterministic(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Returns all that must be equal, bit for bit."""
    out = {}
    for r in results:
        measures = {name: value for name, value in r.measures.items() if not name.startswith("latency_")}
        out[r.digest] = (r.outcome, r.ended_by, measures, to_plain(r.certificate), r.steps, r.time_s, r.seed, r.instruction, r.warning)
    return out


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("reference") / "run"
    return deterministic(play(out, episodes(_2="divergence:3")).results)


# ---------------------------------------------------------------------------------------------------------------- equal results
@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("fakes:CARRIER", {"executor": "serial", "shuffle": 5}),
        ("fakes:CARRIER", {"executor": "processes", "workers": 1}),
        ("fakes:CARRIER", {"executor": "processes", "workers": 2}),
        ("fakes:CARRIER", {"executor": "processes", "workers": 4, "shuffle": 1}),
        ("fakes:CARRIER:in_worker", {"executor": "processes", "workers": 2, "shuffle": 2}),
    ],
)
def test_results_are_equal_bit_for_bit_for_every_executor_number_of_workers_and_order(
    tmp_path: Path, reference: dict[str, Any], policy: str, options: dict[str, Any]
) -> None:
    report = play(tmp_path / "run", episodes(_2="divergence:3"), policy, **options)
    assert deterministic(report.results) == reference


def test_the_double_is_a_world_in_which_equality_means_something(reference: dict[str, Any]) -> None:
    assert len(reference) == 8
    assert len({str(certificate["frames"]) for _, _, _, certificate, *_ in reference.values()}) == 8


# --------------------------------------------------------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize("what", ["act", "late", "nan", "short", "exit"])
def test_a_policy_that_fails_costs_its_episodes_and_changes_no_other(
    tmp_path: Path, executor: str, what: str, reference: dict[str, Any]
) -> None:
    specs = episodes(_2="divergence:3")
    report = play(tmp_path / "run", specs, f"fakes:FAULTY:{what}/1,4", executor=executor, workers=WORKERS[executor])
    errors = {r.seed: r.error for r in report.results if r.outcome == "error"}
    assert set(errors) == {1, 4} and report.tally() == {"success": 5, "failure": 1, "error": 2}
    assert all(e is not None and "Traceback" in e.traceback for e in errors.values())
    if what == "exit":
        assert {(e.type, e.message) for e in errors.values() if e} == {("SystemExit", "the policy called sys.exit(0)")}
    healthy = deterministic([r for r in report.results if r.outcome != "error"])
    assert healthy == {digest: reference[digest] for digest in healthy} and len(healthy) == 6


def test_a_worker_that_is_killed_costs_its_episode_and_not_the_run(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(_1="die:2", _5="die:0"), executor="processes", workers=2)
    died = [r for r in report.results if r.outcome == "error"]
    assert sorted(r.seed for r in died) == [1, 5]
    assert {r.error.type for r in died if r.error} == {"WorkerDied"} and {r.ended_by for r in died} == {"env_error"}
    assert report.tally()["success"] == 6


def test_a_policy_that_kills_its_worker_costs_its_episode(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(4), "fakes:FAULTY:die/2", executor="processes", workers=2)
    assert [r.seed for r in report.results if r.outcome == "error"] == [2]


def test_a_first_episode_that_does_not_start_costs_itself(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(3, _0="unstartable"))
    assert [(r.seed, r.outcome) for r in report.results] == [(0, "error"), (1, "success"), (2, "success")]
    assert report.results[0].certificate is None


def test_an_episode_that_diverges_while_it_settles_is_an_error_and_no_failure(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(2, _1="unsettled"))
    (result,) = [r for r in report.results if r.seed == 1]
    assert (result.outcome, result.ended_by, result.certificate, result.measures) == ("error", "env_error", None, {})
    assert result.error is not None and result.error.type == "Divergence"
    assert result.error.message == "before the first action: MuJoCo warned of BADQACC at 0.002 s"


def test_a_metric_that_fails_costs_no_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reference = deterministic(play(tmp_path / "reference", episodes(2)).results)

    def divide(trace: Trace, spec: EpisodeSpec) -> float:
        return 1.0 / (spec.seed - 1)

    with monkeypatch.context() as broken:
        broken.setattr(steps, "METRIC", replace(steps.METRIC, measure=divide))
        report = play(tmp_path / "run", episodes(2))
    outcomes = {r.seed: (r.outcome, r.ended_by, r.measures) for r in report.results}
    assert outcomes[1] == ("error", "goal", {}) and outcomes[0][0] == "success"
    (error,) = [r.error for r in report.results if r.error]
    assert (error.type, error.message) == ("MetricFailed", "the metric 'steps' raised ZeroDivisionError: float division by zero")
    assert all(Store.open(report.path).has_trace(r.digest) for r in report.results)
    # Once the metric is mended, scoring heals the episode.
    assert main(["score", str(report.path), "--write"]) == 0
    assert "; 1 that no metric could measure before now count" in capsys.readouterr().out
    assert deterministic(Store.open(report.path).results()) == reference


def test_an_errored_episode_is_tried_again_as_often_as_was_said_and_every_attempt_is_kept(tmp_path: Path) -> None:
    told = Told()
    report = play(tmp_path / "run", episodes(3), "fakes:FAULTY:act/1", told, retries=2)
    attempts = [(r.seed, r.attempt, r.outcome) for r in Store.open(report.path).ledger() if r.seed == 1]
    assert attempts == [(1, 1, "error"), (1, 2, "error"), (1, 3, "error")]
    assert len(report.results) == 3 == len(told.results)


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_an_error_whose_text_is_no_unicode_is_stored_like_any_other(tmp_path: Path, executor: str) -> None:
    report = play(tmp_path / "run", episodes(3), "fakes:FAULTY:surrogate/1", executor=executor, workers=WORKERS[executor])
    (error,) = [r.error for r in Store.open(report.path).results() if r.outcome == "error"]
    assert error is not None and error.message == "half \\ud83d of a pair" and report.tally()["success"] == 2


# ------------------------------------------------------------------------------------------------ a policy that keeps failing
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_policy_that_keeps_failing_ends_the_run_with_one_line_that_says_how_to_go_on(tmp_path: Path, executor: str) -> None:
    out = tmp_path / "run"
    with pytest.raises(RunStopped) as caught:
        play(out, episodes(12), "fakes:FAULTY:act/" + ",".join(map(str, range(12))), executor=executor, workers=WORKERS[executor])
    assert str(caught.value) == (
        "stopped after 5 episodes in a row that the policy brought down, the last with ValueError: I have no idea. "
        f"All that was played is kept in {out}/episodes.jsonl; once the policy answers, go on with: vlagym run --resume {out} --retry-errors"
    )
    assert [r.outcome for r in Store.open(out).results()] == ["error"] * 5
    assert Store.open(out).header.finished is None


def test_a_run_that_was_stopped_is_resumed_to_the_whole_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: dict[str, Any]) -> None:
    out = tmp_path / "run"
    specs = episodes(_2="divergence:3")
    with monkeypatch.context() as down:
        down.setattr(fakes.Carrier, "reset", lambda self, context: 1 / 0)
        with pytest.raises(RunStopped, match="after 3 episodes in a row that the policy brought down, the last with ZeroDivisionError"):
            play(out, specs, stop_after_errors=3)
    report = play(out, specs, resume=out, retry_errors=True)
    assert deterministic(report.results) == reference


def test_only_errors_in_a_row_end_a_run(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(8), "fakes:FAULTY:nan/0,1,3,4,6,7", stop_after_errors=3)
    assert report.tally() == {"success": 2, "failure": 0, "error": 6}
    with pytest.raises(RunStopped, match="after 2 episodes in a row"):
        play(tmp_path / "stopped", episodes(8), "fakes:FAULTY:nan/0,1,3,4,6,7", stop_after_errors=2)


def test_errors_of_the_environment_never_end_a_run_and_hide_none_of_the_policy(tmp_path: Path) -> None:
    broken = {f"_{i}": "env_error:1" for i in range(8)}
    report = play(tmp_path / "run", episodes(8, **broken), stop_after_errors=2)
    assert report.tally()["error"] == 8 and {r.ended_by for r in report.results} == {"env_error"}
    with pytest.raises(RunStopped, match="after 2 episodes in a row"):
        play(tmp_path / "mixed", episodes(8, _1="unstartable"), "fakes:FAULTY:act/0,2", stop_after_errors=2)


def test_an_episode_that_is_tried_again_counts_once(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(3), "fakes:FAULTY:act/2", retries=4, stop_after_errors=2)
    assert [(r.seed, r.attempt) for r in report.results if r.outcome == "error"] == [(2, 5)]


def test_a_run_whose_last_episodes_fail_has_ended_and_is_not_stopped(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(3), "fakes:FAULTY:act/0,1,2", stop_after_errors=3)
    assert len(report.results) == 3 and Store.open(report.path).header.finished is not None


def test_a_run_that_is_told_never_to_stop_plays_every_episode(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(7), "fakes:FAULTY:act/0,1,2,3,4,5,6", stop_after_errors=0)
    assert report.tally()["error"] == 7


def test_conventions_are_compared_before_anything_is_written(tmp_path: Path) -> None:
    specs = [replace(s, control=replace(s.control, rate_hz=10.0)) for s in episodes(2)]
    with pytest.raises(ConventionMismatch, match="action rate: 20 Hz is not 10 Hz"):
        play(tmp_path / "run", specs)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "at least 1 worker, not 0"),
        ({"workers": 2}, "the serial executor plays in one process; leave out --workers 2"),
        ({"retries": -1}, "retries is 0 or more, not -1"),
        ({"shuffle": -1}, "the seed of the order is 0 or more, not -1"),
        ({"stop_after_errors": -1}, "stops after 1 error of the policy or more, or 0 for never, not after -1"),
        ({"episode_timeout_s": 5.0}, "the serial executor cannot end an episode that takes too long"),
        ({"episode_timeout_s": 0.0, "executor": "processes"}, "a time limit is more than 0 s, not 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        play(tmp_path / "run", episodes(1), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "nosuch"}, "no policy is called 'nosuch'"),
        ({"policy": "fakes:LEAVING"}, r"the policy fakes:LEAVING called sys.exit\(0\) while it was loaded"),
        ({"executor": "ray"}, "no executor is called 'ray'"),
        ({"look": "plastic"}, "no look of the panda is called 'plastic'"),
        ({"quality": "ultra", "make_world": make_world}, "no quality is called 'ultra'"),
        ({"executor": "serial", "workers": 2}, "the serial executor plays in one process"),
    ],
)
def test_what_can_be_known_before_is_refused_before_anything_is_sampled(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    def sampled() -> list[EpisodeSpec]:
        raise AssertionError("sampled")

    given = {"policy": "fakes:CARRIER", "make_world": fakes.make_world, **options}
    with pytest.raises(VlagymError, match=message):
        run(RunOptions(suite=SUITE, out=tmp_path / "run", **given), sampled, Told())
    assert not (tmp_path / "run").exists()


def test_an_episode_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(3, _1="sleep:2"), executor="processes", workers=2, episode_timeout_s=4.0)
    (error,) = [r.error for r in report.results if r.outcome == "error"]
    assert error is not None and error.type == "WorkerDied" and "did not answer for 4 s" in error.message
    assert report.tally() == {"success": 2, "failure": 0, "error": 1}


def test_an_unknown_executor_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no executor is called 'process'.*There are: processes, serial"):
        play(tmp_path / "run", episodes(1), executor="process")


# ------------------------------------------------------------------------------------------------------------------- the folder
def test_the_header_says_what_the_numbers_depend_on(tmp_path: Path) -> None:
    report = play(tmp_path / "run", episodes(2), shuffle=7, policy_options={"execute": "1"}, command=("vlagym", "run"))
    header = Store.open(report.path).header
    assert header.suite["name"] == "tiny" and header.suite["episodes"] == 2 and len(header.suite["digest"]) == 32
    assert header.policy["options"] == {"execute": "1"} and header.policy["privileged"] and header.policy["chunking"] == "receding:1"
    assert header.robot_looks == {"panda": "plain"} and header.gl_renderer == "fake renderer" and header.quality == "fast"
    assert header.conventions["environments"][0]["pipeline"]["state"] == ["ee_pos_base_m"]
    assert header.seeds == {"first": 0, "last": 1, "shuffle": 7} and header.command == ("vlagym", "run")
    assert {"vlagym", "mujoco", "numpy", "python"} <= set(header.packages) and header.machine["cores"].isdecimal()
    assert header.machine["gl_backend"] in ("egl", "osmesa", "glfw", "disable")
    assert header.finished is not None


def test_each_result_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    class Looking(Told):
        def stored(self, result: EpisodeResult) -> None:
            super().stored(result)
            assert Store.open(tmp_path / "run").digests()[-1] == result.digest

    play(tmp_path / "run", episodes(3), told=Looking())


def test_a_folder_is_named_after_the_time_the_policy_and_the_suite() -> None:
    name = default_folder("openpi:ws://host:8000", "smoke").name
    assert name[8] == "T" and name.endswith("-openpi_ws_host_8000-smoke")


def test_a_second_run_does_not_write_into_the_folder_of_a_first(tmp_path: Path) -> None:
    play(tmp_path / "run", episodes(1))
    with pytest.raises(BadData, match="exists already.*--resume"):
        play(tmp_path / "run", episodes(1))


# --------------------------------------------------------------------------------------------------------------------- resuming
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_an_interrupted_run_is_resumed_to_the_same_ledger(tmp_path: Path, executor: str, reference: dict[str, Any]) -> None:
    specs = episodes(_2="divergence:3")
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "run", specs, told=Told(interrupt_after=3), executor=executor, workers=WORKERS[executor])
    assert len(Store.open(tmp_path / "run").results()) == 3
    told = Told()
    report = play(tmp_path / "run", specs, told=told, resume=tmp_path / "run", executor=executor, workers=WORKERS[executor])
    assert told.begun is not None and told.begun[:2] == (8, 3) and len(told.results) == 5
    assert deterministic(report.results) == reference


def test_a_run_that_is_killed_at_any_moment_is_resumed_to_the_same_ledger(tmp_path: Path, reference: dict[str, Any]) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_runner as t; from pathlib import Path\n"
        "class Slow(t.Told):\n"
        "    def stored(self, result):\n"
        "        import time; time.sleep(0.1)\n"
        "if __name__ == '__main__':\n"
        "    t.play(Path(sys.argv[1]), t.episodes(_2='divergence:3'), told=Slow(), executor='processes', workers=2)\n"
    )
    (tmp_path / "main.py").write_text(script, encoding="utf-8")
    here = Path(__file__).parent
    out = tmp_path / "run"
    process = subprocess.Popen([sys.executable, tmp_path / "main.py", out, here, here.parent / "doubles"])
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(BadData, OSError):
            if len(Store.open(out).results()) >= 3:
                break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stored = len(Store.open(out).results())
    assert 3 <= stored < 8
    report = play(out, episodes(_2="divergence:3"), resume=out)
    assert deterministic(report.results) == reference


def test_resuming_a_finished_run_plays_nothing(tmp_path: Path) -> None:
    play(tmp_path / "run", episodes(2))
    told = Told()
    report = play(tmp_path / "run", episodes(2), told=told, resume=tmp_path / "run")
    assert told.begun is not None and told.begun[:2] == (2, 2) and told.results == [] and len(report.results) == 2


def test_errored_episodes_are_played_again_only_if_that_is_asked_for(tmp_path: Path) -> None:
    policy = "fakes:FAULTY:act/1"
    play(tmp_path / "run", episodes(3), policy)
    told = Told()
    play(tmp_path / "run", episodes(3), policy, told, resume=tmp_path / "run")
    assert told.results == []
    play(tmp_path / "run", episodes(3), policy, told, resume=tmp_path / "run", retry_errors=True)
    assert [(r.seed, r.attempt) for r in told.results] == [(1, 2)]


def test_an_interrupted_run_still_owes_its_retries(tmp_path: Path) -> None:
    policy, whole, cut = "fakes:FAULTY:act/1", tmp_path / "whole", tmp_path / "cut"
    play(whole, episodes(4), policy, retries=2)
    with pytest.raises(KeyboardInterrupt):
        play(cut, episodes(4), policy, Told(interrupt_after=2), retries=2)
    assert [(r.seed, r.attempt) for r in Store.open(cut).ledger()] == [(0, 1), (1, 1), (2, 1)]
    report = play(cut, episodes(4), policy, resume=cut, retries=2)
    attempts = [sorted((r.seed, r.attempt, r.outcome) for r in Store.open(path).ledger()) for path in (whole, cut)]
    assert attempts[0] == attempts[1]
    assert deterministic(report.results) == deterministic(Store.open(whole).results())


def test_a_run_is_not_resumed_with_another_number_of_retries(tmp_path: Path) -> None:
    play(tmp_path / "run", episodes(1), retries=2)
    assert Store.open(tmp_path / "run").header.policy["retries"] == 2
    with pytest.raises(BadData, match="policy.retries was 2 and is 0"):
        play(tmp_path / "run", episodes(1), resume=tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy_options": {"execute": "3"}}, "policy.options.execute was None and is '3'"),
        ({"policy": "fakes:CARRIER:in_worker"}, "policy.name was 'fakes:CARRIER' and is 'fakes:CARRIER:in_worker'"),
        ({"chunking": "whole"}, "policy.chunking was 'receding:2' and is 'whole'"),
        ({"quality": "high"}, "quality was 'fast' and is 'high'"),
        ({"specs": episodes(4)}, "suite.digest was"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    play(tmp_path / "run", episodes(3))
    specs = change.pop("specs", episodes(3))
    with pytest.raises(BadData, match="cannot be resumed like this") as caught:
        play(tmp_path / "run", specs, **change, resume=tmp_path / "run")
    assert message in str(caught.value) and "vlagym run --resume" in str(caught.value)
    # The lock was given back.
    play(tmp_path / "run", episodes(3), resume=tmp_path / "run")


def test_a_run_with_lines_of_another_one_is_not_resumed(tmp_path: Path) -> None:
    play(tmp_path / "run", episodes(2))
    play(tmp_path / "other", episodes(5))
    before = (tmp_path / "run" / "episodes.jsonl").read_bytes()
    lines = (tmp_path / "other" / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "run" / "episodes.jsonl").write_bytes(before + lines[4])
    with pytest.raises(BadData, match=r"its ledger holds 1 episodes that its suite does not, .* seed 4\. Lines of another run .* `vlagym verify"):
        play(tmp_path / "run", episodes(2), resume=tmp_path / "run")
    (tmp_path / "run" / "episodes.jsonl").write_bytes(before)
    assert len(play(tmp_path / "run", episodes(2), resume=tmp_path / "run").results) == 2, "the lock was given back"


def test_resuming_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="a run is resumed in its own folder: leave out --out"):
        run(RunOptions(policy="hold", suite=SUITE, out=tmp_path / "a", resume=tmp_path / "b"), episodes(1), Told())
