"""A policy: says what it reads and sends, fits the environment, answers with chunks of its spec, and forgets when it is reset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.check import Contract, NotCheckable, Row, described, first_sentence_complaint
from vlagym.benchmark.checks import _samples
from vlagym.benchmark.probe.meeting import Asked, Where
from vlagym.envs import catalog
from vlagym.envs.errors import BadAction, VlagymError
from vlagym.envs.robot import Robot
from vlagym.envs.task import Task
from vlagym.envs.types import ActionChunk, Base, EpisodeSpec, Observation, ObservationSpec, canonical_json, stream, to_plain
from vlagym.policies.base import EpisodeContext, Policy, PolicySpec, check_chunks
from vlagym.policies.conventions import Pipeline, agreed_action, connect
from vlagym.policies.loading import load_policy, split


class _Episode(NamedTuple):
    """An episode as a policy meets it: what it is told, and what it is shown first."""

    context: EpisodeContext
    sent: Observation
    """What the environment sends first."""
    shown: Observation
    """What the policy is shown of it."""


def _complaints(name: str) -> Iterator[str | Row]:
    return complaints(name)


def complaints(name: str, options: Mapping[str, str] | None = None, asked: Asked | None = None) -> Iterator[str | Row]:
    """Yields what is wrong with a policy.

    Args:
      name: As on the command line.
      options: Of the policy.
      asked: What its conventions are probed on besides, where no rig is named at the one that the policy was made for; None: they are not.
    """
    policy = _load(name, options or {})
    if asked is not None and asked.where.rig is None:
        asked = asked._replace(where=asked.where._replace(rig=policy.spec.rig))
    yield from first_sentence_complaint("policy", split(name)[0])
    where = None if asked is None or asked.where == Where() else asked.where
    try:
        yield from _about_options(name)
        yield from _about_spec(policy.spec)
        yield from _about_answers(policy, where)
        if asked is not None:
            from vlagym.benchmark.probe.report import probe

            yield from probe(policy.spec, policy, asked)
    finally:
        policy.close()


def _load(name: str, options: Mapping[str, str]) -> Policy:
    """Loads the policy; raises NotCheckable if it asks for an argument and says how to write it ("replay:RUN")."""
    try:
        return load_policy(name, options)
    except VlagymError as error:
        if split(name)[1] is None and re.search(rf"{re.escape(name)}:\w", str(error)):
            raise NotCheckable(f"{error}; check policy:{name}:… with the argument") from error
        raise


def _about_options(name: str) -> Iterator[str]:
    try:
        load_policy(name, {"no_such_option": "1"}).close()
    except VlagymError as error:
        if "no_such_option" not in str(error):
            yield f"an unknown option is refused without being named ({error}): use vlagym.policies.loading.refuse_options"
    except Exception as error:
        yield f"an unknown option raises {described(error)}: use vlagym.policies.loading.refuse_options"
    else:
        yield "an unknown option is accepted: a typing error would go unnoticed; use vlagym.policies.loading.refuse_options"


def _about_spec(spec: PolicySpec) -> Iterator[str]:
    if not spec.name:
        yield "its spec has no name"
    if not 1 <= spec.execute_steps <= spec.chunk_steps:
        yield f"it executes {spec.execute_steps} steps of a chunk of {spec.chunk_steps}: execute_steps must lie between 1 and chunk_steps"
    try:
        canonical_json(to_plain(spec.card))
    except (TypeError, ValueError) as error:
        yield f"its card cannot be written into a run header as JSON: {error}"


def _about_answers(policy: Policy, where: Where | None) -> Iterator[str]:
    first, second = (_episode(policy, where, slot=slot, seed=slot) for slot in (0, 1))
    spec = first.context.action
    pipeline = _pipeline(policy, _sampled(policy, 0, where))
    answers = _ask(policy, {0: first, 1: second})
    wanted = agreed_action(policy.spec, spec)
    check_chunks(answers, [0, 1], wanted)
    for (slot, chunk), episode in zip(sorted(answers.items()), (first, second), strict=True):
        steps = len(chunk.values)
        if steps != policy.spec.chunk_steps:
            yield f"it sends a chunk of {steps} steps and declares chunk_steps={policy.spec.chunk_steps}"
        try:
            link = pipeline.open()
            for row in link.drive(chunk, episode.sent):
                for action in link.spread(row):
                    spec.check(action)
        except BadAction as error:
            yield f"its chunk for slot {slot} is no sequence of actions: {error}"
    again = _ask(policy, {0: first, 1: second})
    yield from (
        f"after a reset the same episode gets another answer ({_difference(answers[slot], again[slot])}): clear the slot in reset, "
        "and draw only from a generator that is seeded by the context's digest"
        for slot in (0, 1)
        if not _equal(answers[slot], again[slot])
    )
    for slot, episode in enumerate((first, second)):
        alone = _ask(policy, {slot: episode})
        if not _equal(answers[slot], alone[slot]):
            told = _difference(answers[slot], alone[slot])
            yield f"slot {slot} gets another answer alone than together with the other one ({told}): results would depend on the number of workers"


def _ask(policy: Policy, episodes: Mapping[int, _Episode]) -> dict[int, ActionChunk]:
    for episode in episodes.values():
        policy.reset(episode.context)
    chunks = policy.act({slot: episode.shown for slot, episode in episodes.items()})
    return {slot: ActionChunk(values=np.array(chunk.values), spec=chunk.spec) for slot, chunk in chunks.items()}


def _equal(a: ActionChunk, b: ActionChunk) -> bool:
    return np.array_equal(a.values, b.values)


def _difference(a: ActionChunk, b: ActionChunk) -> str:
    if a.values.shape != b.values.shape:
        return f"{a.values.shape} and {b.values.shape}"
    return f"by up to {np.abs(a.values - b.values).max():.3g}"


# -------------------------------------------------------------------------------------------------------------- what it is asked about
def _sampled(policy: Policy, seed: int, where: Where | None) -> EpisodeSpec:
    from vlagym.envs.sampling import sample

    if where is not None:
        from vlagym.benchmark.probe.report import ground_of

        return ground_of(policy.spec, where, per_task=seed + 1).pairs[-1].policy
    met = _met_by(policy.spec)
    return sample(met.task, seed=seed, robot=met.robot, base=met.base, control=met.control)


class _Body(NamedTuple):
    """What a policy is asked about: a task, and the body that it commands there."""

    task: str
    robot: str
    base: Base
    control: str


def _met_by(spec: PolicySpec) -> _Body:
    """Returns the first body that takes a policy's actions and sends what it reads, or else only takes its actions; one with one arm if it may be."""
    from vlagym.envs.control import action_spec

    robots: dict[str, Robot] = {name: catalog.load("robot", name) for name in catalog.names("robot")}
    bodies: list[_Body] = []
    for task in catalog.names("task"):
        definition: Task = catalog.load("task", task)
        for robot in (robots[name] for name in definition.robots if name in robots):
            bases = [base for base in definition.bases if base in robot.bases]
            bodies += [_Body(task, robot.name, base, control) for base in bases for control in robot.controls]
    bodies.sort(key=lambda body: _usualness(robots[body.robot], body))
    first = bodies[0]
    action = spec.action
    if action is not None:
        bodies = [body for body in bodies if action == action_spec(robots[body.robot], body.control, base=body.base)] or [
            body for body in bodies if body.control == action.name
        ]
    fitting = (body for body in bodies if _sends(robots[body.robot], body.base, spec.observation))
    return next(fitting, bodies[0] if bodies else first)


def _usualness(robot: Robot, body: _Body) -> tuple[bool, int, int]:
    """Returns a key that puts one arm before two, and a robot's first base and first control before its others."""
    return robot.has_two_hands, robot.bases.index(body.base), robot.controls.index(body.control)


def _sends(robot: Robot, base: Base, read: ObservationSpec) -> bool:
    """Returns whether a body sends all that is read, going by the names."""
    from vlagym.envs.env import BODY_CAMERAS, CAMERAS
    from vlagym.envs.proprioception import state_components

    cameras = {*(BODY_CAMERAS if robot.has_two_hands else CAMERAS), "front", "side"}
    state = {component.name for component in state_components(robot, base)}
    return {image.name for image in read.images} <= cameras and {component.name for component in read.state} <= state


def _pipeline(policy: Policy, spec: EpisodeSpec) -> Pipeline:
    return connect(policy.spec, spec.control, sent_in(spec))


def sent_in(spec: EpisodeSpec) -> ObservationSpec:
    """Returns what the environment sends in an episode."""
    from vlagym.envs.types import ImageComponent
    from vlagym.envs.proprioception import state_components

    images = tuple(ImageComponent(name=c.name, width=c.width, height=c.height) for c in spec.scene.cameras)
    return ObservationSpec(images=images, state=state_components(catalog.load("robot", spec.robot), spec.robot_base), rate_hz=spec.control.rate_hz)


def _episode(policy: Policy, where: Where | None, *, slot: int, seed: int) -> _Episode:
    """Returns an episode with a synthetic first observation, or a simulated one for a policy that sees the true state.

    Images are noise: that a policy does well is measured by running it. Arrays cannot be written to, for they are not the policy's.
    """
    spec = _sampled(policy, seed, where)
    context = EpisodeContext(
        slot=slot, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec if policy.spec.privileged else None
    )
    if policy.spec.privileged:
        from vlagym.envs.world import World

        world = World(render=False)
        world.start(spec)
        observation = world.observe((), privileged=True)
        world.close()
    else:
        sent, rng = sent_in(spec), stream(seed, "checks", "images")
        observation = Observation(
            images={i.name: rng.integers(0, 256, (i.height, i.width, 3), np.uint8) for i in sent.images},
            proprio=_samples.proprio({s.name: s.size for s in sent.state}, seed),
            instruction=spec.instruction,
            time_s=0.0,
        )
    shown = _pipeline(policy, spec).open().show(observation)
    for image in shown.images.values():
        image.flags.writeable = False
    for value in shown.proprio.values():
        value.flags.writeable = False
    return _Episode(context, observation, shown)


CONTRACT = Contract(names=lambda: catalog.names("policy"), complaints=_complaints)
