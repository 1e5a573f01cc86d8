"""A task, a robot and a seed become an episode spec, whose premises have been checked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.arenas import arena
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadSpec, Unsatisfiable, Unspeakable, unknown_name
from vlagym.envs.language.sentences import say
from vlagym.envs.premises import broken_premise
from vlagym.envs.robot import Robot
from vlagym.envs.layouts.cells import layout_for
from vlagym.envs.split import ARENA_WORDS, arena_split, arena_split_for, arenas_of, place_split, start_of
from vlagym.envs.task import Crowded, Draft, Goal, Task
from vlagym.envs.types import LEVELS, Base, EpisodeSpec, SceneSpec, stream
from vlagym.envs.world import World

MAX_TRIES = 300


def sample(
    task: str,
    *,
    robot: str = "default",
    seed: int,
    objects: str = "seen",
    phrases: str = "seen",
    control: str = "default",
    arena_name: str = "studio",
    catalogue: str = "full",
    level: str = "plain",
    layout: str = "default",
    base: str = "default",
) -> EpisodeSpec:
    """Draws an episode and checks its premises: at rest, nothing penetrates, no goal is met, named things are visible in `front` and in reach.

    Args:
      task: Name of a task.
      robot: Name of a robot that the task can be done with; default: the first that it names.
      seed: The same seed gives the same episode; another split of objects or phrases gives another one.
      objects: Split of the object that the goal is about: seen | unseen.
      phrases: Split of the sentence's template: seen | unseen.
      control: Action convention of the environment; default: the first that the robot takes.
      arena_name: Where it happens: an arena, or seen | unseen | any, which draws one of that split, or of the split of `objects`.
      catalogue: Which part of the assets is drawn from: full | core.
      level: How the sentence says it: one of LEVELS of `vlagym.envs.types`, or mixed, which draws one.
      layout: Where things start: any | seen | unseen, see `vlagym.envs.layouts.cells`; default: seen, and any with the catalogue core.
      base: What carries the robot: fixed | planar | legs; default: the first base of the task that the robot has.

    Raises:
      UnknownName: For an unknown task, robot, arena, catalogue, level or control.
      BadSpec: If the robot cannot do the task, a split is neither seen nor unseen, or the seed is below 0.
      Unsatisfiable: If no scene with these premises was found in MAX_TRIES tries; says why they failed.
    """
    for what, split in (("objects", objects), ("phrases", phrases)):
        if split not in ("seen", "unseen"):
            raise BadSpec(f"{what} is {split!r}; it must be seen or unseen")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise BadSpec(f"seed is {seed!r}; seeds are whole numbers from 0 on")
    if level not in (*LEVELS, "mixed"):
        raise unknown_name("level of sentences", level, (*LEVELS, "mixed"))
    definition: Task = catalog.load("task", task)
    robot = definition.robots[0] if robot == "default" else robot
    body: Robot = catalog.load("robot", robot)
    layout = layout_for(layout, catalogue) if body.keeps_places else _layout_of_humanoid(layout, body)
    check_body(task, definition, robot)
    carried = base_for(task, definition, body, base)
    arena_name = _drawn_arena(arena_name, objects, stream(seed, task, "arena"), body, needs_floor=carried in definition.roams)
    floor_m = arena(arena_name).floor.height_m
    reasons: Counter[str] = Counter()
    world = World(render=False)
    for attempt in range(MAX_TRIES):
        rng = stream(seed, task, robot, objects, "layout", str(attempt))
        variety = stream(seed, task, robot, objects, "variety")
        draft = Draft(rng, objects, catalogue, layout, variety=variety, robot=body, base=carried, floor_m=floor_m)
        try:
            laid_out = definition.layout(draft)
        except Crowded as crowded:
            reasons[str(crowded)] += 1
            continue
        if not isinstance(laid_out, Sequence):
            raise BadSpec(f"the layout of {task!r} returned {type(laid_out).__name__}; it must return a list of at least two Goals")
        for goal in laid_out:
            if not isinstance(goal, Goal):
                raise BadSpec(f"the layout of {task!r} returned a list that holds {goal!r}; it must hold Goals alone")
        goals = list(laid_out)
        if len(goals) < 2:
            reasons["fewer than two feasible goals"] += 1
            continue
        if layout == "unseen" and not _starts_unseen(goals[0], draft):
            reasons["what the goal is about starts in a seen place"] += 1
            continue
        place = arena(arena_name)
        scene = SceneSpec(
            arena=arena_name,
            props=tuple(draft.props),
            fixtures=tuple(draft.fixtures),
            lights=place.light,
            cameras=(*body.views, *(c.spec() for c in place.camera if c.name not in {v.name for v in body.views}), *body.cameras),
        )
        posture = np.array(body.home_qpos) + rng.normal(0.0, 0.02, len(body.joints)) * _shaken(body)
        spec = EpisodeSpec(
            task=task,
            robot=robot,
            scene=scene,
            robot_qpos=tuple(posture.round(5).tolist()),
            robot_base=carried,
            robot_start=draft.robot_start,
            goal=goals[0].conditions,
            stages=goals[0].stages,
            steps=goals[0].steps,
            alternatives=tuple(g.conditions for g in goals[1:]),
            instruction="",
            phrase="",
            control=action_spec(body, control, base=carried),
            horizon_s=round(definition.horizon_s(goals[0]) * body.pace, 3),
            hold_s=definition.hold_s,
            split="unseen" if "unseen" in (objects, phrases, layout, arena_split(arena_name)) else "seen",
            seed=seed,
        )
        broken = broken_premise(spec, world)
        if broken is None:
            try:
                sentence = say(spec, stream(seed, task, phrases, "sentence"), split="unseen" if phrases == "unseen" else "seen", level=level)
            except Unspeakable:
                reasons[f"no {level} sentence asks for the goal and for nothing else"] += 1
                continue
            return dataclasses.replace(spec, instruction=sentence.text, phrase=sentence.template_id, level=sentence.level)
        reasons[broken] += 1
    listed = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common(4))
    raise Unsatisfiable(f"no episode of {task!r} with seed {seed} and {objects} objects in {MAX_TRIES} tries: {listed}")


def check_body(task: str, definition: Task, robot: str) -> None:
    """Raises BadSpec, with the reason where the task's file states one, if a robot cannot do a task."""
    if robot in definition.robots:
        return
    why = f": {definition.cannot[robot]}" if robot in definition.cannot else ""
    raise BadSpec(f"{task!r} cannot be done with {robot!r}{why}; it can with: {', '.join(definition.robots)}")


def base_for(task: str, definition: Task, robot: Robot, base: str) -> Base:
    """Returns the base of a name, or for "default" the first one of a task that the robot has.

    Raises:
      UnknownName: If there is no such base.
      BadSpec: If the robot has not that one, or the task does not run with it.
    """
    there = [b for b in definition.bases if b in robot.bases]
    if base == "default" and there:
        return there[0]
    known: tuple[Base, ...] = get_args(Base)
    if base not in (*known, "default"):
        raise unknown_name("base", base, (*known, "default"))
    for one in there:
        if one == base:
            return one
    raise BadSpec(f"{task!r} with {robot.name!r} does not run on base {base!r}; it does on: {', '.join(there) or 'none'}")


def _layout_of_humanoid(layout: str, robot: Robot) -> str:
    """Returns the layout of a robot whose part of the table has no cells that are kept for evaluation."""
    if layout not in ("default", "any"):
        raise BadSpec(f"the layout {layout!r} speaks of cells of the table in front of a single arm; with {robot.name!r} it is any")
    return "any"


def _shaken(robot: Robot) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns (n,) 1 for the joints whose start varies, 0 for legs, which have to stand."""
    legs = {joint for group in robot.groups if group.kind == "leg" for joint in group.joints}
    return np.array([float(joint not in legs) for joint in robot.joints])


def _drawn_arena(name: str, objects: str, rng: np.random.Generator, robot: Robot, *, needs_floor: bool) -> str:
    """Returns the name, or one that is drawn where it is a split; of those in which the robot can stand, and go about where it has to.

    Raises:
      BadSpec: If it cannot in the arena of that name.
    """
    fits = None if robot.stance is None else robot.stance.arenas
    if fits is not None and needs_floor:
        fits = tuple(one for one in fits if arena(one).has_open_floor)
    if name not in ARENA_WORDS:
        if fits is not None and name not in fits:
            arena(name)  # raises UnknownName where there is none
            how = "go about" if needs_floor else "stand"
            raise BadSpec(f"{robot.name!r} cannot {how} in the arena {name!r}; it can in: {', '.join(fits)}")
        return name
    known = [a for a in arenas_of(arena_split_for(name, objects)) if fits is None or a in fits]
    if not known:
        raise BadSpec(f"{robot.name!r} can stand in no arena of {name!r}; it can in: {', '.join(fits or ())}")
    return known[int(rng.integers(len(known)))]


def _starts_unseen(goal: Goal, draft: Draft) -> bool:
    """Tells whether the first thing that a goal names starts in a place that is kept for evaluation."""
    places = {p.name: start_of(p) for p in draft.props} | {f.name: (f.pos_world[0], f.pos_world[1]) for f in draft.fixtures}
    subject = (*goal.conditions, *(predicate for step in goal.steps for predicate in step))[0].things[0]
    return place_split(*places[subject]) == "unseen"
