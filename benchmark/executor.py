"""What an executor is: jobs go in, and come out done or with what went wrong. Nobody waits for anybody."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from vlagym.benchmark.patience import patiently
from vlagym.benchmark.rollout import Decision, PolicyFailed, record_of
from vlagym.envs.errors import BadData, BadPolicyOutput, PolicyTimeout, PolicyUnreachable
from vlagym.envs.types import ActionChunk, ActionSpec, EndedBy, ErrorRecord, Observation
from vlagym.policies.base import EpisodeContext, Policy, check_chunks
from vlagym.policies.conventions import agreed_action

Result = TypeVar("Result", covariant=True)
_Answer = TypeVar("_Answer")

_ONE_THREAD = {name: "1" for name in ("LP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
"""With one process a core, threads within a process only take time from each other. LP_ is the software renderer."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of work for one worker."""

    key: str
    """Names it in messages: the digest of an episode."""
    content: Any
    """What the player is given; it travels to another process."""
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A job that has ended."""

    job: Job
    result: Any = None
    """What the player returned."""
    error: ErrorRecord | None = None
    """Why there is no result: the player raised, or its process died (type "WorkerDied"), or no worker could reach its policy."""
    ended_by: EndedBy = "env_error"
    """To whom the error is laid."""


class Port(Protocol):
    """How a player reaches the policy, wherever that is."""

    @property
    def slot(self) -> int: ...

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode. Raises PolicyFailed."""
        ...

    def decide(self, observation: Observation) -> Decision:
        """Asks for a chunk. Raises PolicyFailed, or StartAgain, which a player lets through."""
        ...


class Player(Protocol[Result]):
    """Does one job after another, in a process of its own or in the caller's."""

    def play(self, job: Job, port: Port | None) -> Result:
        """Does a job. An exception costs the job alone.

        Args:
          job: What to do.
          port: The policy that acts in the caller's process; None where there is none.
        """
        ...

    def close(self) -> None:
        """Releases renderers and models."""
        ...


@dataclass(frozen=True, kw_only=True)
class Crew(Generic[Result]):
    """Who does the jobs."""

    make: Callable[[], Player[Result]]
    """Builds a player, once in each worker; it is pickled, so it must be importable there."""
    policy: Policy | None = None
    """Acts in the caller's process for all players at once; None where players need none or have their own."""
    workers: int = 1
    job_timeout_s: float | None = None
    """Wall time after which a job is given up and its worker ended, less the time for which its policy was waited for; None: never. It needs worker
    processes."""
    reconnect_s: float = 0.0
    """How long the policy is waited for where it cannot be reached when an episode begins."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadData(f"there is work for at least 1 worker, not for {self.workers}")
        if self.job_timeout_s is not None and not self.job_timeout_s > 0:
            raise BadData(f"a time limit is more than 0 s, not {self.job_timeout_s:g}")


class Schedule:
    """Jobs that wait, first in first out. A job may be put back while others run: a retry."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = deque(jobs)

    def take(self) -> Job | None:
        """Returns the next job, None where none waits."""
        return self._jobs.popleft() if self._jobs else None

    def put(self, job: Job) -> None:
        """Adds a job behind the others."""
        self._jobs.append(job)

    def put_back(self, job: Job) -> None:
        """Adds a job before the others: it was taken, and has to be begun again through no fault of its own."""
        self._jobs.appendleft(job)

    def __len__(self) -> int:
        return len(self._jobs)


class Executor(Protocol):
    """`EXECUTOR` of a file in benchmark/executors."""

    def __call__(self, crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
        """Yields jobs as they end, in whatever order, until none waits and none runs. Closing the generator ends all workers."""
        ...


class StartAgain(BaseException):
    """An episode has to be begun again, because others that were asked in the same call have brought it down.

    No Exception: a rollout that keeps what goes wrong in its episode must let it through.
    """


Answer = Decision | ErrorRecord | StartAgain


class Desk:
    """Serves one policy to many players: keeps what was agreed for each slot, checks each answer apart, finds who is to blame.

    A slot whose chunk is missing or bad pays alone; the policy is not asked again. Where the call itself raises, nobody can say which slot
    is to blame, nor what the call has done to what the policy remembers of the others. So all episodes of that call are begun again, and
    from then on each of them is asked in a call of its own: the one that raises then is to blame. Everybody else goes on in batches. A call that is
    answered too late is the error of all whom it asked: the policy may compute still, and is not asked the same once more.

    A policy that cannot be reached when an episode begins, which is until its first answer, is waited for: nothing has happened yet that it could
    have forgotten. One that is lost later costs the episode. One wait serves all who wait: what was given out before it ended in vain is not waited
    for once more, one after another, but tried once.
    """

    def __init__(self, policy: Policy, reconnect_s: float = 0.0) -> None:
        """Makes the desk of a policy.

        Args:
          policy: Is asked.
          reconnect_s: How long it is waited for where it cannot be reached when an episode begins.
        """
        self._policy, self._reconnect_s = policy, reconnect_s
        self._agreed: dict[int, ActionSpec] = {}
        self._fresh: dict[int, EpisodeContext] = {}
        """Slot -> its episode, of which nothing was answered yet."""
        self._episode: dict[int, str] = {}
        """Slot -> digest."""
        self._given_s: dict[int, float] = {}
        """Slot -> when its episode was given out; time.monotonic()."""
        self._vain_s = -math.inf
        """When the policy was last waited for in vain."""
        self._suspects: set[str] = set()
        """Digests of episodes that were in a call that raised."""

    def begin(self, context: EpisodeContext, given_s: float | None = None) -> ErrorRecord | None:
        """Begins an episode; returns what the policy raised.

        Args:
          context: The episode.
          given_s: When it was given out, of time.monotonic(); None: now.
        """
        self._given_s[context.slot] = time.monotonic() if given_s is None else given_s
        try:
            self._agreed[context.slot] = agreed_action(self._policy.spec, context.action)
            self._episode[context.slot], self._fresh[context.slot] = context.digest, context
            self._patiently(lambda: self._policy.reset(context), [context.slot])
        except BaseException as error:
            if _is_from_outside(error):
                raise
            return blamed(error)
        return None

    def answer(self, asked: Mapping[int, Observation]) -> dict[int, Answer]:
        """Asks the policy about all slots, in one call as far as they may be asked together."""
        alone = [slot for slot in asked if self._episode.get(slot) in self._suspects]
        together = {slot: observation for slot, observation in asked.items() if slot not in alone}
        answers: dict[int, Answer] = {}
        for batch in [together, *({slot: asked[slot]} for slot in alone)]:
            if batch:
                answers.update(self._ask(batch))
        return answers

    def _ask(self, asked: Mapping[int, Observation]) -> dict[int, Answer]:
        try:
            chunks, latency_s = self._chunks(asked)
        except BaseException as error:
            if _is_from_outside(error):
                raise
            is_all_of_theirs = isinstance(error, PolicyTimeout) or (_is_away(error) and self._reconnect_s > 0 and self._is_beginning(asked))
            if len(asked) == 1 or is_all_of_theirs:
                return dict.fromkeys(asked, blamed(error))
            self._suspects.update(self._episode[slot] for slot in asked)
            return {slot: StartAgain() for slot in asked}
        return {slot: self._checked(slot, chunks, latency_s) for slot in asked}

    def _chunks(self, asked: Mapping[int, Observation]) -> tuple[Mapping[int, ActionChunk], float]:
        """Returns what the policy answers and how long that call took; waits for it where none of these episodes has had an answer yet."""

        def ask() -> tuple[Mapping[int, ActionChunk], float]:
            began_s = time.perf_counter()
            return self._policy.act(asked), time.perf_counter() - began_s

        def begin_and_ask() -> tuple[Mapping[int, ActionChunk], float]:
            for slot in asked:
                self._policy.reset(self._fresh[slot])
            return ask()

        answer = self._patiently(ask, asked, begin_and_ask) if self._is_beginning(asked) else ask()
        for slot in asked:
            self._fresh.pop(slot, None)
        return answer

    def _is_beginning(self, slots: Iterable[int]) -> bool:
        """Returns whether none of these episodes has had an answer yet."""
        return all(slot in self._fresh for slot in slots)

    def _patiently(self, attempt: Callable[[], _Answer], slots: Iterable[int], again: Callable[[], _Answer] | None = None) -> _Answer:
        """Returns what an attempt returns; waits for the policy, unless one has waited in vain since these episodes were given out."""
        was_in_vain = any(self._given_s[slot] < self._vain_s for slot in slots)
        try:
            return patiently(attempt, self._policy.spec.name, 0.0 if was_in_vain else self._reconnect_s, again)
        except PolicyUnreachable as error:
            if _is_away(error) and was_in_vain:
                waited = f"it was waited for with another episode, {self._reconnect_s:g} s long (option reconnect=S)"
                raise PolicyUnreachable(f"{error}; {waited}") from error
            if _is_away(error) and self._reconnect_s > 0:
                self._vain_s = time.monotonic()
            raise

    def _checked(self, slot: int, chunks: Mapping[int, ActionChunk], latency_s: float) -> Answer:
        try:
            agreed = self._agreed[slot]
            check_chunks(chunks, [slot], agreed)
            sent = chunks[slot].spec
            if sent is not agreed and sent != agreed:
                raise BadPolicyOutput(f"the policy sent a chunk of the spec {sent.name!r}, which is not the {agreed.name!r} that it declared")
            return Decision(chunks[slot], latency_s)
        except Exception as error:
            return record_of(error)


def blamed(error: BaseException) -> ErrorRecord:
    """Returns what a policy raised as the ledger keeps it. One that calls sys.exit, or is cancelled, ends its episode, not the run."""
    record = record_of(error)
    if isinstance(error, SystemExit):
        return replace(record, message=f"the policy called sys.exit({record.message})")
    return record if isinstance(error, Exception) else replace(record, message=f"the policy raised {record.type}({record.message})")


def _is_from_outside(error: BaseException) -> bool:
    """Returns whether a person has pressed Ctrl-C. Where that is not listened to, as in workers, KeyboardInterrupt is the policy's own."""
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def _is_away(error: BaseException) -> bool:
    """Returns whether a policy is not there; one that answers too late is."""
    return isinstance(error, PolicyUnreachable) and not isinstance(error, PolicyTimeout)


class LocalPort:
    """A policy in the same process."""

    def __init__(self, policy: Policy, slot: int = 0, reconnect_s: float = 0.0) -> None:
        self._desk, self._slot = Desk(policy, reconnect_s), slot

    @property
    def slot(self) -> int:
        return self._slot

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode."""
        error = self._desk.begin(context)
        if error is not None:
            raise PolicyFailed(error)

    def decide(self, observation: Observation) -> Decision:
        """Asks for a chunk."""
        return unpack(self._desk.answer({self._slot: observation})[self._slot])


def unpack(answer: Answer) -> Decision:
    """Returns the decision.

    Raises:
      PolicyFailed: With the record of what the policy raised elsewhere.
      StartAgain: If that is the answer.
    """
    if isinstance(answer, ErrorRecord):
        raise PolicyFailed(answer)
    if isinstance(answer, StartAgain):
        raise answer
    return answer


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Sets the environment so that processes which are spawned inside use one thread each; they read it before they import anything."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
