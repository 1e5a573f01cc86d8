"""minivla under declarations that are not true, one mistake each: what a person gets wrong who writes a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.envs.types import ActionChunk, ActionSpec, Observation, StatePart
from vlagym.policies.base import EpisodeContext, Normalisation, Policy, PolicySpec
from vlagym.policies.loading import load_policy

# Of the expert's own motions in place_on, stack and open_drawer, where 1 is 50 mm and 0.25 rad a step: 1st and 99th percentile, least and most.
NARROW = Normalisation(kind="q01_q99", first=(-0.14, -0.56, -0.55), second=(0.55, 0.41, 0.56))
WIDE = Normalisation(kind="min_max", first=(-1.0, -1.0, -1.0), second=(1.0, 1.0, 1.0))


class Mistaken:
    """A policy under another declaration than its own: what it reads and sends is not changed to fit, only called otherwise."""

    def __init__(self, policy: Policy, spec: PolicySpec, sends: Callable[[NDArray[Any], Observation], NDArray[Any]] | None = None) -> None:
        """Makes one.

        Args:
          policy: Who answers.
          spec: What it is said to read and send.
          sends: What becomes of its numbers before they are sent, given what it was shown; None: nothing.
        """
        self._policy, self.spec, self._sends = policy, spec, sends

    def reset(self, context: EpisodeContext) -> None:
        self._policy.reset(context)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        assert self.spec.action is not None
        out = {}
        for slot, chunk in self._policy.act(observations).items():
            values = chunk.values if self._sends is None else self._sends(chunk.values, observations[slot])
            out[slot] = ActionChunk(values=np.asarray(values, np.float32), spec=self.spec.action)
        return out

    def close(self) -> None:
        self._policy.close()


class Turning:
    """A policy that turns its hand about the vertical as the expert does; minivla hardly ever turns, so that its turns say nothing of their form.

    It is given what the expert does: (digest of the episode, step) -> rows `(T, 3)`, as many as there are.
    """

    turns: ClassVar[dict[tuple[str, int], NDArray[Any]]] = {}

    def __init__(self, policy: Policy) -> None:
        self._policy, self.spec, self._digest = policy, policy.spec, ""

    def reset(self, context: EpisodeContext) -> None:
        self._digest = context.digest
        self._policy.reset(context)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        answers = self._policy.act(observations)
        for slot, observation in observations.items():
            rows = self.turns.get((self._digest, round(20 * observation.time_s)))
            if rows is not None:
                values = answers[slot].values
                values[:, 3:6] = 0.0
                values[: len(rows), 3:6] = rows[: len(values)]
        return answers

    def close(self) -> None:
        self._policy.close()


def component(spec: PolicySpec, name: str, **changes: Any) -> PolicySpec:
    """Returns a declaration with another word about one component."""
    assert spec.action is not None
    changed = tuple(replace(c, **changes) if c.name == name else c for c in spec.action.components)
    return replace(spec, action=replace(spec.action, components=changed), clip=True)


def images(spec: PolicySpec, **changes: Mapping[str, Any]) -> PolicySpec:
    """Returns a declaration with other words about its images, each by its name."""
    changed = tuple(replace(i, **changes.get(i.name, {})) for i in spec.observation.images)
    return replace(spec, observation=replace(spec.observation, images=changed))


def states(spec: PolicySpec, form: str) -> PolicySpec:
    """Returns a declaration in which orientations are of another form with four numbers."""
    changed = tuple(
        replace(s, parts=(StatePart(array=s.name, form=form, size=4),)) if s.name.endswith("_wxyz") else s for s in spec.observation.state
    )
    return replace(spec, observation=replace(spec.observation, state=changed))


def _absolute(spec: PolicySpec) -> PolicySpec:
    """Displacements that are called poses."""
    assert spec.action is not None
    translation, rotation, gripper = spec.action.components
    components = (
        replace(translation, name="position", convention="position", scale=1.0),
        replace(rotation, name="orientation", convention="axis_angle", scale=1.0),
        gripper,
    )
    return replace(spec, action=ActionSpec(name="ee_pose", components=components, rate_hz=spec.action.rate_hz), clip=True)


def _as_poses(values: NDArray[Any], seen: Observation) -> NDArray[Any]:
    """Returns minivla's displacements as the places and orientations that they lead to, in m and rad."""
    place, hand = seen.proprio["ee_target_pos_base_m"].astype(np.float64), Rotation.from_quat(np.roll(seen.proprio["ee_target_quat_base_wxyz"], -1))
    rows = []
    for v in values.astype(np.float64):
        place, hand = place + 0.05 * v[:3], Rotation.from_rotvec(0.25 * v[3:6]) * hand
        rows.append([*place, *hand.as_rotvec(), v[6]])
    return np.array(rows)


def _narrowly(values: NDArray[Any], seen: Observation) -> NDArray[Any]:
    """Returns minivla's numbers as a policy sends them that was trained on percentiles."""
    first, second = np.array(NARROW.first), np.array(NARROW.second)
    out = values.astype(np.float64)
    out[:, :3] = 2 * (out[:, :3] - first) / (second - first) - 1
    return out


LIES: Mapping[str, Callable[[Policy], Mistaken]] = {
    "gripper flipped": lambda p: Mistaken(p, component(p.spec, "gripper", convention="gripper_open_positive")),
    "image mirrored": lambda p: Mistaken(p, images(p.spec, front={"orientation": "mirrored"}, wrist={"orientation": "mirrored"})),
    "image turned by half a turn": lambda p: Mistaken(p, images(p.spec, front={"orientation": "rotated_180"}, wrist={"orientation": "rotated_180"})),
    "rotation forms swapped": lambda p: Mistaken(Turning(p), component(p.spec, "rotation", convention="delta_euler_zyx")),
    "delta declared absolute": lambda p: Mistaken(p, _absolute(p.spec)),
    "absolute declared delta": lambda p: Mistaken(
        p, component(component(p.spec, "translation", low=(-2.0,) * 3, high=(2.0,) * 3), "rotation", low=(-4.0,) * 3, high=(4.0,) * 3), _as_poses
    ),
    "min/max for q99": lambda p: Mistaken(p, replace(p.spec, normalisation={"translation": WIDE}, clip=True), _narrowly),
    "scale x 10": lambda p: Mistaken(p, component(p.spec, "translation", scale=0.5)),
    "frame ee for base": lambda p: Mistaken(p, component(component(p.spec, "translation", frame="ee"), "rotation", frame="ee")),
    "quaternion order of the state": lambda p: Mistaken(p, states(p.spec, "quaternion_xyzw")),
    "cameras exchanged": lambda p: Mistaken(p, images(p.spec, front={"source": "wrist"}, wrist={"source": "front"})),
}
"""What is wrong -> minivla so declared."""


def POLICY(argument: str | None, options: Mapping[str, str]) -> Mistaken:
    """Returns minivla with the mistake that the argument names."""
    assert argument is not None
    return LIES[argument](load_policy("minivla", options))
