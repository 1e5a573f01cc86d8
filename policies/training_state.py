"""The state of an unfinished training on disk, from which it goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import from_plain, sha_arrays, to_plain
from vlagym.policies.loss_curve import Point

SCHEMA = 1
_JSON = "state.json"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything but the vectors. Draws need no state: each step's depend on the seed and its number alone."""

    schema: int
    step: int
    """Steps that were taken."""
    elapsed_s: float
    """Trained for, over all starts."""
    next_evaluation: float
    """Share of the budget at which the next evaluation is due."""
    data: str
    """Digest of the training data."""
    options: Mapping[str, Any]
    """Those that decide what is learned."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What the card is to say of how it was trained."""
    sums: Mapping[str, float]
    """Of losses since the last point of the curve."""
    points: tuple[Point, ...]
    vectors: str
    """File that holds the vectors."""
    vectors_digest: str


def save(folder: Path, state: TrainingState, vectors: Mapping[str, NDArray[Any]]) -> None:
    """Writes the state; a crash at any moment leaves this one or the one before, whole.

    Args:
      folder: Made if it does not exist.
      state: Its `vectors` and `vectors_digest` are filled in here.
      vectors: Name -> array.
    """
    import dataclasses

    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{state.step:08d}.safetensors"
    save_file(dict(vectors), folder / f"{name}.unfinished")
    os.replace(folder / f"{name}.unfinished", folder / name)
    whole = dataclasses.replace(state, vectors=name, vectors_digest=_digest(vectors))
    unfinished = folder / f"{_JSON}.unfinished"
    unfinished.write_text(json.dumps(to_plain(whole)), encoding="utf-8")
    os.replace(unfinished, folder / _JSON)
    for old in folder.glob("state-*.safetensors*"):
        if old.name != name:
            old.unlink()


def exists(folder: Path) -> bool:
    """Returns whether a state lies in the folder."""
    return (folder / _JSON).is_file()


def read(folder: Path) -> TrainingState:
    """Returns the state without its vectors.

    Raises:
      BadData: If there is none, or it is not one that this version writes.
    """
    path = folder / _JSON
    if not path.is_file():
        raise BadData(f"there is no training to resume in {folder.parent}: {path.relative_to(folder.parent)} is missing")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise BadData(f"{path} has schema {found!r}; this version of vlagym resumes {SCHEMA}")
    return from_plain(TrainingState, data, path.name)


def read_vectors(folder: Path, state: TrainingState) -> dict[str, NDArray[np.float32]]:
    """Returns the vectors of a state.

    Raises:
      BadData: If their file is missing, broken or of another state.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / state.vectors
    if not path.is_file():
        raise BadData(f"{folder / _JSON} speaks of {state.vectors}, which is missing; start the training again without --resume")
    try:
        vectors: dict[str, NDArray[np.float32]] = load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadData(f"{path} is no safetensors file: {' '.join(str(error).split())}") from error
    if _digest(vectors) != state.vectors_digest:
        raise BadData(f"{path} is not the file that {_JSON} was written with; start the training again without --resume")
    return vectors


def _digest(vectors: Mapping[str, NDArray[Any]]) -> str:
    return sha_arrays(*(vectors[name] for name in sorted(vectors)))
