"""A task: its scenes can be laid out and are at rest, its sentence names what is meant, and the expert's plan reaches the goal."""

from __future__ import annotations

from collections.abc import Iterator

from vlagym.benchmark.check import Contract, described, first_sentence_complaint
from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError
from vlagym.envs.task import Task
from vlagym.envs.types import EpisodeSpec

NUM_SPECS = 50
"""Episodes that are sampled with each robot; seeds that neither a suite nor a demonstration has."""
NUM_PLAYED = 10
NUM_SOLVED = 9
"""Of those played: the expert may fail now and then, and says why in the note of a release."""
FIRST_SEED = 900_000


def _complaints(name: str) -> Iterator[str]:
    task = catalog.load("task", name)
    if not isinstance(task, Task):
        yield f"TASK is {type(task).__name__}: make it a vlagym.envs.task.Task"
        return
    yield from first_sentence_complaint("task", name)
    if not task.summary:
        yield "its summary is empty: say in a few words what the robot does"
    for field in ("expert_s", "horizon_factor"):
        if getattr(task, field) <= 0:
            yield f"its {field} is {getattr(task, field)}; it must be above 0: the horizon is expert_s times horizon_factor"
    for robot in task.robots:
        catalog.known("robot", robot)
        specs: list[EpisodeSpec] = []
        yield from _sample(name, robot, specs)
        yield from (f"seed {spec.seed} with {robot}: {complaint}" for spec in specs for complaint in _about_spec(spec))
        yield from _play(name, robot, specs[:NUM_PLAYED])


def _sample(name: str, robot: str, specs: list[EpisodeSpec]) -> Iterator[str]:
    """Fills the list; complains about seeds that give no episode, or another one the second time."""
    from vlagym.envs.sampling import sample

    failed: list[str] = []
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_SPECS):
        try:
            spec = sample(name, robot=robot, seed=seed)
        except VlagymError as error:
            failed.append(str(error))
            continue
        if seed < FIRST_SEED + 3 and sample(name, robot=robot, seed=seed).digest() != spec.digest():
            yield f"seed {seed} gives another episode when it is sampled again: draw only from draft.rng, and sort before you draw"
        specs.append(spec)
    if failed:
        yield f"{len(failed)} of {NUM_SPECS} seeds give no episode with {robot}, the first because: {failed[0]}"
    if len(specs) > 1 and len({spec.to_json().replace(f'"seed":{spec.seed}', "") for spec in specs}) < len(specs):
        yield f"different seeds give the same scene with {robot}: draw positions and objects from draft.rng"


def _about_spec(spec: EpisodeSpec) -> Iterator[str]:
    if not spec.alternatives:
        yield "nothing else could be asked for in its scene, so the sentence does not matter: lay out a second feasible goal"
    if spec.goal in spec.alternatives:
        yield "its goal stands among its own alternatives"
    if spec.stages[-len(spec.goal) :] != spec.goal:
        yield f"its stages end with {', '.join(map(str, spec.stages[-len(spec.goal) :]))} and not with its goal {', '.join(map(str, spec.goal))}"
    there = {p.name for p in spec.scene.props} | {f.name for f in spec.scene.fixtures}
    for predicate in (*spec.goal, *spec.stages, *(p for goal in spec.alternatives for p in goal)):
        for argument in predicate.args:
            if argument.split("/")[0] not in there:
                yield f"{predicate} speaks of {argument!r}, which its scene does not hold. It holds: {', '.join(sorted(there))}"
    for name in spec.named:
        if name in there and not _is_named(spec, name):
            yield f"its sentence {spec.instruction!r} does not name {name!r}, which its goal is about"


def _is_named(spec: EpisodeSpec, name: str) -> bool:
    """Returns whether a noun of the thing stands in the sentence, or its colour does ("the red one")."""
    from vlagym.envs.objects import get, get_fixture

    for prop in spec.scene.props:
        if prop.name == name:
            asset = get(prop.asset)
            nouns, colour = (*asset.names, *asset.unseen_names), asset.colour
            break
    else:
        furniture = get_fixture(next(f.asset for f in spec.scene.fixtures if f.name == name))
        nouns, colour = (*furniture.names, *furniture.unseen_names), furniture.colour
    sentence = spec.instruction.lower()
    return any(noun in sentence for noun in nouns) or bool(colour and colour in sentence)


def _play(name: str, robot: str, specs: list[EpisodeSpec]) -> Iterator[str]:
    """Plays the expert on some episodes; complains about a goal that is met before the first action, and about too few successes."""
    from vlagym.benchmark.rollout import Decision, Rollout
    from vlagym.envs.world import World
    from vlagym.policies.base import EpisodeContext
    from vlagym.policies.chunking import declared
    from vlagym.policies.conventions import connect
    from vlagym.policies.loading import load_policy
    from vlagym.envs.types import Observation

    expert = load_policy("expert")
    world = World(render=False)
    endings: list[str] = []
    for spec in specs:
        try:
            facts = world.start(spec)
        except VlagymError as error:
            yield f"seed {spec.seed} with {robot} cannot be started: {described(error)}"
            continue
        if facts.goal_met.all():
            yield f"seed {spec.seed} with {robot}: the goal is met before the first action"
        expert.reset(EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec))

        def decide(observation: Observation) -> Decision:
            return Decision(expert.act({0: observation})[0], 0.0)

        pipeline = connect(expert.spec, spec.control, world.observation_spec())
        rollout = Rollout(world, spec, decide, pipeline=pipeline, chunking=declared(expert.spec)).play()
        if rollout.ended_by != "goal":
            told = f": {rollout.error.message}" if rollout.error else ""
            endings.append(f"seed {spec.seed} ended by {rollout.ended_by}{told}")
    world.close()
    expert.close()
    if specs and len(specs) - len(endings) < min(NUM_SOLVED, len(specs)):
        yield f"the expert reaches the goal in {len(specs) - len(endings)} of {len(specs)} episodes with {robot}: {'; '.join(endings)}"


CONTRACT = Contract(names=lambda: catalog.names("task"), complaints=_complaints)
