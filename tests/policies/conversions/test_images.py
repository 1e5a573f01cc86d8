"""Images in another size, range and orientation: against Pillow, against plain arithmetic, and by what must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from vlagym.envs.images import Shrink
from vlagym.policies.conversions import images

Image = NDArray[np.uint8]


def noise(height: int = 48, width: int = 64, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_the_area_mean_of_whole_blocks_is_the_shrinking_of_the_house() -> None:
    square = noise(64, 64)
    assert np.abs(images.stretched(square, 16, 16, "area").astype(int) - Shrink(crop=64, size=16).apply(square)).max() <= 1


def test_filters_weigh_all_pixels_that_are_covered() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    for by in ("area", "bilinear", "lanczos3"):
        assert np.abs(images.stretched(stripes, 8, 8, by).astype(int)[:, 1:-1] - 100).max() <= 3, f"{by} picks single columns"


def test_lanczos_of_three_lobes_is_its_formula() -> None:
    row = noise(1, 60, seed=3)
    made = images.stretched(row, 20, 1, "lanczos3")[0, :, 0]
    x = np.arange(60) + 0.5

    def pixel(i: int) -> float:
        at = np.abs((x - (i + 0.5) * 3) / 3)
        weight = np.where(at < 3, np.sinc(at) * np.sinc(at / 3), 0.0)
        return float(np.clip((weight * row[0, :, 0]).sum() / weight.sum(), 0, 255))

    assert np.abs(made - np.array([pixel(i) for i in range(20)])).max() <= 1


def test_a_stretched_image_has_the_size_whatever_its_sides_were() -> None:
    assert images.stretched(noise(), 224, 224, "bilinear").shape == (224, 224, 3)
    same = noise()
    assert np.array_equal(images.stretched(same, 64, 48, "lanczos3"), same)


def test_a_padded_image_keeps_its_sides_ratio_between_black_bars() -> None:
    white = np.full((48, 64, 3), 255, np.uint8)
    made = images.padded(white, 224, 224, "bilinear")
    assert made.shape == (224, 224, 3)
    rows = made[:, 100, 0]
    assert (rows[:28] == 0).all() and (rows[28:196] == 255).all() and (rows[196:] == 0).all()
    tall = images.padded(white.transpose(1, 0, 2), 224, 224, "bilinear")[100, :, 0]
    assert (tall[:28] == 0).all() and (tall[28:196] == 255).all() and (tall[196:] == 0).all()


def test_an_odd_row_of_black_is_behind_and_what_is_between_is_pillows() -> None:
    image = noise(45, 80)
    made = images.padded(image, 60, 60, "bilinear")  # 80 to 60 is 45 to 33.75: 33 rows, 13 black ones before and 14 behind
    inner = np.asarray(Pillow.fromarray(image).resize((60, 33), Pillow.Resampling.BILINEAR))
    assert np.array_equal(made[13:46], inner) and not made[:13].any() and not made[46:].any()


def test_a_square_image_needs_no_bars() -> None:
    square = noise(96, 96)
    assert np.array_equal(images.padded(square, 32, 32, "area"), images.stretched(square, 32, 32, "area"))


def test_the_middle_of_an_image_is_what_lies_in_its_box() -> None:
    ramp = np.broadcast_to(np.arange(0, 202, 2, dtype=np.uint8)[None, :, None], (101, 101, 3)).copy()  # the value of column i is 2 i
    made = images.centre(ramp, 0.25)  # half of each side: columns 25 to 75, whose 101 samples are half a column apart
    assert np.abs(made[0, :, 0].astype(float) - np.linspace(50, 150, 101)).max() <= 1
    assert made.shape == ramp.shape and (made == made[0]).all()


def test_the_middle_is_that_of_a_slow_loop_over_pixels() -> None:
    image, share = noise(20, 24, seed=5), 0.9
    made, side = images.centre(image, share), math.sqrt(share)

    def sample(i: int, j: int) -> NDArray[np.float64]:
        y = ((1 - side) / 2 + side * i / 19) * 19
        x = ((1 - side) / 2 + side * j / 23) * 23
        (t, v), (s, u) = divmod(y, 1), divmod(x, 1)
        corners = [[image[min(int(t) + a, 19), min(int(s) + b, 23)] / 255 for b in (0, 1)] for a in (0, 1)]
        top, bottom = (c[0] * (1 - u) + c[1] * u for c in corners)
        return np.asarray((top * (1 - v) + bottom * v) * 255.5)

    wanted = np.array([[sample(i, j) for j in range(24)] for i in range(20)])
    assert np.abs(made - np.floor(np.clip(wanted, 0, 255))).max() <= 1


def test_all_of_an_image_is_itself() -> None:
    assert np.array_equal(images.centre(noise(), 1.0), noise())


@pytest.mark.parametrize("flips", [("rows",), ("columns",), ("columns", "rows")])
def test_turning_twice_is_nothing(flips: tuple[images.Flip, ...]) -> None:
    once = images.turned(noise(), flips)
    assert not np.array_equal(once, noise()) and np.array_equal(images.turned(once, flips), noise()) and once.flags.c_contiguous


def test_a_mirrored_image_has_left_and_right_exchanged_and_a_flipped_one_top_and_bottom() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255
    assert images.turned(image, ("columns",))[0, 1].all() and images.turned(image, ("rows",))[1, 0].all()
    assert images.ORIENTATIONS["mirrored"] == {"columns"} and images.ORIENTATIONS["flipped_vertical"] == {"rows"}


def test_values_are_whole_or_from_zero_or_minus_one_to_one() -> None:
    image = np.array([[[0, 51, 255]]], np.uint8)
    assert images.valued(image, "uint8") is image
    for values, wanted in (("unit", [0.0, 0.2, 1.0]), ("symmetric", [-1.0, -0.6, 1.0])):
        made = images.valued(image, values)  # type: ignore[arg-type]
        assert made.dtype == np.float32 and made[0, 0].tolist() == pytest.approx(wanted)
