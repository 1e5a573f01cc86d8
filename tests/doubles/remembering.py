"""A policy that has learned by heart what the expert does in each state that it has seen: what it says is right as long as its states are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.benchmark.probe.encoding import Encoder, wishes
from vlagym.envs.types import ActionChunk, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.conventions import connect


class Remembering:
    """Answers with what the expert did where its state was nearest."""

    def __init__(self, true: PolicySpec, spec: PolicySpec, shown: Sequence[Demonstration], sent: ObservationSpec) -> None:
        """Learns by heart.

        Args:
          true: What its states and actions mean.
          spec: What it is said to read and send.
          shown: What it learns.
          sent: What the environment sends.
        """
        self.spec = spec
        encoder, link = Encoder(true), connect(true, shown[0].spec.control, sent).open()
        keys, rows = [], []
        for one in shown:
            said = [encoder.encode(wish) for wish in wishes(one, 1, true.chunk_steps)]
            for step, observation in one.seen.items():
                keys.append(self._key(link.show(observation)))
                rows.append(np.array(said[step : step + true.chunk_steps], np.float32))
        self._keys, self._rows = np.array(keys), rows

    @staticmethod
    def _key(seen: Observation) -> np.ndarray:
        return np.concatenate([np.asarray(value, np.float64).ravel() for value in seen.proprio.values()])

    def reset(self, context: EpisodeContext) -> None:
        """Remembers nothing of an episode."""

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        assert self.spec.action is not None
        nearest = {slot: int(((self._keys - self._key(seen)) ** 2).sum(axis=1).argmin()) for slot, seen in observations.items()}
        return {slot: ActionChunk(values=self._rows[at].copy(), spec=self.spec.action) for slot, at in nearest.items()}

    def close(self) -> None:
        """Holds nothing."""
