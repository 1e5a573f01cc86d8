"""LeRobot's dataset format v3.0: a folder with many episodes in each parquet file and each video, as LeRobot 0.4 and later read it.

    meta/{info.json, stats.json, tasks.parquet, episodes/chunk-000/file-000.parquet}
    data/chunk-000/file-000.parquet                         rows of many episodes, one row group an episode
    videos/<feature>/chunk-000/file-000.mp4                 frames of many episodes back to back
    vlagym/                                                 what the format has no place for

Columns: observation.images.<camera> (H.264), observation.state (the vector that the dataset's `state` names), action, next.reward (1 in the last row
of a success), next.done, timestamp (frame_index / fps). Actions and gripper have the signs of the dataset's action spec. Without the folder vlagym
it is still a whole dataset of LeRobot.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo
from vlagym.results.format import DatasetWriter, Format, Part
from vlagym.results.formats import _lerobot, _lerobot_reader, _sidecar, _video
from vlagym.results.formats._lerobot import Flavour, Stored
from vlagym.results.formats._lerobot_reader import Index, Place, file_of
from vlagym.results.formats._lerobot_totals import Totals
from vlagym.results.formats._lerobot_view import View
from vlagym.results.formats._signs import LEROBOT_INFO, lerobot_layout
from vlagym.results.formats._staging import FolderWriter

VERSION = "v3.0"
FILES_A_CHUNK = 1000
DATA_MB, VIDEO_MB = 100, 200
"""How large the files of rows and of videos grow; LeRobot's own sizes."""

_MB = 1_000_000
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_ROWS_AT_ONCE = 64
"""Of meta/episodes."""

FLAVOUR = Flavour(name="lerobot_v3", state="observation.state", action="action", images="video", camera="observation.images.{camera}")


# -------------------------------------------------------------------------------------------------------------------------- writing
def build(folder: Path, info: DatasetInfo, parts: Sequence[Part], *, data_mb: float = DATA_MB, video_mb: float = VIDEO_MB) -> None:
    """Makes a dataset in an empty folder.

    Args:
      folder: Where.
      info: Of its demonstrations.
      parts: As `store` wrote them.
      data_mb: How large a file of rows may grow before the next is begun.
      video_mb: The same of a video.

    Raises:
      BadData: If a part is damaged, or the parts are of robots of several kinds.
      OSError: If the disk is full.
    """
    pa, parquet = _lerobot.pyarrow()
    stored = _lerobot.stored_parts(parts)
    fps = _lerobot.fps_of(info)
    features = _lerobot.features(info, FLAVOUR, stored[0].state_names)
    spans = {name: _join_videos(folder, name, stored, fps, video_mb) for name, f in features.items() if f["dtype"] == "video"}
    totals = Totals()
    schema = _lerobot.schema(features)
    with _Files(folder, _DATA, schema, data_mb) as data, _Episodes(folder, data_mb) as episodes:
        for i, one in enumerate(stored):
            first = totals.num_rows
            table = one.table(schema, totals.counters(one))
            chunk, file = data.place(table.nbytes)
            data.write(table)
            row: dict[str, Any] = {
                "episode_index": i,
                "tasks": [one.instruction],
                "length": one.num_rows,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": first,
                "dataset_to_index": first + one.num_rows,
            }
            for name, placed in spans.items():
                row |= {f"videos/{name}/{key}": value for key, value in placed[i].items()}
            for name, statistics in totals.add(one, table).items():
                row |= {f"stats/{name}/{key}": value for key, value in statistics.items()}
            episodes.add(row)
    parquet.write_table(_tasks(list(totals.tasks)), folder / "meta" / "tasks.parquet")
    (folder / "meta" / "stats.json").write_text(json.dumps(totals.statistics(), indent=1), encoding="utf-8")
    told = {
        "codebase_version": VERSION,
        "robot_type": info.robot or None,
        "total_episodes": totals.num_episodes,
        "total_frames": totals.num_rows,
        "total_tasks": len(totals.tasks),
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": data_mb,
        "video_files_size_in_mb": video_mb,
        "fps": fps,
        "splits": {"train": f"0:{totals.num_episodes}"},
        "data_path": _DATA,
        "video_path": _VIDEO if spans else None,
        "features": features,
    }
    (folder / "meta" / "info.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    _sidecar.join_parts(folder, info, parts)


def _join_videos(folder: Path, feature: str, stored: Sequence[Stored], fps: int, limit_mb: float) -> list[dict[str, Any]]:
    """Joins the videos of a feature into few files, and returns for each demonstration where its frames lie."""
    groups: list[list[Stored]] = []
    size = 0
    for one in stored:
        more = one.video(feature).stat().st_size
        if not groups or size + more > limit_mb * _MB or not _video.can_join(groups[-1][0].video(feature), one.video(feature)):
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += more
    places: list[dict[str, Any]] = []
    for number, group in enumerate(groups):
        chunk, file = divmod(number, FILES_A_CHUNK)
        at = folder / _VIDEO.format(video_key=feature, chunk_index=chunk, file_index=file)
        at.parent.mkdir(parents=True, exist_ok=True)
        _video.join(at, [one.video(feature) for one in group], fps)
        frames = 0
        for one in group:
            # Each from whole frames: sums of durations would drift.
            span = {"from_timestamp": frames / fps, "to_timestamp": (frames + one.num_rows) / fps}
            places.append({"chunk_index": chunk, "file_index": file, **span})
            frames += one.num_rows
        if (found := _video.num_frames(at)) != frames:
            raise BadData(f"the videos of {feature} hold {found} frames for {frames} rows: a part in {group[0].part.path.parent} is damaged")
    return places


class _Files:
    """Parquet files that are begun anew when they have grown large enough."""

    def __init__(self, folder: Path, template: str, schema: Any, limit_mb: float) -> None:
        self._folder, self._template, self._schema, self._limit = folder, template, schema, limit_mb * _MB
        self._number = -1
        self._sink: Any = None
        self._writer: Any = None

    def place(self, num_bytes: int) -> tuple[int, int]:
        """Returns chunk and file of the next table, which takes about so many bytes."""
        if self._writer is None or self._sink.tell() + num_bytes > self._limit and self._sink.tell() > 4:  # PAR1
            self._close()
            self._number += 1
            pa, parquet = _lerobot.pyarrow()
            at = self._folder / self._template.format(chunk_index=self._number // FILES_A_CHUNK, file_index=self._number % FILES_A_CHUNK)
            at.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(at), "wb")
            self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="snappy")
        return divmod(self._number, FILES_A_CHUNK)

    def write(self, table: Any) -> None:
        """Writes a table as a row group of its own."""
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._sink.close()
            self._writer = None

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()


class _Episodes:
    """meta/episodes: a row a demonstration, a few dozen at a time."""

    def __init__(self, folder: Path, limit_mb: float) -> None:
        self._folder, self._limit_mb = folder, limit_mb
        self._rows: list[dict[str, Any]] = []
        self._files: _Files | None = None

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        pa, _ = _lerobot.pyarrow()
        counted = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        table = pa.Table.from_pylist([row | counted for row in self._rows])
        if self._files is None:
            self._files = _Files(self._folder, _EPISODES, table.schema, self._limit_mb)
        chunk, file = self._files.place(table.nbytes)
        for name, value in (("meta/episodes/chunk_index", chunk), ("meta/episodes/file_index", file)):
            table = table.set_column(table.schema.get_field_index(name), name, pa.array([value] * table.num_rows, pa.int64()))
        self._files.write(table)
        self._rows = []

    def __enter__(self) -> _Episodes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._flush()
        if self._files is not None:
            self._files.__exit__(kind, error, trace)


def _tasks(sentences: Sequence[str]) -> Any:
    """Returns meta/tasks.parquet: the sentences are the index of a table of pandas, without whose metadata LeRobot does not find them."""
    pa, _ = _lerobot.pyarrow()
    index = "__index_level_0__"
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
        {"name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    pandas = {"index_columns": [index], "column_indexes": [], "columns": columns, "creator": {"library": "pyarrow", "version": pa.__version__}}
    schema = pa.schema([("task_index", pa.int64()), (index, pa.string())], metadata={"pandas": json.dumps(pandas | {"pandas_version": "2.2.0"})})
    return pa.table([pa.array(range(len(sentences)), pa.int64()), pa.array(sentences, pa.string())], schema=schema)


# -------------------------------------------------------------------------------------------------------------------------- reading
def index(folder: Path) -> Index:
    """Returns where the episodes of a dataset lie.

    Raises:
      NoDataset: If there is none.
      BadData: If it is damaged or of another version.
    """
    info = _lerobot_reader.read_info(folder, [VERSION], "Folders of v2.1 are read by the format lerobot_v21")
    files = sorted((folder / "meta" / "episodes").glob("*/*.parquet"))
    rows: list[dict[str, Any]] = []
    for at in files:
        names = [n for n in _column_names(at) if not n.startswith("stats/")]
        rows += _lerobot_reader.read_table(at, names).to_pylist()
    if len(rows) != info["total_episodes"]:
        raise BadData(f"{folder}: meta/episodes tells of {len(rows)} episodes, meta/info.json of {info['total_episodes']}")
    try:
        rows.sort(key=lambda row: int(row["episode_index"]))
        begins: dict[Path, int] = {}
        for row in rows:
            at = _data_file(folder, info, row)
            begins[at] = min(begins.get(at, row["dataset_from_index"]), row["dataset_from_index"])
        videos = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
        return Index(info=info, places=[_place(folder, info, row, begins, videos) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{folder / 'meta' / 'episodes'} lacks a column, or has another value in it: {error!r}") from error


def _place(folder: Path, info: Mapping[str, Any], row: Mapping[str, Any], begins: Mapping[Path, int], videos: Sequence[str]) -> Place:
    at = _data_file(folder, info, row)
    found: dict[str, tuple[Path, float]] = {}
    for name in videos:
        chunk, file, start = (row[f"videos/{name}/{key}"] for key in ("chunk_index", "file_index", "from_timestamp"))
        found[name] = file_of(folder, info["video_path"], video_key=name, chunk_index=int(chunk), file_index=int(file)), float(start)
    first = row["dataset_from_index"]
    return Place(sentences=row["tasks"], rows=at, first_row=first - begins[at], num_rows=row["dataset_to_index"] - first, videos=found)


def _data_file(folder: Path, info: Mapping[str, Any], row: Mapping[str, Any]) -> Path:
    return file_of(folder, info["data_path"], chunk_index=int(row["data/chunk_index"]), file_index=int(row["data/file_index"]))


def _column_names(at: Path) -> list[str]:
    pa, parquet = _lerobot.pyarrow()
    try:
        return [str(name) for name in parquet.read_schema(at).names]
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{at} cannot be read: {error}. It was never closed, or is damaged") from error


def write(path: Path, info: DatasetInfo) -> DatasetWriter:
    """Begins a dataset, or goes on with one that was interrupted.

    Raises:
      BadData: If such a dataset cannot be laid out, something else lies there, or another process writes it.
    """
    _lerobot.check_info(info, FLAVOUR)
    return FolderWriter(path, info, store=FORMAT.store, build=build)


FORMAT = Format(
    suffix="",
    write=write,
    open=functools.partial(_lerobot_reader.Reader, index=index),
    read=functools.partial(_lerobot_reader.read, index=index),
    store=functools.partial(_lerobot.store, FLAVOUR),
    holds=_lerobot.HOLDS,
    images="h264",
    recognises=lambda path: lerobot_layout(path)[0] == VERSION,
    known_by=LEROBOT_INFO,
    view=lambda path: View(path, index),
)
