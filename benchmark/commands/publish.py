"""Verifies a run, and writes what of it is published: header and packed ledger, and a note of what was verified with which versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.suite import Suite
    from vlagym.envs.types import EpisodeSpec

VERIFIED = "verified.json"


def main(args: Sequence[str]) -> int:
    """Publishes a run; returns 1, and writes nothing, if anything of it is not confirmed."""
    parser = console.parser(
        prog="vlagym publish",
        description="Samples the suite of a run, simulates its stored actions again, and where every episode is confirmed writes its header and its "
        "ledger, packed, into a new folder, which `vlagym table` reads like the run. Traces and videos stay where they are.",
        example="vlagym publish runs/20250101T120000-minivla-smoke --out results/published/smoke/minivla",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it; it must have ended")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--sample", type=int, metavar="N", help="simulates so many episodes, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of that draw; 0 by default")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 simulates in this process")
    options = parser.parse_args(args)

    from vlagym.benchmark.header import packages, usable_cores
    from vlagym.benchmark.runner import expand
    from vlagym.benchmark.verify import verify
    from vlagym.envs import backend
    from vlagym.results.store import Store, publish

    backend.choose()
    workers = usable_cores() if options.workers is None else options.workers
    if Store.open(options.run).header.finished is None:
        raise BadData(f"{options.run} has not ended; go on with it first: vlagym run --resume {options.run}")
    if options.out.exists() and any(options.out.iterdir()):
        raise BadData(f"{options.out} exists already and holds something; publish into another folder")

    def sampled(suite: Suite) -> Sequence[EpisodeSpec]:
        with console.Progress(suite.num_episodes, f"sampling {suite.name}") as progress:
            return expand(suite, workers, progress.advance)

    executor = "serial" if workers == 1 else "processes"
    checked = verify(options.run, sample=options.sample, seed=options.seed, workers=workers, executor=executor, expand=sampled)
    with console.Progress(checked.total, "verify") as progress:
        verdicts = []
        for verdict in checked.verdicts:
            verdicts.append(verdict)
            progress.advance()
    wrong = [*(f"the run as a whole: {d.what}: {d.how}" for d in checked.differences)]
    wrong += [f"episode {v.result.digest}: {d.what}: {d.how}" for v in verdicts for d in v.differences]
    for line in wrong[:10]:
        console.note(line)
    if wrong:
        console.answer(f"{len(wrong)} differences: nothing was published. All of them: vlagym verify {options.run}")
        return 1
    publish(options.run, options.out)
    confirmed = sum(v.is_confirmed for v in verdicts)
    kept = {"episodes": len(Store.open(options.out).results()), "simulated_again": checked.total, "confirmed": confirmed, "packages": packages()}
    (options.out / VERIFIED).write_text(json.dumps({**kept, "not_checked": list(checked.reservations)}, indent=2) + "\n", encoding="utf-8")
    errored = checked.total - confirmed
    told = f"; {errored} ended in an error, which nobody can confirm" if errored else ""
    console.answer(f"{confirmed} of {checked.total} episodes confirmed{told}; published in {options.out}")
    return 0
