"""Portraits: one thing alone, lit from a window, as it is shown on a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.cameras import make_current
from vlagym.envs.errors import BadSpec
from vlagym.envs.scene import compose
from vlagym.envs.types import FixtureSpec, PropSpec

_GROUND = (0.86, 0.85, 0.83, 1.0)
_FOVY_DEG = 22.0
_OVERSAMPLING = 2
"""Pixels that are rendered along each side of one that is returned, besides antialiasing."""


def portrait(
    *,
    props: Sequence[PropSpec] = (),
    fixtures: Sequence[FixtureSpec] = (),
    size_px: int = 240,
    azimuth_deg: float = 208.0,
    elevation_deg: float = -32.0,
) -> NDArray[np.uint8]:
    """Renders things alone on a pale ground, as large as they fit.

    Args:
      props: What is shown; usually one.
      fixtures: Likewise.
      size_px: Both sides of the image.
      azimuth_deg: Direction in which the camera looks, about the vertical; 180 looks at the front of a fixture.
      elevation_deg: Its slope; negative looks down.

    Returns:
      `(size_px, size_px, 3)` uint8 RGB.

    Raises:
      BadSpec: If there is nothing to show.
      UnknownName: If an asset does not exist.
      NoRenderer: If the GL backend does not render here.
    """
    import mujoco

    if not props and not fixtures:
        raise BadSpec("a portrait needs a prop or a fixture")
    mj = _studio()
    compose(mj, fixtures, props)
    pixels = size_px * _OVERSAMPLING
    mj.visual.global_.offwidth = mj.visual.global_.offheight = pixels
    model = mj.compile()
    data = mujoco.MjData(model)
    for fixture in fixtures:
        for name, value in fixture.joints:
            data.joint(f"{fixture.name}/{name}").qpos[0] = value
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    camera, option = mujoco.MjvCamera(), mujoco.MjvOption()
    camera.azimuth, camera.elevation = azimuth_deg, elevation_deg
    camera.lookat, radius = _bounding_ball(model, data)
    camera.distance = 1.02 * radius / float(np.sin(np.radians(_FOVY_DEG / 2.0)))
    make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
    try:
        visual = mujoco.MjvScene(model, 1200)
        visual.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        mujoco.mjv_updateScene(model, data, option, None, camera, mujoco.mjtCatBit.mjCAT_ALL, visual)
        mujoco.mjr_render(mujoco.MjrRect(0, 0, pixels, pixels), visual, context)
        image = np.empty((pixels, pixels, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, mujoco.MjrRect(0, 0, pixels, pixels), context)
    finally:
        context.free()
    blocks = image[::-1].reshape(size_px, _OVERSAMPLING, size_px, _OVERSAMPLING, 3).astype(np.float32)
    mean: NDArray[np.uint8] = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return mean


def _studio() -> Any:
    """Returns a spec with a pale ground, a key light that casts shadows, and a softer one from the other side."""
    import mujoco

    mj = mujoco.MjSpec()
    mj.compiler.degree = False
    mj.visual.quality.offsamples, mj.visual.quality.shadowsize = 8, 4096
    mj.visual.global_.fovy = _FOVY_DEG
    mj.visual.map.znear, mj.visual.map.zfar = 0.01, 20.0
    mj.visual.map.shadowclip = 0.6
    mj.stat.extent, mj.stat.center = 1.0, (0, 0, 0.1)
    head = mj.visual.headlight
    head.ambient, head.diffuse, head.specular = (0.38, 0.38, 0.39), (0.12, 0.12, 0.12), (0.0, 0.0, 0.0)
    mj.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(9, 9, 0.1), rgba=_GROUND)
    directional = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    for direction, strength, casts in (((-0.25, -0.85, -1.0), 0.62, True), ((-0.9, 0.5, -0.7), 0.22, False)):
        toward = np.array(direction) / np.linalg.norm(direction)
        mj.worldbody.add_light(type=directional, pos=-2.0 * toward, dir=toward, diffuse=(strength,) * 3, specular=(0.3,) * 3, castshadow=casts)
    return mj


def _bounding_ball(model: Any, data: Any) -> tuple[NDArray[np.float64], float]:
    """Returns the middle and the radius of a ball around all that is seen but the ground."""
    corners = []
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    for geom in range(1, model.ngeom):
        if model.geom_group[geom] != 2:
            continue
        middle, half = model.geom_aabb[geom].reshape(2, 3)
        corners.append(data.geom_xpos[geom] + (middle + signs * half) @ data.geom_xmat[geom].reshape(3, 3).T)
    points = np.concatenate(corners)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2.0
    return centre, float(np.linalg.norm(points - centre, axis=1).max())
