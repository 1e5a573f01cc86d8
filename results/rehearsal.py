"""What a format would refuse, tried beforehand: in a folder that is removed again, or with a look at where the dataset is going to be."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import Format

_PREFIX = "vlagym-rehearsal-"


def check_place(found: Format, path: Path, info: DatasetInfo) -> None:
    """Raises BadData if a dataset of this kind cannot be begun at a path, or gone on with; nothing of it stays."""
    found.write(path, info).__exit__(BadData, BadData("it was only looked at"), None)


def check_stored(found: Format, path: Path, info: DatasetInfo, demonstration: Demonstration) -> None:
    """Raises BadData if a demonstration cannot be stored in a dataset called like a path; what lies there is not looked at."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        found.store(Path(folder) / path.name, info, demonstration)


def check_rate(found: Format, action: ActionSpec) -> None:
    """Raises BadData if a format refuses the rate of actions for being no whole number, and nothing else about them."""
    if action.rate_hz == round(action.rate_hz):
        return
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        at, info = Path(folder) / f"set{found.suffix}", DatasetInfo(action=action, images={})
        try:
            check_place(found, at, replace(info, action=replace(action, rate_hz=1.0)))
        except BadData:  # it asks for more than is known before the first step
            return
        check_place(found, at, info)
