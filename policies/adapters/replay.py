"""Plays the actions that a run has stored: `replay:RUN`. Physics being deterministic, every episode ends as it ended there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import ActionChunk, ActionSpec, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.loading import refuse_options


class Replay:
    """Sends one stored action a step; asks for no image."""

    def __init__(self, run: Path) -> None:
        if not (run / "traces").is_dir():
            raise BadData(f"{run} is no run folder: it has no folder traces/. Write replay:RUN with the folder that `vlagym run` printed")
        self.spec = PolicySpec(
            name="replay",
            action=None,
            observation=ObservationSpec(images=(), state=(), rate_hz=0.0),
            runs_in_worker=True,
            card={"about": "stored actions", "run": run.name},
        )
        self._run = run
        self._slots: dict[int, tuple[str, ActionSpec, NDArray[np.float32], int]] = {}

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode.

        Raises:
          UnknownName: If the run has no trace of it.
          BadData: If the trace holds no actions of the environment's size.
        """
        path = self._run / "traces" / f"{context.digest}.npz"
        if not path.exists():
            raise UnknownName(f"the run {self._run} has no trace of the episode {context.digest}; replay plays only what was run there")
        with np.load(path, allow_pickle=False) as stored:
            actions = np.array(stored["actions"], np.float32)
        if actions.ndim != 2 or actions.shape[1] != context.action.size:
            raise BadData(f"{path} holds actions of shape {actions.shape}; {context.action.name} wants (T, {context.action.size})")
        self._slots[context.slot] = (context.digest, context.action, actions, 0)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns the next stored action of each slot.

        Raises:
          BadData: If an episode goes on after its stored actions have ended.
        """
        chunks = {}
        for slot in observations:
            digest, spec, actions, at = self._slots[slot]
            if at >= len(actions):
                raise BadData(f"the episode {digest} goes on, and its {len(actions)} stored actions are played: it did not run the same here")
            chunks[slot] = ActionChunk(values=actions[at : at + 1].copy(), spec=spec)
            self._slots[slot] = (digest, spec, actions, at + 1)
        return chunks

    def close(self) -> None:
        """Holds nothing open."""


def POLICY(argument: str | None, options: Mapping[str, str]) -> Replay:
    """Builds the policy from the run folder; it takes no options."""
    refuse_options("replay", options)
    if argument is None:
        raise BadData("replay needs a run folder: replay:RUN")
    return Replay(Path(argument))
