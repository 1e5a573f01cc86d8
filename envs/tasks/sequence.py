"""Do two to five things one after another: drawers, buttons, switches and things to be put somewhere; the sentence gives the order."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.layouts.furniture import fits_drawer, furnish
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.layouts.room import fit_together, put_into
from vlagym.envs.layouts.steps import ordered, plan_in_order
from vlagym.envs.task import Draft, Goal, Region, Task, footprint_m
from vlagym.envs.types import Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.24, 0.24))
_AROUND = Region(x_m=(0.40, 0.66), y_m=(-0.27, 0.27))
_RIGHT = Region(x_m=(0.36, 0.66), y_m=(-0.27, 0.04))


def _num_buttons(asset: FixtureAsset) -> int:
    return sum(j.control is not None and j.control.kind == "button" for j in asset.joints)


def _drawer(draft: Draft) -> list[Goal]:
    count, closes, more = 1 + int(draft.variety.random() < 0.5), draft.variety.random() < 0.6, draft.variety.random() < 0.4
    joint, *others = furnish(draft, kinds=("cabinet", "chest"), fill=False)

    def fits(asset: ObjectAsset) -> bool:
        return fits_drawer(asset, joint) and footprint_m(asset) <= (0.045 if count == 1 else 0.038)

    more = more and count == 2  # another thing goes onto something else afterwards
    small = draft.choose(4 if more else 3, role="graspable", suits=fits, without=[p.name for p in draft.props])
    place = draft.choose(1, role="support", first_split="seen", suits=lambda a: footprint_m(a) <= 0.1)[0] if more else ""
    for name in ([place] if more else []) + small:
        draft.put(name, _AROUND)
    things, last = small[:3], small[-1]
    if more and not fit_together([last], place):
        return []

    def into(names: list[str], where: str) -> Goal:
        end = [Predicate(name="closed", args=(where,))] if closes else []
        end += [put_into(last, place)] if more else []
        return ordered(Predicate(name="open", args=(where,)), *(Predicate(name="in_drawer", args=(n, where)) for n in names), *end)

    swapped = [*things[count:], *things[:count]][:count]
    return [into(things[:count], joint), into(swapped, joint), *(into(things[:count], other) for other in others)]


def _panel(draft: Draft, least: int, y_m: float) -> list[Predicate]:
    """Stands a panel with at least so many buttons on the table; returns pressing each, in an order that is drawn."""
    (panel,) = draft.choose_fixtures(1, suits=lambda a: _num_buttons(a) >= least)
    x, y, turn = (float(draft.rng.uniform(*side)) for side in ((0.42, 0.54), (y_m - 0.04, y_m + 0.04), (-0.3, 0.3)))
    draft.stand(panel, x, y, turn, keep_free_m=footprint_m(fixtures()[panel]) + 0.01)
    presses = [Predicate(name="pressed", args=(f"{panel}/{j.name}",)) for j in fixtures()[panel].joints]
    return [presses[int(i)] for i in draft.rng.permutation(len(presses))]


def _buttons(draft: Draft) -> list[Goal]:
    presses = _panel(draft, 3, 0.0)
    count = 2 + int((len(presses) - 2) * draft.variety.random())
    return [ordered(*presses[:count]), *(ordered(*presses[: count - 1], other) for other in presses[count:])]


def _placings(draft: Draft, presses: tuple[Predicate, ...] = (), region: Region = _REGION) -> list[Goal]:
    places = draft.choose(2, role="support" if draft.rng.random() < 0.6 else "container", first_split="seen", suits=lambda a: footprint_m(a) <= 0.1)
    things = draft.choose(3, role="graspable", suits=lambda a: footprint_m(a) <= 0.045, without=places)
    if not all(fit_together([thing], place) for thing in things for place in places):
        return []
    for name in (*places, *things):
        draft.put(name, region)
    a, b = places
    first, second, third = things
    pairs = ((first, a, second, b), (second, a, first, b), (first, a, third, b), (third, a, second, b))
    return [ordered(put_into(one, p), put_into(other, q), *presses) for one, p, other, q in pairs]


def _place_and_press(draft: Draft) -> list[Goal]:
    first, *_ = _panel(draft, 2, 0.12)
    return _placings(draft, (first,), _RIGHT)


def _layout(draft: Draft) -> list[Goal]:
    recipes = (_drawer, _drawer, _buttons, _placings, _place_and_press)
    return recipes[int(draft.variety.integers(len(recipes)))](draft)


TASK = Task(summary="do several things in the order that is told", expert_s=8.0, layout=_layout, plan=plan_in_order, robots=("panda", "jaco"))
