"""Which thing a planner means: names that it gave, pixels of the image that it was shown, and the names of the scene where it was told them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vlagym.envs.errors import BadSpec
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.planners.grammar import Call, Referent, clean
from vlagym.policies.planners.grounding import Grounding, NothingThere
from vlagym.policies.planners.work import Thing


class Order(NamedTuple):
    """A call, and what it is about."""

    call: Call
    things: Mapping[str, Thing]
    company: tuple[str, ...] = ()
    """Where a plan puts several things on or into one: all of them."""


class Desk:
    """What one episode's planner has been shown and has named."""

    def __init__(self, spec: EpisodeSpec, camera: str, size: tuple[int, int], *, has_names: bool, snap_px: int) -> None:
        """Builds the scene of an episode for looking things up.

        Args:
          spec: The episode.
          camera: In whose image pixels are.
          size: Width and height of that image, as it is shown.
          has_names: Whether the planner may use the names of the scene.
          snap_px: A pixel so near to a thing counts as on it.
        """
        self._grounding = Grounding(spec, snap_px=snap_px)
        self._camera, self._size = camera, size
        self._seen: Observation | None = None
        self._named: dict[str, Thing] = {}
        self._scene = _things(spec) if has_names else {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scene that the planner is told; none where it has to look."""
        return tuple(self._scene)

    def look(self, seen: Observation) -> None:
        """Takes what the planner is shown: pixels count in it, until it is shown something else."""
        self._seen = seen

    def order(self, call: Call) -> Order:
        """Returns a call with what it is about.

        Raises:
          NothingThere: If a name means nothing, or nothing lies under a pixel.
        """
        return Order(call, {slot: meant if isinstance(meant, Thing) else self.thing(meant) for slot, meant in call.things.items()})

    def thing(self, meant: Referent) -> Thing:
        """Returns what is meant.

        Raises:
          NothingThere: As `order`.
        """
        name = meant.name or ""
        told = {clean(key.replace("_", " ")): thing for key, thing in self._scene.items()}
        if clean(name.replace("_", " ")) in told:
            return told[clean(name.replace("_", " "))]
        if meant.pixel is None:
            if name in self._named:
                return self._named[name]
            known = ", ".join([*self._named, *self._scene][:40])
            advice = f"Known: {known}" if known else "Say its pixel too, and the name will mean that thing from then on"
            raise NothingThere(f"nothing was called {name!r} yet. {advice}")
        thing = self.at(*meant.pixel)
        if name:
            self._named[name] = thing
        return thing

    def at(self, x: float, y: float) -> Thing:
        """Returns what lies under a pixel.

        Raises:
          NothingThere: If there is nothing, or only the robot.
        """
        if self._seen is None:
            raise BadSpec("nothing has been shown yet in which a pixel could be")
        spot = self._grounding.at(self._camera, x, y, self._seen, *self._size)
        if spot.kind in ("robot", "nothing") or spot.point is None:
            what = "the robot itself" if spot.kind == "robot" else "nothing"
            raise NothingThere(f"at ({x:g}, {y:g}) there is {what}")
        return Thing(name=spot.name, joint=spot.joint, point=spot.point)


def _things(spec: EpisodeSpec) -> dict[str, Thing]:
    """Returns the things of a scene by their names, moving parts of furniture among them."""
    from vlagym.envs.fixtures import get_fixture

    out = {p.name: Thing(name=p.name, joint=None, point=p.pos_world) for p in spec.scene.props if p.content_of is None}
    for fixture in spec.scene.fixtures:
        out[fixture.name] = Thing(name=fixture.name, joint=None, point=fixture.pos_world)
        for joint in get_fixture(fixture.asset).joints:
            part = f"{fixture.name}/{joint.name}"
            out[part] = Thing(name=fixture.name, joint=part, point=fixture.pos_world)
    return out
