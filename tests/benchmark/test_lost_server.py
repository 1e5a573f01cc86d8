"""A run whose policy is behind a wire: what the server does wrong stands in the ledger, the run goes on, and stops when nobody answers any more."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest
from vla_eval_servers import Talk, model_server, profile_file

from vlagym.benchmark.entry import Entry
from vlagym.benchmark.runner import RunOptions, RunReport, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import PolicyUnreachable, RunStopped
from vlagym.envs.types import EpisodeResult
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=8),))


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., RunReport]:
    profile = profile_file(tmp_path)

    def play_some(url: str, seeds: Sequence[int], out: Path | None = None, **changes: Any) -> RunReport:
        specs = [fakes.spec(seed, horizon_s=0.2) for seed in seeds]
        said = {"profile": profile, "timeout": "1.5", "first_timeout": "1.5", "reconnect": "0"}
        options: dict[str, Any] = {"policy_options": said, "executor": "serial"}
        where = None if "resume" in changes else (out or tmp_path / "run")
        return run(RunOptions(policy=f"vla_eval:{url}", suite=SUITE, make_world=fakes.make_world, out=where, **options, **changes), specs, Silent())

    return play_some


def errors(report: RunReport) -> list[str]:
    return ["" if r.error is None else f"{r.ended_by} {r.error.type}: {r.error.message}" for r in report.results]


def test_each_thing_that_goes_wrong_costs_one_episode_which_says_what_it_was(play: Callable[..., RunReport]) -> None:
    def go_wrong(talk: Talk, message: dict[str, Any]) -> None:
        at = len(heard.of("episode_start")) - 1  # which episode this is
        wrong: dict[int, Callable[[], None]] = {
            1: talk.drop,
            2: lambda: None,
            3: lambda: talk.act(message, seq=77),
            4: lambda: talk.say("error", {"error": "observation_failed: ValueError: bad obs"}, message["seq"]),
            5: lambda: talk.act(message, values=[0.0, float("nan"), 0, 0, 0, 0, 0]),
            6: lambda: talk.act(message, values=[0.0] * 6),
            7: lambda: talk.act(message, values=[3.0] * 7),
        }
        wrong.get(at, lambda: talk.act(message))()

    with model_server(go_wrong) as heard:
        report = play(heard.url, range(9), stop_after_errors=0)
    told = errors(report)
    wanted = [
        "",
        "policy_error PolicyUnreachable: .* dropped the connection without a word",
        "policy_error PolicyTimeout: .* has not answered within 1.5 s",
        "policy_error BadReply: .* with seq 77",
        "policy_error BadReply: .* observation_failed: ValueError: bad obs",
        "policy_error BadPolicyOutput: the policy sent nan in step 0, component 1",
        "policy_error BadPolicyOutput: the policy sent a chunk of shape",
        "policy_error BadAction: the action holds 3 at index 0",
        "",
    ]
    assert len(told) == 9
    for line, pattern in zip(told, wanted, strict=True):
        assert re.match(pattern or "$", line), line
    assert report.tally() == {"success": 0, "failure": 2, "error": 7}


def test_a_server_that_goes_down_stops_the_run_which_goes_on_when_it_is_up_again(play: Callable[..., RunReport], tmp_path: Path) -> None:
    with model_server(lambda talk, m: talk.act(m)) as heard:
        url, port = heard.url, int(heard.url.rsplit(":", 1)[1])
        whole = play(url, range(8), tmp_path / "whole")

    def answers_two_episodes(talk: Talk, message: dict[str, Any]) -> None:
        if len(heard.of("episode_start")) > 2:
            talk.drop()
        else:
            talk.act(message)

    with model_server(answers_two_episodes, port=port) as heard:
        with pytest.raises(RunStopped, match="stopped after 3 episodes in a row that the policy brought down, the last with PolicyUnreachable: ws://"):
            play(url, range(8), stop_after_errors=3)
    assert [r.outcome for r in Store.open(tmp_path / "run").results()] == ["failure"] * 2 + ["error"] * 3
    with pytest.raises(PolicyUnreachable, match=f"nobody answers at {url}"):
        play(url, range(8), resume=tmp_path / "run", retry_errors=True)
    with model_server(lambda talk, m: talk.act(m), port=port):
        report = play(url, range(8), resume=tmp_path / "run", retry_errors=True)
    assert {r.digest: r.certificate for r in report.results} == {r.digest: r.certificate for r in whole.results}


def test_what_the_environment_does_wrong_is_not_laid_to_the_server_nor_counted_nor_waited_for(tmp_path: Path) -> None:
    troubles = {1: "env_error:0", 2: "env_error:1", 3: "unstartable", 4: "env_error:1", 5: "unsettled", 6: "env_error:0"}
    specs = [fakes.spec(seed, horizon_s=0.2, trouble=troubles.get(seed, "")) for seed in range(8)]
    said = {"profile": profile_file(tmp_path), "timeout": "20", "reconnect": "20"}
    with model_server(lambda talk, message: talk.act(message)) as heard:
        options = RunOptions(
            policy=f"vla_eval:{heard.url}",
            policy_options=said,
            suite=SUITE,
            make_world=fakes.make_world,
            out=tmp_path / "run",
            executor="serial",
            stop_after_errors=2,
        )
        report = run(options, specs, Silent())
        begun, connections = len(heard.of("episode_start")), heard.num_connections
    assert [r.ended_by for r in report.results] == ["horizon", *["env_error"] * 6, "horizon"]
    assert {r.error.type for r in report.results if r.error} == {"RuntimeError", "BadSpec", "Divergence"}
    assert begun == 8 - 2, "the server is not told of episodes that the world could not start"
    assert connections == 2, "one to look who is there, one of the worker: an environment that fails costs no connection"


def test_an_action_that_the_environment_refuses_is_the_servers(play: Callable[..., RunReport]) -> None:
    with model_server(lambda talk, message: talk.act(message, values=[9.0] * 7)) as heard:
        report = play(heard.url, range(2), stop_after_errors=0)
    assert [(r.ended_by, r.error and r.error.type) for r in report.results] == [("policy_error", "BadAction")] * 2
