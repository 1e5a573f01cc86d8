"""When an episode has succeeded: the hold rule, shared by the environment that ends there and the metric that counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec


Decision = Literal["goal", "wrong_goal", "wrong_order"]

EXCLUSIVE = frozenset(
    (
        *("pressed", "touched", "lifted", "open", "closed", "set_to"),
        *("by_hand", "held_with", "handed_over", "pointed_at", "pointed_at_with", "raised_level", "pushed_aside", "gestured", "faced", "approached"),
    )
)
"""Predicates of which nobody fulfils two at once who was asked for one."""


class HoldCounter:
    """Counts for how many control steps in a row every goal condition has held. One counter serves one episode."""

    def __init__(self, hold_steps: int) -> None:
        """Starts at zero.

        Args:
          hold_steps: Consecutive control steps that are wanted, at least 1 (`EpisodeSpec.hold_steps`).

        Raises:
          BadData: If `hold_steps` is below 1.
        """
        _check_hold_steps(hold_steps)
        self._hold_steps = hold_steps
        self._in_a_row = 0

    @property
    def in_a_row(self) -> int:
        """Control steps, up to the latest one, at the end of which every condition held."""
        return self._in_a_row

    def update(self, goal_met: NDArray[np.bool_]) -> bool:
        """Takes the facts after one control step and returns whether the goal has now been held long enough.

        The facts before the first action are not a control step and must not be handed in.

        Args:
          goal_met: `(G,)` bool, one for each goal condition.

        Returns:
          True from the step at which the wanted number is reached, for as long as no condition breaks.

        Raises:
          BadData: If the goal has no conditions: then everything would be a success.
        """
        met = np.asarray(goal_met, dtype=bool)
        if met.ndim != 1 or met.size == 0:
            raise BadData(f"goal_met has shape {met.shape}; it must be (G,) with at least one goal condition")
        self._in_a_row = self._in_a_row + 1 if bool(met.all()) else 0
        return self._in_a_row >= self._hold_steps


class OrderKeeper:
    """Follows the ordered steps of an episode.

    A step has come true once its conditions were held for the hold time after they had been false: a drawer that is closed from the start
    becomes closed by being opened and closed again. Coming true out of turn, before a step that should have come first, breaks the order;
    coming true once more does not.
    """

    def __init__(self, hold_steps: Sequence[int], at_start: NDArray[np.bool_]) -> None:
        """Starts before the first step.

        Args:
          hold_steps: Consecutive control steps that are wanted of each step, at least 1.
          at_start: `(N,)` bool, which steps hold before the first action.

        Raises:
          BadData: If there is another number of steps.
        """
        if len(hold_steps) != len(at_start):
            raise BadData(f"step_met has {len(at_start)} entries; the episode has {len(hold_steps)} steps")
        self._counters = [HoldCounter(steps) for steps in hold_steps]
        self._is_spent = [bool(met) for met in at_start]
        """Whether a step holds since before it was last counted."""
        self.num_done = 0
        """Steps that have come true, from the first on."""
        self.is_broken = False
        """Whether a step came true before its turn."""

    @property
    def is_complete(self) -> bool:
        """Whether every step has come true in its turn."""
        return self.num_done == len(self._counters) and not self.is_broken

    def update(self, step_met: NDArray[np.bool_]) -> None:
        """Takes the facts after one control step.

        Raises:
          BadData: If there is another number of steps.
        """
        if len(step_met) != len(self._counters):
            raise BadData(f"step_met has {len(step_met)} entries; the episode has {len(self._counters)} steps")
        due = self.num_done  # what comes true together with it comes before its turn
        for i, counter in enumerate(self._counters):
            is_held = counter.update(step_met[i : i + 1])
            if not step_met[i]:
                self._is_spent[i] = False
            if is_held and not self._is_spent[i]:
                self._is_spent[i] = True
                self.num_done += int(i == due)
                self.is_broken = self.is_broken or i > due


class Judge:
    """Says when an episode is decided: by whichever of the goals of its scene is held first, the one that is asked for or another.

    Without the second half, a policy that ignores the sentence could try one goal after the other and be right in the end. Where the sentence
    gives an order, the goal counts only once every step has come true in its turn, and a step before its turn decides the episode.

    If the goal and another one are fulfilled together, the goal counts where both can be meant honestly (what lies left of one thing may lie
    left of another), and does not where that is another act (`EXCLUSIVE`): a palm on all buttons has pressed none that was asked for.
    """

    def __init__(self, spec: EpisodeSpec, steps_at_start: NDArray[np.bool_]) -> None:
        """Starts with nothing held.

        Args:
          spec: The episode.
          steps_at_start: `(N,)` bool, which ordered steps hold before the first action.

        Raises:
          BadData: If there is another number of steps.
        """
        self._goal = HoldCounter(spec.hold_steps_of(spec.goal))
        self._others = [HoldCounter(spec.hold_steps_of(goal)) for goal in spec.alternatives]
        self._is_exclusive = [all(p.name in EXCLUSIVE for p in goal) for goal in spec.alternatives]
        self._order = OrderKeeper([spec.hold_steps_of(step) for step in spec.steps], steps_at_start)

    def update(self, goal_met: NDArray[np.bool_], alternative_met: NDArray[np.bool_], step_met: NDArray[np.bool_]) -> Decision | None:
        """Takes the facts after one control step.

        Args:
          goal_met: `(G,)` bool.
          alternative_met: `(A,)` bool.
          step_met: `(N,)` bool.

        Returns:
          How the episode is decided, or None while it is not.

        Raises:
          BadData: If there is another number of alternatives or steps, or the goal has no conditions.
        """
        if len(alternative_met) != len(self._others):
            raise BadData(f"alternative_met has {len(alternative_met)} entries; the scene has {len(self._others)} other goals")
        self._order.update(step_met)
        is_right = self._goal.update(goal_met) and self._order.is_complete
        is_wrong = [counter.update(alternative_met[i : i + 1]) for i, counter in enumerate(self._others)]
        if is_right:
            is_both = any(met and exclusive for met, exclusive in zip(alternative_met, self._is_exclusive, strict=True))
            return "wrong_goal" if is_both else "goal"
        return "wrong_goal" if any(is_wrong) else "wrong_order" if self._order.is_broken else None


def decided(spec: EpisodeSpec, columns: Mapping[str, NDArray[Any]]) -> Decision | None:
    """Returns how the columns of a trace decide its episode, by the rule of `Judge`.

    Args:
      spec: The episode.
      columns: Of its trace: goal_met `(T + 1, G)`, alternative_met `(T + 1, A)` and step_met `(T + 1, N)`, all bool; row 0 is before the
        first action.
    """
    goals, others, steps = (np.asarray(columns[name], bool) for name in ("goal_met", "alternative_met", "step_met"))
    judge = Judge(spec, steps[0])
    is_active: NDArray[Any] = np.asarray(goals.all(axis=1) | others.any(axis=1) | steps.any(axis=1))
    active = np.flatnonzero(is_active[1:])
    # While nothing is met the judge has nothing to count; the last such row tells it of what is not met any more.
    first = max(1, int(active[0])) if active.size else len(goals)
    for row in range(first, len(goals)):
        verdict = judge.update(goals[row], others[row], steps[row])
        if verdict is not None:
            return verdict
    return None


def held(goal_met: NDArray[np.bool_], hold_steps: int) -> bool:
    """Returns whether every goal condition held together for `hold_steps` control steps in a row, anywhere in an episode.

    The rule is that of `HoldCounter`: row 0, before the first action, does not count.

    Args:
      goal_met: `(T + 1, G)` bool, the column of a trace: row 0 before the first action, row t after action t.
      hold_steps: Consecutive control steps that are wanted, at least 1.

    Raises:
      BadData: If `hold_steps` is below 1, or the column is not two-dimensional or has no goal conditions.
    """
    _check_hold_steps(hold_steps)
    return longest_hold(goal_met) >= hold_steps


def longest_hold(goal_met: NDArray[np.bool_]) -> int:
    """Returns the largest number of control steps in a row at the end of which every goal condition held.

    Args:
      goal_met: `(T + 1, G)` bool; row 0 does not count.

    Raises:
      BadData: If the column is not two-dimensional or has no goal conditions.
    """
    column: NDArray[Any] = np.asarray(goal_met, dtype=bool)
    if column.ndim != 2 or column.shape[0] == 0 or column.shape[1] == 0:
        raise BadData(f"goal_met has shape {column.shape}; it must be (T + 1, G) with at least one goal condition")
    all_met = column[1:].all(axis=1)
    # The steps at which the goal was not met cut the episode into stretches; the longest gap between two cuts is the answer.
    cuts = np.concatenate(([-1], np.flatnonzero(~all_met), [all_met.size]))
    return int(np.diff(cuts).max()) - 1


def _check_hold_steps(hold_steps: int) -> None:
    if hold_steps < 1:
        raise BadData(f"hold_steps is {hold_steps}; the goal must be held for at least 1 control step")
