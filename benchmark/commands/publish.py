"""Verifies a run whole, and writes what of it is published: header and packed ledger, and a note of what was verified with which versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import cli, console, verification
from vlagym.envs.errors import BadData


def main(args: Sequence[str]) -> int:
    """Publishes a run; returns 1, and writes nothing, if anything of it is not confirmed."""
    parser = console.parser(
        prog="vlagym publish",
        description="Samples the suite of a run, simulates all its stored actions again, and where every episode is confirmed writes its header and "
        "its ledger, packed, into a new folder, which `vlagym table` reads like the run. Measures that nobody can confirm are left out and named. "
        "Traces and videos stay where they are.",
        example="vlagym publish runs/20250101T120000-minivla-smoke --out results/published/smoke/minivla",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it; it must have ended")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--allow-errors", action="store_true", help="publishes episodes that ended in an error too, which nobody can confirm")
    verification.add_options(parser)
    options = parser.parse_args(args)

    from vlagym.benchmark.header import packages
    from vlagym.results.published import Verified, publish
    from vlagym.results.store import Store

    if Store.open(options.run).header.finished is None:
        raise BadData(f"{options.run} has not ended; go on with it first: vlagym run --resume {options.run}")
    if options.out.exists() and any(options.out.iterdir()):
        raise BadData(f"{options.out} exists already and holds something; publish into another folder")
    found = verification.verified(options.run, options)
    wrong = len(found.checked.differences) + sum(len(v.differences) for v in found.bad)
    if wrong:
        console.answer(f"{wrong} differences: nothing was published")
        return cli.CHECKS_FAILED
    if found.unplayed:
        console.answer(f"{len(found.unplayed)} of {found.checked.total} episodes could not be simulated here: nothing was published")
        return cli.HAS_ERRORED_EPISODES
    errored = [v.result for v in found.errored]
    if errored and not options.allow_errors:
        named = ", ".join(f"{r.task} seed {r.seed}" for r in errored[:4]) + (f" and {len(errored) - 4} more" if len(errored) > 4 else "")
        told = f"{len(errored)} of {found.checked.total} episodes ended in an error, which nobody can confirm ({named})"
        console.answer(f"{told}: nothing was published. With --allow-errors they are published and named")
        return cli.CHECKS_FAILED
    for note in found.notes():
        console.note(note)
    verified = Verified(
        episodes=found.checked.total,
        confirmed=found.num_confirmed,
        errored=tuple(r.digest for r in errored),
        measures_left_out=found.unchecked,
        measures_lacking=found.lacking,
        self_reported=found.self_reported,
        not_checked=found.checked.reservations,
        packages=packages(),
    )
    publish(options.run, options.out, verified)
    told = f"; {len(errored)} ended in an error, which nobody can confirm" if errored else ""
    left_out = f"; left out, for nobody can confirm it: {', '.join(found.unchecked)}" if found.unchecked else ""
    console.answer(f"{found.told}{told}{left_out}; published in {options.out}")
    return cli.DONE
