"""Every task keeps the contract of its kind: its scenes can be laid out, its sentences name what is meant, the expert reaches its goals."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.task import complaints
from vlagym.benchmark.trials import Body, bodies
from vlagym.envs import catalog

TASKS = catalog.names("task")
BODIES = [(task, body) for task in TASKS for body in bodies(task)]
"""Every task on every robot and base that it declares."""
EACH_BODY = pytest.mark.parametrize(("task", "body"), BODIES, ids=[f"{task}-{body.robot}-{body.base}" for task, body in BODIES])


def sentences(task: str, body: Body, num_specs: int) -> list[str]:
    return [told for told in complaints(task, num_specs=num_specs, workers=1, only=[body]) if isinstance(told, str)]


@EACH_BODY
def test_nothing_is_wrong_with_an_episode_of_each_split(task: str, body: Body) -> None:
    assert sentences(task, body, 1) == []


@pytest.mark.slow
@EACH_BODY
def test_nothing_is_wrong_with_a_few_episodes_of_it(task: str, body: Body) -> None:
    assert sentences(task, body, 3) == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_nothing_is_wrong_with_many_episodes_of_it(task: str) -> None:
    assert [found for found in complaints(task, workers=2) if isinstance(found, str)] == []
