"""By what a run header knows a foreign checkpoint again: a digest of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(files: Iterable[Path]) -> str:
    """Returns the first 32 hexadecimal digits of the SHA-256 over the files' names and contents, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(files):
        with path.open("rb") as file:
            total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def digest_of_folder(folder: Path) -> str:
    """Returns the digest of what lies in a folder itself, whatever it is called; of no file below its subfolders."""
    return digest_of(path for path in folder.iterdir() if path.is_file())
