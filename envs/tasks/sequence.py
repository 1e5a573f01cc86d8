"""Do two to five things one after another: drawers, buttons, switches and things to be put somewhere; the sentence gives the order."""

import dataclasses
from collections.abc import Sequence

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.furniture import furnish
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.tasks import close_drawer, flip_switch, open_drawer, place_on, press_button
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.24, 0.24))
_IN_DRAWER_S = 4.5
_TASKS = {
    "open": open_drawer.TASK,
    "closed": close_drawer.TASK,
    "on": place_on.TASK,
    "inside": place_on.TASK,
    "pressed": press_button.TASK,
    "set_to": flip_switch.TASK,
}
"""By whose plan a step is done."""


def _goal(*steps: Predicate) -> Goal:
    """Returns the goal of doing steps in order: what must hold in the end is what no later step undoes."""
    last = len(steps) - 1
    closed = {p.args for p in steps if p.name == "closed"}
    lasting = [p for i, p in enumerate(steps) if (p.name != "pressed" or i == last) and not (p.name == "open" and p.args in closed)]
    needs_s = sum(_TASKS[p.name].expert_s if p.name in _TASKS else _IN_DRAWER_S for p in steps)
    return Goal(conditions=tuple(lasting), stages=(*steps, *lasting), steps=tuple((p,) for p in steps), expert_s=needs_s)


def _drawer(draft: Draft) -> list[Goal]:
    rng = draft.rng
    joint, *others = furnish(draft, kinds=("cabinet", "chest"))

    def fits(asset: ObjectAsset) -> bool:
        return footprint_m(asset) <= 0.045 and asset.size_m[2] <= 0.07

    things = draft.choose(3, role="graspable", suits=fits, without=[p.name for p in draft.props])
    for name in things:
        draft.put(name, _REGION)
    count, closes = int(rng.integers(1, 4)), rng.random() < 0.6

    def into(names: Sequence[str], where: str) -> Goal:
        end = [Predicate(name="closed", args=(where,))] if closes else []
        return _goal(Predicate(name="open", args=(where,)), *(Predicate(name="in_drawer", args=(n, where)) for n in names), *end)

    count = min(count, 2)
    swapped = [*things[count:], *things[:count]][:count]
    return [into(things[:count], joint), into(swapped, joint), *(into(things[:count], other) for other in others)]


def _buttons(draft: Draft) -> list[Goal]:
    rng = draft.rng

    def has_three(asset: FixtureAsset) -> bool:
        return sum(j.control is not None and j.control.kind == "button" for j in asset.joints) >= 3

    (panel,) = draft.choose_fixtures(1, suits=has_three)
    x, y, turn = rng.uniform(0.42, 0.54), rng.uniform(-0.12, 0.12), rng.uniform(-0.3, 0.3)
    draft.stand(panel, float(x), float(y), float(turn), keep_free_m=footprint_m(fixtures()[panel]) + 0.01)
    names = [f"{panel}/{j.name}" for j in fixtures()[panel].joints]
    presses = [Predicate(name="pressed", args=(names[int(i)],)) for i in rng.permutation(len(names))]
    count = int(rng.integers(2, len(names)))
    return [_goal(*presses[:count]), *(_goal(*presses[: count - 1], other) for other in presses[count:])]


def _placings(draft: Draft) -> list[Goal]:
    things = draft.choose(3, role="graspable", kinds=("block", "fruit", "can", "vegetable", "ball"))
    places = draft.choose(2, role="support", kinds=("plate", "mat"), first_split="seen")
    for name in (*places, *things):
        draft.put(name, _REGION)
    first, second, third = (things[int(i)] for i in draft.rng.permutation(3))

    def to(*pairs: tuple[str, str]) -> Goal:
        return _goal(*(Predicate(name="on", args=pair) for pair in pairs))

    if not all(_fits(thing, place) for thing in things for place in places):
        return []
    a, b = places
    return [to((first, a), (second, b)), to((second, a), (first, b)), to((first, a), (third, b)), to((third, a), (second, b))]


def _fits(thing: str, place: str) -> bool:
    there = catalog()[place].place
    return there is not None and footprint_m(catalog()[thing]) <= there.inner_radius_m + 0.01


def _layout(draft: Draft) -> list[Goal]:
    recipes = (_drawer, _drawer, _buttons, _placings)
    return recipes[int(draft.rng.integers(len(recipes)))](draft)


def _plan(spec: EpisodeSpec) -> list[Skill]:
    plan: list[Skill] = []
    for step in spec.steps:
        (condition,) = step
        if condition.name == "in_drawer":
            skills = [Skill(name="pick", args=condition.args[:1]), Skill(name="place_in", args=condition.args)]
        else:
            skills = list(_TASKS[condition.name].plan(dataclasses.replace(spec, goal=step, stages=step, steps=())))
        plan += [skill for skill in skills if skill.name != "retreat"]
    return [*plan, Skill(name="retreat", args=())]


TASK = Task(summary="do several things in the order that is told", expert_s=8.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
