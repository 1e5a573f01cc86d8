"""The pixels of textures: labels, patterns and skins, drawn over the colour that an object is painted with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.textures.bitmap_font import text_mask
from vlagym.envs.textures.texture import Pattern, Rgb, Texture

_Image = NDArray[np.float64]


def draw(texture: Texture, ground: tuple[float, ...]) -> NDArray[np.uint8]:
    """Returns the pixels `(H, W, 3)` uint8 of a texture, row 0 on top; the same on every machine.

    Args:
      texture: What to draw.
      ground: RGB or RGBA of the part that it lies on, 0 to 1.
    """
    return _draw(texture, (ground[0], ground[1], ground[2]))


@functools.lru_cache(maxsize=512)
def _draw(texture: Texture, ground: Rgb) -> NDArray[np.uint8]:
    height, width = texture.size_px
    image = np.empty((height, width, 3))
    image[:] = ground
    v, u = (np.mgrid[0:height, 0:width] + 0.5) / np.array([height, width])[:, None, None]
    painted = _PATTERNS[texture.pattern](texture, image, u, v)
    pixels: NDArray[np.uint8] = np.clip(painted * 255.0, 0.0, 255.0).round().astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def _mix(image: _Image, colour: Rgb, share: NDArray[Any]) -> _Image:
    """Returns the image with a colour laid over it: share (H, W) from 0, not at all, to 1."""
    weight = np.clip(share, 0.0, 1.0)[..., None]
    mixed: _Image = image * (1.0 - weight) + np.array(colour) * weight
    return mixed


def _edge(inside: _Image) -> _Image:
    """Returns how far a pixel belongs to a figure: 1 where `inside` is well above 0, 0 where it is well below, and a soft edge between."""
    share: _Image = np.clip(0.5 + inside * 60.0, 0.0, 1.0)
    return share


def _noise(texture: Texture, cells_v: int, cells_u: int) -> _Image:
    """Returns smooth noise (H, W) about 0, periodic across and down, with a standard deviation near 1."""
    height, width = texture.size_px
    coarse = np.random.default_rng([texture.seed, cells_v, cells_u]).standard_normal((cells_v, cells_u))
    y, x = np.arange(height) * cells_v / height, np.arange(width) * cells_u / width
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    ty, tx = (_ease(y - y0)[:, None], _ease(x - x0)[None, :])
    y0, x0 = y0 % cells_v, x0 % cells_u
    y1, x1 = (y0 + 1) % cells_v, (x0 + 1) % cells_u
    upper = coarse[np.ix_(y0, x0)] * (1 - tx) + coarse[np.ix_(y0, x1)] * tx
    lower = coarse[np.ix_(y1, x0)] * (1 - tx) + coarse[np.ix_(y1, x1)] * tx
    smooth: _Image = upper * (1 - ty) + lower * ty
    return smooth


def _ease(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return t * t * (3.0 - 2.0 * t)


def _write(image: _Image, line: str, colour: Rgb, centre_uv: tuple[float, float], height: float, widest: float) -> _Image:
    """Returns the image with a line of text, as high as asked for unless it would be wider than `widest`; all as shares of the image."""
    rows, columns = image.shape[:2]
    mask = text_mask(line)
    high = max(7, round(height * rows))
    wide = max(1, round(high * mask.shape[1] / mask.shape[0]))
    if wide > widest * columns:
        wide = max(1, int(widest * columns))
    y, x = np.arange(high) * mask.shape[0] // high, np.arange(wide) * mask.shape[1] // wide
    stamp = mask[np.ix_(y, x)]
    top, left = round(centre_uv[1] * rows - high / 2), round(centre_uv[0] * columns - wide / 2)
    top, left = min(max(top, 0), rows - high), min(max(left, 0), columns - wide)
    written = image.copy()
    written[top : top + high, left : left + wide][stamp] = colour
    return written


def _label(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """A wrapped label: bands above and below, and the text once on the front and once on the back."""
    image = _mix(image, t.accent, (np.abs(v - 0.5) > 0.43).astype(float))
    image = _mix(image, t.ink, (np.abs(np.abs(v - 0.5) - 0.415) < 0.012).astype(float))
    sides = (0.25, 0.75)
    for side in sides:
        across, down = (u - side) * t.size_px[1] / t.size_px[0], v - 0.68
        away, angle = np.hypot(across, down), np.arctan2(down, across)
        if t.count > 1:
            image = _mix(image, t.accent, _edge(0.145 + 0.012 * np.cos(t.count * angle) - away))
            image = _mix(image, t.ink, _edge(0.1 - away) * _edge(away - 0.03) * _edge(0.05 * np.cos(t.count * angle)))
        for k, line in enumerate(t.text[:2]):
            image = _write(image, line, t.ink if k else t.accent, (side, 0.25 + 0.18 * k), 0.19 if k == 0 else 0.12, 0.34)
    block = (np.abs(u - 0.5) < 0.05) & (np.abs(v - 0.72) < 0.11)
    bars = np.sin(u * 700.0) + 0.6 * np.sin(u * 1130.0) > 0.0
    image = _mix(image, (1.0, 1.0, 1.0), block.astype(float))
    return _mix(image, (0.05, 0.05, 0.05), (block & bars & (np.abs(u - 0.5) < 0.04) & (np.abs(v - 0.7) < 0.075)).astype(float))


def _card(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """A face of a box or a cover: a frame, a title, and an emblem below it."""
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    image = _mix(image, t.accent, ((edge > 0.045) & (edge < 0.07)).astype(float))
    if t.count > 1:
        du, dv = u - 0.5, v - 0.68
        away, angle = np.hypot(du, dv), np.arctan2(dv, du)
        image = _mix(image, t.accent, _edge(0.17 + 0.035 * np.cos(t.count * angle) - away))
        image = _mix(image, t.ink, _edge(0.075 - away))
    rows = len(t.text)
    for k, line in enumerate(t.text):
        image = _write(image, line, t.accent if k == 0 else t.ink, (0.5, 0.24 + 0.17 * k if rows > 1 else 0.28), 0.17 if k == 0 else 0.1, 0.8)
    return image


def _stripes(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Bands that run around (or across): every other one in the accent."""
    return _mix(image, t.accent, ((v * t.count) % 1.0 > 0.5).astype(float) * t.strength)


def _lines(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Fine lines, as of the pages of a book or the ribs of a grip."""
    return _mix(image, t.ink, 0.45 * t.strength * (0.5 + 0.5 * np.cos(2 * np.pi * t.count * v)) ** 2)


def _checks(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Gingham: half-transparent bands both ways."""
    across, down = ((u * t.count) % 1.0 > 0.5), ((v * t.count) % 1.0 > 0.5)
    return _mix(image, t.accent, 0.5 * (across.astype(float) + down.astype(float)) * t.strength)


def _dots(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Polka dots in staggered rows."""
    rows = max(1, round(t.count * t.size_px[0] / t.size_px[1])) * 2
    y = v * rows
    x = u * t.count + 0.5 * (np.floor(y) % 2)
    away = np.hypot((x % 1.0) - 0.5, ((y % 1.0) - 0.5) * 0.5 * 1.0)
    return _mix(image, t.accent, np.clip((0.24 - away) * 10.0, 0, 1))


def _wood(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Grain along u."""
    wander = 0.6 * _noise(t, 4, 2) + 0.25 * _noise(t, 8, 4)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (t.count * v + 0.8 * wander))
    fibre = 0.35 * _noise(t, min(64, t.size_px[0] // 2), 4)
    return _mix(image, t.accent, 0.30 * t.strength * np.clip(rings**3 + fibre * 0.5, 0, 1)) * (1.0 + 0.035 * t.strength * fibre[..., None])


def _cloth(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """A plain weave, slightly uneven."""
    threads = np.sin(2 * np.pi * t.count * u) * np.sin(2 * np.pi * t.count * v)
    return image * (1.0 + t.strength * (0.07 * threads + 0.03 * _noise(t, 16, 16)))[..., None]


def _cardboard(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Fibres, and a strip of tape across the middle where count is above 1."""
    fibres = 0.03 * _noise(t, 8, 8) + 0.03 * _noise(t, 48, 12)
    image = image * (1.0 + t.strength * fibres)[..., None]
    return _mix(image, t.accent, 0.75 * (np.abs(u - 0.5) < 0.09)) if t.count > 1 else image


def _weave(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Wicker: strands that pass over and under uprights."""
    rows = max(2, round(t.count * 0.75))
    over = np.cos(np.pi * (u * t.count + np.floor(v * rows)))
    bulge = np.abs(np.sin(np.pi * v * rows))
    light = 0.62 + 0.38 * bulge * (0.55 + 0.45 * over**2 * np.sign(over + 1e-9))
    return image * light[..., None] * (1.0 + 0.05 * _noise(t, 16, 16))[..., None]


def _speckle(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Small round spots of about the same spacing: seeds, freckles, pores of a peel."""
    rows = max(2, round(t.count * t.size_px[0] / t.size_px[1]))
    offset = np.random.default_rng(t.seed).uniform(-0.22, 0.22, (rows, t.count, 2))
    row = np.clip((v * rows).astype(int), 0, rows - 1)
    x = u * t.count + 0.5 * (row % 2)
    column = np.floor(x).astype(int) % t.count
    dx = (x % 1.0) - 0.5 - offset[row, column, 0]
    dy = (v * rows) % 1.0 - 0.5 - offset[row, column, 1]
    return _mix(image, t.accent, t.strength * np.clip((0.19 - np.hypot(dx * 1.3, dy * 0.75)) * 14.0, 0, 1))


def _pores(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Dark holes of all sizes, as in a sponge or a slice of bread."""
    holes = np.zeros_like(u)
    for cells in (t.count, 2 * t.count):
        holes = np.maximum(holes, np.clip(_noise(t, cells, cells) - 0.55, 0, 1))
    return _mix(image, t.accent, t.strength * holes)


def _streaks(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Irregular streaks from pole to pole: cucumbers, onions, melons."""
    wander = _noise(t, 6, 6)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (t.count * u) + 0.7 * wander)
    fine = 0.5 + 0.5 * np.sin(2 * np.pi * (3 * t.count * u) + 1.2 * wander)
    return _mix(image, t.accent, t.strength * (0.75 * wave**3 + 0.2 * fine))


def _gradient(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """From the ground above to the accent below, with soft blotches."""
    return _mix(image, t.accent, t.strength * np.clip(1.6 * (v - 0.35) + 0.12 * _noise(t, 6, 6), 0, 1))


def _ruler(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Marks of a scale along u, every fifth one long."""
    place = u * t.count * 5
    mark = np.abs(place - np.round(place)) < 0.16
    length = np.where(np.round(place) % 5 == 0, 0.55, 0.3)
    return _mix(image, t.ink, (mark & (v < length)).astype(float))


def _directions(u: _Image, v: _Image) -> NDArray[np.float64]:
    """Returns the (H, W, 3) unit vectors that the pixels of a globe look at."""
    longitude, latitude = 2 * np.pi * (u - 0.5), np.pi * v
    return np.stack([np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude), np.cos(latitude)], axis=-1)


def _seams(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """The one seam of a tennis ball or baseball, a curve that winds over both halves."""
    d = _directions(u, v)
    s = np.linspace(0, 2 * np.pi, 240)
    curve = np.stack([0.75 * np.cos(s) + 0.25 * np.cos(3 * s), 0.75 * np.sin(s) - 0.25 * np.sin(3 * s), 0.866 * np.sin(2 * s)], axis=-1)
    curve /= np.linalg.norm(curve, axis=1, keepdims=True)
    nearest = (d.reshape(-1, 3) @ curve.T).max(axis=1).reshape(u.shape)
    angle = np.arccos(np.clip(nearest, -1, 1))
    fuzz = 1.0 + 0.05 * t.strength * _noise(t, 48, 48)
    return _mix(image * fuzz[..., None], t.accent, np.clip((0.085 - angle) / 0.025, 0, 1))


def _football(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Twelve dark pentagons among pale hexagons, and the seams between them."""
    golden = (1 + 5**0.5) / 2
    pentagons = np.array([p for a in (-1, 1) for b in (-golden, golden) for p in ((0, a, b), (a, b, 0), (b, 0, a))], float)
    pentagons /= np.linalg.norm(pentagons, axis=1, keepdims=True)
    inner = 1.0 / golden
    cube = [(a, b, c) for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)]
    hexagons = np.array(cube + [p for a in (-inner, inner) for b in (-golden, golden) for p in ((0, a, b), (a, b, 0), (b, 0, a))])
    hexagons /= np.linalg.norm(hexagons, axis=1, keepdims=True)
    d = _directions(u, v).reshape(-1, 3)
    to_pentagon = np.arccos(np.clip(d @ pentagons.T, -1, 1)) + 0.055
    to_hexagon = np.arccos(np.clip(d @ hexagons.T, -1, 1))
    both = np.sort(np.concatenate([to_pentagon, to_hexagon], axis=1), axis=1)
    seam = (both[:, 1] - both[:, 0] < 0.05).reshape(u.shape)
    dark = (to_pentagon.min(axis=1) < to_hexagon.min(axis=1)).reshape(u.shape)
    return _mix(_mix(image, t.ink, 0.55 * seam), t.accent, dark.astype(float))


def _basketball(t: Texture, image: _Image, u: _Image, v: _Image) -> _Image:
    """Two great circles and two curved seams."""
    x, y, z = np.moveaxis(_directions(u, v), -1, 0)
    seam = (np.abs(x) < 0.045) | (np.abs(z) < 0.045) | (np.abs(np.abs(y) - 0.35 - 0.35 * x * x) < 0.045)
    return _mix(image * (1.0 + 0.03 * _noise(t, 40, 40))[..., None], t.accent, seam.astype(float))


_PATTERNS: Mapping[Pattern, Callable[[Texture, _Image, _Image, _Image], _Image]] = {
    "basketball": _basketball,
    "card": _card,
    "cardboard": _cardboard,
    "checks": _checks,
    "cloth": _cloth,
    "dots": _dots,
    "football": _football,
    "gradient": _gradient,
    "label": _label,
    "lines": _lines,
    "pores": _pores,
    "ruler": _ruler,
    "seams": _seams,
    "speckle": _speckle,
    "streaks": _streaks,
    "stripes": _stripes,
    "weave": _weave,
    "wood": _wood,
}
