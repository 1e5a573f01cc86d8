"""A folder that one process holds against all others, and folders whose entries are on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Literal

from vlagym.envs.errors import BadData


def hold(path: Path, folder: Path, kind: Literal["file", "folder"]) -> int:
    """Returns a descriptor of a folder, made if need be, whose lock is ours; the system lets go of it when this process ends, however it ends.

    Args:
      path: Of the dataset, for what is said.
      folder: Where its demonstrations are put together.
      kind: What the dataset is.

    Raises:
      BadData: If another process holds it, or it cannot be made.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # whoever held it has just finished and removed it
            continue
        except OSError as error:
            raise BadData(f"{folder}, where the demonstrations of {path.name} are put together, cannot be made: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), folder.stat()):
                    return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise BadData(f"{path} is open in another process. Wait for it to end, or choose another {kind}") from error
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
