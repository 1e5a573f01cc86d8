"""Meshes are read once on a machine: what comes from the cache is what was read, and damage to it or a cache that cannot be written costs time only."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.meshes import TriangleMesh, cache_folder, decimated, read

SQUARE = "v 0 0 0\nv 0.1 0 0\nv 0.1 0.2 0\nv 0 0.2 0.3\nf 1 2 3\nf 1 3 4\n"


@pytest.fixture
def square(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mesh file of two triangles, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "square.obj"
    path.write_text(SQUARE, encoding="utf-8")
    return path


def same(first: TriangleMesh, second: TriangleMesh) -> bool:
    pairs = ((first.vertices, second.vertices), (first.faces, second.faces))
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def test_what_the_cache_gives_is_what_was_read_bit_for_bit(square: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(square)
    assert first.vertices.shape == (4, 3) and first.faces.shape == (2, 3)
    monkeypatch.setitem(sys.modules, "trimesh", None)  # nobody may ask it now
    assert same(read(square), first)


def test_another_file_and_another_way_to_reduce_it_are_kept_apart(square: Path) -> None:
    first = read(square)
    square.write_text(SQUARE.replace("0.3", "0.4"), encoding="utf-8")
    assert not np.array_equal(np.sort(read(square).vertices, axis=0), np.sort(first.vertices, axis=0))
    decimated((square,), 12)
    assert len(list((cache_folder() / "meshes").iterdir())) == 3


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cached_file_that_was_cut_short_is_made_again(square: Path, share: float) -> None:
    first = read(square)
    (kept,) = (cache_folder() / "meshes").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(share * len(whole))])
    assert same(read(square), first)
    assert kept.read_bytes() == whole


def test_a_bit_that_flipped_in_the_cache_is_noticed(square: Path) -> None:
    first = read(square)
    (kept,) = (cache_folder() / "meshes").iterdir()
    damaged = bytearray(kept.read_bytes())
    damaged[damaged.index(first.vertices.tobytes())] ^= 1
    kept.write_bytes(damaged)
    assert same(read(square), first)


def test_a_cache_that_cannot_be_written_costs_time_and_says_so(square: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache_folder().parent.write_text("a file where a folder should be", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert len(read(square).faces) == 2
    assert "square.obj was not kept in the cache" in caplog.text


def test_a_file_without_triangles_is_refused_and_not_kept(square: Path) -> None:
    square.write_text("v 0 0 0\n", encoding="utf-8")
    with pytest.raises(BadData, match="square.obj holds no triangles"):
        read(square)
    assert not (cache_folder() / "meshes").exists()


def heavy_packages_of_a_world() -> set[str]:
    """Returns which packages of a list a fresh process imports to sample an episode and to start it."""
    code = """
import sys
from vlagym.envs.sampling import sample
from vlagym.envs.world import World
World(render=False).start(sample("stack", seed=0))
print(*{"trimesh", "torch", "pandas", "matplotlib"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


def test_only_the_first_process_on_a_machine_imports_the_reader_of_meshes() -> None:
    first = heavy_packages_of_a_world()
    assert first <= {"trimesh"}
    assert not first or not heavy_packages_of_a_world()
