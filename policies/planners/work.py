"""What a planner calls becomes work for the low level: the skills of the expert, one after another, or a reason why the call makes no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vlagym.envs.controls import ControlKind
from vlagym.envs.errors import UnknownName, VlagymError
from vlagym.envs.fixtures import FixtureJoint, get_fixture
from vlagym.envs.predicates.relations import DIRECTIONS
from vlagym.envs.predicates.state import fixture_of, fixture_pose
from vlagym.envs.types import EpisodeSpec, Predicate
from vlagym.policies.planners.bounds import Handle
from vlagym.policies.planners.grammar import Call
from vlagym.policies.skills.surroundings import obstacle
from vlagym.policies.skills.view import View, asset_of

_NEAR_M = 0.03
"""A control counts as meant if a pixel on its furniture is no farther from it."""


class CannotDo(VlagymError):
    """A call that makes no sense in the scene as it is. The message is for the planner, and names nothing that it could not see."""


@dataclass(frozen=True, kw_only=True)
class Thing(Handle):
    """What a call is about. A program can hand it on, and not look into it."""

    name: str | None
    """Of the prop or furniture; None: the table."""
    joint: str | None
    """"fixture/joint" of the moving part that was pointed at."""
    point: tuple[float, float, float]
    """Where it was pointed at, world frame, m."""


class Stage(NamedTuple):
    """A skill of the low level, and what it acts on."""

    skill: str
    args: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a call is, for the low level."""

    spec: EpisodeSpec
    """Of the episode, without its goal: the low level must not know what is wanted."""
    stages: tuple[Stage, ...]
    point: tuple[float, float, float] | None = None
    """Where a thing is put on the table."""


def stripped(spec: EpisodeSpec) -> EpisodeSpec:
    """Returns the spec as the low level is given it: without goal, stages, steps, alternatives and sentence."""
    return replace(spec, goal=(), stages=(), steps=(), alternatives=(), instruction="")


def work_of(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View, company: Sequence[str] = ()) -> Work:
    """Returns how a call is carried out in the scene as it is.

    Args:
      call: What is asked for.
      things: Slot -> what is meant.
      spec: Of the episode, `stripped`.
      view: The scene.
      company: What the plan puts on or into the target altogether, as far as it says so beforehand: room is left for it.

    Raises:
      CannotDo: If it makes no sense: nothing is held that could be placed, what is to be opened does not open.
    """
    if company:
        target = things["target"]
        spec = replace(spec, goal=tuple(Predicate(name="on", args=(name, target.joint or target.name or "")) for name in company))
    return _MAKERS.get(call.skill, _made_of_thing)(call, things, spec, view)


# --------------------------------------------------------------------------------------------------------------------- skill by skill
def _made_of_thing(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    """Skills that do one thing with a thing, whatever the hand holds."""
    if call.skill == "retreat":
        return Work(spec=spec, stages=(Stage("rise", ()),))
    thing = things["object"]
    name = _prop(spec, thing) if call.skill in ("pick", "stand_up") else _named(thing)
    if call.skill == "touch":
        return Work(spec=spec, stages=(Stage("touch", (name,)), Stage("rise", ())))
    if call.skill == "pick":
        if view.held - {name}:
            raise CannotDo("the hand holds something already: place that first")
        return Work(spec=spec, stages=(Stage("pick", (name,)), Stage("rise", (name,))))
    assert call.skill == "stand_up"
    return Work(spec=spec, stages=(Stage("grasp_lying", (name,)), Stage("set_upright", (name,)), Stage("rise", ())))


def _place(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    held = [name for name in view.props if name in view.held and not any(p.content_of for p in spec.scene.props if p.name == name)]
    if not held:
        raise CannotDo("the hand holds nothing: pick something first")
    name, target, relation = held[0], things["target"], call.words["relation"]
    if relation == "at":
        return Work(spec=spec, stages=(Stage("put_at", (name,)),), point=target.point)
    if target.name == name:
        raise CannotDo("the target is what the hand holds")
    if relation in ("on", "in"):
        return _put_into(spec, view, name, target)
    marks = [_prop(spec, target, "beside which something is put")]
    if relation == "between":
        marks.append(_prop(spec, things["other"], "beside which something is put"))
    assert relation in (*DIRECTIONS, "next_to", "between")
    return Work(spec=spec, stages=(Stage("put_beside", (f"={relation}", name, *marks)),))


def _put_into(spec: EpisodeSpec, view: View, name: str, target: Thing) -> Work:
    where = _named(target)
    if any(prop.name == where for prop in spec.scene.props):
        asset = asset_of(spec, where)
        if "pot" in asset.roles and "lid" in asset_of(spec, name).roles:
            return Work(spec=spec, stages=(Stage("cover", (name, where)),))
        if asset.place is None:
            raise CannotDo("nothing can be put on or into that")
        return Work(spec=replace(spec, goal=_together(spec, view, name, where)), stages=(Stage("place", (name, where)),))
    fixture, model = fixture_of(spec, where)
    if model.hole is not None:
        return Work(spec=spec, stages=(Stage("insert", (name, where)),))
    drawers = {f"{fixture.name}/{joint.name}": joint for joint in model.joints if joint.inside_m is not None and joint.type == "slide"}
    joint = target.joint if target.joint in drawers else _only(drawers)
    if joint is None:
        raise CannotDo("nothing can be put on or into that; of furniture with several drawers, point at the one that is meant")
    if view.joints[joint] < drawers[joint].open_threshold_m:
        raise CannotDo("that drawer is not open: open it first")
    return Work(spec=spec, stages=(Stage("place_in", (name, joint)),))


def _together(spec: EpisodeSpec, view: View, name: str, where: str) -> tuple[Predicate, ...]:
    """Returns what lies on a support now, and what is to, as conditions: the low level spreads out what it is told of."""
    here = view.props[where].pos
    place = asset_of(spec, where).place
    assert place is not None
    others = [other for other in view.props if other not in (name, where) and asset_of(spec, other).place is None]
    there = []
    for other in others:
        box = obstacle(spec, view, other)
        if box.bottom_m > 0.001 and np.hypot(box.x - here[0], box.y - here[1]) < place.inner_radius_m:
            there.append(other)
    announced = [p.args[0] for p in spec.goal]
    return tuple(Predicate(name="on", args=(thing, where)) for thing in dict.fromkeys((*there, *announced, name)))


def _open(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    joint = _handled(spec, things["target"])
    slides = _joints(spec, things["target"])[joint].type == "slide"
    return Work(spec=spec, stages=(Stage("hook", (joint,)), Stage("pull_out" if slides else "pull", (joint,)), Stage("unhook", (joint,))))


def _close(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    joint = _handled(spec, things["target"])
    return Work(spec=spec, stages=(Stage("push_shut", (joint,)), Stage("unhook", (joint,))))


def _work_control(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    kinds: dict[str, tuple[ControlKind, ...]] = {"press": ("button",), "turn": ("knob",), "flip": ("lever", "rocker")}
    target = things["target"]
    found = {name: joint for name, joint in _joints(spec, target).items() if joint.control and joint.control.kind in kinds[call.skill]}
    name = target.joint if target.joint in found else _nearest(spec, view, target, found)
    if name is None:
        raise CannotDo(f"there is nothing to {call.skill} where that points; point at the middle of it")
    if call.skill == "press":
        return Work(spec=spec, stages=(Stage("press", (name,)), Stage("rise", ())))
    control = found[name].control
    assert control is not None
    try:
        control.setting(call.words["setting"], "that")
    except UnknownName:
        raise CannotDo(f"it has no such setting; it has: {', '.join(control.settings)}") from None
    return Work(spec=spec, stages=(Stage(call.skill, (name, f"={call.words['setting']}")), Stage("rise", ())))


def _push(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    name, where = _prop(spec, things["object"]), _named(things["target"])
    if view.held:
        raise CannotDo("the hand holds something: place that first")
    model = get_fixture(fixture_of(spec, where)[0].asset) if any(f.name == where for f in spec.scene.fixtures) else None
    is_mat = model is None and asset_of(spec, where).place is not None
    fits = {"into": model is not None and model.zone is not None, "along": model is not None and model.line is not None, "off": is_mat}
    way = call.words["way"]
    if not fits[way] or name == where:
        wanted = {"into": "a zone that is marked on the table", "along": "a line that is marked on the table", "off": "a mat"}
        raise CannotDo(f"a thing is pushed {way} {wanted[way]}; the target is none")
    return Work(spec=spec, stages=(Stage(f"push_{way}", (name, where)), Stage("rise", ())))


def _pour(call: Call, things: Mapping[str, Thing], spec: EpisodeSpec, view: View) -> Work:
    cup, vessel = _prop(spec, things["object"]), _prop(spec, things["target"])
    if cup == vessel:
        raise CannotDo("a cup is not poured into itself")
    if view.held - {cup} - set(spec.contents(cup)):
        raise CannotDo("the hand holds something already: place that first")
    return Work(spec=spec, stages=(Stage("pick_to_pour", (cup, vessel)), Stage("pour", (cup, vessel))))


_MAKERS = {
    "place": _place,
    "open": _open,
    "close": _close,
    "press": _work_control,
    "turn": _work_control,
    "flip": _work_control,
    "push": _push,
    "pour": _pour,
}


def _named(thing: Thing) -> str:
    if thing.name is None:
        raise CannotDo("there is nothing but the table")
    return thing.name


def _prop(spec: EpisodeSpec, thing: Thing, what: str = "that can be taken or moved") -> str:
    name = _named(thing)
    if all(prop.name != name for prop in spec.scene.props):
        raise CannotDo(f"that is furniture, and no thing {what}")
    return name


def _joints(spec: EpisodeSpec, thing: Thing) -> dict[str, FixtureJoint]:
    """Returns "fixture/joint" -> joint of the furniture that is meant; none of a thing."""
    name = _named(thing)
    if all(fixture.name != name for fixture in spec.scene.fixtures):
        return {}
    fixture, model = fixture_of(spec, name)
    return {f"{fixture.name}/{joint.name}": joint for joint in model.joints}


def _handled(spec: EpisodeSpec, target: Thing) -> str:
    found = {name: joint for name, joint in _joints(spec, target).items() if joint.handle is not None}
    name = target.joint if target.joint in found else _only(found)
    if name is None:
        raise CannotDo("it has several drawers or doors: point at the front of the one that is meant" if found else "that neither opens nor closes")
    return name


def _nearest(spec: EpisodeSpec, view: View, target: Thing, found: Mapping[str, FixtureJoint]) -> str | None:
    """Returns the control that is nearest to where it was pointed at."""
    away = {}
    for name, joint in found.items():
        assert joint.control is not None
        here = fixture_pose(fixture_of(spec, name)[0]).apply(joint.at(view.joints[name]).apply(joint.control.pos_m))
        away[name] = float(np.linalg.norm(here - target.point))
    near = [name for name in sorted(away, key=lambda n: away[n]) if away[name] <= _NEAR_M]
    return near[0] if near else None


def _only(found: Mapping[str, FixtureJoint]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None
