"""The run folder: one owner, appended to, readable at any moment."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import EpisodeResult, RunHeader, Trace
from vlagym.results.schema import header_from_json, header_to_json, result_from_line, result_to_line, trace_from_bytes, trace_to_bytes

HEADER = "header.json"
LEDGER = "episodes.jsonl"
PACKED_LEDGER = f"{LEDGER}.gz"
"""The ledger of a run that is published: whole, and only read."""
TRACES = "traces"
VIDEOS = "videos"
TRANSCRIPTS = "transcripts"
"""What policies said while they acted: a file for each episode of one that did, a line of JSON for each thing said."""

_NEW = ".new"
"""Ends the name of a trace that waits to replace an older one."""


class Store:
    """Owns a run folder.

    A store from `open` only reads, and sees what was complete at that moment. A store from `create` or `resume` also appends; it holds a lock, so
    that two runs cannot write one folder. The lock goes with the process, however that ends.

    A kill at any moment loses at most the episode that was being appended: its trace is whole on disk under its final name before its line is
    written, and a line that is not ended by a newline does not count. Where an episode is stored again, its new trace waits beside the old one
    under a name that holds the digest of the new line, and takes its place after that line is written: line and trace always belong together.
    """

    def __init__(
        self, path: Path, header: RunHeader, ledger: list[EpisodeResult], writer: int | None, waiting: dict[str, Path] | None = None
    ) -> None:
        """Use `create`, `open` or `resume`."""
        self.path = path
        self._waiting = waiting or {}
        """Digest -> where its trace lies while the old one has not been replaced."""
        self._header = header
        self._ledger = ledger
        self._last = {result.digest: result for result in ledger}
        self._writer = writer

    # ------------------------------------------------------------------------------------------------------------------ three doors
    @classmethod
    def create(cls, path: Path | str, header: RunHeader) -> Store:
        """Makes a run folder and returns its store, ready to append.

        Raises:
          BadData: If something lies at the path already and is neither an empty folder nor what a run leaves that was killed while it made one.
        """
        folder = Path(path)
        if folder.exists() and not _holds_nothing(folder):
            raise BadData(f"{folder} exists already. Choose another folder with --out, or go on with its run with --resume {folder}")
        (folder / TRACES).mkdir(parents=True, exist_ok=True)
        # The ledger before the header: a folder that has a header is complete.
        writer = _open_ledger(folder, os.O_CREAT)
        write_whole(folder / HEADER, header_to_json(header).encode())
        _sync_folder(folder.parent)
        return cls(folder, header, [], writer)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Returns the store of an existing run. Nothing in the folder is changed, now or later.

        Raises:
          BadData: If there is no run at the path, or its files do not hold what their schema asks for.
        """
        folder = Path(path)
        header = _read_header(folder)
        complete, _ = _split_ledger(folder)
        return cls(folder, header, _parse_ledger(folder, complete), None, _waiting(folder, complete))

    @classmethod
    def resume(cls, path: Path | str) -> Store:
        """Returns the store of an existing run, ready to append. A line and trace files that a kill left unfinished are removed.

        Raises:
          BadData: As `open`, and if another process is writing the folder.
        """
        folder = Path(path)
        header = _read_header(folder)
        _split_ledger(folder)
        writer = _open_ledger(folder)
        try:
            complete, torn = _split_ledger(folder)
            ledger = _parse_ledger(folder, complete)
            if torn:
                os.ftruncate(writer, len(complete))
                os.fsync(writer)
            (folder / TRACES).mkdir(exist_ok=True)
            for digest, path_waiting in _waiting(folder, complete).items():
                _settle(path_waiting, folder / TRACES / f"{digest}.npz")
            for stray in sorted([*folder.glob("*.tmp"), *(folder / TRACES).glob("*.tmp"), *(folder / TRACES).glob(f"*{_NEW}")]):
                stray.unlink()
        except BaseException:
            os.close(writer)
            raise
        return cls(folder, header, ledger, writer)

    def close(self) -> None:
        """Gives the lock back. Harmless when it was given back before."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------------------------- reading
    @property
    def header(self) -> RunHeader:
        """What the run was."""
        return self._header

    def results(self) -> list[EpisodeResult]:
        """Returns one result an episode, in the order in which they were first stored. Of several attempts the last one counts."""
        return list(self._last.values())

    def ledger(self) -> list[EpisodeResult]:
        """Returns every line, superseded attempts among them."""
        return list(self._ledger)

    def digests(self) -> list[str]:
        """Returns the digests of the episodes that are stored."""
        return list(self._last)

    def result(self, prefix: str) -> EpisodeResult:
        """Returns the result of one episode.

        Raises:
          UnknownName: As `find`.
        """
        return self._last[self.find(prefix)]

    def find(self, prefix: str) -> str:
        """Returns the full digest of the episode that begins with `prefix`.

        Raises:
          UnknownName: If none does, or more than one.
        """
        if prefix in self._last:
            return prefix
        found = sorted(d for d in self._last if d.startswith(prefix.lower()))
        if len(found) == 1:
            return found[0]
        some = ", ".join(d[:12] for d in (found or sorted(self._last))[:6])
        if found:
            raise UnknownName(f"{len(found)} episodes of {self.path} begin with {prefix!r}: {some}{_more(len(found), 6)}. Give more digits")
        raise UnknownName(
            f"no episode of {self.path} begins with {prefix!r}. There are {len(self._last)}: {some or 'none'}{_more(len(self._last), 6)}"
        )

    def trace_path(self, digest: str) -> Path:
        """Returns where the trace of an episode lies, or would lie."""
        return self._waiting.get(digest, self.path / TRACES / f"{digest}.npz")

    def has_trace(self, digest: str) -> bool:
        """Returns whether the trace of an episode is stored."""
        path = self.trace_path(digest)
        return path.is_file() and path.stat().st_size > 0

    def trace(self, prefix: str) -> Trace:
        """Returns the trace of an episode.

        Raises:
          UnknownName: As `find`.
          BadData: If the episode has no trace, or its file is damaged or belongs to another episode.
        """
        digest = self.find(prefix)
        path = self.trace_path(digest)
        if not self.has_trace(digest):
            error = self._last[digest].error
            why = f"it ended in an error before there was one ({error.type}: {error.message})" if error else f"{path} is missing"
            raise BadData(f"episode {digest} has no trace: {why}")
        trace = trace_from_bytes(path.read_bytes(), str(path))
        found = trace.spec.digest()
        if found != digest:
            raise BadData(f"{path} holds the episode {found}: the file was renamed or its spec was changed")
        return trace

    # ---------------------------------------------------------------------------------------------------------------------- writing
    def append(self, result: EpisodeResult, trace: Trace | None, said: Sequence[Mapping[str, Any]] = ()) -> None:
        """Stores an episode; when this returns, it is on disk.

        Args:
          result: Its line. A second one of the same digest is a retry and takes the place of the first.
          trace: None for an episode that failed before there was anything to keep.
          said: What the policy said in it; takes the place of what it said in the attempt before.

        Raises:
          BadData: If the store only reads, or result and trace do not belong together or hold what cannot be stored.
        """
        if self._writer is None:
            raise BadData(f"{self.path} was opened for reading; use Store.resume to append to it")
        line = result_to_line(result).encode()
        if trace is not None:
            found = trace.spec.digest()
            if found != result.digest:
                raise BadData(f"the result is of episode {result.digest} and its trace of episode {found}")
        path = self.trace_path(result.digest)
        new = path
        if result.digest in self._last and (trace is not None or path.is_file()):
            new = path.with_name(_new_name(result.digest, line))
        if trace is not None:
            write_whole(new, trace_to_bytes(trace))
        elif new is not path:
            write_whole(new, b"")
        else:
            path.unlink(missing_ok=True)  # a leftover: the line of its episode was never written
        self._write_transcript(result.digest, said)
        _write_all(self._writer, line + b"\n")
        os.fsync(self._writer)
        if new is not path:
            _settle(new, path)
        self._ledger.append(result)
        self._last[result.digest] = result

    def transcript_path(self, digest: str) -> Path:
        """Returns where lies what the policy said in an episode, if it said something."""
        return self.path / TRANSCRIPTS / f"{digest}.jsonl"

    def _write_transcript(self, digest: str, said: Sequence[Mapping[str, Any]]) -> None:
        path = self.transcript_path(digest)
        if not said:
            path.unlink(missing_ok=True)
            return
        try:
            lines = "".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n" for entry in said)
        except (TypeError, ValueError) as error:
            raise BadData(f"what the policy said in episode {digest} cannot be written as JSON: {error}") from error
        path.parent.mkdir(exist_ok=True)
        write_whole(path, lines.encode("utf-8", "replace"))

    def amend(self, results: Sequence[EpisodeResult]) -> None:
        """Stores episodes measured anew: their lines take the place of the former ones, their traces stay. When this returns, it is on disk.

        Args:
          results: One for each episode that changes; each of the same play as the one before.

        Raises:
          BadData: If the store only reads, or a result is not of a stored play, or holds what cannot be stored. Then nothing was written.
        """
        if self._writer is None:
            raise BadData(f"{self.path} was opened for reading; use Store.resume to append to it")
        for result in results:
            before = self._last.get(result.digest)
            if before is None or (before.attempt, before.certificate) != (result.attempt, result.certificate):
                raise BadData(f"episode {result.digest} of {self.path} cannot be amended: what is stored is another play; append it with its trace")
        _write_all(self._writer, "".join(result_to_line(result) + "\n" for result in results).encode())
        os.fsync(self._writer)
        self._ledger += results
        self._last.update((result.digest, result) for result in results)

    def finish(self, finished: str | None = None) -> None:
        """Writes into the header when the run ended (UTC, ISO 8601; default: now) and gives the lock back."""
        moment = finished or datetime.now(UTC).isoformat(timespec="seconds")
        self.update_header(dataclasses.replace(self._header, finished=moment))
        self.close()

    def update_header(self, header: RunHeader) -> None:
        """Replaces the header, e.g. with one that names the renderer, which is known only after the first frame.

        Raises:
          BadData: If the store only reads.
        """
        if self._writer is None:
            raise BadData(f"{self.path} was opened for reading; use Store.resume to change its header")
        write_whole(self.path / HEADER, header_to_json(header).encode())
        self._header = header


# ---------------------------------------------------------------------------------------------------------------------------- files
def header_path(folder: Path) -> Path:
    """Returns where the header of a run lies.

    Raises:
      BadData: If there is none; with the runs that lie below the folder.
    """
    path = folder / HEADER
    if not path.is_file():
        runs = sorted(p.parent.name for p in folder.glob(f"*/{HEADER}")) if folder.is_dir() else []
        more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
        below = f" There are runs below it: {', '.join(runs[-5:])}{more}" if runs else ""
        is_empty = folder.is_dir() and not any(folder.iterdir())
        what = "is not there" if not folder.exists() else "is a file" if folder.is_file() else "is empty" if is_empty else f"has no {HEADER}"
        raise BadData(f"{folder} is not a run folder: it {what}.{below}")
    return path


def _read_header(folder: Path) -> RunHeader:
    path = header_path(folder)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is damaged: {error}") from error
    return header_from_json(text, str(path))


def _holds_nothing(folder: Path) -> bool:
    """Returns whether a folder is empty, or holds only what `Store.create` makes before there is a header."""
    if not folder.is_dir():
        return False
    ledger, traces = folder / LEDGER, folder / TRACES
    if {p.name for p in folder.iterdir()} - {LEDGER, TRACES, f"{HEADER}.tmp"}:
        return False
    return not (ledger.exists() and ledger.stat().st_size) and not (traces.exists() and any(traces.iterdir()))


def _new_name(digest: str, line: bytes) -> str:
    """Returns the name of a trace that waits for its line (without its newline) to be in the ledger."""
    return f"{digest}.{hashlib.sha256(line).hexdigest()[:16]}{_NEW}"


def waiting_traces(folder: Path) -> dict[str, Path]:
    """Returns where the traces lie that have not yet taken the place of older ones: digest -> file. Hardly ever there are any.

    Raises:
      BadData: If there are some, and the ledger that says whose they are is damaged.
    """
    return _waiting(folder, _split_ledger(folder)[0]) if any((folder / TRACES).glob(f"*{_NEW}")) else {}


def _waiting(folder: Path, complete: bytes) -> dict[str, Path]:
    """Returns the traces that wait to replace an older one and whose line is in the ledger and is the last of its episode."""
    waiting = {p.name: p for p in (folder / TRACES).glob(f"*{_NEW}")}
    if not waiting:
        return {}
    last: dict[str, str] = {}
    for line, result in zip(complete.split(b"\n"), _parse_ledger(folder, complete), strict=False):
        last[result.digest] = _new_name(result.digest, line)
    return {digest: waiting[name] for digest, name in last.items() if name in waiting}


def _settle(new: Path, path: Path) -> None:
    """Puts a trace in the place of the older one. An empty one says that the episode has none any more."""
    if new.stat().st_size:
        os.replace(new, path)
    else:
        path.unlink(missing_ok=True)
        new.unlink()
    _sync_folder(path.parent)


def _split_ledger(folder: Path) -> tuple[bytes, bytes]:
    """Returns the complete lines of the ledger and what follows the last newline: a line that was cut off by a kill."""
    path = ledger_path(folder)
    if not path.is_file():
        raise BadData(f"{folder} has a {HEADER} and no {LEDGER}: the ledger was removed")
    data, complaint = ledger_bytes(path)
    if complaint is not None:
        raise BadData(f"{path} is damaged: {complaint}. Restore the file; `vlagym table` shows what can be read of it")
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def ledger_path(folder: Path) -> Path:
    """Returns where the ledger of a run lies: the packed one where there is no other. Whether it is there is not looked at."""
    path, packed = folder / LEDGER, folder / PACKED_LEDGER
    return packed if packed.is_file() and not path.is_file() else path


class LedgerBytes(NamedTuple):
    """What could be read of a ledger."""

    data: bytes
    complaint: str | None
    """Why the rest could not be unpacked; None for a whole one."""


def ledger_bytes(path: Path) -> LedgerBytes:
    """Returns the lines of a ledger, unpacked where it is packed; as far as it is whole."""
    import zlib

    data = path.read_bytes()
    if path.name != PACKED_LEDGER:
        return LedgerBytes(data, None)
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    lines = b""
    try:
        for start in range(0, len(data), _PORTION):
            lines += unpacker.decompress(data[start : start + _PORTION])
    except zlib.error as error:
        return LedgerBytes(lines, str(error))
    return LedgerBytes(lines, None if unpacker.eof else "it ends too early")


_PORTION = 1 << 16


def _parse_ledger(folder: Path, complete: bytes) -> list[EpisodeResult]:
    # Not splitlines(): a sentence may hold a character that it takes for the end of a line and JSON does not.
    lines = complete.split(b"\n")[:-1]
    try:
        return [result_from_line(line.decode("utf-8", errors="replace"), f"{folder / LEDGER} line {i}") for i, line in enumerate(lines, start=1)]
    except BadData as error:
        raise BadData(f"{error}. Restore the line or take it out; `vlagym table {folder}` reads the others as they are") from error


def _open_ledger(folder: Path, flags: int = 0) -> int:
    """Returns the locked ledger, open for appending. The lock is the system's: it ends with the process, however that ends."""
    import fcntl

    if not flags & os.O_CREAT and not (folder / LEDGER).is_file() and (folder / PACKED_LEDGER).is_file():
        raise BadData(f"{folder} is a published run, whose ledger is packed: it is only read. To go on with it, unpack {PACKED_LEDGER} in a copy")
    descriptor = os.open(folder / LEDGER, os.O_RDWR | os.O_APPEND | flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise BadData(f"{folder} is being written by another run. Wait for it to end, or choose another folder with --out") from error
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that it is either the old one or the new one, whole, whenever the power goes."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _more(count: int, shown: int) -> str:
    return f" and {count - shown} more" if count > shown else ""
