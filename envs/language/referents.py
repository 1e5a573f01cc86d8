"""What a sentence can speak of: one thing of a scene with its words and facts, and the sorts of things that a slot takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from vlagym.envs.fixtures import FixtureAsset, FixtureJoint
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.language.spatial import BELOW_TABLE_M
from vlagym.envs.types import Vec3


@dataclass(frozen=True, kw_only=True)
class Referent:
    """Something that a sentence can speak of."""

    name: str
    """As predicates call it: a prop, a fixture, or "fixture/joint"."""
    sort: Literal["prop", "fixture", "joint"]
    kind: str
    names: tuple[str, ...]
    """Nouns of the seen split."""
    unseen_names: tuple[str, ...]
    """Nouns that are kept for evaluation."""
    colour: str | None
    material: str | None = None
    shape: str | None = None
    category: str | None = None
    uses: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    label: str | None = None
    pos_world: Vec3 = (0.0, 0.0, 0.0)
    """Counted from where the robot begins."""
    size_m: Vec3 = (0.0, 0.0, 0.0)
    """Extents along its own x, y and z; zeros for a joint."""
    radius_m: float = 0.0
    """Of its outline from above."""
    is_lying: bool = False
    lies_on: str | None = None
    """Prop that it stands on or in, or furniture with a top on which it stands."""
    owner: str | None = None
    """Fixture of a joint."""
    is_own: bool = True
    """Whether it is a thing of its own; False for a joint that is spoken of by its fixture."""
    joint: FixtureJoint | None = None
    asset: ObjectAsset | FixtureAsset | None = None

    @property
    def nouns(self) -> tuple[str, ...]:
        """All nouns."""
        return (*self.names, *self.unseen_names)

    @property
    def linear_size_m(self) -> float:
        """Edge of the cube with the volume of its box."""
        return math.prod(self.size_m) ** (1 / 3)

    @property
    def settings(self) -> tuple[str, ...]:
        """What a knob, lever or rocker can be set to."""
        return () if self.joint is None or self.joint.control is None else tuple(self.joint.control.settings)


class Sort:
    """What may stand in a slot of a family."""

    def __init__(self, fits: Callable[[Referent], bool], *, by_fixture: bool = False) -> None:
        self.fits = fits
        self.by_fixture = by_fixture
        """Whether a joint is spoken of by its fixture: "open the white cabinet"."""


def _has_role(*roles: str) -> Sort:
    return Sort(lambda r: r.sort == "prop" and bool({*roles} & {*r.roles}))


def _is_pulled(referent: Referent, type_: str, is_own: bool | None) -> bool:
    joint = referent.joint
    return joint is not None and joint.type == type_ and joint.control is None and (is_own is None or referent.is_own == is_own)


def _is_control(referent: Referent, *kinds: str) -> bool:
    return referent.joint is not None and referent.joint.control is not None and referent.joint.control.kind in kinds


def _has_mark(referent: Referent, mark: Literal["zone", "line", "hole"]) -> bool:
    asset = referent.asset
    if not isinstance(asset, FixtureAsset):
        return False
    return {"zone": asset.zone, "line": asset.line, "hole": asset.hole}[mark] is not None


def _is_place(referent: Referent) -> bool:
    """Returns whether something as large as a box can be put down there: on a mat, on a side table."""
    if isinstance(referent.asset, FixtureAsset):
        return referent.asset.zone is not None or referent.asset.top is not None
    return "support" in referent.roles


SORTS: Mapping[str, Sort] = {
    "prop": Sort(lambda r: r.sort == "prop"),
    "movable": _has_role("graspable", "pushable", "standable", "pourable", "lid", "peg", "stackable", "passable"),
    "low": Sort(lambda r: r.sort == "prop" and r.pos_world[2] < BELOW_TABLE_M),
    "support": _has_role("support"),
    "container": _has_role("container"),
    "receiver": _has_role("container", "pourable", "pot"),
    "stackable": _has_role("stackable"),
    "pourable": _has_role("pourable"),
    "lid": _has_role("lid"),
    "pot": _has_role("pot"),
    "thing": Sort(lambda r: r.sort != "joint"),
    "tray": _has_role("tray"),
    "box": _has_role("box"),
    "place": Sort(_is_place),
    "zone": Sort(lambda r: _has_mark(r, "zone")),
    "line": Sort(lambda r: _has_mark(r, "line")),
    "hole": Sort(lambda r: _has_mark(r, "hole")),
    "drawer": Sort(lambda r: _is_pulled(r, "slide", None)),
    "member": Sort(lambda r: _is_pulled(r, "slide", None) or _is_pulled(r, "hinge", None)),
    "own_drawer": Sort(lambda r: _is_pulled(r, "slide", True)),
    "drawer_case": Sort(lambda r: _is_pulled(r, "slide", False), by_fixture=True),
    "door_case": Sort(lambda r: _is_pulled(r, "hinge", False), by_fixture=True),
    "button": Sort(lambda r: _is_control(r, "button")),
    "knob": Sort(lambda r: _is_control(r, "knob")),
    "switch": Sort(lambda r: _is_control(r, "lever", "rocker")),
}
"""What a slot may take."""

SETTING_SORTS: Mapping[str, Callable[[str], bool]] = {
    "on_off": lambda word: word in ("on", "off"),
    "direction": lambda word: word in ("up", "down"),
    "setting": lambda word: word not in ("on", "off", "up", "down"),
}
"""What a slot may take that is filled by a word, the setting of a knob or a switch."""

SIDES = ("left", "right")

HAND_SORTS: Mapping[str, Callable[[str], bool]] = {
    "hand": lambda word: word in SIDES,
    "side": lambda word: word in SIDES,
}
"""What a slot may take that is filled by a side of the robot: a hand of it, "left hand", or where something is to go, "left"."""


def other_side(side: str) -> str:
    """Returns the opposite of left or right."""
    return SIDES[1 - SIDES.index(side)]
