"""Prints the table of one or more runs: success with its interval, the error count beside every n, the other measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData


def main(args: Sequence[str]) -> int:
    """Prints a table, or writes it to a file."""
    from vlagym.results import aggregate, leaderboard

    parser = console.parser(
        prog="vlagym table",
        description="Prints the table of one or more run folders. Runs that must not be pooled have rows of their own that say why.",
        example="vlagym table runs/*\nvlagym table runs/* --by task --format csv --out table.csv",
    )
    parser.add_argument("run", nargs="+", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument(
        "--by", action="append", default=[], choices=aggregate.GROUPINGS, help="a row for each of these besides policy and suite; may be given twice"
    )
    parser.add_argument("--format", default="md", choices=sorted(leaderboard.FORMATS), help="md by default")
    parser.add_argument("--show", nargs="+", metavar="MEASURE", help="the measures that md and tex show; csv and json hold all")
    parser.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="one of your own that `vlagym score` has stored")
    parser.add_argument("--out", type=Path, metavar="FILE", help="writes the table there instead of printing it")
    options = parser.parse_args(args)

    from vlagym.benchmark import scoring

    seen: dict[Path, Path] = {}
    for path in options.run:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise BadData(f"{path} is the run {first}, which was named before: a run has one row; name it once")
    columns = scoring.columns([*catalog.names("metric"), *options.metric])
    table = aggregate.aggregate([aggregate.Run.load(path) for path in options.run], columns, options.by)
    text = leaderboard.render(table, options.format, options.show)
    if options.out is None:
        console.answer(text.rstrip("\n"))
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
        console.note(f"the table of {len(options.run)} run{'s' if len(options.run) > 1 else ''} was written to {options.out}")
    return 0
