"""All conversions between one policy and one environment, as a value, and what carries them out through an episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionChunk, ActionSpec, Observation, to_plain
from vlagym.policies.conversions import grippers, rotations, scales, states
from vlagym.policies.steps import HAND_ORIENTATION, ActionStep, ImageStep, StateStep

Array = NDArray[np.float64]

class Told(NamedTuple):
    """What happens to one part between policy and environment, in words."""

    part: str
    steps: tuple[str, ...]
    """Empty: nothing, it passes as it is."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """All conversions between one policy and one environment. A value: it is compared, sent to workers and written into the run header."""

    policy: ActionSpec
    """What the policy sends."""
    environment: ActionSpec
    """What the environment takes."""
    actions: tuple[ActionStep, ...]
    """One for each component of the environment, in its order."""
    images: tuple[ImageStep, ...]
    state: tuple[str, ...]
    """What the policy reads of its body."""
    privileged: bool
    """Whether it is shown the true state."""
    states: tuple[StateStep, ...] = ()
    """Of the states, those that are made of something."""
    ignored: tuple[str, ...] = ()
    """Components that the policy sends and nobody hears."""
    repeats: int = 1
    """Steps of the environment that one of the policy lasts."""
    history: tuple[int, ...] = (0,)
    """Which observations the policy is shown, in its own steps."""
    sticky_steps: int = 0
    """Steps of the policy for which a relative gripper command is held."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that have to be rendered."""
        return tuple(dict.fromkeys(i.camera for i in self.images))

    @property
    def clips(self) -> bool:
        """Whether something that the policy sends may be clipped."""
        return any(step.clip for step in self.actions)

    @property
    def is_resampled(self) -> bool:
        """Whether some image that the policy sees depends on an image library."""
        return any(i.is_resampled for i in self.images)

    def open(self) -> Link:
        """Returns what carries the conversions out through one episode."""
        return Link(self)

    def without_clipping(self) -> Pipeline:
        """Returns the same conversions, which let pass whatever goes too far."""
        return replace(self, actions=tuple(replace(step, clip=False, low=(), high=()) for step in self.actions))

    def describe(self) -> dict[str, Any]:
        """Returns the conversions as plain data for the run header; `identity` is said too, so that nothing is left to guess."""
        extra: dict[str, Any] = {
            "states": to_plain(self.states),
            "ignored": list(self.ignored),
            "repeats": self.repeats,
            "history": list(self.history),
            "sticky_steps": self.sticky_steps,
        }
        nothing: dict[str, Any] = {"states": [], "ignored": [], "repeats": 1, "history": [0], "sticky_steps": 0}
        return {
            "actions": to_plain(self.actions),
            "images": to_plain(self.images),
            "state": list(self.state),
            "privileged": self.privileged,
            **{key: value for key, value in extra.items() if value != nothing[key]},
        }

    def told(self) -> tuple[Told, ...]:
        """Returns in words what happens to each part: actions, then images, then states."""
        by_name = {step.name: step for step in self.states}
        out = [Told(f"action {step.component}", tuple(self._told_of(step))) for step in self.actions]
        out += [Told(f"action {name}", ("ignored",)) for name in self.ignored]
        out += [Told(f"image {step.stream}", tuple(step.words())) for step in self.images]
        return (*out, *(Told(f"state {name}", tuple(by_name[name].words()) if name in by_name else ()) for name in self.state))

    def _told_of(self, step: ActionStep) -> Iterator[str]:
        yield from step.words()
        if step.name == "gripper_relative":
            yield "counted from open" + (f", each command held for {self.sticky_steps} steps of the policy" if self.sticky_steps else "")
        if self.repeats > 1:
            is_shared = _convention(self.environment, step.component) in scales.DISPLACEMENTS
            yield f"shared out over {self.repeats} steps" if is_shared else f"repeated for {self.repeats} steps"
        if step.clip:
            yield "clip to what the environment takes"


class Link:
    """The conversions of one episode. What an episode remembers lives here: earlier observations, and how far a gripper was told to close."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._policy_hz = pipeline.environment.rate_hz / pipeline.repeats
        self._mine, self._theirs = pipeline.policy.slices(), pipeline.environment.slices()
        self._sends = {c.name: c for c in pipeline.policy.components}
        self._takes = {c.name: c for c in pipeline.environment.components}
        self._grippers: dict[str, grippers.RelativeGripper | grippers.BinaryGripper] = {}
        for step in pipeline.actions:
            if step.name == "gripper_relative":
                self._grippers[step.component] = grippers.RelativeGripper(_ends(pipeline.environment, step.component), pipeline.sticky_steps)
            elif step.name == "gripper_binary":
                self._grippers[step.component] = grippers.BinaryGripper(_ends(pipeline.environment, step.component))
        self._states = {step.name: step for step in pipeline.states}
        self._seen: dict[int, Observation] = {}
        """Step of the policy -> what it was, or might have been, shown then; only as far back as its history goes."""
        self._is_cut = np.zeros(0, bool)
        """(T,) of the last chunk: whether something that the policy sent was clipped before it was converted."""
        self._cut_from, self._num_spread = 0, 0
        """Step of the policy at which that chunk begins, and the present one."""
        self.clipped_steps = 0
        """Steps of the environment in which something was clipped, before the conversion or after it. Where several chunks speak of a step, the last
        one counts."""

    @property
    def pipeline(self) -> Pipeline:
        """What is carried out."""
        return self._pipeline

    def show(self, observation: Observation) -> Observation:
        """Returns what the policy is shown of an observation: the declared streams and states, converted, and nothing else; with its history.

        Raises:
          BadData: If an earlier observation belongs to its history that nobody asked to `remember`.
        """
        shown = self.remember(observation)
        if self._pipeline.history == (0,):
            return shown
        now, first = self._step(observation), min(self._seen)
        wanted = [max(now + back, first) for back in self._pipeline.history[:-1]]
        missing = [step for step in wanted if step not in self._seen]
        if missing:
            raise BadData(f"the policy is shown {self._pipeline.history} and nobody remembered the observation of its step {missing[0]}")
        return replace(shown, past=tuple(self._seen[step] for step in wanted))

    def remember(self, observation: Observation) -> Observation:
        """Takes an observation at which the policy is not asked, and to which it may look back. Returns it as the policy would be shown it."""
        shown = self._converted(observation)
        if self._pipeline.history != (0,):
            now = self._step(observation)
            first = min([now, *self._seen])
            horizon = now + self._pipeline.history[0]
            self._seen = {step: seen for step, seen in self._seen.items() if step >= horizon or step == first}
            self._seen[now] = shown
        return shown

    def drive(self, chunk: ActionChunk, observation: Observation) -> NDArray[np.float32]:
        """Returns a chunk in the environment's convention, one row for each step of the policy.

        Args:
          chunk: What the policy sent.
          observation: What the environment sent when the policy was asked.

        Returns:
          `(T, D)` float32, D components of the environment's spec. A relative gripper command is still one: `spread` counts what is executed.

        Raises:
          BadPolicyOutput: If something in it is no rotation.
        """
        values = np.asarray(chunk.values)
        self._is_cut, self._cut_from = np.zeros(len(values), bool), self._num_spread
        parts = {step.component: self._part(step, values[:, self._mine[step.component]]) for step in self._pipeline.actions}
        for array in dict.fromkeys(step.hand for step in self._pipeline.actions if step.hand is not None):
            self._turn_into_base(parts, array, np.asarray(observation.proprio[array], np.float64))
        return np.concatenate([parts[step.component] for step in self._pipeline.actions], axis=1).astype(np.float32)

    def spread(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns one row of what `drive` made as the environment executes it. To be called once for each step of the policy that is executed.

        Args:
          action: `(D,)`.

        Returns:
          `(m, D)` float32 for the m steps of the environment that the policy's step lasts: displacements are shared out, all else is repeated.
        """
        repeats = self._pipeline.repeats
        out = np.repeat(np.asarray(action, np.float32)[None], repeats, axis=0)
        is_clipped = np.full(repeats, self._is_cut[self._num_spread - self._cut_from :][:1].any())
        self._num_spread += 1
        for step in self._pipeline.actions:
            at, takes = self._theirs[step.component], self._takes[step.component]
            if repeats > 1 and takes.convention in scales.DISPLACEMENTS:
                out[:, at] = out[:, at] / np.float32(repeats)
            if step.component in self._grippers:
                out[:, at] = self._grippers[step.component].push(float(action[at][0]))
            if step.clip:
                before = out[:, at].copy()
                out[:, at] = np.clip(before, np.array(step.low, np.float32), np.array(step.high, np.float32))
                is_clipped |= (np.abs(out[:, at] - before) > scales.ROUNDING).any(axis=1)
        self.clipped_steps += int(is_clipped.sum())
        return out

    def _step(self, observation: Observation) -> int:
        return round(observation.time_s * self._policy_hz)

    def _converted(self, observation: Observation) -> Observation:
        pipeline = self._pipeline
        return replace(
            observation,
            images={i.stream: i.apply(observation.images[i.camera]) for i in pipeline.images},
            proprio={name: self._state(name, observation) for name in pipeline.state},
            depth={},
            segmentation={},
            privileged=observation.privileged if pipeline.privileged else None,
            past=(),
        )

    def _state(self, name: str, observation: Observation) -> NDArray[np.float32]:
        step = self._states.get(name)
        if step is None:
            return observation.proprio[name]
        value: Array = states.vector(observation.proprio, step.parts) if step.parts else np.asarray(observation.proprio[name], np.float64)
        return (value if step.normalisation is None else scales.normalise(value, step.normalisation)).astype(np.float32)

    def _part(self, step: ActionStep, sent: NDArray[Any]) -> Array:
        """Returns one component of a chunk `(T, k)` in the environment's convention, but for its frame. Takes note of what is clipped of it."""
        values: Array = sent.astype(np.float64)
        if step.normalisation is not None:
            values = scales.unnormalise(values, step.normalisation)
        mine, theirs = self._sends[step.component], self._takes[step.component]
        if step.clip:
            values, is_cut = scales.within(values, mine.low, mine.high)
            self._is_cut |= is_cut
        if step.form is not None and step.into is not None:
            return rotations.convert(values * mine.scale, step.form, step.into) / theirs.scale
        if step.name == "gripper_binary":
            ends = grippers.ends(mine)
            assert ends is not None, "a binary gripper has ends"
            values = grippers.binary(values, ends)
        return step.gain * values + step.offset

    def _turn_into_base(self, parts: dict[str, Array], array: str, quat: Array) -> None:
        """Turns the displacements of a hand that are said in its own frame, which turns along with what the chunk does to it."""
        side = array.removesuffix(HAND_ORIENTATION)
        hands = {step.component: step.hand for step in self._pipeline.actions}
        moves, turns = f"{side}translation", f"{side}rotation"
        scale = self._takes[turns].scale if turns in parts else 1.0
        now = rotations.to_quaternions(quat[None], "quaternion_wxyz")
        for k in range(len(next(iter(parts.values())))):
            matrix = rotations.matrices(now)[0]
            for name in (moves, turns):
                if hands.get(name) is not None:
                    parts[name][k] = matrix @ parts[name][k]
            if turns in parts:
                now = rotations.products(rotations.to_quaternions(parts[turns][k : k + 1] * scale, "axis_angle"), now)


def _convention(spec: ActionSpec, component: str) -> str:
    return next(c.convention for c in spec.components if c.name == component)


def _ends(spec: ActionSpec, component: str) -> tuple[float, float]:
    ends = grippers.ends(next(c for c in spec.components if c.name == component))
    assert ends is not None, "connect lets a gripper that remembers through only to one with ends"
    return ends
