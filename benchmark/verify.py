"""Believing a run: stored actions are simulated again, without the policy and without rendering, and everything stored is compared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import MakeWorld, RunnableWorld, WorldOptions, conclude, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Port, Schedule
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.scoring import LATENCY
from vlagym.benchmark.stored import ActionsEnded, again
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import STATE_COLUMNS, Certificate, EpisodeResult, EpisodeSpec, Trace, sha_arrays, stream
from vlagym.results.schema import trace_from_bytes
from vlagym.results.store import Store


class Difference(NamedTuple):
    """Something stored that is not what the simulation says."""

    what: str
    """actions, final_state, the name of a measure …"""
    how: str
    """What is stored and what was found, in words."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one episode."""

    result: EpisodeResult
    differences: tuple[Difference, ...]
    found_outcome: str | None = None
    """The outcome of the simulation; None where it could not be run."""


class Checked(NamedTuple):
    """What a verification covers."""

    run: Path
    verdicts: Iterator[Verdict]
    """As they come."""
    total: int
    errored: int
    """Episodes that ended in an error; they have no measures to be confirmed."""


def verify(
    run: Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    workers: int = 1,
    executor: str = "processes",
    make_world: MakeWorld = make_world,
) -> Checked:
    """Simulates the stored actions of a run again and compares everything that is deterministic.

    Args:
      run: The run folder. Nothing in it is changed.
      sample: How many episodes, drawn without replacement; None: all.
      seed: Of that draw.
      workers: Processes.
      executor: Of benchmark/executors.
      make_world: Builds the world in each worker.

    Raises:
      BadData: If there is no run, or nothing in it that could be verified.
    """
    store = Store.open(run)
    results = store.results()
    measured = [r for r in results if r.outcome != "error"]
    errored = len(results) - len(measured)
    if not measured:
        raise BadData(f"{run} holds no episode that ended without an error: there is nothing to verify")
    if sample is not None:
        if sample < 1:
            raise BadData(f"a sample has at least 1 episode, not {sample}")
        chosen = stream(seed, "verify").permutation(len(measured))[:sample]
        measured = [measured[i] for i in sorted(chosen.tolist())]
    jobs = [Job(key=r.digest, content=_Claim(store.trace_path(r.digest), r)) for r in measured]
    crew = Crew(make=partial(_Verifier, make_world), workers=min(workers, len(jobs)))
    return Checked(run, _verdicts(catalog.load("executor", executor), crew, jobs), len(jobs), errored)


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

    def __init__(self, make: MakeWorld) -> None:
        self._world: RunnableWorld = make(WorldOptions(render=False))

    def play(self, job: Job, port: Port | None) -> Verdict:
        claim: _Claim = job.content
        try:
            trace = trace_from_bytes(claim.trace.read_bytes(), str(claim.trace))
        except FileNotFoundError:
            return Verdict(result=claim.result, differences=(Difference("trace", f"{claim.trace} is missing"),))
        except BadData as error:
            return Verdict(result=claim.result, differences=(Difference("trace", str(error)),))
        rollout = again(self._world, trace).play()
        return compare(claim.result, trace, rollout)

    def close(self) -> None:
        self._world.close()


def compare(stored: EpisodeResult, trace: Trace, rollout: Rollout) -> Verdict:
    """Compares a stored episode with its simulation.

    Args:
      stored: The line of the ledger.
      trace: The stored trace.
      rollout: The stored actions, played to the end.
    """
    found = conclude(trace.spec, rollout, stored.attempt, 0.0)
    differences = _digests(stored, trace, found.result.certificate)
    error = found.result.error
    if error is not None and error.type != ActionsEnded.__name__:
        differences.append(Difference("simulation", f"{error.type}: {error.message}"))
    if found.trace is not None:
        differences += _columns(trace, found.trace)
    if error is not None and error.type == ActionsEnded.__name__:
        plain = [("ended_by", str(stored.ended_by), f"not ended ({error.message})")]
    else:
        plain = [("ended_by", stored.ended_by, found.result.ended_by), ("outcome", stored.outcome, found.result.outcome)]
        plain += [("steps", str(stored.steps), str(found.result.steps)), ("time_s", repr(stored.time_s), repr(found.result.time_s))]
    differences += [Difference(what, f"stored {a}, simulated {b}") for what, a, b in plain if a != b]
    differences += _measures(stored.measures, found.result.measures)
    outcome = None if found.result.outcome == "error" else found.result.outcome
    return Verdict(result=stored, differences=tuple(differences), found_outcome=outcome)


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
    rows = min(len(a), len(b))
    same = np.array([np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a[:rows], b[:rows], strict=True)], bool)
    return None if same.all() else int(np.flatnonzero(~same)[0])


def _size(a: NDArray[Any], b: NDArray[Any], row: int) -> float:
    if a.shape[1:] != b.shape[1:]:
        return float("nan")
    return float(np.max(np.abs(a[row].astype(np.float64) - b[row].astype(np.float64))))


def _measures(stored: Mapping[str, float | None], found: Mapping[str, float | None]) -> list[Difference]:
    out: list[Difference] = []
    for name, value in stored.items():
        if name.startswith(LATENCY):
            continue
        if name not in found:
            # A metric that this version does not have, or an episode that could not be measured; the latter has said so already.
            if found:
                out.append(Difference(name, f"stored {value}, and no metric of this version gives it"))
        elif found[name] != value:
            out.append(Difference(name, f"stored {value}, simulated {found[name]}"))
    return out
