"""Stands still with an open gripper: the floor under every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec
from vlagym.envs.types import ActionChunk, ActionComponent, ActionSpec, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.conventions import GRIPPER_ENDS, SCALABLE
from vlagym.policies.loading import refuse_argument, refuse_options

_ABSOLUTE: Mapping[str, str] = {
    "position": "ee_target_pos_base_m",
    "quaternion_wxyz": "ee_target_quat_base_wxyz",
    "joint_position": "joint_pos_rad",
}
"""Convention of an absolute command -> the proprioception that, sent back, keeps the robot where it is. Joints by group: `<group>_joint_pos_rad`."""
_AT_REST = frozenset(("planar_velocity", "height", "lean"))
"""Commands of a base that are 0 while it stands as at the start."""


class Hold:
    """Sends the action that asks for no motion, in whatever convention the environment takes."""

    spec = PolicySpec(
        name="hold",
        action=None,
        observation=ObservationSpec(images=(), state=(), rate_hz=0.0),
        reads_all_state=True,  # which of its arrays say how to stand still depends on what the environment takes
        runs_in_worker=True,
        card={"about": "asks for no motion; gripper open"},
    )

    def __init__(self) -> None:
        self._specs: dict[int, ActionSpec] = {}
        self._still: dict[int, NDArray[np.float32]] = {}

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode.

        Raises:
          BadSpec: If the environment takes a component of which nobody said what stands still.
        """
        for component in context.action.components:
            _still(component)
        self._specs[context.slot] = context.action
        self._still.pop(context.slot, None)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot; absolute commands are those of the episode's first observation."""
        chunks = {}
        for slot, observation in observations.items():
            spec = self._specs[slot]
            if slot not in self._still:
                parts = [_still(component)(observation) for component in spec.components]
                self._still[slot] = np.clip(np.concatenate(parts), spec.low, spec.high).astype(np.float32)
            chunks[slot] = ActionChunk(values=self._still[slot][None].copy(), spec=spec)
        return chunks

    def close(self) -> None:
        """Holds nothing."""


def _still(component: ActionComponent) -> Callable[[Observation], NDArray[np.floating]]:
    if component.convention in SCALABLE | _AT_REST:
        return lambda observation: np.zeros(component.size)
    if component.convention in GRIPPER_ENDS:
        return lambda observation: np.full(component.size, GRIPPER_ENDS[component.convention][0])
    if component.convention in _ABSOLUTE:
        return lambda observation: _felt(observation, component) / component.scale
    known = ", ".join(sorted([*SCALABLE, *GRIPPER_ENDS, *_ABSOLUTE, *_AT_REST]))
    raise BadSpec(f"hold does not know how to stand still with {component.name!r} in the convention {component.convention!r}. It knows: {known}")


def _felt(observation: Observation, component: ActionComponent) -> NDArray[np.floating]:
    """Returns the proprioception that an absolute command repeats: that of the component's group of joints where there is one."""
    of_group = f"{component.name}_{_ABSOLUTE[component.convention]}"
    return observation.proprio[of_group if of_group in observation.proprio else _ABSOLUTE[component.convention]]


def POLICY(argument: str | None, options: Mapping[str, str]) -> Hold:
    """Builds the policy; it takes neither an argument nor options."""
    refuse_argument("hold", argument)
    refuse_options("hold", options)
    return Hold()
