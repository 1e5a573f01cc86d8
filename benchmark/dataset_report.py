"""A dataset is verified before the eyes of whoever waits: what differs is said as it is found, then a table by task and a verdict."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlagym.benchmark import cli, console
from vlagym.benchmark.coverage import Difference
from vlagym.envs import arithmetic
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.dataset_verification import CheckedDataset
    from vlagym.benchmark.demonstration_verdict import DemonstrationVerdict

_SHOWN = 6
"""Differences of one demonstration that are printed."""
_WHY = {
    "labels": "the labels of {} demonstrations, which are not what was executed: the provenance does not tell of noise, or it is not the expert of "
    "this version that played them and whose play was translated",
    "commands": "the motion of {} demonstrations in other conventions: their robot has none of that name here, or the world cannot tell it",
    "paraphrases": "the paraphrases of {} demonstrations: they are of another version's words",
    "images": "the images of {} demonstrations: their cameras deliver late or spoiled images",
}
"""What of a number of demonstrations was not checked, by its name in the verdicts."""
_DECIDING = ("vlagym", "mujoco", "mink", "daqp")
"""Packages whose version may change what happens in an episode."""


def report(options: argparse.Namespace) -> int:
    """Verifies the dataset that `vlagym verify` was given.

    Args:
      options: run (the path), sample, seed, metric, workers, images, rendered, moments and json.

    Returns:
      0 if every demonstration is confirmed, 1 if anything differs or the dataset is damaged, 3 if nothing does and some could not be simulated
      again.

    Raises:
      NoDataset: If there is none.
      BadData: If an option makes no sense, or a metric was named.
    """
    from vlagym.benchmark.dataset_verification import verify_dataset
    from vlagym.benchmark.demonstration_pictures import MOMENTS
    from vlagym.benchmark.header import usable_cores
    from vlagym.envs import backend
    from vlagym.results.datasets import open_dataset
    from vlagym.results.format import NoDataset

    if options.metric:
        raise BadData(f"{options.run} is a dataset, which holds no measures: leave out --metric")
    if not options.images and (options.rendered is not None or options.moments is not None):
        raise BadData("--no-images renders none: leave it out, or --images and --moments")
    try:
        open_dataset(options.run).close()
    except NoDataset:
        raise
    except BadData as error:
        return _refused(options, str(error))
    backend.choose()
    workers = usable_cores() if options.workers is None else options.workers
    executor = "serial" if workers == 1 else "processes"
    checked = verify_dataset(
        options.run,
        sample=options.sample,
        seed=options.seed,
        workers=workers,
        executor=executor,
        images=options.images,
        rendered=options.rendered,
        moments=MOMENTS if options.moments is None else _moments(options.moments),
    )
    for difference in checked.differences:
        console.note(f"the dataset as a whole: {difference.what}: {difference.how}")
    verdicts: list[DemonstrationVerdict] = []
    with console.Progress(checked.total, "verify") as progress:
        for verdict in checked.verdicts:
            verdicts.append(verdict)
            if verdict.differences:
                console.note(_said(verdict))
            if verdict.error:
                console.note(f"{_name(verdict)} could not be simulated here: {verdict.error}")
            progress.advance()
    verdicts.sort(key=lambda v: v.index)
    status = _status(checked, verdicts)
    if options.json:
        console.answer(json.dumps(_plain(checked, verdicts, status), indent=2, ensure_ascii=False))
        return status
    if status == cli.CHECKS_FAILED and (other := _other_versions(checked)):
        console.note(f"the dataset was made with other versions: {other}")
    for note in _notes(verdicts):
        console.note(note)
    console.answer(_table(verdicts))
    console.answer(f"\n{_sum(checked, verdicts)}")
    return status


def _moments(text: str) -> int | None:
    """Returns what --moments says; None: all."""
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise BadData(f"--moments says how many images of each camera are compared, or `all`; not {text!r}") from None


def _refused(options: argparse.Namespace, why: str) -> int:
    """Answers for a dataset that cannot be opened."""
    if options.json:
        told: dict[str, Any] = {"dataset": str(options.run), "format": None, "confirmed": False}
        told |= {"differences": [Difference("data", why)._asdict()], "demonstrations": []}
        console.answer(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        console.answer(f"{why}: the dataset is refused ({options.run})")
    return cli.CHECKS_FAILED


def _status(checked: CheckedDataset, verdicts: Sequence[DemonstrationVerdict]) -> int:
    if checked.differences or any(v.differences for v in verdicts):
        return cli.CHECKS_FAILED
    return cli.DONE if all(v.is_confirmed for v in verdicts) else cli.HAS_ERRORED_EPISODES


def _said(verdict: DemonstrationVerdict) -> str:
    lines = [f"{_name(verdict)} differs:"]
    lines += [f"  {d.what}: {d.how}" for d in verdict.differences[:_SHOWN]]
    if len(verdict.differences) > _SHOWN:
        lines.append(f"  and {len(verdict.differences) - _SHOWN} more: {', '.join(d.what for d in verdict.differences[_SHOWN:])}")
    return "\n".join(lines)


def _name(verdict: DemonstrationVerdict) -> str:
    name = f"{verdict.task} seed {verdict.seed}" if verdict.task else "demonstration"
    return f"{name} (number {verdict.index}, episode {verdict.digest})"


def _notes(verdicts: Sequence[DemonstrationVerdict]) -> list[str]:
    """Returns, in sentences, what was not checked."""
    counts = Counter(name for v in verdicts for name in v.unchecked)
    notes = [f"not checked: {what.format(counts.pop(name))}" for name, what in _WHY.items() if name in counts]
    if counts:
        notes.append(f"not checked: {', '.join(sorted(counts))}, which no recording made here has")
    return notes


def _table(verdicts: Sequence[DemonstrationVerdict]) -> str:
    rows: list[list[Any]] = []
    for task in sorted({v.task for v in verdicts}):
        of_task = [v for v in verdicts if v.task == task]
        good = [v for v in of_task if v.is_confirmed]
        differs = sum(bool(v.differences) for v in of_task)
        name = task or ("no episode" if all(v.is_recorded_elsewhere for v in of_task) else "not told")
        rows.append([name, len(of_task), len(good), sum(v.is_success for v in good), differs, sum(v.steps for v in good)])
    return console.table(rows, ["task", "demonstrations", "confirmed", "successes", "differ", "steps"])


def _sum(checked: CheckedDataset, verdicts: Sequence[DemonstrationVerdict]) -> str:
    """Returns the last line."""
    from vlagym.benchmark.dataset_verification import WHOLE

    total, confirmed = len(verdicts), sum(v.is_confirmed for v in verdicts)
    elsewhere = sum(v.is_recorded_elsewhere and not v.differences for v in verdicts)
    bad, errored = [v for v in verdicts if v.differences], [v for v in verdicts if v.error and not v.differences]
    if bad or checked.differences:
        parts = [f"{len(bad)} of {total} demonstrations differ"] if bad else []
        parts += ["the dataset is not whole"] if any(d.what == WHOLE for d in checked.differences) else []
        parts += ["what it says of all its demonstrations is not so"] if any(d.what != WHOLE for d in checked.differences) else []
        return f"{' and '.join(parts)}: the dataset is refused ({checked.path})"
    if elsewhere == total:
        return f"none of the {total} demonstrations names an episode: recorded elsewhere, they cannot be simulated again ({checked.path})"
    but = [f"{elsewhere} were recorded elsewhere, and cannot be simulated again"] if elsewhere else []
    if errored:
        but.append(f"{len(errored)} could not be simulated here: the dataset is neither confirmed nor refused")
    what = f": {_confirmed([v for v in verdicts if v.is_confirmed])}" if confirmed else ""
    return "; ".join([f"{confirmed} of {total} demonstrations confirmed{what}", *but]) + f" ({checked.path})"


def _confirmed(verdicts: Sequence[DemonstrationVerdict]) -> str:
    """Returns, in words, what of the demonstrations that are confirmed was looked at, and of how many of them what was not."""
    left_out = Counter(name for v in verdicts for name in v.unchecked if name in _WHY)
    shown, moments = sum(v.moments > 0 for v in verdicts), max((v.moments for v in verdicts), default=0)
    are_all = all(v.moments >= v.images for v in verdicts if v.moments)
    which = "every image" if are_all else f"images at {moments} moments"
    images = f"{which} of {'each' if shown == len(verdicts) else f'{shown} of them'}" if shown else "no images"
    labels = [] if left_out["labels"] else ["labels"]
    but = [f"not the {name} of {count}" for name, count in left_out.items() if name != "images"]
    told = ["sentences", "executed actions", *labels, "states", "how they ended", "what trainers read of them"]
    return f"{', '.join(told)} and {images}{''.join(f', {words}' for words in but)}"


def _other_versions(checked: CheckedDataset) -> str:
    from vlagym.benchmark.header import packages

    there, here = checked.info.provenance.get("packages"), packages()
    if not isinstance(there, dict):
        return ""
    different = [f"{name} {there[name]} there, {here.get(name)} here" for name in _DECIDING if name in there and there[name] != here.get(name)]
    computed, computes = checked.info.provenance.get("arithmetic"), arithmetic.told()
    if computed is not None and computed != computes:
        different.append(f"computed with {computed} there, {computes} here")
    return "; ".join(different)


def _plain(checked: CheckedDataset, verdicts: Sequence[DemonstrationVerdict], status: int) -> dict[str, Any]:
    return {
        "dataset": str(checked.path),
        "format": checked.format,
        "confirmed": status == cli.DONE,
        "differences": [d._asdict() for d in checked.differences],
        "demonstrations": [
            {
                "index": v.index,
                "digest": v.digest,
                "task": v.task or None,
                "seed": v.seed,
                "confirmed": v.is_confirmed,
                "recorded_elsewhere": v.is_recorded_elsewhere,
                "success": v.is_success,
                "ended_by": v.ended_by,
                "steps": v.steps,
                "differences": [d._asdict() for d in v.differences],
                "not_checked": list(v.unchecked),
                "images": v.images,
                "moments": v.moments,
                "error": v.error or None,
            }
            for v in verdicts
        ],
    }
