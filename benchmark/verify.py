"""Believing a run: its suite is sampled again, its stored actions are simulated again without the policy, and everything stored is compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.benchmark import scoring
from vlagym.benchmark.coverage import Difference, coverage, of_the_season, played_again, suite_of
from vlagym.benchmark.episode import MakeWorld, RunnableWorld, WorldOptions, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Port, Schedule
from vlagym.benchmark.recheck import Recheck
from vlagym.benchmark.reservations import reservations
from vlagym.benchmark.runner import expand
from vlagym.benchmark.stored import again, of_this_machine
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.verdict import Kept, Verdict, compare
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import EpisodeResult, EpisodeSpec, RunHeader, stream
from vlagym.policies.chunking import parse
from vlagym.results.published import VERIFIED
from vlagym.results.schema import trace_from_bytes
from vlagym.results.store import TRACES, Store


class Checked(NamedTuple):
    """What a verification covers."""

    run: Path
    verdicts: Iterator[Verdict]
    """As they come."""
    total: int
    """How many verdicts there will be."""
    differences: tuple[Difference, ...]
    """Of the run as a whole: episodes that are missing or strange, and a header that does not say what its suite is."""
    reservations: tuple[str, ...]
    """What cannot be confirmed, in sentences."""


def verify(
    run: Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    workers: int = 1,
    executor: str = "processes",
    metrics: Sequence[str] = (),
    expand: Callable[[Suite], Sequence[EpisodeSpec]] = expand,
    make_world: MakeWorld = make_world,
) -> Checked:
    """Samples the suite of a run and simulates its stored actions again, and compares everything that is deterministic.

    Episodes that ended in an error are simulated as far as their actions go.

    Args:
      run: The run folder. Nothing in it is changed.
      sample: How many episodes are simulated, drawn without replacement; None: all. That the ledger holds the suite is looked at in any case.
      seed: Of that draw.
      workers: Processes.
      executor: Of benchmark/executors.
      metrics: Measured besides ours.
      expand: Samples the suite.
      make_world: Builds the world in each worker.

    Raises:
      BadData: If there is no run, or no episode or no trace in it; or an option makes no sense.
      UnknownName: If the suite names what is not here.
    """
    store = Store.open(run)
    if sample is not None and sample < 1:
        raise BadData(f"a sample has at least 1 episode, not {sample}")
    if seed < 0:
        raise BadData(f"the seed of a sample is 0 or more, not {seed}")
    if workers < 1:
        raise BadData(f"a verification needs at least 1 worker, not {workers}")
    names = [*catalog.names("metric"), *metrics]
    results = store.results()
    if not results:
        raise BadData(f"{run} has not ended and holds no episode yet: there is nothing to verify. Go on with it: vlagym run --resume {run}")
    if not (run / TRACES).is_dir() and any(r.outcome != "error" for r in results):
        raise BadData(
            f"{run} holds no traces (no folder {TRACES}), as published runs do not: no episode can be simulated again. "
            f"What was verified before they were left out stands in {VERIFIED}; to confirm it, play the suite again with the policy"
        )
    suite = suite_of(store.header)
    scoring.Scorer(names, suite.cost)  # refuses what is unknown before anything is simulated
    kept = Kept.of(results)
    differences = [*of_the_season(suite), *coverage(store.header, results, expand(suite)), *played_again(store.ledger())]
    if sample is not None:
        chosen = stream(seed, "verify").permutation(len(results))[:sample]
        results = [results[i] for i in sorted(chosen.tolist())]
    jobs = [Job(key=r.digest, content=_Claim(store.trace_path(r.digest), r)) for r in results]
    claims = _Claims(tuple(names), store.header.safety, suite.cost, kept, chunking_of(store.header))
    crew = Crew(make=partial(_Verifier, make_world, claims), workers=min(workers, len(jobs)))
    verdicts = _verdicts(catalog.load("executor", executor), crew, jobs)
    return Checked(run, verdicts, len(jobs), tuple(differences), tuple(reservations(store.header, suite)))


def chunking_of(header: RunHeader) -> str | None:
    """Returns how the chunks of a run's policy were played, as its header has it; None where it does not say.

    Raises:
      UnknownName: If they are played in no such way.
      BadData: Likewise.
    """
    text = header.policy.get("chunking")
    return None if text is None else str(parse(str(text)))


class _Claim(NamedTuple):
    trace: Path
    result: EpisodeResult


class _Claims(NamedTuple):
    """What a run says of all its episodes."""

    metrics: tuple[str, ...]
    safety: Mapping[str, Any]
    weights: Mapping[str, float]
    kept: Kept
    chunking: str | None


def _verdicts(executor: Executor, crew: Crew[Verdict], jobs: list[Job]) -> Iterator[Verdict]:
    with contextlib.closing(executor(crew, Schedule(jobs))) as finished:
        for one in finished:
            yield _verdict(one)


def _verdict(finished: Finished) -> Verdict:
    if finished.error is None:
        verdict: Verdict = finished.result
        return verdict
    error = finished.error
    if told := of_this_machine(error):
        return Verdict(result=finished.job.content.result, differences=(), error=told)
    return Verdict(result=finished.job.content.result, differences=(Difference("simulation", f"{error.type}: {error.message}"),))


class _Verifier:
    """Verifies one episode after another in whichever process it lives."""

    def __init__(self, make: MakeWorld, run: _Claims) -> None:
        self._run = run
        self._world: RunnableWorld = make(WorldOptions(render=False))

    def play(self, job: Job, port: Port | None) -> Verdict:
        claim: _Claim = job.content
        run = self._run
        try:
            trace = trace_from_bytes(claim.trace.read_bytes(), str(claim.trace))
        except FileNotFoundError:
            if claim.result.ended_by == "env_error":
                return Verdict(result=claim.result, differences=())  # the world failed to start it, or its worker died: there never was one
            return Verdict(result=claim.result, differences=(Difference("trace", f"{claim.trace} is missing"),))
        except BadData as error:
            return Verdict(result=claim.result, differences=(Difference("trace", str(error)),))
        try:
            recheck = Recheck(trace, run.safety)
        except VlagymError as error:
            return Verdict(result=claim.result, differences=(Difference("safety", str(error)),))
        played = again(self._world, trace, guard=recheck).play()
        verdict = compare(claim.result, trace, played, run.metrics, run.weights, kept=run.kept, chunking=run.chunking)
        if recheck.difference is None:
            return verdict
        return replace(verdict, differences=(*verdict.differences, Difference("safety", recheck.difference)))

    def close(self) -> None:
        self._world.close()
