"""A server that is restarted costs the episode that it was lost in, and no other; one that stays away stops the run with one line."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fakes
import pytest
from vla_eval_servers import Talk, model_server, profile_file

from vlagym.benchmark import patience
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.episode import PlayerOptions, WorldOptions
from vlagym.benchmark.executor import Crew, Desk, Job, Schedule
from vlagym.benchmark.executors import serial
from vlagym.benchmark.patience import patiently
from vlagym.benchmark.runner import RunOptions, RunReport, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData, BadReply, PolicyTimeout, PolicyUnreachable, RunStopped
from vlagym.envs.types import ActionChunk, EpisodeResult, Observation
from vlagym.policies.base import EpisodeContext
from vlagym.policies.chunking import declared
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=8),))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.1)


# ------------------------------------------------------------------------------------------------------------------ waiting
def failing(times: int, error: type[Exception] = PolicyUnreachable) -> Callable[[], int]:
    """Returns what raises so often, and then returns how often it was called."""
    calls = 0

    def attempt() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error(f"nobody answers at ws://h:1\n(try {calls})")
        return calls

    return attempt


def test_one_waits_with_growing_pauses_and_says_for_whom(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with caplog.at_level(logging.WARNING):
        assert patiently(failing(6), "openpi", 60.0) == 7
    assert pauses == sorted(pauses) and pauses[0] < pauses[3] and pauses[-1] == patience.LONGEST_PAUSE_S
    first, last = caplog.messages
    assert first == "openpi is waited for, up to 60 s (option reconnect=S): nobody answers at ws://h:1 (try 1)"
    assert last == "openpi is back after 0 s"


def test_it_ends_when_time_is_over_and_the_error_says_that_one_has_waited() -> None:
    began_s = time.monotonic()
    with pytest.raises(PolicyUnreachable, match=r"\(try \d+\); it was waited for, 0.3 s long \(option reconnect=S\)"):
        patiently(failing(1000), "openpi", 0.3)
    assert 0.3 <= time.monotonic() - began_s < 5.0


def test_without_patience_nothing_is_tried_twice_and_other_errors_never_are() -> None:
    with pytest.raises(PolicyUnreachable, match=r"\(try 1\)$"):
        patiently(failing(1), "openpi", 0.0)
    with pytest.raises(BadReply, match="try 1"):
        patiently(failing(1, BadReply), "openpi", 60.0)


def test_what_hung_for_longer_than_one_waits_is_not_asked_again() -> None:
    def hang() -> None:
        time.sleep(0.3)
        raise PolicyUnreachable("ws://h:1 has not answered within 0.3 s")

    with pytest.raises(PolicyUnreachable, match="within 0.3 s$"):
        patiently(hang, "openpi", 0.2)


def test_who_has_taken_a_question_and_is_late_is_not_asked_it_again() -> None:
    with pytest.raises(PolicyTimeout, match=r"\(try 1\)$"):
        patiently(failing(1, PolicyTimeout), "openpi", 60.0)


def test_each_wait_is_told_to_who_listens_with_the_time_that_the_attempt_took(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with patience.overheard(heard.append):
        patiently(failing(3), "openpi", 60.0)
    patiently(failing(1), "openpi", 60.0)
    assert len(heard) == 3 and patience.FIRST_PAUSE_S <= heard[0] < heard[2] < 2 * patience.LONGEST_PAUSE_S


# --------------------------------------------------------------------------------------------------------------- at the desk
class Lost(fakes.Carrier):
    """Cannot be reached so often, at the calls whose numbers are given."""

    def __init__(self, resets: Mapping[int, int], acts: Mapping[int, int]) -> None:
        super().__init__()
        self._lost = {"reset": dict(resets), "act": dict(acts)}
        self._count = {"reset": 0, "act": 0}
        self.told: list[str] = []

    def _maybe(self, what: str) -> None:
        left = self._lost[what].get(self._count[what], 0)
        if left:
            self._lost[what][self._count[what]] = left - 1
            raise PolicyUnreachable("nobody is there")
        self._count[what] += 1

    def reset(self, context: EpisodeContext) -> None:
        self._maybe("reset")
        self.told.append(context.digest)
        super().reset(context)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        self._maybe("act")
        return super().act(observations)


def outcomes(policy: Lost, reconnect_s: float) -> list[str]:
    options = PlayerOptions(
        policy=policy.spec, load_own=None, chunking=declared(policy.spec), known={}, world=WorldOptions(), make_world=fakes.make_world
    )
    crew = Crew(make=options.make, policy=policy, reconnect_s=reconnect_s)
    jobs = Schedule([Job(key=str(seed), content=fakes.spec(seed)) for seed in range(3)])
    return [f.result.result.outcome for f in serial.EXECUTOR(crew, jobs)]


def test_a_policy_is_waited_for_when_an_episode_begins_and_not_within_it() -> None:
    assert outcomes(Lost({1: 3}, {}), 5.0) == ["success"] * 3
    assert outcomes(Lost({1: 1}, {}), 0.0) == ["success", "error", "success"]
    assert outcomes(Lost({}, {0: 3}), 5.0) == ["success"] * 3, "the first answer of an episode belongs to its beginning"
    assert outcomes(Lost({}, {2: 1}), 5.0) == ["error", "success", "success"]


def test_an_episode_whose_first_answer_was_lost_is_begun_again() -> None:
    policy = Lost({}, {0: 2})
    outcomes(policy, 5.0)
    first = fakes.spec(0).digest()
    assert policy.told == [first, first, first, fakes.spec(1).digest(), fakes.spec(2).digest()]


def begun(seed: int, slot: int) -> EpisodeContext:
    spec = fakes.spec(seed)
    return EpisodeContext(slot=slot, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec)


def test_one_wait_in_vain_serves_all_episodes_that_were_given_out_before_it_ended() -> None:
    """A policy of all workers is waited for as long as one that each has for itself: not for one after another."""
    desk, given_s = Desk(Lost({0: 1000}, {}), reconnect_s=2.0), time.monotonic()
    told, took_s = [], []
    for slot in range(3):
        began_s = time.monotonic()
        error = desk.begin(begun(slot, slot), given_s)
        assert error is not None
        told.append(error.message)
        took_s.append(time.monotonic() - began_s)
    assert told[0] == "nobody is there; it was waited for, 2 s long (option reconnect=S)" and took_s[0] >= 2.0
    assert told[1:] == ["nobody is there; it was waited for with another episode, 2 s long (option reconnect=S)"] * 2 and max(took_s[1:]) < 1.5
    began_s = time.monotonic()
    assert desk.begin(begun(3, 0)) is not None and time.monotonic() - began_s >= 2.0, "what is given out later waits again"


def test_a_policy_that_is_away_is_nobodys_fault_among_those_who_ask_it_together() -> None:
    desk = Desk(Lost({}, {0: 1000}), reconnect_s=0.1)
    spec, world = fakes.spec(0), fakes.make_world(WorldOptions())
    world.start(spec)
    assert [desk.begin(begun(slot, slot)) for slot in range(3)] == [None] * 3
    answers = desk.answer(dict.fromkeys(range(3), world.observe(privileged=True)))
    assert [getattr(answer, "type", answer) for answer in answers.values()] == ["PolicyUnreachable"] * 3


class Late(Lost):
    """Answers too late, whomever it is asked about."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.asked: list[list[int]] = []

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        self.asked.append(sorted(observations))
        raise PolicyTimeout("nothing was answered for 600 s")


@pytest.mark.parametrize("reconnect_s", [0.0, 5.0])
def test_an_answer_that_is_too_late_is_the_error_of_all_whom_it_was_for_and_none_of_them_is_asked_again(reconnect_s: float) -> None:
    policy, world = Late(), fakes.make_world(WorldOptions())
    desk = Desk(policy, reconnect_s)
    world.start(fakes.spec(0))
    assert [desk.begin(begun(slot, slot)) for slot in range(3)] == [None] * 3
    answers = desk.answer(dict.fromkeys(range(3), world.observe(privileged=True)))
    assert [getattr(answer, "type", answer) for answer in answers.values()] == ["PolicyTimeout"] * 3
    assert policy.asked == [[0, 1, 2]]


def test_the_time_that_one_waits_is_no_latency_of_the_policy() -> None:
    policy = Lost({}, {0: 3})
    desk = Desk(policy, reconnect_s=5.0)
    spec = fakes.spec(0)
    assert desk.begin(EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec)) is None
    world = fakes.make_world(WorldOptions())
    world.start(spec)
    began_s = time.perf_counter()
    answer = desk.answer({0: world.observe(privileged=True)})[0]
    waited_s = time.perf_counter() - began_s
    assert isinstance(answer, tuple) and answer.latency_s < 0.1 * waited_s


# ------------------------------------------------------------------------------------------------------- a server over a wire
class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


class Server:
    """A model server at one port, which can be down for a while."""

    def __init__(self) -> None:
        self._on = contextlib.ExitStack()
        self.heard = self._on.enter_context(model_server(self._reply))
        self.url, self._port = self.heard.url, int(self.heard.url.rsplit(":", 1)[1])
        self.killed_at: tuple[int, int] | None = None
        """(Episode, observation) at which it is killed, to be up again half a second later."""
        self._count: dict[int, int] = {}
        self._timer: threading.Timer | None = None

    def down(self, for_s: float | None = None) -> None:
        """Closes the port and all connections; for good, or for so long."""
        self._on.close()
        if for_s is not None:
            self._timer = threading.Timer(for_s, self.up)
            self._timer.start()

    def up(self) -> None:
        self._on.enter_context(model_server(self._reply, port=self._port))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.join()
        self._on.close()

    def _reply(self, talk: Talk, message: dict[str, Any]) -> None:
        episode = len(self.heard.of("episode_start"))
        self._count[episode] = self._count.get(episode, 0) + 1
        if (episode, self._count[episode]) == self.killed_at:
            self.killed_at = None
            threading.Thread(target=self.down, args=(0.5,)).start()
        else:
            talk.act(message)


@pytest.fixture
def server() -> Iterator[Server]:
    with contextlib.closing(Server()) as found:
        yield found


def options(server: Server, folder: Path, out: str, **changes: Any) -> RunOptions:
    said = {"profile": profile_file(folder), "timeout": "20", "reconnect": changes.pop("reconnect", "20")}
    usual: dict[str, Any] = {"executor": "serial", "out": folder / out}
    return RunOptions(policy=f"vla_eval:{server.url}", policy_options=said, suite=SUITE, make_world=fakes.make_world, **{**usual, **changes})


def specs(count: int) -> list[Any]:
    return [fakes.spec(seed, horizon_s=0.3) for seed in range(count)]


def certificates(report: RunReport) -> dict[int, Any]:
    return {r.seed: r.certificate for r in report.results}


def test_a_server_that_is_killed_between_two_steps_costs_that_episode_and_the_next_one_waits(server: Server, tmp_path: Path) -> None:
    whole = certificates(run(options(server, tmp_path, "whole"), specs(5), Silent()))
    server.killed_at = (5 + 2, 3)
    report = run(options(server, tmp_path, "broken", stop_after_errors=1 + 1), specs(5), Silent())
    assert [r.outcome for r in report.results] == ["failure", "error", "failure", "failure", "failure"]
    broken = report.results[1]
    assert broken.error is not None and (broken.ended_by, broken.error.type, broken.steps) == ("policy_error", "PolicyUnreachable", 2)
    assert {seed: c for seed, c in certificates(report).items() if seed != 1} == {seed: c for seed, c in whole.items() if seed != 1}


class KillsAtTheStart(Silent):
    """Takes the server down once the run has its folder, and no worker has begun yet."""

    def __init__(self, server: Server, for_s: float | None) -> None:
        self._server, self._for_s = server, for_s

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        self._server.down(self._for_s)


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_worker_that_begins_while_the_server_is_down_waits_for_it(server: Server, tmp_path: Path, executor: str) -> None:
    report = run(options(server, tmp_path, "run", executor=executor, workers=1), specs(2), KillsAtTheStart(server, 0.5))
    assert [r.outcome for r in report.results] == ["failure", "failure"]


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_workers_whose_server_stays_away_are_errors_of_the_policy_and_stop_the_run(server: Server, tmp_path: Path, executor: str) -> None:
    hasty = options(server, tmp_path, "run", executor=executor, workers=1, reconnect="0.1", stop_after_errors=2)
    stopped = r"stopped after 2 episodes in a row .* PolicyUnreachable: nobody answers at ws:.* go on with: vlagym run --resume .*run --retry-errors"
    with pytest.raises(RunStopped, match=stopped) as error:
        run(hasty, specs(4), KillsAtTheStart(server, None))
    assert "\n" not in str(error.value)
    results = Store.open(tmp_path / "run").results()
    assert [(r.ended_by, r.steps) for r in results] == [("policy_error", 0)] * 2


def test_a_worker_that_meets_another_server_ends_the_run_with_one_line_and_says_how_it_goes_on(server: Server, tmp_path: Path) -> None:
    class Changes(Silent):
        def begins(self, path: Path, total: int, done: int, workers: int) -> None:
            profile = Path(profile_file(tmp_path))
            profile.write_text("no TOML", encoding="utf-8")

    told = r"a worker could not begin: BadData: .* is not TOML.*; once that is mended, go on with: vlagym run --resume "
    with pytest.raises(RunStopped, match=told) as e:
        run(options(server, tmp_path, "run", executor="processes", workers=1), specs(2), Changes())
    assert "\n" not in str(e.value) and "Traceback" not in str(e.value)


def test_a_server_that_was_never_up_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.down()
    began_s = time.monotonic()
    with pytest.raises(PolicyUnreachable, match=f"nobody answers at {server.url}"):
        run(options(server, tmp_path, "run", reconnect="60"), specs(1), Silent())
    assert time.monotonic() - began_s < 30 and not (tmp_path / "run").exists()


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "inf"])
def test_patience_is_a_number_of_seconds(server: Server, tmp_path: Path, said: str) -> None:
    with pytest.raises(BadData, match=f"reconnect of vla_eval is a number of seconds, 0 for none, not '{said}'"):
        run(options(server, tmp_path, "run", reconnect=said), specs(1), Silent())
