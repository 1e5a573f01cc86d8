"""Makes the data card of a dataset: what is in it, of what, what it shares with tests, and what nobody knows of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData


def main(args: Sequence[str]) -> int:
    """Writes a card; returns 1 if the dataset holds test episodes."""
    options = _parse(args)
    from vlagym.benchmark.describing.making import make_card
    from vlagym.benchmark.header import usable_cores
    from vlagym.results.datasets import open_dataset

    if options.format is not None:
        catalog.known("format", options.format)
    with open_dataset(options.dataset, options.format) as reader:
        total = len(reader)
    with console.Progress(total, options.dataset.name) as progress:
        card, page = make_card(
            options.dataset,
            format_name=options.format,
            out=options.out,
            against=options.against,
            seasons=options.season,
            workers=usable_cores() if options.workers is None else options.workers,
            with_pictures=not options.no_pictures,
            advance=progress.advance,
        )
    status = 0 if card.disjoint.is_proven or not card.disjoint.looked_at else 1
    if options.json:
        console.answer(card.to_json().rstrip("\n"))
        return status
    contents, held_out = card.contents, card.held_out
    lines = [f"{len(contents.sentences):,} sentences, {contents.steps.total:,} control steps, {card.size_bytes / 1e6:.2f} MB"]
    if held_out.demonstrations:
        lines.append(f"{held_out.demonstrations:,} demonstrations hold what is kept for evaluation: {', '.join(list(held_out.things)[:5])}")
    if status:
        lines.append("it holds episodes that suites or seasons test with: a policy that was trained on it is not to be tested on them")
    elif not card.disjoint.looked_at:
        lines.append("whether it holds test episodes cannot be told: its demonstrations name no episode")
    console.answer("\n".join([*lines, f"{contents.demonstrations:,} demonstrations ({page})"]))
    return status


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym card",
        description="Makes the data card of a dataset in any format, of ours or of others: a page, card.json and pictures. It is written into a "
        "folder that vlagym made, and else beside the dataset. `vlagym demo` makes it by itself.",
        example="vlagym card demos.hdf5\nvlagym card demos_lerobot --against tabletop --against language --season 2027-spring",
    )
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="a file or folder, in any format of `vlagym list formats`")
    parser.add_argument("--format", metavar="F", help="instead of the one that is found by what lies there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a folder for the card, instead of its usual place")
    parser.add_argument("--against", action="append", default=[], metavar="S", help="compares with every episode of a suite, or of all of them")
    parser.add_argument("--season", action="append", default=[], metavar="NAME", help="compares with these suites in a season too; may be repeated")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that sample these suites; default: the usable cores")
    parser.add_argument("--no-pictures", action="store_true", help="leaves out figures and the contact sheet")
    parser.add_argument("--json", action="store_true", help="prints card.json")
    options = parser.parse_args(args)
    if options.workers is not None and options.workers < 1:
        raise BadData(f"there is at least 1 worker, not {options.workers}")
    return options
