"""Films of demonstrations: what vlagym made is simulated again, what others recorded is shown as it is stored."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import collecting
import fakes
import h5py
import imageio.v2 as imageio
import numpy as np
import pytest

from vlagym.benchmark import dataset_replay
from vlagym.benchmark.cli import main
from vlagym.benchmark.dataset_replay import film_demonstration, find_demonstration
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import EpisodeSpec, Facts
from vlagym.results.datasets import open_dataset

Capsys = pytest.CaptureFixture[str]
film = partial(film_demonstration, make_world=fakes.make_world)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeRobot folder of two demonstrations that vlagym wrote, images of every step."""
    out = tmp_path_factory.mktemp("made") / "set"
    list(Collection(collecting.options(out, 2, format="lerobot_v3")))
    return out


@pytest.fixture
def libero(tmp_path: Path) -> Path:
    """A file as LIBERO writes it: images bottom up, each row seen after its action."""
    path, steps = tmp_path / "put_the_bowl_on_the_plate_demo.hdf5", 4
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"type": 1, "env_name": "Libero", "env_kwargs": {"robots": ["Panda"], "control_freq": 20}})
        data.attrs["macros_image_convention"] = "opengl"
        demo = data.create_group("demo_0")
        demo["actions"], demo["rewards"] = np.zeros((steps, 7)), np.eye(steps, dtype=np.uint8)[-1]
        demo["dones"] = demo["rewards"]
        demo["states"] = np.tile(np.arange(steps, dtype=np.float64)[:, None], (1, 17))
        obs = demo.create_group("obs")
        obs["joint_states"] = np.tile(np.arange(1, steps + 1, dtype=np.float64)[:, None], (1, 7))
        image = np.zeros((steps, 16, 16, 3), np.uint8)
        image[:, 8:] = 250  # the lower half of an image that lies upside down: the sky
        obs["agentview_rgb"] = image
        obs["eye_in_hand_rgb"] = image[:, ::2, ::2]
    return path


def test_a_demonstration_is_simulated_again_at_any_size(folder: Path, tmp_path: Path) -> None:
    class Noting(fakes.FakeWorld):
        def start(self, spec: EpisodeSpec) -> Facts:
            heights.append(spec.scene.cameras[0].height)
            return super().start(spec)

    heights: list[int] = []
    found = film_demonstration(folder, "1", tmp_path / "film.gif", size=32, make_world=Noting)
    assert found.is_simulated and found.number == 1 and found.frames == found.demonstration.num_steps + 1
    assert heights == [32] and len(imageio.mimread(tmp_path / "film.gif")) == (found.frames + 1) // 2


def test_the_images_of_the_dataset_can_be_looked_at(folder: Path, tmp_path: Path) -> None:
    found = film(folder, "0", tmp_path / "film.png", as_stored=True)
    assert not found.is_simulated and found.frames == found.demonstration.num_steps
    with open_dataset(folder) as reader:
        strip = np.asarray(imageio.imread(tmp_path / "film.png"))
        np.testing.assert_array_equal(strip[:, :8], reader[0].images["front"][0])
    assert strip.shape == (8, 64, 3)
    with pytest.raises(BadData, match="the images of a dataset have the size that they have: leave out --size"):
        film(folder, "0", tmp_path / "large.png", as_stored=True, size=64)


def test_what_others_recorded_is_shown_upright(libero: Path, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "film.png"
    assert main(["replay", str(libero), "0", "--out", str(out)]) == 0
    told = "3 frames of demonstration 0 (stored images), success: 'put the bowl on the plate'"
    assert capsys.readouterr().out == f"{out}: {told}\n"
    strip = np.asarray(imageio.imread(out))
    assert strip.shape == (16, 48, 3) and strip[0, 0, 0] == 250 and strip[-1, 0, 0] == 0
    assert main(["replay", str(libero), "0", "--out", str(out), "--camera", "front", "--camera", "wrist"]) == 2
    assert "cameras of different sizes cannot be joined in one film (front 16x16, wrist 8x8)" in capsys.readouterr().err
    assert main(["replay", str(libero), "0", "--out", str(tmp_path / "x.mp4"), "--camera", "side"]) == 2
    assert "no camera is called 'side'. There are: front, wrist." in capsys.readouterr().err and not (tmp_path / "x.mp4").exists()


def test_a_demonstration_goes_by_its_number_or_the_first_digits_of_its_digest(folder: Path) -> None:
    with open_dataset(folder) as reader:
        first, second = reader.digests
        assert find_demonstration(reader, "1") == 1 and find_demonstration(reader, second[:9]) == 1 and find_demonstration(reader, first) == 0
        with pytest.raises(UnknownName, match="the dataset has no demonstration '7{9}': there are 2, from 0 to 1, and no digest begins so"):
            find_demonstration(reader, "7" * 9)
        with pytest.raises(BadData, match="2 digests of the dataset begin with '': give more of its digits"):
            find_demonstration(reader, "")


def test_one_that_does_not_run_the_same_again_is_not_filmed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stands_still(path: Path) -> Any:
        reader = open_dataset(path)
        d = reader[0]

        class Other:
            info, digests = reader.info, reader.digests

            def __len__(self) -> int:
                return 1

            def __getitem__(self, index: int) -> Any:
                return dataclasses.replace(d, executed_actions=np.zeros_like(d.executed_actions))

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                reader.close()

        return Other()

    monkeypatch.setattr(dataset_replay, "open_dataset", stands_still)
    with pytest.raises(BadData, match="the episode ended by goal, and now it goes on after its .* It does not run the same here: see vlagym verify"):
        film(folder, "0", tmp_path / "film.gif")
    assert not list(tmp_path.iterdir())


def test_it_says_to_machines_what_was_filmed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.setattr(dataset_replay, "film_demonstration", film)
    out = tmp_path / "film.gif"
    assert main(["replay", str(folder), "0", "--out", str(out), "--json"]) == 0
    with open_dataset(folder) as reader:
        d = reader[0]
    assert json.loads(capsys.readouterr().out) == {
        "out": str(out),
        "frames": d.num_steps + 1,
        "shown": "simulated",
        "number": 0,
        "digest": d.digest,
        "task": "place_on",
        "seed": FIRST_DEMO_SEED,
        "outcome": "success",
        "instruction": "put the red block on the plate",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "0", "--out", "film.avi"], "film.avi ends in '.avi'; a replay is written to .mp4, .gif, .png"),
        (["set", "0", "--out", "x.gif", "--camera", "writs"], "no camera is called 'writs'"),
        (["nowhere", "0", "--out", "x.gif"], "nowhere is not a run folder"),
    ],
)
def test_what_cannot_be_filmed_is_answered_in_a_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["replay", str(folder.parent / words[0]), *words[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line and not list(tmp_path.iterdir())


def test_images_that_are_fewer_than_steps_are_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(path: Path) -> Any:
        reader = open_dataset(path)
        d = reader[0]

        class Short:
            info, digests = reader.info, reader.digests

            def __len__(self) -> int:
                return 1

            def __getitem__(self, index: int) -> Any:
                return dataclasses.replace(d, images={camera: images[:2] for camera, images in d.images.items()})

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                reader.close()

        return Short()

    monkeypatch.setattr(dataset_replay, "open_dataset", cut_off)
    with pytest.raises(BadData, match=r"has 2 images of 'front' for \d+ steps: it is not whole"):
        film(folder, "0", tmp_path / "film.png", as_stored=True)
