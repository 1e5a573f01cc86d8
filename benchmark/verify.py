"""Believing a run: its suite is sampled again, its stored actions are simulated again without the policy, and everything stored is compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark import scoring
from vlagym.benchmark.coverage import Difference, coverage, played_again, reservations, suite_of
from vlagym.benchmark.episode import MakeWorld, RunnableWorld, WorldOptions, conclude, make_world, outcome_of
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Port, Schedule
from vlagym.benchmark.recheck import Recheck
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.runner import expand
from vlagym.benchmark.scoring import LATENCY
from vlagym.benchmark.stored import ActionsEnded, again
from vlagym.benchmark.suite import Suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import STATE_COLUMNS, Certificate, EpisodeResult, EpisodeSpec, Trace, sha_arrays, stream
from vlagym.results.schema import trace_from_bytes
from vlagym.results.store import Store


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one episode."""

    result: EpisodeResult
    differences: tuple[Difference, ...]
    found_outcome: str | None = None
    """The outcome of the simulation; None where it could not be run, or did not end."""
    unchecked: tuple[str, ...] = ()
    """Measures of the ledger that no metric at hand gives."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the simulation says what is stored. An errored episode without a difference is not confirmed: nobody can repeat its error."""
        return not self.differences and self.result.outcome != "error"


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
      BadData: If there is no run, or no episode in it; or an option makes no sense.
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
    suite = suite_of(store.header)
    scoring.Scorer(names, suite.cost)  # refuses what is unknown before anything is simulated
    differences = [*coverage(store.header, results, expand(suite)), *played_again(store.ledger())]
    if sample is not None:
        chosen = stream(seed, "verify").permutation(len(results))[:sample]
        results = [results[i] for i in sorted(chosen.tolist())]
    jobs = [Job(key=r.digest, content=_Claim(store.trace_path(r.digest), r)) for r in results]
    crew = Crew(make=partial(_Verifier, make_world, tuple(names), store.header.safety, suite.cost), workers=min(workers, len(jobs)))
    verdicts = _verdicts(catalog.load("executor", executor), crew, jobs)
    return Checked(run, verdicts, len(jobs), tuple(differences), tuple(reservations(store.header, suite)))


class _Claim(NamedTuple):
    trace: Path
    result: EpisodeResult


def _verdicts(executor: Executor, crew: Crew[Verdict], jobs: list[Job]) -> Iterator[Verdict]:
    with contextlib.closing(executor(crew, Schedule(jobs))) as finished:
        for one in finished:
            yield _verdict(one)


def _verdict(finished: Finished) -> Verdict:
    if finished.error is None:
        verdict: Verdict = finished.result
        return verdict
    error = finished.error
    return Verdict(result=finished.job.content.result, differences=(Difference("simulation", f"{error.type}: {error.message}"),))


class _Verifier:
    """Verifies one episode after another in whichever process it lives."""

    def __init__(self, make: MakeWorld, metrics: tuple[str, ...], safety: Mapping[str, Any], weights: Mapping[str, float]) -> None:
        self._safety, self._weights = safety, weights
        self._world: RunnableWorld = make(WorldOptions(render=False))
        self._metrics = metrics

    def play(self, job: Job, port: Port | None) -> Verdict:
        claim: _Claim = job.content
        try:
            trace = trace_from_bytes(claim.trace.read_bytes(), str(claim.trace))
        except FileNotFoundError:
            if claim.result.ended_by == "env_error":
                return Verdict(result=claim.result, differences=())  # the world failed to start it, or its worker died: there never was one
            return Verdict(result=claim.result, differences=(Difference("trace", f"{claim.trace} is missing"),))
        except BadData as error:
            return Verdict(result=claim.result, differences=(Difference("trace", str(error)),))
        try:
            recheck = Recheck(trace, self._safety)
        except VlagymError as error:
            return Verdict(result=claim.result, differences=(Difference("safety", str(error)),))
        verdict = compare(claim.result, trace, again(self._world, trace, guard=recheck).play(), self._metrics, self._weights)
        if recheck.difference is None:
            return verdict
        return replace(verdict, differences=(*verdict.differences, Difference("safety", recheck.difference)))

    def close(self) -> None:
        self._world.close()


def compare(
    stored: EpisodeResult, trace: Trace, rollout: Rollout, metrics: Sequence[str] | None = None, weights: Mapping[str, float] | None = None
) -> Verdict:
    """Compares a stored episode with its simulation.

    Args:
      stored: The line of the ledger.
      trace: The stored trace.
      rollout: The stored actions, played to the end.
      metrics: What is measured; None: every metric of ours.
      weights: Of the cost, where the suite has its own.
    """
    found = conclude(trace.spec, rollout, stored.attempt, 0.0, metrics=metrics, weights=weights, asked=trace)
    differences = _digests(stored, trace, found.result.certificate)
    error = found.result.error
    goes_on = error is not None and error.type == ActionsEnded.__name__
    if error is not None and not goes_on:
        differences.append(Difference("simulation", f"{error.type}: {error.message}"))
    if found.trace is not None:
        differences += _columns(trace, found.trace)
    ended_by = f"not ended ({error.message})" if error is not None and goes_on else found.result.ended_by
    plain: list[tuple[str, str, str]] = []
    if outcome_of(stored.ended_by) != "error":
        plain.append(("ended_by", stored.ended_by, ended_by))
    elif not goes_on:
        # Whoever writes an error into the ledger of an episode that ended takes it out of the mean.
        differences.append(Difference("ended_by", f"stored {stored.ended_by}, and the stored actions end the episode by {ended_by}"))
    if not goes_on:
        plain += [("steps", str(stored.steps), str(found.result.steps)), ("time_s", repr(stored.time_s), repr(found.result.time_s))]
        if stored.outcome != "error":
            plain += [("outcome", stored.outcome, found.result.outcome), ("warning", str(stored.warning), str(found.result.warning))]
            plain.append(("failure_mode", str(stored.failure_mode), str(found.result.failure_mode)))
    differences += [Difference(what, f"stored {a}, simulated {b}") for what, a, b in plain if a != b]
    unchecked: tuple[str, ...] = ()
    if stored.outcome != "error" and found.result.measures:
        differences += _measures(stored.measures, found.result.measures)
        unchecked = tuple(name for name in stored.measures if name not in found.result.measures)
    outcome = None if found.result.outcome == "error" else found.result.outcome
    return Verdict(result=stored, differences=tuple(differences), found_outcome=outcome, unchecked=unchecked)


def _digests(stored: EpisodeResult, trace: Trace, found: Certificate | None) -> list[Difference]:
    spec: EpisodeSpec = trace.spec
    out: list[Difference] = []
    if stored.digest != spec.digest():
        out.append(Difference("spec", f"the ledger names the episode {stored.digest}, its trace holds {spec.digest()}"))
    about = {"task": spec.task, "robot": spec.robot, "axes": dict(spec.axes), "base": spec.base, "seed": spec.seed, "instruction": spec.instruction}
    for name, value in about.items():
        if getattr(stored, name) != value:
            out.append(Difference(name, f"the ledger says {getattr(stored, name)!r}, the spec {value!r}"))
    if stored.certificate is None:
        return [*out, Difference("certificate", "the ledger holds none")]
    pairs = [("spec", stored.certificate.spec, spec.digest()), ("actions", stored.certificate.actions, sha_arrays(trace.actions))]
    if found is not None:
        pairs += [(name, getattr(stored.certificate, name), getattr(found, name)) for name in ("model", "initial_state", "final_state")]
    for name, a, b in pairs:
        if a != b:
            whose = "the stored actions have" if name == "actions" else "found"
            out.append(Difference(name, f"the certificate says {a}, {whose} {b}"))
    return out


def _columns(stored: Trace, found: Trace) -> list[Difference]:
    """Returns where the facts of the simulation first leave the stored ones: one difference at most, of the earliest step."""
    first: tuple[int, str, float] | None = None
    for name in (*STATE_COLUMNS, "contact_force_n"):
        offset = 1 if name == "contact_force_n" else 0  # its row 0 belongs to the first action, as row 1 of the others does
        a, b = (t.contact_force_n if offset else t.columns[name] for t in (stored, found))
        row = _first_row(a, b)
        if row is not None and (first is None or row + offset < first[0]):
            first = (row + offset, name, _size(a, b, row))
    if first is None:
        return []
    step, name, size = first
    when = "before the first action" if step == 0 else f"after action {step}"
    return [Difference("facts", f"{name} first differs {when}, by {size:.3g}")]


def _first_row(a: NDArray[Any], b: NDArray[Any]) -> int | None:
    if a.shape[1:] != b.shape[1:]:
        return 0
    if a.dtype.kind == "f" and a.size and np.isnan(a).all():
        return None  # nobody measured it when the run was made
    rows = min(len(a), len(b))
    same = np.array([np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a[:rows], b[:rows], strict=True)], bool)
    return None if same.all() else int(np.flatnonzero(~same)[0])


def _size(a: NDArray[Any], b: NDArray[Any], row: int) -> float:
    if a.shape[1:] != b.shape[1:]:
        return float("nan")
    return float(np.max(np.abs(a[row].astype(np.float64) - b[row].astype(np.float64))))


def _measures(stored: Mapping[str, float | None], found: Mapping[str, float | None]) -> list[Difference]:
    out: list[Difference] = []
    for name, value in found.items():
        if name not in stored:
            out.append(Difference(name, f"the ledger lacks it, simulated {value}"))
        elif stored[name] != value and not name.startswith(LATENCY):
            out.append(Difference(name, f"stored {stored[name]}, simulated {value}"))
    return out
