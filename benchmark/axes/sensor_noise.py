"""Images arrive as from a cheap camera on a bad cable: blurred, noisy, compressed, some not at all; at last one camera stands still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.envs.types import EpisodeSpec, SensorSpec


class _Damage(NamedTuple):
    blur: float
    """Standard deviation in pixels of an image of 256 rows."""
    noise: float
    """Standard deviation, of 255."""
    quality: int
    """Of the JPEG."""
    dropped: float
    """Share of the images."""


_DAMAGE = (
    _Damage(0.4, 4.0, 80, 0.0),
    _Damage(0.7, 8.0, 60, 0.05),
    _Damage(1.0, 12.0, 45, 0.15),
    _Damage(1.4, 18.0, 30, 0.30),
    _Damage(1.9, 24.0, 20, 0.45),
)
"""By level; at the last one a person still tells the things of a scene apart by kind and colour, most of the time."""
_FROZEN_S = (1.0, 4.0)
"""When the one camera of level 5 stops, drawn uniformly."""
_ROWS = 256


def _sensor_noise(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    damage, cameras = _DAMAGE[level - 1], spec.scene.cameras
    rows = min((c.height for c in cameras), default=_ROWS)
    sensing = SensorSpec(
        blur_px=round(damage.blur * rows / _ROWS, 3), noise_std=damage.noise, jpeg_quality=damage.quality, dropped_share=damage.dropped
    )
    candidates = _looked_through([c.name for c in cameras])
    if level == len(_DAMAGE) and candidates:
        camera = candidates[int(rng.integers(len(candidates)))]
        from_s = math.floor(100.0 * rng.uniform(*_FROZEN_S)) / 100.0
        sensing = replace(sensing, frozen_camera=camera, frozen_from_s=from_s)
    return replace(spec, sensing=sensing)


def _looked_through(cameras: Sequence[str]) -> list[str]:
    """Returns the cameras that policies usually look through: those of a body with a head, else the front camera and that of the wrist."""
    beside = {"side", "front"} if "head" in cameras else {"side"}
    return [name for name in cameras if name not in beside]


def _told(level: int) -> str:
    blur, noise, quality, dropped = _DAMAGE[level - 1]
    told = f"blur {blur:g} px (of 256 rows), noise {noise:g} of 255, JPEG quality {quality}"
    told += f", {dropped:.0%} of the images lost" if dropped else ""
    return told + (f", a camera of the policy's frozen from {_FROZEN_S[0]:g}-{_FROZEN_S[1]:g} s on" if level == len(_DAMAGE) else "")


AXIS = Axis(
    group="sensing",
    tells=tuple(_told(level) for level in range(1, len(_DAMAGE) + 1)),
    changes=("sensing",),
    apply=_sensor_noise,
)
