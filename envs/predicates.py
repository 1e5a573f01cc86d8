"""Goal conditions and stages: a predicate looks at the state of the world and says whether it holds. One short class each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, rotate
from vlagym.envs.objects import Place, get
from vlagym.envs.types import EpisodeSpec, Predicate


@dataclass(frozen=True, kw_only=True)
class WorldState:
    """What predicates look at, after a control step."""

    props: Mapping[str, Pose]
    held: frozenset[str]
    fixture_joints: Mapping[str, float]
    find_touching: Callable[[], frozenset[frozenset[str]]]
    """Finds `touching`; asked only where a predicate cannot do without it."""
    ee_pos_world: Array
    touched_by_robot: frozenset[str]
    """Props and fixtures that the robot pressed on during the control step."""
    gripper_command: float
    """-1 open, +1 closed."""

    @functools.cached_property
    def touching(self) -> frozenset[frozenset[str]]:
        """Pairs of names that press on each other; every robot link is called "robot"."""
        return self.find_touching()


Check = Callable[[WorldState], bool]

_TILT_COS = np.cos(np.radians(20.0))


def compile_predicate(predicate: Predicate, spec: EpisodeSpec) -> Check:
    """Returns the function that evaluates a predicate in an episode.

    Raises:
      UnknownName: If there is no such predicate, prop, fixture or joint.
      BadSpec: If it speaks of the wrong number of things, or of things of the wrong kind.
    """
    if predicate.name not in PREDICATES:
        raise unknown_name("predicate", predicate.name, PREDICATES)
    kind = PREDICATES[predicate.name]
    if len(predicate.args) != kind.arity:
        raise BadSpec(f"{predicate} speaks of {len(predicate.args)} things; {predicate.name} takes {kind.arity}")
    return kind(spec, *predicate.args)


def _asset(spec: EpisodeSpec, prop: str) -> tuple[str, float]:
    for p in spec.scene.props:
        if p.name == prop:
            return p.asset, p.scale
    raise unknown_name("prop of the scene", prop, [p.name for p in spec.scene.props])


def _place(spec: EpisodeSpec, prop: str) -> Place:
    """Returns where things end up that are put on a prop, at the prop's scale."""
    asset, scale = _asset(spec, prop)
    place = get(asset).place
    if place is None:
        raise BadSpec(f"nothing can be put on {prop!r}: {asset!r} is no support")
    return Place(surface_height_m=scale * place.surface_height_m, inner_radius_m=scale * place.inner_radius_m)


def _joint(spec: EpisodeSpec, name: str) -> tuple[str, str]:
    fixture, _, joint = name.partition("/")
    for f in spec.scene.fixtures:
        if f.name == fixture:
            known = [j.name for j in get_fixture(f.asset).joints]
            if joint not in known:
                raise unknown_name(f"joint of {fixture!r}", joint, known)
            return f.asset, joint
    raise unknown_name("fixture of the scene", fixture, [f.name for f in spec.scene.fixtures])


class On:
    """on(a, b): a rests on b, let go: they touch, a's middle is above b's surface, the robot does not hold a."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        _asset(spec, a)
        place = _place(spec, b)
        self._a, self._b, self._radius, self._height = a, b, place.inner_radius_m, place.surface_height_m

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held:
            return False
        rel = state.props[self._b].inverse().apply(state.props[self._a].pos)
        if not (np.hypot(rel[0], rel[1]) <= self._radius and rel[2] >= self._height - 0.015):
            return False
        return frozenset((self._a, self._b)) in state.touching and frozenset((self._a, "robot")) not in state.touching


class Inside(On):
    """inside(a, b): a lies in the container b, let go: they touch, a's origin is within b's wall and not above its rim."""

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        super().__init__(spec, a, b)
        asset, scale = _asset(spec, b)
        self._rim = scale * get(asset).size_m[2]

    def __call__(self, state: WorldState) -> bool:
        if not super().__call__(state):
            return False
        return bool(state.props[self._b].inverse().apply(state.props[self._a].pos)[2] <= self._rim)


class Stacked(On):
    """stacked(a, b): a stands on b, let go, and both stand upright."""

    def __call__(self, state: WorldState) -> bool:
        upright = all(rotate(state.props[p].quat, np.array([0.0, 0.0, 1.0]))[2] >= _TILT_COS for p in (self._a, self._b))
        return upright and super().__call__(state)


class Open:
    """open(fixture/joint): the drawer is pulled out beyond its threshold."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        asset, name = _joint(spec, joint)
        self._joint = joint
        self._threshold = get_fixture(asset).joint(name).open_threshold_m

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= self._threshold


class Moved:
    """moved(fixture/joint): the joint is pulled out by more than 1 cm."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        _joint(spec, joint)
        self._joint = joint

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= 0.01


class Touched:
    """touched(x): the robot presses on the prop or fixture."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, name: str) -> None:
        known = [p.name for p in spec.scene.props] + [f.name for f in spec.scene.fixtures]
        if name not in known:
            raise unknown_name("prop or fixture of the scene", name, known)
        self._name = name

    def __call__(self, state: WorldState) -> bool:
        return self._name in state.touched_by_robot


class Held:
    """held(a): the hand holds the prop between its fingers."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, name: str) -> None:
        _asset(spec, name)
        self._name = name

    def __call__(self, state: WorldState) -> bool:
        return self._name in state.held


class Lifted(Held):
    """lifted(a): the hand holds the prop and nothing else supports it."""

    def __call__(self, state: WorldState) -> bool:
        if self._name not in state.held:
            return False
        return not any(self._name in pair and "robot" not in pair for pair in state.touching)


class Over:
    """over(a, b): a is held above b, within its radius."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        _asset(spec, a)
        self._a, self._b, self._radius = a, b, _place(spec, b).inner_radius_m

    def __call__(self, state: WorldState) -> bool:
        away = state.props[self._a].pos - state.props[self._b].pos
        return self._a in state.held and bool(np.hypot(away[0], away[1]) <= self._radius and away[2] > 0)


PREDICATES: Mapping[str, type[On] | type[Open] | type[Moved] | type[Touched] | type[Held] | type[Over]] = {
    "on": On,
    "inside": Inside,
    "stacked": Stacked,
    "open": Open,
    "moved": Moved,
    "touched": Touched,
    "held": Held,
    "lifted": Lifted,
    "over": Over,
}
