"""A task: its scenes can be laid out and are at rest, its sentence names what is meant, and the expert's plan reaches the goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from vlagym.benchmark.check import Contract, Row, first_sentence_complaint
from vlagym.benchmark.header import usable_cores
from vlagym.benchmark.trials import try_seed, try_seeds
from vlagym.envs import catalog
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.language.understand import understand
from vlagym.envs.task import Task
from vlagym.envs.types import EpisodeSpec

NUM_SPECS = 50
"""Episodes that are sampled and played with each robot and split; seeds that neither a suite nor a demonstration has."""
FIRST_SEED = 900_000
LEAST_SOLVED: Mapping[str, float] = {"panda": 0.94}
"""Share that the expert must solve. It solves 97 of 100 or more with the panda; 50 episodes may show a little less by chance."""
LEAST_SOLVED_OTHERWISE = 0.86
"""The same with other robots, whose expert solves 90 of 100."""
TIME_SLACK = 1.2
"""How much longer than the task says the expert may take, at the 95th percentile."""


def complaints(name: str, *, num_specs: int = NUM_SPECS, workers: int | None = None) -> Iterator[str | Row]:
    """Yields what is wrong with a task, and a row for each robot and split.

    Args:
      name: Of a task, or package.module:ATTRIBUTE.
      num_specs: Episodes with each robot and split.
      workers: Processes; None: the usable cores.
    """
    task = catalog.load("task", name)
    if not isinstance(task, Task):
        yield f"TASK is {type(task).__name__}: make it a vlagym.envs.task.Task"
        return
    yield from first_sentence_complaint("task", name)
    if not task.summary:
        yield "its summary is empty: say in a few words what the robot does"
    for field in ("expert_s", "horizon_factor", "hold_s"):
        if getattr(task, field) <= 0:
            yield f"its {field} is {getattr(task, field)}; it must be above 0: the horizon is expert_s times horizon_factor"
    for robot in task.robots:
        catalog.known("robot", robot)
        for objects in ("seen", "unseen"):
            yield from _with(name, robot, objects, num_specs, usable_cores() if workers is None else workers)


def _with(name: str, robot: str, objects: str, num_specs: int, workers: int) -> Iterator[str | Row]:
    """Yields what is wrong with a task for one robot and split of the objects."""
    where = f"with {robot} and {objects} objects"
    first = try_seed(name, FIRST_SEED, play=False, robot=robot, objects=objects)
    if first.spec is None:
        yield f"{where}, {first.ending}"
        return
    trials = try_seeds(name, range(FIRST_SEED, FIRST_SEED + num_specs), workers=workers, robot=robot, objects=objects)
    specs = [trial.spec for trial in trials if trial.spec is not None]
    if specs and specs[0].digest() != first.spec.digest():
        yield f"seed {FIRST_SEED} gives another episode when it is sampled again: draw only from draft.rng, and sort before you draw"
    missing = [trial for trial in trials if trial.spec is None]
    if missing:
        yield f"{len(missing)} of {num_specs} seeds give no episode {where}, the first because: {missing[0].unsampled}"
    if len(specs) > 1 and len({spec.to_json().replace(f'"seed":{spec.seed}', "") for spec in specs}) < len(specs):
        yield f"different seeds give the same scene {where}: draw positions and objects from draft.rng"
    yield from (f"seed {spec.seed} {where}: {complaint}" for spec in specs for complaint in _about_spec(spec))
    failed = [trial for trial in trials if trial.spec is not None and not trial.solved]
    least = LEAST_SOLVED.get(robot, LEAST_SOLVED_OTHERWISE)
    if len(failed) > max(1, round((1.0 - least) * len(specs))):
        told = "; ".join(trial.ending for trial in failed[:5])
        yield f"the expert reaches the goal in {len(specs) - len(failed)} of {len(specs)} episodes {where}: {told}"
    shares = [trial.result.time_s / trial.spec.horizon_s for trial in trials if trial.solved and trial.result and trial.spec]
    task: Task = catalog.load("task", name)
    used = float(np.percentile(shares, 95)) if shares else 0.0
    if used * task.horizon_factor > TIME_SLACK:
        yield f"the expert takes {used * task.horizon_factor:.2f} times its expert_s at the 95th percentile {where}: raise expert_s"
    times = [trial.result.time_s for trial in trials if trial.solved and trial.result]
    yield {
        "task": name,
        "robot": robot,
        "objects": objects,
        "sampled": f"{len(specs)}/{num_specs}",
        "solved": f"{len(specs) - len(failed)}/{len(specs)}",
        "time_p50_s": f"{np.median(times):.1f}" if times else "",
        "time_p95_s": f"{np.percentile(times, 95):.1f}" if times else "",
        "of_horizon_p95": f"{used:.0%}" if shares else "",
        "goals_p50": f"{np.median([len(spec.alternatives) + 1 for spec in specs]):.0f}" if specs else "",
        "sample_p50_ms": f"{1000 * np.median([trial.sample_s for trial in trials]):.0f}",
    }


def _about_spec(spec: EpisodeSpec) -> Iterator[str]:
    if not spec.alternatives:
        yield "nothing else could be asked for in its scene, so the sentence does not matter: lay out a second feasible goal"
    if spec.goal in spec.alternatives:
        yield "its goal stands among its own alternatives"
    if spec.stages[-len(spec.goal) :] != spec.goal:
        yield f"its stages end with {', '.join(map(str, spec.stages[-len(spec.goal) :]))} and not with its goal {', '.join(map(str, spec.goal))}"
    there = {p.name for p in spec.scene.props} | {f.name for f in spec.scene.fixtures}
    for predicate in (*spec.goal, *spec.stages, *(p for goal in spec.alternatives for p in goal)):
        for thing in predicate.things:
            if thing not in there:
                yield f"{predicate} speaks of {thing!r}, which its scene does not hold. It holds: {', '.join(sorted(there))}"
    read = understand(spec.instruction, spec)
    if read != (wish_of(spec),):
        yield f"its sentence {spec.instruction!r} is read as {len(read)} goals, and not as {', '.join(map(str, spec.goal))} alone"


CONTRACT = Contract(names=lambda: catalog.names("task"), complaints=complaints)
