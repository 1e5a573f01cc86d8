"""What the cameras' drivers deliver: the same to whoever looks, noise and lost images included, and clean pictures for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from vlagym.envs.env import VlaEnv
from vlagym.envs.sensing import CLEAN, Sensing, degraded, sources
from vlagym.envs.types import EpisodeSpec, SensorSpec, stream
from vlagym.envs.world import World

MOVING = np.array([0.6, 0, 0.4, 0, 0, 0.3, -1], np.float32)


@pytest.fixture
def sensed(two_blocks: EpisodeSpec) -> Callable[..., EpisodeSpec]:
    """Returns a function that changes what happens to the images of the episode with two blocks."""

    def change(**sensing: object) -> EpisodeSpec:
        return dataclasses.replace(two_blocks, sensing=SensorSpec(**sensing))  # type: ignore[arg-type]

    return change


def _grey(value: int = 128) -> np.ndarray:
    return np.full((40, 50, 3), value, np.uint8)


def test_noise_has_the_strength_that_is_asked_for_and_stays_an_image() -> None:
    noisy = degraded(_grey(), SensorSpec(noise_std=10.0), stream(0, "test"))
    assert noisy.dtype == np.uint8 and noisy.shape == (40, 50, 3)
    assert noisy.astype(float).std() == pytest.approx(10.0, rel=0.05) and noisy.astype(float).mean() == pytest.approx(128.0, abs=0.5)
    dark = degraded(_grey(0), SensorSpec(noise_std=10.0), stream(0, "test"))
    assert dark.min() == 0 and dark.max() < 60  # clipped, not wrapped around


def test_blur_spreads_a_point_as_far_as_it_says_and_loses_no_light() -> None:
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    blurred = degraded(point, SensorSpec(blur_px=1.0), stream(0, "test"))
    assert blurred[20, 20, 0] == round(255 / (2 * np.pi))  # the peak of a Gaussian of 1 px
    assert blurred.sum() == pytest.approx(3 * 255, rel=0.05) and np.array_equal(blurred, blurred.transpose(1, 0, 2))


def test_compression_hurts_more_at_a_lower_quality(two_blocks: EpisodeSpec) -> None:
    image = stream(1, "test").integers(0, 255, (40, 50, 3)).astype(np.uint8)
    rng = stream(0, "test")
    high, low = (degraded(image, SensorSpec(jpeg_quality=quality), rng).astype(float) for quality in (95, 10))
    assert np.abs(high - image).mean() < np.abs(low - image).mean()


def test_a_lost_image_is_replaced_by_the_last_one_that_arrived(sensed: Callable[..., EpisodeSpec]) -> None:
    taken = sources(sensed(dropped_share=0.5), "front", 2000)
    assert taken[0] == 0 and all(at <= step for step, at in enumerate(taken))
    assert all(taken[at] == at for at in set(taken))
    assert np.mean([at == step for step, at in enumerate(taken)]) == pytest.approx(0.5, abs=0.05)
    assert sources(sensed(dropped_share=0.5), "wrist", 2000) != taken  # each cable on its own


def test_a_frozen_camera_stands_still_from_the_moment_that_is_given(sensed: Callable[..., EpisodeSpec]) -> None:
    spec = sensed(frozen_camera="front", frozen_from_s=0.5)  # step 10 at 20 Hz
    assert sources(spec, "front", 14) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10]
    assert sources(spec, "wrist", 14) == list(range(14))


def test_only_states_that_are_delivered_later_are_kept(sensed: Callable[..., EpisodeSpec]) -> None:
    sensing = Sensing(sensed(frozen_camera="front", frozen_from_s=0.1))  # the image of step 2 for ever
    for step in range(10):
        sensing.keep(step, {"step": step})
        assert sensing.deliver("front", step + 1, {"step": step + 1}, lambda state: _grey(state["step"]))[0, 0, 0] == min(step + 1, 2)
        assert sensing.deliver("wrist", step + 1, {"step": step + 1}, lambda state: _grey(state["step"]))[0, 0, 0] == step + 1
        assert list(sensing._kept) == ([2] if step >= 2 else [])


@pytest.mark.gl
def test_what_is_delivered_does_not_depend_on_who_looked_before(sensed: Callable[..., EpisodeSpec]) -> None:
    spec = sensed(blur_px=0.8, noise_std=12.0, jpeg_quality=50, dropped_share=0.4, frozen_camera="wrist", frozen_from_s=0.2)

    def seen_at(steps: tuple[int, ...], cameras: tuple[str, ...]) -> list[bytes]:
        world = World()
        world.start(spec)
        found = []
        for step in range(9):
            if step in steps:
                images = world.observe(cameras).images
                found.append(images["wrist"].tobytes() + images.get("front", _grey()).tobytes())
            world.advance(MOVING)
        return found

    always = seen_at(tuple(range(9)), ("front", "wrist"))
    assert seen_at((3, 8), ("wrist", "front")) == [always[3], always[8]]
    assert len(set(always)) < 9  # some images were lost
    alone = [image[: 256 * 256 * 3] for image in always]
    assert [image[: 256 * 256 * 3] for image in seen_at((5, 7), ("wrist",))] == [alone[5], alone[7]]
    assert alone[4] == alone[8]  # frozen from step 4 on


@pytest.mark.gl
def test_people_are_shown_clean_images_and_depth_is_left_alone(two_blocks: EpisodeSpec, sensed: Callable[..., EpisodeSpec]) -> None:
    clean, noisy = World(depth=True), World(depth=True)
    clean.start(two_blocks)
    noisy.start(sensed(noise_std=20.0, frozen_camera="front"))
    for world in (clean, noisy):
        for _ in range(3):
            world.advance(MOVING)
    assert np.array_equal(clean.render("front", 64, 64), noisy.render("front", 64, 64))
    a, b = clean.observe(("front",)), noisy.observe(("front",))
    assert not np.array_equal(a.images["front"], b.images["front"]) and np.array_equal(a.depth["front"], b.depth["front"])
    b.images["front"][:] = 0
    assert noisy.observe(("front",)).images["front"].any()  # fresh memory
    assert clean.state_digest() == noisy.state_digest()


@pytest.mark.gl
def test_the_gymnasium_environment_shows_what_the_world_delivers(sensed: Callable[..., EpisodeSpec]) -> None:
    spec = sensed(noise_std=15.0, dropped_share=0.5)
    env, world = VlaEnv("stack"), World()
    seen, _ = env.reset(options={"spec": spec})
    world.start(spec)
    for _ in range(4):
        assert np.array_equal(seen["images"]["front"], world.observe(("front",)).images["front"])
        seen, *_ = env.step(MOVING)
        world.advance(MOVING)
    env.close()


def test_an_episode_without_it_is_written_as_before(two_blocks: EpisodeSpec) -> None:
    assert two_blocks.sensing == CLEAN and "sensing" not in two_blocks.to_json()
