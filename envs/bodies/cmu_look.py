"""The look of the CMU humanoid: a mannequin whose limbs are the published capsules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs.bodies.cmu_model import links

_LIMB, _JOINT = (0.86, 0.80, 0.70, 1.0), (0.30, 0.24, 0.20, 1.0)


def add_look(bodies: Mapping[str, Any], spec: Any, look: str) -> None:
    """Adds what is seen of the links, and nothing that is touched.

    Args:
      bodies: Bodies of the links by name.
      spec: `mujoco.MjSpec`
      look: Begins the names of what is added.
    """
    import mujoco

    kinds = {"capsule": mujoco.mjtGeom.mjGEOM_CAPSULE, "sphere": mujoco.mjtGeom.mjGEOM_SPHERE, "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID}
    for link in links():
        for shape in link.shapes:
            bodies[link.name].add_geom(
                name=f"{look}_{shape.name}", type=kinds[shape.kind], size=shape.size_m, pos=shape.pos_m, quat=shape.quat_wxyz, rgba=_LIMB, mass=0,
                contype=0, conaffinity=0, group=2,
            )  # fmt: skip
