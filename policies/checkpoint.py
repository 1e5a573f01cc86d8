"""A checkpoint is a folder: `card.json`, which says everything about it, and `model.safetensors`. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData

SCHEMA = 1
"""Version of the card's frame: "schema", "model", "weights". What else a card holds is the model's own."""
CARD = "card.json"
WEIGHTS = "model.safetensors"
_SHOWN = 3


class Checkpoint(NamedTuple):
    """What lies in a checkpoint's folder."""

    card: dict[str, Any]
    """Without the frame."""
    tensors: dict[str, NDArray[Any]]
    digest: str
    """SHA-256 of the weights, first 32 hexadecimal digits."""


def save(folder: Path, model: str, card: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """Writes a checkpoint, in place of one that may lie there, and returns the digest of its weights.

    Args:
      folder: Made if it does not exist.
      model: Name of the architecture, by which `load` refuses another one's checkpoint.
      card: Plain data for JSON, without the keys of the frame.
      tensors: Name -> array, in the precision in which they are to be used.

    Raises:
      BadData: If a tensor holds NaN or infinity, or the card a key of the frame.
    """
    import safetensors.numpy

    taken = sorted({"schema", "model", "weights"} & set(card))
    if taken:
        raise BadData(f"the key {taken[0]!r} of a card is written by vlagym itself; name yours differently")
    _refuse_nonfinite(tensors, "the weights to be saved")
    data = safetensors.numpy.save({name: np.ascontiguousarray(t) for name, t in tensors.items()})
    sha256 = hashlib.sha256(data).hexdigest()
    frame = {"schema": SCHEMA, "model": model, "weights": {"sha256": sha256, "bytes": len(data), "tensors": len(tensors)}}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**frame, **card}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Weights first: a crash between the two is found out by the digest of the older card.
    for name, content in ((WEIGHTS, data), (CARD, text.encode())):
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_bytes(content)
        os.replace(unfinished, folder / name)
    return sha256[:32]


def load(folder: Path, model: str) -> Checkpoint:
    """Reads a checkpoint and checks it against its own card.

    Args:
      folder: As `save` left it.
      model: The architecture that is wanted.

    Raises:
      BadData: In one line: if a file is missing, truncated, changed, not what its name says, of another schema or architecture.
    """
    import safetensors.numpy
    from safetensors import SafetensorError

    if not folder.is_dir():
        raise BadData(f"no checkpoint lies at {folder}: it would be a folder with {CARD} and {WEIGHTS}")
    card = read_card(folder)
    found_model = card.pop("model")
    if found_model != model:
        raise BadData(f"{folder / CARD} is of a {found_model!r}, not of a {model!r}")
    frame = card.pop("weights")
    path = folder / WEIGHTS
    if not path.is_file():
        raise BadData(f"{folder} holds {CARD} but no {WEIGHTS}; copy both")
    data = path.read_bytes()
    if len(data) != frame["bytes"]:
        how = "truncated" if len(data) < frame["bytes"] else "not the file that the card was written with"
        raise BadData(f"{path} has {len(data)} bytes, its card says {frame['bytes']}: it is {how}; copy it again")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != frame["sha256"]:
        found, said = sha256[:12], frame["sha256"][:12]
        raise BadData(f"{path} has the digest {found}…, its card says {said}…: it is corrupt or of another training; copy both files again")
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadData(f"{path} is no safetensors file: {_one_line(error)}") from error
    _refuse_nonfinite(tensors, str(path))
    return Checkpoint(card, tensors, sha256[:32])


def read_card(folder: Path) -> dict[str, Any]:
    """Returns the card with its frame but for the schema, without looking at the weights.

    Raises:
      BadData: If it is missing, no JSON, of another schema, or its frame is broken.
    """
    path = folder / CARD
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) if folder.is_dir() else "nothing"
        raise BadData(f"{folder} is no checkpoint: it has no {CARD} (it holds {there or 'nothing'})")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"{path} is not JSON: {_one_line(error)}") from error
    if not isinstance(card, dict):
        raise BadData(f"{path} must hold a table, not {type(card).__name__}")
    schema = card.pop("schema", None)
    if schema != SCHEMA:
        raise BadData(f"{path} has schema {schema!r}; this version of vlagym reads {SCHEMA}")
    weights = card.get("weights")
    wanted = {"sha256": str, "bytes": int, "tensors": int}
    if not isinstance(card.get("model"), str) or not isinstance(weights, dict):
        raise BadData(f"{path} lacks the key {'weights' if isinstance(card.get('model'), str) else 'model'!r}")
    for key, kind in wanted.items():
        if not isinstance(weights.get(key), kind):
            raise BadData(f"{path} lacks weights.{key}, or it is not {kind.__name__}")
    return card


def match(tensors: Mapping[str, NDArray[Any]], wanted: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Compares the tensors of a checkpoint with what its architecture asks for.

    Args:
      tensors: What was read.
      wanted: Name -> shape.
      where: What holds the tensors, for the message.

    Raises:
      BadData: Naming the first tensors that are missing, too many, or of another shape.
    """
    missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    differ = [f"{n} is {tensors[n].shape}, not {wanted[n]}" for n in sorted(set(wanted) & set(tensors)) if tensors[n].shape != wanted[n]]
    complaints = [f"{verb} {_some(names)}" for verb, names in (("lacks", missing), ("has unknown", extra)) if names]
    complaints += [_some(differ)] if differ else []
    if complaints:
        raise BadData(f"{where} does not fit the architecture of its card: it {'; '.join(complaints)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _refuse_nonfinite(tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise BadData(f"{where}: the tensor {name!r} holds NaN or infinity")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
