"""Holds tasks, metrics, policies and other files, ours or yours, against the contract of their kind and says what is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from vlagym.benchmark import check, console
from vlagym.envs import backend


def main(args: Sequence[str]) -> int:
    """Prints a line for each thing, one for each complaint, and tables of what was measured; returns 1 if there was a complaint."""
    parser = console.parser(
        prog="vlagym check",
        description="Holds things against the contract of their kind and says what is wrong with them, and what to do. "
        "Without an argument, everything that ships. Exits with 1 if anything is wrong.",
        example="vlagym check metric\nvlagym check task:stack\nvlagym check metric:vlagym.benchmark.metrics.drops:METRIC",
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"KIND, KIND:NAME or package.module:ATTRIBUTE; kinds: {' '.join(check.kinds())}")
    parser.add_argument("--json", action="store_true", help="prints a list of verdicts")
    options = parser.parse_args(args)
    targets = [target for text in options.what or check.kinds() for target in check.targets(text)]
    backend.choose()
    verdicts = []
    with console.Progress(len(targets), "check", unit="thing") as progress:
        for kind, name in targets:
            verdicts.append(check.check(kind, name))
            progress.advance(note=f"{kind}:{name}")
    wrong = [v for v in verdicts if v.complaints]
    if options.json:
        console.answer(json.dumps([dataclasses.asdict(v) for v in verdicts], indent=2, ensure_ascii=False))
        return 1 if wrong else 0
    for verdict in verdicts:
        console.answer(_told(verdict))
    for kind in dict.fromkeys(v.kind for v in verdicts if v.rows):
        rows = [row for v in verdicts if v.kind == kind for row in v.rows]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        console.answer("\n" + console.table([[row.get(c, "") for c in columns] for row in rows], columns) + "\n")
    skipped = sum(1 for v in verdicts if v.skipped)
    fine = len(verdicts) - len(wrong) - skipped
    console.answer(f"{len(verdicts)} checked: {fine} fulfil their contract, {len(wrong)} do not, {skipped} could not be checked")
    return 1 if wrong else 0


def _told(verdict: check.Verdict) -> str:
    what = f"{verdict.kind}:{verdict.name}"
    if verdict.skipped:
        return f"{console.paint('skipped', 'yellow')}  {what}: {verdict.skipped}"
    if not verdict.complaints:
        return f"{console.paint('ok', 'green')}       {what}"
    return "\n".join([f"{console.paint('wrong', 'red')}    {what}", *(f"         - {complaint}" for complaint in verdict.complaints)])
