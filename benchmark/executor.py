"""What an executor is: jobs go in, and come out done or with what went wrong. Nobody waits for anybody."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from vlagym.benchmark.rollout import Decision, PolicyFailed, record_of
from vlagym.envs.errors import BadPolicyOutput
from vlagym.envs.types import ActionSpec, ErrorRecord, Observation
from vlagym.policies.base import EpisodeContext, Policy, check_chunks
from vlagym.policies.conventions import agreed_action

Result = TypeVar("Result", covariant=True)

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
    """Why there is no result: the player raised, or its process died (type "WorkerDied")."""


class Port(Protocol):
    """How a player reaches the policy, wherever that is."""

    @property
    def slot(self) -> int: ...

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode. Raises what the policy raises, or PolicyFailed."""
        ...

    def decide(self, observation: Observation) -> Decision:
        """Asks for a chunk. Raises what the policy raises, or PolicyFailed."""
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

    def __len__(self) -> int:
        return len(self._jobs)


class Executor(Protocol):
    """`EXECUTOR` of a file in benchmark/executors."""

    def __call__(self, crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
        """Yields jobs as they end, in whatever order, until none waits and none runs. Closing the generator ends all workers."""
        ...


class Desk:
    """Serves one policy to many players: keeps what was agreed for each slot, checks answers, finds who is to blame."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._agreed: dict[int, ActionSpec] = {}

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode; raises what the policy raises."""
        self._agreed[context.slot] = agreed_action(self._policy.spec, context.action)
        self._policy.reset(context)

    def answer(self, asked: Mapping[int, Observation]) -> dict[int, Decision | ErrorRecord]:
        """Asks the policy about all slots in one call.

        Where that call fails and there are several slots, each is asked alone, so that an episode pays only for itself. This supposes
        that a call that raises leaves the slots as they were.
        """
        try:
            return dict(self._ask(asked))
        except Exception as error:
            if len(asked) == 1:
                return {slot: record_of(error) for slot in asked}
        answers: dict[int, Decision | ErrorRecord] = {}
        for slot, observation in asked.items():
            answers.update(self.answer({slot: observation}))
        return answers

    def decide(self, slot: int, observation: Observation) -> Decision:
        """Asks the policy about one slot; raises what the policy raises."""
        return self._ask({slot: observation})[slot]

    def _ask(self, asked: Mapping[int, Observation]) -> dict[int, Decision]:
        began_s = time.perf_counter()
        chunks = self._policy.act(asked)
        latency_s = time.perf_counter() - began_s
        for slot in asked:
            check_chunks(chunks, [slot], self._agreed[slot])
            sent, agreed = chunks[slot].spec, self._agreed[slot]
            if sent is not agreed and sent != agreed:
                raise BadPolicyOutput(f"the policy sent a chunk of the spec {sent.name!r}, which is not the {agreed.name!r} that it declared")
        return {slot: Decision(chunks[slot], latency_s) for slot in asked}


class LocalPort:
    """A policy in the same process."""

    def __init__(self, policy: Policy, slot: int = 0) -> None:
        self._desk, self._slot = Desk(policy), slot

    @property
    def slot(self) -> int:
        return self._slot

    def begin(self, context: EpisodeContext) -> None:
        """Begins an episode."""
        self._desk.begin(context)

    def decide(self, observation: Observation) -> Decision:
        """Asks for a chunk."""
        return self._desk.decide(self._slot, observation)


def unpack(answer: Decision | ErrorRecord) -> Decision:
    """Returns the decision, or raises PolicyFailed with the record of what the policy raised elsewhere."""
    if isinstance(answer, ErrorRecord):
        raise PolicyFailed(answer)
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
