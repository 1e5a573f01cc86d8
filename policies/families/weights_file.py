"""Files of weights (safetensors), looked at before a library reads them: a header that lies about its length is told, and costs nothing."""

from __future__ import annotations

from pathlib import Path

from vlagym.envs.errors import BadData

HEADER_MAX = 100_000_000
"""Bytes of a header: what the format's own readers allow."""
_LENGTH = 8


def check_weights(folder: Path) -> None:
    """Looks at the first bytes of every file of safetensors of a checkpoint.

    Args:
      folder: Of the checkpoint; files in folders within it are looked at too.

    Raises:
      BadData: If one is too short, or says that its header is longer than the file, or than any header is.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        if not path.is_file():
            continue
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
        if size < _LENGTH or length > min(size - _LENGTH, HEADER_MAX):
            told = f"is {size} bytes long" if size < _LENGTH else f"has {size} bytes and announces a header of {length}"
            raise BadData(f"{path} {told}: it is damaged, or no file of safetensors")
