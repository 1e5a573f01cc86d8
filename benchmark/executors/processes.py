"""Worker processes step and render; the policy acts in this one, for whoever waits. A dead worker is replaced."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import multiprocessing
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from vlagym.benchmark.executor import Answer, Crew, Desk, Finished, Job, Schedule, StartAgain, one_thread_each, unpack
from vlagym.benchmark.patience import overheard
from vlagym.benchmark.rollout import Decision, PolicyFailed, record_of
from vlagym.envs.errors import PolicyUnreachable, VlagymError
from vlagym.envs.types import ErrorRecord, Observation
from vlagym.policies.base import EpisodeContext

_LOG = logging.getLogger(__name__)
_STILLBORN_MAX = 3
"""Workers in a row that may die before they are ready. Then it is not an episode's fault."""

_UNHEARD_MAX = 3
"""Workers that may die between being given a job and beginning it. Then reading the job is what kills them."""

_GOODBYE_S = 5.0
"""Time that a worker is given to end by itself."""


def EXECUTOR(crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
    """Yields jobs as they end, from `crew.workers` processes.

    Raises:
      VlagymError: If workers die, or fail, before they are ready.
    """
    desk = None if crew.policy is None else Desk(crew.policy, crew.reconnect_s)
    floor = _Floor(crew, schedule)
    try:
        yield from floor.work(desk)
    finally:
        floor.close()


class _Worker:
    """One process, seen from here."""

    def __init__(self, crew: Crew[Any], slot: int, last_words: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.slot = slot
        self._last_words = last_words
        """Where the interpreter writes the stack when a library brings it down."""
        self.job: Job | None = None
        self.has_begun = False
        """Whether it has said that it began its job."""
        self.given_s = 0.0
        """When it was given its job; time.monotonic()."""
        self.waited_s = 0.0
        """How much of the time since then went by in waiting for the policy."""
        self.is_ready = False
        args = (crew.make, theirs, slot, crew.policy is not None, last_words)
        with one_thread_each():
            self.process: SpawnProcess = context.Process(target=_serve, args=args, daemon=True)
            self.process.start()
        theirs.close()

    def say(self, kind: str, content: Any) -> None:
        """Sends a message. A worker that is gone does not hear it; its death is seen when its pipe is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((kind, content))

    def obituary(self) -> str:
        """Returns how the process ended, in words."""
        self.process.join(_GOODBYE_S)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return "closed its pipe and lives on" if code is None else f"ended with exit status {code}"

    def stack(self) -> str:
        """Returns the stack at which the process crashed; empty where it was killed from outside or left by itself."""
        return self._last_words.read_text(encoding="utf-8", errors="replace") if self._last_words.exists() else ""

    def end(self) -> None:
        """Ends the process, with force if it has to be."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_GOODBYE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class _Floor:
    """The workers and what they do."""

    def __init__(self, crew: Crew[Any], schedule: Schedule) -> None:
        self._crew, self._schedule = crew, schedule
        self._workers: dict[int, _Worker] = {}
        self._stillborn = 0
        self._num_hired = 0
        self._unheard: Counter[str] = Counter()
        """Key of a job -> how many workers died before they began it."""
        self._folder = tempfile.TemporaryDirectory(prefix="vlagym-workers-")

    def work(self, desk: Desk | None) -> Generator[Finished, None, None]:
        while True:
            self._hire()
            busy = [w for w in self._workers.values() if w.job is not None or not w.is_ready]
            if not len(self._schedule) and all(w.job is None for w in self._workers.values()):
                return
            ready = wait([w.pipe for w in busy], self._patience_s())
            asked: dict[int, Observation] = {}
            ended: list[Finished] = self._give_up([w for w in busy if w.pipe not in ready])
            for worker in [w for w in busy if w.pipe in ready]:
                finished = self._hear(worker, desk, asked)
                if finished is not None:
                    ended.append(finished)
            # Whoever has finished goes on before the policy is asked: it simulates while the policy thinks.
            for worker in self._workers.values():
                self._assign(worker)
            if asked and desk is not None:
                with overheard(self._excuse):
                    answers = desk.answer(asked)
                for slot, answer in answers.items():
                    self._workers[slot].say("answer", answer)
            yield from ended

    def close(self) -> None:
        """Ends all workers."""
        for worker in self._workers.values():
            if worker.job is None:
                worker.say("stop", None)
        for worker in self._workers.values():
            if worker.job is None and worker.is_ready:
                worker.process.join(_GOODBYE_S)
            worker.end()
        self._workers.clear()
        self._folder.cleanup()

    def _hire(self) -> None:
        """Sees to it that there are as many workers as there is work for, and not more than were asked for."""
        idle = sum(1 for w in self._workers.values() if w.job is None)
        for slot in range(self._crew.workers):
            if slot not in self._workers and idle < len(self._schedule):
                self._num_hired += 1
                self._workers[slot] = _Worker(self._crew, slot, Path(self._folder.name) / f"{self._num_hired}.txt")
                idle += 1
        for worker in self._workers.values():
            self._assign(worker)

    def _assign(self, worker: _Worker) -> None:
        if worker.is_ready and worker.job is None:
            worker.job = self._schedule.take()
            worker.has_begun, worker.given_s, worker.waited_s = False, time.monotonic(), 0.0
            if worker.job is not None:
                worker.say("job", worker.job)

    def _patience_s(self) -> float | None:
        """Returns how long may be waited before a job has taken too long; None: for ever."""
        limit_s = self._crew.job_timeout_s
        given = [w.given_s + w.waited_s for w in self._workers.values() if w.job is not None]
        return None if limit_s is None or not given else max(0.0, min(given) + limit_s - time.monotonic())

    def _excuse(self, seconds: float) -> None:
        """Takes time off all jobs for which the policy was waited for here: nobody was answered meanwhile."""
        for worker in self._workers.values():
            worker.waited_s += seconds

    def _give_up(self, silent: list[_Worker]) -> list[Finished]:
        """Ends the workers whose job has taken too long; returns these jobs."""
        limit_s = self._crew.job_timeout_s
        ended: list[Finished] = []
        for worker in silent:
            job = worker.job
            if limit_s is None or job is None or time.monotonic() - worker.given_s - worker.waited_s < limit_s:
                continue
            pid = worker.process.pid
            del self._workers[worker.slot]
            worker.end()
            message = f"the worker process {pid} did not answer for {limit_s:g} s while it played {job.key}; it was ended and replaced"
            ended.append(Finished(job=job, error=ErrorRecord(type="WorkerDied", message=message, traceback="")))
        return ended

    def _hear(self, worker: _Worker, desk: Desk | None, asked: dict[int, Observation]) -> Finished | None:
        """Takes one message of a worker; returns the job that has ended with it, if any."""
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._bury(worker)
        job = worker.job
        if kind == "ready":
            worker.is_ready, self._stillborn = True, 0
        elif kind == "unreachable":
            return self._do_without(worker, content)
        elif kind in ("refused", "broken"):
            if kind == "broken":
                _LOG.error("a worker could not begin:\n%s", content.traceback)
            raise VlagymError(f"a worker could not begin: {content.type}: {' '.join(content.message.split())}")
        elif kind == "began":
            worker.has_begun = True
        elif kind == "waits":
            worker.waited_s += content
        elif kind == "begin" and desk is not None:
            with overheard(self._excuse):
                error = desk.begin(content, worker.given_s)
            worker.say("answer", error)
        elif kind == "ask":
            asked[worker.slot] = content
        elif kind == "again" and job is not None:
            worker.job = None
            self._schedule.put_back(job)
        elif kind in ("done", "failed") and job is not None:
            worker.job = None
            return Finished(job=job, result=content) if kind == "done" else Finished(job=job, error=content)
        else:
            raise AssertionError(f"worker {worker.slot} said {kind!r} while its job was {job}")
        return None

    def _do_without(self, worker: _Worker, error: ErrorRecord) -> Finished | None:
        """Ends a worker that has waited for its policy in vain; returns the job that it would have done, which has no policy."""
        del self._workers[worker.slot]
        worker.end()
        job = self._schedule.take()
        return None if job is None else Finished(job=job, error=error, ended_by="policy_error")

    def _bury(self, worker: _Worker) -> Finished | None:
        del self._workers[worker.slot]
        how, pid, job = worker.obituary(), worker.process.pid, worker.job
        was_ready, has_begun, stack = worker.is_ready, worker.has_begun, worker.stack()
        worker.end()
        if not was_ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN_MAX:
                raise VlagymError(f"{self._stillborn} workers in a row died before they were ready; the last one {how}. Try --executor serial")
        if job is None:
            return None
        if not has_begun:
            self._unheard[job.key] += 1
            if self._unheard[job.key] < _UNHEARD_MAX:
                self._schedule.put_back(job)
                return None
        message = f"the worker process {pid} {how} while it played {job.key}; it was replaced"
        return Finished(job=job, error=ErrorRecord(type="WorkerDied", message=message, traceback=stack))


# --------------------------------------------------------------------------------------------------------------- in the worker
class _PipePort:
    """The policy, seen from a worker."""

    def __init__(self, pipe: Connection[Any, Any], slot: int) -> None:
        self._pipe, self._slot = pipe, slot

    @property
    def slot(self) -> int:
        return self._slot

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode over there."""
        error: ErrorRecord | None = self._exchange("begin", context)
        if error is not None:
            raise PolicyFailed(error)

    def decide(self, observation: Observation) -> Decision:
        """Asks for a chunk and waits for it."""
        answer: Answer = self._exchange("ask", observation)
        return unpack(answer)

    def _exchange(self, kind: str, content: Any) -> Any:
        try:
            self._pipe.send((kind, content))
            return self._pipe.recv()[1]
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            # Not an Exception: the one who asked is gone, and this is no fault of the policy.
            raise SystemExit(0) from error


def _serve(make: Any, pipe: Connection[Any, Any], slot: int, has_policy: bool, last_words: Path) -> None:
    """Does jobs until the pipe closes."""
    faulthandler.enable(last_words.open("w", encoding="utf-8"))
    # Ctrl-C reaches the whole group; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        player = make()
    except Exception as error:
        is_ours = isinstance(error, VlagymError)
        pipe.send(("unreachable" if isinstance(error, PolicyUnreachable) else "refused" if is_ours else "broken", record_of(error)))
        return
    port = _PipePort(pipe, slot) if has_policy else None
    try:
        pipe.send(("ready", None))
        while (message := pipe.recv())[0] == "job":
            pipe.send(("began", None))
            try:
                with overheard(lambda seconds: pipe.send(("waits", seconds))):
                    answer = ("done", player.play(message[1], port))
            except StartAgain:
                answer = ("again", None)
            except Exception as error:
                answer = ("failed", record_of(error))
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        player.close()
