"""The hand picks, places, stacks, sorts, touches and stands things up as it is told, and comes back after a mishap."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.envs import catalog
from vlagym.envs.outcome import Judge
from vlagym.envs.sampling import sample
from vlagym.envs.task import Task
from vlagym.envs.types import EpisodeResult, EpisodeSpec
from vlagym.envs.world import World
from vlagym.policies.adapters.expert import POLICY, action_towards
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.performer import Performer
from vlagym.policies.skills.surroundings import Obstacle, crowding, height_to_pass

TASKS = ("pick_up", "place_on", "place_relative", "sort", "stack", "stand_up", "touch")


def play(spec: EpisodeSpec) -> EpisodeResult:
    return play_episode(make_world(WorldOptions(render=False)), spec, POLICY(None, {})).result


@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", TASKS)
def test_a_few_fresh_seeds_are_solved_and_nothing_else_is_touched(task: str, objects: str) -> None:
    results = [play(sample(task, seed=seed, objects=objects)) for seed in (800_000, 800_001)]
    assert [r.outcome for r in results] == ["success"] * 2, [(r.seed, r.ended_by, r.error) for r in results]
    for kind in ("robot_fixture", "robot_prop", "held_fixture", "held_prop"):
        assert not any(r.measures[f"collisions_{kind}"] for r in results), kind


@pytest.mark.parametrize("task", TASKS)
def test_the_other_goals_of_a_scene_are_feasible_too(task: str) -> None:
    spec = sample(task, seed=820_001)
    for goal in spec.alternatives[:3]:
        others = tuple(g for g in (spec.goal, *spec.alternatives) if g != goal)
        changed = dataclasses.replace(spec, goal=goal, stages=goal, alternatives=others, horizon_s=max(spec.horizon_s, 10.0 * len(goal)))
        assert play(changed).outcome == "success", goal


def solved_although(spec: EpisodeSpec, opened: range) -> bool:
    """Returns whether the expert reaches the goal although its hand opens by itself during some control steps.

    Where the thing falls may be what another sentence would have asked for, which would end the episode: here nothing else could be asked.
    """
    spec = dataclasses.replace(spec, alternatives=())
    world = World(render=False)
    facts = world.start(spec)
    task: Task = catalog.load("task", spec.task)
    performer, judge = Performer(spec, task.plan(spec)), Judge(spec, facts.step_met)
    for step in range(2 * spec.horizon_steps):
        seen = world.observe((), privileged=True)
        action = action_towards(performer.step(seen), seen, spec.control)
        if step in opened:
            action[6] = -1.0
        facts = world.advance(action)
        verdict = judge.update(facts.goal_met, facts.alternative_met, facts.step_met)
        if verdict is not None:
            return verdict == "goal"
    return False


@pytest.mark.parametrize("task", ["pick_up", "place_on", "place_relative", "stand_up"])
def test_what_slips_out_of_the_hand_is_picked_up_again(task: str) -> None:
    solved = [solved_although(sample(task, seed=seed), range(30, 36)) for seed in range(840_000, 840_004)]
    assert sum(solved) >= 3, solved


def test_only_what_is_missing_is_done_again() -> None:
    spec = next(s for s in (sample("place_on", seed=850_000 + k) for k in range(60)) if len(s.goal) == 2)
    task: Task = catalog.load("task", spec.task)
    performer = Performer(spec, task.plan(spec))
    world = World(render=False)
    world.start(spec)
    seen = world.observe((), privileged=True)
    assert seen.privileged is not None
    halfway = dataclasses.replace(seen, privileged=dataclasses.replace(seen.privileged, goal_met=(True, False)))
    performer._progress._at = len(task.plan(spec)) - 1
    performer._skill = performer._make()
    for _ in range(16):  # the retreat waits for the goal, and has the plan begun again
        performer.step(halfway)
    assert performer._progress.skill.args == (spec.goal[1].args[0],)


def test_a_hand_opens_as_far_as_it_is_told() -> None:
    hand = hand_of(sample("touch", seed=0))
    assert opening_command(hand, hand.opening_max_m) == -1.0
    assert -1.0 < opening_command(hand, 0.05) < opening_command(hand, 0.02) <= 1.0


def _box(x: float, top_m: float) -> Obstacle:
    return Obstacle("box", x, 0.0, 0.0, 0.03, 0.03, False, 0.0, top_m)


def test_what_stands_beside_a_grasp_is_avoided_by_turning_or_by_opening_less() -> None:
    room = hand_of(sample("touch", seed=0)).room
    point, beside = np.array([0.5, 0.0, 0.02]), Obstacle("box", 0.5, 0.085, 0.0, 0.03, 0.03, False, 0.0, 0.04)
    assert crowding(room, [beside], point, 0.0) > crowding(room, [beside], point, 0.0, 0.04) == 0.0
    assert crowding(room, [beside], point, np.pi / 2) == 0.0
    assert crowding(room, [], point, 0.0) == 0.0


def test_the_hand_passes_above_what_stands_in_its_way_and_no_higher() -> None:
    room = hand_of(sample("touch", seed=0)).room
    start, end = np.array([0.4, -0.2, 0.1]), np.array([0.4, 0.2, 0.1])
    assert height_to_pass(room, [_box(0.4, 0.12)], start, end, below_m=0.02) == pytest.approx(0.16)
    assert height_to_pass(room, [_box(0.7, 0.12)], start, end, below_m=0.02) == 0.0
    beside = height_to_pass(room, [_box(0.53, 0.12)], start, end, below_m=0.02)
    assert beside == pytest.approx(0.12 - room.hand_above_m + 0.02), "only the hand is so wide"


def test_what_was_knocked_over_is_taken_as_it_lies() -> None:
    spec = next(s for s in (sample("place_on", seed=860_000 + k) for k in range(80)) if s.goal[0].args[0].startswith(("key", "square_peg", "mug")))
    name = spec.goal[0].args[0]
    fallen = [
        dataclasses.replace(p, quat_world_wxyz=(0.7071068, 0.0, 0.7071068, 0.0), pos_world=(*p.pos_world[:2], 0.04)) if p.name == name else p
        for p in spec.scene.props
    ]
    lying = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=tuple(fallen)))
    task: Task = catalog.load("task", spec.task)
    performer, world = Performer(lying, task.plan(lying)), World(render=False)
    world.start(lying)
    held = False
    for _ in range(120):
        seen = world.observe((), privileged=True)
        facts = world.advance(action_towards(performer.step(seen), seen, lying.control))
        held |= bool(facts.prop_is_held[[p.name for p in lying.scene.props].index(name)])
    assert held
