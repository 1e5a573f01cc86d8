"""Sentences of the tasks for two hands, sampled as suites sample them, are read back to the very goals that they were made for."""

from __future__ import annotations

from collections import Counter

import pytest

from vlagym.envs import catalog
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.language.phrases import split_of
from vlagym.envs.language.understand import understand
from vlagym.envs.robot import Robot
from vlagym.envs.sampling import sample
from vlagym.envs.task import Task

NUM_EPISODES = 40
FIRST_SEED = 860_000


def _for_two_hands() -> list[tuple[str, str]]:
    found = []
    for name in catalog.names("task"):
        task: Task = catalog.load("task", name)
        for robot in task.robots:
            body: Robot = catalog.load("robot", robot)
            if body.has_two_hands:
                found.append((name, robot))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("task", "robot"), _for_two_hands())
def test_sentences_of_every_split_and_level_are_read_back_to_their_goals(task: str, robot: str) -> None:
    levels: Counter[str] = Counter()
    for k in range(NUM_EPISODES):
        objects, phrases = (("seen", "unseen")[bit] for bit in (k % 2, k // 2 % 2))
        spec = sample(task, robot=robot, seed=FIRST_SEED + k, objects=objects, phrases=phrases, level="mixed")
        assert understand(spec.instruction, spec) == (wish_of(spec),), spec.instruction
        assert split_of(spec.phrase) == phrases
        levels[spec.level] += 1
    assert sum(levels.values()) == NUM_EPISODES
