"""LeRobot's own LeRobotDataset reads the folders of lerobot_v3 (LeRobot 0.4 and later) and of lerobot_v21 (0.3): every row and every frame.

It runs where lerobot is, which needs an environment of its own; one for each version:

    python3.11 -m venv lerobot
    lerobot/bin/pip install 'lerobot==0.4.4' 'pytest>=9' -e '.[data]'        # or lerobot==0.3.3
    lerobot/bin/python -m pytest -m foreign tests/foreign/test_lerobot_datasets.py
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import films
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.results.demonstration import Demonstration
from vlagym.results.format import Format
from vlagym.results.formats import lerobot_v3
from vlagym.results.formats._staging import Staging

lerobot = pytest.importorskip("lerobot", reason="lerobot is not installed here; the docstring says how to make an environment for it")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.foreign

STEPS = (12, 1, 25, 8)
SENTENCES = ("put the mug on the plate", "öffne the drawer", "put the mug on the plate", "stack the blocks")


def version_read() -> str:
    from lerobot.datasets.lerobot_dataset import CODEBASE_VERSION

    return str(CODEBASE_VERSION)


def backends() -> list[str]:
    """Returns which of LeRobot's decoders work here: torchcodec needs FFmpeg's shared libraries."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return ["pyav"]
    return ["pyav", "torchcodec"]


@pytest.fixture(scope="module")
def demonstrations() -> list[Demonstration]:
    return [films.demonstration(i, steps, sentence=words) for i, (steps, words) in enumerate(zip(STEPS, SENTENCES, strict=True))]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that cannot be read would be looked for on the hub, and a cache would answer for one that was written anew."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def written(name: str, path: Path, demonstrations: Sequence[Demonstration]) -> Path:
    format_: Format = catalog.load("format", name)
    with format_.write(path, films.info()) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


def opened(path: Path, **options: Any) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("vlagym/set", root=path, **options)


def need(version: str) -> None:
    if version_read() != version:
        pytest.skip(f"lerobot {lerobot.__version__} reads {version_read()} and not {version}")


def image(item: Any) -> Any:
    """Returns a picture as we hold it: LeRobot has channels first, from 0 to 1."""
    return np.round(item.numpy().transpose(1, 2, 0) * 255).astype(np.uint8)


def compare(dataset: Any, demonstrations: Sequence[Demonstration], names: tuple[str, str, str, str], *, levels: float) -> None:
    """Compares every row, sentence, time and frame."""
    state, action, front, wrist = names
    assert (dataset.num_episodes, dataset.num_frames, len(dataset), dataset.fps) == (4, sum(STEPS), sum(STEPS), 20)
    at, before = 0, -1.0
    for number, d in enumerate(demonstrations):
        for step in range(d.num_steps):
            item = dataset[at]
            assert (item["task"], int(item["episode_index"]), int(item["frame_index"]), int(item["index"])) == (d.instruction, number, step, at)
            assert float(item["timestamp"]) == np.float32(step / 20) and (step == 0 or float(item["timestamp"]) > before)
            np.testing.assert_array_equal(item[action].numpy(), d.actions[step])
            assert item[action].dtype == torch.float32 and tuple(item[state].shape) == (8,)
            np.testing.assert_array_equal(item[state].numpy()[:3], d.proprio["ee_pos_base_m"][step])
            assert bool(item["next.done"]) == (step == d.num_steps - 1) == (float(item["next.reward"]) == 1.0)
            for name, camera in ((front, "front"), (wrist, "wrist")):
                shown = image(item[name])
                assert shown.shape == d.images[camera].shape[1:]
                assert films.levels_apart(shown, d.images[camera][step]) <= levels, f"{name}, episode {number}, step {step}"
            before = float(item["timestamp"])
            at += 1
    statistics = dataset.meta.stats
    actions = np.concatenate([d.actions for d in demonstrations]).astype(np.float64)
    for name, of in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        np.testing.assert_allclose(statistics[action][name], of(actions, axis=0), rtol=1e-6)
    pixels = np.concatenate([d.images["front"] for d in demonstrations]).reshape(-1, 3) / 255
    np.testing.assert_allclose(np.asarray(statistics[front]["mean"]).reshape(-1), pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(statistics[front]["std"]).reshape(-1), pixels.std(axis=0), rtol=2e-2)  # v2.1 adds episodes up


STANDARD = ("observation.state", "action", "observation.images.front", "observation.images.wrist")
OPENPI = ("state", "actions", "image", "wrist_image")


@pytest.mark.parametrize("backend", backends())
def test_v30_is_read(demonstrations: list[Demonstration], tmp_path: Path, backend: str) -> None:
    need("v3.0")
    path = written("lerobot_v3", tmp_path / "set", demonstrations)
    compare(opened(path, video_backend=backend), demonstrations, STANDARD, levels=films.CODEC_LEVELS)


@pytest.mark.parametrize("backend", backends())
def test_v30_in_many_files_is_read(demonstrations: list[Demonstration], tmp_path: Path, backend: str) -> None:
    need("v3.0")
    path = tmp_path / "set"
    staging = Staging(path, films.info())
    for demonstration in demonstrations:
        staging.take(lerobot_v3.FORMAT.store(path, films.info(), demonstration))
    staging.finish(functools.partial(lerobot_v3.build, data_mb=1e-3, video_mb=1e-3))
    assert len(list(path.rglob("*.mp4"))) == 8 and len(list((path / "data").rglob("*.parquet"))) == 4
    compare(opened(path, video_backend=backend), demonstrations, STANDARD, levels=films.CODEC_LEVELS)


def test_a_loader_shuffles_chunks_of_actions(demonstrations: list[Demonstration], tmp_path: Path) -> None:
    """As training asks for them: several steps of actions for one image, in any order, the end of an episode filled up."""
    name = "lerobot_v3" if version_read() == "v3.0" else "lerobot_v21"
    path = written(name, tmp_path / "set", demonstrations)
    dataset = opened(path, video_backend="pyav", delta_timestamps={"action": [i / 20 for i in range(4)], "observation.images.front": [-0.05, 0.0]})
    order = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0))
    seen = 0
    for batch in order:
        for actions, padded, number, step in zip(
            batch["action"], batch["action_is_pad"], batch["episode_index"], batch["frame_index"], strict=True
        ):
            d = demonstrations[int(number)]
            wanted = d.actions[np.minimum(np.arange(int(step), int(step) + 4), d.num_steps - 1)]
            np.testing.assert_array_equal(actions.numpy(), wanted)
            assert padded.tolist() == [int(step) + i >= d.num_steps for i in range(4)]
            seen += 1
        assert batch["observation.images.front"].shape[1:] == (2, 3, 48, 64)
    assert seen == sum(STEPS)


def test_some_episodes_alone_are_read(demonstrations: list[Demonstration], tmp_path: Path) -> None:
    name = "lerobot_v3" if version_read() == "v3.0" else "lerobot_v21"
    dataset = opened(written(name, tmp_path / "set", demonstrations), video_backend="pyav", episodes=[2])
    assert len(dataset) == STEPS[2]
    item = dataset[7]
    np.testing.assert_array_equal(item["action"].numpy(), demonstrations[2].actions[7])
    assert films.levels_apart(image(item["observation.images.wrist"]), demonstrations[2].images["wrist"][7]) <= films.CODEC_LEVELS


@pytest.mark.parametrize("backend", backends())
def test_v21_is_read(demonstrations: list[Demonstration], tmp_path: Path, backend: str) -> None:
    need("v2.1")
    path = written("lerobot_v21", tmp_path / "set", demonstrations)
    compare(opened(path, video_backend=backend), demonstrations, STANDARD, levels=films.CODEC_LEVELS)


def test_v21_under_the_names_of_openpi_is_read(demonstrations: list[Demonstration], tmp_path: Path) -> None:
    need("v2.1")
    compare(opened(written("lerobot_v21_openpi", tmp_path / "set", demonstrations)), demonstrations, OPENPI, levels=0.0)


def test_v21_becomes_v30_by_lerobots_own_converter(demonstrations: list[Demonstration], tmp_path: Path) -> None:
    need("v3.0")
    converter = pytest.importorskip("lerobot.datasets.v30.convert_dataset_v21_to_v30")
    written("lerobot_v21", tmp_path / "all" / "set", demonstrations)
    converter.convert_dataset("set", root=tmp_path / "all", push_to_hub=False, force_conversion=True)
    compare(opened(tmp_path / "all" / "set", video_backend="pyav"), demonstrations, STANDARD, levels=films.CODEC_LEVELS)


def test_our_reader_reads_what_lerobot_itself_wrote(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    made = films.demonstration(0, 6)
    features = {
        "observation.images.front": {"dtype": "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (7,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
    }
    theirs = LeRobotDataset.create("vlagym/theirs", fps=20, features=features, root=tmp_path / "theirs", robot_type="panda", use_videos=False)
    for episode in range(2):
        for step in range(6):
            row = {"observation.images.front": made.images["front"][step], "observation.state": made.proprio["joint_pos_rad"][step]}
            row |= {"action": made.actions[step] * (episode + 1) / 2}
            if version_read() == "v3.0":
                theirs.add_frame(row | {"task": f"task {episode}"})
            else:
                theirs.add_frame(row, task=f"task {episode}")
        theirs.save_episode()
    if hasattr(theirs, "finalize"):
        theirs.finalize()
    format_: Format = catalog.load("format", "lerobot_v3" if version_read() == "v3.0" else "lerobot_v21")
    with format_.open(tmp_path / "theirs") as reader, pytest.raises(BadData, match="episode 0 does not say whether it succeeded.*Say it in meta/info.json"):
        reader[0]
    at = tmp_path / "theirs" / "meta" / "info.json"
    at.write_text(json.dumps(json.loads(at.read_text(encoding="utf-8")) | {"success": [True, False]}), encoding="utf-8")
    with format_.open(tmp_path / "theirs") as reader:
        assert [reader[i].instruction for i in range(2)] == ["task 0", "task 1"] and reader.info.robot == "panda"
        assert [reader[i].is_success for i in range(2)] == [True, False]
        np.testing.assert_array_equal(reader[1].actions, made.actions)
        np.testing.assert_array_equal(reader[0].proprio["state"], made.proprio["joint_pos_rad"])
        np.testing.assert_array_equal(reader[1].images["front"], made.images["front"])
