"""The steps of a watched rollout become a demonstration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting.pictures import Pictures
from vlagym.benchmark.rollout import Step
from vlagym.benchmark.targets import targets
from vlagym.envs.errors import VlagymError
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec
from vlagym.results.demonstration import Demonstration


class Recorder:
    """Turns the steps of one episode into a demonstration."""

    def __init__(self, spec: EpisodeSpec, images: Mapping[str, Shrink], frame_stride: int, *, is_live: bool = True) -> None:
        """Begins with nothing.

        Args:
          spec: The episode.
          images: Camera -> how its frames are stored.
          frame_stride: An image is stored for every so many control steps.
          is_live: Whether images come with the steps; False: they are handed to `demonstration`.
        """
        self._is_live = is_live
        self._spec, self._shrinks, self._stride = spec, images, frame_stride
        self._steps: list[int] = []
        self._images: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in images}
        self._columns: dict[str, list[Any]] = {}
        self._proprio: dict[str, list[NDArray[np.float32]]] = {}

    @property
    def num_steps(self) -> int:
        """Steps so far."""
        return len(self._columns.get("actions", ()))

    def add(self, step: Step) -> None:
        """Takes one step; what is kept of it is from before its action. A step without images waits for `see`.

        Raises:
          VlagymError: If the rollout is not watched.
        """
        observation = step.observation
        if observation is None:
            raise VlagymError("a demonstration is recorded from a rollout that is watched")
        if step.index % self._stride == 0:
            self._steps.append(step.index)
            for camera, shrink in self._shrinks.items() if self._is_live else ():
                self._images[camera].append(shrink.apply(observation.images[camera]))
        for name, value in observation.proprio.items():
            self._proprio.setdefault(name, []).append(value)
        facts, aims = step.before, targets(self._spec, step.before)
        row: dict[str, Any] = {
            "actions": step.action,
            "executed": step.executed,
            "prop_pos_world_m": facts.prop_pos_world_m,
            "prop_quat_world_wxyz": facts.prop_quat_world_wxyz,
            "fixture_joint_pos": facts.fixture_joint_pos,
            "stage_met": facts.stage_met,
            "target_pos_world_m": aims.pos_world_m,
            "target_yaw_rad": np.float64(aims.yaw_rad),
        }
        for name, cell in row.items():
            self._columns.setdefault(name, []).append(cell)

    def demonstration(self, seen: Pictures | None = None, **told: Any) -> Demonstration:
        """Returns what was recorded; at least one step must have been.

        Args:
          seen: The pictures, where they did not come with the steps.
          told: Further fields of the demonstration: stages, certificate, commands …
        """
        columns = {name: np.stack(rows) for name, rows in self._columns.items()}
        return Demonstration(
            spec=self._spec,
            digest=self._spec.digest(),
            instruction=self._spec.instruction,
            actions=columns.pop("actions"),
            executed_actions=columns.pop("executed"),
            images=seen.images if seen is not None else {camera: np.stack(frames) for camera, frames in self._images.items()},
            image_steps=np.array(self._steps, np.int64),
            proprio={name: np.stack(rows) for name, rows in self._proprio.items()},
            privileged=columns,
            depth={} if seen is None else seen.depth,
            **told,
        )
