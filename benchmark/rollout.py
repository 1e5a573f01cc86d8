"""One episode: the only loop. A policy is asked, the world advances, and whoever wants to record consumes the steps."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadAction, Divergence, VlagymError
from vlagym.envs.outcome import Judge
from vlagym.envs.safety import NO_FILTER, STOPPED, Filtered
from vlagym.envs.types import (
    STATE_COLUMNS,
    ActionChunk,
    Certificate,
    EndedBy,
    EpisodeSpec,
    ErrorRecord,
    Facts,
    Observation,
    ObservationSpec,
    Trace,
    sha_arrays,
)
from vlagym.policies import ensemble
from vlagym.policies.base import check_notes
from vlagym.policies.chunking import Chunking, ChunkPlayer
from vlagym.policies.conventions import Pipeline
from vlagym.policies.sent_keys import cleaned

_LINE_MAX, _TRACEBACK_MAX = 4000, 24_000
"""Letters that the ledger keeps of a message, of each line of a traceback, and of a whole traceback."""


class Playable(Protocol):
    """What the loop needs of `vlagym.envs.world.World`."""

    @property
    def model_digest(self) -> str: ...

    @property
    def initial_state_digest(self) -> str: ...

    def start(self, spec: EpisodeSpec) -> Facts: ...

    def advance(self, action: NDArray[np.float32]) -> Facts: ...

    def observe(self, cameras: Sequence[str] | None = None, *, privileged: bool = False) -> Observation: ...

    def observation_spec(self) -> ObservationSpec: ...

    def state_digest(self) -> str: ...

    def close(self) -> None: ...


class Decision(NamedTuple):
    """An answer of the policy, and how long the call took."""

    chunk: ActionChunk
    latency_s: float
    """Wall time of the call that gave this answer; of the whole batch where several episodes were asked together."""


Decide = Callable[[Observation], Decision]
Perturb = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]
"""(step, label `(D,)`) -> the action `(D,)` to execute in its place."""


class Guard(Protocol):
    """What the loop needs of `vlagym.envs.safety.SafetyFilter`: it has the last word before an action is executed."""

    def reset(self, spec: EpisodeSpec) -> None: ...

    def filter(self, action: NDArray[np.float32], proprio: Mapping[str, NDArray[np.float32]], facts: Facts) -> Filtered: ...


class PolicyFailed(VlagymError):
    """The policy raised in another process; the record is what it raised there."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(f"{record.type}: {record.message}")
        self.record = record


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a recorder wants to see, besides what the policy is shown."""

    cameras: tuple[str, ...]
    every: int = 1
    """Images at each control step that this divides; proprioception and true state at all of them."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One control step."""

    index: int
    """0 for the first action."""
    observation: Observation | None
    """Before the action, as the environment sent it. Holds images only where somebody wanted them; None where nobody wanted anything."""
    shown: Observation | None
    """What the policy was shown, None at steps at which it was not asked."""
    action: NDArray[np.float32]
    """(D,) what the policy wants, in the environment's convention: the label of a demonstration."""
    executed: NDArray[np.float32]
    """(D,) what was done; equals `action` unless it was perturbed, or a safety filter clipped it."""
    before: Facts
    """The true state before the action."""
    facts: Facts
    """The true state after it."""


class Rollout:
    """One episode: iterate over it for its steps; afterwards it holds how it ended, its trace and its certificate.

    An exception of the policy or of the world ends the episode and is kept in `error`; it does not leave the iteration. An exception of
    whoever consumes the steps is theirs.
    """

    def __init__(
        self,
        world: Playable,
        spec: EpisodeSpec,
        decide: Decide,
        *,
        pipeline: Pipeline,
        chunking: Chunking,
        watch: Watch | None = None,
        perturb: Perturb | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Prepares an episode; nothing happens before it is iterated over.

        Args:
          world: Where it is played. It is left as it is at the end.
          spec: The episode.
          decide: Asks the policy.
          pipeline: The conversions between policy and environment; says which cameras are rendered.
          chunking: How chunks become actions, counted in the policy's own steps.
          watch: What else is rendered.
          perturb: Replaces an action just before it is executed.
          guard: Then clips it, or ends the episode; None: nobody does.
        """
        self._world, self._spec, self._decide, self._pipeline = world, spec, decide, pipeline
        self._link = pipeline.open()
        self._ready: deque[NDArray[np.float32]] = deque()
        """What is still to be executed of a step of the policy, which may last for several of the environment."""
        self._player, self._watch, self._perturb, self._guard = ChunkPlayer(chunking, partial(ensemble.mean, pipeline)), watch, perturb, guard
        self._verdicts: list[int] = []
        self._facts: list[Facts] = []
        self._actions: list[NDArray[np.float32]] = []
        self._calls: list[tuple[int, float]] = []
        self._frames = hashlib.sha256()
        self._num_frames = 0
        self._digests: tuple[str, str] | None = None
        self._final_state: str | None = None
        self._has_begun = False
        self.ended_by: EndedBy | None = None
        """None before the end."""
        self.warning: str | None = None
        """The physics warning of an episode that ended by divergence."""
        self.error: ErrorRecord | None = None
        """What was raised, where the episode ended by policy_error or env_error."""
        self.stated: dict[str, float | None] = {}
        """Measures that the policy stated of itself."""
        self.said: list[Mapping[str, Any]] = []
        """What it said besides, for the transcript."""

    def __iter__(self) -> Iterator[Step]:
        """Plays the episode.

        Raises:
          VlagymError: If it was played before.
        """
        if self._has_begun:
            raise VlagymError("a rollout is played once; make another one of the same spec")
        self._has_begun = True
        try:
            yield from self._steps()
        except _Ended as end:
            self.ended_by, self.error, self.warning = end.by, end.error, end.warning
        if self._digests is None:
            return
        try:
            with _blame("env_error"):
                self._final_state = self._world.state_digest()
        except _Ended as end:
            if self.error is None:
                self.ended_by, self.error = end.by, end.error

    @property
    def clipped_steps(self) -> int | None:
        """Control steps in which the conversions clipped something; None where they clip nothing."""
        return self._link.clipped_steps if self._pipeline.clips else None

    def play(self) -> Rollout:
        """Plays the episode to its end without looking at its steps, and returns the rollout."""
        for _ in self:
            pass
        return self

    def trace(self) -> Trace | None:
        """Returns the columns of the episode so far; None if it has no state to speak of, because the world failed to start it.

        After a divergence the last row repeats the one before it, with no contact and no energy: there is no true state to report, and the
        action that led there is kept.

        Raises:
          VlagymError: If the episode has not ended.
        """
        if self.ended_by is None:
            raise VlagymError("the episode has not ended: iterate over the rollout first")
        if not self._facts:
            return None
        facts, steps = self._facts, len(self._actions)
        forces = [f.contact_force_n for f in facts[1:]]
        return Trace(
            spec=self._spec,
            actions=np.stack(self._actions) if steps else np.zeros((0, self._spec.control.size), np.float32),
            columns={name: np.stack([np.asarray(getattr(f, name)) for f in facts]) for name in STATE_COLUMNS},
            contact_force_n=np.stack(forces) if steps else np.zeros((0, *facts[0].contact_force_n.shape), np.float32),
            ended_by=self.ended_by,
            latency_s=np.array([s for _, s in self._calls], np.float64),
            call_step=np.array([at for at, _ in self._calls], np.int32),
            safety=np.array(self._verdicts[:steps], np.int8),  # a step that the world failed to complete has a verdict and no action
        )

    def certificate(self) -> Certificate | None:
        """Returns the digests of the episode; None if it had no initial state."""
        trace = self.trace()
        if trace is None or self._digests is None or self._final_state is None:
            return None
        model, initial_state = self._digests
        return Certificate(
            spec=self._spec.digest(),
            model=model,
            initial_state=initial_state,
            actions=sha_arrays(trace.actions),
            final_state=self._final_state,
            frames=self._frames.hexdigest()[:32] if self._num_frames else None,
        )

    def _steps(self) -> Iterator[Step]:
        with _blame("env_error"):
            self._facts.append(self._world.start(self._spec))
            self._digests = (self._world.model_digest, self._world.initial_state_digest)
            if self._guard is not None:
                self._guard.reset(self._spec)
        judge = Judge(self._spec, self._facts[-1].step_met)
        for index in range(self._spec.horizon_steps):
            before = self._facts[-1]
            observation = self._observe(index)
            shown = self._ask(index, observation) if self._is_asked() else None
            action = self._next(shown, observation)
            executed = action if self._perturb is None else np.asarray(self._perturb(index, action), np.float32)
            executed = self._guarded(executed, observation)
            facts = self._advance(executed)
            yield Step(index=index, observation=observation, shown=shown, action=action, executed=executed, before=before, facts=facts)
            if facts.is_fallen:
                raise _Ended("fall")
            verdict = judge.update(facts.goal_met, facts.alternative_met, facts.step_met)
            if verdict is not None:
                raise _Ended(verdict)
            if self._verdicts[-1] == STOPPED:
                raise _Ended("stop")
        raise _Ended("horizon")

    def _guarded(self, action: NDArray[np.float32], observation: Observation | None) -> NDArray[np.float32]:
        """Returns what the guard lets pass of an action."""
        if self._guard is None:
            self._verdicts.append(NO_FILTER)
            return action
        with _blame("env_error"):
            proprio = (observation or self._world.observe(())).proprio
            filtered = self._guard.filter(action, proprio, self._facts[-1])
        self._verdicts.append(filtered.verdict)
        return filtered.action

    def _observe(self, index: int) -> Observation | None:
        """Renders what is wanted at this step, each camera once."""
        is_for_policy = self._is_asked() or self._is_remembered()
        if not is_for_policy and self._watch is None:
            return None
        cameras: dict[str, None] = {}
        if is_for_policy:
            cameras.update(dict.fromkeys(self._pipeline.cameras))
        if self._watch is not None and index % self._watch.every == 0:
            cameras.update(dict.fromkeys(self._watch.cameras))
        with _blame("env_error"):
            return self._world.observe(tuple(cameras), privileged=self._pipeline.privileged)

    def _is_asked(self) -> bool:
        """Whether the policy is asked before this control step."""
        return not self._ready and self._player.is_waiting

    def _is_remembered(self) -> bool:
        """Whether the policy may be shown this control step later, though it is not asked now."""
        back = self._pipeline.history[0]
        left = self._player.steps_left
        return not self._ready and 0 < left and (left < -back or -left in self._pipeline.history)

    def _ask(self, index: int, observation: Observation | None) -> Observation:
        assert observation is not None
        with _blame("env_error"):
            shown = self._link.show(observation)
        for seen in (*shown.past, shown):
            for name in sorted(seen.images):
                image = seen.images[name]
                self._frames.update(f"{name}{image.dtype.str}{image.shape}".encode())
                self._frames.update(np.ascontiguousarray(image).tobytes())
                self._num_frames += 1
        with _blame("policy_error"):
            decision = self._decide(shown)
            self._calls.append((index, decision.latency_s))
            self._player.put(self._link.drive(decision.chunk, observation))
            if decision.chunk.notes is not None:
                check_notes(decision.chunk.notes)
                self.stated = dict(decision.chunk.notes.measures)
                self.said += decision.chunk.notes.said
        return shown

    def _next(self, shown: Observation | None, observation: Observation | None) -> NDArray[np.float32]:
        """Returns the action of this control step; begins a step of the policy where the last one is over."""
        if shown is None and self._is_remembered():
            assert observation is not None
            with _blame("env_error"):
                self._link.remember(observation)
        if not self._ready:
            with _blame("policy_error"):
                self._ready.extend(self._link.spread(self._player.take()))
        return self._ready.popleft()

    def _advance(self, executed: NDArray[np.float32]) -> Facts:
        try:
            with _blame("env_error"):
                facts = self._world.advance(executed)
        except _Diverged as end:
            last = self._facts[-1]
            force = np.zeros((self._num_substeps(), last.contact_force_n.shape[1]), np.float32)
            self._actions.append(executed)
            self._facts.append(replace(last, contacts=(), contact_force_n=force, energy_j=0.0))
            raise _Ended("divergence", warning=end.warning) from None
        self._actions.append(executed)
        self._facts.append(facts)
        return facts

    def _num_substeps(self) -> int:
        """Rows of `contact_force_n` in a step; counted off the spec where no step has been completed."""
        if len(self._facts) > 1:
            return int(self._facts[-1].contact_force_n.shape[0])
        return round(1.0 / (self._spec.control.rate_hz * self._spec.scene.physics.timestep_s))


class _Ended(Exception):
    def __init__(self, by: EndedBy, error: ErrorRecord | None = None, warning: str | None = None) -> None:
        super().__init__(by)
        self.by, self.error, self.warning = by, error, warning


class _Diverged(_Ended):
    pass


@contextlib.contextmanager
def _blame(by: EndedBy) -> Iterator[None]:
    """Turns whatever is raised inside into the end of the episode.

    An action that the environment refuses is the policy's fault wherever it is found out; a divergence is nobody's.
    """
    try:
        yield
    except _Ended:
        raise
    except Divergence as error:
        raise _Diverged("divergence", warning=str(error)) from None
    except PolicyFailed as error:
        raise _Ended("policy_error", error=error.record) from None
    except BadAction as error:
        raise _Ended("policy_error", error=record_of(error)) from None
    except Exception as error:
        raise _Ended(by, error=record_of(error)) from None


def record_of(error: BaseException) -> ErrorRecord:
    """Returns an exception as the ledger keeps it: without the keys that were sent, which an error that is chained to it may repeat.

    What is no character of UTF-8, as half of a surrogate pair, is escaped: no text may stop a run. Neither may one fill the ledger: what is too long
    loses its middle.
    """
    message, text = (cleaned(text) for text in (str(error), "".join(traceback.format_exception(error))))
    text = "\n".join(_bounded(line, _LINE_MAX) for line in text.split("\n"))
    message, text = (_bounded(t, most).encode("utf-8", "backslashreplace").decode() for t, most in ((message, _LINE_MAX), (text, _TRACEBACK_MAX)))
    return ErrorRecord(type=type(error).__name__, message=message, traceback=text)


def _bounded(text: str, most: int) -> str:
    """Returns a text of so many letters at most, and a mark where others were."""
    if len(text) <= most:
        return text
    begin = most // 3
    return f"{text[:begin]} … {len(text) - most} letters are left out … {text[begin - most :]}"
