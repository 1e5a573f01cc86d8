"""Do two to five things one after another: drawers, buttons, switches and things to be put somewhere; the sentence gives the order."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.furniture import furnish
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.room import fit_together, put_into
from vlagym.envs.steps import Ways
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.tasks import close_drawer, flip_switch, open_drawer, place_on, press_button
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.24, 0.24))
_BEFORE = Region(x_m=(0.47, 0.64), y_m=(-0.26, 0.26))
_RIGHT = Region(x_m=(0.36, 0.62), y_m=(-0.24, -0.02))


def _into_drawer(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="pick", args=spec.goal[0].args[:1]), Skill(name="place_in", args=spec.goal[0].args)]


_IN_DRAWER = Task(summary="put an object into an open drawer", expert_s=4.5, layout=lambda draft: [], plan=_into_drawer)
_WAYS = Ways(
    tasks={
        "open": open_drawer.TASK,
        "closed": close_drawer.TASK,
        "in_drawer": _IN_DRAWER,
        "on": place_on.TASK,
        "inside": place_on.TASK,
        "pressed": press_button.TASK,
        "set_to": flip_switch.TASK,
    }
)


def _fits_drawer(asset: ObjectAsset) -> bool:
    return footprint_m(asset) <= 0.045 and asset.size_m[2] <= 0.07


def _num_buttons(asset: FixtureAsset) -> int:
    return sum(j.control is not None and j.control.kind == "button" for j in asset.joints)


def _drawer(draft: Draft) -> list[Goal]:
    rng = draft.rng
    joint, *others = furnish(draft, kinds=("cabinet", "chest"))
    small = draft.choose(3, role="graspable", suits=_fits_drawer, without=[p.name for p in draft.props])
    things = [draft.put(name, _BEFORE) for name in small]  # beside a chest the forearm would lean on it
    count, closes = int(rng.integers(1, 3)), rng.random() < 0.6

    def into(names: list[str], where: str) -> Goal:
        end = [Predicate(name="closed", args=(where,))] if closes else []
        return _WAYS.goal(Predicate(name="open", args=(where,)), *(Predicate(name="in_drawer", args=(n, where)) for n in names), *end)

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
    count = int(draft.rng.integers(2, len(presses)))
    return [_WAYS.goal(*presses[:count]), *(_WAYS.goal(*presses[: count - 1], other) for other in presses[count:])]


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
    return [_WAYS.goal(put_into(one, p), put_into(other, q), *presses) for one, p, other, q in pairs]


def _place_and_press(draft: Draft) -> list[Goal]:
    first, *_ = _panel(draft, 2, 0.17)
    return _placings(draft, (first,), _RIGHT)


def _layout(draft: Draft) -> list[Goal]:
    recipes = (_drawer, _drawer, _buttons, _placings, _place_and_press)
    return recipes[int(draft.rng.integers(len(recipes)))](draft)


TASK = Task(summary="do several things in the order that is told", expert_s=8.0, layout=_layout, plan=_WAYS.plan)
