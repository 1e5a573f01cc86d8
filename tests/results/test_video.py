"""Video is small, stays near to what was seen, and takes whatever array of images it is given."""

from __future__ import annotations

from pathlib import Path

import films
import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.results.formats import _video, lerobot_v3


def psnr_db(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    squares = (first.astype(np.float64) - second) ** 2
    return float(10 * np.log10(255**2 / squares.mean()))


@pytest.mark.gl
def test_an_episode_of_150_steps_and_two_cameras_has_less_than_3_mb_and_is_seen_well(tmp_path: Path) -> None:
    from vlagym.envs.sampling import sample
    from vlagym.envs.world import World

    spec = sample("place_on", seed=1_000_000)
    world = World(quality="fast", look="auto")
    try:
        world.start(spec)
        seen = []
        for step in range(10):
            seen.append(world.observe(("front", "wrist")).images)
            world.advance(np.array([0.5, (-1.0) ** step, -0.5, 0, 0, 0.3, -1], np.float32))
    finally:
        world.close()
    sizes = 0
    for camera, wanted_db in (("front", 37.0), ("wrist", 33.0)):
        images = np.stack([one[camera] for one in seen])
        _video.encode(tmp_path / f"{camera}.mp4", images, 20)
        sizes += (tmp_path / f"{camera}.mp4").stat().st_size
        assert images.shape == (10, 256, 256, 3)
        assert psnr_db(_video.decode(tmp_path / f"{camera}.mp4", 0.0, 10, 20), images) > wanted_db, camera
    assert 150 * sizes / 10 < 3e6


def test_images_may_be_views_and_read_only(tmp_path: Path) -> None:
    images = films.demonstration(0, 4).images["front"]
    _video.encode(tmp_path / "plain.mp4", images, 20)
    wanted = _video.decode(tmp_path / "plain.mp4", 0.0, 4, 20)
    images.flags.writeable = False
    backwards = np.ascontiguousarray(images[:, ::-1, ::-1])[:, ::-1, ::-1]
    for name, same in (("read_only", images), ("views", backwards)):
        _video.encode(tmp_path / f"{name}.mp4", same, 20)
        np.testing.assert_array_equal(_video.decode(tmp_path / f"{name}.mp4", 0.0, 4, 20), wanted)


def test_a_dataset_that_an_earlier_version_began_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was encoded otherwise lies in a file of its own: frames of one cannot follow those of the other."""
    made = [films.demonstration(i, steps) for i, steps in enumerate((4, 3, 5))]
    writer = lerobot_v3.write(tmp_path / "set", films.info())
    with monkeypatch.context() as before:
        before.setattr(_video, "_OPTIONS", {**_video._OPTIONS, "preset": "veryfast"})
        writer.append(made[0])
    writer.append(made[1])
    writer.append(made[2])
    writer.close()
    files = sorted(p.name for p in (tmp_path / "set" / "videos" / "observation.images.front" / "chunk-000").iterdir())
    assert files == ["file-000.mp4", "file-001.mp4"]
    for found, d in zip(lerobot_v3.FORMAT.read(tmp_path / "set"), made, strict=True):
        assert films.levels_apart(found.images["front"], d.images["front"]) < films.CODEC_LEVELS
        assert found.digest == d.digest
