"""The sentence decides: whichever goal of the scene is held first ends the episode, and only the one that was asked for is a success."""

import dataclasses

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.metrics import chance, success
from vlagym.envs.errors import BadData
from vlagym.envs.outcome import Judge, decided
from vlagym.envs.sampling import sample
from vlagym.policies.adapters.expert import Expert
from vlagym.policies.base import EpisodeContext

YES, NO = np.array([True]), np.array([False])


class TriesAnother(Expert):
    """Reaches another goal of the scene, whatever the sentence says."""

    def reset(self, context: EpisodeContext) -> None:
        assert context.spec is not None
        super().reset(dataclasses.replace(context, spec=dataclasses.replace(context.spec, goal=context.spec.alternatives[0])))


@pytest.mark.parametrize("task", ["open_drawer", "place_on", "stack"])
def test_another_goal_of_the_scene_ends_the_episode_as_a_failure(task: str) -> None:
    spec = sample(task, seed=830_000)
    result = play_episode(make_world(WorldOptions(render=False)), spec, TriesAnother()).result
    assert (result.outcome, result.ended_by) == ("failure", "wrong_goal")
    assert result.measures["success"] == 0.0
    assert result.steps < spec.horizon_steps
    assert result.measures["chance"] == pytest.approx(1 / (1 + len(spec.alternatives)))


def test_the_first_goal_that_is_held_decides() -> None:
    judge = Judge(2, 2)
    assert judge.update(NO, np.array([False, True])) is None
    assert judge.update(YES, np.array([False, False])) is None
    assert judge.update(YES, np.array([True, False])) == "goal"
    judge = Judge(2, 1)
    assert judge.update(NO, YES) is None
    assert judge.update(YES, YES) == "wrong_goal"


def test_a_goal_that_is_held_in_the_same_step_as_another_counts() -> None:
    judge = Judge(1, 1)
    assert judge.update(YES, YES) == "goal"


def test_the_columns_of_a_trace_decide_as_the_episode_did() -> None:
    goal = np.array([[0], [0], [0], [1], [1]], bool)
    assert decided(goal, np.array([[1], [1], [0], [0], [0]], bool), 2) == "goal"  # row 0 does not count
    assert decided(goal, np.array([[0], [1], [1], [0], [0]], bool), 2) == "wrong_goal"
    assert decided(goal, np.zeros((5, 0), bool), 3) is None


def test_a_column_of_another_scene_is_refused() -> None:
    with pytest.raises(BadData, match="alternative_met has 2 entries; the scene has 1 other goals"):
        Judge(1, 1).update(YES, np.array([True, False]))


def test_success_and_chance_are_metrics() -> None:
    assert success.METRIC.kind == "rate" and chance.METRIC.headline
