"""How far a plan has come: its skills in order, back where one has lost what the one before it achieved, and begun again where it missed the goal."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.envs.task import Skill
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.view import Verdict


class Progress:
    """Where a plan is. One serves one episode.

    A plan that has come to its end without the goal is begun again, without the skills whose purpose is fulfilled.
    """

    def __init__(self, spec: EpisodeSpec, plan: Sequence[Skill]) -> None:
        self._spec, self._plan, self._at = spec, tuple(plan), 0

    @property
    def skill(self) -> Skill:
        """What is to be done now."""
        return self._plan[self._at]

    @property
    def most(self) -> int:
        """How many skills can be at their end at the same moment, and one more."""
        return len(self._plan) + 1

    def moves(self, verdict: Verdict, goal_met: Sequence[bool]) -> bool:
        """Takes what the present skill says of itself, and returns whether `skill` is begun anew, another one or the same.

        Args:
          verdict: Of the skill.
          goal_met: (G,) which conditions of the goal hold.
        """
        if verdict == "done" and self._at + 1 < len(self._plan):
            self._at = self._unfulfilled(goal_met, self._at + 1)
        elif verdict == "lost":
            self._at = max(0, self._at - 1)
        elif verdict == "again":
            self._at = self._unfulfilled(goal_met, 0)
        else:
            return False
        return True

    def _unfulfilled(self, goal_met: Sequence[bool], start: int) -> int:
        """Returns the first skill from `start` on whose purpose is not fulfilled; the last one if there is none."""
        fulfilled = {predicate for predicate, met in zip(self._spec.goal, goal_met, strict=True) if met}
        return next((i for i in range(start, len(self._plan)) if self._plan[i].purpose not in fulfilled), len(self._plan) - 1)
