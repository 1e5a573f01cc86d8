"""The contract of a policy: what it declares, and how it is asked for actions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np

from vlagym.envs.errors import BadPolicyOutput, BadSpec, unknown_name
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeSpec, Observation, ObservationSpec, PolicyNotes


_Kind = Literal["min_max", "q01_q99", "mean_std"]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Statistics by which numbers on a wire are scaled: an action comes normalised, a state goes normalised."""

    kind: _Kind
    """min_max and q01_q99: first is -1 and second is +1. mean_std: first is 0, and second is one unit."""
    first: tuple[float, ...]
    """Minimum, 1st percentile or mean of each number, in the declared unit."""
    second: tuple[float, ...]
    """Maximum, 99th percentile or standard deviation."""
    mask: tuple[bool, ...] = ()
    """False: that number is raw. Empty: all are normalised."""

    def __post_init__(self) -> None:
        """Raises UnknownName if there is no such kind, and BadSpec if its sizes or numbers cannot be."""
        if self.kind not in get_args(_Kind):
            raise unknown_name("kind of normalisation", self.kind, get_args(_Kind))
        if len(self.first) != len(self.second) or (self.mask and len(self.mask) != len(self.first)):
            sizes = f"{len(self.first)}, {len(self.second)} and {len(self.mask)}"
            raise BadSpec(f"a normalisation holds as many first as second numbers, and as many in its mask or none; there are {sizes}")
        if not np.isfinite([*self.first, *self.second]).all():
            raise BadSpec("a normalisation holds numbers that are not finite")
        below = [b < 0 if self.kind == "mean_std" else b < a for a, b in zip(self.first, self.second, strict=True)]
        if any(below):
            what = "a standard deviation below 0" if self.kind == "mean_std" else "a second number below its first"
            raise BadSpec(f"a normalisation by {self.kind} holds {what}, at index {below.index(True)}")

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return len(self.first)


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
    normalisation: Mapping[str, Normalisation] = field(default_factory=dict)
    """Component of its action or name of its state -> what we undo or do between it and us. What is not named is raw: in the declared unit."""
    clip: bool = False
    """Whether what it sends beyond its own range, or beyond the environment's, is clipped: for policies that may send more than they were trained
    to, as un-normalised ones do, and whose environment clipped it. Without it, such an action is an error, and a wider range is refused."""
    sticky_steps: int = 0
    """A relative gripper command is held for so many of its steps; 0: for the one that it was sent for."""
    history: tuple[int, ...] = (0,)
    """Which observations it is shown, counted in its own steps from the present one: (-1, 0) is the last and the present one."""
    profile: str | None = None
    """Name of the profile that it was made from."""
    profile_digest: str | None = None
    """Of all that this profile says, what things are called on a wire included: tells two of one name apart. None: it was made from none."""
    rig: str | None = None
    """The station that it was made for: a name of `vlagym list rigs`, or the path of a rig's file. Episodes at another one are not played unless
    that is asked for (`vlagym run --any-rig`). None: it plays anywhere."""


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


def check_notes(notes: PolicyNotes) -> None:
    """Checks what a policy says of itself.

    Raises:
      BadPolicyOutput: If a measure is called by no word, or is neither a finite number nor None; or what it says is no plain data.
    """
    try:
        json.dumps(notes.said, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadPolicyOutput(f"what the policy says for the transcript cannot be written as JSON: {error}") from error
    for name, value in notes.measures.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise BadPolicyOutput(f"the policy states a measure that is called {name!r}; a measure is called by a word")
        if value is not None and not (isinstance(value, (int, float)) and np.isfinite(value)):
            raise BadPolicyOutput(f"the policy states {value!r} for {name!r}; a measure is a finite number, or None where it does not apply")


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
