"""Simulates the stored actions of a run or a dataset again, without the policy; confirms episodes, digests and measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import cli, console, verification
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.verification import Verification


def main(args: Sequence[str]) -> int:
    """Verifies a run or a dataset; returns 1 if anything differs, 3 if nothing does and some episodes cannot be confirmed, by anybody or here."""
    parser = console.parser(
        prog="vlagym verify",
        description="Samples the suite of a run and simulates its stored actions again, without the policy and without rendering, and compares "
        "every episode, digest and measure with what is stored. Of a dataset, of any format, it simulates the executed actions of each "
        "demonstration, and compares what trainers read and three images of each camera (--moments) as well.",
        example="vlagym verify runs/20250101T120000-minivla-smoke\nvlagym verify runs/20250101T120000-minivla-smoke --sample 10\n"
        "vlagym verify demos.hdf5 --workers 2",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it, or a dataset of `vlagym demo`")
    parser.add_argument("--sample", type=int, metavar="N", help="simulates so many episodes, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of that draw; 0 by default")
    verification.add_options(parser)
    parser.add_argument("--no-images", action="store_false", dest="images", help="of a dataset: neither reads nor renders images")
    parser.add_argument(
        "--images", type=int, dest="rendered", metavar="N", help="of a dataset: renders images of N demonstrations, drawn at random; default: of all"
    )
    parser.add_argument(
        "--moments", metavar="N", help="of a dataset: renders N images of each camera of a demonstration, or `all`; default: 3"
    )
    parser.add_argument("--json", action="store_true", help="prints the verdict of the whole and of each episode as JSON")
    options = parser.parse_args(args)

    from vlagym.results.datasets import is_dataset

    if is_dataset(options.run):
        from vlagym.benchmark.dataset_report import report

        return report(options)
    of_datasets = {"--no-images": not options.images, "--images": options.rendered is not None, "--moments": options.moments is not None}
    if given := [name for name, is_given in of_datasets.items() if is_given]:
        raise BadData(f"{options.run} is no dataset, whose images could be compared: leave out {' and '.join(given)}")
    from vlagym.benchmark.header import packages
    from vlagym.results.aggregate import packages_that_score

    found = verification.verified(options.run, options, sample=options.sample, seed=options.seed)
    checked, verdicts, header, here = found.checked, found.verdicts, found.header, packages()
    there, deciding = header.packages, packages_that_score(header)
    other = [f"{name} {there.get(name)} there, {here.get(name)} here" for name in deciding if there.get(name) != here.get(name)]
    status = cli.CHECKS_FAILED if found.bad or checked.differences else cli.DONE
    if status == cli.DONE and not all(v.is_confirmed for v in verdicts):
        status = cli.HAS_ERRORED_EPISODES
    if options.json:
        console.answer(json.dumps(_plain(found, status == cli.DONE), indent=2))
        return status
    if status == cli.CHECKS_FAILED and other:
        console.note(f"the run was made with other versions: {'; '.join(other)}")
    for note in found.notes():
        console.note(note)
    console.answer(_sum(found))
    return status


def _sum(found: Verification) -> str:
    """Returns the last line: how many are confirmed, how many differ, how many nobody can confirm."""
    checked, bad = found.checked, found.bad
    parts: list[str] = []
    if bad:
        turned = sum(v.found_outcome not in (None, v.result.outcome) for v in bad)
        parts.append(f"{len(bad)} of {checked.total} episodes differ, {turned} of them in their outcome")
    else:
        parts.append(found.told)
    if found.errored:
        parts.append(f"{len(found.errored)} errored episodes cannot be verified")
    if found.unplayed:
        parts.append(f"{len(found.unplayed)} could not be simulated here: they are neither confirmed nor refuted")
    if checked.differences:
        parts.append(f"the run is not the one of its header ({', '.join(dict.fromkeys(d.what for d in checked.differences))})")
    return f"{'; '.join(parts)} ({checked.run})"


def _plain(found: Verification, is_confirmed: bool) -> dict[str, object]:
    checked = found.checked
    return {
        "run": str(checked.run),
        "confirmed": is_confirmed,
        "differences": [d._asdict() for d in checked.differences],
        "not_checked": list(checked.reservations),
        "self_reported": list(found.self_reported),
        "lacking": list(found.lacking),
        "episodes": [
            {
                "digest": v.result.digest,
                "task": v.result.task,
                "seed": v.result.seed,
                "confirmed": v.is_confirmed,
                "outcome": {"stored": v.result.outcome, "simulated": v.found_outcome},
                "differences": [d._asdict() for d in v.differences],
                "not_checked": list(v.unchecked),
                "error": v.error or None,
            }
            for v in found.verdicts
        ],
    }
