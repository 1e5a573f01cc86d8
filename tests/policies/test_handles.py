"""The expert at drawers and doors: it hooks, pulls, pushes shut and puts things in, and begins again after a slip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.sampling import sample
from vlagym.envs.task import Skill, Task
from vlagym.envs.types import EpisodeSpec, Facts, FixtureSpec, Predicate, PropSpec
from vlagym.envs.world import World
from vlagym.policies.adapters.expert import action_towards
from vlagym.policies.skills.performer import Performer

Disturb = Callable[[int, World], None]


@pytest.fixture(scope="module")
def world() -> World:
    """Without pictures."""
    return World(render=False)


def _perform(world: World, spec: EpisodeSpec, plan: Sequence[Skill], steps: int, disturb: Disturb | None = None) -> list[Facts]:
    facts = [world.start(spec)]
    performer = Performer(spec, plan)
    for step in range(steps):
        seen = world.observe(cameras=[], privileged=True)
        facts.append(world.advance(action_towards(performer.step(seen), seen, spec.control)))
        if disturb is not None:
            disturb(step, world)
        if all(f.goal_met.all() for f in facts[-spec.hold_steps :]):
            break
    return facts


def _task(name: str) -> Task:
    task: Task = catalog.load("task", name)
    return task


@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", ["open_drawer", "close_drawer", "open_door"])
def test_it_reaches_its_goal_and_touches_nothing_else(world: World, task: str, objects: str) -> None:
    for seed in range(820_000, 820_003):
        spec = sample(task, seed=seed, objects=objects)
        facts = _perform(world, spec, _task(task).plan(spec), spec.horizon_steps)
        assert facts[-1].goal_met.all() and not any(f.alternative_met.any() for f in facts), (spec.seed, spec.goal)
        collisions = {(c.a, c.b) for f in facts for c in f.contacts if c.kind in ("robot_fixture", "robot_prop") and c.force_n > 1.0}
        assert not collisions, (spec.seed, collisions)


def _scene(fixture: FixtureSpec, *props: PropSpec, goal: tuple[Predicate, ...]) -> EpisodeSpec:
    base = sample("open_drawer", seed=3, catalogue="core")
    scene = dataclasses.replace(base.scene, fixtures=(fixture,), props=props)
    return dataclasses.replace(base, scene=scene, goal=goal, stages=goal, alternatives=(), horizon_s=30.0)


def _chest(**joints: float) -> FixtureSpec:
    return FixtureSpec(name="chest", asset="tall_chest_green", pos_world=(0.36, 0.12, 0.0), yaw_rad=0.1, joints=tuple(joints.items()))


@pytest.mark.parametrize("drawer", ["top", "middle", "bottom"])
def test_every_drawer_of_a_stepped_chest_can_be_opened_and_shut(world: World, drawer: str) -> None:
    joint = f"chest/{drawer}"
    opened = _scene(_chest(), goal=(Predicate(name="open", args=(joint,)),))
    plan = [Skill(name=name, args=(joint,)) for name in ("hook", "pull", "unhook")]
    assert _perform(world, opened, plan, 100)[-1].goal_met.all()
    shut = _scene(_chest(**{drawer: 0.1}), goal=(Predicate(name="closed", args=(joint,)),))
    assert _perform(world, shut, [Skill(name="push_shut", args=(joint,))], 100)[-1].goal_met.all()


def test_it_hooks_again_when_the_drawer_slides_back_from_under_its_fingers(world: World) -> None:
    spec = _scene(_chest(), goal=(Predicate(name="open", args=("chest/top",)),))
    plan = [Skill(name=name, args=("chest/top",)) for name in ("hook", "pull", "unhook")]
    opened = [0.0]

    def shut_once(step: int, world: World) -> None:
        at = world.scene.fixture_joint_names.index("chest/top")
        address = int(world.scene.fixture_joint_qpos[at])
        if opened[0] == 0.0 and world.simulation.data.qpos[address] > 0.06:
            opened[0] = float(world.simulation.data.qpos[address])
            world.simulation.data.qpos[address] = 0.0

    facts = _perform(world, spec, plan, 300, shut_once)
    assert opened[0] > 0.06 and facts[-1].goal_met.all()


DRAWERS = [("tall_chest_green", "bottom"), ("chest_white", "top"), ("sideboard_red_blue", "red"), ("cabinet_red", "drawer")]


@pytest.mark.parametrize(("asset", "joint"), DRAWERS)
def test_a_banana_goes_into_an_open_drawer_which_is_shut_over_it(world: World, asset: str, joint: str) -> None:
    drawer = get_fixture(asset).joint(joint)
    stands = FixtureSpec(name="chest", asset=asset, pos_world=(0.37, 0.14, 0.0), yaw_rad=0.1, joints=((joint, drawer.range_m[1] - 0.006),))
    banana = PropSpec(name="banana", asset="banana", pos_world=(0.46, -0.16, 0.0), quat_world_wxyz=(0.8, 0.0, 0.0, 0.6))
    name = f"chest/{joint}"
    spec = _scene(stands, banana, goal=(Predicate(name="in_drawer", args=("banana", name)), Predicate(name="closed", args=(name,))))
    plan = [Skill(name="pick", args=("banana",)), Skill(name="place_in", args=("banana", name)), Skill(name="push_shut", args=(name,))]
    assert _perform(world, spec, plan, 300)[-1].goal_met.all()


def test_nothing_is_let_down_into_a_closed_drawer(world: World) -> None:
    banana = PropSpec(name="banana", asset="banana", pos_world=(0.46, -0.16, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
    spec = _scene(_chest(), banana, goal=(Predicate(name="in_drawer", args=("banana", "chest/top")),))
    plan = [Skill(name="pick", args=("banana",)), Skill(name="place_in", args=("banana", "chest/top"))]
    with pytest.raises(NotGraspable, match=r"'banana' cannot be let down into 'chest/top' at 0\.000 m: no place in it leaves room"):
        _perform(world, spec, plan, 200)


def test_what_is_no_drawer_takes_nothing(world: World) -> None:
    oven = FixtureSpec(name="oven", asset="microwave_white", pos_world=(0.4, 0.1, 0.0), yaw_rad=0.0, joints=(("door", 0.0),))
    spec = _scene(oven, goal=(Predicate(name="open", args=("oven/door",)),))
    with pytest.raises(BadSpec, match=r"nothing can be put into 'oven/door': its file gives no inside_m"):
        Performer(spec, [Skill(name="place_in", args=("banana", "oven/door"))])


def test_a_hand_that_has_slid_off_while_pushing_comes_back(world: World) -> None:
    spec = _scene(_chest(bottom=0.11), goal=(Predicate(name="closed", args=("chest/bottom",)),))
    kicked = [False]

    def open_again(step: int, world: World) -> None:
        at = world.scene.fixture_joint_names.index("chest/bottom")
        address = int(world.scene.fixture_joint_qpos[at])
        if not kicked[0] and world.simulation.data.qpos[address] < 0.04:
            world.simulation.data.qpos[world.scene.joint_qpos[0]] += 0.25  # the arm is thrown aside
            kicked[0] = True

    facts = _perform(world, spec, [Skill(name="push_shut", args=("chest/bottom",))], 300, open_again)
    assert kicked[0] and facts[-1].goal_met.all()
    assert np.isfinite(facts[-1].fixture_joint_pos).all()


@pytest.mark.parametrize("things", [("tape_red", "tape_yellow"), ("tape_yellow", "block_green"), ("orange", "tomato")])
def test_the_first_of_two_things_goes_to_the_side_of_the_drawer_so_that_the_second_fits_in(world: World, things: tuple[str, str]) -> None:
    joint = "chest/bottom"
    props = [
        PropSpec(name=name, asset=name, pos_world=(0.6, y, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
        for name, y in zip(things, (-0.08, -0.2), strict=True)
    ]
    chest = dataclasses.replace(_chest(bottom=0.15), asset="chest_blue")
    spec = _scene(chest, *props, goal=tuple(Predicate(name="in_drawer", args=(name, joint)) for name in things))
    plan = [Skill(name=skill, args=args) for name in things for skill, args in (("pick", (name,)), ("place_in", (name, joint)))]
    facts = _perform(world, spec, plan, 300)
    assert facts[-1].goal_met.all()
