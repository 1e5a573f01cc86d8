"""A folder is held by one process at a time, and where there is no place for it that is said at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlagym.envs.errors import BadData
from vlagym.results.formats._held import hold


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"/proc/x.parts, where the demonstrations of x are put together, cannot be made: .*No such file"):
        hold(Path("/proc/x"), Path("/proc/x.parts"), "folder")
    (tmp_path / "file").touch()
    with pytest.raises(BadData, match=r"cannot be made: .*Not a directory"):
        hold(tmp_path / "file" / "x", tmp_path / "file" / "x.parts", "folder")


def test_a_working_directory_that_was_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(BadData, match="x.parts, where .* cannot be made: .*No such file.*Choose a place where folders can be made"):
        hold(Path("x"), Path("x.parts"), "folder")


def test_a_folder_that_was_removed_just_now_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened = tmp_path / "x.parts", os.open
    removals = iter([True, True])

    def removed(path: Path, flags: int) -> int:
        if next(removals, False):
            folder.rmdir()
        return opened(path, flags)

    monkeypatch.setattr(os, "open", removed)
    descriptor = hold(tmp_path / "x", folder, "folder")
    assert os.path.samestat(os.fstat(descriptor), folder.stat())
    with pytest.raises(BadData, match="x is open in another process. Wait for it to end, or choose another folder"):
        hold(tmp_path / "x", folder, "folder")
    os.close(descriptor)
