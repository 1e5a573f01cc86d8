"""What a task is: how its scene is laid out, what its goals are, and the plan by which the expert reaches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vlagym.envs.catalogues import FULL, catalogue_of
from vlagym.envs.errors import BadSpec, Unsatisfiable, unknown_name
from vlagym.envs.fixtures import FixtureAsset, fixtures, get_fixture
from vlagym.envs.frames import multiply, rotate, to_matrix
from vlagym.envs.objects import UPRIGHT, ObjectAsset, StablePose, catalog, get
from vlagym.envs.layouts.cells import UPON_M, check_layout
from vlagym.envs.robot import Robot, WorkArea
from vlagym.envs.split import place_split
from vlagym.envs.types import Base, EpisodeSpec, FixtureSpec, Predicate, PropSpec, Rgba, Vec3


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One step of a plan: a name of `policies.skills` and the things it acts on."""

    name: str
    args: tuple[str, ...]
    purpose: Predicate | None = None
    """The condition of the goal that it works towards: once that holds, a plan that is begun again leaves the skill out."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal that could be asked for in a scene."""

    conditions: tuple[Predicate, ...]
    stages: tuple[Predicate, ...]
    """Ordered subgoals, the conditions last."""
    steps: tuple[tuple[Predicate, ...], ...] = ()
    """What must come true one after another, in this order; empty where there is no order."""
    expert_s: float | None = None
    """What the expert needs for this goal at the 95th percentile; the task's where None."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of the table, in m of the world frame: (low, high) along each axis."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]

    def __post_init__(self) -> None:
        for name, (low, high) in (("x_m", self.x_m), ("y_m", self.y_m)):
            if not low <= high:
                raise BadSpec(f"a Region has {name} = ({low}, {high}); it must be (low, high)")


class Crowded(Exception):
    """A layout attempt failed; the sampler tries again."""


class Draft:
    """A scene that is being laid out. Handed to a task's `layout`, which draws from `rng` only."""

    def __init__(
        self,
        rng: np.random.Generator,
        objects: str,
        catalogue: str = "full",
        layout: str = "any",
        *,
        variety: np.random.Generator | None = None,
        robot: Robot | None = None,
        base: Base = "fixed",
        floor_m: float = -0.78,
    ) -> None:
        self._robot = robot
        self.base = base
        """What carries the robot."""
        self.floor_m = floor_m
        """Height of the floor in the world frame, whose z = 0 is the table top."""
        self.robot_start: Vec3 = (0.0, 0.0, 0.0)
        """Where the robot begins, counted from where it stands usually: x and y in m, its turn in rad. A layout may set it."""
        self.rng = rng
        self.variety = rng if variety is None else variety
        """Draws which variant of a task it is: how many things, which relation, which recipe. The same in every attempt of a seed, so that what
        is laid out more easily does not come more often."""
        self.objects = objects
        """seen | unseen: the split that the goal's objects come from. What only stands around may be seen."""
        self.catalogue = catalogue
        """core | full: which part of the assets is drawn from."""
        self.layout = check_layout(layout)
        """any | seen | unseen: the cells of the table in which things start. unseen: those first, others where they are full."""
        self._assets = catalogue_of(catalogue)
        self.props: list[PropSpec] = []
        self.fixtures: list[FixtureSpec] = []
        self._discs: list[tuple[float, float, float, bool]] = []

    @property
    def robot(self) -> Robot:
        """The robot that the scene is for.

        Raises:
          BadSpec: If the draft was made without one.
        """
        if self._robot is None:
            raise BadSpec("this layout asks for its robot; make the Draft with robot=")
        return self._robot

    @property
    def work(self) -> WorkArea:
        """Where a robot with two hands works.

        Raises:
          BadSpec: If the robot states no such area.
        """
        if self.robot.work is None:
            raise BadSpec(f"{self.robot.name!r} states no work area for two hands")
        return self.robot.work

    def choose(
        self,
        count: int,
        *,
        role: str,
        first_split: str | None = None,
        kinds: Sequence[str] = (),
        without: Sequence[str] = (),
        suits: Callable[[ObjectAsset], bool] = lambda asset: True,
    ) -> list[str]:
        """Draws different objects that have a role.

        Args:
          count: How many.
          role: graspable | support | container | stackable.
          first_split: Split of the first one; the draft's where None. If it is unseen, so is the last one, or else "the new one" would be
            all that one must understand; the others are seen.
          kinds: Only these kinds; empty: any.
          without: Ids that are not wanted.
          suits: A further condition: a category, a size.

        Raises:
          UnknownName: If there is no such role or kind.
          BadSpec: If `first_split` is neither seen nor unseen.
          Unsatisfiable: If the catalogue has not enough of them.
        """
        if first_split not in (None, "seen", "unseen"):
            raise BadSpec(f"first_split is {first_split!r}; it must be seen or unseen, or None for the draft's")
        roles = {r for a in catalog().values() for r in a.roles}
        if role not in roles:
            raise unknown_name("role", role, roles)
        known_kinds = {a.kind for a in catalog().values()}
        for kind in kinds:
            if kind not in known_kinds:
                raise unknown_name("kind of object", kind, known_kinds)
        first_split = first_split or self.objects
        chosen: list[str] = []
        for i in range(count):
            split = first_split if i in (0, count - 1) else "seen"
            there = [
                a.id
                for a in catalog().values()
                if role in a.roles and a.split == split and (not kinds or a.kind in kinds) and a.id not in chosen and a.id not in without
                and a.id in self._assets.objects and suits(a)
            ]
            if not there:
                what = f"{split} object left with the role {role!r}" + (f" of {', '.join(kinds)}" if kinds else "")
                raise Unsatisfiable(f"the catalogue {self.catalogue!r} has no {what}{self._other_catalogue()}")
            chosen.append(there[int(self.rng.integers(len(there)))])
        return chosen

    def choose_fixtures(self, count: int, *, kind: str = "", suits: Callable[[FixtureAsset], bool] = lambda asset: True) -> list[str]:
        """Draws different furniture; the first and the last one from the draft's split, the others seen.

        Args:
          count: How many.
          kind: Only this kind; empty: any.
          suits: A further condition: what can be pressed or turned on it, its colour.

        Raises:
          Unsatisfiable: If the catalogue has not enough of them.
        """
        chosen: list[str] = []
        for i in range(count):
            split = self.objects if i in (0, count - 1) else "seen"
            there = [
                f.id
                for f in fixtures().values()
                if kind in ("", f.kind) and f.split == split and f.id not in chosen and f.id in self._assets.fixtures and suits(f)
            ]
            if not there:
                what = f"{split} {kind or 'fixture'} left that is wanted"
                raise Unsatisfiable(f"the catalogue {self.catalogue!r} has no {what}{self._other_catalogue()}")
            chosen.append(there[int(self.rng.integers(len(there)))])
        return chosen

    def _other_catalogue(self) -> str:
        return "" if self.catalogue == FULL else f"; the catalogue {FULL!r} holds everything that there is, ask for that one"

    def put(self, asset_id: str, region: Region, *, tries: int = 40, pose: str = UPRIGHT, name: str | None = None, rgba: Rgba | None = None) -> str:
        """Puts an object somewhere in a region, free of what stands there, turned at random; returns its name.

        Args:
          asset_id: Of the object.
          region: Where its origin may come to stand; with a pose other than upright, its middle.
          tries: How many positions are tried.
          pose: One of its stable poses.
          name: Of the prop; its asset's where None. Two of a kind need one.
          rgba: Its colour; the asset's own where None.

        Raises:
          UnknownName: If there is no such object, or it has no such pose.
          Crowded: After `tries` positions that were all taken.
        """
        asset = get(asset_id)
        lies = asset.pose(pose)
        radius, graspable = footprint_m(asset, pose), "graspable" in asset.roles
        # Not every thing goes to the few unseen cells, or they would be full before the thing comes that the goal is about.
        prefers = self.layout == "unseen" and self.rng.random() < 0.5
        for k in range(tries):
            x, y = (float(self.rng.uniform(*side)) for side in (region.x_m, region.y_m))
            if self._may_start(x, y, prefers=prefers and 2 * k < tries) and self._is_free(x, y, radius, graspable):
                break
        else:
            raise Crowded(f"no free place for {asset_id}")
        yaw = float(self.rng.uniform(-np.pi, np.pi))
        return self._add(asset, x, y, yaw, radius, lies, name, rgba)

    def put_at(
        self, asset_id: str, x: float, y: float, yaw: float, *, pose: str = UPRIGHT, name: str | None = None, rgba: Rgba | None = None
    ) -> str:
        """Puts an object at a place on the table, in m and rad; returns its name. The rest is as with `put`.

        Raises:
          UnknownName: If there is no such object, or it has no such pose.
          Crowded: If that place is taken.
        """
        asset = get(asset_id)
        lies, radius = asset.pose(pose), footprint_m(asset, pose)
        self._check_start(asset_id, x, y)
        if not self._is_free(x, y, radius, "graspable" in asset.roles):
            raise Crowded(f"no free place for {asset_id}")
        return self._add(asset, x, y, yaw, radius, lies, name, rgba)

    def _add(
        self, asset: ObjectAsset, x: float, y: float, yaw: float, radius: float, lies: StablePose, name: str | None, rgba: Rgba | None
    ) -> str:
        self._discs.append((x, y, radius, "graspable" in asset.roles))
        turn = np.array([round(float(np.cos(yaw / 2)), 6), 0.0, 0.0, round(float(np.sin(yaw / 2)), 6)])
        quat, pos = turn, np.array([x, y, 0.0])
        if lies.name != UPRIGHT:
            quat = multiply(turn, np.array(lies.quat_wxyz)).round(6)
            # The origin lies at the end of a thing that has been laid down; its middle is put at x, y.
            middle = rotate(quat, np.array([0.0, 0.0, asset.size_m[2] / 2]))
            pos = np.array([x - middle[0], y - middle[1], lies.height_m])
        w, i, j, k = quat.tolist()
        x, y, z = (round(float(v), 5) for v in pos)
        name = name or asset.id
        self.props.append(PropSpec(name=name, asset=asset.id, pos_world=(x, y, z), quat_world_wxyz=(w, i, j, k), rgba=rgba))
        return name

    def put_upon(
        self, asset_id: str, x: float, y: float, height_m: float, yaw: float, *, name: str | None = None, content_of: str | None = None
    ) -> str:
        """Puts an object upright on or in what stands at a place, its base `height_m` above the table; returns its name.

        Whether there is room for it is not looked at. `content_of` names the prop that it is put into and counts as a part of.

        Raises:
          UnknownName: If there is no such object.
          Crowded: If it stands on the table itself, in a place that the layout keeps for evaluation.
        """
        get(asset_id)
        if height_m <= UPON_M:
            self._check_start(asset_id, x, y)
        quat = (round(float(np.cos(yaw / 2)), 6), 0.0, 0.0, round(float(np.sin(yaw / 2)), 6))
        pos = (round(float(x), 5), round(float(y), 5), round(float(height_m), 5))
        self.props.append(PropSpec(name=name or asset_id, asset=asset_id, pos_world=pos, quat_world_wxyz=quat, content_of=content_of))
        return name or asset_id

    def keep_free(self, x: float, y: float, radius_m: float) -> None:
        """Sees to it that nothing is put within `radius_m` of a place: where something must fit later."""
        self._discs.append((x, y, radius_m, False))

    def is_free(self, x: float, y: float, radius_m: float) -> bool:
        """Returns whether a disc on the table is free of what was put so far, with room for a finger beside it."""
        return self._is_free(x, y, radius_m, True)

    def stand(
        self, asset_id: str, x: float, y: float, yaw: float, *, keep_free_m: float, joints: Mapping[str, float] | None = None,
        height_m: float = 0.0, name: str | None = None,
    ) -> str:
        """Stands a fixture somewhere; nothing is put within `keep_free_m` of its middle. Returns its name.

        Args:
          joints: Start positions in m or rad, by the joint's name; 0 (closed) for those that are not given.
          height_m: Of its base above the table top: `floor_m` for what stands on the floor.
          name: Of the fixture; its asset's where None. Two of an asset need one.

        Raises:
          UnknownName: If there is no such fixture, or it has no such joint.
          Crowded: If that place is taken.
        """
        asset = get_fixture(asset_id)
        self._check_start(asset_id, x, y)
        if not self._is_free(x, y, keep_free_m, False):
            raise Crowded(f"no free place for {asset_id}")
        self._discs.append((x, y, keep_free_m, False))
        for joint in joints or {}:
            asset.joint(joint)
        start = tuple((j.name, round(float((joints or {}).get(j.name, 0.0)), 5)) for j in asset.joints)
        pos = (round(x, 5), round(y, 5), round(height_m, 5))
        self.fixtures.append(FixtureSpec(name=name or asset_id, asset=asset_id, pos_world=pos, yaw_rad=round(yaw, 5), joints=start))
        return name or asset_id

    def _may_start(self, x: float, y: float, *, prefers: bool = False) -> bool:
        if self.layout == "any":
            return True
        # With a margin, for poses are rounded before they stand in a spec.
        around = {place_split(x + dx, y + dy) for dx in (-_MARGIN_M, _MARGIN_M) for dy in (-_MARGIN_M, _MARGIN_M)}
        return around == {"seen"} if self.layout == "seen" else (around == {"unseen"} or not prefers)

    def _check_start(self, asset_id: str, x: float, y: float) -> None:
        if not self._may_start(x, y):
            raise Crowded(f"{asset_id} would start in a place that is kept for evaluation")

    def _is_free(self, x: float, y: float, radius: float, graspable: bool) -> bool:
        for ox, oy, other, other_graspable in self._discs:
            gap = _FINGER_GAP_M if graspable or other_graspable else _GAP_M
            if np.hypot(x - ox, y - oy) < radius + other + gap:
                return False
        return True


_FINGER_GAP_M = 0.05  # an open finger needs 4 cm beside a grasp and is 2 cm thick; the expert turns its hand where that is not enough
_GAP_M = 0.015
_MARGIN_M = 1e-4
"""To the border of a cell of the layout."""


def footprint_m(asset: ObjectAsset | FixtureAsset, pose: str = UPRIGHT) -> float:
    """Returns the radius of the circle around an object's outline, seen from above; around its middle, if it does not stand upright."""
    x, y, z = asset.size_m
    if pose != UPRIGHT and isinstance(asset, ObjectAsset):
        sides = np.abs(to_matrix(asset.pose(pose).quat_wxyz)) @ np.array([x, y, z])
        return float(np.hypot(sides[0], sides[1])) / 2
    is_round = isinstance(asset, ObjectAsset) and asset.yaw_symmetry == 0
    return max(x, y) / 2 if is_round else float(np.hypot(x, y)) / 2


@dataclass(frozen=True, kw_only=True)
class Task:
    """A family of episodes. `TASK` of a file in envs/tasks."""

    summary: str
    expert_s: float
    """What the expert needs, seconds of the simulation at the 95th percentile; measured. A goal may have its own."""
    layout: Callable[[Draft], Sequence[Goal]]
    """Lays out a scene in the draft and returns at least two goals that are feasible in it; the first one is asked for."""
    plan: Callable[[EpisodeSpec], Sequence[Skill]]
    """The expert's skills, in order."""
    robots: tuple[str, ...] = ("panda",)
    """Bodies that can do it."""
    bases: tuple[Base, ...] = ("fixed",)
    """What may carry a body that does it; the first one of them that a body has is its default."""
    roams: tuple[Base, ...] = ()
    """With which bases the robot leaves its place at the table, or things stand on the floor beside it: then the floor of the arena must be open."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Bodies of its suite that cannot do it -> why."""
    horizon_factor: float = 3.0
    """The horizon is so many times what the expert needs."""
    hold_s: float = 0.5
    """How long the goal conditions must hold together."""

    def horizon_s(self, goal: Goal) -> float:
        """Returns how long an episode may last in which this goal is asked for, in s."""
        return round(self.horizon_factor * (goal.expert_s or self.expert_s), 3)
