"""How far the robot is from everything as an episode begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vlagym.envs.types import EpisodeSpec


class Clearance(NamedTuple):
    """Distances in m, below 0 where something is penetrated."""

    things_m: float
    """From the robot to the nearest of table, furniture and props."""
    itself_m: float
    """Between the nearest two links that could touch each other."""


def start_clearance(spec: EpisodeSpec, enough_m: float) -> Clearance:
    """Returns how far the robot is from what it could touch, once the scene has settled around its start posture.

    What carries it is left out: the floor, and the table below a base that is fixed to it.

    Args:
      spec: The episode.
      enough_m: What is farther away is not measured; then this is returned.

    Raises:
      Divergence: If it does not even settle.
    """
    import mujoco

    from vlagym.envs.scene import FLOOR
    from vlagym.envs.world import World

    world = World(render=False)
    world.start(spec)
    scene, data = world.scene, world.simulation.data
    # With a margin the collision detector finds what is near, as contacts at a positive distance.
    scene.model.geom_margin[:] = scene.model.body_margin[:] = enough_m
    scene.model.pair_margin[:] = enough_m
    mujoco.mj_collision(scene.model, data)
    parties = scene.geom_party[data.contact.geom].reshape(-1, 2)
    is_robot = parties < scene.num_robot
    on_floor = (parties == scene.parties.index(FLOOR)).any(axis=1)
    distances = np.array(data.contact.dist)
    things = distances[(is_robot.sum(axis=1) == 1) & ~on_floor]
    itself = distances[is_robot.all(axis=1)]
    return Clearance(float(things.min(initial=enough_m)), float(itself.min(initial=enough_m)))
