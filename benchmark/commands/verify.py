"""Samples a run's suite and simulates its stored actions again, without the policy; confirms episodes, digests and measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import cli, console

if TYPE_CHECKING:
    from vlagym.benchmark.suite import Suite
    from vlagym.benchmark.verify import Checked, Verdict
    from vlagym.envs.types import EpisodeSpec

_SHOWN = 6
"""Differences of one episode that are printed."""


def main(args: Sequence[str]) -> int:
    """Verifies a run; returns 1 if anything differs, 3 if nothing does and some episodes ended in an error."""
    parser = console.parser(
        prog="vlagym verify",
        description="Samples the suite of a run and simulates its stored actions again, without the policy and without rendering, and compares "
        "every episode, digest and measure with what is stored.",
        example="vlagym verify runs/20250101T120000-minivla-smoke\nvlagym verify runs/20250101T120000-minivla-smoke --sample 10",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument("--sample", type=int, metavar="N", help="simulates so many episodes, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of that draw; 0 by default")
    parser.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="a metric of your own, besides ours; repeatable")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 simulates in this process")
    parser.add_argument("--json", action="store_true", help="prints the verdict of the run and of each episode as JSON")
    options = parser.parse_args(args)

    from vlagym.benchmark.header import packages, usable_cores
    from vlagym.benchmark.runner import expand
    from vlagym.benchmark.verify import verify
    from vlagym.envs import backend
    from vlagym.results import spl
    from vlagym.results.aggregate import packages_that_score
    from vlagym.results.store import Store

    backend.choose()
    workers = usable_cores() if options.workers is None else options.workers

    def sampled(suite: Suite) -> Sequence[EpisodeSpec]:
        with console.Progress(suite.num_episodes, f"sampling {suite.name}") as progress:
            return expand(suite, workers, progress.advance)

    checked = verify(
        options.run,
        sample=options.sample,
        seed=options.seed,
        workers=workers,
        executor="serial" if workers == 1 else "processes",
        metrics=options.metric,
        expand=sampled,
    )
    for difference in checked.differences:
        console.note(f"the run as a whole: {difference.what}: {difference.how}")
    verdicts: list[Verdict] = []
    with console.Progress(checked.total, "verify") as progress:
        for verdict in checked.verdicts:
            verdicts.append(verdict)
            if verdict.differences:
                console.note(_say(verdict))
            progress.advance()
    header, here = Store.open(options.run).header, packages()
    there, deciding = header.packages, packages_that_score(header)
    other = [f"{name} {there.get(name)} there, {here.get(name)} here" for name in deciding if there.get(name) != here.get(name)]
    bad = [v for v in verdicts if v.differences]
    status = cli.CHECKS_FAILED if bad or checked.differences else cli.DONE
    if status == cli.DONE and not all(v.is_confirmed for v in verdicts):
        status = cli.HAS_ERRORED_EPISODES
    if options.json:
        console.answer(json.dumps(_plain(checked, verdicts, status == cli.DONE), indent=2))
        return status
    if status == cli.CHECKS_FAILED and other:
        console.note(f"the run was made with other versions: {'; '.join(other)}")
    for name in sorted({name for v in verdicts for name in v.unchecked}):
        why = "it follows from a reference run" if name in spl.OF else "no metric at hand gives it; name yours with --metric MODULE:ATTRIBUTE"
        console.note(f"not checked: the measure {name!r}, for {why}")
    for sentence in checked.reservations:
        console.note(f"not checked: {sentence}")
    console.answer(_sum(checked, verdicts))
    return status


def _sum(checked: Checked, verdicts: Sequence[Verdict]) -> str:
    """Returns the last line: how many are confirmed, how many differ, how many nobody can confirm."""
    bad = [v for v in verdicts if v.differences]
    confirmed, errored = sum(v.is_confirmed for v in verdicts), sum(v.result.outcome == "error" and not v.differences for v in verdicts)
    parts: list[str] = []
    if bad:
        turned = sum(v.found_outcome not in (None, v.result.outcome) for v in bad)
        parts.append(f"{len(bad)} of {checked.total} episodes differ, {turned} of them in their outcome")
    else:
        parts.append(f"{confirmed} of {checked.total} episodes confirmed: actions, states and every measure but latency")
    if errored:
        parts.append(f"{errored} errored episodes cannot be verified")
    if checked.differences:
        parts.append(f"the run is not the one of its header ({', '.join(dict.fromkeys(d.what for d in checked.differences))})")
    return f"{'; '.join(parts)} ({checked.run})"


def _say(verdict: Verdict) -> str:
    result = verdict.result
    lines = [f"{result.task} seed {result.seed} (episode {result.digest}) differs:"]
    lines += [f"  {d.what}: {d.how}" for d in verdict.differences[:_SHOWN]]
    if len(verdict.differences) > _SHOWN:
        lines.append(f"  and {len(verdict.differences) - _SHOWN} more: {', '.join(d.what for d in verdict.differences[_SHOWN:])}")
    if verdict.found_outcome is not None:
        same = verdict.found_outcome == result.outcome
        lines.append(f"  the outcome is {'the same' if same else verdict.found_outcome + ' and not ' + result.outcome}")
    return "\n".join(lines)


def _plain(checked: Checked, verdicts: Sequence[Verdict], is_confirmed: bool) -> dict[str, object]:
    return {
        "run": str(checked.run),
        "confirmed": is_confirmed,
        "differences": [d._asdict() for d in checked.differences],
        "not_checked": list(checked.reservations),
        "episodes": [
            {
                "digest": v.result.digest,
                "task": v.result.task,
                "seed": v.result.seed,
                "confirmed": v.is_confirmed,
                "outcome": {"stored": v.result.outcome, "simulated": v.found_outcome},
                "differences": [d._asdict() for d in v.differences],
                "not_checked": list(v.unchecked),
            }
            for v in verdicts
        ],
    }
