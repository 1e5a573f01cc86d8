"""The worker of a collection: samples an episode, plays it without cameras, renders it if it is kept, and stores it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.disk import CannotStore
from vlagym.benchmark.collecting.options import SUCCESS, Attempt, DemoOptions
from vlagym.benchmark.collecting.pictures import pictures
from vlagym.benchmark.collecting.sentences import paraphrases
from vlagym.benchmark.collecting.tape import Rewindable, Tape
from vlagym.benchmark.episode import Connections, WorldOptions, asking
from vlagym.benchmark.executor import Job, LocalPort, Port
from vlagym.benchmark.noise import perturbation
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Decide, Decision, Perturb, Rollout, Watch
from vlagym.benchmark.stored import STORED, ActionsEnded
from vlagym.envs import catalog
from vlagym.envs.catalogues import CORE
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeSpec, Observation, ObservationSpec, stream
from vlagym.policies.base import Policy
from vlagym.policies.chunking import Chunking, declared
from vlagym.policies.conventions import connect
from vlagym.policies.loading import load_policy
from vlagym.results.demonstration import DatasetInfo, Demonstration, Stage
from vlagym.results.format import Format, Part

_SLOT = 0
_WHOLE_FAILURES = ("horizon", "wrong_goal", "wrong_order", "fall")
"""Ends of failures that can be kept: they run the same again. After a divergence there is no state to speak of."""


class Made(NamedTuple):
    """What a worker sends back: the list's line, and where the demonstration lies, if it is kept."""

    attempt: Attempt
    part: Part | None


@dataclass(kw_only=True)
class _Take:
    """An episode that was played, and all that was noted on the way."""

    spec: EpisodeSpec
    rollout: Rollout
    recorder: Recorder
    tape: Tape
    labels: list[NDArray[np.float32]] = field(default_factory=list)
    executed: list[NDArray[np.float32]] = field(default_factory=list)
    wanted: list[Any] = field(default_factory=list)
    """What the controllers would have been asked by each label: `vlagym.envs.world.Commanded`."""
    stages: list[str] = field(default_factory=list)

    @property
    def is_kept_if_successful(self) -> bool:
        return self.rollout.ended_by == SUCCESS

    @property
    def is_whole_failure(self) -> bool:
        return self.rollout.ended_by in _WHOLE_FAILURES


class Demonstrator:
    """Samples, plays, records and stores one seed after another."""

    def __init__(self, options: DemoOptions, info: DatasetInfo | None) -> None:
        """Loads the world and the policy.

        Args:
          options: Of the collection.
          info: Of the dataset; None where no episode could be sampled of which it could be made.
        """
        self._options, self._info = options, info
        self._world = options.make_world(WorldOptions(quality=options.quality, look=options.look, depth=options.depth))
        self._policy: Policy = load_policy(options.policy)
        self._connections = Connections(self._policy.spec)
        self._format: Format = catalog.load("format", options.format)
        self._is_live = not isinstance(self._world, Rewindable)

    def play(self, job: Job, port: Port | None) -> Made:
        """Tries a seed.

        Raises:
          BadData: If the episode holds what is kept for tests, or the demonstration does not fit the dataset or the format.
          CannotStore: If the disk is full, or may not be written to.
        """
        index, seed = job.content
        options, entry = self._options, self._options.entries[index]
        began_s = options.clock()
        spec = entry.sample(seed, options.sample)
        if not options.allow_unseen:
            _refuse_unseen(spec, options.find_unseen(spec, places=entry.catalogue != CORE))
        take = self._second(self._first(spec), spec.control, translates_failures=options.keep_failures)
        ended_by, error, how = take.rollout.ended_by, take.rollout.error, str(take.rollout.ended_by)
        if error is not None and error.type == ActionsEnded.__name__:
            how, error = f"not when it was played again: {error.message}", None  # the same would come of another try
        played_s = options.clock()
        is_kept = take.is_kept_if_successful or (options.keep_failures and take.is_whole_failure)
        part, num_bytes, rendered_s = None, 0, played_s
        if is_kept:
            demonstration = self._demonstration(take)
            rendered_s = options.clock()
            part = self._store(demonstration)
            num_bytes = size_of(part.path)
        attempt = Attempt(
            task=spec.task,
            seed=seed,
            entry=index,
            digest="" if error else take.spec.digest(),
            kept=is_kept,
            how=f"{error.type}: {error.message}" if error else how,
            steps=take.recorder.num_steps,
            instruction=spec.instruction,
            num_bytes=num_bytes,
            times_s=(round(played_s - began_s, 4), round(rendered_s - played_s, 4), round(options.clock() - rendered_s, 4)),
        )
        return Made(attempt, part)

    def actions(self, spec: EpisodeSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Plays an episode as it is played for a dataset in whose convention it is told, and returns its labels and what was executed, `(T, D)`.

        Nothing is rendered or stored. Of an episode that cannot be played there are no rows.
        """
        take = self._second(self._first(spec), spec.control, translates_failures=True)
        nothing = np.zeros((0, spec.control.size), np.float32)
        return np.array([*take.labels], np.float32) if take.labels else nothing, np.array([*take.executed], np.float32) if take.executed else nothing

    def close(self) -> None:
        """Closes the world and the policy."""
        self._policy.close()
        self._world.close()

    # -------------------------------------------------------------------------------------------------------------------- playing
    def _first(self, spec: EpisodeSpec) -> _Take:
        """Plays an episode with the policy, in a convention that it speaks."""
        spec = motion.under_control(spec, control_for(spec, self._policy.spec.controls))
        decide = asking(LocalPort(self._policy, _SLOT), self._policy.spec, spec)
        noise = self._options.noise
        disturb = None if noise.is_quiet else perturbation(noise, spec.control, stream(spec.seed, "demo", "noise", spec.digest()))
        pipeline = self._connections.of(spec, self._world)
        return self._played(spec, decide, pipeline, declared(self._policy.spec), disturb, None)

    def _second(self, take: _Take, control: ActionSpec, *, translates_failures: bool) -> _Take:
        """Plays an episode again where its actions are to be others than those that were played: without idle ones, then in another convention.

        Failures keep their idle actions: without them most would not come to the same end.
        """
        if self._options.filter_noops and take.is_kept_if_successful:
            take = self._busy(take)
        if take.spec.control != control and (take.is_kept_if_successful or (translates_failures and take.is_whole_failure)):
            labels, executed = np.stack(take.labels), np.stack(take.executed)
            labels, executed = translated(take.spec, control, (labels, executed), take.wanted, take.tape.commanded)
            take = self._again(motion.under_control(take.spec, control), labels, executed, take.stages)
        return take

    def _busy(self, take: _Take) -> _Take:
        kept = busy(take.executed, take.spec)
        stages = [stage for stage, is_kept in zip(take.stages, kept, strict=True) if is_kept]
        return self._again(take.spec, np.stack(take.labels)[kept], np.stack(take.executed)[kept], stages)

    def _again(self, spec: EpisodeSpec, labels: NDArray[np.float32], executed: NDArray[np.float32], stages: Sequence[str]) -> _Take:
        blind = ObservationSpec(images=(), state=(), rate_hz=spec.control.rate_hz)
        pipeline = connect(STORED, spec.control, blind)
        return self._played(spec, _answer(spec, labels), pipeline, Chunking(mode="whole"), lambda step, action: executed[step], stages)

    def _played(
        self, spec: EpisodeSpec, decide: Decide, pipeline: Any, chunking: Chunking, perturb: Perturb | None, stages: Sequence[str] | None
    ) -> _Take:
        options = self._options
        tells = not self._is_live
        tape = Tape(self._world, tells_commands=tells)
        wanted: list[Any] = []

        def note(step: int, action: NDArray[np.float32]) -> NDArray[np.float32]:
            if tells and perturb is not None and isinstance(self._world, Rewindable):
                wanted.append(self._world.commanded(action))
            return action if perturb is None else perturb(step, action)

        watch = Watch(cameras=tuple(options.images) if self._is_live else (), every=options.frame_stride)
        rollout = Rollout(tape, spec, decide, pipeline=pipeline, chunking=chunking, watch=watch, perturb=note)
        recorder = Recorder(spec, options.images, options.frame_stride, is_live=self._is_live)
        take = _Take(spec=spec, rollout=rollout, recorder=recorder, tape=tape)
        stage = getattr(self._policy, "stage", None)
        for step in rollout:
            recorder.add(step)
            take.labels.append(step.action)
            take.executed.append(step.executed)
            take.stages.append(stages[step.index] if stages is not None else "" if stage is None else stage(_SLOT))
        take.wanted = wanted or tape.commanded[1:]
        return take

    # ------------------------------------------------------------------------------------------------------------------ recording
    def _demonstration(self, take: _Take) -> Demonstration:
        options, spec, rollout = self._options, take.spec, take.rollout
        trace = rollout.trace()
        assert trace is not None and self._info is not None
        certificate = rollout.certificate()
        seen = None
        if not self._is_live:
            seen = pictures(take.tape, trace, options.images, options.frame_stride, image_size=options.image_size, depth=options.depth)
        steps = take.recorder.num_steps
        commands = {
            name: motion.told(spec, to, np.stack(take.labels), take.tape.commanded[:steps], take.wanted[:steps])
            for name, to in self._info.commands.items()
        }
        return take.recorder.demonstration(
            seen,
            is_success=rollout.ended_by == SUCCESS,
            commands=commands,
            stages=stages_of(take.stages),
            paraphrases=paraphrases(spec, options.paraphrases),
            certificate=certificate,
        )

    def _store(self, demonstration: Demonstration) -> Part:
        info, collector = self._info, multiprocessing.parent_process()
        assert info is not None
        if collector is not None and not collector.is_alive():
            raise VlagymError("the process that collects is gone: what nobody would list is not stored")
        if demonstration.episode.control != info.action:
            raise BadData(f"the episode is controlled by {demonstration.episode.control.name}, and the dataset is one of {info.action.name}")
        try:
            return self._format.store(self._options.out, info, demonstration)
        except BadData as error:
            if isinstance(error.__cause__, OSError):
                raise CannotStore(str(error)) from error
            raise


# --------------------------------------------------------------------------------------------------------------- what it is made of
def control_for(spec: EpisodeSpec, spoken: Sequence[str]) -> ActionSpec:
    """Returns the convention in which a policy plays an episode: that of the episode, or the first it speaks from which that can be translated.

    Args:
      spec: The episode.
      spoken: Names of the conventions that the policy speaks; empty: any.
    """
    if not spoken or spec.control.name in spoken:
        return spec.control
    from vlagym.envs.control import action_spec

    robot = catalog.load("robot", spec.robot)
    known = motion.TWO_HANDS if robot.has_two_hands else motion.ONE_ARM
    name = next((name for name in spoken if name in robot.controls), None)
    if name is None or spec.control.name not in known or spec.action_delay_steps:
        return spec.control  # whoever connects them says what does not fit
    return action_spec(robot, name, spec.control.rate_hz, spec.robot_base)


def translated(
    spec: EpisodeSpec,
    control: ActionSpec,
    played: tuple[NDArray[np.float32], NDArray[np.float32]],
    wanted: Sequence[Any],
    commanded: Sequence[Any],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the labels and the executed actions of an episode in another convention, `(T, D)` each, within its bounds.

    Displacements of joints are told from where those before them have led, so that what a bound cuts off is caught up with.

    Args:
      spec: The episode as it was played.
      control: The other convention.
      played: `(T, D)` the labels and the executed actions in its own convention.
      wanted: T times what the controllers would have been asked by the label.
      commanded: (T + 1) times what they were asked: at the start, and after each action.
    """
    steps = len(played[0])
    afters = (wanted[:steps], commanded[1 : steps + 1])
    labels, executed = (motion.told(spec, control, rows, commanded[:steps], after) for rows, after in zip(played, afters, strict=True))
    if control.name == "joint_delta":
        at, scale = control.slices()["joints"], control.components[0].scale
        here = np.array(commanded[0].joint_target)
        for t in range(steps):
            for rows, aim in ((labels, wanted[t]), (executed, commanded[t + 1])):
                rows[t, at] = np.clip((aim.joint_target - here) / scale, -1.0, 1.0)
            here = here + executed[t, at].astype(np.float64) * scale
    return np.clip(labels, control.low, control.high), np.clip(executed, control.low, control.high)


def busy(executed: Sequence[NDArray[np.float32]], spec: EpisodeSpec) -> NDArray[np.bool_]:
    """Returns which actions are left where those that do nothing are filtered, `(T,)`. While the goal is held at the end, all of them are."""
    kept, last = np.ones(len(executed), bool), None
    holding = round(spec.hold_s * spec.control.rate_hz) + 1
    for step, action in enumerate(executed):
        kept[step] = step >= len(executed) - holding or not motion.is_noop(action, last, spec.control)
        last = action if kept[step] else last
    return kept


def stages_of(names: Sequence[str]) -> tuple[Stage, ...]:
    """Returns the stages of an episode from the name of what was done at each step; () where nobody said."""
    if not all(names):
        return ()
    return tuple(Stage(step, name) for step, name in enumerate(names) if step == 0 or names[step - 1] != name)


def size_of(path: Path) -> int:
    """Returns how many bytes a file has, or the files of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size


def _answer(spec: EpisodeSpec, labels: NDArray[np.float32]) -> Decide:
    is_spent = len(labels) == 0

    def decide(observation: Observation) -> Decision:
        nonlocal is_spent
        if is_spent:
            raise ActionsEnded(f"the {len(labels)} actions are played, and the goal is not reached with them")
        is_spent = True
        return Decision(ActionChunk(values=labels, spec=spec.control), 0.0)

    return decide


def _refuse_unseen(spec: EpisodeSpec, unseen: Sequence[str]) -> None:
    if unseen:
        raise BadData(
            f"the episode of {spec.task} with seed {spec.seed} holds what is kept for tests: {', '.join(unseen)}. It is demonstrated only with "
            "--allow-unseen"
        )
