"""What buttons, knobs and switches are at: pressed, set to a setting, turned away from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs.controls import Control
from vlagym.envs.errors import BadSpec
from vlagym.envs.predicates.state import WorldState, fixture_of, joint_of, word
from vlagym.envs.types import EpisodeSpec


class Pressed:
    """pressed(fixture/joint): the button is down, beyond the position from which it counts."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        pressed_from = control_of(spec, joint).pressed_from
        if pressed_from is None:
            raise BadSpec(f"{joint!r} cannot be pressed: it is a {control_of(spec, joint).kind}. Speak of set_to({joint}, =setting)")
        self._joint, self._from = joint, pressed_from

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= self._from


class SetTo:
    """set_to(fixture/joint, =word): the knob, switch or lever is at a setting, within the tolerance that its file states.

    A knob must have been let go: as long as the robot touches its fixture it may still be on its way past the setting.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, joint: str, setting: str) -> None:
        control = control_of(spec, joint)
        self._joint, self._position = joint, control.setting(word(setting), joint)
        self._tolerance = control.tolerance or 0.0
        self._let_go = fixture_of(spec, joint)[0].name if control.kind == "knob" else ""

    def __call__(self, state: WorldState) -> bool:
        return self._is_at(state) and self._let_go not in state.touched_by_robot

    def _is_at(self, state: WorldState) -> bool:
        return abs(state.fixture_joints[self._joint] - self._position) <= self._tolerance


class TurnedFrom(SetTo):
    """turned_from(fixture/joint, =word): the knob, switch or lever has left a setting, whoever still touches it."""

    def __call__(self, state: WorldState) -> bool:
        return not self._is_at(state)


def control_of(spec: EpisodeSpec, joint: str) -> Control:
    """Returns what is worked by hand at the joint "fixture/joint".

    Raises:
      UnknownName: If there is no such fixture or joint.
      BadSpec: If it is neither button nor knob nor switch.
    """
    control = joint_of(spec, joint).control
    if control is None:
        raise BadSpec(f"{joint!r} is neither button nor knob nor switch: its file has no [joint.control]")
    return control


PREDICATES: Mapping[str, type[Any]] = {"pressed": Pressed, "set_to": SetTo, "turned_from": TurnedFrom}
