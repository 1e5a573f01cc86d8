"""What became of one episode that was simulated again: everything that is stored of it against everything that was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark import cadence
from vlagym.benchmark.coverage import Difference
from vlagym.benchmark.episode import conclude, outcome_of
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.scoring import LATENCY, STATED
from vlagym.benchmark.stored import ActionsEnded, of_this_machine
from vlagym.envs.types import STATE_COLUMNS, Certificate, EpisodeResult, EpisodeSpec, Trace, sha_arrays


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one episode."""

    result: EpisodeResult
    differences: tuple[Difference, ...]
    found_outcome: str | None = None
    """The outcome of the simulation; None where it could not be run, or did not end."""
    unchecked: tuple[str, ...] = ()
    """Measures of the ledger that no metric at hand gives."""
    lacking: tuple[str, ...] = ()
    """What the simulation gives and no line of the ledger holds: it was measured before there was any."""
    error: str = ""
    """Why it could not be simulated on this machine, which is no fault of the run."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the simulation says what is stored. An errored episode without a difference is not confirmed: nobody can repeat its error."""
        return not self.differences and not self.error and self.result.outcome != "error"


class Kept(NamedTuple):
    """What the lines of a ledger hold at all. What none of them does, an older version had not; what some do, a line may not lack."""

    measures: frozenset[str]
    failure_mode: bool
    level: bool
    """And with it the base of the robot, which lines have kept for as long."""

    @staticmethod
    def of(results: Iterable[EpisodeResult]) -> Kept:
        """Returns what the last lines of the episodes hold."""
        lines = list(results)
        return Kept(
            measures=frozenset(name for line in lines for name in line.measures),
            failure_mode=any(line.failure_mode is not None for line in lines),
            level=any(line.level is not None for line in lines),
        )


def compare(
    stored: EpisodeResult,
    trace: Trace,
    rollout: Rollout,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    *,
    kept: Kept | None = None,
    chunking: str | None = None,
) -> Verdict:
    """Compares a stored episode with its simulation.

    Args:
      stored: The line of the ledger.
      trace: The stored trace.
      rollout: The stored actions, played to the end.
      metrics: What is measured; None: every metric of ours.
      weights: Of the cost, where the suite has its own.
      kept: What the ledger holds at all: the rest is lacking, and no difference. None: nothing may lack.
      chunking: How chunks were played, as the header of the run has it.

    Raises:
      UnknownName: If chunks are played in no such way.
      BadData: Likewise.
    """
    if of_machine := of_this_machine(rollout.error):
        return Verdict(result=stored, differences=tuple(_digests(stored, trace, None, kept)), error=of_machine)
    found = conclude(trace.spec, rollout, stored.attempt, 0.0, metrics=metrics, weights=weights, asked=trace)
    differences = _digests(stored, trace, found.result.certificate, kept)
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
            if kept is None or kept.failure_mode:
                plain.append(("failure_mode", str(stored.failure_mode), str(found.result.failure_mode)))
    differences += [Difference(what, f"stored {a}, simulated {b}") for what, a, b in plain if a != b]
    unchecked: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    if stored.outcome != "error" and found.result.measures:
        lacking = () if kept is None else tuple(name for name in found.result.measures if name not in kept.measures)
        differences += _measures(stored.measures, {name: value for name, value in found.result.measures.items() if name not in lacking})
        unchecked = tuple(name for name in stored.measures if name not in found.result.measures and not name.startswith(STATED))
        never_asked = cadence.contradiction(trace, chunking)
        differences += [] if never_asked is None else [Difference("calls", never_asked)]
        if kept is not None and not kept.failure_mode and found.result.failure_mode is not None:
            lacking = (*lacking, "failure_mode")
    outcome = None if found.result.outcome == "error" else found.result.outcome
    return Verdict(result=stored, differences=tuple(differences), found_outcome=outcome, unchecked=unchecked, lacking=lacking)


def _digests(stored: EpisodeResult, trace: Trace, found: Certificate | None, kept: Kept | None) -> list[Difference]:
    spec: EpisodeSpec = trace.spec
    out: list[Difference] = []
    if stored.digest != spec.digest():
        out.append(Difference("spec", f"the ledger names the episode {stored.digest}, its trace holds {spec.digest()}"))
    names = ["task", "robot", "axes", "base", "seed", "instruction"]
    if kept is None or kept.level:
        names += ["robot_base", "level"]
    about: dict[str, Any] = {name: dict(spec.axes) if name == "axes" else getattr(spec, name) for name in names}
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
