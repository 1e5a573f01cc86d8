"""Reading a damaged run folder: what can be read is read, what cannot is told in sentences, and nothing in the folder is changed."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData
from vlagym.envs.types import Certificate, EpisodeResult, ErrorRecord, RunHeader, from_plain
from vlagym.results.pooling import Run
from vlagym.results.promised import promised
from vlagym.results.published import read_verified
from vlagym.results.schema import RUN_SCHEMA, header_from_json, result_from_line
from vlagym.results.store import HEADER, LEDGER, header_path, ledger_bytes, ledger_path

_SHOWN = 4
"""Lines, or keys, that one sentence names."""
_DIGEST = re.compile(r'"digest": ?"([0-9a-f]{32})"')
"""Of the episode that a line is of: its first key, as `result_to_line` writes it."""
_NOBODY = "Without it nobody knows whose episodes these are: restore the file"
_NEWER = "they were written by a newer vlagym: pip install --upgrade vlagym"


class Salvaged(NamedTuple):
    """What could be read of a run folder."""

    run: Run | None
    """None where not even its header says whose run it is. Of several lines of an episode the last readable one counts."""
    complaints: tuple[str, ...]
    """What is wrong with it, a sentence each; empty for a folder that `Store.open` reads and that contradicts itself nowhere."""


def read_run(path: Path | str) -> Salvaged:
    """Reads a run folder as far as it can be read. It never raises for what is in the folder.

    - A line that cannot be read, the last one that was cut off among them, is left out and told with its number and why.
    - A measure that is NaN or infinite becomes None, as if it did not apply, and is told.
    - Keys that this version does not know, in the header or in lines, are left out and told: a newer version wrote them.
    - A line of a task, robot or variation that the suite of the header does not hold belongs to another run; it is left out and told.
    - An episode of which a later line cannot be read, or is left out, is left out with it: what an older line says of it was superseded.
    - Two lines of one episode and attempt that tell of different plays or outcomes are told; the last one counts, as of a retry.
    - A line whose outcome is not what its measure of success says is told; the outcome counts.
    - A published run whose header or ledger is not the one that was verified is told, and counts as not verified.
    """
    folder = Path(path)
    complaints: list[str] = []
    try:
        header = _header(folder, complaints)
    except BadData as error:
        return Salvaged(None, (*complaints, str(error)))
    ledger = ledger_path(folder)
    if not ledger.is_file():
        complaints.append(f"{folder} has a {HEADER} and no {LEDGER}: the ledger was removed, and with it every episode")
        return Salvaged(Run(name=folder.resolve().name, header=header, results=()), tuple(complaints))
    found = _lines(ledger, complaints)
    lines = _of_the_suite(ledger, header, found.lines, complaints)
    lines = _not_superseded(ledger, found, lines, complaints)
    results = list({line.result.digest: line.result for line in lines}.values())
    complaints += _told_twice(ledger, lines)
    promised = header.suite.get("episodes")
    if isinstance(promised, int) and len(results) > promised:
        advice = "lines of another run are among them, which `vlagym verify` finds"
        complaints.append(f"{ledger} holds {len(results)} episodes where the header promises {promised}: {advice}")
    if not lines:
        complaints.append(f"{ledger} holds no episode that can be read")
    verified = _verified(folder, found.data, complaints)
    return Salvaged(Run(name=folder.resolve().name, header=header, results=results, verified=verified), tuple(complaints))


class _Line(NamedTuple):
    number: int
    """From 1."""
    result: EpisodeResult


class _Ledger(NamedTuple):
    data: bytes
    """Unpacked."""
    lines: list[_Line]
    """Those that can be read."""
    lost: Mapping[str, int]
    """Digest -> number of the last line that cannot be read and bears it."""
    nameless: tuple[int, ...]
    """Numbers of the lines that cannot be read and bear no digest."""


# ------------------------------------------------------------------------------------------------------------------------ header
def _header(folder: Path, complaints: list[str]) -> RunHeader:
    """Returns the header, without what this version does not know.

    Raises:
      BadData: If there is none, or it lacks what a run cannot be named without.
    """
    path = header_path(folder)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} cannot be read: {error}. {_NOBODY}") from error
    try:
        header = header_from_json(text, str(path))
    except BadData as strict:
        header = _lenient_header(text, path, strict, complaints)
    for part, of in (("policy", header.policy), ("suite", header.suite)):
        if not isinstance(of.get("name"), str):
            raise BadData(f"{path} names no {part}: without it the run has no place in a table")
    return header


def _lenient_header(text: str, path: Path, strict: BadData, complaints: list[str]) -> RunHeader:
    not_finite: list[str] = []

    def number(word: str) -> float | None:
        value = float(word)
        if math.isfinite(value):
            return value
        not_finite.append(word)
        return None

    try:
        data = json.loads(text, parse_constant=number, parse_float=number)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise BadData(f"{strict}. {_NOBODY}") from strict
    if not_finite:
        complaints.append(f"{path} holds what is no number ({_some(not_finite)}): it is taken for missing")
    schema = data.get("schema")
    if schema != RUN_SCHEMA:
        complaints.append(f"{path} has schema {schema!r}, and this version of vlagym reads {RUN_SCHEMA}: it is read as far as it is understood")
    unknown = _drop_unknown(RunHeader, data)
    if unknown:
        complaints.append(f"{path} holds keys that this version does not know ({_some(unknown)}): {_NEWER}")
    return from_plain(RunHeader, data, str(path))


# ------------------------------------------------------------------------------------------------------------------------- lines
def _lines(ledger: Path, complaints: list[str]) -> _Ledger:
    """Returns the lines that can be read, and which episodes the others are of."""
    data, damage = ledger_bytes(ledger)
    if damage is not None:
        complaints.append(f"{ledger} is damaged ({damage}): what comes before that is read")
    *complete, torn = data.split(b"\n")
    lines: list[_Line] = []
    unreadable: list[str] = []
    unknown: Counter[str] = Counter()
    not_finite: list[str] = []
    lost: dict[str, int] = {}
    nameless: list[int] = []

    def lose(number: int, text: str) -> None:
        digest = _DIGEST.search(text)
        if digest is None:
            nameless.append(number)
        else:
            lost[digest[1]] = number

    for number, raw in enumerate(complete, start=1):
        text, where = raw.decode("utf-8", errors="replace"), f"line {number}"
        try:
            try:
                result = result_from_line(text, where)
            except BadData as strict:
                result = _lenient_line(text, where, strict, unknown)
            bad = sorted(name for name, value in result.measures.items() if value is not None and not math.isfinite(value))
            if bad:
                not_finite.append(f"{where} ({_some(bad)})")
                result = dataclasses.replace(result, measures={k: None if k in bad else v for k, v in result.measures.items()})
            if not (math.isfinite(result.time_s) and math.isfinite(result.wall_s)):
                raise BadData(f"{where} lasted {result.time_s} s, in {result.wall_s} s of wall time")
        except BadData as error:
            unreadable.append(str(error))
            lose(number, text)
            continue
        lines.append(_Line(number, result))
    if unreadable:
        complaints.append(f"{ledger}: {_lines_are(unreadable)} left out, for they cannot be read: {_some(unreadable, '; ')}")
    if unknown:
        complaints.append(f"{ledger} holds keys that this version does not know ({_some(sorted(unknown))}; {max(unknown.values())} lines): {_NEWER}")
    if not_finite:
        complaints.append(f"{ledger}: measures that are no number (NaN or infinite) are taken for missing: {_some(not_finite, '; ')}")
    if torn:
        complaints.append(f"{ledger}: line {len(complete) + 1} was cut off after {len(torn)} bytes; its episode is left out")
        lose(len(complete) + 1, torn.decode("utf-8", errors="replace"))
    return _Ledger(data, lines, lost, tuple(nameless))


def _lenient_line(text: str, where: str, strict: BadData, unknown: Counter[str]) -> EpisodeResult:
    """Returns the result of a line that is not as it should be; counts the keys that nobody knows.

    Raises:
      BadData: If too little is left of it.
    """
    try:
        data = json.loads(text)  # Python's reader takes NaN, which a measure that is missing is made of
    except ValueError:
        raise strict from None
    if not isinstance(data, dict):
        raise strict
    found = _drop_unknown(EpisodeResult, data)
    for name, kind in (("error", ErrorRecord), ("certificate", Certificate)):
        if isinstance(data.get(name), dict):
            found += [f"{name}.{key}" for key in _drop_unknown(kind, data[name])]
    result = from_plain(EpisodeResult, data, where)
    unknown.update(found)
    return result


def _of_the_suite(ledger: Path, header: RunHeader, lines: list[_Line], complaints: list[str]) -> list[_Line]:
    """Returns the lines of episodes that some entry of the header's suite may hold, with seeds of the run; all where the header does not say."""
    entries, seeds = promised(header), header.seeds
    first, last = (seeds.get(end) if isinstance(seeds.get(end), int) else None for end in ("first", "last"))

    def is_seed(result: EpisodeResult) -> bool:
        return (first is None or first <= result.seed) and (last is None or result.seed <= last)

    def is_held(result: EpisodeResult) -> bool:
        return not entries or any(entry.holds(result) for entry in entries)

    foreign = [line for line in lines if not (is_seed(line.result) and is_held(line.result))]
    if foreign:
        gone = {line.number for line in foreign}
        numbers = _some([str(line.number) for line in foreign])
        names = _some(sorted({f"seed {r.seed}" if is_held(r) else _kind(r) for _, r in foreign}))
        of = f"{_lines_are(foreign)} of episodes that its suite {header.suite.get('name')!r} does not hold ({names}) and left out: line {numbers}"
        complaints.append(f"{ledger} mixes suites: {of}")
        lines = [line for line in lines if line.number not in gone]
    return lines


def _kind(result: EpisodeResult) -> str:
    return " ".join([result.task, "on", result.robot, *(f"{axis}={level}" for axis, level in sorted(result.axes.items()))])


def _not_superseded(ledger: Path, found: _Ledger, lines: list[_Line], complaints: list[str]) -> list[_Line]:
    """Returns the lines that no later line of their episode supersedes, among those that cannot be read or are left out."""
    kept = {line.number for line in lines}
    lost = {line.result.digest: line.number for line in found.lines if line.number not in kept}
    for digest, number in found.lost.items():
        lost[digest] = max(number, lost.get(digest, 0))
    last = {line.result.digest: line.number for line in lines}
    gone = {digest for digest, number in last.items() if number < lost.get(digest, 0)}
    if gone:
        which = _some([f"{digest[:12]} (line {lost[digest]})" for digest in sorted(gone, key=lost.__getitem__)])
        episodes = f"{len(gone)} episodes are" if len(gone) != 1 else "1 episode is"
        complaints.append(f"{ledger}: {episodes} left out although an older line of each can be read, for a later one superseded it: {which}")
    if found.nameless and lines and lines[0].number < max(found.nameless):
        first = max(found.nameless)
        told = _some([str(number) for number in found.nameless])
        of_whom = f"nobody knows of which episode line {told} was"
        complaints.append(f"{ledger}: {of_whom}: one that was played again may be counted by what stands before line {first}")
    return [line for line in lines if line.result.digest not in gone]


def _verified(folder: Path, ledger: bytes, complaints: list[str]) -> str:
    try:
        verified = read_verified(folder, ledger)
    except BadData as error:
        complaints.append(str(error))
        return ""
    return "" if verified is None else verified.told


def _told_twice(ledger: Path, lines: Sequence[_Line]) -> Iterator[str]:
    """Yields a complaint where an attempt is told of twice, and not alike, and where a line contradicts itself.

    Measured anew, an attempt is the same play, and alike; one that no metric could measure before has an outcome only then.
    """
    seen: dict[tuple[str, int], _Line] = {}
    for line in lines:
        before = seen.setdefault((line.result.digest, line.result.attempt), line)
        a, b = before.result, line.result
        if (a.certificate, a.steps, a.ended_by) != (b.certificate, b.steps, b.ended_by) or a.outcome not in (b.outcome, "error"):
            which = f"episode {b.digest[:12]} ({b.task} seed {b.seed})"
            yield f"{ledger}: lines {before.number} and {line.number} both tell of attempt {b.attempt} of {which}, and not alike; the last one counts"
    contradictory = [line for line in lines if _says_success(line.result) not in (None, line.result.outcome == "success")]
    if contradictory:
        numbers = _some([str(line.number) for line in contradictory])
        of = f"{_lines_are(contradictory)} at odds with its measure `success`: line {numbers}"
        yield f"{ledger}: the outcome of {of}; the outcome counts, and `vlagym verify` finds which is true"


def _says_success(result: EpisodeResult) -> bool | None:
    """Returns what the measures of an episode say of its success; None where they say nothing."""
    value = result.measures.get("success")
    return None if value is None or result.outcome == "error" else value > 0.5


# ------------------------------------------------------------------------------------------------------------------------- parts
def _drop_unknown(kind: type[RunHeader | EpisodeResult | ErrorRecord | Certificate], data: dict[str, Any]) -> list[str]:
    unknown = sorted(set(data) - {f.name for f in dataclasses.fields(kind)})
    for key in unknown:
        del data[key]
    return unknown


def _lines_are(lines: Sequence[Any]) -> str:
    return f"{len(lines)} lines are" if len(lines) != 1 else "1 line is"


def _some(words: Sequence[str], comma: str = ", ") -> str:
    more = f"{comma}and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return comma.join(words[:_SHOWN]) + more
