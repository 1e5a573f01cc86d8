"""The patterns that surfaces are made of: planks, tiles, marble, cloth … drawn with a seed of their own, so that no episode depends on them."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import Vec3

Picture = NDArray[np.float64]
"""(size, size, 3) values between 0 and 255, row 0 on top."""
Field = NDArray[np.float64]
"""(size, size) one number a pixel."""

_TURN = 2.0 * np.pi


class Pattern(abc.ABC):
    """A way to fill a square. Colours are RGB from 0 to 255."""

    @abc.abstractmethod
    def render(self, size: int) -> Picture:
        """Returns the picture, `size` pixels wide and high."""


@dataclass(frozen=True, kw_only=True)
class Planks(Pattern):
    """Boards that run from left to right, with grain and dark joints."""

    rgb: Vec3
    planks: int = 8
    grain: float = 0.025
    """Strength of the grain."""
    variety: float = 0.10
    """By how much boards differ in brightness."""
    joint: float = 0.10
    """How dark the joints are."""
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[0:size, 0:size] / size
        plank = np.floor(y * self.planks).astype(int)
        tone = rng.uniform(1.0 - self.variety, 1.0, self.planks)[plank]
        phase = rng.uniform(0, 6.28, self.planks)[plank]
        lines = np.zeros((size, size))
        for frequency, weight in ((34, 0.5), (71, 0.3), (139, 0.2)):
            lines += weight * np.sin(frequency * 6.2832 * y / 8 + 3.0 * np.sin(6.2832 * x + phase) + phase * frequency)
        seam = np.clip(np.abs(y * self.planks % 1 - 0.5) * 2 - 0.97, 0, 1) / 0.03
        value = tone + self.grain * lines - self.joint * seam
        picture: Picture = np.array(self.rgb) * value[..., None]
        return picture


@dataclass(frozen=True, kw_only=True)
class Tiles(Pattern):
    """Tiles with grout between them; every second one in the second colour where there is one."""

    rgb: Vec3
    second_rgb: Vec3 | None = None
    grout_rgb: Vec3 = (200.0, 198.0, 192.0)
    columns: int = 4
    rows: int = 4
    grout: float = 0.03
    """Width of the grout as a share of a tile's height."""
    offset: bool = False
    """Whether every second row is shifted by half a tile, as bricks are."""
    variety: float = 0.05
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        row = np.floor(v * self.rows).astype(int)
        across = u * self.columns + (0.5 * (row % 2) if self.offset else 0.0)
        column = np.floor(across).astype(int) % self.columns
        tone = rng.uniform(1.0 - self.variety, 1.0 + self.variety, (self.rows, self.columns))[row, column]
        colour = np.array(self.rgb) * np.ones((size, size, 1))
        if self.second_rgb is not None:
            colour = np.where(((row + column) % 2 == 1)[..., None], np.array(self.second_rgb), colour)
        # Distances to the next joint, in tile heights, so that joints are equally wide both ways.
        aspect = self.rows / self.columns
        gap = np.minimum((0.5 - np.abs(across % 1 - 0.5)) * aspect, 0.5 - np.abs(v * self.rows % 1 - 0.5))
        edge = np.clip((gap - self.grout / 2) / (0.6 * self.rows / size), 0.0, 1.0)
        bevel = 1.0 - 0.06 * np.clip(1.0 - (gap - self.grout / 2) / 0.05, 0.0, 1.0)
        picture: Picture = colour * (tone * bevel * (1.0 + 0.015 * _noise(size, 3, 5, rng)))[..., None]
        return _mix(np.array(self.grout_rgb) * np.ones_like(picture), picture, edge)


@dataclass(frozen=True, kw_only=True)
class Marble(Pattern):
    """Polished stone with veins."""

    rgb: Vec3
    vein_rgb: Vec3
    scale: int = 2
    """Veins across the picture."""
    cloud: float = 0.05
    vein: float = 0.55
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        veins = np.zeros((size, size))
        for weight, (along, across), width in ((1.0, (self.scale, 1), 0.05), (0.7, (self.scale + 1, -1), 0.03)):
            # Bent a little, so that veins run and do not curl; broken where the second noise is low.
            wave = np.sin(_TURN * (along * u + across * v) + 0.9 * _noise(size, 5, 1, rng))
            strength = np.clip(0.45 + 0.6 * _noise(size, 3, 2, rng), 0.0, 1.0)
            sharp, soft = np.exp(-((wave / width) ** 2)), np.exp(-((wave / (7.0 * width)) ** 2))
            veins = np.maximum(veins, weight * strength * (0.7 * sharp + 0.3 * soft))
        base = np.array(self.rgb) * (1.0 + self.cloud * _noise(size, 5, 2, rng))[..., None]
        return _mix(base, np.array(self.vein_rgb) * np.ones_like(base), self.vein * veins)


@dataclass(frozen=True, kw_only=True)
class Checks(Pattern):
    """Woven cloth with checks: threads of the second colour run both ways and are darkest where they cross."""

    rgb: Vec3
    second_rgb: Vec3
    count: int = 8
    share: float = 0.5
    """Of the second colour along one direction."""
    thread: float = 0.03
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        both = 0.5 * ((v * self.count % 1 < self.share).astype(float) + (u * self.count % 1 < self.share))
        base = np.array(self.rgb) * np.ones((size, size, 3))
        return _mix(base, np.array(self.second_rgb) * np.ones_like(base), both) * _threads(size, self.thread, rng)[..., None]


@dataclass(frozen=True, kw_only=True)
class Cloth(Pattern):
    """Plain woven cloth, felt or carpet; with stripes of another colour along one direction where there is one."""

    rgb: Vec3
    stripe_rgb: Vec3 | None = None
    stripes: int = 6
    share: float = 0.15
    thread: float = 0.05
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, _ = _pixels(size)
        picture: Picture = np.array(self.rgb) * np.ones((size, size, 3))
        if self.stripe_rgb is not None:
            picture = np.where((v * self.stripes % 1 < self.share)[..., None], np.array(self.stripe_rgb), picture)
        return picture * _threads(size, self.thread, rng)[..., None]


@dataclass(frozen=True, kw_only=True)
class Speckle(Pattern):
    """Terrazzo, laminate or cork: chips of other colours in a base."""

    rgb: Vec3
    chips_rgb: tuple[Vec3, ...]
    chips: int = 260
    radius: float = 0.012
    """Mean radius of a chip as a share of the picture."""
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        picture: Picture = np.array(self.rgb) * (1.0 + 0.02 * _noise(size, 4, 3, rng))[..., None]
        wobble = 0.25 * _noise(size, 4, 9, rng)
        for _ in range(self.chips):
            middle = rng.integers(0, size, 2)
            turn = float(rng.uniform(0.0, np.pi))
            long, wide = (size * self.radius * float(rng.uniform(0.4, most)) for most in (1.7, 1.0))
            colour = np.array(self.chips_rgb[int(rng.integers(len(self.chips_rgb)))])
            reach = int(1.6 * max(long, wide)) + 1
            dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
            rows, columns = (dy + middle[0]) % size, (dx + middle[1]) % size
            along, across = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
            inside = np.hypot(along / long, across / wide) < 1.0 + wobble[rows, columns]
            picture[rows[inside], columns[inside]] = colour
        return picture


@dataclass(frozen=True, kw_only=True)
class Brushed(Pattern):
    """Brushed metal: fine lines from left to right."""

    rgb: Vec3
    strength: float = 0.05
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        lines = np.repeat(rng.normal(0.0, 1.0, (size, 1)), size, axis=1)
        value = 1.0 + self.strength * (0.6 * lines + 0.4 * _noise(size, 3, 2, rng))
        picture: Picture = np.array(self.rgb) * value[..., None]
        return picture


@dataclass(frozen=True, kw_only=True)
class Plaster(Pattern):
    """Painted plaster or concrete: clouds and a little grit."""

    rgb: Vec3
    cloud: float = 0.03
    grit: float = 0.01
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        value = 1.0 + self.cloud * _noise(size, 5, 2, rng) + self.grit * rng.normal(0.0, 1.0, (size, size))
        picture: Picture = np.array(self.rgb) * value[..., None]
        return picture


@dataclass(frozen=True, kw_only=True)
class Dots(Pattern):
    """Dots on a grid: wallpaper, or a board with holes."""

    rgb: Vec3
    dot_rgb: Vec3
    count: int = 8
    radius: float = 0.15
    """As a share of the distance between dots."""
    staggered: bool = False
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        row = np.floor(v * self.count)
        x, y = (u * self.count + (0.5 * (row % 2) if self.staggered else 0.0)) % 1 - 0.5, v * self.count % 1 - 0.5
        inside = np.clip((self.radius - np.hypot(x, y)) * size / self.count + 0.5, 0.0, 1.0)
        base = np.array(self.rgb) * (1.0 + 0.01 * _noise(size, 4, 2, rng))[..., None]
        return _mix(base, np.array(self.dot_rgb) * np.ones_like(base), inside)


@dataclass(frozen=True, kw_only=True)
class Stripes(Pattern):
    """Upright stripes of two colours: wallpaper or panelling."""

    rgb: Vec3
    second_rgb: Vec3
    count: int = 6
    share: float = 0.5
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        _, u = _pixels(size)
        base = np.array(self.rgb) * np.ones((size, size, 3))
        mixed = _mix(base, np.array(self.second_rgb) * np.ones_like(base), (u * self.count % 1 < self.share).astype(float))
        return mixed * (1.0 + 0.012 * _noise(size, 4, 2, rng))[..., None]


@dataclass(frozen=True, kw_only=True)
class Books(Pattern):
    """Spines of books that stand side by side on a shelf, dark behind them."""

    colours_rgb: tuple[Vec3, ...]
    rows: int = 1
    shelf_rgb: Vec3 = (90.0, 66.0, 44.0)
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        picture: Picture = np.full((size, size, 3), 24.0)
        height = size // self.rows
        board = max(2, height // 16)
        for row in range(self.rows):
            top, foot, x = row * height, (row + 1) * height - board, 1
            while x < size - size // 40:
                width = int(rng.integers(max(3, size // 40), max(5, size // 16)))
                end, head = min(x + width, size - 1), top + int((0.06 + 0.24 * rng.random()) * height)
                colour = np.array(self.colours_rgb[int(rng.integers(len(self.colours_rgb)))]) * rng.uniform(0.85, 1.1)
                shade = 1.0 - 0.25 * np.abs(np.linspace(-1.0, 1.0, end - x)) ** 3
                picture[head:foot, x:end] = colour * shade[:, None]
                band = head + int(rng.uniform(0.12, 0.3) * (foot - head))
                picture[band : band + max(1, height // 24), x + 1 : end - 1] = np.array([232.0, 222.0, 190.0])
                x = end + 1 + int(6 * rng.random() ** 6 * size / 256)
            picture[foot : foot + board] = np.array(self.shelf_rgb)
        return picture


@dataclass(frozen=True, kw_only=True)
class View(Pattern):
    """What is seen through a window, or on a picture: a sky over ranges of hills or roofs."""

    sky_rgb: Vec3
    horizon_rgb: Vec3
    ground_rgb: tuple[Vec3, ...]
    """From the farthest range to the nearest."""
    horizon: float = 0.55
    """Where the farthest range begins, from the top."""
    roofs: bool = False
    """Whether the ranges are the roofs of a town."""
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        clouds = np.clip(_noise(size, 4, 2, rng), 0.0, 1.0) * (v < self.horizon)
        sky = np.array(self.sky_rgb) * np.ones((size, size, 3))
        picture = _mix(sky, np.array(self.horizon_rgb) * np.ones_like(sky), np.clip(v / self.horizon, 0.0, 1.0))
        picture = _mix(picture, np.full_like(sky, 250.0), 0.45 * clouds)
        for i, colour in enumerate(self.ground_rgb):
            depth = self.horizon + (1.0 - self.horizon) * i / len(self.ground_rgb)
            if self.roofs:
                blocks = 9 + 2 * i
                edge = rng.uniform(-0.13, 0.05, blocks)[np.floor(u * blocks).astype(int)]
            else:
                waves = [(k, float(rng.uniform(0.0, _TURN)), float(rng.uniform(0.3, 1.0))) for k in (1, 2, 3, 5)]
                edge = sum((0.05 * w / k * np.sin(_TURN * k * u + phase) for k, phase, w in waves), np.zeros_like(u))
            picture = np.where((v > depth + edge)[..., None], np.array(colour) * (1.05 - 0.25 * v[..., None]), picture)
        return picture


@dataclass(frozen=True, kw_only=True)
class Text(Pattern):
    """Lines of writing that is too small to read: a screen, or a menu on a board."""

    rgb: Vec3
    ink_rgb: tuple[Vec3, ...]
    lines: int = 20
    ragged: float = 1.0
    """How much lines differ in where they begin."""
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        picture: Picture = np.array(self.rgb) * (1.0 + 0.03 * _noise(size, 4, 2, rng))[..., None]
        step = size / (self.lines + 1)
        height = max(1, round(0.45 * step))
        for line in range(self.lines):
            if rng.random() < 0.12:
                continue
            top = round((line + 0.75) * step)
            x = round(size * (0.06 + 0.12 * self.ragged * int(rng.integers(0, 4)) / 3))
            for _ in range(int(rng.integers(2, 7))):
                end = min(x + int(rng.integers(size // 32, size // 7)), round(0.94 * size))
                picture[top : top + height, x:end] = np.array(self.ink_rgb[int(rng.integers(len(self.ink_rgb)))])
                x = end + max(2, size // 64)
        return picture


@dataclass(frozen=True, kw_only=True)
class Mats(Pattern):
    """Puzzle mats of foam in several colours, with a toothed joint between them."""

    colours_rgb: tuple[Vec3, ...]
    count: int = 4
    teeth: int = 5
    seed: int = 1

    def render(self, size: int) -> Picture:
        rng = np.random.default_rng(self.seed)
        v, u = _pixels(size)
        bite = 0.05 / self.count
        y = v + bite * np.sign(np.sin(_TURN * u * self.count * self.teeth))
        x = u + bite * np.sign(np.sin(_TURN * v * self.count * self.teeth))
        row, column = (np.floor(t * self.count).astype(int) % self.count for t in (y, x))
        index = (row * 2 + column) % len(self.colours_rgb)
        picture: Picture = np.array(self.colours_rgb)[index] * (1.0 + 0.03 * rng.normal(0.0, 1.0, (size, size)))[..., None]
        return picture


PATTERNS: Mapping[str, type[Pattern]] = {
    "planks": Planks,
    "tiles": Tiles,
    "marble": Marble,
    "checks": Checks,
    "cloth": Cloth,
    "speckle": Speckle,
    "brushed": Brushed,
    "plaster": Plaster,
    "dots": Dots,
    "stripes": Stripes,
    "books": Books,
    "view": View,
    "mats": Mats,
    "text": Text,
}


def _pixels(size: int) -> tuple[Field, Field]:
    """Returns v (down) and u (to the right) of the middles of all pixels, between 0 and 1."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    return v, u


def _noise(size: int, octaves: int, lowest: int, rng: np.random.Generator) -> Field:
    """Returns smooth noise, about 1 in size, that joins with itself at the borders: waves in random directions, ever finer and weaker."""
    t = _TURN * (np.arange(size) + 0.5) / size
    total, weight = np.zeros((size, size)), 1.0
    for octave in range(octaves):
        high = lowest * 2**octave
        for _ in range(5):
            a, b = (int(k) for k in rng.integers(-high, high + 1, 2))
            phase = float(rng.uniform(0.0, _TURN))
            # sin(x + y), of which only sines of single coordinates need be computed
            total += weight * (np.outer(np.sin(b * t + phase), np.cos(a * t)) + np.outer(np.cos(b * t + phase), np.sin(a * t)))
        weight *= 0.6
    field: Field = total / 2.6
    return field


def _threads(size: int, strength: float, rng: np.random.Generator) -> Field:
    """Returns brightness about 1 of threads that cross, each a little different."""
    weft, warp = rng.normal(0.0, 1.0, (size, 1)), rng.normal(0.0, 1.0, (1, size))
    over = np.indices((size, size)).sum(axis=0) % 2
    field: Field = 1.0 + strength * (0.5 * weft + 0.5 * warp + 0.7 * (over - 0.5))
    return field


def _mix(a: Picture, b: Picture, share: Field) -> Picture:
    """Returns a where the share is 0 and b where it is 1."""
    mixed: Picture = a + (b - a) * share[..., None]
    return mixed
