"""One thing in both hands: trays by their grips, boxes between two palms. Where the thing is to be leads both hands, so that they move in step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, from_yaw, pose, rotate, to_yaw
from vlagym.envs.predicates.state import place_of
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.motion import Retreat, Ways, is_there, over, posture
from vlagym.policies.bimanual.pairs import Pair, Pairs
from vlagym.policies.bimanual.view import OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.surroundings import boxed
from vlagym.policies.skills.view import Verdict, asset_of

_COME_STEPS, _REACH_STEPS, _CLOSE_STEPS, _ACROSS_STEPS = 90, 40, 24, 80
_HELD_STEPS = 4
_SLOW_M = 0.010
_RAISE_M = 0.115
"""How high a thing is raised: what is asked for is 8 cm."""
_RAISE_SPEED_M, _CARRY_SPEED_M, _LOWER_SPEED_M = 0.008, 0.016, 0.006
"""Per control step, of the thing."""
_TURN_SPEED_RAD = 0.05
_LEAD_M = 0.03
"""So far may the place where the thing is to be run ahead of where it is."""
_CORRECTING, _OFFSET_MAX_M = 0.08, 0.04
_OVER_M = 0.025
_REST_M = 0.002
_OPENING_STEPS = 10
_PARTING_M = 0.004
"""Per control step."""
_YAWS_RAD = tuple(math.radians(d) for d in (0, -15, 15, -30, 30, -45, 45))
_LOST_STEPS = 6
_PART_M = 0.07
_FROM_EDGE_M = 0.12
"""So far within the top of a piece of furniture the middle of a box is put down."""


class TakeBoth(BimanualSkill):
    """take_both(a): both hands take a by its two holds and raise it level."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._pairs = Pairs(spec, self.robot)
        self._found: list[Pair] = []
        self._tries = self._steps = self._held = self._lost = 0
        self._stage = "come"
        self._carried: Carried | None = None
        self._floor_m = 0.0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name, ways = self.args[0], self._pairs.ways
        if not self._found:
            self._found = self._pairs.look(view, name)
            if not self._found:
                raise NotGraspable(f"the two hands of {self.spec.robot} do not get at {name!r} at {view.props[name].pos.round(3).tolist()}")
        pair, thing = self._found[self._tries % len(self._found)], view.props[name]
        self._steps += 1
        if self._stage == "come":
            before = {side: take.before(thing) for side, take in pair.takes.items()}
            if all(is_there(view.hands[side], goal, 0.015, 0.15) for side, goal in before.items()) or self._steps > _COME_STEPS:
                self._stage, self._steps = "reach", 0
            around = ways.around(view)
            hands = {side: over(ways, view, side, goal, pair.takes[side].opened, around) for side, goal in before.items()}
            return BodyCommand(hands=hands), "running"
        if self._stage == "reach":
            goals = {side: take.at(thing) for side, take in pair.takes.items()}
            there = all(is_there(view.hands[side], goal, 0.008, 0.10) for side, goal in goals.items())
            if there or self._steps > _REACH_STEPS:
                self._stage, self._steps, self._held = "close", 0, 0
            hands = {s: HandCommand(pose=goal, closing=pair.takes[s].opened, speed_m=_SLOW_M) for s, goal in goals.items()}
            return BodyCommand(hands=hands), "running"
        if self._stage == "close":
            both = all(name in view.touched_by.get(side, ()) for side in self.robot.sides)
            self._held = self._held + 1 if both else 0
            if self._held >= _HELD_STEPS and self._steps >= pair.closing_steps:
                self._stage, self._steps, self._lost = "raise", 0, 0
                self._floor_m = float(thing.pos[2])
                self._carried = Carried(self, view, name)
            elif self._steps > _CLOSE_STEPS:
                return self._next(view)
            return BodyCommand(hands=pair.pressing(thing, self._steps)), "running"
        assert self._carried is not None
        self._lost = 0 if all(name in view.touched_by.get(side, ()) for side in self.robot.sides) else self._lost + 1
        if self._lost > _LOST_STEPS:
            return self._next(view)
        goal = Pose(np.array([*self._carried.start.pos[:2], self._floor_m + _RAISE_M]), self._carried.level)
        done = thing.pos[2] > goal.pos[2] - 0.012
        return BodyCommand(hands=self._carried.towards(view, goal, _RAISE_SPEED_M)), "done" if done else "running"

    def _next(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        """Lets go and begins again, with the next pair of holds, as soon as hands are free."""
        self._tries += 1
        self._stage, self._steps, self._found = "come", 0, self._pairs.look(view, self.args[0]) or self._found
        return BodyCommand(hands={side: HandCommand(closing=-1.0) for side in self.robot.sides}), "running"


class Carried:
    """A thing between both hands: where it is to be next, and what the hands do for that."""

    def __init__(self, skill: BimanualSkill, view: BimanualView, name: str) -> None:
        """Takes over a thing as the hands hold it now."""
        self._name = name
        self.start = view.props[name]
        """Where it was then, world frame."""
        self.level = from_yaw(to_yaw(self.start.quat))
        """Quaternion wxyz: turned as it was, and level."""
        self.in_thing = {side: self.start.inverse() @ view.targets[side] for side in skill.robot.sides}
        """Side -> commanded pose of the pinch point in the frame of the thing; with palms, so far within it as they press."""
        self._closing = {side: view.closing[side] for side in skill.robot.sides}
        self._wanted = Pose(self.start.pos, self.level)
        self._offset = np.zeros(3)

    def towards(self, view: BimanualView, goal: Pose, speed_m: float, turn_rad: float = _TURN_SPEED_RAD) -> dict[str, HandCommand]:
        """Returns what the hands do so that the thing moves towards a pose, at a bounded speed and no farther ahead of where it is than is good."""
        here = view.props[self._name]
        way = goal.pos - self._wanted.pos
        far = float(np.linalg.norm(way))
        # Arms give way: what the thing is beside where it is to be is added, little by little.
        self._offset = np.clip(self._offset + _CORRECTING * (self._wanted.pos - here.pos), -_OFFSET_MAX_M, _OFFSET_MAX_M)
        if far > 1e-9:
            ahead = float((self._wanted.pos - here.pos) @ way) / far
            step = min(far, speed_m, 0.3 * far + 0.001) * float(np.clip((2 * _LEAD_M - ahead) / _LEAD_M, 0.0, 1.0))
            self._wanted = Pose(self._wanted.pos + way * (step / far), self._wanted.quat)
        yaw = to_yaw(self._wanted.quat)
        turn = math.remainder(to_yaw(goal.quat) - yaw, math.tau)
        self._wanted = Pose(self._wanted.pos, from_yaw(yaw + float(np.clip(turn, -turn_rad, turn_rad))))
        led = Pose(self._wanted.pos + self._offset, self._wanted.quat)
        return {side: HandCommand(pose=led @ held, closing=self._closing[side], speed_m=0.05) for side, held in self.in_thing.items()}

    @property
    def wanted(self) -> Pose:
        """Where the thing is to be, world frame."""
        return self._wanted


class KeepBoth(BimanualSkill):
    """keep_both(a): both hands hold a where it is."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._carried: Carried | None = None
        self._lost = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name = self.args[0]
        self._carried = self._carried or Carried(self, view, name)
        self._lost = 0 if all(name in view.touched_by.get(side, ()) for side in self.robot.sides) else self._lost + 1
        goal = Pose(self._carried.start.pos, self._carried.level)
        return BodyCommand(hands=self._carried.towards(view, goal, _RAISE_SPEED_M)), "again" if self._lost > _LOST_STEPS else "running"


class PutBoth(BimanualSkill):
    """put_both(a, place): both hands, which hold a, set it down on a place and let go of it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._ways = Ways(spec)
        self._body = whole_body(spec.robot, spec.robot_base)
        self._carried: Carried | None = None
        self._goal: Pose | None = None
        self._released: dict[str, tuple[Pose, Array]] = {}
        self._stage = "across"
        self._steps = self._lost = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name, place = self.args
        thing = view.props[name]
        self._steps += 1
        if self._carried is None or self._goal is None:
            self._carried = Carried(self, view, name)
            self._goal = self._look(view, self._carried, place)
        carried, goal = self._carried, self._goal
        if self._stage in ("across", "lower"):
            self._lost = 0 if all(name in view.touched_by.get(side, ()) for side in self.robot.sides) else self._lost + 1
            if self._lost > _LOST_STEPS:
                return BodyCommand(), "lost"
        if self._stage == "across":
            high = max(float(carried.start.pos[2]), self._height_over(view, name, goal))
            if float(np.hypot(*(goal.pos[:2] - thing.pos[:2]))) < 0.015 or self._steps > _ACROSS_STEPS:
                self._stage, self._steps = "lower", 0
            share = float(np.clip(1.0 - (high - float(thing.pos[2]) - 0.02) / 0.04, 0.0, 1.0))
            way = goal.pos[:2] - carried.wanted.pos[:2]
            above = Pose(np.array([*(carried.wanted.pos[:2] + share * way), high]), goal.quat if share > 0.5 else carried.level)
            return BodyCommand(hands=carried.towards(view, above, _CARRY_SPEED_M)), "running"
        if self._stage == "lower":
            if thing.pos[2] < goal.pos[2] + 0.002 or self._steps > 70:
                self._stage, self._steps = "open", 0
                self._released = {side: (view.targets[side], _outward(self, view, name, side)) for side in self.robot.sides}
            down = Pose(np.array([*goal.pos[:2], goal.pos[2] - 0.003]), goal.quat)
            return BodyCommand(hands=carried.towards(view, down, _LOWER_SPEED_M)), "running"
        if self._stage == "open":
            # Palms part slowly and in step: neither pushes the thing with what it had pressed with while the other one has let go.
            is_face = asset_of(self.spec, name).holds[0].kind == "face"
            away_m = _PARTING_M * self._steps if is_face else 0.0
            self._lost = 0 if any(name in touched for touched in view.touched_by.values()) else self._lost + 1
            if (self._lost > 1 if is_face else self._steps > _OPENING_STEPS) or self._steps > 3 * _OPENING_STEPS:
                self._stage, self._steps = "leave", 0
                self._released = {side: (view.targets[side], out) for side, (_, out) in self._released.items()}
            hands = {side: HandCommand(pose=Pose(target.pos + away_m * out, target.quat), closing=None if is_face else OPEN, speed_m=0.05)
                     for side, (target, out) in self._released.items()}  # fmt: skip
            return BodyCommand(hands=hands), "running"
        apart = {side: Pose(target.pos + _PART_M * out, target.quat) for side, (target, out) in self._released.items()}
        done = all(is_there(view.hands[side], goal, 0.02, 0.3) for side, goal in apart.items()) or self._steps > 24
        return BodyCommand(hands={side: HandCommand(pose=goal, speed_m=0.015) for side, goal in apart.items()}), "done" if done else "running"

    def _look(self, view: BimanualView, carried: Carried, place: str) -> Pose:
        """Returns the pose of the thing at rest on the place, turned as suits the arms."""
        x, y, surface_m = where(self.spec, view, place)
        now, home, from_base = posture(view, self.robot), np.array(self.robot.home_qpos), view.base.inverse()
        best: tuple[float, Pose] | None = None
        for turn in _YAWS_RAD:
            there = Pose(np.array([x, y, surface_m + _REST_M]), from_yaw(to_yaw(carried.level) + turn))
            cost = 0.2 * abs(turn)
            for rise in (0.05, 0.0):
                raised = Pose(there.pos + [0.0, 0.0, rise], there.quat)
                solved = self._body.solve({side: from_base @ (raised @ held) for side, held in carried.in_thing.items()}, now, iterations=40)
                cost += float(np.sum((solved.q - home) ** 2)) + 200.0 * max(0.0, max(solved.position_m.values()) - 0.01)
                cost += 10.0 * max(0.0, max(solved.rotation_rad.values()) - 0.1)
            if best is None or cost < best[0]:
                best = (cost, there)
        assert best is not None
        return best[1]

    def _height_over(self, view: BimanualView, name: str, goal: Pose) -> float:
        """Returns how high the origin of the thing must be to pass above what stands on its way."""
        thing = view.props[name]
        box = boxed(name, asset_of(self.spec, name), thing)
        way = np.linspace(thing.pos[:2], goal.pos[:2], 12)
        around = [o for o in self._ways.around(view, (name, self.args[1])) if float(o.distance(way).min()) < box.radius_m + 0.02]
        return max((o.top_m for o in around if o.top_m < 0.4), default=0.0) + _OVER_M


class HandsBack(Retreat):
    """hands_back(): as retreat, between two steps of a plan: what comes after it is done next."""

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        command, verdict = super().step(view)
        return command, "running" if verdict == "running" else "done"


def where(spec: EpisodeSpec, view: BimanualView, place: str) -> tuple[float, float, float]:
    """Returns where on a place a thing is put down: x, y and the height of the surface, m in the world.

    Args:
      spec: The episode.
      view: The true state.
      place: A prop that bears things, a zone, or furniture with a top: there, on the near side of it.
    """
    fixture = next((f for f in spec.scene.fixtures if f.name == place), None)
    if fixture is None:
        x, y, z = view.props[place].pos.tolist()
        return x, y, z + place_of(spec, place).surface_height_m
    asset, here = get_fixture(fixture.asset), pose(fixture.pos_world, from_yaw(fixture.yaw_rad))
    if asset.top is None:
        return float(here.pos[0]), float(here.pos[1]), float(here.pos[2])
    near = here.inverse().apply(view.base.pos)[:2]
    middle, half = np.array(asset.top.centre_m), np.maximum(np.array(asset.top.size_m) / 2 - _FROM_EDGE_M, 0.0)
    x, y, z = here.apply([*np.clip(near, middle - half, middle + half), asset.top.height_m]).tolist()
    return x, y, z


def _outward(skill: BimanualSkill, view: BimanualView, name: str, side: str) -> Array:
    """Returns the unit vector of the world along which a hand leaves what it holds: from the side that it pressed, or as its fingers open."""
    thing, hand, holds = view.props[name], view.hands[side], asset_of(skill.spec, name).holds
    if holds[0].kind != "face":
        return rotate(hand.quat, np.array([0.0, 0.0, -1.0]))
    nearest = min(holds, key=lambda hold: float(np.linalg.norm(thing.apply(hold.pos_m) - hand.pos)))
    return rotate(thing.quat, np.array(nearest.out))


SKILLS: Mapping[str, type[BimanualSkill]] = {"hands_back": HandsBack, "keep_both": KeepBoth, "put_both": PutBoth, "take_both": TakeBoth}
"""Name -> class."""
