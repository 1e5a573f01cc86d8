"""An HDF5 file that is opened and looked at; what is wrong with it is said in words."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData, MissingPackage, VlagymError


def open_file(path: Path, mode: str) -> Any:
    """Opens an HDF5 file.

    Args:
      path: The file.
      mode: "r", or "w" for a new one.

    Raises:
      BadData: If it is no HDF5 file, is damaged, or is being written by another process.
      MissingPackage: Without h5py.
    """
    h5py = _h5py()
    try:
        return h5py.File(path, mode)
    except BlockingIOError as error:
        raise in_use(path) from error
    except (OSError, RuntimeError) as error:
        if "lock file" in str(error):  # "lock" alone stands in what HDF5 says of a superblock, too
            raise in_use(path) from error
        raise BadData(f"{path} cannot be opened as HDF5: {error}. If it is damaged, remove it and collect its demonstrations again") from error


def image(fill: Callable[[Any], None], size: int) -> bytes:
    """Returns the bytes of a new HDF5 file. It is made in memory: where the disk is full, HDF5 ends the process with a segmentation fault.

    Args:
      fill: Is given the open file.
      size: About as many bytes as it will have; memory is taken in such pieces.

    Raises:
      MissingPackage: Without h5py.
    """
    with _h5py().File("in memory", "w", driver="core", backing_store=False, block_size=size) as file:
        fill(file)
        file.flush()
        made: bytes = file.id.get_file_image()
    return made


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as missing:
        raise MissingPackage("the format hdf5 needs: pip install h5py") from missing
    return h5py


@contextlib.contextmanager
def reading(where: str) -> Iterator[None]:
    """Turns what h5py raises of a damaged file into BadData that names it.

    Raises:
      BadData: For every OSError, RuntimeError or KeyError of the block; a full disk stays an OSError.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise BadData(f"{where} is damaged: {error}. Remove it and collect its demonstrations again") from error
    except KeyError as error:
        raise BadData(f"{where} lacks {error}; it was not written by vlagym, or was changed") from error


def demo_names(data: Any) -> list[str]:
    """Returns the groups of whole demonstrations in the order of their numbers."""
    return sorted((n for n in data if data[n].attrs.get("complete", False)), key=lambda n: int(n.removeprefix("demo_")))


def in_use(path: Path) -> VlagymError:
    """Returns the error for a dataset that somebody else is writing."""
    return BadData(f"{path} is open in another process. Wait for it to end, or choose another file")
