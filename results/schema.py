"""The bytes of a run folder: header.json, the lines of episodes.jsonl, and the traces."""

from __future__ import annotations

import functools
import io
import json
import math
import re
import zipfile
import zlib
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import CONTACT_KINDS, STATE_COLUMNS, TRACE_SCHEMA, EndedBy, EpisodeResult, EpisodeSpec, RunHeader, Trace, from_plain, to_plain

RUN_SCHEMA = 1
"""Version of header.json and of the lines of episodes.jsonl. It stands in the header."""

_MAY_BE_UNKNOWN = ("facts/torque_share", "facts/joint_margin_rad")
"""All NaN where nobody measured them when the run was made; see `_upgrade_2`."""

_FACTS = "facts/"
"""Prefix of the state columns inside a trace file, so that they cannot collide with its other members."""


# ------------------------------------------------------------------------------------------------------------------ header and lines
def header_to_json(header: RunHeader) -> str:
    """Returns header.json: indented, one final newline.

    Raises:
      BadData: If it holds a value that JSON has no word for, NaN and infinity among them.
    """
    try:
        return json.dumps(to_plain(header), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BadData(f"the run header cannot be written as JSON: {error}") from error


def header_from_json(text: str, where: str = "header.json") -> RunHeader:
    """Reads what `header_to_json` wrote.

    Args:
      text: The file.
      where: Its path, for the error.

    Raises:
      BadData: If it is no JSON, of another schema, or has missing, unknown or wrongly typed fields.
    """
    data = _json(text, where)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != RUN_SCHEMA:
        raise BadData(_other_schema(where, schema, RUN_SCHEMA))
    return from_plain(RunHeader, data, where)


def result_to_line(result: EpisodeResult) -> str:
    """Returns the line of an episode, without its newline.

    Raises:
      BadData: If a measure is not finite (a measure that does not apply is None), or anything else is no JSON.
    """
    for name, value in result.measures.items():
        if value is not None and not math.isfinite(value):
            raise BadData(f"the measure {name!r} of episode {result.digest} is {value}; it must be finite, or None where it does not apply")
    try:
        return json.dumps(to_plain(result), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadData(f"the result of episode {result.digest} cannot be written as JSON: {error}") from error


def result_from_line(line: str, where: str = "a line of episodes.jsonl") -> EpisodeResult:
    """Reads what `result_to_line` wrote.

    Raises:
      BadData: If it is no JSON, or has missing, unknown or wrongly typed fields.
    """
    return from_plain(EpisodeResult, _json(line, where), where)


# --------------------------------------------------------------------------------------------------------------------------- traces
def trace_to_bytes(trace: Trace) -> bytes:
    """Returns the file of a trace: an npz that numpy reads without pickle. Equal traces give equal bytes.

    Members: schema, spec_json, ended_by, actions, contact_force_n, latency_s, call_step, safety, and facts/<column> for each of STATE_COLUMNS.

    Raises:
      BadData: If columns are missing or their lengths contradict each other.
    """
    _check_trace(trace, "the trace")
    members: dict[str, NDArray[Any]] = {
        "schema": np.array(TRACE_SCHEMA, np.int64),
        "spec_json": np.array(trace.spec.to_json().encode()),
        "ended_by": np.array(trace.ended_by.encode()),
        "actions": trace.actions,
        "contact_force_n": trace.contact_force_n,
        "latency_s": trace.latency_s,
        "call_step": trace.call_step,
        "safety": trace.safety,
        **{_FACTS + name: trace.columns[name] for name in STATE_COLUMNS},
    }
    buffer = io.BytesIO()
    # Not np.savez_compressed: its zlib level 6 takes three times as long as level 1 for 5 % fewer bytes, and it writes the time of day.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in members.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asarray(array, order="C"), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, part.getvalue())
    return buffer.getvalue()


def trace_from_bytes(data: bytes, where: str = "a trace") -> Trace:
    """Reads what `trace_to_bytes` wrote.

    Args:
      data: The file.
      where: Its path, for the error.

    Raises:
      BadData: If the file is damaged (every member carries a checksum), of another schema, or contradicts itself.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.endswith(_NPY)]
            schema = _array(archive.read(f"schema{_NPY}")).item() if f"schema{_NPY}" in names else None
            if schema not in (2, TRACE_SCHEMA):
                raise BadData(_other_schema(where, schema, TRACE_SCHEMA))
            members = {name.removesuffix(_NPY): _array(archive.read(name)) for name in names}
        if schema == 2:
            _upgrade_2(members)
    except BadData:
        raise
    # numpy, zipfile and zlib answer damage with errors of many kinds, depending on which byte was hit.
    except _DAMAGE as error:
        raise BadData(f"{where} is damaged: {error}. Run its episode again, or restore the file") from error
    wanted = ["spec_json", "ended_by", "actions", "contact_force_n", "latency_s", "call_step", "safety", *(_FACTS + c for c in STATE_COLUMNS)]
    for name in wanted:
        if name not in members:
            raise BadData(f"{where} lacks the member {name!r}. It has: {', '.join(sorted(members))}")
    ended_by = members["ended_by"].item().decode()
    if ended_by not in get_args(EndedBy):
        raise BadData(f"{where} ended by {ended_by!r}; it must be one of {', '.join(get_args(EndedBy))}")
    trace = Trace(
        spec=EpisodeSpec.from_json(members["spec_json"].item().decode()),
        actions=members["actions"],
        columns={c: members[_FACTS + c] for c in STATE_COLUMNS},
        contact_force_n=members["contact_force_n"],
        ended_by=cast(EndedBy, ended_by),
        latency_s=members["latency_s"],
        call_step=members["call_step"],
        safety=members["safety"],
    )
    _check_trace(trace, where)
    for name, array in members.items():
        if array.dtype.kind == "f" and np.isnan(array).any() and not (name in _MAY_BE_UNKNOWN and np.isnan(array).all()):
            at = ", ".join(map(str, np.argwhere(np.isnan(array))[0]))
            raise BadData(f"{where} is damaged: {name.removeprefix(_FACTS)} holds NaN at [{at}]. Run its episode again, or restore the file")
    return trace


_NPY = ".npy"
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, ValueError, KeyError, OSError, EOFError, RuntimeError)


def _array(data: bytes) -> NDArray[Any]:
    """Returns the array of an npy file. As `numpy.load` without pickle does it, but headers are parsed once: a run has few different ones.

    Raises:
      ValueError: If it is no such file.
    """
    head = _HEAD.match(data)
    if head is None or len(data) < (begin := head.end() + int.from_bytes(head[1], "little")):
        raise ValueError("a member is no npy file of version 1")
    dtype, shape = _layout(data[:begin])
    # A copy: what numpy makes of bytes cannot be written to.
    return np.frombuffer(data, dtype, math.prod(shape), begin).reshape(shape).copy()


_HEAD = re.compile(rb"\x93NUMPY\x01\x00(..)", re.DOTALL)
"""Magic string, version and length of the header of an npy file. Version 1 is what numpy writes for all but tables with very many columns."""


@functools.lru_cache(maxsize=4096)
def _layout(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Returns dtype and shape of an array, given all that stands before its values.

    Raises:
      ValueError: If it is no header, or of an array that `trace_to_bytes` does not write: of objects, or with its columns first.
    """
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or (is_fortran and len(shape) > 1):
        raise ValueError(f"a member holds {dtype} {'with its columns first' if is_fortran else ''}, which no trace does")
    return dtype, shape


def _upgrade_2(members: dict[str, NDArray[Any]]) -> None:
    """Adds what schema 3 has beyond schema 2, which knew robots that stand on the table alone; NaN where nobody measured it then."""
    if "actions" not in members:
        return  # it is damaged, as the reader will say
    rows = len(members["actions"]) + 1
    unknown = {"torque_share": np.full(rows, np.nan), "joint_margin_rad": np.full(rows, np.nan)}
    known = {"base_pose_world": np.zeros((rows, 3)), "com_margin_m": np.zeros((rows, 0)), "foot_slip_m": np.zeros((rows, 0))}
    columns: dict[str, NDArray[Any]] = {**known, "is_fallen": np.zeros(rows, np.bool_), **unknown}
    members.update({_FACTS + name: column for name, column in columns.items()})
    members["safety"] = np.full(rows - 1, -1, np.int8)  # there was no filter


def _check_trace(trace: Trace, where: str) -> None:
    """Raises BadData unless the arrays of a trace agree with each other and with its spec."""
    steps, size = trace.num_steps, trace.spec.control.size
    if trace.actions.shape != (steps, size):
        raise BadData(f"{where} has actions of shape {trace.actions.shape}; {trace.spec.control.name} wants (T, {size})")
    missing = [c for c in STATE_COLUMNS if c not in trace.columns]
    unknown = sorted(set(trace.columns) - set(STATE_COLUMNS))
    if missing or unknown:
        problem = f"lacks the column {missing[0]!r}" if missing else f"has an unknown column {unknown[0]!r}"
        raise BadData(f"{where} {problem}. The columns are: {', '.join(STATE_COLUMNS)}")
    for name in STATE_COLUMNS:
        rows = trace.columns[name].shape[:1]
        if rows != (steps + 1,):
            raise BadData(f"{where}: the column {name!r} has shape {trace.columns[name].shape}; {steps} actions want {steps + 1} rows")
    force = trace.contact_force_n
    if force.ndim != 3 or force.shape[0] != steps or force.shape[2] != len(CONTACT_KINDS):
        raise BadData(f"{where} has contact_force_n of shape {force.shape}; it must be ({steps}, N, {len(CONTACT_KINDS)})")
    if trace.safety.shape != (steps,):
        raise BadData(f"{where} has safety of shape {trace.safety.shape}; it must be ({steps},), one for each action")
    if steps and not -1 <= trace.safety.min() <= trace.safety.max() <= 2:
        raise BadData(f"{where} has safety from {trace.safety.min()} to {trace.safety.max()}; it must lie within -1 (no filter) and 2 (stopped)")
    if trace.latency_s.ndim != 1 or trace.latency_s.shape != trace.call_step.shape:
        raise BadData(f"{where} has latency_s of shape {trace.latency_s.shape} and call_step of shape {trace.call_step.shape}; both must be (C,)")


def _json(text: str, where: str) -> Any:
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        raise BadData(f"{where} is not JSON: {error}") from error


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
"""Python's reader of JSON takes NaN and Infinity, which JSON has no words for and nothing of ours writes."""


def _other_schema(where: str, found: object, known: int) -> str:
    newer = isinstance(found, int) and not isinstance(found, bool) and found > known
    advice = " It was written by a newer vlagym: pip install --upgrade vlagym" if newer else ""
    return f"{where} has schema {found!r}; this version of vlagym reads {known}.{advice}"
