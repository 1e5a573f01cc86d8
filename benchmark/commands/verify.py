"""Simulates the stored actions of a run again, without the policy, and confirms every digest and every measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console

if TYPE_CHECKING:
    from vlagym.benchmark.verify import Verdict

_SHOWN = 6
"""Differences of one episode that are printed."""


def main(args: Sequence[str]) -> int:
    """Verifies a run; returns 1 if anything differs."""
    parser = console.parser(
        prog="vlagym verify",
        description="Simulates the stored actions of a run again, without the policy and without rendering, and compares every digest and measure.",
        example="vlagym verify runs/20250101T120000-minivla-smoke\nvlagym verify runs/20250101T120000-minivla-smoke --sample 10",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument("--sample", type=int, metavar="N", help="so many episodes, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of that draw; 0 by default")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 simulates in this process")
    parser.add_argument("--json", action="store_true", help="prints the verdict of each episode as JSON")
    options = parser.parse_args(args)

    from vlagym.benchmark.header import packages, usable_cores
    from vlagym.benchmark.verify import verify
    from vlagym.results.store import Store

    workers = options.workers or usable_cores()
    checked = verify(
        options.run, sample=options.sample, seed=options.seed, workers=workers, executor="serial" if workers == 1 else "processes"
    )
    verdicts: list[Verdict] = []
    with console.Progress(checked.total, "verify") as progress:
        for verdict in checked.verdicts:
            verdicts.append(verdict)
            if verdict.differences:
                console.note(_say(verdict))
            progress.advance()
    bad = [v for v in verdicts if v.differences]
    if options.json:
        console.answer(json.dumps([_plain(v) for v in verdicts], indent=2))
        return 1 if bad else 0
    there, here = Store.open(options.run).header.packages, packages()
    other = [f"{name} {there.get(name)} there, {here.get(name)} here" for name in ("vlagym", "mujoco") if there.get(name) != here.get(name)]
    if bad and other:
        console.note(f"the run was made with other versions: {'; '.join(other)}")
    skipped = f"; {checked.errored} errored episodes have nothing to confirm" if checked.errored else ""
    if bad:
        turned = sum(v.found_outcome != v.result.outcome for v in bad)
        console.answer(f"{len(bad)} of {checked.total} episodes differ, {turned} of them in their outcome{skipped} ({options.run})")
    else:
        console.answer(f"{checked.total} of {checked.total} episodes confirmed: actions, states and every measure{skipped} ({options.run})")
    return 1 if bad else 0


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


def _plain(verdict: Verdict) -> dict[str, object]:
    result = verdict.result
    return {
        "digest": result.digest,
        "task": result.task,
        "seed": result.seed,
        "confirmed": not verdict.differences,
        "outcome": {"stored": result.outcome, "simulated": verdict.found_outcome},
        "differences": [{"what": d.what, "how": d.how} for d in verdict.differences],
    }
