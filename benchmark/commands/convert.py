"""Writes a dataset in another format, and tells what of it the other one does not hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console

if TYPE_CHECKING:
    from vlagym.results.conversion import Conversion


def main(args: Sequence[str]) -> int:
    """Converts a dataset."""
    parser = console.parser(
        prog="vlagym convert",
        description="Writes a dataset in another format, one demonstration after the other, and tells what the other format does not hold. "
        "Everything is looked at before anything is written; the new dataset has its name when it is whole. The same command goes on where it was "
        "interrupted.",
        example="vlagym convert demos.hdf5 --format lerobot_v3 --out demos_lerobot\nvlagym convert demos_lerobot --out again.hdf5 --validation 0.1",
    )
    parser.add_argument("source", metavar="DATASET", type=Path, help="a file or a folder, ours or of others, of any format of `vlagym list formats`")
    parser.add_argument("--format", metavar="F", help="of the new dataset; by default that of the suffix of --out")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the new dataset, which must not exist: a file or a folder")
    parser.add_argument("--from", dest="source_format", metavar="F", help="the format of DATASET, where it could be read as one of several")
    parser.add_argument("--successes-only", action="store_true", help="leaves out demonstrations that failed")
    parser.add_argument("--state", metavar="S", help="the state vector of formats that have one: libero, joints or all; by default as before")
    parser.add_argument("--validation", type=float, metavar="SHARE", help="of the demonstrations that are set apart for validation (hdf5)")
    parser.add_argument("--json", action="store_true", help="prints what was converted, and what was lost, as JSON")
    options = parser.parse_args(args)

    from vlagym.benchmark.collecting.disk import Room
    from vlagym.benchmark.commands.demo import format_of
    from vlagym.benchmark.header import packages_of_datasets
    from vlagym.results.conversion import Conversion, ConversionOptions

    wanted = ConversionOptions(
        source=options.source,
        target=options.out,
        format=format_of(options.format, options.out),
        source_format=options.source_format,
        successes_only=options.successes_only,
        state=options.state,
        validation=options.validation,
        told={"command": ["vlagym", "convert", *args], "packages": packages_of_datasets()},
    )
    with Conversion(wanted) as conversion:
        with console.Progress(conversion.num_source, f"looking at {options.source.name}") as progress:
            for _ in conversion.look():
                progress.advance()
        room = Room(options.out, conversion.total)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        done = 0
        try:
            with console.Progress(conversion.total, options.out.name) as progress:
                for stored in conversion:
                    progress.advance(1 if done else 1 + conversion.num_before)
                    done += 1
                    room.take(stored.num_bytes, conversion.total - conversion.num_before - done)
        except BaseException:
            if done:
                console.note(f"what was converted is kept in {options.out.name}.converting; the same command goes on with it")
            raise
        return _answer(conversion, wanted.source, wanted.target, as_json=options.json)


def _answer(conversion: Conversion, source: Path, target: Path, *, as_json: bool) -> int:
    losses = conversion.losses
    if as_json:
        told = {"source": str(source), "out": str(target), "from": conversion.source_format, "to": conversion.format}
        lost = [loss._asdict() for loss in losses]
        console.answer(json.dumps({**told, "demonstrations": conversion.total, "lost": lost}, indent=2, ensure_ascii=False))
        return 0
    console.answer("\n".join([f"lost: {loss.what}: {loss.how}" for loss in losses] or ["nothing is lost"]))
    console.answer(f"{conversion.total} demonstrations of {conversion.source_format} written as {conversion.format} ({target})")
    return 0
