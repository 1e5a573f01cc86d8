"""The ceiling: performs the task's plan with the true state before its eyes, in the same end-effector deltas that a policy issues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.frames import conjugate, multiply, pose, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.task import Skill, Task
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeSpec, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.bimanual.performer import BimanualPerformer
from vlagym.policies.loading import refuse_options
from vlagym.policies.skills.performer import Performer
from vlagym.policies.skills.view import TURN_RAD, Command

if TYPE_CHECKING:
    from vlagym.policies.rehearsal import Rehearsal


HIGH = "high"
"""The argument of the expert that carries high."""
_HIGH_M = 0.06


class Expert:
    """Privileged: reads the spec and the true state. Deterministic.

    Where actions arrive late, it decides each on the state that it will meet, by a `vlagym.policies.rehearsal.Rehearsal`.
    """

    def __init__(self, *, is_high: bool = False) -> None:
        """Knows no episode yet.

        Args:
          is_high: Whether it carries what it puts down higher above where it goes than it needs to.
        """
        self._is_high = is_high
        self._performers: dict[int, Performer | BimanualPerformer] = {}
        self._actions: dict[int, ActionSpec] = {}
        self._rehearsals: dict[int, Rehearsal] = {}
        self._spec = PolicySpec(
            name=f"expert:{HIGH}" if is_high else "expert",
            action=None,
            controls=("ee_delta",) if is_high else ("ee_delta", "bimanual_ee_delta"),
            observation=ObservationSpec(images=(), state=(), rate_hz=0.0),
            reads_all_state=True,
            privileged=True,
            runs_in_worker=True,
        )

    @property
    def spec(self) -> PolicySpec:
        """No images; all of proprioception; privileged."""
        return self._spec

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode.

        Raises:
          BadSpec: If it is not given the episode's spec, or is to carry high with two hands.
        """
        if context.spec is None:
            raise BadSpec("the expert is privileged: it needs the episode's spec")
        task: Task = catalog.load("task", context.spec.task)
        robot: Robot = catalog.load("robot", context.spec.robot)
        self._performers[context.slot] = self._performer(context.spec, task.plan(context.spec), robot)
        self._actions[context.slot] = context.action
        self._rehearsals.pop(context.slot, None)
        if context.spec.action_delay_steps:
            from vlagym.policies.rehearsal import Rehearsal

            self._rehearsals[context.slot] = Rehearsal(context.spec, partial(self._decide, context.slot))

    def _performer(self, spec: EpisodeSpec, plan: Sequence[Skill], robot: Robot) -> Performer | BimanualPerformer:
        if robot.has_two_hands and self._is_high:
            raise BadSpec(f"expert:{HIGH} carries with one hand, and {robot.name!r} has two: leave out :{HIGH}")
        if robot.has_two_hands:
            return BimanualPerformer(spec, plan)
        return Performer(spec, plan, _HIGH_M) if self._is_high else Performer(spec, plan)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot."""
        return {slot: ActionChunk(values=self._act(slot, seen)[None], spec=self._actions[slot]) for slot, seen in observations.items()}

    def stage(self, slot: int) -> str:
        """Returns what it did in the last step of an episode: reach, grasp, place, lift … or "" where none has begun."""
        return self._performers[slot].stage if slot in self._performers else ""

    def _act(self, slot: int, seen: Observation) -> NDArray[np.float32]:
        return self._rehearsals[slot].act(seen) if slot in self._rehearsals else self._decide(slot, seen)

    def _decide(self, slot: int, seen: Observation) -> NDArray[np.float32]:
        performer, action = self._performers[slot], self._actions[slot]
        return performer.act(seen) if isinstance(performer, BimanualPerformer) else action_towards(performer.step(seen), seen, action)

    def close(self) -> None:
        """Forgets its episodes."""
        self._performers.clear()
        self._actions.clear()
        self._rehearsals.clear()


def action_towards(command: Command, observation: Observation, spec: ActionSpec) -> NDArray[np.float32]:
    """Returns the `ee_delta` action `(7,)` that brings the commanded pose towards a wanted one.

    Speeds fall with the distance that is left, so that it stops where it should.
    """
    proprio = observation.proprio
    here = pose(proprio["ee_target_pos_base_m"].tolist(), proprio["ee_target_quat_base_wxyz"].tolist())
    scales = {c.name: c.scale for c in spec.components}
    away = command.pos - here.pos
    distance = float(np.linalg.norm(away))
    limit = min(command.speed_m, 0.5 * distance + 0.002)
    turn = to_axis_angle(multiply(command.quat, conjugate(here.quat)))
    angle = float(np.linalg.norm(turn))
    turn_limit = min(TURN_RAD, 0.5 * angle + 0.01)
    translation = away * (min(1.0, limit / distance) if distance > 1e-9 else 0.0) / scales["translation"]
    rotation = turn * (min(1.0, turn_limit / angle) if angle > 1e-9 else 0.0) / scales["rotation"]
    action: NDArray[np.float32] = np.clip(np.concatenate([translation, rotation, [command.gripper]]), spec.low, spec.high).astype(np.float32)
    return action


def make(argument: str | None, options: Mapping[str, str]) -> Expert:
    """Builds the expert.

    Args:
      argument: None, or `high`: then it carries what it puts down higher, which those who learn from it need not meet as exactly.
      options: None are known.

    Raises:
      UnknownName: If the argument is another one.
    """
    refuse_options("expert", options)
    if argument not in (None, HIGH):
        raise unknown_name("way of the expert", str(argument), [HIGH], f"Leave it out, or write expert:{HIGH}.")
    return Expert(is_high=argument == HIGH)


POLICY = make
