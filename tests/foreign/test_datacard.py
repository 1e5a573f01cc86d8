"""LeRobot, TensorFlow Datasets and the library of the Hugging Face hub read a dataset as before when its data card lies in it, and read the card.

It runs in the environments of test_lerobot_datasets.py and test_tfds.py; what is not installed is skipped.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.describing.making import make_card
from vlagym.envs import catalog
from vlagym.results.format import Format

pytestmark = pytest.mark.foreign


def with_card(traces: ModuleType, name: str, path: Path) -> Path:
    """Returns a dataset of two demonstrations of 7 steps with its card in it."""
    plain = traces.make_dataset_info()
    info = dataclasses.replace(plain, images={camera: dataclasses.replace(how, size=64) for camera, how in plain.images.items()}, robot="panda")
    frames = {camera: np.full((7, 64, 64, 3), 90, np.uint8) for camera in info.images}
    format_: Format = catalog.load("format", name)
    with format_.write(path, info) as writer:
        for seed in range(2):
            writer.append(traces.make_demonstration(seed, images=frames))
    made = make_card(path, with_pictures=False)
    assert made.page == path / "README.md"
    return path


def test_lerobot_reads_a_dataset_that_has_a_card(traces: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lerobot", reason="lerobot is not installed here; test_lerobot_datasets.py says how to make an environment for it")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    from lerobot.datasets.lerobot_dataset import CODEBASE_VERSION, LeRobotDataset

    name = "lerobot_v3" if str(CODEBASE_VERSION) == "v3.0" else "lerobot_v21"
    dataset: Any = LeRobotDataset("vlagym/set", root=with_card(traces, name, tmp_path / "set"), video_backend="pyav")
    assert (dataset.num_episodes, dataset.num_frames, dataset[9]["task"]) == (2, 14, "put the mug on the plate")


def test_the_hub_finds_the_rows_by_the_front_matter_of_the_card(traces: ModuleType, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed here: pip install huggingface_hub datasets")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed here: pip install datasets")
    path = with_card(traces, "lerobot_v3", tmp_path / "set")
    data = hub.DatasetCard.load(path / "README.md").data
    assert (data.license, data.task_categories, data.pretty_name) == ("apache-2.0", ["robotics"], "set") and "LeRobot" in data.tags
    found: Any = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
    assert found["train"].num_rows == 14


def test_tfds_reads_a_dataset_that_has_a_card(traces: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed here; test_tfds.py says how to make an environment for it")
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed here; test_tfds.py says how to get it")
    with_card(traces, "rlds", tmp_path / "data" / "put_mug")
    builder: Any = tfds.builder("put_mug", data_dir=tmp_path / "data")
    assert [len(list(episode["steps"])) for episode in builder.as_dataset(split="train")] == [7, 7]
