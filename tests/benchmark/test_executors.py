"""Executors give back every job, and let one that goes wrong cost nothing but itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fakes
import pytest

from vlagym.benchmark.episode import PlayerOptions, WorldOptions
from vlagym.benchmark.executor import Crew, Finished, Job, LocalPort, Port, Schedule
from vlagym.benchmark.executors import processes, serial
from vlagym.benchmark.patience import patiently
from vlagym.benchmark.rollout import PolicyFailed
from vlagym.envs.errors import BadData, PolicyUnreachable, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.chunking import declared

EXECUTORS = {"serial": serial.EXECUTOR, "processes": processes.EXECUTOR}


class Worker:
    """Does what its job says."""

    def play(self, job: Job, port: Port | None) -> Any:
        if job.content == "fail":
            raise ValueError("I cannot do this")
        if job.content == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if job.content == "sleep":
            time.sleep(60)
        if job.content == "wait":
            return patiently(away_for(3.0), "its own policy", 30.0)
        if job.content == "begin":
            assert port is not None
            port.begin(context(port.slot))
            return "begun"
        if job.content == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if job.content == "leave":
            os._exit(7)
        if job.content == "threads":
            return {name: os.environ.get(name) for name in ("LP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        if job.content == "pid":
            time.sleep(0.05)
            return os.getpid()
        return job.content * 2

    def close(self) -> None: ...


def context(slot: int) -> EpisodeContext:
    spec = fakes.spec(0)
    return EpisodeContext(slot=slot, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec)


def away_for(seconds: float) -> Callable[[], str]:
    """Returns what cannot reach its policy for so long."""
    back_s = time.monotonic() + seconds

    def attempt() -> str:
        if time.monotonic() < back_s:
            raise PolicyUnreachable("nobody is there")
        return "reached"

    return attempt


def broken_worker() -> Worker:
    raise RuntimeError("there is no robot here")


def stillborn_worker() -> Worker:
    os._exit(3)


def run(executor: str, contents: list[Any], **crew: Any) -> dict[str, Finished]:
    jobs = [Job(key=f"{i} {content}", content=content) for i, content in enumerate(contents)]
    return {f.job.key: f for f in EXECUTORS[executor](Crew(**{"make": Worker, **crew}), Schedule(jobs))}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets worker processes import this file, which pytest has loaded under a name that nobody could import."""
    import sys
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, "test_executors", sys.modules[__name__])
    for thing in (Worker, broken_worker, stillborn_worker):
        monkeypatch.setattr(thing, "__module__", "test_executors")
    yield


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_job_comes_back_and_a_failing_one_costs_itself(executor: str) -> None:
    finished = run(executor, [1, "fail", 3], workers=2)
    assert finished["0 1"].result == 2 and finished["2 3"].result == 6
    error = finished["1 fail"].error
    assert error is not None and (error.type, error.message) == ("ValueError", "I cannot do this")
    assert "I cannot do this" in error.traceback


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_job_may_be_put_back_while_others_run(executor: str) -> None:
    schedule = Schedule([Job(key="a", content="fail")])
    attempts = []
    for finished in EXECUTORS[executor](Crew(make=Worker), schedule):
        attempts.append(finished.job.attempt)
        if finished.job.attempt < 3:
            schedule.put(Job(key="a", content="fail", attempt=finished.job.attempt + 1))
    assert attempts == [1, 2, 3]


def test_a_worker_that_dies_is_replaced_and_only_its_job_is_lost() -> None:
    finished = run("processes", [1, "die", 2, "leave", 3], workers=2)
    assert [finished[k].result for k in ("0 1", "2 2", "4 3")] == [2, 4, 6]
    died, left = finished["1 die"].error, finished["3 leave"].error
    assert died is not None and died.type == "WorkerDied" and "was ended by SIGKILL while it played 1 die; it was replaced" in died.message
    assert left is not None and left.type == "WorkerDied" and "ended with exit status 7" in left.message


def test_a_job_that_was_never_begun_goes_to_another_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    say = processes._Worker.say
    killed: list[int | None] = []

    def kill_first(worker: Any, kind: str, content: Any) -> None:
        if kind == "job" and len(killed) < 2:
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
        say(worker, kind, content)

    monkeypatch.setattr(processes._Worker, "say", kill_first)
    finished = run("processes", [21])
    assert len(killed) == 2 and finished["0 21"].result == 42 and finished["0 21"].job.attempt == 1


def test_a_job_that_kills_whoever_reads_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    say = processes._Worker.say

    def kill(worker: Any, kind: str, content: Any) -> None:
        if kind == "job":
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
        say(worker, kind, content)

    monkeypatch.setattr(processes._Worker, "say", kill)
    error = run("processes", [21])["0 21"].error
    assert error is not None and error.type == "WorkerDied"


def test_a_job_that_takes_too_long_is_given_up_and_the_others_are_done() -> None:
    finished = run("processes", [1, "sleep", 3], job_timeout_s=3.0)
    assert finished["0 1"].result == 2 and finished["2 3"].result == 6
    error = finished["1 sleep"].error
    assert error is not None and error.type == "WorkerDied" and "did not answer for 3 s while it played 1 sleep" in error.message


def test_the_time_for_which_a_worker_waits_for_its_policy_is_not_that_of_the_job() -> None:
    assert run("processes", ["wait"], job_timeout_s=1.5)["0 wait"].result == "reached"


@pytest.mark.parametrize("workers", [0, -1])
def test_work_without_workers_is_refused(workers: int) -> None:
    with pytest.raises(BadData, match=f"there is work for at least 1 worker, not for {workers}"):
        run("processes", [1], workers=workers)


def test_a_worker_that_a_library_brings_down_leaves_its_stack() -> None:
    error = run("processes", ["crash"])["0 crash"].error
    assert error is not None and "was ended by SIGSEGV" in error.message
    assert "Segmentation fault" in error.traceback and "in play" in error.traceback


def test_workers_use_one_thread_each_and_leave_this_process_as_it_was() -> None:
    before = dict(os.environ)
    threads = run("processes", ["threads"])["0 threads"].result
    assert set(threads.values()) == {"1"}
    assert dict(os.environ) == before


def test_closing_ends_the_workers() -> None:
    jobs = [Job(key=str(i), content="pid") for i in range(100)]
    with contextlib.closing(processes.EXECUTOR(Crew(make=Worker, workers=2), Schedule(jobs))) as finished:
        pids = {next(finished).result for _ in range(4)}
    deadline_s = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_workers_that_cannot_begin_end_the_run_with_their_reason() -> None:
    with pytest.raises(VlagymError, match="a worker could not begin: RuntimeError: there is no robot here"):
        run("processes", [1], make=broken_worker)


def test_workers_that_die_before_they_are_ready_end_the_run() -> None:
    with pytest.raises(VlagymError, match=r"3 workers in a row died before they were ready; the last one ended with exit status 3"):
        run("processes", [1], make=stillborn_worker)


# ----------------------------------------------------------------------------------------------------- a policy in this process
def crew(policy: fakes.Carrier, workers: int) -> Crew[Any]:
    options = PlayerOptions(
        policy=policy.spec, load_own=None, chunking=declared(policy.spec), known={}, world=WorldOptions(), make_world=fakes.make_world
    )
    return Crew(make=options.make, policy=policy, workers=workers)


class Thinking(fakes.Carrier):
    """Thinks the longer the less others come to wait meanwhile, until they do: on a busy machine they come late."""

    think_s = 0.005

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        self.think_s = min(2 * self.think_s, 0.25) if len(observations) == 1 else 0.005
        time.sleep(self.think_s)
        return super().act(observations)


class Away(fakes.Carrier):
    """Cannot be reached for some time, from when it is first told of an episode."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._attempt: Callable[[], str] | None = None

    def reset(self, context: EpisodeContext) -> None:
        self._attempt = self._attempt or away_for(self._seconds)
        self._attempt()
        super().reset(context)


def test_the_time_for_which_the_policy_of_all_is_waited_for_is_that_of_no_job() -> None:
    finished = run("processes", ["begin"] * 3, policy=Away(4.0), workers=2, job_timeout_s=2.0, reconnect_s=30.0)
    assert [(f.error, f.result) for f in finished.values()] == [(None, "begun")] * 3


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (asyncio.CancelledError("late"), "CancelledError", r"the policy raised CancelledError\(late\)"),
        (GeneratorExit(), "GeneratorExit", r"the policy raised GeneratorExit\(\)"),
        (SystemExit(3), "SystemExit", r"the policy called sys.exit\(3\)"),
    ],
)
def test_what_a_policy_raises_to_end_programs_ends_its_episode(raised: BaseException, kind: str, message: str) -> None:
    with pytest.raises(PolicyFailed, match=message) as failed:
        ask_one_that_raises(raised)
    assert failed.value.record.type == kind and "Traceback" in failed.value.record.traceback


def test_ctrl_c_is_the_persons_where_it_is_listened_to_and_the_policys_where_it_is_not() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that puts tests into the background has it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            ask_one_that_raises(KeyboardInterrupt())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in workers
        with pytest.raises(PolicyFailed, match=r"the policy raised KeyboardInterrupt\(mine\)"):
            ask_one_that_raises(KeyboardInterrupt("mine"))
    finally:
        signal.signal(signal.SIGINT, before)


def ask_one_that_raises(error: BaseException) -> None:
    class Raises(fakes.Carrier):
        def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
            raise error

    port, spec = LocalPort(Raises()), fakes.spec(0)
    port.begin(context(0))
    world = fakes.make_world(WorldOptions())
    world.start(spec)
    port.decide(world.observe(privileged=True))


def test_the_policy_acts_in_batches_for_whoever_waits() -> None:
    policy = Thinking()
    jobs = [Job(key=str(s), content=fakes.spec(s)) for s in range(12)]
    finished = list(processes.EXECUTOR(crew(policy, 3), Schedule(jobs)))
    assert all(f.error is None and f.result.result.outcome == "success" for f in finished)
    assert max(policy.batches) > 1 and sum(policy.batches) == sum(len(f.result.trace.call_step) for f in finished)


def test_a_batch_that_fails_costs_only_the_episode_that_is_to_blame() -> None:
    policy = fakes.Faulty([2, 5], "act")
    jobs = [Job(key=str(s), content=fakes.spec(s)) for s in range(8)]
    outcomes = {f.job.key: f.result.result.outcome for f in processes.EXECUTOR(crew(policy, 3), Schedule(jobs))}
    assert outcomes == {str(s): "error" if s in (2, 5) else "success" for s in range(8)}


class ThinkingAndFaulty(Thinking, fakes.Faulty):
    """Thinks, and then fails."""


@pytest.mark.parametrize("what", ["late", "nan", "short"])
def test_after_a_call_that_failed_everybody_else_still_goes_on_in_batches(what: str) -> None:
    alone = {f.job.key: f.result for f in serial.EXECUTOR(crew(fakes.Carrier(), 1), Schedule(carried(8)))}
    policy = ThinkingAndFaulty([0, 1], what)
    finished = {f.job.key: f.result for f in processes.EXECUTOR(crew(policy, 3), Schedule(carried(8)))}
    assert {key for key, played in finished.items() if played.result.outcome == "error"} == {"0", "1"}
    for key in set(finished) - {"0", "1"}:
        assert finished[key].result.certificate == alone[key].result.certificate
    assert max(policy.batches[len(policy.batches) // 2 :]) > 1


def carried(count: int) -> list[Job]:
    return [Job(key=str(s), content=fakes.spec(s)) for s in range(count)]


def test_a_local_port_raises_what_the_policy_raised() -> None:
    policy: Policy = fakes.Faulty([1], "reset")
    port = LocalPort(policy)
    with pytest.raises(PolicyFailed, match="ValueError: I will not begin"):
        port.begin(EpisodeContext(slot=0, instruction="", action=fakes.CONTROL, digest="d", spec=fakes.spec(1)))
