"""Measures a stored run again from its traces, without a simulator, with the metrics of today or with your own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlagym.benchmark import cli, console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.rescoring import Remeasured
    from vlagym.envs.types import EpisodeResult
    from vlagym.results.aggregate import Run
    from vlagym.results.spl import Reference
    from vlagym.results.store import Store

_SHOWN = 6
"""Episodes that could not be measured that are named one by one."""


class Change(NamedTuple):
    """A measure that comes out otherwise than it is stored."""

    digest: str
    name: str
    stored: float | str | None
    now: float | str | None
    is_new: bool
    """Whether the line did not have it: it was stored before there was such a measure."""


class _Opened(NamedTuple):
    """A run that is measured again."""

    run: Run
    store: Store | None
    """Where the new lines go; None where nothing is written."""
    waiting: Mapping[str, Path]
    """Digest -> its trace, where that has not taken the place of an older one yet."""
    complaints: tuple[str, ...]
    """What is wrong with the folder."""


def main(args: Sequence[str]) -> int:
    """Prints what differs from what is stored, and the table; stores it only when asked to. Returns 1 where something could not be read."""
    parser = console.parser(
        prog="vlagym score",
        description="Measures a stored run again from its traces, without a simulator, prints what differs from what is stored, and the table. "
        "Nothing is changed without --write.",
        example="vlagym score runs/20250101T120000-minivla-smoke\n"
        "vlagym score runs/20250101T120000-minivla-smoke --metric my_metric:METRIC --write\n"
        "vlagym score runs/20250101T120000-minivla-smoke --reference runs/20250101T110000-expert-smoke --write",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="a metric of your own, besides ours; repeatable")
    parser.add_argument(
        "--reference",
        action="append",
        default=[],
        type=Path,
        metavar="RUN",
        help="a run of the same episodes, of the expert as a rule: measures spl_time and spl_path by it; repeatable",
    )
    parser.add_argument("--write", action="store_true", help="stores the new measures in the run folder, in further lines: the last one counts")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 measures in this process")
    options = parser.parse_args(args)
    if options.workers is not None and options.workers < 1:
        raise BadData(f"measuring needs at least 1 worker, not {options.workers}")

    from vlagym.benchmark import scoring
    from vlagym.benchmark.header import usable_cores
    from vlagym.benchmark.rescoring import Work, remeasured
    from vlagym.results.aggregate import aggregate
    from vlagym.results.leaderboard import render
    from vlagym.results.store import TRACES

    names = [*catalog.names("metric"), *options.metric]
    columns = scoring.columns(names)
    with _opened(options.run, options.write) as (run, store, waiting, complaints):
        reference, said = _reference(options.reference, run)
        complaints = (*complaints, *said)
        for complaint in complaints:
            console.note(complaint)
        paths = {r.digest: waiting.get(r.digest, options.run / TRACES / f"{r.digest}.npz") for r in run.results if _is_to_measure(r)}
        work = [Work(digest, path) for digest, path in paths.items() if path.is_file() and path.stat().st_size]
        found: dict[str, Remeasured] = {}
        with console.Progress(len(work), "score") as progress:
            for one in remeasured(work, names, _weights(run), options.workers or usable_cores()):
                found[one.digest] = one
                progress.advance()
        changes: list[Change] = []
        changed: list[EpisodeResult] = []
        results: list[EpisodeResult] = []
        for result in run.results:
            now = _now(result, found.get(result.digest), reference)
            differ = differences(result, now)
            changes += differ
            changed += [now] if differ else []
            results.append(now)
        if store is not None:
            store.amend(changed)
            if len(found) == len(paths) and not any(one.complaint for one in found.values()):
                _stamp(store)
    for line in _told(changes, len(results)):
        console.note(line)
    failed = [one for one in found.values() if one.complaint]
    for one in failed[:_SHOWN]:
        console.note(f"episode {one.digest[:12]} was not measured: {one.complaint}")
    console.answer(render(aggregate([dataclasses.replace(run, results=results)], (*columns, *scoring.stated(results)))).rstrip("\n"))
    healed = sum(a.outcome == "error" and b.outcome != "error" for a, b in zip(run.results, results, strict=True))
    console.answer(_sum(changes, len(results), len(results) - len(work), len(failed), healed, options.write))
    return cli.CHECKS_FAILED if failed or complaints else cli.DONE


def _stamp(store: Store) -> None:
    """Writes into the header by which definitions every measure of the run is made now, where that is another than it says."""
    from vlagym.benchmark.metric import METRICS_VERSION
    from vlagym.results.pooling import METRICS

    if store.header.packages.get(METRICS, "1") != str(METRICS_VERSION):
        store.update_header(dataclasses.replace(store.header, packages={**store.header.packages, METRICS: str(METRICS_VERSION)}))


def differences(before: EpisodeResult, now: EpisodeResult) -> list[Change]:
    """Returns the measures that differ, those that are only on one side among them, by name; last the failure mode."""
    stored, found = before.measures, now.measures
    names = [n for n in sorted({*stored, *found}) if (n in stored) != (n in found) or stored.get(n) != found.get(n)]
    changes = [Change(before.digest, n, stored.get(n), found.get(n), n not in stored) for n in names]
    if before.failure_mode != now.failure_mode:
        changes.append(Change(before.digest, "failure_mode", before.failure_mode, now.failure_mode, before.failure_mode is None))
    return changes


@contextmanager
def _opened(path: Path, write: bool) -> Iterator[_Opened]:
    """Opens a run: to write, which wants a folder that is whole, or to read what can be read."""
    from vlagym.results.aggregate import Run
    from vlagym.results.salvage import read_run
    from vlagym.results.store import Store, waiting_traces

    if write:
        with Store.resume(path) as store:
            yield _Opened(Run(name=path.resolve().name, header=store.header, results=store.results()), store, {}, ())
        return
    run, complaints = read_run(path)
    if run is None:
        raise BadData("; ".join(complaints))
    try:
        waiting = waiting_traces(path)
    except BadData as error:
        waiting, complaints = {}, (*complaints, str(error))
    yield _Opened(run, None, waiting, complaints)


def _is_to_measure(result: EpisodeResult) -> bool:
    from vlagym.benchmark.episode import is_unmeasured

    return result.outcome != "error" or is_unmeasured(result)


def _weights(run: Run) -> Mapping[str, float]:
    """Returns the weights of the cost that the suite of a run has."""
    weights = run.header.suite.get("cost") or {}
    if not isinstance(weights, Mapping) or not all(isinstance(w, (int, float)) for w in weights.values()):
        raise BadData(f"the suite in the header of {run.name} has the cost {weights!r}; it wants a table of measures and their weights")
    return {str(name): float(weight) for name, weight in weights.items()}


def _reference(paths: Sequence[Path], run: Run) -> tuple[Reference | None, list[str]]:
    """Returns what the successes of the reference runs took, and what is wrong with these runs; None where there are none.

    Raises:
      BadData: If one is no run, or none of them has a success in an episode of the run.
    """
    from vlagym.results.salvage import read_run
    from vlagym.results.spl import reference_of

    if not paths:
        return None, []
    complaints: list[str] = []
    results: list[EpisodeResult] = []
    for path in paths:
        other, said = read_run(path)
        if other is None:
            raise BadData("; ".join(said))
        complaints += said
        results += other.results
    reference = reference_of(results)
    if not reference.keys() & {r.digest for r in run.results}:
        told = f"{len(reference)} successes in {', '.join(map(str, paths))}"
        raise BadData(f"none of the {told} is an episode of {run.name}: a reference is a run of the same suite, and of the same seeds")
    return reference, complaints


def _now(result: EpisodeResult, found: Remeasured | None, reference: Reference | None) -> EpisodeResult:
    """Returns the result as it is measured now; as it is where it cannot be measured."""
    from vlagym.benchmark.episode import outcome_of
    from vlagym.benchmark.scoring import STATED
    from vlagym.results.spl import OF, spl

    if found is None or found.complaint:
        return result
    # What another run was the reference of stays as it is, unless there is a reference now.
    # And what the policy stated of itself is in no trace.
    kept = {name: value for name, value in result.measures.items() if name in OF or name.startswith(STATED)}
    outcome = outcome_of(result.ended_by)
    mode = found.failure_mode if outcome == "failure" else None
    now = dataclasses.replace(result, measures={**found.measures, **kept}, failure_mode=mode, outcome=outcome, error=None)
    return now if reference is None else dataclasses.replace(now, measures={**now.measures, **spl(now, reference)})


def _told(changes: Sequence[Change], episodes: int) -> Iterator[str]:
    """Yields a line for each measure that differs, and one for all that are new."""
    by_name: dict[str, list[Change]] = {}
    for change in changes:
        if not change.is_new:
            by_name.setdefault(change.name, []).append(change)
    for name, found in sorted(by_name.items()):
        first = found[0]
        yield f"{name}: {len(found)} of {episodes} episodes differ, first {first.digest[:12]}: stored {first.stored}, now {first.now}"
    new = sorted({change.name for change in changes if change.is_new})
    if new:
        lacking = len({change.digest for change in changes if change.is_new})
        yield f"{lacking} of {episodes} episodes were stored without {', '.join(new)}"


def _sum(changes: Sequence[Change], episodes: int, left_out: int, failed: int, healed: int, write: bool) -> str:
    """Returns the last line."""
    differ, new = sum(not c.is_new for c in changes), sum(c.is_new for c in changes)
    kept = "stored" if write else "not stored: --write does"
    told = [f"{differ} measures differ from those stored"] if differ else []
    told += [f"{new} measures are new"] if new else []
    sentence = f"{' and '.join(told)} ({kept})" if told else "every measure is as stored"
    damaged = f"; {failed} could not be measured and stay as they are" if failed else ""
    mended = f"; {healed} that no metric could measure before now count" if healed else ""
    return f"{episodes} episodes, {left_out} errored or without a trace: {sentence}{damaged}{mended}"
