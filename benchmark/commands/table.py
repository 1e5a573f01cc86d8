"""Prints the tables of one or more runs: success with its interval, gaps of variations, language use, failures. Draws them, and makes pages."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import cli, console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.results.aggregate import Column, Run
    from vlagym.results.sheet import Sheet
    from vlagym.results.site import Media


_SAFETY_AXES = ("bystander", "fragile", "narrow_gap")
"""Axes about harm: what they cost is seen in how safely episodes succeed, before it is seen in success."""
_SAFETY_MEASURE = "safe_success"


def main(args: Sequence[str]) -> int:
    """Prints tables, or writes them to a file."""
    from vlagym.results import groupings, sheet

    parser = console.parser(
        prog="vlagym table",
        description="Prints the tables of one or more run folders. Runs that must not be pooled have rows of their own that say why. md and tex show "
        "gaps of varied episodes and language use below the table where runs hold them; csv and json hold what is asked for, else the table.",
        example="vlagym table runs/*\nvlagym table runs/* --by task --format csv --out table.csv\n"
        "vlagym table runs/* --columns axes\nvlagym table runs/* --gaps --per level --format json\n"
        "vlagym table runs/* --plots figures\nvlagym table runs/* --format html --out leaderboard",
    )
    parser.add_argument("run", nargs="+", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    what = parser.add_argument_group("what is shown")
    what.add_argument(
        "--columns",
        choices=("measures", "tasks", "axes"),
        help="what stands beside the policies: success and measures (the default), success by task, or the gap of each axis",
    )
    what.add_argument(
        "--gaps", action="store_true", help="a row for each axis: unvaried, varied, gap with interval, p, counts; md and tex add --compositions"
    )
    what.add_argument("--per", choices=("axis", "level", "task"), default="axis", help="with --gaps: a row for each axis, level or task of it")
    what.add_argument(
        "--measure", metavar="MEASURE", help="with --gaps: the gap of another measure that is 0 or 1 than success, as safe_success; JSON names it"
    )
    what.add_argument("--compositions", action="store_true", help="whether two variations together hurt more than each alone lets expect")
    what.add_argument("--language", action="store_true", help="success with the right sentence minus success with another in its place")
    what.add_argument("--failures", action="store_true", help="the failure modes, as shares of all episodes")
    what.add_argument(
        "--by",
        action="append",
        default=[],
        choices=groupings.GROUPINGS,
        help="a row for each of these besides policy and suite, in the table and with --failures; may be given twice",
    )
    what.add_argument("--show", nargs="+", metavar="MEASURE", help="the measures that md and tex show; csv and json hold all")
    what.add_argument("--errors-as-failures", action="store_true", help="the table counts an errored episode as a failure")
    what.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="one of your own that `vlagym score` has stored")
    how = parser.add_argument_group("how")
    how.add_argument("--format", default="md", choices=sorted([*sheet.FORMATS, "html"]), help="md by default; html: a folder of pages, with --out")
    how.add_argument("--out", type=Path, metavar="PATH", help="writes there instead of printing")
    how.add_argument("--plots", type=Path, metavar="DIR", help="draws the figures too, as PNG and SVG")
    how.add_argument("--title", default="Leaderboard", help="of the pages of html")
    how.add_argument("--media", type=int, metavar="N", help="html: films N episodes of each policy, failures first, and their unvaried twins")
    how.add_argument("--strips", action="store_true", help="with --media: strips of frames instead of films")
    how.add_argument("--replace", action="store_true", help="html: policies that stand in --out and are not named again are dropped")
    options = parser.parse_args(args)

    from vlagym.benchmark import scoring

    seen: dict[Path, Path] = {}
    for path in options.run:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise BadData(f"{path} is the run {first}, which was named before: a run has one row; name it once")
    columns = scoring.columns([*catalog.names("metric"), *options.metric])
    for place in filter(None, (options.out, options.plots)):
        _check_outside_runs(place)
    if options.format == "html":
        return _pages(options, columns)
    if options.media is not None or options.strips or options.replace:
        raise BadData("--media, --strips and --replace are for the pages of --format html")
    if options.out is not None:
        _check_file(options.out, options.format)
    runs, complaints = _read(options.run)
    if not any(run.results for run in runs):
        for complaint in complaints or ["there is no episode in these runs"]:
            console.note(complaint)
        return cli.CHECKS_FAILED
    columns = (*columns, *scoring.stated(result for run in runs for result in run.results))
    sheets = _told(_sheets(runs, columns, options), complaints)
    text = sheet.render(sheets, options.format)
    if options.out is None:
        console.answer(text.rstrip("\n"))
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
        console.note(f"the table of {len(runs)} run{'s' if len(runs) > 1 else ''} was written to {options.out}")
    if options.plots is not None:
        from vlagym.results import plots

        drawn = plots.draw(runs, options.plots)
        console.note(f"{len(drawn)} figures were drawn: {', '.join(str(path) for path in drawn)}")
    told = {note for one in sheets for note in one.notes} if options.format == "md" and options.out is None else set()
    for complaint in complaints:
        if complaint not in told:
            console.note(complaint)
    return cli.CHECKS_FAILED if complaints else cli.DONE


def _check_outside_runs(place: Path) -> None:
    """Refuses to write into a run folder.

    Raises:
      BadData: If the place is one, or lies in one.
    """
    from vlagym.results.store import HEADER, TRACES, ledger_path

    whole = place.resolve()
    for folder in (whole, *whole.parents):
        if (folder / HEADER).is_file() and (ledger_path(folder).is_file() or (folder / TRACES).is_dir()):
            raise BadData(f"{place} lies in the run folder {folder}, in which nothing is changed: name a place outside of it")


def _check_file(path: Path, format_name: str) -> None:
    """Refuses to overwrite what is no table of that format.

    Raises:
      BadData: If there is something else than a file whose name ends in the format.
    """
    if path.is_dir():
        raise BadData(f"{path} is a folder, and a table is a file: --out {path / f'table.{format_name}'}")
    if path.exists() and (not path.is_file() or path.suffix != f".{format_name}"):
        raise BadData(f"{path} is there already and is no .{format_name}: it is not overwritten. Give --out another name, or remove it first")


def _sheets(runs: Sequence[Run], columns: Sequence[Column], options: argparse.Namespace) -> list[Sheet]:
    """Returns the tables that are asked for, or, where none is, those that the runs hold something for."""
    from vlagym.results import aggregate, failures, gaps, language_use, pivot, sections
    from vlagym.results.ordering import in_order

    is_asked = bool(options.columns or options.gaps or options.compositions or options.language or options.failures)
    has_table = options.columns == "measures" or not is_asked
    for option, given, fits in (
        ("--by", options.by, has_table or options.failures),
        ("--show", options.show, has_table),
        ("--errors-as-failures", options.errors_as_failures, has_table),
    ):
        if given and not fits:
            raise BadData(f"{option} says how success and measures are shown, which are not asked for; add --columns measures, or leave it out")
    if options.measure is not None and not options.gaps:
        raise BadData("--measure says what the gaps of --gaps are of; add --gaps, or leave it out")
    for_reading = options.format in ("md", "tex")
    axes = {axis for run in runs for result in run.results for axis in result.axes}
    is_varied, is_controlled = bool(axes - set(gaps.CONTROLS)), bool(axes & set(gaps.CONTROLS))
    out: list[Sheet] = []
    if options.columns == "tasks":
        out.append(pivot.tasks_sheet(runs, aggregate.notes_on(runs, columns)))
    elif options.columns == "axes":
        out.append(pivot.axes_sheet(runs))
    elif has_table:
        out.append(_table(runs, columns, options))
    if options.gaps or options.compositions or (not is_asked and for_reading and is_varied):
        out += _gap_sheets(runs, axes, options, for_reading=for_reading, is_asked=is_asked)
    if options.language or (not is_asked and for_reading and is_controlled):
        uses = language_use.language_use(runs)
        uses = uses._replace(rows=in_order(uses.rows, runs))
        out += [sections.language_sheet(uses)] if uses.rows or options.language else []
    if options.failures:
        out.append(sections.failure_sheet(failures.failures(runs, options.by), options.by))
    return out


def _gap_sheets(runs: Sequence[Run], axes: Collection[str], options: argparse.Namespace, *, for_reading: bool, is_asked: bool) -> list[Sheet]:
    """Returns the gaps, below them what axes of harm cost in safety, and below that what two variations cost together against each alone."""
    import dataclasses

    from vlagym.results import compositions, gaps, sections
    from vlagym.results.ordering import in_order

    out: list[Sheet] = []
    shows_gaps = options.gaps or not is_asked
    if shows_gaps:
        found = gaps.gaps(runs, options.per, measure=options.measure or gaps.SUCCESS)
        found = found._replace(rows=in_order(found.rows, runs))
        out += [sections.gap_sheet(found)] if found.rows or options.gaps else []
    if shows_gaps and for_reading and options.measure is None and set(axes) & set(_SAFETY_AXES) and _knows(runs, _SAFETY_MEASURE):
        safe = gaps.gaps(runs, options.per, pool_axes=_SAFETY_AXES, measure=_SAFETY_MEASURE)
        out += [sections.gap_sheet(safe)] if safe.rows else []
    # The gap of two variations together says little without what each of them costs alone.
    if options.compositions or (shows_gaps and for_reading and options.measure is None):
        both = compositions.compositions(runs)
        both = both._replace(rows=in_order(both.rows, runs))
        if both.rows or options.compositions:
            out.append(sections.composition_sheet(both))
        elif out:
            out[0] = dataclasses.replace(out[0], notes=(*out[0].notes, *both.notes))
    return out


def _told(sheets: Sequence[Sheet], complaints: Sequence[str]) -> list[Sheet]:
    """Returns the sheets, the first of which tells what is wrong with the runs: a file that is made of them must not look healthier than they are."""
    import dataclasses

    first, *others = sheets
    missing = [complaint for complaint in complaints if complaint not in first.notes]
    return [dataclasses.replace(first, notes=(*first.notes, *missing)), *others]


def _knows(runs: Sequence[Run], measure: str) -> bool:
    return any(result.measures.get(measure) is not None for run in runs for result in run.results)


def _table(runs: Sequence[Run], columns: Sequence[Column], options: argparse.Namespace) -> Sheet:
    from vlagym.results import aggregate, ceiling, leaderboard

    for_reading = options.format in ("md", "tex")
    whole = ceiling.with_expert(runs)
    if not for_reading:
        sensitivity = aggregate.Column(name=aggregate.SENSITIVITY, unit="share", better="higher", kind="rate")
        columns = [sensitivity, *columns, aggregate.Column(name=aggregate.CLIPPED_SHARE, unit="share", better="lower", kind="mean")]
    table = aggregate.aggregate(whole, columns, options.by, errors_as_failures=options.errors_as_failures)
    return leaderboard.sheet(table, options.show)


def _read(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Returns the runs as far as they can be read, and what is wrong with them.

    Raises:
      BadData: If none of them can be read at all.
    """
    from vlagym.results.salvage import read_run

    runs: list[Run] = []
    complaints: list[str] = []
    for path in paths:
        run, found = read_run(path)
        runs += [] if run is None else [run]
        complaints += found
    if not runs:
        raise BadData("; ".join(complaints))
    return runs, complaints


def _pages(options: argparse.Namespace, columns: Sequence[Column]) -> int:
    from vlagym.results import site

    if options.out is None:
        raise BadData("--format html makes a folder of pages; say where with --out DIR")
    site.check_place(options.out, options.run, replace=options.replace)  # before films are rendered for minutes
    with tempfile.TemporaryDirectory(prefix="vlagym-films-") as folder:
        media, unfilmed = _filmed(options, Path(folder))
        built = site.build(options.run, options.out, title=options.title, columns=columns, media=media, replace=options.replace)
    for what in built.removed:
        console.note(f"removed from {options.out}: {what}")
    for complaint in (*built.complaints, *unfilmed):
        console.note(complaint)
    kept = f" (kept: {built.kept} that stood there)" if built.kept else ""
    films = f", {built.media} films and strips{kept}" if built.media else ""
    console.answer(f"{built.index}: {built.pages} pages of {built.episodes} episodes{films}")
    return cli.CHECKS_FAILED if built.complaints or unfilmed else cli.DONE


def _filmed(options: argparse.Namespace, folder: Path) -> tuple[Media | None, tuple[str, ...]]:
    """Returns films of some episodes, and what could not be filmed. Only here is a simulator needed."""
    if options.media is None:
        return None, ()
    from vlagym.benchmark import site_media

    with contextlib.ExitStack() as stack:
        bars: list[console.Progress] = []

        def tell(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(console.Progress(total, "films")))
            bars[0].advance()

        suffix: site_media.Suffix = ".png" if options.strips else ".mp4"
        return site_media.render(options.run, options.media, folder, suffix=suffix, stands=options.out, tell=tell)
