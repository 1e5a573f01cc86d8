"""Makes the data card of a dataset: one pass over its demonstrations, a few images of some of them, a page, its pictures and card.json."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import vlagym
from vlagym.benchmark.describing.disjointness import Comparison, suites_named
from vlagym.benchmark.describing.episode_sheet import write_sheet
from vlagym.benchmark.describing.things import describing
from vlagym.benchmark.describing.yields import read_yield
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import sha, to_plain
from vlagym.results.datacard import figures
from vlagym.results.datacard.card import CARD_JSON, Camera, Contents, DataCard, Disjoint, Yield
from vlagym.results.datacard.markdown import page
from vlagym.results.datacard.place import Place, place_of, put, size_of
from vlagym.results.datacard.tally import Tally
from vlagym.results.datasets import format_of, open_dataset, waiting_beside
from vlagym.results.demonstration import DatasetInfo
from vlagym.results.format import DatasetReader

LICENCE = "Apache-2.0"
"""Of what vlagym makes: its own, for the scenes, the sentences and the expert are its own."""
_EPISODES = "episodes"
"""The contact sheet among the pictures."""
_RECORDED = "recorded"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Made(NamedTuple):
    """A card that was written."""

    card: DataCard
    page: Path


def make_card(
    dataset: Path,
    *,
    format_name: str | None = None,
    out: Path | None = None,
    against: Sequence[str] = (),
    seasons: Sequence[str] = (),
    workers: int = 1,
    with_pictures: bool = True,
    suite: Mapping[str, Any] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Made:
    """Makes the card of a dataset and writes it, in the place of an earlier one.

    Args:
      dataset: Its file or folder, in any format, of ours or of others.
      format_name: None: the one that it has.
      out: Folder of the card; None: within or beside the dataset (`vlagym.results.datacard.place`).
      against: Suites of which every episode is sampled and compared, or "all".
      seasons: In which they are compared as well.
      workers: Processes that sample them.
      with_pictures: Whether figures and the contact sheet are drawn.
      suite: Name and version of that whose tasks were demonstrated, where the dataset itself does not say.
      advance: Called after each demonstration.

    Raises:
      NoDataset: If there is none, or it was not finished.
      BadData: If it is damaged or empty, or the card cannot be written.
      UnknownName: If no format or suite is called so.
    """
    name = format_of(dataset) if format_name is None else format_name
    suites = suites_named(against, seasons)
    with open_dataset(dataset, name) as reader:
        if len(reader) == 0:
            raise BadData(f"{dataset} holds no demonstration: there is nothing to tell of it")
        place = place_of(dataset, out)
        comparison = Comparison(suites, expand=partial(Suite.expand, workers=workers))
        tally = Tally(reader.info, describing(reader.info.provenance))
        for index in range(len(reader)):
            demonstration = reader[index]
            scene = tally.add(demonstration)
            if demonstration.spec is not None:
                comparison.add(demonstration.spec, scene)
            advance()
        card = _card(dataset, name, reader, tally, comparison.result(), place, suite)
        made: list[DataCard] = []

        def fill(folder: Path) -> str:
            drawn = _draw(reader, tally, folder) if with_pictures else {}
            made.append(dataclasses.replace(card, pictures=drawn))
            (folder / CARD_JSON).write_text(made[0].to_json(), encoding="utf-8")
            return page(made[0], place.pictures)

        put(place, fill)
    return Made(made[0], place.page)


def renew_card(dataset: Path, format_name: str, *, suite: Mapping[str, Any] | None = None) -> str:
    """Makes the card of a dataset that was just completed, and returns where it lies, or why there is none, in a sentence.

    A dataset that is whole does not fail for want of a card. "": there is no whole dataset, or it has a card of the demonstrations that it holds.

    Args:
      dataset: Its file or folder; it need not be whole, nor there.
      format_name: Of its format.
      suite: As in `make_card`.
    """
    if not dataset.exists() or waiting_beside(dataset):
        return ""
    try:
        place = place_of(dataset)
        with open_dataset(dataset, format_name) as reader:
            if place.page.exists() and _earlier(place, _digest_of(reader)) is not None:
                return ""
        return f"data card: {make_card(dataset, format_name=format_name, suite=suite).page}"
    except (VlagymError, OSError) as error:
        return f"the dataset is whole, and its card could not be made: {error}. Once that is mended: vlagym card {dataset}"


# ------------------------------------------------------------------------------------------------------------------- what it is made of
def _card(
    dataset: Path, name: str, reader: DatasetReader, tally: Tally, disjoint: Disjoint, place: Place, suite: Mapping[str, Any] | None
) -> DataCard:
    info, contents = reader.info, tally.contents()
    digest = _digest_of(reader)
    before = _earlier(place, digest)
    told: dict[str, Any] = to_plain(info.provenance)
    size, files = size_of(dataset, place)
    yields = read_yield(dataset, reader.digests) or (None if before is None else before.yields)
    suites = [told.get("suite"), suite, None if before is None else before.suite, _suite_said(told)]
    is_ours = contents.without_spec == 0
    allowed = told.get("held_out")
    return DataCard(
        name=_name_of(dataset),
        format=name,
        digest=digest,
        is_ours=is_ours,
        size_bytes=size,
        num_files=files,
        vlagym=vlagym.__version__,
        action=to_plain(info.action),
        cameras=_cameras(info),
        frame_stride=info.frame_stride,
        commands=tuple(info.commands),
        contents=contents,
        duplicates=tally.duplicates(),
        held_out=tally.held_out([str(what) for what in allowed] if isinstance(allowed, list) else None),
        disjoint=disjoint,
        yields=yields,
        provenance=told,
        suite=next((found for found in suites if isinstance(found, Mapping)), None),
        licence=LICENCE if is_ours else None,
        unknown=tuple(_unknown(info, contents, told, yields)),
    )


def _digest_of(reader: DatasetReader) -> str:
    """Returns the digest of all demonstrations of a dataset, in whatever order."""
    return sha("\n".join(sorted(reader.digests)).encode())


def _earlier(place: Place, digest: str) -> DataCard | None:
    """Returns an earlier card of the very same demonstrations: it may know what no longer lies beside them. None where there is none to be read."""
    at = place.folder / CARD_JSON
    try:
        found = DataCard.from_json(at.read_text(encoding="utf-8"), str(at))
    except (OSError, UnicodeDecodeError, BadData):
        return None
    return found if found.digest == digest else None


def _suite_said(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the suite that the command names; its version was written down nowhere."""
    words = told.get("command")
    if not isinstance(words, list) or "--suite" not in words[:-1]:
        return None
    return {"name": str(words[words.index("--suite") + 1])}


def _name_of(dataset: Path) -> str:
    whole = dataset.resolve()
    return whole.parent.name if _VERSION.fullmatch(whole.name) else whole.name


def _cameras(info: DatasetInfo) -> tuple[Camera, ...]:
    return tuple(
        Camera(name=name, height=how.shape[0], width=how.shape[1], crop=how.crop, has_depth=name in info.depth) for name, how in info.images.items()
    )


def _unknown(info: DatasetInfo, contents: Contents, told: Mapping[str, Any], yields: Yield | None) -> list[str]:
    """Returns what cannot be told of a dataset, in sentences."""
    out = []
    if contents.without_spec:
        out.append(
            f"{contents.without_spec:,} of {contents.demonstrations:,} demonstrations name no episode of vlagym: their task, what their goals name, "
            "what of it is kept for evaluation, whether tests hold it, and whether they would come to the same again"
        )
        out.append("whether demonstrations without a mark of success succeeded: they are counted as if they had")
    if yields is None:
        out.append("how many tries it took: no list of them lies beside the dataset")
    if not told.get("command"):
        out.append("the command that made it")
    if not told.get("packages"):
        out.append("the versions of what made it")
    if any(not robot for robot in contents.robots):
        out.append("which robot it was")
    if info.action.name == _RECORDED:
        out.append("what the numbers of an action mean: unit, frame and scale")
    if isinstance(told.get("taken_for"), Mapping):
        out += [f"{what}: taken for {answer}" for what, answer in told["taken_for"].items()]
    return out


def _draw(reader: DatasetReader, tally: Tally, folder: Path) -> dict[str, str]:
    drawn = figures.draw(tally, folder)
    if reader.info.images:
        sheet = folder / f"{_EPISODES}.jpg"
        write_sheet(reader, tally.places, sheet)
        drawn[_EPISODES] = sheet.name
    return drawn
