"""INTERFACE (being written): one running world; `benchmark/rollout.py` and the Gymnasium environment drive it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlagym.envs.types import EpisodeSpec, Facts, Observation, ObservationSpec


class World:
    """Owns a scene, its simulation, controller and cameras; plays one episode after another."""

    def __init__(self, *, quality: str = "fast", look: str = "auto", depth: bool = False, segmentation: bool = False) -> None: ...

    def start(self, spec: EpisodeSpec) -> Facts:
        """Builds the scene, settles it, returns the facts before the first action (contact_force_n has 0 rows)."""

    def advance(self, action: Any) -> Facts:
        """Executes one control step. Raises BadAction, NotReset, Divergence."""

    def observe(self, cameras: Sequence[str] | None = None, *, privileged: bool = False) -> Observation:
        """Renders the named cameras of the spec (None: all; (): none) and reads proprioception."""

    def observation_spec(self) -> ObservationSpec: ...

    model_digest: str  # of the running episode (physics of the compiled model)
    initial_state_digest: str  # after settling

    def state_digest(self) -> str:
        """Digest of the present full physics state."""

    look: str  # resolved look of the robot: "gymnasium_robotics" | "menagerie"

    def close(self) -> None: ...
