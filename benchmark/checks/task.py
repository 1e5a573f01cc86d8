"""A task: its scenes can be laid out and are at rest, its sentence names what is meant, and the expert's plan reaches the goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vlagym.benchmark.check import Contract, Row, first_sentence_complaint
from vlagym.benchmark.header import usable_cores
from vlagym.benchmark.trials import Body, Trial, bodies, try_seed, try_seeds
from vlagym.envs import catalog
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.language.understand import understand
from vlagym.envs.task import Task
from vlagym.envs.types import EpisodeSpec

MOST_SPECS = 50
"""Episodes that are sampled and played with each body and split at most; seeds that neither a suite nor a demonstration has."""
LEAST_SPECS = 10
SPECS_A_TASK = 200
"""They are shared out among the bodies and splits of a task: 50 each for two arms, fewer each where many bodies do it."""
FIRST_SEED = 900_000
SPLITS = ("seen", "unseen")
LEAST_SOLVED = 0.95
"""Share that the expert must solve."""
LEAST_SOLVED_WITH: Mapping[str, float] = {"panda": 0.97, "jaco": 0.94}
"""The same for robots with one arm: what they have been measured to do, over all tasks."""
LEAST_SOLVED_IN: Mapping[str, float] = {"hand_over": 0.90, "lift_tray": 0.90, "reach_low": 0.90}
"""The same for tasks that are hard for any body."""
CHANCE = 0.02
"""How improbable fewer successes must be, if the expert solves that share, before they are a complaint."""
TIME_SLACK = 1.2
"""How much longer than the task says the expert may take, at the 95th percentile."""


def complaints(
    name: str,
    *,
    num_specs: int | None = None,
    workers: int | None = None,
    only: Sequence[Body] | None = None,
    splits: Sequence[str] = SPLITS,
) -> Iterator[str | Row]:
    """Yields what is wrong with a task, and a row for each robot, base and split.

    Args:
      name: Of a task, or package.module:ATTRIBUTE.
      num_specs: Episodes with each body and split; None: their share of SPECS_A_TASK.
      workers: Processes; None: the usable cores.
      only: The bodies; None: all that the task declares.
      splits: Of the objects.
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
    yield from _about_bodies(name, task)
    chosen = bodies(name) if only is None else list(only)
    share = SPECS_A_TASK // max(1, len(chosen) * len(splits))
    count = min(MOST_SPECS, max(LEAST_SPECS, share)) if num_specs is None else num_specs
    for robot in dict.fromkeys(body.robot for body in chosen):
        played: list[Trial] = []
        for body in (b for b in chosen if b.robot == robot):
            for objects in splits:
                yield from _with(name, body, objects, count, usable_cores() if workers is None else workers, played)
        yield from _about_successes(name, robot, played, f"with {robot}")
        fallen = [trial for trial in played if trial.fell]
        if fallen:
            yield f"{robot} falls in {len(fallen)} of {len(played)} episodes, first with seed {fallen[0].seed}: the expert must not"


def _about_bodies(name: str, task: Task) -> Iterator[str]:
    """Yields what is wrong with the bodies that a task names."""
    if not task.robots:
        yield "no robot can do it: name at least one in robots"
    there = {body.robot for body in bodies(name)}
    for robot in task.robots:
        if robot in task.cannot:
            yield f"it names {robot!r} in robots and in cannot: decide"
        if robot not in there:
            yield f"{robot!r} has none of its bases, {', '.join(task.bases)}: give it one that the robot has"
    for robot, why in task.cannot.items():
        catalog.known("robot", robot)
        if not why:
            yield f"it does not say why {robot!r} cannot do it"


def _with(name: str, body: Body, objects: str, num_specs: int, workers: int, played: list[Trial]) -> Iterator[str | Row]:
    """Yields what is wrong with a task for one body and split of the objects; adds its trials to `played`."""
    where = f"with {body} and {objects} objects"
    options: dict[str, Any] = {"robot": body.robot, "base": body.base, "objects": objects}
    first = try_seed(name, FIRST_SEED, play=False, **options)
    if first.spec is None:
        yield f"{where}, {first.ending}"
        return
    trials = try_seeds(name, range(FIRST_SEED, FIRST_SEED + num_specs), workers=workers, **options)
    specs = [trial.spec for trial in trials if trial.spec is not None]
    if specs and specs[0].digest() != first.spec.digest():
        yield f"seed {FIRST_SEED} gives another episode when it is sampled again: draw only from draft.rng, and sort before you draw"
    missing = [trial for trial in trials if trial.spec is None]
    if missing:
        yield f"{len(missing)} of {num_specs} seeds give no episode {where}, the first because: {missing[0].unsampled}"
    if len(specs) > 1 and len({spec.to_json().replace(f'"seed":{spec.seed}', "") for spec in specs}) < len(specs):
        yield f"different seeds give the same scene {where}: draw positions and objects from draft.rng"
    yield from (f"seed {spec.seed} {where}: {complaint}" for spec in specs for complaint in _about_spec(spec))
    found = [trial for trial in trials if trial.spec is not None]
    played += found
    yield from _about_successes(name, body.robot, found, where)
    solved = [trial for trial in found if trial.solved]
    times = [trial.result.time_s for trial in solved if trial.result]
    shares = [trial.result.time_s / trial.spec.horizon_s for trial in solved if trial.result and trial.spec]
    task: Task = catalog.load("task", name)
    used = float(np.percentile(shares, 95)) if shares else 0.0
    if len(shares) >= LEAST_SPECS and used * task.horizon_factor > TIME_SLACK:
        yield f"the expert takes {used * task.horizon_factor:.2f} times its expert_s at the 95th percentile {where}: raise expert_s"
    paces = [pace for trial in found if (pace := trial.ms_a_step) is not None]
    yield {
        "task": name,
        "robot": body.robot,
        "base": body.base,
        "objects": objects,
        "sampled": f"{len(specs)}/{num_specs}",
        "solved": f"{len(solved)}/{len(specs)}",
        "falls": sum(trial.fell for trial in found) if body.base == "legs" else "",
        "time_p50_s": f"{np.median(times):.1f}" if times else "",
        "time_p95_s": f"{np.percentile(times, 95):.1f}" if times else "",
        "of_horizon_p95": f"{used:.0%}" if shares else "",
        "ms_a_step": f"{np.median(paces):.1f}" if paces else "",
        "goals_p50": f"{np.median([len(spec.alternatives) + 1 for spec in specs]):.0f}" if specs else "",
        "sample_p50_ms": f"{1000 * np.median([trial.sample_s for trial in trials]):.0f}",
    }


def _about_successes(name: str, robot: str, trials: Sequence[Trial], where: str) -> Iterator[str]:
    """Complains if the expert fails more often than chance explains."""
    failed = [trial for trial in trials if not trial.solved]
    least = LEAST_SOLVED_WITH.get(robot, LEAST_SOLVED_IN.get(name, LEAST_SOLVED))
    if len(failed) > failures_by_chance(len(trials), 1.0 - least):
        told = "; ".join(trial.ending for trial in failed[:5])
        yield f"the expert reaches the goal in {len(trials) - len(failed)} of {len(trials)} episodes {where}, and not in {least:.0%}: {told}"


def failures_by_chance(count: int, share: float) -> int:
    """Returns how many of some episodes may fail before it is hard to believe that only that share of all do: more come in 1 of 50 samples."""
    from scipy.stats import binom

    return int(binom.ppf(1.0 - CHANCE, count, share))


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
