"""Things are larger or smaller, where they stand; they weigh the same, and still go where they could be asked to go, and into the hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from vlagym.benchmark.axis import Axis, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.concern import graded, predicates, subjects
from vlagym.benchmark.variation.fit import misfit
from vlagym.benchmark.variation.standing import restood
from vlagym.envs.objects import asset_of
from vlagym.envs.types import EpisodeSpec, PropSpec, SceneSpec

_SHARE = {1: 0.05, 2: 0.10, 3: 0.15, 4: 0.20, 5: 0.25}
"""By level: by how much a thing is larger or smaller at most; what the goal is about by just so much, where that fits."""
_LEAST, _LESS = 0.4, 0.6
"""Of that: how much at least; and how much where what the goal is about would not fit otherwise."""


def _size(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    props = {p.name: p for p in spec.scene.props if "bead" not in asset_of(p).roles}
    filled = {below.name for below in props.values() for above in spec.scene.props if above.content_of == below.name}
    varied, resized = spec, set[str]()
    for name in graded(spec, 5, set(props) - filled, "can be larger or smaller", rng):
        together = _together(spec, name)
        is_subject = bool(together & {*subjects(spec)})
        if together <= resized:
            continue
        for scale in _scales(_SHARE[level], is_subject, rng):
            new = {one: dataclasses.replace(props[one], scale=round(props[one].scale * scale, 4)) for one in sorted(together)}
            one_more = dataclasses.replace(varied, scene=_with(varied.scene, new))
            if misfit(one_more, spec) is None:
                varied, resized = one_more, resized | together
                break
        else:
            if is_subject:
                raise Unfit(f"{name} would not fit where it could be asked to go")
    if not resized:
        raise Unfit("nothing fits in another size")
    return said_again(varied, rng)


def _with(scene: SceneSpec, new: Mapping[str, PropSpec]) -> SceneSpec:
    """Returns a scene with props in another size; what lies on others by now is where it is in the scene."""
    now = {p.name: p for p in scene.props}
    return restood(scene, {name: dataclasses.replace(now[name], scale=prop.scale) for name, prop in new.items()})


def _together(spec: EpisodeSpec, name: str) -> set[str]:
    """Returns what must stay as large with respect to each other as it is: lids and the pots that they could be asked to cover."""
    covers = [p.args for p in predicates(spec) if p.name == "covered"]
    return {name}.union(*(args for args in covers)) if any(name in args for args in covers) else {name}


def _scales(share: float, is_subject: bool, rng: np.random.Generator) -> list[float]:
    """Returns what a size may be multiplied by, what is tried first in front: larger and smaller, by the whole share where it is what matters."""
    amount = share if is_subject else share * float(rng.uniform(_LEAST, 1.0))
    signs = (1, -1) if rng.random() < 0.5 else (-1, 1)
    return [1.0 + sign * part * amount for part in ((1.0, _LESS) if is_subject else (1.0,)) for sign in signs]


AXIS = Axis(
    tells=tuple(f"all up to {round(100 * share)} % larger or smaller, what the goal is about by just that if it fits" for share in _SHARE.values()),
    group="object",
    changes=("scene", "instruction", "phrase", "level"),
    apply=_size,
)
