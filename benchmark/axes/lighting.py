"""Other light: where it comes from, how bright and how warm it is, and whether it casts shadows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.envs.types import EpisodeSpec, LightSpec, Vec3

_LEVELS = {1: (12.0, 1.15, 0.05), 2: (25.0, 1.4, 0.12), 3: (45.0, 1.7, 0.2), 4: (70.0, 2.0, 0.3)}
"""By level: by how many degrees at most the light comes from elsewhere, how many times as bright or as dark it is at most, and by which share at
most red is stronger and blue weaker, or the other way round."""
_LOWEST_DEG, _SUNSET_DEG = 30.0, (20.0, 28.0)
"""Above the horizon: of levels 1 to 4 at least, and of the low light of level 5."""
_WARM: Vec3 = (1.0, 0.70, 0.44)
_SUNSET, _DUSK = 0.78, 0.07
"""How bright the low light is, and all that is left of the others."""


def _lighting(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    lights = _sunset(spec.scene.lights, rng) if level == 5 else _turned(spec.scene.lights, level, rng)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, lights=lights))


def _turned(lights: tuple[LightSpec, ...], level: int, rng: np.random.Generator) -> tuple[LightSpec, ...]:
    """Returns lights of other directions, of one other brightness and one other tint; from level 3 on the shadows change sides with a coin."""
    turn_deg, brighter, tint = _LEVELS[level]
    share = rng.uniform(0.5, 1.0)  # near the bound, or level 4 would often be one of 1
    bright = brighter ** (share if rng.random() < 0.5 else -share)
    warm = rng.uniform(0.5, 1.0) * tint * (1.0 if rng.random() < 0.5 else -1.0)
    swaps = level >= 3 and rng.random() < 0.5
    found = []
    for light in lights:
        diffuse = tuple(round(min(1.0, bright * v * (1.0 + warm * side)), 4) for v, side in zip(light.diffuse, (1.0, 0.0, -1.0), strict=True))
        around = math.radians(turn_deg) * rng.uniform(0.5, 1.0) * (1.0 if rng.random() < 0.5 else -1.0)
        up = math.radians(turn_deg / 2) * rng.uniform(-1.0, 1.0)
        r, g, b = diffuse
        found.append(
            dataclasses.replace(
                light, direction_world=_from_elsewhere(light.direction_world, around, up), diffuse=(r, g, b), casts_shadow=light.casts_shadow != swaps
            )
        )
    return tuple(found)


def _from_elsewhere(direction: Vec3, around_rad: float, up_rad: float) -> Vec3:
    """Returns a direction turned about the vertical, and raised, but not so that the light comes from too low or from beyond the zenith."""
    x, y, z = direction
    azimuth, height = math.atan2(y, x) + around_rad, math.atan2(-z, math.hypot(x, y)) + up_rad
    return _direction(azimuth, min(max(height, math.radians(_LOWEST_DEG)), math.radians(88.0)))


def _direction(azimuth_rad: float, height_rad: float) -> Vec3:
    """Returns where light goes that comes from a height above the horizon."""
    flat = math.cos(height_rad)
    return (round(flat * math.cos(azimuth_rad), 4), round(flat * math.sin(azimuth_rad), 4), round(-math.sin(height_rad), 4))


def _sunset(lights: tuple[LightSpec, ...], rng: np.random.Generator) -> tuple[LightSpec, ...]:
    """Returns a scene that is lit from one side, low and warm, with long shadows; the brightest light is that one, the others are almost out."""
    brightest = max(range(len(lights)), key=lambda i: sum(lights[i].diffuse))
    side = 1.0 if rng.random() < 0.5 else -1.0
    azimuth = side * math.radians(rng.uniform(55.0, 125.0))
    low = _direction(azimuth, math.radians(rng.uniform(*_SUNSET_DEG)))
    r, g, b = (round(_SUNSET * v, 4) for v in _WARM)
    return tuple(
        dataclasses.replace(light, direction_world=low, diffuse=(r, g, b), ambient=(0.0, 0.0, 0.0), casts_shadow=True)
        if i == brightest
        else dataclasses.replace(light, diffuse=(_DUSK, _DUSK, round(1.4 * _DUSK, 4)), ambient=(0.0, 0.0, 0.0), casts_shadow=False)
        for i, light in enumerate(lights)
    )


def _told(level: int) -> str:
    turn_deg, brighter, tint = _LEVELS[level]
    swapped = ", shadows from another light or none" if level >= 3 else ""
    return f"light from elsewhere by up to {turn_deg:g} degrees, up to {brighter:g} times as bright or as dark, {tint:.0%} warmer or colder{swapped}"


AXIS = Axis(
    group="appearance",
    changes=("scene",),
    apply=_lighting,
    tells=(*map(_told, _LEVELS), f"one warm light from the side, {_SUNSET_DEG[0]:g} to {_SUNSET_DEG[1]:g} degrees high, with long shadows"),
)
