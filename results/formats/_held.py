"""A folder that one process holds against all others, and folders whose entries are on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Literal

from vlagym.envs.errors import BadData

_TRIES = 100
"""How often a folder that vanished is made anew: those who held it may finish one after the other, but not so many at once."""


def hold(path: Path, folder: Path, kind: Literal["file", "folder"]) -> int:
    """Returns a descriptor of a folder, made if need be, whose lock is ours; the system lets go of it when this process ends, however it ends.

    Args:
      path: Of the dataset, for what is said.
      folder: Where its demonstrations are put together.
      kind: What the dataset is.

    Raises:
      BadData: If another process holds it, or it cannot be made.
    """
    cannot = f"{folder}, where the demonstrations of {path.name} are put together, cannot be made"
    vanished: OSError | None = None
    for _ in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError as error:  # whoever held it has just finished and removed it, or there is no place for it
            vanished = error
            continue
        except OSError as error:
            raise BadData(f"{cannot}: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), folder.stat()):
                    return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise BadData(f"{path} is open in another process. Wait for it to end, or choose another {kind}") from error
        os.close(descriptor)
    raise BadData(f"{cannot}: {vanished or 'it is removed again and again'}. Choose a place where folders can be made") from vanished


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
