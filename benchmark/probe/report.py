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


class Ground(NamedTuple):
    """What is probed on."""

    pairs: Sequence[Pair]
    sent: ObservationSpec
    pipeline: Pipeline
    flags: str
    """What is written behind `vlagym run` so that it plays there."""


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
    yield sides.station(spec, ground.pairs[0].policy, asked.where.rig)
    yield from sides.rows(spec, ground.pipeline, ground.sent)
    yield Note(f"probed as it is played by: vlagym run --policy … --suite smoke{ground.flags}")
    yield from (Note(f"look again: {text}") for text in sides.remarks(spec))
    with contextlib.closing(World()) as world:
        asked.tell("1 of 4, what it is shown")
        yield from _pictures(world, ground, asked)
        if spec.action is None:
            yield Note("takes whatever actions the environment has: there is no convention of its own to probe")
        else:
            asked.tell("2 of 4, what its actions do")
            results = list(motion.moved(world, ground.pairs[0].policy, spec, ground.pipeline))
            yield from (m.row() for m in results)
            yield from motion.state_rows(results)
            yield from (Note(f"look again: {text}") for text in motion.hints(results, spec))
        shown = _demonstrations(world, ground, asked, policy is not None)
        if spec.action is not None:
            yield from _replays(world, spec, shown, asked)
        if policy is not None:
            asked.tell("4 of 4, what its answers mean")
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
    elif judgement.likely is not None and judgement.likely.suspicion is not None:
        told = f"another reading fits better, but not surely: {judgement.likely.suspicion.finding}"
        more = "ask about more with --demonstrations, and look at its documentation"
        yield Note(f"look again: {told} ({judgement.after.loss:.2f} from the expert's without it, {judgement.likely.loss:.2f} with it); {more}")
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
    refused: list[ConventionMismatch] = []
    for control in controls:
        episode = next(pairs(where, control, 1)).policy
        try:
            pipeline = connect(spec, episode.control, sent_in(episode))
        except ConventionMismatch as error:
            refused.append(error)
            continue
        return Ground(list(pairs(where, control, per_task)), sent_in(episode), pipeline, _flags(where, control))
    nearest = min(refused, key=lambda error: sum(line.startswith("- ") for line in str(error).splitlines()))
    elsewhere = _elsewhere(spec, where)
    raise ConventionMismatch(f"{nearest}{elsewhere}") from nearest


def _flags(where: Where, control: str) -> str:
    named = (("rig", where.rig or "default"), ("robot", where.robot), ("control", control))
    return "".join(f" --{name} {value}" for name, value in named if value != "default")


def _elsewhere(spec: PolicySpec, where: Where) -> str:
    """Returns a sentence about the first rig at which it would fit, and under which control; empty if there is none, or one was asked for."""
    from vlagym.benchmark.checks.policy import sent_in
    from vlagym.benchmark.rig import load_rig, rig_names

    for rig in rig_names() if where.rig is None else ():
        robot: Robot = catalog.load("robot", load_rig(rig).robot)
        if where.robot not in ("default", robot.name):
            continue
        for control in ("default", *robot.controls) if where.control == "default" else (where.control,):
            there = Where(rig, robot.name, control)
            episode = next(pairs(there, control, 1)).policy
            try:
                connect(spec, episode.control, sent_in(episode))
            except ConventionMismatch:
                continue
            return f"\nIt fits with{_flags(Where(rig), control)}, which runs at {episode.control.rate_hz:g} Hz"
    return ""


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
    shown = []
    try:
        for i, pair in enumerate(ground.pairs):
            asked.tell(f"3 of 4, what is lost: the expert has played {i} of {len(ground.pairs)} episodes")
            shown.append(record(world, pair, expert, cameras, EVERY, keep=is_asked))
        return shown
    finally:
        expert.close()


def _replays(world: World, spec: PolicySpec, shown: Sequence[Demonstration], asked: Asked) -> Iterator[str | Row]:
    kept = []
    for i, one in enumerate(shown):
        asked.tell(f"3 of 4, what is lost: brought back {i} of {len(shown)} of the expert's episodes")
        kept += [replaying.replayed(world, spec, one)] if one.is_success else []
    text, is_enough = replaying.told(kept)
    yield Note(text) if is_enough or not kept else f"too much is lost in conversion: {text}"
