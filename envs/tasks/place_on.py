"""Put an object onto a plate or mat, or into a bowl; the sentence says which object and where."""

from vlagym.envs.objects import catalog
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.22, 0.22))


def _fits(thing: str, destination: str) -> bool:
    place = catalog()[destination].place
    return place is not None and footprint_m(catalog()[thing]) <= place.inner_radius_m + 0.01


def _goal(thing: str, destination: str) -> Goal:
    container = "container" in catalog()[destination].roles
    done = Predicate(name="inside" if container else "on", args=(thing, destination))
    stages = (
        Predicate(name="touched", args=(thing,)),
        Predicate(name="held", args=(thing,)),
        Predicate(name="lifted", args=(thing,)),
        Predicate(name="over", args=(thing, destination)),
        done,
    )
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    destinations: list[str] = []
    for _ in range(2):
        role = "container" if rng.random() < 0.4 else "support"
        destinations += draft.choose(1, role=role, kinds=("bowl", "plate", "mat"), without=destinations)
    things = draft.choose(int(rng.integers(2, 4)), role="graspable")
    for name in destinations + things:
        draft.put(name, _REGION)
    pairs = [(t, d) for t in things for d in destinations if _fits(t, d)]
    asked = (things[0], destinations[0])
    if asked not in pairs:
        return []
    return [_goal(*asked), *(_goal(*pair) for pair in pairs if pair != asked)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    thing, destination = spec.goal[0].args
    return [Skill(name="pick", args=(thing,)), Skill(name="place", args=(thing, destination)), Skill(name="retreat", args=())]


TASK = Task(summary="put an object on a plate or mat, or in a bowl", expert_s=4.0, layout=_layout, plan=_plan)
