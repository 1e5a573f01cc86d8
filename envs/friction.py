"""Friction of single props: where an episode states it, it counts against the table and the pads of a hand, whatever those have themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlagym.envs.objects import get
from vlagym.envs.types import PropSpec

_ROLLING = 1e-4
"""Lever arm in m with which a contact resists rolling where no asset says otherwise."""
_PAD_DIMENSION = 4
"""Of the contacts of pads. Soles, whose own numbers rule a contact too, roll, and have 6."""


def add_stated_friction(mj: Any, props: Sequence[PropSpec], top: str) -> None:
    """Adds a pair for each contact of a prop whose friction the episode states: otherwise the engine takes that of the pads, and the larger of the
    table's and the prop's, and less than what these have would change nothing.

    What else a contact is made of stays as it is without the pair: stiffness, dimension, resistance to turning and to rolling.

    Args:
      mj: `mujoco.MjSpec` with robot, arena and props in it.
      props: Those of the scene; the ones without a friction of their own are left alone.
      top: Name of the geom of the table top; the further ones of a round table begin with it and "_top".
    """
    stated = [prop for prop in props if prop.friction is not None]
    if not stated:
        return
    theirs = {geom.name for prop in props for geom in mj.body(prop.name).geoms}
    tops = [geom for geom in mj.worldbody.geoms if geom.name == top or geom.name.startswith(f"{top}_top")]
    pads = [geom for geom in mj.geoms if geom.priority > 0 and geom.condim == _PAD_DIMENSION and geom.name not in theirs]
    for prop in stated:
        rolling = max(get(prop.asset).rolling_friction, _ROLLING)
        for piece in [geom for geom in mj.body(prop.name).geoms if geom.contype]:
            for plate in tops:
                spin = max(float(plate.friction[1]), float(piece.friction[1]))
                _add_pair(mj, piece, plate, int(piece.condim), (prop.friction, prop.friction, spin, rolling, rolling), piece.solref)
            for pad in pads:
                _, spin, roll = (float(v) for v in pad.friction)
                _add_pair(mj, piece, pad, int(pad.condim), (prop.friction, prop.friction, spin, roll, roll), pad.solref)


def _add_pair(mj: Any, first: Any, second: Any, condim: int, friction: Sequence[float | None], solref: Any) -> None:
    mj.add_pair(geomname1=first.name, geomname2=second.name, condim=condim, friction=friction, solref=solref)
