"""LeRobot's dataset format v2.1: a folder with a parquet file and a video for each episode, as openpi and GR00T read it.

    meta/{info.json, tasks.jsonl, episodes.jsonl, episodes_stats.jsonl, stats.json, modality.json}
    data/chunk-000/episode_000000.parquet
    videos/chunk-000/<feature>/episode_000000.mp4
    vlagym/                                                 what the format has no place for

meta/modality.json is GR00T's: which numbers of the state and of the action are what, and what the videos and the sentence are called. The columns
are those of lerobot_v3. Folders of v2.0, and of openpi's names, are read as well.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo
from vlagym.results.format import DatasetWriter, Format, Part
from vlagym.results.formats import _lerobot, _lerobot_reader, _sidecar
from vlagym.results.formats._lerobot import Flavour
from vlagym.results.formats._lerobot_reader import Index, Place, file_of
from vlagym.results.formats._lerobot_totals import Totals
from vlagym.results.formats._lerobot_view import View
from vlagym.results.formats._signs import LEROBOT_INFO, lerobot_layout
from vlagym.results.formats._staging import FolderWriter, adopt

VERSION = "v2.1"
READS = ("v2.0", "v2.1")
EPISODES_A_CHUNK = 1000

_DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"

FLAVOUR = Flavour(name="lerobot_v21", state="observation.state", action="action", images="video", camera="observation.images.{camera}")


# -------------------------------------------------------------------------------------------------------------------------- writing
def build(flavour: Flavour, folder: Path, info: DatasetInfo, parts: Sequence[Part]) -> None:
    """Makes a dataset in an empty folder.

    Args:
      flavour: How its columns are called.
      folder: Where.
      info: Of its demonstrations.
      parts: As `store` wrote them.

    Raises:
      BadData: If a part is damaged, or the parts are of robots of several kinds.
      OSError: If the disk is full.
    """
    _, parquet = _lerobot.pyarrow()
    stored = _lerobot.stored_parts(parts)
    features = _lerobot.features(info, flavour, stored[0].state_names)
    schema = _lerobot.schema(features)
    videos = [name for name, feature in features.items() if feature["dtype"] == "video"]
    totals = Totals()
    meta = folder / "meta"
    meta.mkdir()
    with (meta / "episodes.jsonl").open("w", encoding="utf-8") as episodes, (meta / "episodes_stats.jsonl").open("w", encoding="utf-8") as statistics:
        for i, one in enumerate(stored):
            where = {"episode_chunk": i // EPISODES_A_CHUNK, "episode_index": i}
            table = one.table(schema, totals.counters(one))
            at = folder / _DATA.format(**where)
            at.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(table, at, compression="snappy")
            for name in videos:
                adopt(one.video(name), folder / _VIDEO.format(video_key=name, **where))
            _line(episodes, {"episode_index": i, "tasks": [one.instruction], "length": one.num_rows})
            _line(statistics, {"episode_index": i, "stats": totals.add(one, table)})
    with (meta / "tasks.jsonl").open("w", encoding="utf-8") as tasks:
        for sentence, number in totals.tasks.items():
            _line(tasks, {"task_index": number, "task": sentence})
    told = {
        "codebase_version": VERSION,
        "robot_type": info.robot or None,
        "total_episodes": totals.num_episodes,
        "total_frames": totals.num_rows,
        "total_tasks": len(totals.tasks),
        "total_videos": totals.num_episodes * len(videos),
        "total_chunks": -(-totals.num_episodes // EPISODES_A_CHUNK),
        "chunks_size": EPISODES_A_CHUNK,
        "fps": _lerobot.fps_of(info),
        "splits": {"train": f"0:{totals.num_episodes}"},
        "data_path": _DATA,
        "video_path": _VIDEO if videos else None,
        "features": features,
    }
    whole = {"info.json": told, "stats.json": totals.statistics(), "modality.json": modality(info, flavour, stored[0].state_names)}
    for name, value in whole.items():
        (meta / name).write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    _sidecar.join_parts(folder, info, parts)


def modality(info: DatasetInfo, flavour: Flavour, state_names: Sequence[str]) -> dict[str, Any]:
    """Returns GR00T's meta/modality.json.

    Args:
      info: Of the dataset.
      flavour: How its columns are called.
      state_names: Of each number of the state; "<part>.<number>" where a part has several.
    """
    return {
        "state": {name: {**span, "original_key": flavour.state} for name, span in _spans(state_names).items()},
        "action": {name: {**span, "original_key": flavour.action} for name, span in _action_spans(info.action).items()},
        "video": {camera: {"original_key": flavour.feature(camera)} for camera in info.images},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }


def _spans(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns which numbers belong to each part, where they lie side by side; else each number is a part of its own."""
    parts = [name.rpartition(".")[0] or name for name in names]
    if len(list(itertools.groupby(parts))) > len(set(parts)):
        parts = list(names)
    out: dict[str, dict[str, Any]] = {}
    for at, part in enumerate(parts):
        span = out.setdefault(part, {"start": at, "end": at})
        span["end"] = at + 1
        if "axis_angle" in part:
            span["rotation_type"] = "axis_angle"
    return out


def _action_spans(action: ActionSpec) -> dict[str, dict[str, Any]]:
    if all(component.convention == _sidecar.RECORDED for component in action.components):
        recorded = _spans(_lerobot.action_names(action))
        # Only a name can tell: of the others nobody knows whether they are absolute, and nothing is said.
        return {name: span | ({"absolute": False} if _is_relative(name) else {}) for name, span in recorded.items()}
    out: dict[str, dict[str, Any]] = {}
    slices = action.slices()
    for component in action.components:
        span = slices[component.name]
        out[component.name] = {"start": span.start, "end": span.stop, "absolute": not _is_relative(component.convention)}
        if "axis_angle" in component.convention:
            out[component.name]["rotation_type"] = "axis_angle"
    return out


def _is_relative(word: str) -> bool:
    return "delta" in word or "velocity" in word


def _line(file: Any, value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")


# -------------------------------------------------------------------------------------------------------------------------- reading
def index(folder: Path) -> Index:
    """Returns where the episodes of a dataset lie.

    Raises:
      NoDataset: If there is none.
      BadData: If it is damaged or of another version.
    """
    info = _lerobot_reader.read_info(folder, READS, "Folders of v3.0 are read by the format lerobot_v3")
    rows = _lerobot_reader.read_lines(folder / "meta" / "episodes.jsonl")
    if len(rows) != info["total_episodes"]:
        raise BadData(f"{folder}: meta/episodes.jsonl tells of {len(rows)} episodes, meta/info.json of {info['total_episodes']}")
    videos = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    try:
        rows.sort(key=lambda row: int(row["episode_index"]))
        return Index(info=info, places=[_place(folder, info, row, videos) for row in rows])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadData(f"{folder}: meta/episodes.jsonl or meta/info.json lacks a key, or has another value for it: {error!r}") from error


def _place(folder: Path, info: Mapping[str, Any], row: Mapping[str, Any], videos: Sequence[str]) -> Place:
    number = int(row["episode_index"])
    where = {"episode_chunk": number // int(info["chunks_size"]), "episode_index": number}
    found = {name: (file_of(folder, info["video_path"], video_key=name, **where), 0.0) for name in videos}
    return Place(sentences=row["tasks"], rows=file_of(folder, info["data_path"], **where), first_row=0, num_rows=int(row["length"]), videos=found)


def write(flavour: Flavour, path: Path, info: DatasetInfo) -> DatasetWriter:
    """Begins a dataset, or goes on with one that was interrupted.

    Raises:
      BadData: If such a dataset cannot be laid out, something else lies there, or another process writes it.
    """
    _lerobot.check_info(info, flavour)
    store = functools.partial(_lerobot.store, flavour)
    return FolderWriter(path, info, store=store, build=functools.partial(build, flavour))


def recognises(flavour: Flavour, path: Path) -> bool:
    """Returns whether a folder has this layout, and calls its actions as this flavour does."""
    version, features = lerobot_layout(path)
    return version in READS and (flavour.action in features) and (flavour.action == "action" or "action" not in features)


def format_of(flavour: Flavour) -> Format:
    """Returns the format of v2.1 whose columns have these names."""
    return Format(
        suffix="",
        write=functools.partial(write, flavour),
        open=functools.partial(_lerobot_reader.Reader, index=index),
        read=functools.partial(_lerobot_reader.read, index=index),
        store=functools.partial(_lerobot.store, flavour),
        holds=_lerobot.HOLDS,
        images="h264" if flavour.images == "video" else "exact",
        recognises=functools.partial(recognises, flavour),
        known_by=LEROBOT_INFO,
        view=lambda path: View(path, index),
    )


FORMAT = format_of(FLAVOUR)
