"""Take a thing with one hand and put it on or into another: whichever hand may, as its arm and fingers want it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate, to_matrix
from vlagym.envs.predicates.state import place_of, start_of, word
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.grasping import Grip, Gripper, Height
from vlagym.policies.bimanual.motion import Ways, is_there, over, posture, with_way
from vlagym.policies.bimanual.one_arm import OneArm, alone, seen_alone
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.carry import Pick
from vlagym.policies.skills.grasping import choose_grasp
from vlagym.policies.skills.putting import Place
from vlagym.policies.skills.surroundings import boxed
from vlagym.policies.skills.view import Verdict, asset_of, turn_between

_SLOW_M = 0.012
_PATIENCE = 14
"""Control steps in which a hand that is on its way may come no nearer, before another way is tried."""
_CLOSING_STEPS = 16
_HELD_STEPS = 3
_LIFT_M = 0.06
_OVER_M = 0.03
_LOWER_M = 0.008
_REST_M = 0.004
"""A thing is let go so far above what it is to rest on."""
_OPENING_STEPS = 8
_BACK_M = 0.10
_OFF_M = 0.022
_LEAN_RAD = 0.25
"""A robot on its legs, whose pelvis gives way a little, leans forward for what its arm does not reach ..."""
_MOVED_M = 0.02
_CONTENT_STEPS, _CONTENT_SHARE = 70, 0.45
"""After so many control steps a thing may be put down off the middle, by this share of the radius that there is."""
_PATIENCE_LEGS = 36
"""... in so many control steps."""
_TURNS_RAD = (0.0, 0.35, -0.35, 0.7, -0.7, 1.05, -1.05)


class PickWith(BimanualSkill):
    """pick_with(a): the hand that the goal names, or the one that takes it more easily, takes a and lifts it.

    pick_with(a, =left) with that hand; pick_with(a, =left, =low) as low as it can, =high as high, so that there is room for the other one.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._single: OneArm | None = None
        self._gripper = Gripper(spec, self.robot)
        self._grips: list[Grip] = []
        self._tries = self._closed = self._held = self._steps = 0
        self._stage = "come"
        self._top_m = 0.0
        self._least, self._waited = math.inf, 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        command, verdict = self._pick(view)
        return with_way(self._gripper.ways, view, command), verdict

    def _pick(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name = self.args[0]
        if self.robot.end_effectors[0].single is not None and asset_of(self.spec, name).grasps and len(self.args) < 3:
            self._single = self._single or OneArm(self.spec, (name,), Pick, arm_for(self, view, name, self._sides()))
            return self._single.step(view)
        if self._stage == "given up":
            return BodyCommand(), "running"
        if not self._grips:
            self._grips = self._look(view)
            if not self._grips:
                return self._give_up(view, name)
        grip = self._grips[self._tries % len(self._grips)]
        return self._act(view, name, grip)

    def _give_up(self, view: BimanualView, name: str) -> tuple[BodyCommand, Verdict]:
        """Waits for the end, where a thing has been dropped and lies so that no hand takes it.

        Raises:
          NotGraspable: If it is where it was at the start: then the episode asks for what cannot be done.
        """
        there = view.props[name].pos
        if float(np.linalg.norm(there - start_of(self.spec, name))) < _MOVED_M:
            raise NotGraspable(f"no hand of {self.spec.robot} takes {name!r} at {there.round(3).tolist()}")
        self._stage = "given up"
        return BodyCommand(), "running"

    def _act(self, view: BimanualView, name: str, grip: Grip) -> tuple[BodyCommand, Verdict]:
        side, thing, ways = grip.side, view.props[name], self._gripper.ways
        here = view.hands[side]
        self._steps += 1
        if self._stage == "come":
            before = grip.before(thing)
            if is_there(here, before, 0.012, 0.12):
                self._stage, self._steps = "reach", 0
            elif self._is_stuck(here, before) or self._steps > 80:
                return self._next(view)
            return BodyCommand(hands={side: over(ways, view, side, before, OPEN, ways.around(view))}), "running"
        if self._stage == "reach":
            goal = grip.at(thing)
            if is_there(here, goal, 0.008, 0.10) or self._steps > 26:
                self._stage, self._closed, self._held = "close", 0, 0
            return BodyCommand(hands={side: HandCommand(pose=goal, closing=OPEN, speed_m=_SLOW_M)}), "running"
        if self._stage == "close":
            self._closed += 1
            self._held = self._held + 1 if name in view.held_by.get(side, ()) else 0
            if self._held >= _HELD_STEPS and self._closed >= 8:
                self._stage, self._top_m = "lift", float(here.pos[2]) + _LIFT_M
            elif self._closed > _CLOSING_STEPS:
                return self._next(view)
            return BodyCommand(hands={side: HandCommand(closing=CLOSE)}), "running"
        if name not in view.held_by.get(side, ()):
            self._held -= 1
            if self._held < -3:
                return self._next(view)
        up = Pose(np.array([here.pos[0], here.pos[1], self._top_m]), view.targets[side].quat)
        done = here.pos[2] > self._top_m - 0.015
        return BodyCommand(hands={side: HandCommand(pose=up, closing=CLOSE)}), "done" if done else "running"

    def _is_stuck(self, here: Pose, goal: Pose) -> bool:
        """Returns whether the hand has come no nearer to where it goes for a while: then the arm does not take that posture from where it was."""
        left = float(np.linalg.norm(goal.pos - here.pos)) + 0.1 * turn_between(here.quat, goal.quat)
        self._waited = 0 if left < self._least - 0.003 else self._waited + 1
        self._least = min(self._least, left)
        return self._waited > _PATIENCE

    def _sides(self) -> tuple[str, ...]:
        """Returns the sides of the hands that may."""
        return (word(self.args[1]),) if len(self.args) > 1 else free_hands(self.spec, self.robot, self.args[0])

    def _look(self, view: BimanualView) -> list[Grip]:
        where = word(self.args[2]) if len(self.args) > 2 else None
        height = None if where is None else Height(0.0, 1.0, is_low_best=where == "low")
        to = self._destination(view)
        found = self._gripper.grips(view, self.args[0], self._sides(), height=height, to=to)
        return found or (self._gripper.grips(view, self.args[0], self._sides(), height=height) if to is not None else [])

    def _destination(self, view: BimanualView) -> Array | None:
        """Returns where the goal or one of its steps wants the thing, (3,) m in the world; None if it says nothing of another prop."""
        predicates = [*self.spec.goal, *(p for step in self.spec.steps for p in step)]
        places = [p.args[1] for p in predicates if p.name in ("on", "inside") and p.args[0] == self.args[0]]
        if not places:
            return None
        return view.props[places[0]].pos + [0.0, 0.0, place_of(self.spec, places[0]).surface_height_m]

    def _next(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        """Begins again, with the next grip of what is where it is now."""
        self._tries += 1
        self._stage, self._steps = "come", 0
        self._least, self._waited = math.inf, 0
        self._grips = self._look(view) or self._grips
        return BodyCommand(hands={side: HandCommand(closing=OPEN) for side in self.robot.sides}), "running"


class HoldWith(PickWith):
    """hold_with(a, =left): that hand takes hold of a where it stands, and stays so."""

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name = self.args[0]
        if self._stage == "given up":
            return BodyCommand(), "running"
        if not self._grips:
            self._grips = self._look(view)
            if not self._grips:
                return self._give_up(view, name)
        if self._stage == "lift":
            return BodyCommand(hands={self._sides()[0]: HandCommand(closing=CLOSE)}), "done"
        return self._act(view, name, self._grips[self._tries % len(self._grips)])


class PutWith(BimanualSkill):
    """put_with(a, b): the hand that holds a puts it on or into b."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._single: OneArm | None = None
        self._ways = Ways(spec)
        self._side: str | None = None
        self._stage = "carry"
        self._steps = self._lost = 0
        self._away: Pose | None = None
        self._quat: Array | None = None

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        command, verdict = self._put(view)
        return with_way(self._ways, view, command), verdict

    def _put(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name, place = self.args
        self._side = self._side or view.holder(name)
        if self._side is None:
            return BodyCommand(), "lost"
        if self._single is not None or (self.hand(self._side).single is not None and self._steps == 0 and looks_down(view.hands[self._side])):
            self._single = self._single or OneArm(self.spec, self.args, Place, self._side, {place: self._off_the_other(view, place)})
            return self._single.step(view)
        side, here = self._side, view.hands[self._side]
        self._steps += 1
        if self._stage in ("carry", "lower"):
            self._lost = 0 if name in view.held_by.get(side, ()) else self._lost + 1
            if self._lost > 4:
                return BodyCommand(hands={side: HandCommand(closing=OPEN)}), "lost"
        thing, there = view.props[name], view.props[place]
        drop = there.pos[2] + place_of(self.spec, place).surface_height_m + _REST_M
        grip_to_thing = float(here.pos[2] - thing.pos[2])
        low = max(drop, self._clear_m(view, side, place) - grip_to_thing)
        if self._stage == "carry":
            goal = self._above(view, name, place, side)
            across = math.hypot(*(there.pos[:2] - thing.pos[:2]))
            inner = place_of(self.spec, place).inner_radius_m
            if across < 0.012 or (self._steps > _CONTENT_STEPS and across < _CONTENT_SHARE * inner):
                self._stage, self._steps = "lower", 0
            lean = _LEAN_RAD if self.spec.robot_base == "legs" and self._steps > _PATIENCE_LEGS else None
            return BodyCommand(hands={side: HandCommand(pose=goal, closing=CLOSE, speed_m=0.022)}, lean_rad=lean), "running"
        if self._stage == "lower":
            shift = there.pos[:2] - thing.pos[:2]
            pos = np.array([here.pos[0] + shift[0], here.pos[1] + shift[1], max(here.pos[2] - _LOWER_M, low + grip_to_thing)])
            if thing.pos[2] <= low + 0.004 or self._steps > 40:
                self._stage, self._steps, self._away = "open", 0, None
            return BodyCommand(hands={side: HandCommand(pose=Pose(pos, view.targets[side].quat), closing=CLOSE, speed_m=_LOWER_M)}), "running"
        if self._stage == "open":
            if self._steps > _OPENING_STEPS:
                self._stage, self._steps = "leave", 0
                back = to_matrix(here.quat)[:, 2]
                self._away = Pose(here.pos - _BACK_M * back, here.quat)
            return BodyCommand(hands={side: HandCommand(closing=OPEN)}), "running"
        assert self._away is not None
        done = is_there(here, self._away, 0.02, 0.3) or self._steps > 20
        upright = 0.0 if self.spec.robot_base == "legs" else None
        return BodyCommand(hands={side: HandCommand(pose=self._away, closing=OPEN, speed_m=0.02)}, lean_rad=upright), "done" if done else "running"

    def _off_the_other(self, view: BimanualView, place: str) -> Array:
        """Returns how far off the middle of a place things are put, (3,) m: away from a hand that holds it."""
        holder = view.holder(place)
        if holder is None:
            return np.zeros(3)
        away = view.props[place].pos - view.hands[holder].pos
        level = np.array([away[0], away[1], 0.0])
        return np.asarray(_OFF_M * level / np.linalg.norm(level))

    def _above(self, view: BimanualView, name: str, place: str, side: str) -> Pose:
        """Returns the pose of the hand on its way: up until what it holds passes above all on the way, then across."""
        if self._quat is None:
            self._quat = self._turned(view, name, place, side)
        return carried_over(self, self._ways, view, side, name, view.props[place].pos, place_top_m(self, view, place), self._quat)

    def _turned(self, view: BimanualView, name: str, place: str, side: str) -> Array:
        """Returns the orientation in which the arm can put the thing down: as it is, or turned about the vertical as little as must be."""
        body, from_base, start = whole_body(self.spec.robot, self.spec.robot_base), view.base.inverse(), posture(view, self.robot)
        here, thing, there = view.hands[side], view.props[name], view.props[place]
        to = there.pos + [0.0, 0.0, place_of(self.spec, place).surface_height_m + _OVER_M]
        for turn in _TURNS_RAD:
            quat = multiply(from_yaw(turn), here.quat)
            pose = Pose(to + rotate(from_yaw(turn), here.pos - thing.pos), quat)
            if body.solve({side: from_base @ pose}, start, iterations=24).is_near(0.012, 0.12):
                return quat
        return here.quat

    def _clear_m(self, view: BimanualView, side: str, place: str) -> float:
        """Returns how high the pinch point must stay, that the hand does not come down on the rim of what it puts things into."""
        here = view.hands[side]
        points = self._ways.hand_points(side, CLOSE) @ to_matrix(here.quat).T
        box = boxed(place, asset_of(self.spec, place), view.props[place])
        over_it = box.distance(view.props[place].pos[:2] + points[:, :2]) < 0.01
        return box.top_m + 0.006 - float(points[over_it, 2].min()) if over_it.any() else 0.0


def carried_over(
    skill: BimanualSkill, ways: Ways, view: BimanualView, side: str, name: str, to: Array, least_m: float = 0.0, quat: Array | None = None
) -> Pose:
    """Returns where a hand goes next that carries a thing: up until both pass above all that stands on the way, then across.

    Args:
      skill: That asks.
      ways: Of its scene.
      view: The true state.
      side: Of the hand.
      name: Of what it holds.
      to: (2,) or (3,) where the thing goes, world frame, m; its height does not matter.
      least_m: The thing's base is at least _OVER_M higher than this above the table.
      quat: Orientation of the hand on its way, world frame, wxyz; None: as it is commanded now.
    """
    here, thing, around = view.hands[side], view.props[name], ways.around(view, (name,))
    box = boxed(name, asset_of(skill.spec, name), thing)
    need = ways.height_to_pass(side, CLOSE, here.quat, here.pos, here.pos + np.append(to[:2] - thing.pos[:2], 0.0), around)
    hangs = float(here.pos[2]) - box.bottom_m
    way = np.linspace(thing.pos[:2], to[:2], 12)
    tops = [o.top_m for o in around if float(o.distance(way).min()) < box.radius_m + 0.02]
    high = max(need, max(tops, default=0.0) + hangs + _OVER_M, least_m + hangs + _OVER_M)
    share = 1.0 if here.pos[2] > high - 0.02 else max(0.0, 1.0 - (high - float(here.pos[2])) / 0.08)
    shift = share * (to[:2] - thing.pos[:2])
    return Pose(np.array([here.pos[0] + shift[0], here.pos[1] + shift[1], high]), view.targets[side].quat if quat is None else quat)


def looks_down(hand: Pose) -> bool:
    """Returns whether a hand looks straight down, as that of a single arm does at whatever it carries; what it was handed it may hold otherwise."""
    return float(to_matrix(hand.quat)[2, 2]) < -0.95


def place_top_m(skill: BimanualSkill, view: BimanualView, place: str) -> float:
    """Returns how high a place reaches, m in the world."""
    return boxed(place, asset_of(skill.spec, place), view.props[place]).top_m


def arm_for(skill: BimanualSkill, view: BimanualView, name: str, sides: Sequence[str]) -> str:
    """Returns the side of the arm, of two that are robots by themselves, that takes a prop: the nearest one that may and can.

    Raises:
      NotGraspable: If none can.
    """
    y = float(view.props[name].pos[1])
    why: list[str] = []
    for side in sorted(sides, key=lambda one: abs(y - (0.3 if one == "left" else -0.3))):
        single = skill.hand(side).single
        assert single is not None, "asked of arms that are robots by themselves"
        try:
            choose_grasp(alone(skill.spec, skill, side), name, seen_alone(view, side, np.array(single.base_pos_m)))
        except NotGraspable as error:
            why.append(str(error))
            continue
        return side
    raise NotGraspable("; ".join(why))


SKILLS: Mapping[str, type[BimanualSkill]] = {"pick_with": PickWith, "hold_with": HoldWith, "put_with": PutWith}
"""Name -> class."""
