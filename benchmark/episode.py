"""A whole episode with a policy: connect, play, measure. What a worker does for a run, and what a training loop calls to look at itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vlagym.benchmark.executor import Job, LocalPort, Port
from vlagym.benchmark.patience import patiently
from vlagym.benchmark.rollout import Decide, Decision, Guard, Playable, Rollout, Watch, record_of
from vlagym.envs.safety import Mode, SafetyFilter
from vlagym.envs.types import EndedBy, EpisodeResult, EpisodeSpec, ErrorRecord, Observation, Outcome, Trace, canonical_json, to_plain
from vlagym.policies.base import EpisodeContext, Policy, PolicySpec
from vlagym.policies.chunking import Chunking, declared
from vlagym.policies.conventions import Pipeline, connect

_OUTCOMES: Mapping[EndedBy, Outcome] = {
    "goal": "success",
    "wrong_goal": "failure",
    "wrong_order": "failure",
    "horizon": "failure",
    "fall": "failure",
    "stop": "failure",
    "divergence": "failure",
    "policy_error": "error",
    "env_error": "error",
}


@dataclass(frozen=True, kw_only=True)
class WorldOptions:
    """How the world is rendered; the physics does not depend on it."""

    quality: str = "fast"
    look: str = "auto"
    render: bool = True
    """False: no camera is ever looked through, and no GL context is made."""
    depth: bool = False
    """Whether cameras are asked for depth as well."""


class RunnableWorld(Playable, Protocol):
    """A world that can also say, for the header of a run, how it is rendered."""

    @property
    def look(self) -> str: ...

    def gl_renderer(self) -> str | None: ...


MakeWorld = Callable[[WorldOptions], RunnableWorld]


def make_world(options: WorldOptions) -> RunnableWorld:
    """Returns a MuJoCo world."""
    from vlagym.envs.backend import choose

    choose()
    from vlagym.envs.world import World

    return World(quality=options.quality, look=options.look, depth=options.depth, render=options.render)


@dataclass(frozen=True, kw_only=True)
class Played:
    """An episode that has ended."""

    result: EpisodeResult
    trace: Trace | None
    """None where the world failed to start it."""
    said: tuple[Mapping[str, Any], ...] = ()
    """What the policy said while it acted."""


class Connections:
    """The pipelines between one policy and the environments that it meets; made once for each that differs."""

    def __init__(self, policy: PolicySpec, known: Mapping[str, Pipeline] | None = None) -> None:
        self._policy = policy
        self._known = dict(known or {})

    @staticmethod
    def key(spec: EpisodeSpec) -> str:
        """Returns what the environment's side of the conventions depends on."""
        streams = [(c.name, c.width, c.height) for c in spec.scene.cameras]
        return canonical_json([spec.robot, to_plain(spec.control), streams])

    def of(self, spec: EpisodeSpec, world: Playable) -> Pipeline:
        """Returns the pipeline for an episode; starts it in the world to ask what is observed, where that is not known yet.

        Raises:
          ConventionMismatch: If policy and environment do not fit.
        """
        key = self.key(spec)
        if key not in self._known:
            world.start(spec)
            self._known[key] = connect(self._policy, spec.control, world.observation_spec())
        return self._known[key]


def play_episode(
    world: Playable,
    spec: EpisodeSpec,
    policy: Policy,
    *,
    chunking: Chunking | None = None,
    connections: Connections | None = None,
    watch: Watch | None = None,
    attempt: int = 1,
    safety: Mode = "off",
    weights: Mapping[str, float] | None = None,
) -> Played:
    """Plays one episode in this process and measures it.

    Args:
      world: Where it is played.
      spec: The episode.
      policy: Asked in slot 0.
      chunking: How its chunks are played; None: as it declares.
      connections: Handed in again for the next episode, they save comparing the conventions anew.
      watch: What is rendered besides.
      attempt: Written into the result.
      safety: What the safety filter does with an action that is not allowed.
      weights: Of the measure `cost`, where they differ from those of the house.

    Raises:
      ConventionMismatch: If policy and environment do not fit. Whatever else goes wrong is the result: outcome `error`.
    """
    connections = connections or Connections(policy.spec)
    pipeline = connections.of(spec, world)
    return _play(world, spec, policy.spec, LocalPort(policy), chunking or declared(policy.spec), pipeline, watch, attempt, guard_of(safety), weights)


def guard_of(safety: Mode) -> Guard | None:
    """Returns the safety filter of a mode; None where it is off."""
    return None if safety == "off" else SafetyFilter(safety)


class EpisodePlayer:
    """Plays the episodes of a run, one after another, in whichever process it lives."""

    def __init__(
        self,
        world: Playable,
        policy: PolicySpec,
        own: Policy | None,
        chunking: Chunking,
        known: Mapping[str, Pipeline],
        safety: Mode = "off",
        weights: Mapping[str, float] | None = None,
        reconnect_s: float = 0.0,
    ) -> None:
        """Takes over the world and the policy; `close` closes them.

        Args:
          world: Where episodes are played.
          policy: What the policy declares.
          own: The policy itself, where it lives in this process and for this player alone.
          chunking: How chunks are played.
          known: Pipelines by `Connections.key`.
          safety: What the safety filter does with an action that is not allowed.
          weights: Of the measure `cost`, where they differ from those of the house.
          reconnect_s: How long its own policy is waited for where it cannot be reached when an episode begins.
        """
        self._guard, self._weights = guard_of(safety), weights
        self._world, self._policy, self._own, self._chunking = world, policy, own, chunking
        self._port = None if own is None else LocalPort(own, reconnect_s=reconnect_s)
        self._connections = Connections(policy, known)

    def play(self, job: Job, port: Port | None) -> Played:
        """Plays the episode whose spec is the job's content."""
        spec: EpisodeSpec = job.content
        reached = self._port or port
        assert reached is not None, "neither a policy in this process nor a port to one"
        pipeline = self._connections.of(spec, self._world)
        return _play(self._world, spec, self._policy, reached, self._chunking, pipeline, None, job.attempt, self._guard, self._weights)

    def close(self) -> None:
        """Closes the world, and the policy where it is the player's own."""
        self._world.close()
        if self._own is not None:
            self._own.close()


@dataclass(frozen=True, kw_only=True)
class PlayerOptions:
    """All that a player is made of, as a value that travels to a worker."""

    policy: PolicySpec
    load_own: Callable[[], Policy] | None
    """Loads the policy into the worker; None where it acts elsewhere."""
    chunking: Chunking
    known: Mapping[str, Pipeline]
    world: WorldOptions
    make_world: MakeWorld
    safety: Mode = "off"
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the measure `cost`, where they differ from those of the house."""
    reconnect_s: float = 0.0
    """How long a policy that is loaded into the worker is waited for where it cannot be reached, when it is loaded and when an episode begins."""

    def make(self) -> EpisodePlayer:
        """Builds the player. Called in the worker.

        Raises:
          PolicyUnreachable: If its own policy cannot be reached in all that time.
        """
        # The world first: it chooses the GL backend, which must be done before anything else imports mujoco.
        world = self.make_world(self.world)
        try:
            own = None if self.load_own is None else patiently(self.load_own, self.policy.name, self.reconnect_s)
        except BaseException:
            world.close()
            raise
        return EpisodePlayer(world, self.policy, own, self.chunking, self.known, self.safety, self.weights, self.reconnect_s)


def _play(
    world: Playable,
    spec: EpisodeSpec,
    policy: PolicySpec,
    port: Port,
    chunking: Chunking,
    pipeline: Pipeline,
    watch: Watch | None,
    attempt: int,
    guard: Guard | None,
    weights: Mapping[str, float] | None,
) -> Played:
    began_s = time.perf_counter()
    rollout = Rollout(world, spec, asking(port, policy, spec), pipeline=pipeline, chunking=chunking, watch=watch, guard=guard).play()
    return conclude(spec, rollout, attempt, time.perf_counter() - began_s, weights=weights)


def outcome_of(ended_by: EndedBy) -> Outcome:
    """Returns what the end of an episode counts as."""
    return _OUTCOMES[ended_by]


def is_unmeasured(result: EpisodeResult) -> bool:
    """Returns whether an episode ran to its end and is an error only because a metric failed: `vlagym score` can still measure it."""
    return result.outcome == "error" and outcome_of(result.ended_by) != "error"


def conclude(
    spec: EpisodeSpec,
    rollout: Rollout,
    attempt: int,
    wall_s: float,
    *,
    metrics: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    asked: Trace | None = None,
) -> Played:
    """Returns the result of a rollout that has ended: its measures and, of a failure, its mode, unless it ended by an error.

    A metric that fails makes an error of the episode, but costs no simulation: the trace is kept, and `ended_by` says how the episode ended.

    Args:
      spec: The episode.
      rollout: Has ended.
      attempt: Written into the result.
      wall_s: Written into the result.
      metrics: What is measured; None: every metric of ours.
      weights: Of the cost, where a suite has its own.
      asked: Says when the policy was asked and how long it took, where the rollout plays stored actions again; None: the rollout itself.
    """
    from vlagym.benchmark import scoring
    from vlagym.benchmark.failure_modes import failure_mode

    assert rollout.ended_by is not None
    trace, ended_by, error = rollout.trace(), rollout.ended_by, rollout.error
    if trace is None and error is None:
        # It diverged while it settled. There is nothing to measure or to verify: that says nothing of the policy.
        ended_by, error = "env_error", ErrorRecord(type="Divergence", message=f"before the first action: {rollout.warning}", traceback="")
    outcome = outcome_of(ended_by)
    measures: Mapping[str, float | None] = {}
    mode: str | None = None
    if trace is not None and outcome != "error":
        measured = trace if asked is None else replace(trace, call_step=asked.call_step, latency_s=asked.latency_s)
        try:
            measures, mode = scoring.measure(measured, metrics, weights), failure_mode(measured)
        except Exception as failed:
            outcome, error = "error", record_of(failed)
        else:
            measures = {**measures, **{f"{scoring.STATED}{name}": value for name, value in rollout.stated.items()}}
    result = EpisodeResult(
        digest=spec.digest(),
        task=spec.task,
        robot=spec.robot,
        robot_base=spec.robot_base,
        level=spec.level,
        axes=dict(spec.axes),
        base=spec.base,
        seed=spec.seed,
        instruction=spec.instruction,
        outcome=outcome,
        ended_by=ended_by,
        measures=measures,
        steps=0 if trace is None else trace.num_steps,
        time_s=0.0 if trace is None else float(trace.columns["time_s"][-1]),
        wall_s=wall_s,
        attempt=attempt,
        error=error,
        certificate=rollout.certificate(),
        warning=rollout.warning,
        failure_mode=mode,
        clipped_steps=rollout.clipped_steps,
    )
    return Played(result=result, trace=trace, said=tuple(rollout.said))


def errored(spec: EpisodeSpec, error: ErrorRecord, attempt: int, ended_by: EndedBy = "env_error") -> EpisodeResult:
    """Returns the result of an episode of which nothing came back: its worker died, or something outside the rollout raised."""
    return EpisodeResult(
        digest=spec.digest(),
        task=spec.task,
        robot=spec.robot,
        robot_base=spec.robot_base,
        level=spec.level,
        axes=dict(spec.axes),
        base=spec.base,
        seed=spec.seed,
        instruction=spec.instruction,
        outcome="error",
        ended_by=ended_by,
        measures={},
        steps=0,
        time_s=0.0,
        wall_s=0.0,
        attempt=attempt,
        error=error,
        certificate=None,
    )


def asking(port: Port, policy: PolicySpec, spec: EpisodeSpec) -> Decide:
    """Returns the function that asks a policy through a port about one episode; the first call also tells it that the episode begins."""
    context = EpisodeContext(
        slot=port.slot,
        instruction=spec.instruction,
        action=spec.control,
        digest=spec.digest(),
        spec=spec if policy.privileged else None,
    )
    has_begun = False

    def decide(observation: Observation) -> Decision:
        nonlocal has_begun
        if not has_begun:
            port.begin(context)
            has_begun = True
        return port.decide(observation)

    return decide
