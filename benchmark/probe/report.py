"""All that a probe looks at, one after another, as what `vlagym check` prints: rows, notes, and sentences about what looks wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vlagym.benchmark.check import Note, Row
from vlagym.benchmark.probe import answers, motion, pictures, replaying, sides
from vlagym.benchmark.probe.demonstrations import Demonstration, record
from vlagym.benchmark.probe.meeting import Asked, Pair, Where, pairs, possible
from vlagym.envs import catalog
from vlagym.envs.errors import ConventionMismatch, NoRenderer
from vlagym.envs.robot import Robot
from vlagym.envs.types import ObservationSpec
from vlagym.policies.base import Policy, PolicySpec
from vlagym.policies.conventions import Pipeline, connect
from vlagym.policies.loading import load_policy

if TYPE_CHECKING:
    from vlagym.envs.world import World

EVERY = 8
"""Control steps between two observations about which a policy is asked."""
ASKED_PER_TASK = 2
"""Episodes of each task about whose observations it is asked; the others are only replayed."""


class Ground(NamedTuple):
    """What is probed on."""

    pairs: Sequence[Pair]
    sent: ObservationSpec
    pipeline: Pipeline


def probe(spec: PolicySpec, policy: Policy | None, asked: Asked) -> Iterator[str | Row]:
    """Yields what is found about a declaration, and about the policy that stands behind it.

    Args:
      spec: The declaration.
      policy: Is asked; None: there is only a declaration.
      asked: Where, how much, and whether a page is written.

    Raises:
      ConventionMismatch: If the two do not fit under any control of the robot.
    """
    from vlagym.envs.world import World

    if spec.privileged:
        yield Note("reads the true state: there is no convention to probe")
        return
    if why := possible(asked.where, "ee_delta"):
        yield Note(f"not probed: {why}")
        return
    ground = ground_of(spec, asked.where, asked.per_task)
    yield from sides.rows(spec, ground.pipeline, ground.sent)
    yield from (Note(f"look again: {text}") for text in sides.remarks(spec))
    with contextlib.closing(World()) as world:
        yield from _pictures(world, ground, asked)
        if spec.action is None:
            yield Note("takes whatever actions the environment has: there is no convention of its own to probe")
        else:
            results = list(motion.moved(world, ground.pairs[0].policy, spec, ground.pipeline))
            yield from (m.row() for m in results)
            yield from motion.state_rows(results)
            yield from (Note(f"look again: {text}") for text in motion.hints(results, spec))
        shown = _demonstrations(world, ground, asked, policy is not None)
        if spec.action is not None:
            yield from _replays(world, spec, shown)
        if policy is not None:
            yield from about_answers(policy, shown, ground.sent)


def about_answers(policy: Policy, shown: Sequence[Demonstration], sent: ObservationSpec) -> Iterator[str | Row]:
    """Yields what a policy's answers say about its declaration."""
    samples = [answers.Sample(one, step) for one in shown for step in one.seen]
    judgement = answers.judge(policy, samples, sent)
    yield from judgement.rows()
    told = f"asked about {judgement.num} observations of the expert's, its answers are {judgement.declared.loss:.2f} from the expert's as declared"
    yield Note(f"{told} (0: the same, 1: as if it said nothing)")
    for finding in judgement.findings:
        yield f"looks wrong: {finding.finding} ({judgement.declared.loss:.2f} from the expert's as declared, {judgement.after.loss:.2f} so)"
    if not judgement.follows:
        yield Note("its answers follow the expert in no reading that was tried: they are no evidence, neither for its declaration nor against it")
    elif not judgement.findings:
        yield Note("its answers follow the expert as it declares itself, and no other reading that was tried explains them clearly better")


def ground_of(spec: PolicySpec, where: Where, per_task: int) -> Ground:
    """Returns the episodes under the first control that takes what the policy sends.

    Raises:
      ConventionMismatch: If none does; it is that of the control that was asked for, or of the usual one.
    """
    from vlagym.benchmark.checks.policy import sent_in

    robot: Robot = catalog.load("robot", next(pairs(where, "ee_delta", 1)).expert.robot)
    controls = ("default", *robot.controls) if where.control == "default" else (where.control,)
    refused: ConventionMismatch | None = None
    for control in controls:
        episode = next(pairs(where, control, 1)).policy
        try:
            pipeline = connect(spec, episode.control, sent_in(episode))
        except ConventionMismatch as error:
            refused = refused or error
            continue
        return Ground(list(pairs(where, control, per_task)), sent_in(episode), pipeline)
    assert refused is not None
    raise refused


def _pictures(world: World, ground: Ground, asked: Asked) -> Iterator[str | Row]:
    if not ground.pipeline.images:
        return
    world.start(ground.pairs[0].policy)
    try:
        for step in ground.pipeline.images:
            yield from pictures.landings(world, step)
        if asked.png is not None:
            pictures.write(asked.png, world, ground.pipeline.images)
            yield Note(f"what it is shown: {asked.png}")
    except NoRenderer as error:
        yield Note(f"what it is shown was not looked at: {error}")


def _demonstrations(world: World, ground: Ground, asked: Asked, is_asked: bool) -> list[Demonstration]:
    expert = load_policy("expert")
    cameras = ground.pipeline.cameras if is_asked else ()
    # Another reading may exchange cameras, never add one.
    few = ASKED_PER_TASK * len({pair.policy.task for pair in ground.pairs})
    try:
        return [record(world, pair, expert, cameras, EVERY, keep=is_asked and i < few) for i, pair in enumerate(ground.pairs)]
    finally:
        expert.close()


def _replays(world: World, spec: PolicySpec, shown: Sequence[Demonstration]) -> Iterator[str | Row]:
    kept = [replaying.replayed(world, spec, one) for one in shown if one.is_success]
    text, is_enough = replaying.told(kept)
    yield Note(text) if is_enough or not kept else f"too much is lost in conversion: {text}"
