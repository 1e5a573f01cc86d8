"""Plays a chunk of actions: a part of it before the policy is asked again, all of it, or a mean over overlapping chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, NotReset, unknown_name
from vlagym.policies import ensemble
from vlagym.policies.base import PolicySpec

Mean = Callable[[NDArray[Any], NDArray[np.float64]], NDArray[Any]]
"""(what N chunks say of a step `(N, D)`, oldest first, weights `(N,)`) -> one action `(D,)`."""
Mode = Literal["receding", "whole", "ensemble"]


@dataclass(frozen=True, kw_only=True)
class Chunking:
    """How chunks become single actions."""

    mode: Mode
    """receding: `execute_steps` of a chunk, then a new one. whole: all of it. ensemble: a new chunk at every step, and the mean of what all
    chunks that reach this step say of it (the temporal ensemble of ACT, Zhao et al. 2023), which for orientations, turns and grippers that are only
    open or closed is that of `vlagym.policies.ensemble`."""
    execute_steps: int = 1
    """Only for receding."""
    decay: float = 0.01
    """Only for ensemble: the k-th oldest chunk weighs exp(-decay k), so that 0 is the plain mean and more trusts the older ones more."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise unknown_name("way to play a chunk", self.mode, get_args(Mode))
        if self.execute_steps < 1:
            raise BadData(f"a chunk is played for at least 1 step, not {self.execute_steps}")
        if not self.decay >= 0:
            raise BadData(f"the decay of a temporal ensemble is 0 or more, not {self.decay}")

    def __str__(self) -> str:
        """Returns the words that `parse` reads."""
        return {"receding": f"receding:{self.execute_steps}", "whole": "whole", "ensemble": f"ensemble:{self.decay:g}"}[self.mode]


def declared(spec: PolicySpec) -> Chunking:
    """Returns how a policy says that its chunks are played."""
    return Chunking(mode="receding", execute_steps=spec.execute_steps)


def parse(text: str) -> Chunking:
    """Reads `receding:STEPS`, `whole`, `ensemble` or `ensemble:DECAY`.

    Raises:
      UnknownName: If it is another word.
      BadData: If the number is missing, superfluous or out of range.
    """
    mode, colon, number = text.partition(":")
    if mode not in get_args(Mode):
        raise unknown_name("way to play a chunk", mode, get_args(Mode))
    try:
        if mode == "receding":
            return Chunking(mode="receding", execute_steps=int(number))
        if mode == "ensemble":
            return Chunking(mode="ensemble", decay=float(number)) if colon else Chunking(mode="ensemble")
    except ValueError as error:
        raise BadData(f"{text!r} does not say how to play a chunk: write receding:STEPS, whole, ensemble or ensemble:DECAY") from error
    if colon:
        raise BadData(f"{text!r} says a number after 'whole', which takes none")
    return Chunking(mode="whole")


class ChunkPlayer:
    """Turns the chunks of one episode into one action a control step."""

    def __init__(self, chunking: Chunking, mean: Mean = ensemble.plain) -> None:
        """Begins an episode.

        Args:
          chunking: How its chunks become single actions.
          mean: Only for an ensemble: makes one action of what several chunks say of a step.
        """
        self._chunking, self._mean = chunking, mean
        self._chunks: list[tuple[int, NDArray[np.float32]]] = []
        """The step at which each chunk begins, and its values; oldest first."""
        self._step = 0
        self._until = 0
        """The first step at which a chunk is needed."""

    @property
    def is_waiting(self) -> bool:
        """Whether a new chunk is needed before the next action."""
        return self._step >= self._until

    @property
    def steps_left(self) -> int:
        """Actions that can be taken before a new chunk is needed."""
        return max(0, self._until - self._step)

    def put(self, values: NDArray[np.float32]) -> None:
        """Hands over the chunk that begins at the present step.

        Args:
          values: `(T, D)` with T > 0. A chunk that is shorter than `execute_steps` is played to its end.
        """
        if values.ndim != 2 or not len(values):
            raise BadData(f"a chunk is (T, D) with T > 0, not {values.shape}")
        if self._chunking.mode == "ensemble":
            self._chunks = [(at, v) for at, v in self._chunks if at + len(v) > self._step]
            self._chunks.append((self._step, values))
            self._until = self._step + 1
            return
        self._chunks = [(self._step, values)]
        wanted = len(values) if self._chunking.mode == "whole" else self._chunking.execute_steps
        self._until = self._step + min(wanted, len(values))

    def take(self) -> NDArray[np.float32]:
        """Returns the action `(D,)` of the present step and goes on to the next.

        Raises:
          NotReset: If a chunk is needed first.
        """
        if self.is_waiting:
            raise NotReset(f"step {self._step} has no chunk yet: put one first")
        said = np.stack([values[self._step - at] for at, values in self._chunks])
        self._step += 1
        if len(said) == 1:
            return np.array(said[0], np.float32)
        weights = np.exp(-self._chunking.decay * np.arange(len(said)))
        return np.asarray(self._mean(said, weights), np.float32)
