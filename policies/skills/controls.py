"""Press, turn, flip: the hand works buttons, knobs, switches and levers of furniture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.controls import Control
from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, from_yaw, multiply, rotate, to_yaw
from vlagym.envs.predicates.controls import control_of
from vlagym.envs.predicates.state import fixture_of, fixture_pose, joint_of, word
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.grasping import hand_of
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, clear_height, hand_yaw, turn_between

_TIP_M = 0.010
"""How far closed fingers reach below the pinch point, and half their thickness; a little more on other hands, which push until it moves."""
_ABOVE_M = 0.012
"""Between the finger tips and what is pressed, where the hand stops being carried and begins to press."""
_BESIDE_M = 0.010
"""Between the fingers and a lever's cap, where the hand comes down beside it."""
_FIRMLY_M = 0.002
"""How far the fingers are sent beyond the place of what they push: the arm is stiff, and this is enough to overcome friction."""
_FINGER_M = 0.0045
"""Half the width of one of the closed fingers."""
_AHEAD_RAD = 0.35
"""How far ahead on the path of a cap the fingers are sent."""
_PRESS_SPEED_M = 0.012
_GIVE_UP_STEPS = 40
"""Without success after so many control steps at work, a skill goes back above and tries again."""


class _Worker(SkillBase):
    """What the skills of this file share: where the control is, and the way there from above."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self.joint = args[0]
        self.control: Control = control_of(spec, args[0])
        fixture, _ = fixture_of(spec, args[0])
        self._here, self._joint = fixture_pose(fixture), joint_of(spec, args[0])
        self._tops = [f.pos_world[2] + get_fixture(f.asset).height_m for f in spec.scene.fixtures]
        self._at_work = 0

    def point(self, position: float, local: Sequence[float] | Array | None = None) -> Array:
        """Returns where a point of the moving part is (world frame) at a joint position; the control's own point if none is given."""
        return self._here.apply(self._joint.at(position).apply(self.control.pos_m if local is None else local))

    def approach(self, view: View, target: Array, quat: Array, gripper: float, is_ready: bool) -> Command:
        """Returns the next command of the way to a target: over everything else at first, straight down on the last bit."""
        away = target - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, quat)
        over = max(clear_height(self.spec, view, without=()), max(self._tops) + 0.03 + _TIP_M) - target[2]
        height = min(max(0.06, over), 3.0 * max(0.0, across - 0.004) + 0.3 * max(0.0, turn_error - 0.06))
        return Command(target + [0, 0, height if is_ready else max(height, 0.04)], quat, gripper)

    def has_arrived(self, view: View, target: Array, quat: Array) -> bool:
        away = target - view.ee.pos
        return math.hypot(away[0], away[1]) < 0.005 and abs(away[2]) < 0.006 and turn_between(view.ee.quat, quat) < 0.08


class Press(_Worker):
    """press(fixture/joint): closed fingers come from above and push the button down; done when it has been down for long enough to count."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        if self.control.pressed_from is None:
            raise BadSpec(f"{self.joint!r} is a {self.control.kind}; it is set with flip or turn, not pressed")
        self._pressed_from = self.control.pressed_from
        self._down = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = view.joints[self.joint]
        quat = multiply(from_yaw(math.remainder(to_yaw(self._here.quat), math.pi)), DOWN)
        if not self._at_work:
            target = self.point(0.0) + [0, 0, _TIP_M + _ABOVE_M]
            self._at_work = int(self.has_arrived(view, target, quat) and _is_closed(view))
            return self.approach(view, target, quat, CLOSE, _is_closed(view)), "running"
        self._at_work += 1
        top = self.point(position)
        is_down = position >= self._pressed_from
        self._down = self._down + 1 if is_down else 0
        if self._down >= 3:
            return Command(view.ee.pos, quat, CLOSE), "done"
        if self._at_work > _GIVE_UP_STEPS or math.hypot(*(top - view.ee.pos)[:2]) > 0.02:
            self._at_work = 0
        deeper = 0.0 if is_down else _PRESS_SPEED_M
        return Command(np.array([top[0], top[1], view.ee.pos[2] - deeper]), quat, CLOSE, _PRESS_SPEED_M), "running"


class Turn(_Worker):
    """turn(fixture/joint, =word): grips the bar of a knob and turns it to a setting without a stop, lets go and rises.

    A turn that the wrist cannot do at once is done in two; a bar that slips through the fingers is gripped again.
    """

    _WRIST_RAD = 2.0
    """How far the hand is turned to either side."""
    _OPEN_M = 0.055
    """From this opening on the fingers pass the bar on both sides."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        if self.control.bar_axis is None:
            raise BadSpec(f"{self.joint!r} is a {self.control.kind}; only a knob is turned")
        self._wanted = self.control.setting(word(args[1]), self.joint)
        self._tolerance = self.control.tolerance or 0.0
        self._sense = 1.0 if rotate(self._here.quat, np.array(self._joint.axis))[2] > 0 else -1.0
        self._phase = self._reach
        self._turn: float | None = None  # of the hand while it grips
        self._goal_turn = 0.0
        self._last = 0.0  # the opening, or the error, one step ago

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = view.joints[self.joint]
        return self._phase(view, self.point(position), position)

    def _reach(self, view: View, bar: Array, position: float) -> tuple[Command, Verdict]:
        if self._turn is None:
            if abs(self._wanted - position) <= 0.5 * self._tolerance:
                return Command(view.ee.pos, view.ee.quat, OPEN), "done"
            self._turn = self._choose_turn(position)
        quat = multiply(from_yaw(self._turn), DOWN)
        is_open = view.opening_m > self._OPEN_M
        if is_open and self.has_arrived(view, bar, quat):
            self._phase, self._at_work, self._last = self._grip, 0, view.opening_m
        return self.approach(view, bar, quat, OPEN, is_open), "running"

    def _grip(self, view: View, bar: Array, position: float) -> tuple[Command, Verdict]:
        assert self._turn is not None
        self._at_work += 1
        has_stopped = abs(view.opening_m - self._last) < 0.0005 and self._at_work > 3
        self._last = view.opening_m
        if has_stopped or self._at_work > 16:
            self._phase, self._at_work, self._last = self._twist, 0, math.inf
            wanted = self._turn + self._sense * (self._wanted - position)
            self._goal_turn = min(max(wanted, -self._WRIST_RAD), self._WRIST_RAD)
        return Command(bar, multiply(from_yaw(self._turn), DOWN), CLOSE), "running"

    def _twist(self, view: View, bar: Array, position: float) -> tuple[Command, Verdict]:
        assert self._turn is not None
        error = abs(self._wanted - position)
        self._at_work = 0 if error < self._last - 0.002 else self._at_work + 1  # steps without progress
        self._last = error
        now = self._turn + math.remainder(hand_yaw(view.ee.quat) - self._turn, 2 * math.pi)
        ahead = now + min(max(self._goal_turn - now, -1.0), 1.0)  # no farther than half a turn: the short way round is the right one
        if abs(self._goal_turn - now) < 0.03 or error < 0.3 * self._tolerance or self._at_work > 12:
            self._phase, self._turn = self._release, now
        return Command(bar, multiply(from_yaw(ahead), DOWN), CLOSE), "running"

    def _release(self, view: View, bar: Array, position: float) -> tuple[Command, Verdict]:
        assert self._turn is not None
        quat = multiply(from_yaw(self._turn), DOWN)
        if view.opening_m < self._OPEN_M:
            return Command(bar, quat, OPEN), "running"
        if view.ee.pos[2] - bar[2] < 0.045:
            return Command(bar + [0, 0, 0.06], quat, OPEN), "running"
        if abs(self._wanted - position) <= self._tolerance:
            return Command(view.ee.pos, quat, OPEN), "done"
        self._phase, self._turn = self._reach, None
        return Command(view.ee.pos, quat, OPEN), "running"

    def _choose_turn(self, position: float) -> float:
        """Returns the turn of the hand that lines up its pads with the bar and leaves most room for the turn that is wanted."""
        bar = rotate(self._here.quat, rotate(self._joint.at(position).quat, np.array(self.control.bar_axis)))
        along, change = math.atan2(bar[1], bar[0]), self._sense * (self._wanted - position)
        turns = [math.remainder(along, 2 * math.pi) + k * math.pi for k in (-2, -1, 0, 1, 2)]
        within = [turn for turn in turns if abs(turn) <= self._WRIST_RAD]
        return min(within, key=lambda turn: (max(0.0, abs(turn + change) - self._WRIST_RAD), max(abs(turn), abs(turn + change))))


class Flip(_Worker):
    """flip(fixture/joint, =word): pushes the cap of a switch or lever from the side, or the end of a rocker from above, to a setting."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        if self.control.kind not in ("lever", "rocker"):
            raise BadSpec(f"{self.joint!r} is a {self.control.kind}; only switches, levers and rockers are flipped")
        self._wanted = self.control.setting(word(args[1]), self.joint)
        self._tolerance = self.control.tolerance or 0.0
        self._sense = 0.0
        self._leave: Array | None = None
        self._quat = DOWN
        self._face = hand_of(spec).push

    def step(self, view: View) -> tuple[Command, Verdict]:
        position = view.joints[self.joint]
        error = self._wanted - position
        if self._leave is not None:
            if np.linalg.norm(self._leave - view.ee.pos) > 0.012:
                return Command(self._leave, self._quat, CLOSE), "running"
            if abs(error) <= self._tolerance:
                return Command(view.ee.pos, self._quat, CLOSE), "done"
            self._leave, self._at_work = None, 0
        if not self._at_work:
            self._sense = math.copysign(1.0, error)
            self._quat = multiply(from_yaw(self._hand_turn(position)), DOWN)
            touch, way = self._touch(position), self._way(position)
            target = touch - way * (_ABOVE_M if self.control.kind == "rocker" else _BESIDE_M)
            self._at_work = int(self.has_arrived(view, target, self._quat) and _is_closed(view))
            return self.approach(view, target, self._quat, CLOSE, _is_closed(view)), "running"
        self._at_work += 1
        way = self._way(position)
        if self._sense * error <= 0.4 * self._tolerance or self._at_work > _GIVE_UP_STEPS:
            self._leave = view.ee.pos - 0.02 * way + [0, 0, 0.04]
            return Command(self._leave, self._quat, CLOSE), "running"
        # The fingers follow the path of the cap and slow down before it is in its place.
        ahead = self._wanted if self._joint.type == "slide" else position + self._sense * min(_AHEAD_RAD, abs(error))
        return Command(self._touch(ahead) + way * min(0.01, _FIRMLY_M + 0.0005 * self._at_work), self._quat, CLOSE, _PRESS_SPEED_M), "running"

    def _place(self, position: float) -> Array:
        """Returns where what is worked on is at a joint position: the cap, or the end of the rocker that goes down."""
        local = np.array(self.control.pos_m)
        if self.control.kind == "rocker" and self._sense < 0.0:
            local[:2] = 2.0 * np.array(self._joint.pos_m)[:2] - local[:2]
        return self.point(position, local)

    def _way(self, position: float) -> Array:
        """Returns the direction in which the fingers push: down on a rocker, level on a cap."""
        if self.control.kind == "rocker":
            return np.array([0.0, 0.0, -1.0])
        step = self._place(position + 0.01 * self._sense) - self._place(position)
        return np.array([step[0], step[1], 0.0]) / math.hypot(step[0], step[1])

    def _touch(self, position: float) -> Array:
        """Returns where the pinch point is while the fingers touch what they push; a cap with the middle of one finger, not the gap between two."""
        way = self._way(position)
        if self.control.kind == "rocker":
            return self._place(position) - _TIP_M * way
        beside = np.array([-way[1], way[0], 0.0]) * (_FINGER_M if self._face.is_on_both_sides else 0.0)
        return self._place(position) - way * ((self.control.cap_radius_m or 0.0) + self._face.distance_m) + beside

    def _hand_turn(self, position: float) -> float:
        """Returns the turn of the hand whose pushing face looks along the way of a cap."""
        if self.control.kind == "rocker":
            return math.remainder(to_yaw(self._here.quat), math.pi)
        way = self._way(position)
        return math.remainder(math.atan2(way[1], way[0]) - self._face.turn_rad, math.pi if self._face.is_on_both_sides else 2 * math.pi)


def _is_closed(view: View) -> bool:
    return view.opening_m < 0.012


SKILLS: Mapping[str, type[SkillBase]] = {"press": Press, "turn": Turn, "flip": Flip}
