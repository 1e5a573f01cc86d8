"""Every dataset format gives back what was written, goes on where it was left, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import DatasetWriter, Format, NoDataset
from vlagym.results.training_view import faults_of


def loaded(name: str) -> Format:
    found = catalog.load("format", name)
    assert isinstance(found, Format)
    return found


def make_info(traces: ModuleType, **changes: Any) -> DatasetInfo:
    """Returns a dataset whose motion is told in joints too: some formats are of joint motion."""
    info: DatasetInfo = traces.make_dataset_info(commands={"joint_delta": traces.JOINT_DELTA}, **changes)
    return info


def assert_equal(format_: Format, first: Demonstration, second: Demonstration) -> None:
    for name in ("spec", "digest", "instruction", "is_success"):
        assert getattr(first, name) == getattr(second, name)
    for name in ("actions", "executed_actions", "image_steps"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), strict=True)
    for name in ("images", "proprio", "privileged", "commands"):
        ours, theirs = getattr(first, name), getattr(second, name)
        assert set(ours) == set(theirs)
        for key in ours:
            if name == "images" and format_.images != "exact":  # of noise, a codec keeps the shape
                assert (ours[key].shape, ours[key].dtype) == (theirs[key].shape, theirs[key].dtype)
            else:
                np.testing.assert_array_equal(ours[key], theirs[key], strict=True)


def interrupt(writer: DatasetWriter) -> None:
    """Ends a writer as Ctrl-C does: what it was given is kept for the next one."""
    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("name", catalog.names("format"))
def test_what_is_written_is_read_back(traces: ModuleType, tmp_path: Path, name: str, stride: int) -> None:
    format_, info = loaded(name), make_info(traces, frame_stride=stride)
    if stride > 1 and "frame_stride" not in format_.holds:
        with pytest.raises(BadData, match="stores an image for every step.*frame stride is 3"):
            format_.write(tmp_path / "set", info)
        return
    demonstrations = [traces.make_demonstration(seed, steps=5 + seed, info=info, is_success=seed != 1) for seed in range(3)]
    path = tmp_path / f"set{format_.suffix}"
    with format_.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
        assert writer.digests == tuple(d.digest for d in demonstrations)
    for written, found in zip(demonstrations, format_.read(path), strict=True):
        assert_equal(format_, written, found)
    with format_.open(path) as reader:
        assert reader.info == info and reader.digests == tuple(d.digest for d in demonstrations)
        for index in (2, 0, -1):
            assert_equal(format_, demonstrations[index], reader[index])
        with pytest.raises(IndexError):
            reader[3]


@pytest.mark.parametrize("name", catalog.names("format"))
def test_trainers_read_what_follows_from_a_demonstration_and_another_one_is_told(traces: ModuleType, tmp_path: Path, name: str) -> None:
    format_, info = loaded(name), make_info(traces)
    demonstrations = [traces.make_demonstration(seed, steps=5 + seed, info=info, is_success=seed != 1) for seed in range(3)]
    path = tmp_path / f"set{format_.suffix}"
    with format_.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    assert format_.view is not None
    view = format_.view(path)
    assert list(view.faults()) == [] and not view.is_older
    for index, found in enumerate(format_.read(path)):
        assert list(faults_of(view, index, found, info, format_, None)) == []
        other = dataclasses.replace(found, is_success=not found.is_success)
        assert list(faults_of(view, index, other, info, format_, None)) != []
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", catalog.names("format"))
def test_writing_goes_on_where_it_was_left(traces: ModuleType, tmp_path: Path, name: str) -> None:
    format_, info = loaded(name), make_info(traces)
    path = tmp_path / f"set{format_.suffix}"
    first, second = (traces.make_demonstration(seed, info=info) for seed in (1, 2))
    writer = format_.write(path, info)
    writer.append(first)
    interrupt(writer)
    with format_.write(path, info) as writer:
        assert writer.digests == (first.digest,)
        with pytest.raises(BadData, match=f"holds the demonstration {first.digest} already"):
            writer.append(first)
        writer.append(second)
    assert [d.digest for d in format_.read(path)] == [first.digest, second.digest]


@pytest.mark.parametrize("name", catalog.names("format"))
def test_a_dataset_is_not_extended_with_something_else(traces: ModuleType, tmp_path: Path, name: str) -> None:
    format_ = loaded(name)
    path = tmp_path / f"set{format_.suffix}"
    demonstration = traces.make_demonstration(1, info=make_info(traces))
    begun = format_.write(path, make_info(traces))
    begun.append(demonstration)
    interrupt(begun)
    faster = dataclasses.replace(traces.EE_DELTA, rate_hz=40.0)
    with pytest.raises(BadData, match="was made with action .* and cannot be extended with .*40.0.* Choose another (file|folder)"):
        format_.write(path, make_info(traces, action=faster))
    with format_.write(path, make_info(traces, provenance={"command": ["another"]})) as writer:
        with pytest.raises(BadData, match="the cameras front; the dataset has front, wrist"):
            images = {"front": demonstration.images["front"]}
            writer.append(dataclasses.replace(demonstration, spec=None, digest="e" * 32, images=images))
        assert len(writer.digests) == 1


@pytest.mark.parametrize("name", catalog.names("format"))
def test_an_absent_dataset_is_answered_with_how_to_make_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoDataset, match="there is no dataset at .*nowhere. Make one with vlagym demo"):
        loaded(name).open(tmp_path / "nowhere")
