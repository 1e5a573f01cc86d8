"""The performer of a plan for two hands, and how what it wants becomes an action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.bases import PLANAR_SPEED_MAX
from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.frames import Pose, conjugate, multiply, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.task import Skill
from vlagym.envs.types import ActionSpec, EpisodeSpec, Observation
from vlagym.policies.bimanual import (
    base,
    both_hands,
    bringing,
    carrying,
    drawers,
    gestures,
    handing,
    legs,
    motion,
    pointing,
    pressing,
    pushing,
    reach,
)
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.progress import Progress
from vlagym.policies.skills.view import TURN_RAD

SKILLS: Mapping[str, type[BimanualSkill]] = {
    **base.SKILLS,
    **both_hands.SKILLS,
    **bringing.SKILLS,
    **carrying.SKILLS,
    **drawers.SKILLS,
    **gestures.SKILLS,
    **handing.SKILLS,
    **legs.SKILLS,
    **motion.SKILLS,
    **pointing.SKILLS,
    **pressing.SKILLS,
    **pushing.SKILLS,
    **reach.SKILLS,
}
"""Name -> class. Each module has its own such mapping."""


class BimanualPerformer:
    """Performs a plan in one episode, by the rules of `Progress`."""

    def __init__(self, spec: EpisodeSpec, plan: Sequence[Skill]) -> None:
        """Begins an episode.

        Raises:
          UnknownName: If the plan names a skill that does not exist.
          BadSpec: If the episode is not controlled by bimanual_ee_delta.
        """
        for skill in plan:
            if skill.name not in SKILLS:
                raise unknown_name("skill of two hands", skill.name, SKILLS)
        if spec.control.name != "bimanual_ee_delta":
            raise BadSpec(f"the expert moves two hands by bimanual_ee_delta; this episode is controlled by {spec.control.name!r}")
        self._spec, self._progress = spec, Progress(spec, plan)
        self._robot: Robot = catalog.load("robot", spec.robot)
        self._skill = self._make()
        self._height_m = self._lean_rad = 0.0
        self._neck_rad: NDArray[np.float64] | None = None

    @property
    def stage(self) -> str:
        """What is being done: the name of the skill."""
        return self._progress.skill.name

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the action `(D,)` of this control step."""
        view = BimanualView.of(observation, self._robot)
        command = self._step(view)
        self._height_m = self._height_m if command.height_m is None else command.height_m
        self._lean_rad = self._lean_rad if command.lean_rad is None else command.lean_rad
        self._neck_rad = view.joint_pos.get("neck") if self._neck_rad is None else self._neck_rad
        self._neck_rad = self._neck_rad if command.neck_rad is None else command.neck_rad
        return action_of(command, view, self._spec.control, self._height_m, self._lean_rad, self._neck_rad)

    def _step(self, view: BimanualView) -> BodyCommand:
        for _ in range(self._progress.most):
            command, verdict = self._skill.step(view)
            if not self._progress.moves(verdict, view.goal_met):
                break
            self._skill = self._make()
            if verdict != "done":
                break
        return command

    def _make(self) -> BimanualSkill:
        skill = self._progress.skill
        return SKILLS[skill.name](self._spec, skill.args)


def action_of(
    command: BodyCommand, view: BimanualView, spec: ActionSpec, height_m: float, lean_rad: float, neck_rad: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Returns the `bimanual_ee_delta` action `(D,)` that brings hands, neck, base and torso towards what is wanted.

    Speeds fall with the distance that is left, so that a hand stops where it should.
    """
    action = np.zeros(spec.size, np.float64)
    slices = spec.slices()
    scales = {c.name: c.scale for c in spec.components}
    from_base = view.base.inverse()
    for side, target in view.targets.items():
        hand = command.hands.get(side, HandCommand())
        closing = view.closing[side] if hand.closing is None else hand.closing
        action[slices[f"{side}_hand"]] = closing
        if hand.pose is None:
            continue
        translation, rotation = _towards(from_base @ hand.pose, from_base @ target, hand.speed_m)
        action[slices[f"{side}_translation"]] = translation / scales[f"{side}_translation"]
        action[slices[f"{side}_rotation"]] = rotation / scales[f"{side}_rotation"]
    if "neck" in slices and neck_rad is not None:
        action[slices["neck"]] = neck_rad
    if "navigate_command" in slices:
        action[slices["navigate_command"]] = np.clip(command.velocity, -np.array(PLANAR_SPEED_MAX), PLANAR_SPEED_MAX)
    if "base_height_command" in slices:
        action[slices["base_height_command"]], action[slices["torso_lean_command"]] = height_m, lean_rad
    return np.clip(action, spec.low, spec.high).astype(np.float32)


def _towards(wanted: Pose, here: Pose, speed_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    away = wanted.pos - here.pos
    distance = float(np.linalg.norm(away))
    limit = min(speed_m, 0.5 * distance + 0.002)
    turn = to_axis_angle(multiply(wanted.quat, conjugate(here.quat)))
    angle = float(np.linalg.norm(turn))
    turn_limit = min(TURN_RAD, 0.5 * angle + 0.01)
    return (
        away * (min(1.0, limit / distance) if distance > 1e-9 else 0.0),
        turn * (min(1.0, turn_limit / angle) if angle > 1e-9 else 0.0),
    )
