"""Measures a stored run again from its traces, without a simulator, with the metrics of today or with your own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vlagym.benchmark import console
from vlagym.envs import catalog


class Change(NamedTuple):
    """A measure that comes out otherwise than it is stored."""

    digest: str
    name: str
    stored: float | None
    now: float | None


def main(args: Sequence[str]) -> int:
    """Prints what differs from what is stored, and the table; stores it only when asked to."""
    parser = console.parser(
        prog="vlagym score",
        description="Measures a stored run again from its traces, without a simulator, prints what differs from what is stored, and the table. "
        "Nothing is changed without --write.",
        example="vlagym score runs/20250101T120000-minivla-smoke\n"
        "vlagym score runs/20250101T120000-minivla-smoke --metric my_metric:METRIC --write",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="a metric of your own, besides ours; repeatable")
    parser.add_argument("--write", action="store_true", help="stores the new measures in the run folder, in further lines: the last one counts")
    options = parser.parse_args(args)

    from vlagym.benchmark import scoring
    from vlagym.benchmark.episode import is_unmeasured, outcome_of
    from vlagym.results.aggregate import Run, aggregate
    from vlagym.results.leaderboard import render
    from vlagym.results.store import Store

    names = [*catalog.names("metric"), *options.metric]
    columns = scoring.columns(names)
    changes: list[Change] = []
    left_out, healed = 0, 0
    results = []
    with Store.resume(options.run) if options.write else Store.open(options.run) as store:
        stored = store.results()
        with console.Progress(len(stored), "score") as progress:
            for result in stored:
                is_measured = (result.outcome != "error" or is_unmeasured(result)) and store.has_trace(result.digest)
                left_out += not is_measured
                if is_measured:
                    trace = store.trace(result.digest)
                    measures = scoring.measure(trace, names)
                    found = differences(result.digest, result.measures, measures)
                    changes += found
                    healed += result.outcome == "error"
                    if found:
                        result = dataclasses.replace(result, measures=measures, outcome=outcome_of(result.ended_by), error=None)
                        if options.write:
                            store.append(result, trace)
                results.append(result)
                progress.advance()
        run = Run(name=store.path.resolve().name, header=store.header, results=results)
    by_name: dict[str, list[Change]] = {}
    for change in changes:
        by_name.setdefault(change.name, []).append(change)
    for name, found in sorted(by_name.items()):
        first = found[0]
        console.note(f"{name}: {len(found)} of {len(results)} episodes differ, first {first.digest[:12]}: stored {first.stored}, now {first.now}")
    console.answer(render(aggregate([run], columns)).rstrip("\n"))
    kept = "stored" if options.write else "not stored: --write does"
    told = f"{len(changes)} measures differ from those stored ({kept})" if changes else "every measure is as stored"
    mended = f"; {healed} that no metric could measure before now count" if healed else ""
    console.answer(f"{len(results)} episodes, {left_out} errored or without a trace: {told}{mended}")
    return 0


def differences(digest: str, stored: Mapping[str, float | None], now: Mapping[str, float | None]) -> list[Change]:
    """Returns the measures that differ, those that are only on one side among them, by name."""
    names = sorted({*stored, *now})
    return [Change(digest, n, stored.get(n), now.get(n)) for n in names if (n in stored) != (n in now) or stored.get(n) != now.get(n)]
