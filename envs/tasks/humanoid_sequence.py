"""Do two or three things one after another: touch, press, open, put somewhere, pass on, make a gesture; the sentence gives the order."""

from collections.abc import Callable

from vlagym.envs.fixtures import fixtures
from vlagym.envs.layouts.body_steps import Step, can_do, in_order, plan_in_order, with_hand
from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.layouts.hands import hands_at, where_of
from vlagym.envs.layouts.room import fit_together, put_into
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.task import Crowded, Draft, Goal, Region, Task, footprint_m
from vlagym.envs.tasks.hand_over import SPARE_M
from vlagym.envs.tasks.open_drawer_with import stand_cabinet, topmost
from vlagym.envs.tasks.pick_place import is_low, suits_hands_of
from vlagym.envs.tasks.press_with import is_panel
from vlagym.envs.types import Predicate

_SIDE_M = 0.16
_TALL_M = 0.22
"""What is passed on and then put down is no taller than this."""
_GESTURES = ("wave_left", "wave_right", "raise_left", "raise_right", "arms_up")


def _region(draft: Draft) -> Region:
    return Region(x_m=draft.work.x_m, y_m=draft.work.y_m)


def _touched(thing: str) -> Predicate:
    return Predicate(name="touched", args=(thing,))


def _panel(draft: Draft, y_m: float, least: int) -> list[Predicate]:
    """Stands a panel with at least so many buttons on the table; returns pressing each, in an order that is drawn."""
    rng, work = draft.rng, draft.work
    (panel,) = draft.choose_fixtures(1, suits=lambda a: is_panel(a) and len(a.joints) >= least)
    x = float(rng.uniform(work.x_m[0] + 0.05, work.x_m[1] - 0.05))
    draft.stand(panel, x, y_m + float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.2, 0.2)), keep_free_m=footprint_m(fixtures()[panel]) + 0.02)
    presses = [Predicate(name="pressed", args=(f"{panel}/{j.name}",)) for j in fixtures()[panel].joints if j.control is not None]
    return [presses[int(i)] for i in rng.permutation(len(presses))]


def _things(draft: Draft, count: int, suits: Callable[[ObjectAsset], bool] = lambda asset: True) -> list[str]:
    return [draft.put(name, _region(draft)) for name in draft.choose(count, role="graspable", suits=suits, without=[p.asset for p in draft.props])]


def _touch_and_press(draft: Draft) -> list[list[Step]]:
    presses = _panel(draft, _SIDE_M if draft.rng.random() < 0.5 else -_SIDE_M, 2)
    things = _things(draft, int(draft.variety.integers(2, 4)), lambda a: a.size_m[2] < 0.15)
    return with_hand(draft, [[_touched(things[0]), presses[0]], *([_touched(things[0]), press] for press in presses[1:])])


def _press_and_touch(draft: Draft) -> list[list[Step]]:
    presses = _panel(draft, _SIDE_M if draft.rng.random() < 0.5 else -_SIDE_M, 2)
    things = _things(draft, int(draft.variety.integers(2, 4)), lambda a: a.size_m[2] < 0.15)
    return with_hand(draft, [[presses[0], _touched(thing)] for thing in things])


def _touch_all(draft: Draft) -> list[list[Step]]:
    count = int(draft.variety.integers(2, 4))
    first, second, *others = _things(draft, count + 2, lambda a: a.size_m[2] < 0.13)
    before = [_touched(first), _touched(second)][: count - 1]
    return with_hand(draft, [[*before, _touched(last)] for last in others])


def _places(draft: Draft, count: int) -> tuple[list[str], list[str]]:
    """Puts two places and so many things on the table, each of which fits on either place; returns things and places. Raises Crowded."""
    places = draft.choose(2, role="support", first_split="seen", suits=is_low)
    things = draft.choose(count, role="graspable", suits=lambda asset: suits_hands_of(draft, asset), without=places)
    if not all(fit_together([thing], place) for thing in things for place in places):
        raise Crowded("a thing does not fit on a place")
    for name in (*places, *things):
        draft.put(name, _region(draft))
    reached = {name: set(hands_at(draft.work, where_of(draft, name)[1])) for name in (*places, *things)}
    if not all(reached[thing] & reached[place] for thing in things for place in places):
        raise Crowded("no hand reaches both a thing and a place")
    return things, places


def _place_and_gesture(draft: Draft) -> list[list[Step]]:
    (first, second), (place, other) = _places(draft, 2)
    gestures = [Predicate(name="gestured", args=(f"={_GESTURES[int(i)]}",)) for i in draft.rng.permutation(len(_GESTURES))[:2]]
    pairs = [(first, place, 0), (first, place, 1), (second, place, 0), (first, other, 0)]
    return with_hand(draft, [[put_into(thing, where), gestures[k]] for thing, where, k in pairs])


def _place_both(draft: Draft) -> list[list[Step]]:
    (first, second), (a, b) = _places(draft, 2)
    return with_hand(draft, [[put_into(first, a), put_into(second, b)], [put_into(first, b), put_into(second, a)]])


def _place_and_touch(draft: Draft) -> list[list[Step]]:
    (first, second), (a, b) = _places(draft, 2)
    (third,) = _things(draft, 1, lambda asset: asset.size_m[2] < 0.13)
    return with_hand(draft, [[put_into(first, a), _touched(third)], [put_into(first, b), _touched(third)], [put_into(second, a), _touched(third)]])


def _pass_on(draft: Draft) -> list[list[Step]]:
    giver = "left" if draft.rng.random() < 0.5 else "right"
    taker = "right" if giver == "left" else "left"
    places = draft.choose(2, role="support", first_split="seen", suits=is_low)
    widest_m = min(hand.opening_max_m for hand in draft.robot.end_effectors) - SPARE_M
    (thing,) = draft.choose(1, role="passable", suits=lambda asset: asset.size_m[0] <= widest_m and asset.size_m[2] <= _TALL_M, without=places)
    if not all(fit_together([thing], place) for place in places):
        raise Crowded(f"{thing} does not fit on a place")
    for name in (*places, thing):
        draft.put(name, _region(draft))
    reached = {name: hands_at(draft.work, where_of(draft, name)[1]) for name in (*places, thing)}
    if giver not in reached[thing] or not all(taker in reached[place] for place in places):
        raise Crowded("hands do not reach what they are to take and where it goes")
    passed = Predicate(name="handed_over", args=(thing, f"={giver}", f"={taker}"))
    return [[(passed,), (put_into(thing, place),)] for place in places]


def _open_and_touch(draft: Draft) -> list[list[Step]]:
    side = 1.0 if draft.rng.random() < 0.5 else -1.0
    cabinet = stand_cabinet(draft, "cabinet", side)
    opened = Predicate(name="open", args=(topmost(cabinet),))
    region = Region(x_m=draft.work.x_m, y_m=(-draft.work.y_m[1], -0.02) if side > 0 else (0.02, draft.work.y_m[1]))
    names = draft.choose(2, role="graspable", suits=lambda asset: asset.size_m[2] < 0.10)
    things = [draft.put(name, region) for name in names]
    return with_hand(draft, [[opened, _touched(thing)] for thing in things])


_RECIPES: tuple[tuple[Callable[[Draft], list[list[Step]]], tuple[str, ...]], ...] = (
    (_touch_and_press, ("touched", "pressed")),
    (_press_and_touch, ("touched", "pressed")),
    (_touch_all, ("touched",)),
    (_place_and_gesture, ("on", "gestured")),
    (_place_both, ("on",)),
    (_place_and_touch, ("on", "touched")),
    (_pass_on, ("handed_over", "on")),
    (_open_and_touch, ("open", "touched")),
)


def _layout(draft: Draft) -> list[Goal]:
    recipes = [recipe for recipe, names in _RECIPES if can_do(draft.robot.name, *names)]
    orders = recipes[int(draft.variety.integers(len(recipes)))](draft)
    maybe_bystander(draft)
    return [in_order(order) for order in orders]


TASK = Task(
    summary="do several things with one's hands, in the order that is told",
    expert_s=8.0,
    layout=_layout,
    plan=plan_in_order,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "legs"),
)
