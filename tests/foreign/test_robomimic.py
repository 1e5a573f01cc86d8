"""robomimic's own SequenceDataset reads our HDF5: demonstrations, lengths, shapes, dtypes, numbers, images and masks.

It runs where robomimic 0.3.0 is, the newest on PyPI. One of its requirements, egl_probe, has no wheel, hence --no-deps:

    python3.11 -m venv robomimic
    robomimic/bin/pip install 'pytest>=9' termcolor tqdm -e .
    robomimic/bin/pip install --no-deps robomimic==0.3.0
    robomimic/bin/python -m pytest tests/foreign/test_robomimic.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.results.demonstration import Demonstration
from vlagym.results.formats import hdf5

pytest.importorskip("robomimic", reason="robomimic is not installed here; the docstring says how to make an environment for it")

pytestmark = pytest.mark.foreign

IMAGES = {"agentview_rgb": "front", "eye_in_hand_rgb": "wrist"}
WIDTHS = {"joint_states": 7, "ee_pos": 3, "ee_ori": 3, "ee_states": 6, "gripper_states": 2}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a file of the expert's demonstrations, divided for validation."""
    out = tmp_path_factory.mktemp("demos") / "place.hdf5"
    words = ["demo", "--task", "place_on", "--episodes", "4", "--workers", "1", "--size", "front=128", "--size", "wrist=128", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "vlagym.benchmark.cli", *words], check=True, timeout=600)
    hdf5.write_masks(out, 0.25)
    return out


@pytest.fixture(scope="module")
def ours(path: Path) -> list[Demonstration]:
    return list(hdf5.read(path))


def sequences(path: Path, **options: Any) -> Any:
    """Returns the dataset as LIBERO's training asks for it, whose keys these are."""
    import robomimic.utils.obs_utils as ObsUtils
    from robomimic.utils.dataset import SequenceDataset

    ObsUtils.initialize_obs_utils_with_obs_specs({"obs": {"rgb": list(IMAGES), "low_dim": list(WIDTHS)}})
    settings: dict[str, Any] = dict(seq_length=10, frame_stack=1, hdf5_cache_mode="low_dim", hdf5_use_swmr=False, load_next_obs=False)
    return SequenceDataset(
        hdf5_path=str(path), obs_keys=[*IMAGES, *WIDTHS], dataset_keys=["actions", "rewards", "dones"], **{**settings, **options}
    )


def test_every_sequence_is_what_was_demonstrated(path: Path, ours: list[Demonstration]) -> None:
    dataset = sequences(path)
    assert dataset.n_demos == len(ours) and len(dataset) == dataset.total_num_sequences == sum(d.num_steps for d in ours)
    at = 0
    for demonstration in ours:
        for step in (0, demonstration.num_steps // 2, demonstration.num_steps - 1):
            item = dataset[at + step]
            rows = np.minimum(np.arange(step, step + 10), demonstration.num_steps - 1)  # padded with the last one
            np.testing.assert_array_equal(item["actions"], demonstration.actions[rows])
            for key, camera in IMAGES.items():
                assert item["obs"][key].shape == (10, 128, 128, 3) and item["obs"][key].dtype == np.uint8
                np.testing.assert_array_equal(item["obs"][key], demonstration.images[camera][rows])
            assert {key: item["obs"][key].shape[1] for key in WIDTHS} == WIDTHS
            np.testing.assert_allclose(item["obs"]["joint_states"], demonstration.proprio["joint_pos_rad"][rows], rtol=1e-6)
            np.testing.assert_allclose(item["obs"]["ee_pos"], demonstration.proprio["ee_pos_base_m"][rows], rtol=1e-6)
        assert dataset[at + demonstration.num_steps - 1]["rewards"][0] == dataset[at + demonstration.num_steps - 1]["dones"][0] == 1
        assert dataset[at]["rewards"][0] == 0
        at += demonstration.num_steps


@pytest.mark.parametrize("cache", ["all", "low_dim", None])
@pytest.mark.parametrize("swmr", [True, False])
def test_every_way_of_reading_gives_the_same(path: Path, ours: list[Demonstration], cache: str | None, swmr: bool) -> None:
    item = sequences(path, hdf5_cache_mode=cache, hdf5_use_swmr=swmr)[3]
    np.testing.assert_array_equal(item["obs"]["agentview_rgb"], ours[0].images["front"][3:13])
    np.testing.assert_array_equal(item["actions"], ours[0].actions[3:13])


def test_the_masks_are_filter_keys(path: Path, ours: list[Demonstration]) -> None:
    train, valid = (sequences(path, filter_by_attribute=key) for key in ("train", "valid"))
    assert train.n_demos >= 1 and valid.n_demos >= 1 and train.n_demos + valid.n_demos == len(ours)
    assert len(train) + len(valid) == sum(d.num_steps for d in ours)


def test_torch_makes_batches_of_it(path: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    batch = next(iter(DataLoader(sequences(path), batch_size=8, shuffle=False)))
    assert batch["obs"]["eye_in_hand_rgb"].shape == (8, 10, 128, 128, 3) and batch["obs"]["eye_in_hand_rgb"].dtype == torch.uint8
    assert batch["actions"].shape == (8, 10, 7) and bool(torch.isfinite(batch["actions"]).all())
    assert float(batch["actions"].abs().max()) <= 1.0  # its scripts refuse more
