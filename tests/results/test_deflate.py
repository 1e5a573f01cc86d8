"""What archives and images are deflated by, and what comes out of it."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.results.formats import _deflate
from vlagym.results.formats._sidecar import write_arrays

ARRAYS: dict[str, NDArray[Any]] = {
    "one": np.array(7.5),
    "none": np.zeros((0, 3), np.float32),
    "said": np.array("put it on the Schränkchen"),
    "turned": np.arange(24, dtype=np.int64).reshape(2, 3, 4).T,
    "images/front": np.random.default_rng(0).integers(0, 9, (9, 64, 64, 3)).astype(np.uint8),
}


def test_each_is_taken_where_it_is_there(deflates: str) -> None:
    assert type(_deflate.raw()).__module__.startswith(deflates)


def test_zlib_inflates_what_either_deflates(deflates: str) -> None:
    data = b"abc" * 10_000 + bytes(range(256))
    assert zlib.decompress(_deflate.whole(data)) == data == zlib.decompress(_deflate.whole(np.frombuffer(data, np.uint8)))
    stream = _deflate.raw()
    pieces = b"".join([stream.compress(data[:7]), stream.compress(data[7:]), stream.flush()])
    assert zlib.decompress(pieces, -15) == data and len(pieces) < len(data) / 20


def test_numpy_reads_every_array_of_an_archive(tmp_path: Path, deflates: str) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert list(found.files) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype and found[name].shape == array.shape
            np.testing.assert_array_equal(found[name], array)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None


def test_equal_arrays_are_equal_files(tmp_path: Path, deflates: str) -> None:
    for name in ("a.npz", "b.npz"):
        write_arrays(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_archive_is_deflated_by_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zipfile takes no other compressor than its own; this notices a Python in which the way around that has no effect."""
    monkeypatch.setattr(_deflate, "raw", lambda: zlib.compressobj(0, zlib.DEFLATED, -15))
    write_arrays(tmp_path / "a.npz", ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert all(entry.compress_size > entry.file_size for entry in archive.infolist())
