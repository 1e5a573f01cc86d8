"""Which format a dataset has: told by what lies there, not by its name."""

from __future__ import annotations

import json
from pathlib import Path

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.results.format import DatasetReader, Format, NoDataset

RUN = "header.json"
"""What a run folder has, and no dataset."""
_PARTS = ".parts"
"""Ends the name of what lies beside a dataset until it is whole: `vlagym.results.format.DatasetWriter`."""


def format_of(path: Path) -> str:
    """Returns the name of the format of a dataset, ours or of others.

    Raises:
      NoDataset: If nothing lies there, or the dataset was not finished.
      BadData: If what lies there is no dataset of a format that is known here, or one of several.
    """
    if not path.exists():
        if waiting_beside(path):
            raise NoDataset(f"the dataset at {path} was not finished: what was stored of it waits in {_beside(path).name}. {_GO_ON}")
        raise NoDataset(f"there is no dataset at {path}. Make one with vlagym demo")
    known = catalog.names("format")
    found = [name for name in known if _load(name).recognises(path)]
    if not found:
        telling = _known_by(path)
        for at in telling:
            _check_json(at)
        why = f"{telling[0].relative_to(path)} describes another one" if telling else "the file that would say which it has is missing"
        raise BadData(f"{path} is no dataset of a format that is known here ({', '.join(known)}): {why}")
    if len(found) > 1:
        raise BadData(f"{path} may be a dataset of the formats {' and '.join(found)}: open it as one of them")
    if path.is_file() and waiting_beside(path):
        raise BadData(f"{path} is not complete: more of it waits in {_beside(path).name}, or is being written. {_GO_ON}")
    return found[0]


def is_dataset(path: Path) -> bool:
    """Returns whether a dataset lies at a path, damaged or not, or waits beside it until it is finished; of a run it returns False.

    Where nothing lies, it is what the suffix says.
    """
    if (path / RUN).is_file():
        return False
    formats = [_load(name) for name in catalog.names("format")]
    if not path.exists() and path.suffix and path.suffix in {found.suffix for found in formats}:
        return True
    return waiting_beside(path) or any(found.recognises(path) for found in formats) or bool(_known_by(path))


def open_dataset(path: Path, name: str | None = None) -> DatasetReader:
    """Opens a dataset of any format. Use it in a `with` statement.

    Args:
      path: The dataset.
      name: Of its format; None: the one that it has.

    Raises:
      NoDataset: If there is none, or it was not finished.
      BadData: If it is damaged, or of no format that is known.
      UnknownName: If no format is called so.
    """
    return _load(format_of(path) if name is None else name).open(path)


def waiting_beside(path: Path) -> bool:
    """Returns whether demonstrations wait beside a dataset to be listed in it."""
    return _beside(path).is_dir()


def _known_by(path: Path) -> list[Path]:
    """Returns the files of a folder that say what it is, if it is a dataset."""
    patterns = dict.fromkeys(pattern for name in catalog.names("format") for pattern in _load(name).known_by)
    return [at for pattern in patterns for at in sorted(path.glob(pattern))]


def _check_json(at: Path) -> None:
    try:
        json.loads(at.read_bytes())
    except OSError as error:
        raise BadData(f"{at}, which says what the dataset is, cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadData(f"{at}, which says what the dataset is, is damaged: {error}") from error


_GO_ON = "Repeat the command that began it"


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _PARTS)


def _load(name: str) -> Format:
    found: Format = catalog.load("format", name)
    return found
