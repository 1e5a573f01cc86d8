"""Contact forces of the collision kinds, at every substep of an episode."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vlagym.envs.types import CONTACT_KINDS, EpisodeSpec, Trace

COLLISION_KINDS = tuple(kind for kind in CONTACT_KINDS if kind != "robot_target")
"""Touching what the goal names is the task, not a collision."""


def force_by_kind(trace: Trace, spec: EpisodeSpec) -> dict[str, NDArray[Any] | None]:
    """Returns for each of COLLISION_KINDS the summed normal force in N at every substep, `(T * N,)`.

    None where no such contact can occur in the scene (a collision with other props where there are none), or no substep was simulated.
    """
    force = trace.contact_force_n.reshape(-1, trace.contact_force_n.shape[2])
    props = [p.name for p in spec.scene.props]
    possible = {
        "robot_fixture": True,  # every arena has at least its table or floor
        "robot_prop": any(name not in spec.concerned for name in props),
        "self": True,
        "held_fixture": len(props) > 0,
        "held_prop": len(props) > 1,
    }
    return {kind: force[:, CONTACT_KINDS.index(kind)] if possible[kind] and force.shape[0] else None for kind in COLLISION_KINDS}
