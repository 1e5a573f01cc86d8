"""What a comparison asked before its first look, and what each look told: `comparison.json`, beside the two run folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.results.sequential import State

FILE = "comparison.json"

_KEYS = {"design", "digest", "runs", "order", "looks"}


class Journal:
    """Keeps the file, from before the first look to the last."""

    def __init__(self, path: Path, design: Mapping[str, Any], runs: Sequence[str]) -> None:
        """Opens the journal of a comparison, or the place where it will be.

        Args:
          path: Folder of the comparison.
          design: What it asks, as JSON holds it.
          runs: Names of its two run folders.

        Raises:
          BadData: If the folder holds a comparison that asks something else, or is of something else.
        """
        self._path, self._design, self._runs = path, dict(design), list(runs)
        self._looks: list[dict[str, Any]] = []
        self._order: list[str] = []
        self._before: dict[str, Any] | None = None
        if (path / FILE).exists():
            self._before = read(path)
            self._looks, self._order = list(self._before["looks"]), list(self._before["order"])
            theirs, ours = self._before["design"], json.loads(json.dumps(self._design))
            different = [key for key in ours if theirs.get(key) != ours[key]]
            if different:
                told = "; ".join(f"{key} was {_short(theirs.get(key))} and is {_short(ours[key])}" for key in different)
                raise BadData(
                    f"{path} holds another comparison: {told}. What a comparison asks is fixed before its first look. "
                    f"Go on with it as it was begun (`vlagym compare --resume {path}`), or begin another one with --out"
                )
        elif path.is_dir() and {p.name for p in path.iterdir()} - {*runs, f"{FILE}.tmp"}:
            raise BadData(f"{path} exists already and is no comparison. Choose another folder with --out")

    def begin(self, digest: str) -> None:
        """Writes the design, with the digest of the suite's episodes.

        Raises:
          BadData: If it was begun with other episodes.
        """
        if self._before is not None and self._before["digest"] != digest:
            was = str(self._before["digest"])
            raise BadData(f"{self._path} was begun with other episodes: the digest of its suite was {was[:12]} and is {digest[:12]}")
        self._digest = digest
        self._write()

    def add(self, state: State, num_played: int, order: Sequence[str]) -> None:
        """Writes a look.

        Args:
          state: What it told.
          num_played: Episodes of each policy that were stored then.
          order: Scenes in the order in which they were looked at, up to this look.
        """
        self._looks.append({"episodes": num_played, **state._asdict()})
        self._order = list(order)
        self._write()

    def _write(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        told = {"design": self._design, "digest": self._digest, "runs": self._runs, "looks": self._looks, "order": self._order}
        temporary = self._path / f"{FILE}.tmp"
        temporary.write_text(json.dumps({"schema": 1, **told}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self._path / FILE)


def read(path: Path) -> dict[str, Any]:
    """Returns what the journal of a comparison holds.

    Raises:
      BadData: If the folder has none, or it is of another form.
    """
    try:
        data = json.loads((path / FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"{path} is not the folder of a comparison: it has no {FILE}. Begin one with --policies P Q --suite S --out {path}") from error
    except ValueError as error:
        raise BadData(f"{path / FILE} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != 1 or not set(data) >= _KEYS:
        raise BadData(f"{path / FILE} is not what this version of vlagym writes: it needs schema 1 with {', '.join(sorted(_KEYS))}")
    return data


def of_runs(first: Path, second: Path) -> dict[str, Any] | None:
    """Returns the journal of the comparison that played two run folders; None where they are not the two of one."""
    folder = first.resolve().parent
    if second.resolve().parent != folder or not (folder / FILE).exists():
        return None
    data = read(folder)
    return data if {first.resolve().name, second.resolve().name} == set(data["runs"]) else None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
