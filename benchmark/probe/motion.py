"""What each number of a policy's action does: one is moved at a time, through the whole conversion, in a real world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.benchmark.probe.encoding import Encoder, still
from vlagym.envs.types import ActionChunk, ActionComponent, EpisodeSpec, Observation
from vlagym.policies.base import PolicySpec
from vlagym.policies.conventions import Pipeline

if TYPE_CHECKING:
    from vlagym.envs.world import World

Array = NDArray[np.float64]
HELD_S = 0.4
"""How long a number is held: two steps of the slowest policies, and less than a hand needs to reach the table."""
_STEP = {"position": 0.05, "joint_position": 0.2}
"""m or rad beside where it is, for what is no displacement; 0.2 for whatever is not named."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What came of one number of the action."""

    component: str
    index: int
    sign: int
    """+1 or -1; 0: nothing was moved, and this is what happens then."""
    sent: float
    """What the number was, in the policy's convention."""
    said: str
    """What that should be in each of the policy's steps, going by its declaration; empty where it says none."""
    move_mm: Array
    """(3,) in the base frame."""
    turn_deg: Array
    """(3,) axis times angle in the base frame."""
    joints_rad: Array
    opening_mm: tuple[float, float]
    """Before and after."""
    is_clipped: bool
    state: Mapping[str, Array]
    """Change of each state that the policy reads."""

    @property
    def label(self) -> str:
        """What was moved, in a few words."""
        return "nothing" if not self.sign else f"{self.component}[{self.index}] {'+' if self.sign > 0 else '-'}"

    def row(self) -> dict[str, object]:
        """Returns it as a row of a table."""
        return {
            "moved": self.label,
            "sent": f"{self.sent:g}" if self.sign else "",
            "said, a step": self.said,
            "hand moves, mm x y z": _three(self.move_mm, 0),
            "hand turns, deg x y z": _three(self.turn_deg, 0),
            "opening, mm": f"{self.opening_mm[0]:.0f} -> {self.opening_mm[1]:.0f}",
            "": "clipped" if self.is_clipped else "",
        }


def moved(world: World, spec: EpisodeSpec, policy: PolicySpec, pipeline: Pipeline) -> Iterator[Moved]:
    """Moves each number of the action up and down, each from the start of an episode.

    Args:
      world: Rendered only if the policy is to be shown something.
      spec: The episode.
      policy: With an action of its own.
      pipeline: Between the two.

    Raises:
      BadSpec: If the policy has no action of its own.
    """
    assert policy.action is not None
    yield _held(world, spec, policy, pipeline, None, 0, 0)
    for c in policy.action.components:
        if c.convention != "ignored":
            yield from (_held(world, spec, policy, pipeline, c, i, sign) for i in range(c.size) for sign in (1, -1))


def _held(world: World, spec: EpisodeSpec, policy: PolicySpec, pipeline: Pipeline, c: ActionComponent | None, index: int, sign: int) -> Moved:
    world.start(spec)
    link, before = pipeline.open(), world.observe(())
    row, number = _start(policy, before, np.array(spec.robot_qpos)), 0.0
    if c is not None:
        at = pipeline.policy.slices()[c.name].start + index
        row[at] = number = _number(policy, c, index, sign, float(row[at]))
    now = before
    for _ in range(max(1, round(HELD_S * pipeline.policy.rate_hz))):
        driven = link.drive(ActionChunk(values=row[None], spec=pipeline.policy), now)[0]
        for action in link.spread(driven):
            low, high = np.array(spec.control.low), np.array(spec.control.high)
            world.advance(np.clip(action, low, high))
        now = world.observe(())
    reads = {name: _state(pipeline, name, now) - _state(pipeline, name, before) for name in pipeline.state}
    was, is_ = (Rotation.from_quat(np.roll(o.proprio["ee_quat_base_wxyz"], -1)) for o in (before, now))
    return Moved(
        component="" if c is None else c.name,
        index=index,
        sign=sign,
        sent=number,
        said="" if c is None else _said(policy, c, index, number),
        move_mm=1000.0 * (now.proprio["ee_pos_base_m"].astype(np.float64) - before.proprio["ee_pos_base_m"]),
        turn_deg=np.degrees((is_ * was.inv()).as_rotvec()),
        joints_rad=now.proprio["joint_pos_rad"].astype(np.float64) - before.proprio["joint_pos_rad"],
        opening_mm=(1000 * float(before.proprio["gripper_opening_m"][0]), 1000 * float(now.proprio["gripper_opening_m"][0])),
        is_clipped=link.clipped_steps > 0,
        state=reads,
    )


def _state(pipeline: Pipeline, name: str, observation: Observation) -> Array:
    """Returns one state as the policy reads it, without rendering."""
    from dataclasses import replace

    return np.asarray(replace(pipeline, images=(), state=(name,), history=(0,)).open().show(observation).proprio[name], np.float64)


def _start(policy: PolicySpec, now: Observation, joints: Array) -> NDArray[np.float32]:
    """Returns what the policy would send for nothing to move."""
    p = {name: np.asarray(value, np.float64) for name, value in now.proprio.items()}
    hand = Rotation.from_quat(np.roll(p["ee_target_quat_base_wxyz"], -1))
    return Encoder(policy).encode(still(p["ee_target_pos_base_m"], hand, joints, 0.0))


def _number(policy: PolicySpec, c: ActionComponent, index: int, sign: int, rest: float) -> float:
    """Returns what is sent: the end of the range of a displacement or a gripper, a small way beside where it is of what is none."""
    if _is_relative(c):
        return c.high[index] if sign > 0 else c.low[index]
    return rest + sign * _STEP.get(c.convention, 0.2) / (c.scale if c.name not in policy.normalisation else 1.0)


def _is_relative(c: ActionComponent) -> bool:
    return c.convention.startswith(("delta_", "joint_delta", "joint_velocity", "gripper"))


def _said(policy: PolicySpec, c: ActionComponent, index: int, number: float) -> str:
    if c.convention.startswith("gripper") or not _is_relative(c):
        return ""
    value = number
    if (by := policy.normalisation.get(c.name)) is not None and (not by.mask or by.mask[index]):
        a, b = by.first[index], by.second[index]
        value = a + number * b if by.kind == "mean_std" else a + (number + 1) / 2 * (b - a)
    value *= c.scale
    if c.unit == "m":
        return f"{1000 * value:+.3g} mm"
    return f"{np.degrees(value):+.3g} deg" + ("/s" if c.convention == "joint_velocity" else "")


def state_rows(results: list[Moved]) -> Iterator[dict[str, object]]:
    """Yields for each number of the states which number of the action moves it most, and which way: does it rise where that is raised?"""
    ups = {(m.component, m.index): m for m in results if m.sign > 0}
    downs = {(m.component, m.index): m for m in results if m.sign < 0}
    for name, base in results[0].state.items():
        for i in range(len(base)):
            changes = {key: float(ups[key].state[name][i] - downs[key].state[name][i]) for key in ups}
            told = ""
            if changes:
                component, index = max(changes, key=lambda key: abs(changes[key]))
                change = changes[component, index]
                told = f"{component}[{index}]: raising it {'raises' if change > 0 else 'lowers'} the state" if abs(change) > 1e-4 else "nothing"
            yield {"state": f"{name}[{i}]", "moved most by": told, "by": f"{abs(change):.3g}" if told not in ("", "nothing") else ""}


def hints(results: list[Moved], policy: PolicySpec) -> Iterator[str]:
    """Yields what looks too fast for a hand, or as if nothing came of it."""
    assert policy.action is not None
    by_component: dict[str, list[Moved]] = {}
    for m in results[1:]:
        by_component.setdefault(m.component, []).append(m)
    for c in policy.action.components:
        if c.name not in by_component or not _is_relative(c) or c.convention.startswith("gripper"):
            continue
        most = max(abs(_unit(policy, c, i, end)) for i in range(c.size) for end in (c.low[i], c.high[i]))
        speed = most * (1.0 if c.convention == "joint_velocity" else policy.action.rate_hz)
        limit, unit = (2.0, "m/s") if c.unit == "m" else (8.0, "rad/s")
        if speed > limit:
            told = f"the full number is {speed:.3g} {unit}, and no arm here moves faster than {limit:g} {unit}"
            yield f"{c.name}: {told}: is its scale or its range too large?"
        if all(_is_still(m, results[0]) for m in by_component[c.name]):
            yield f"{c.name}: its full number moves the hand by less than half a millimetre and a fifth of a degree: is its scale too small?"


def _is_still(m: Moved, rest: Moved) -> bool:
    return bool(np.abs(m.move_mm - rest.move_mm).max() < 0.5 and np.abs(m.turn_deg - rest.turn_deg).max() < 0.2)


def _unit(policy: PolicySpec, c: ActionComponent, index: int, number: float) -> float:
    by = policy.normalisation.get(c.name)
    if by is None or (by.mask and not by.mask[index]):
        return number * c.scale
    a, b = by.first[index], by.second[index]
    return c.scale * (a + number * b if by.kind == "mean_std" else a + (number + 1) / 2 * (b - a))


def _three(values: Array, digits: int) -> str:
    return " ".join(f"{v:+.{digits}f}" for v in values)
