"""The safety filter: between policy and robot it holds back what is too fast, too strong or out of bounds, or ends the episode there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec, unknown_name
from vlagym.envs.frames import Array, Pose, conjugate, multiply, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.safety_limits import SafetyLimits, is_person, limits_of
from vlagym.envs.safety_moves import Glide, HandOrientation, HandPosition, Joints, Move, Posture, Proprio, Touch, Unlimited
from vlagym.envs.types import CONTACT_KINDS, ActionComponent, EpisodeSpec, Facts

Mode = Literal["off", "clip", "stop"]
"""off: there is no filter. clip: an action is scaled back to what is allowed. stop: an action that is not allowed ends the episode."""

MODES: tuple[Mode, ...] = get_args(Mode)

NO_FILTER, PASSED, CLIPPED, STOPPED = -1, 0, 1, 2
"""Verdicts, as `Trace.safety` holds them."""

Forward = Callable[[Array], Mapping[str, Pose]]
"""Joint positions `(n,)` in rad, in the order of `Robot.joints` -> side -> pose of that hand in the base frame."""

_WATCHED = ("robot_fixture", "robot_prop", "self")
"""Kinds of contact whose force is limited. What is held and the robot puts down on furniture is not: it is meant to touch."""

_CAUTION_S = 1.0
"""For so long whatever pressed too hard moves slowly."""
_CAUTION_PACE = 0.25
"""How slowly then: a share of its highest speed."""

_HALVINGS = 7
"""Of the share of a joint motion that is still allowed: to 1 %."""


class Filtered(NamedTuple):
    """What became of an action."""

    action: NDArray[np.float32]
    """(D,) what is executed: the very action where nothing stood against it; after a stop what keeps the robot where it is."""
    verdict: int
    """PASSED, CLIPPED or STOPPED."""
    broken: tuple[str, ...]
    """Limits that the action would have broken, or that the robot broke already: hand_speed, hand_turn, hand_box, joint_speed, force,
    base_speed, base_box."""


class SafetyFilter:
    """Guards one episode after another.

    It knows what a real robot knows, its proprioception, and feels contact forces, as a skin or joint torques would tell them. It does not see
    the scene. A force is felt after it happened, at the end of a control step: then the robot goes back the way it came, two commands a step,
    until nothing presses too hard any more, and moves slowly for a second. The first blow it cannot foresee; a slow hand strikes less.
    """

    def __init__(self, mode: Mode, limits: SafetyLimits | None = None) -> None:
        """Makes a filter.

        Args:
          mode: clip or stop; off lets everything pass.
          limits: None: those of the robot of each episode.

        Raises:
          UnknownName: If there is no such mode.
        """
        self.mode = check_mode(mode)
        self._given = limits
        self._spec: EpisodeSpec | None = None

    def reset(self, spec: EpisodeSpec) -> None:
        """Begins an episode.

        Raises:
          BadData: If the robot has no limits, or lacks one that its base needs.
          BadSpec: If the filter does not know one of the action's conventions.
        """
        self._spec = spec
        if self.mode == "off":
            return
        robot: Robot = catalog.load("robot", spec.robot)
        self._limits = self._given or limits_of(spec.robot)
        self._sides = robot.sides
        self._slices = spec.control.slices()
        self._moves = [_move(component, robot, spec, self._limits) for component in spec.control.components]
        self._joints = [move for move in self._moves if isinstance(move, Joints)]
        self._columns = [_columns(move, robot) for move in self._joints]
        self._posture = np.array(spec.robot_qpos, np.float64)
        self._forward = _forward(spec) if self._joints else None
        self._step_s = 1.0 / spec.control.rate_hz
        self._side_of = {link: hand.side for hand in robot.end_effectors for link in hand.all_links}
        self._caution_steps = round(_CAUTION_S * spec.control.rate_hz)
        self._caution = dict.fromkeys(robot.sides, 0)
        """Side -> steps for which it is still to move slowly."""
        self._people = [(i, fixture.name) for i, fixture in enumerate(spec.scene.fixtures) if is_person(fixture)]
        """Where they stand among the fixtures. The force on them counts even where the goal names them."""

    def filter(self, action: Any, proprio: Proprio, facts: Facts) -> Filtered:
        """Returns what may be done in the place of an action.

        Args:
          action: (D,) of the episode's control spec.
          proprio: Of the observation before the action.
          facts: Contacts and forces of the control step before; nothing else of them is looked at.

        Raises:
          BadSpec: If no episode has begun.
          BadAction: If the action has another shape, NaN, or leaves its bounds.
        """
        if self._spec is None:
            raise BadSpec("the safety filter has not been told of an episode: reset it with its spec")
        checked = self._spec.control.check(action)
        if self.mode == "off":
            return Filtered(checked, PASSED, ())
        pressing, felt = self._pressing(facts)
        wanted = [checked[self._slices[move.component.name]].astype(np.float64) for move in self._moves]
        allowed, broken = self._allowed(wanted, proprio, pressing)
        broken = [*felt, *(b for b in broken if b != "force")]
        if not broken:
            self._done(wanted)
            return Filtered(checked, PASSED, ())
        if self.mode == "stop":
            allowed = [move.hold(proprio) for move in self._moves]
        self._done(allowed)
        executed = self._spec.control.check(np.concatenate(allowed).astype(np.float32))
        return Filtered(executed, STOPPED if self.mode == "stop" else CLIPPED, tuple(dict.fromkeys(broken)))

    def _pressing(self, facts: Facts) -> tuple[dict[str, float], list[str]]:
        """Returns for each hand the force over its limit, and which limits are exceeded.

        What a hand presses on is that hand's; what another link presses on is everybody's, for any joint may be the cause.
        """
        ratios = dict.fromkeys(self._sides, 0.0)
        peaks = facts.contact_force_n.max(axis=0) if len(facts.contact_force_n) else np.zeros(len(CONTACT_KINDS))
        for kind in _WATCHED:
            ratio = float(peaks[CONTACT_KINDS.index(kind)]) / self._limits.force_n
            if ratio > 1.0:
                self._blame(ratios, ratio, [(c.a, c.b) for c in facts.contacts if c.kind == kind])
        for index, name in self._people:
            ratio = float(facts.fixture_robot_force_n[index]) / self._limits.force_n
            if ratio > 1.0:
                self._blame(ratios, ratio, [(c.a, c.b) for c in facts.contacts if name in (c.a, c.b)])
        return ratios, ["force"] if max(ratios.values()) > 1.0 else []

    def _blame(self, ratios: dict[str, float], ratio: float, pairs: Sequence[tuple[str, str]]) -> None:
        guilty: set[str] = set()
        for pair in pairs:
            guilty |= {self._side_of[link] for link in pair if link in self._side_of} or set(self._sides)
        for side in guilty or self._sides:
            ratios[side] = max(ratios[side], ratio)

    def _allowed(self, wanted: Sequence[Array], proprio: Proprio, pressing: Mapping[str, float]) -> tuple[list[Array], list[str]]:
        for side, ratio in pressing.items():
            self._caution[side] = self._caution_steps if ratio > 1.0 else max(0, self._caution[side] - 1)
        touches = {side: Touch(ratio, _CAUTION_PACE if self._caution[side] else 1.0) for side, ratio in pressing.items()}
        anyone = Touch(max(t.pressing for t in touches.values()), min(t.pace for t in touches.values()))
        out: list[Array] = []
        broken: list[str] = []
        for move, values in zip(self._moves, wanted, strict=True):
            # Joints go back together: which of them brought a hand to where it presses, only their common way tells.
            side = "" if isinstance(move, Joints) else move.component.name.partition("_")[0]
            found = move.allow(values, proprio, touches.get(side, anyone))
            out.append(found.values)
            broken += found.broken
        if self._forward is not None and "force" not in broken:
            broken += self._hold_hands(out)
        return out, broken

    def _hold_hands(self, values: list[Array]) -> list[str]:
        """Shortens, in place, what joints are asked for, until the hands that they carry keep to their limits."""
        assert self._forward is not None
        start = self._whole([move.commanded for move in self._joints])
        asked = [values[self._moves.index(move)] for move in self._joints]
        way = self._whole([move.target(a) for move, a in zip(self._joints, asked, strict=True)]) - start
        if not way.any():
            return []
        here = self._forward(start)
        there = self._forward(start + way)
        broken = self._broken_by(here, there)
        if not broken:
            return []
        # Within a step a hand goes nearly straight: the first guess is right but where it meets a wall.
        low, high, middle = 0.0, 1.0, 0.99 * self._straight_share(here, there)
        if not self._broken_by(here, self._forward(start + middle * way)) and "hand_box" not in broken:
            low = high = middle
        for _ in range(_HALVINGS if low < high else 0):
            middle = (low + high) / 2.0
            low, high = (low, middle) if self._broken_by(here, self._forward(start + middle * way)) else (middle, high)
        for move, columns in zip(self._joints, self._columns, strict=True):
            values[self._moves.index(move)] = move.values(start[columns] + low * way[columns])
        return broken

    def _straight_share(self, here: Mapping[str, Pose], there: Mapping[str, Pose]) -> float:
        """Returns the share of a motion of the hands that keeps to their speeds, were it straight."""
        shares = [1.0]
        for side, before in here.items():
            way, turn = _apart(before, there[side])
            shares += [self._limits.hand_speed_m_s * self._step_s / max(way, 1e-9), self._limits.hand_turn_rad_s * self._step_s / max(turn, 1e-9)]
        return min(shares)

    def _whole(self, parts: Sequence[Array]) -> Array:
        """Returns the posture `(n,)` of the whole robot in which some groups of joints are somewhere else."""
        q = self._posture.copy()
        for columns, part in zip(self._columns, parts, strict=True):
            q[columns] = part
        return q

    def _broken_by(self, here: Mapping[str, Pose], there: Mapping[str, Pose]) -> list[str]:
        limits = self._limits
        low, high = np.array(limits.hand_box_m.low_m), np.array(limits.hand_box_m.high_m)
        broken: list[str] = []
        for side, before in here.items():
            after = there[side]
            way, turn = _apart(before, after)
            if way > 1.001 * limits.hand_speed_m_s * self._step_s:
                broken.append("hand_speed")
            if turn > 1.001 * limits.hand_turn_rad_s * self._step_s:
                broken.append("hand_turn")
            if np.any(after.pos < np.minimum(low, before.pos) - 1e-6) or np.any(after.pos > np.maximum(high, before.pos) + 1e-6):
                broken.append("hand_box")
        return broken

    def _done(self, values: Sequence[Array]) -> None:
        for move, part in zip(self._moves, values, strict=True):
            move.done(part)


def _apart(a: Pose, b: Pose) -> tuple[float, float]:
    """Returns how far two poses are apart, in m and in rad."""
    way, turn = b.pos - a.pos, to_axis_angle(multiply(b.quat, conjugate(a.quat)))
    return float(np.sqrt(way @ way)), float(np.sqrt(turn @ turn))


def check_mode(mode: str) -> Mode:
    """Returns a mode. Raises UnknownName for another one."""
    for known in MODES:
        if mode == known:
            return known
    raise unknown_name("mode of the safety filter", mode, MODES)


def _move(component: ActionComponent, robot: Robot, spec: EpisodeSpec, limits: SafetyLimits) -> Move:
    step_s = 1.0 / spec.control.rate_hz
    side = component.name.partition("_")[0] if robot.has_two_hands else ""
    convention = component.convention
    if convention in ("delta_position", "position"):
        return HandPosition(component, side, limits.hand_speed_m_s * step_s, limits.hand_box_m)
    if convention in ("delta_axis_angle", "quaternion_wxyz"):
        return HandOrientation(component, side, limits.hand_turn_rad_s * step_s)
    if convention.startswith("gripper_"):
        open_at = -1.0 if convention == "gripper_closed_positive" else 1.0
        return Unlimited(component, np.full(component.size, open_at))
    if convention in ("joint_delta", "joint_position"):
        names = _joint_names(component, robot)
        if not set(names) <= set(robot.joints):
            return Unlimited(component, np.concatenate([hand.finger_ctrl(0.0) for hand in robot.end_effectors if hand.side == side]))
        at = [robot.joints.index(name) for name in names]
        step, low, high = (np.array(v)[at] for v in (robot.joint_speed_max_rad_s, robot.joint_low_rad, robot.joint_high_rad))
        return Joints(component, np.array(spec.robot_qpos)[at], step * limits.joint_speed_share * step_s, low, high)
    if convention == "planar_velocity":
        speed, turn, box = (_needed(limits, name, spec) for name in ("base_speed_m_s", "base_turn_rad_s", "base_box_m"))
        return Glide(component, speed, turn, box, step_s)
    if convention in ("height", "lean"):
        return Posture(component)
    known = ", ".join(_KNOWN)
    raise BadSpec(f"the safety filter does not know what {component.name!r} moves: its convention is {convention!r}. It knows: {known}")


_KNOWN = (
    *("delta_position", "position", "delta_axis_angle", "quaternion_wxyz", "gripper_…", "joint_delta", "joint_position"),
    *("planar_velocity", "height", "lean"),
)


def _needed(limits: SafetyLimits, name: str, spec: EpisodeSpec) -> Any:
    value = getattr(limits, name)
    if value is None:
        raise BadData(f"the safety limits of {spec.robot!r} lack {name}, which its base {spec.robot_base!r} needs")
    return value


def _joint_names(component: ActionComponent, robot: Robot) -> tuple[str, ...]:
    return robot.group(component.name).joints if robot.groups else robot.joints


def _columns(move: Joints, robot: Robot) -> NDArray[np.intp]:
    return np.array([robot.joints.index(name) for name in _joint_names(move.component, robot)], np.intp)


def _forward(spec: EpisodeSpec) -> Forward:
    """Returns the forward kinematics of a robot; the model is built once a process."""
    robot: Robot = catalog.load("robot", spec.robot)
    if robot.has_two_hands:
        from vlagym.envs.whole_body import whole_body

        return whole_body(spec.robot, spec.robot_base).forward
    from vlagym.envs.kinematics import kinematics

    arm, side = kinematics(spec.robot), robot.end_effectors[0].side
    return lambda q: {side: arm.forward(q)}
