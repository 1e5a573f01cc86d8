"""Push something into a zone, along a line to its end, or off the mat it stands on; the sentence says what and where to.

Where a thing ends up counts, and not how: a policy that carries it into the zone or off the mat is right too. Only along a line it must be
pushed: `along` asks that it leaves neither the line nor the table on the way.
"""

import math

from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.lanes import Lanes
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.37, 0.63), y_m=(-0.24, 0.24))
_HAND_PASSES_M = 0.05  # over things up to this height, while the fingers push another one beside them
_SIZE_MAX_M, _HEIGHT_MAX_M, _WIDTH_MIN_M = 0.06, 0.06, 0.04
_SKILLS = {"within": "push_into", "along": "push_along", "off": "push_off"}


def _slides(asset: ObjectAsset) -> bool:
    """Returns whether a thing goes into a zone and onto a mat with room to spare, and is low and broad enough not to topple when it is pushed."""
    return footprint_m(asset) <= _SIZE_MAX_M and asset.size_m[2] <= _HEIGHT_MAX_M and min(asset.size_m[:2]) >= _WIDTH_MIN_M


def _is_low(asset: ObjectAsset) -> bool:
    return asset.size_m[2] <= _HAND_PASSES_M


def _goal(name: str, thing: str, where: str) -> Goal:
    done = Predicate(name=name, args=(thing, where))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(thing,)), done))


def _into_zones(draft: Draft, lanes: Lanes) -> list[Goal]:
    """One or two things and two zones: each thing can be pushed straight into each zone."""
    things = draft.choose(1 + int(draft.rng.integers(2)), role="pushable", suits=_slides)
    zones = draft.choose_fixtures(2, kind="zone")
    for thing in things:
        draft.put_at(thing, *lanes.place(thing, footprint_m(get(thing))), lanes.yaw())
    for zone in zones:
        draft.stand(zone, *lanes.goal(zone, max(get_fixture(zone).size_m[:2]) / 2, things), lanes.yaw(), keep_free_m=0.0)
    return [_goal("within", thing, zone) for thing in things for zone in zones]


def _along_lines(draft: Draft, lanes: Lanes) -> list[Goal]:
    """Two lines, with a thing at the beginning of each."""
    things, lines = draft.choose(2, role="pushable", suits=_slides), draft.choose_fixtures(2, kind="line")
    for thing, line in zip(things, lines, strict=True):
        mark = get_fixture(line).line
        if mark is None:
            raise BadSpec(f"{line!r} is of the kind line and has no [line] in its file")
        (x, y), end, _ = lanes.lane(thing, footprint_m(get(thing)), mark.length_m)
        draft.stand(line, (x + end[0]) / 2, (y + end[1]) / 2, math.atan2(end[1] - y, end[0] - x), keep_free_m=0.0)
        draft.put_upon(thing, x, y, 0.0, lanes.yaw())
    return [_goal("along", thing, line) for thing, line in zip(things, lines, strict=True)]


def _off_mats(draft: Draft, lanes: Lanes) -> list[Goal]:
    """Two mats, with a thing on each."""
    things = draft.choose(2, role="pushable", suits=_slides)
    mats = draft.choose(2, role="support", kinds=("mat",))
    for thing, mat in zip(things, mats, strict=True):
        x, y = lanes.place(mat, footprint_m(get(mat)))
        yaw, (u, v) = lanes.yaw(), draft.rng.uniform(-0.02, 0.02, 2)
        draft.put_at(mat, x, y, yaw)
        draft.put_upon(thing, x + u, y + v, get(mat).size_m[2], lanes.yaw())
        lanes.way_out(mat, (x + u, y + v), yaw, footprint_m(get(thing)), get(mat).size_m[0] / 2 + footprint_m(get(thing)) + 0.05)
    return [_goal("off", thing, mat) for thing, mat in zip(things, mats, strict=True)]


def _layout(draft: Draft) -> list[Goal]:
    lanes = Lanes(draft.rng, _REGION)
    kind = (_into_zones, _into_zones, _along_lines, _off_mats)[int(draft.variety.integers(4))]
    goals = kind(draft, lanes)
    lanes.keep_free(draft)
    for name in draft.choose(int(draft.rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit"), suits=_is_low):
        if all(prop.name != name for prop in draft.props):
            draft.put(name, _REGION)
    asked = int(draft.rng.integers(len(goals)))
    return [goals[asked], *goals[:asked], *goals[asked + 1 :]]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    goal = spec.goal[0]
    return [Skill(name=_SKILLS[goal.name], args=goal.args), Skill(name="retreat", args=())]


TASK = Task(summary="push something into a zone, along a line, or off a mat", expert_s=4.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
