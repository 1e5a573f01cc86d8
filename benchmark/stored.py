"""A stored episode played again: its actions as the policy, no camera unless somebody watches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.rollout import Decide, Decision, Guard, Perturb, Playable, Rollout, Watch
from vlagym.envs.errors import BadAction, BadData, BadSpec, UnknownName, VlagymError
from vlagym.envs.safety import NO_FILTER, Filtered
from vlagym.envs.types import ActionChunk, EpisodeSpec, ErrorRecord, Facts, Observation, ObservationSpec, Trace
from vlagym.policies.base import PolicySpec
from vlagym.policies.chunking import Chunking
from vlagym.policies.conventions import connect

_BLIND = ObservationSpec(images=(), state=(), rate_hz=0.0)
STORED = PolicySpec(name="stored actions", action=None, observation=_BLIND)


class ActionsEnded(VlagymError):
    """The episode goes on after its stored actions have ended: it did not run the same again."""


_ITS_OWN = (ActionsEnded, BadAction, BadData, BadSpec, UnknownName)
"""Errors of a simulation that the stored episode is at fault for; others are those of this machine."""


def of_this_machine(error: ErrorRecord | None) -> str:
    """Returns what went wrong with a simulation and says nothing of what is stored: a folder that may not be written, no GL; "" where it was none."""
    return "" if error is None or error.type in {cause.__name__ for cause in _ITS_OWN} else f"{error.type}: {error.message}"


def again(world: Playable, trace: Trace, watch: Watch | None = None, guard: Guard | None = None) -> Rollout:
    """Returns a rollout of the stored actions; iterate over it. Where the episode goes on after them, it ends by an error of type ActionsEnded.

    Args:
      world: Where it is played.
      trace: The stored episode.
      watch: What is rendered.
      guard: Looks at each action and leaves it as it is; None: it says of each what the trace says.
    """
    if guard is None and bool((trace.safety != NO_FILTER).any()):
        guard = StoredVerdicts(trace)
    return with_actions(world, trace.spec, trace.actions, watch, guard)


def with_actions(
    world: Playable,
    spec: EpisodeSpec,
    actions: NDArray[np.float32],
    watch: Watch | None = None,
    guard: Guard | None = None,
    perturb: Perturb | None = None,
) -> Rollout:
    """Returns a rollout of actions `(T, D)` that were executed in an episode; where it goes on after them, it ends as that of `again` does.

    Args:
      world: Where it is played.
      spec: The episode.
      actions: `(T, D)`
      watch: What is rendered.
      guard: Looks at each action.
      perturb: Looks at each action before that.
    """
    observation = ObservationSpec(images=(), state=(), rate_hz=spec.control.rate_hz)
    pipeline = connect(STORED, spec.control, observation)
    chunking = Chunking(mode="whole")
    return Rollout(world, spec, _answer_once(spec, actions), pipeline=pipeline, chunking=chunking, watch=watch, guard=guard, perturb=perturb)


class StoredVerdicts:
    """The safety filter of a stored episode: its actions are those that it let pass, and it says again what it said of each."""

    def __init__(self, trace: Trace) -> None:
        self._verdicts = trace.safety.tolist()
        self._step = 0

    def reset(self, spec: EpisodeSpec) -> None:
        self._step = 0

    def filter(self, action: NDArray[np.float32], proprio: Mapping[str, NDArray[np.float32]], facts: Facts) -> Filtered:
        verdict = self._verdicts[self._step]
        self._step += 1
        return Filtered(action, verdict, ())


def _answer_once(spec: EpisodeSpec, actions: NDArray[np.float32]) -> Decide:
    is_spent = len(actions) == 0

    def decide(observation: Observation) -> Decision:
        nonlocal is_spent
        if is_spent:
            raise ActionsEnded(f"the {len(actions)} stored actions are played and the episode goes on at {observation.time_s:.2f} s")
        is_spent = True
        return Decision(ActionChunk(values=actions, spec=spec.control), 0.0)

    return decide
