"""What holds for every task on every robot and base: the same episode again is the same, stored actions verify, Gymnasium's checker is content."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.utils.env_checker import check_env

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.stored import again
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.trials import Body, bodies
from vlagym.benchmark.verdict import compare
from vlagym.benchmark.verify import verify
from vlagym.envs import catalog
from vlagym.envs.env import VlaEnv
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeResult, EpisodeSpec, to_plain
from vlagym.policies.loading import load_policy
from vlagym.results.schema import trace_from_bytes, trace_to_bytes

SEED = 905_000
BODIES = [(task, body) for task in catalog.names("task") for body in bodies(task)]
ONE_EACH = [(task, body) for body, task in {body: task for task, body in reversed(BODIES)}.items()]
"""Each robot on each of its bases, with the first task that it does there."""
TWO_HANDED = [(task, body) for task, body in BODIES if catalog.load("robot", body.robot).has_two_hands]


def covering(pairs: list[tuple[str, Body]]) -> list[tuple[str, Body]]:
    """Returns as few of them as hold every task and every body, the bodies in turns."""
    chosen: list[tuple[str, Body]] = []
    for task in dict.fromkeys(task for task, _ in pairs):
        used = Counter(body for _, body in chosen)
        chosen.append(min((pair for pair in pairs if pair[0] == task), key=lambda pair: used[pair[1]]))
    met = {body for _, body in chosen}
    return chosen + [pair for pair in {body: (task, body) for task, body in pairs}.values() if pair[1] not in met]


EVERY_ONE_ONCE = covering(TWO_HANDED)
"""Every task for two hands and every body with two hands."""


def each(chosen: list[tuple[str, Body]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("task", "body"), chosen, ids=[f"{task}-{body.robot}-{body.base}" for task, body in chosen])


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """One world for all episodes: whatever was played in it before must not matter."""
    made = make_world(WorldOptions(render=False))
    yield made
    made.close()


def test_every_task_and_every_body_is_among_those_whose_actions_are_played_again() -> None:
    assert {task for task, _ in EVERY_ONE_ONCE} == {task for task, _ in TWO_HANDED}
    assert {body for _, body in EVERY_ONE_ONCE} == {body for _, body in TWO_HANDED}


@each(EVERY_ONE_ONCE)
def test_stored_actions_give_the_same_episode_in_another_world(world: Any, task: str, body: Body) -> None:
    check_that_stored_actions_give_the_same_episode(world, task, body)


@pytest.mark.slow
@each([pair for pair in TWO_HANDED if pair not in EVERY_ONE_ONCE])
def test_stored_actions_give_the_same_episode_in_another_world_for_every_pair(world: Any, task: str, body: Body) -> None:
    check_that_stored_actions_give_the_same_episode(world, task, body)


def check_that_stored_actions_give_the_same_episode(world: Any, task: str, body: Body) -> None:
    spec = sample(task, seed=SEED, robot=body.robot, base=body.base, objects="unseen")
    spec = dataclasses.replace(spec, horizon_s=1.0)
    policy = load_policy("expert")
    played = play_episode(world, spec, policy)
    policy.close()
    assert played.result.outcome != "error" and played.trace is not None, played.result.error
    stored = trace_from_bytes(trace_to_bytes(played.trace), "memory")
    assert stored.spec.digest() == spec.digest() == EpisodeSpec.from_json(spec.to_json()).digest()
    other = make_world(WorldOptions(render=False))
    verdict = compare(played.result, stored, again(other, stored).play())
    assert verdict.differences == () and verdict.is_confirmed
    other.close()


def check_gymnasium(task: str, body: Body, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # proprioception has no bounds, and says so
        env = VlaEnv(task, robot=body.robot, base=body.base, image_size=(32, 32), render_mode="rgb_array", **options)
        check_env(env, skip_render_check=True)
        env.close()


@pytest.mark.gl
@each(ONE_EACH)
def test_gymnasium_checks_every_body_with_all_that_it_sees_and_feels(task: str, body: Body) -> None:
    check_gymnasium(task, body, depth=True, segmentation=True)


@pytest.mark.gl
@pytest.mark.slow
@each(BODIES)
def test_gymnasium_checks_every_body_in_every_task(task: str, body: Body) -> None:
    check_gymnasium(task, body)


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


@pytest.mark.slow
def test_every_body_gives_equal_results_in_other_orders_and_in_two_workers_and_is_verified(tmp_path: Path) -> None:
    entries = [Entry(task=task, episodes=1, first_seed=SEED, robot=body.robot, base=body.base) for task, body in ONE_EACH]
    suite = Suite(name="bodies", version=1, entries=tuple(entries))
    specs = suite.expand()
    assert [(spec.robot, spec.robot_base) for spec in specs] == [tuple(body) for _, body in ONE_EACH]
    found = []
    for number, way in enumerate(({"executor": "serial", "shuffle": 1}, {"executor": "processes", "workers": 2, "shuffle": 2})):
        options: dict[str, Any] = {"policy": "expert", "suite": suite, "out": tmp_path / str(number), **way}
        report = run(RunOptions(**options), specs, Silent())
        found.append({r.digest: (r.outcome, r.steps, to_plain(r.certificate), _lasting(r)) for r in report.results})
    assert found[0] == found[1] and len(found[0]) == len(specs)
    assert all(outcome in ("success", "failure") for outcome, *_ in found[0].values())
    checked = verify(tmp_path / "1", workers=1, executor="serial")
    assert checked.differences == () and all(verdict.is_confirmed for verdict in checked.verdicts)


def _lasting(result: EpisodeResult) -> dict[str, float | None]:
    return {name: value for name, value in result.measures.items() if not name.startswith("latency_")}


@pytest.mark.slow
def test_every_task_on_every_body_is_sampled_the_same_in_two_processes() -> None:
    entries = [Entry(task=task, episodes=2, first_seed=SEED, robot=body.robot, base=body.base) for task, body in BODIES]
    suite = Suite(name="all", version=1, entries=tuple(entries))
    assert [s.digest() for s in suite.expand(workers=2)] == [s.digest() for s in suite.expand()]


@pytest.mark.slow
@each(BODIES)
def test_episodes_are_the_same_whatever_was_played_before(world: Any, task: str, body: Body) -> None:
    specs = [sample(task, seed=SEED + number, robot=body.robot, base=body.base) for number in range(3)]
    policy = load_policy("expert")
    forth = [play_episode(world, spec, policy).result.certificate for spec in specs]
    back = [play_episode(world, spec, policy).result.certificate for spec in reversed(specs)]
    policy.close()
    assert forth == back[::-1] and None not in forth
    assert len({spec.robot_qpos for spec in specs}) == len(specs)
