"""What skills of two hands look at and what they say: the true state of the scene, and what hands, base and torso do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose, pose
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.skills.view import SPEED_M, Verdict

CLOSE, OPEN = 1.0, -1.0


@dataclass(frozen=True, kw_only=True)
class HandCommand:
    """What one hand is to do next. What is None stays as it is."""

    pose: Pose | None = None
    """Of the pinch point, in the world frame."""
    closing: float | None = None
    """-1 open to +1 closed."""
    speed_m: float = SPEED_M
    """Per control step, at most."""


@dataclass(frozen=True, kw_only=True)
class BodyCommand:
    """What the whole robot is to do next. A hand that is not named holds its pose in the base frame, and what it holds."""

    hands: Mapping[str, HandCommand] = field(default_factory=dict)
    """Side -> command."""
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of a gliding base: forward and to the left in m/s, turning to the left in rad/s."""
    height_m: float | None = None
    """Of a robot on its legs: how much lower than at the start the pelvis is to be, from 0 down. None: as it was commanded last."""
    lean_rad: float | None = None
    """Of its torso, forward."""
    neck_rad: Array | None = None
    """(n,) Of the joints of a neck, in the order of the group `neck`. None: as it was commanded last, at first as at the start."""


@dataclass(frozen=True, kw_only=True)
class BimanualView:
    """The true state, as skills look at it. Poses are in the world frame."""

    hands: Mapping[str, Pose]
    """Side -> pinch point."""
    targets: Mapping[str, Pose]
    """Side -> commanded pose of the pinch point."""
    closing: Mapping[str, float]
    """Side -> what was commanded last."""
    opening_m: Mapping[str, float]
    held_by: Mapping[str, frozenset[str]]
    """Side -> props that it holds between its sides."""
    touched_by: Mapping[str, frozenset[str]]
    """Side -> props and fixtures that it presses on."""
    base: Pose
    """Of the base frame."""
    joint_pos: Mapping[str, Array]
    """Group of joints -> positions in rad."""
    props: Mapping[str, Pose]
    joints: Mapping[str, float]
    """"fixture/joint" -> position in m or rad."""
    goal_met: tuple[bool, ...]
    time_s: float
    proprio: Mapping[str, Array]
    """All of proprioception."""

    @staticmethod
    def of(observation: Observation, robot: Robot) -> BimanualView:
        """Reads a privileged observation. Raises BadSpec if it is not privileged."""
        truth, felt = observation.privileged, observation.proprio
        if truth is None:
            raise BadSpec("skills read the true state of the scene; the observation holds none")
        base = pose(truth.base_pos_world, truth.base_quat_world_wxyz)

        def world(side: str, what: str) -> Pose:
            return base @ pose(felt[f"{side}_{what}_pos_base_m"].tolist(), felt[f"{side}_{what}_quat_base_wxyz"].tolist())

        return BimanualView(
            hands={side: world(side, "ee") for side in robot.sides},
            targets={side: world(side, "ee_target") for side in robot.sides},
            closing={side: float(felt[f"{side}_hand_command"][0]) for side in robot.sides},
            opening_m={side: float(felt[f"{side}_hand_opening_m"][0]) for side in robot.sides},
            held_by=truth.held_by,
            touched_by=truth.touched_by,
            base=base,
            joint_pos={g.name: felt[f"{g.name}_joint_pos_rad"].astype(float) for g in robot.groups},
            props={name: pose(p.pos_world, p.quat_world_wxyz) for name, p in truth.props.items()},
            joints=truth.fixture_joints,
            goal_met=truth.goal_met,
            time_s=observation.time_s,
            proprio={name: value.astype(float) for name, value in felt.items()},
        )

    def holder(self, prop: str) -> str | None:
        """Returns the side of a hand that holds a prop."""
        return next((side for side, props in self.held_by.items() if prop in props), None)


class BimanualSkill:
    """One skill at work. `step` returns what to do, and whether the skill is at its end."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        self.spec = spec
        self.args = tuple(args)
        self.robot: Robot = catalog.load("robot", spec.robot)

    def hand(self, side: str) -> EndEffector:
        """Returns the hand of a side."""
        return self.robot.hand(side)

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        raise AssertionError("abstract")
