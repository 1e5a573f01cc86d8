"""Fit something where it belongs: a peg into a socket, a key into a lock, a lid onto its pot; the sentence says which into or onto which."""

from vlagym.envs.fixtures import get_fixture
from vlagym.envs.objects import get
from vlagym.envs.predicates.fitting import fits
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.38, 0.60), y_m=(-0.21, 0.21))
_HOLES = {"peg": "socket", "key": "lock"}
_COUNTS = ((1, 2), (2, 1), (2, 2))
"""Of what is fitted, and of places for it."""
_SKILLS = {"inserted": "insert", "covered": "cover"}


def _goal(name: str, thing: str, place: str) -> Goal:
    done = Predicate(name=name, args=(thing, place))
    stages = (Predicate(name="touched", args=(thing,)), Predicate(name="held", args=(thing,)), Predicate(name="lifted", args=(thing,)), done)
    return Goal(conditions=(done,), stages=stages)


def _into_holes(draft: Draft, kind: str) -> list[Goal]:
    """Pegs and sockets, or keys and locks: each thing fits each of the holes."""
    num_things, num_holes = _COUNTS[int(draft.variety.integers(len(_COUNTS)))]
    holes = draft.choose_fixtures(num_holes, kind=_HOLES[kind])
    things = draft.choose(num_things, role="peg", kinds=(kind,))
    for hole in holes:
        x, y = (float(draft.rng.uniform(*side)) for side in (_REGION.x_m, _REGION.y_m))
        draft.stand(hole, x, y, float(draft.rng.uniform(-1.5, 1.5)), keep_free_m=footprint_m(get_fixture(hole)) + 0.02)
    for thing in things:
        draft.put(thing, _REGION)
    pairs = [(thing, hole, get_fixture(hole).hole) for thing in things for hole in holes]
    return [_goal("inserted", thing, hole) for thing, hole, form in pairs if form is not None and fits(get(thing), form)]


def _onto_pots(draft: Draft) -> list[Goal]:
    """One lid and two pots, or two lids and one pot: each lid fits each pot."""
    num_lids, num_pots = _COUNTS[int(draft.variety.integers(2))]
    pots, lids = draft.choose(num_pots, role="pot"), draft.choose(num_lids, role="lid")
    for name in pots + lids:
        draft.put(name, _REGION)
    return [_goal("covered", lid, pot) for lid in lids for pot in pots]


def _layout(draft: Draft) -> list[Goal]:
    kind = ("peg", "key", "lid")[int(draft.variety.integers(3))]
    return _onto_pots(draft) if kind == "lid" else _into_holes(draft, kind)


def _plan(spec: EpisodeSpec) -> list[Skill]:
    goal = spec.goal[0]
    return [Skill(name="pick", args=goal.args[:1]), Skill(name=_SKILLS[goal.name], args=goal.args), Skill(name="retreat", args=())]


TASK = Task(
    summary="put a peg into a socket, a key into a lock, or a lid on a pot",
    expert_s=3.6,
    layout=_layout,
    plan=_plan,
    robots=("panda", "jaco"),
)
