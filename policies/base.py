"""The contract of a policy: what it declares, and how it is asked for actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from vlagym.envs.errors import BadPolicyOutput
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeSpec, Observation, ObservationSpec


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """What a policy declares about itself. It is compared with the environment before the first episode."""

    name: str
    action: ActionSpec | None
    """The actions it emits; None: whatever the environment takes (only for policies that read the environment's spec, such as `hold`)."""
    observation: ObservationSpec
    """The images and state that it reads, and the rate at which it expects to act. Nothing else is rendered or sent. A rate of 0 is the
    environment's, for policies that take the environment's actions too."""
    controls: tuple[str, ...] = ()
    """Names of the conventions that a policy knows which declares no action of its own; empty: any. With another one the run does not start."""
    reads_all_state: bool = False
    """Is sent every array of proprioception that the environment has, whatever its name: only for policies that take the environment's
    actions, and cannot know before which arrays speak of them (`hold`)."""
    chunk_steps: int = 1
    """Actions in each chunk that it emits."""
    execute_steps: int = 1
    """How many of them are executed before it is asked again."""
    privileged: bool = False
    """Reads `Observation.privileged`."""
    runs_in_worker: bool = False
    """Cheap enough to be loaded once in each worker rather than be asked over a pipe."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What the run header says of it: architecture, checkpoint digest, what it was trained on."""


@dataclass(frozen=True, kw_only=True)
class EpisodeContext:
    """What a policy is told when an episode begins."""

    slot: int
    """Names the episode among those that run at the same time; reused once the episode is over."""
    instruction: str
    action: ActionSpec
    """The actions that the environment takes."""
    digest: str
    """Of the spec: seeds whatever the policy draws, so that results do not depend on order or workers."""
    spec: EpisodeSpec | None = None
    """Only for privileged policies."""


class Policy(Protocol):
    """A policy. One object serves many episodes at once, told apart by their slot."""

    @property
    def spec(self) -> PolicySpec:
        """What it reads and sends."""
        ...

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode in a slot; whatever the slot remembered is forgotten."""
        ...

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot. The answer for a slot must not depend on which other slots are asked with it."""
        ...

    def close(self) -> None:
        """Releases models, sockets and memory."""
        ...


class PolicyFactory(Protocol):
    """`POLICY` of a file in `policies/adapters`."""

    def __call__(self, argument: str | None, options: Mapping[str, str]) -> Policy:
        """Builds the policy.

        Args:
          argument: What follows the colon in `name:argument`; None where nothing does.
          options: `--policy-option key=value` pairs; unknown keys are refused by name.
        """
        ...


def check_chunks(answers: Mapping[int, ActionChunk], asked: Sequence[int], spec: ActionSpec) -> None:
    """Checks what `act` returned.

    Args:
      answers: The policy's answers.
      asked: The slots that were asked.
      spec: The action spec that was agreed.

    Raises:
      BadPolicyOutput: If a slot is missing, or a chunk is empty, of another shape, or not finite.
    """
    missing = sorted(set(asked) - set(answers))
    if missing:
        raise BadPolicyOutput(f"the policy answered for slots {sorted(answers)} and not for {missing}")
    for slot in asked:
        values = np.asarray(answers[slot].values)
        if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] != spec.size:
            raise BadPolicyOutput(f"the policy sent a chunk of shape {values.shape}; {spec.name} wants (T, {spec.size}) with T > 0")
        if values.dtype.kind not in "fiu":
            raise BadPolicyOutput(f"the policy sent a chunk of dtype {values.dtype}; {spec.name} wants float32")
        if not np.isfinite(values).all():
            step, index = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise BadPolicyOutput(f"the policy sent {values[step, index]} in step {step}, component {index} of its chunk")
