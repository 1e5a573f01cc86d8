"""The sentence decides: whichever goal of the scene is held first ends the episode, and only the one that was asked for is a success."""

import dataclasses

import fakes
import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.metrics import chance, success
from vlagym.envs.errors import BadData
from vlagym.envs.outcome import Judge, decided
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec, Predicate
from vlagym.policies.adapters.expert import Expert
from vlagym.policies.base import EpisodeContext

NONE = np.zeros(0, bool)
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


def episode(hold_s: float, goal: str = "on", alternatives: tuple[str, ...] = (), steps: tuple[str, ...] = ()) -> EpisodeSpec:
    """Returns an episode of which only the names of its predicates matter."""

    def of(name: str) -> tuple[Predicate, ...]:
        return (Predicate(name=name, args=("a", "b")),)

    return dataclasses.replace(
        fakes.spec(0), hold_s=hold_s, goal=of(goal), alternatives=tuple(map(of, alternatives)), steps=tuple(map(of, steps))
    )


TWO, ONE = 0.1, 0.05
"""Hold times of two control steps, and of one."""


def test_the_first_goal_that_is_held_decides() -> None:
    judge = Judge(episode(TWO, alternatives=("on", "on")), NONE)
    assert judge.update(NO, np.array([False, True]), NONE) is None
    assert judge.update(YES, np.array([False, False]), NONE) is None
    assert judge.update(YES, np.array([True, False]), NONE) == "goal"
    judge = Judge(episode(TWO, alternatives=("on",)), NONE)
    assert judge.update(NO, YES, NONE) is None
    assert judge.update(YES, YES, NONE) == "wrong_goal"


def test_a_goal_that_is_held_in_the_same_step_as_another_counts_where_both_can_be_meant() -> None:
    assert Judge(episode(ONE, "left_of", ("left_of",)), NONE).update(YES, YES, NONE) == "goal"
    assert Judge(episode(ONE, "pressed", ("pressed",)), NONE).update(YES, YES, NONE) == "wrong_goal"


def test_a_button_counts_as_pressed_sooner_than_a_thing_counts_as_put_down() -> None:
    spec = episode(0.5, "pressed", ("on",), ("on", "pressed"))
    assert [spec.hold_steps_of(goal) for goal in (spec.goal, *spec.alternatives, *spec.steps)] == [2, 10, 10, 2]


def test_the_columns_of_a_trace_decide_as_the_episode_did() -> None:
    goal, none = np.array([[0], [0], [0], [1], [1]], bool), np.zeros((5, 0), bool)
    spec = episode(TWO, alternatives=("on",))
    others = np.array([[1], [1], [0], [0], [0]], bool)
    assert decided(spec, {"goal_met": goal, "alternative_met": others, "step_met": none}) == "goal"  # row 0 does not count
    others = np.array([[0], [1], [1], [0], [0]], bool)
    assert decided(spec, {"goal_met": goal, "alternative_met": others, "step_met": none}) == "wrong_goal"
    assert decided(episode(0.15), {"goal_met": goal, "alternative_met": none, "step_met": none}) is None


def rows(*met: str) -> list[np.ndarray]:
    return [np.array([c == "1" for c in row]) for row in met]


def test_steps_that_come_true_in_their_turn_make_the_goal_count() -> None:
    start, *later = rows("00", "10", "10", "11", "11")
    judge = Judge(episode(TWO, steps=("on", "on")), start)
    assert [judge.update(YES, NONE, met) for met in later] == [None, None, None, "goal"]


def test_a_step_before_its_turn_ends_the_episode() -> None:
    start, *later = rows("00", "01", "01")
    judge = Judge(episode(TWO, steps=("on", "on")), start)
    assert [judge.update(NO, NONE, met) for met in later] == [None, "wrong_order"]


def test_steps_that_come_true_together_have_no_order() -> None:
    start, *later = rows("00", "11")
    judge = Judge(episode(TWO, "pressed", steps=("pressed", "pressed")), start)
    assert [judge.update(NO, NONE, met) for met in (*later, *later)] == [None, "wrong_order"]


def test_what_holds_from_the_start_comes_true_only_by_becoming_false_first() -> None:
    start, *later = rows("01", "01", "00", "10", "11")
    judge = Judge(episode(ONE, steps=("on", "on")), start)
    assert [judge.update(YES, NONE, met) for met in later] == [None, None, None, "goal"]


def test_a_step_that_comes_true_once_more_breaks_nothing() -> None:
    start, *later = rows("00", "10", "00", "10", "01")
    judge = Judge(episode(ONE, steps=("on", "on")), start)
    assert [judge.update(YES, NONE, met) for met in later] == [None, None, None, "goal"]


def test_the_goal_without_its_steps_does_not_count() -> None:
    judge = Judge(episode(ONE, steps=("on",)), np.array([False]))
    assert judge.update(YES, NONE, np.array([False])) is None


def test_another_number_of_steps_is_refused() -> None:
    with pytest.raises(BadData, match="step_met has 2 entries; the episode has 1 steps"):
        Judge(episode(ONE, steps=("on",)), np.array([False])).update(YES, NONE, np.array([True, False]))
    with pytest.raises(BadData, match="step_met has 0 entries; the episode has 1 steps"):
        Judge(episode(ONE, steps=("on",)), NONE)


def test_a_column_of_another_scene_is_refused() -> None:
    with pytest.raises(BadData, match="alternative_met has 2 entries; the scene has 1 other goals"):
        Judge(episode(ONE, alternatives=("on",)), NONE).update(YES, np.array([True, False]), NONE)


def test_success_and_chance_are_metrics() -> None:
    assert success.METRIC.kind == "rate" and chance.METRIC.headline
