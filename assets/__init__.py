"""Files that ship with vlagym: objects, arenas, furniture, phrases, checkpoints."""

from pathlib import Path

_ROOT = Path(__file__).resolve().parent


def path(relative: str) -> Path:
    """Returns the path of a shipped file or folder.

    Args:
      relative: Below this folder, with forward slashes: "language/en.toml".

    Raises:
      FileNotFoundError: With the names that the nearest existing folder holds.
    """
    found = _ROOT / relative
    if found.exists():
        return found
    folder = found.parent
    while not folder.exists():
        folder = folder.parent
    there = ", ".join(sorted(p.name for p in folder.iterdir() if not p.name.startswith("__")))
    raise FileNotFoundError(f"no asset is called {relative!r}. {folder.name}/ holds: {there}")
