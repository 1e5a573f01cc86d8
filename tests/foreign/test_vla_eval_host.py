"""The real `vla-eval run --no-docker` plays our episodes against a policy that `vlagym serve` serves; the ledger is that of our own runner.

vla-eval is no requirement of ours. To run this, make an environment that has both, and run it there:

    python -m venv foreign
    foreign/bin/pip install -e '.[test]' 'vla-eval==0.8.0'
    foreign/bin/python -m pytest -m foreign tests/foreign/test_vla_eval_host.py
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.errors import BadData, ConventionMismatch, UnknownName
from vlagym.policies.loading import load_policy
from vlagym.policies.serving.vla_eval import SERVER
from vlagym.results.store import Store

pytest.importorskip("vla_eval", reason="needs vla-eval in the same environment; the docstring of this file says how to make one")

from vlagym.benchmark.hosts.vla_eval import EpisodeFailed, Vlagym  # noqa: E402 -- needs it

pytestmark = [pytest.mark.foreign, pytest.mark.gl]

TASKS = ["place_on", "stack"]
OF_CALLS = ("latency_", "calls", "chunk_steps", "stale_action_ratio", "effective_rate_hz")
"""Measures of how often the policy was asked, and how long that took."""


@contextlib.contextmanager
def served(**options: str) -> Iterator[str]:
    with contextlib.closing(load_policy("minivla", options)) as policy, SERVER(policy, "127.0.0.1", 0) as server:
        yield server.url


def vla_eval(folder: Path, url: str, *, max_steps: int | None = None, **params: Any) -> dict[str, Any]:
    """Runs the real command and returns what it wrote."""
    entry = {
        "benchmark": "vlagym.benchmark.hosts.vla_eval:Vlagym",
        "episodes_per_task": params.get("episodes", 1),
        "params": {"suite": "smoke", "tasks": TASKS, "profile": "policy:minivla", "policy": "minivla", "workers": 1, "episodes": 1, **params},
        **({} if max_steps is None else {"max_steps": max_steps}),
    }
    config = folder / "config.yaml"  # JSON is YAML
    config.write_text(json.dumps({"server": {"url": url, "timeout": 120}, "output_dir": str(folder / "theirs"), "benchmarks": [entry]}))
    command = [str(Path(sys.executable).with_name("vla-eval")), "run", "--no-docker", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Spec mismatch" not in done.stderr, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(next((folder / "theirs").glob("*_aggregate.json")).read_text())
    return found


def own(folder: Path, *options: str, episodes: int = 1) -> Path:
    """Runs our own runner."""
    from vlagym.benchmark.cli import main

    tasks = [word for task in TASKS for word in ("--task", task)]
    how = ["--executor", "serial", "--episodes", str(episodes), "--out", str(folder / "own"), *options]
    assert main(["run", "--policy", "minivla", "--suite", "smoke", *tasks, *how]) == 0
    return folder / "own"


def lines(out: Path, *, without: tuple[str, ...], frames: bool = True) -> list[dict[str, Any]]:
    """Returns the ledger without what a clock says and without some measures; without the digest of the frames where that is left out."""
    found = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    for line in found:
        del line["wall_s"]
        line["measures"] = {name: value for name, value in line["measures"].items() if not name.startswith(without)}
        if not frames:
            del line["certificate"]["frames"]
    return found


def test_a_policy_that_is_asked_at_each_step_has_the_very_ledger_of_our_own_runner(tmp_path: Path) -> None:
    with served(execute="1") as url:
        theirs = vla_eval(tmp_path, url, out=str(tmp_path / "run"))
    ours = own(tmp_path, "--policy-option", "execute=1")
    assert lines(tmp_path / "run", without=("latency_",)) == lines(ours, without=("latency_",))
    there, here = Store.open(tmp_path / "run"), Store.open(ours)
    for digest in here.digests():
        np.testing.assert_array_equal(there.trace(digest).actions, here.trace(digest).actions)
    assert there.header.suite["digest"] == here.header.suite["digest"] and there.header.finished
    assert there.header.conventions["environments"] == here.header.conventions["environments"]
    assert there.header.policy["card"]["harness"] == "vla-eval 0.8.0"
    rates = {task["task"]: task["mean_success"] for task in theirs["tasks"]}
    assert rates == {r.task: float(r.outcome == "success") for r in here.results()}


def test_where_the_server_plays_its_chunks_all_is_equal_but_what_counts_calls_and_frames(tmp_path: Path) -> None:
    with served() as url:
        vla_eval(tmp_path, url, out=str(tmp_path / "run"))
    ours = own(tmp_path)
    how = {"without": OF_CALLS, "frames": False}
    there, here = (lines(out, **how) for out in (tmp_path / "run", ours))  # type: ignore[arg-type]
    assert there == here and {line["outcome"] for line in here} == {"success"}
    assert lines(tmp_path / "run", without=("latency_",)) != lines(ours, without=("latency_",))


def test_an_episode_that_vla_eval_cuts_short_is_an_error_in_both(tmp_path: Path) -> None:
    with served() as url:
        theirs = vla_eval(tmp_path, url, out=str(tmp_path / "run"), max_steps=5)
    results = Store.open(tmp_path / "run").results()
    assert [r.outcome for r in results] == ["error", "error"] and sum(task["num_errors"] for task in theirs["tasks"]) == 2
    assert all(r.error and r.error.message.startswith("vla-eval stopped the episode after 5 steps: leave max_steps out") for r in results)


# -------------------------------------------------------------------------------------------------------------------------- in process
@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Vlagym]]:
    made: list[Vlagym] = []

    def one(**params: Any) -> Vlagym:
        said: dict[str, Any] = {"tasks": "stack", "suite": "smoke", "episodes": 2, "profile": "vlagym", "workers": 1}
        said["out"] = str(tmp_path / f"run{len(made)}")
        made.append(Vlagym(**(said | params)))
        return made[-1]

    yield one
    for benchmark in made:
        benchmark.cleanup()


def test_observations_hold_the_profiles_images_in_its_order_its_state_and_the_sentence(make: Callable[..., Vlagym]) -> None:
    benchmark = make()
    (task,) = benchmark.get_tasks()
    seen = benchmark.make_obs(benchmark.reset({**task, "episode_idx": 1}), task)
    spec = load_suite("smoke").restrict(tasks=["stack"], episodes=2).expand()[1]
    assert list(seen) == ["images", "task_description", "states"] and seen["task_description"] == spec.instruction
    assert {name: (image.shape, image.dtype.name) for name, image in seen["images"].items()} == {
        "front": ((256, 256, 3), "uint8"),
        "wrist": ((256, 256, 3), "uint8"),
    }
    assert seen["states"].shape == (30,) and seen["states"].dtype == np.float32
    bare = make(send_state=False, send_wrist_image=False)
    first = bare.make_obs(bare.reset(dict(task)), task)
    assert list(first["images"]) == ["front"] and "states" not in first
    assert set(bare.get_observation_spec()) == {"image", "language"} and "state" in benchmark.get_observation_spec()


def test_an_episode_ends_by_our_rules_and_the_task_is_told_its_digest(make: Callable[..., Vlagym]) -> None:
    benchmark = make(safety="stop")
    task = {**benchmark.get_tasks()[0], "episode_idx": 0}
    benchmark.reset(task)
    assert len(task["digest"]) == 32
    result = benchmark.step(benchmark.get_hold_action(None))
    while not benchmark.check_done(result):
        result = benchmark.step({"actions": np.array([0, 0, -1, 0, 0, 0, -1], np.float32)})
    assert benchmark.get_step_result(result)["success"] is False
    with pytest.raises(BadData, match="'stack' has 2 episodes in the suite 'smoke', and the one of number 3 is wanted: set episodes_per_task to 2"):
        benchmark.reset({**task, "episode_idx": 2})
    with pytest.raises(BadData, match="each is played once"):
        benchmark.reset({**task, "episode_idx": 0})


def test_a_chunk_an_answer_without_actions_and_a_wrong_one_are_errors_of_the_episode(make: Callable[..., Vlagym]) -> None:
    benchmark = make(episodes=3)
    (task,) = benchmark.get_tasks()
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"actions": np.zeros((8, 7))}, BadData, "chunk of 8 actions"),
        ({"text": "no"}, Exception, "no 'actions'"),
        ({"actions": np.full(7, np.nan)}, EpisodeFailed, "BadPolicyOutput"),
    ]
    for index, (answer, kind, told) in enumerate(wrong):
        benchmark.reset({**task, "episode_idx": index})
        with pytest.raises(kind, match=told):
            benchmark.step(answer)
    benchmark.cleanup()
    assert [r.ended_by for r in Store.open(benchmark.get_metadata()["run"]).results()] == ["policy_error"] * 3


def test_conventions_that_nobody_names_or_that_contradict_the_server_are_refused(make: Callable[..., Vlagym]) -> None:
    with pytest.raises(BadData, match=r"vla-eval does not tell what its policy reads and sends.*give profile=NAME.*libero"):
        make(profile=None)
    with pytest.raises(UnknownName, match="no profile is called 'liberro'.*libero"):
        make(profile="liberro")
    with pytest.raises(ConventionMismatch, match="absolute"):
        make(absolute_action=True)
    with pytest.raises(BadData, match="a suite, or a task"):
        make(suite=None, tasks=None)


def test_live_mode_holds_displacements_still_and_refuses_poses(make: Callable[..., Vlagym]) -> None:
    benchmark = make()
    np.testing.assert_array_equal(benchmark.get_hold_action(None)["actions"], [0, 0, 0, 0, 0, 0, -1])
    np.testing.assert_array_equal(benchmark.get_hold_action({"actions": np.ones(7)})["actions"], [0, 0, 0, 0, 0, 0, 1])


