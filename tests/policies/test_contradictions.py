"""What a policy declares that cannot be is refused before anything is compared, by the same words in Python and in a profile's file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.types import ActionComponent, ActionSpec, ImageComponent, ObservationSpec, StateComponent, StatePart
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.contradictions import contradictions
from vlagym.policies.conventions import connect
from vlagym.policies.conversions import grippers
from vlagym.policies.profile import Profile, load_profile, profile_names

NAN, INF = math.nan, math.inf


def part(name: str, size: int, convention: str, unit: str, scale: float = 1.0, low: float = -1.0, high: float = 1.0) -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame="base", unit=unit, scale=scale, low=(low,) * size, high=(high,) * size
    )


MOVE = part("translation", 3, "delta_position", "m", 0.05)
TURN = part("rotation", 3, "delta_axis_angle", "rad", 0.25)
GRIPPER = part("gripper", 1, "gripper_closed_positive", "fraction")
ENV = ActionSpec(name="ee_delta", components=(MOVE, TURN, GRIPPER), rate_hz=20.0)
FRONT = ImageComponent(name="front", width=64, height=48)
PLACE = StatePart(array="ee_pos_base_m", form="as_is", size=3)
HAND = StatePart(array="ee_quat_base_wxyz", form="quaternion_wxyz", size=4)
STATE = StateComponent(name="state", size=7, parts=(PLACE, HAND))
SENT = ObservationSpec(
    images=(FRONT,), state=(StateComponent(name="ee_pos_base_m", size=3), StateComponent(name="ee_quat_base_wxyz", size=4)), rate_hz=20.0
)


def policy(*components: ActionComponent, **fields: Any) -> PolicySpec:
    action = ActionSpec(name="mine", components=components or ENV.components, rate_hz=20.0)
    observation = ObservationSpec(images=(FRONT,), state=(STATE,), rate_hz=20.0)
    return PolicySpec(**{"name": "mine", "action": action, "observation": observation, "clip": True, **fields})


def mistaken(value: Any, **fields: Any) -> Any:
    """Returns a value with fields whose types a checker would refuse, as one who uses none may write them."""
    return replace(value, **fields)


def seeing(**fields: Any) -> PolicySpec:
    return policy(observation=replace(policy().observation, **fields))


def reading(*parts: StatePart) -> PolicySpec:
    return seeing(state=(replace(STATE, parts=parts),))


def at(rate_hz: float, reads_hz: float | None = None) -> PolicySpec:
    action, observation = ActionSpec(name="mine", components=ENV.components, rate_hz=rate_hz), policy().observation
    return policy(action=action, observation=replace(observation, rate_hz=rate_hz if reads_hz is None else reads_hz))


def statistics(kind: Any, first: tuple[float, ...], second: tuple[float, ...], mask: tuple[bool, ...] = ()) -> Normalisation:
    return Normalisation(kind=kind, first=first, second=second, mask=mask)


def test_what_can_be_is_refused_nothing() -> None:
    assert not contradictions(policy()) and connect(policy(), ENV, SENT)


@pytest.mark.parametrize("name", profile_names())
def test_no_profile_that_ships_contradicts_itself(name: str) -> None:
    assert not contradictions(load_profile(name).spec(name))


CANNOT_BE = [
    (policy(replace(MOVE, scale=NAN), TURN, GRIPPER), "declares action 'translation' with the scale nan: .* must be a finite number above 0"),
    (policy(MOVE, replace(TURN, scale=INF), GRIPPER), "action 'rotation' with the scale inf"),
    (policy(replace(MOVE, scale=0.0), TURN, GRIPPER), "action 'translation' with the scale 0: "),
    (policy(replace(MOVE, scale=-0.0128), TURN, GRIPPER), "action 'translation' with the scale -0.0128: "),
    (policy(part("translation", 0, "delta_position", "m"), TURN, GRIPPER), "action 'translation' with the size 0: it must be at least 1"),
    (policy(replace(MOVE, low=(-1.0,)), TURN, GRIPPER), "action 'translation' with 3 numbers, and 1 of low and 3 of high"),
    (policy(replace(MOVE, high=(INF,) * 3), TURN, GRIPPER), "the range -1 to inf, which is not finite: declare what it sends at most, and"),
    (policy(replace(MOVE, low=(-1.0, NAN, -1.0)), TURN, GRIPPER), r"the range \(-1, nan, -1\) to 1, which is not finite"),
    (policy(replace(MOVE, low=(-1.0, 1.0, -1.0), high=(1.0, -1.0, 1.0)), TURN, GRIPPER), "at index 1, low is 1 and must not be above -1"),
    (policy(replace(MOVE, low=(0.0,) * 3, high=(0.0,) * 3), TURN, GRIPPER), "the range 0 to 0: low is high in all of it, so that what"),
    (policy(MOVE, TURN, replace(GRIPPER, low=(0.0,))), "'gripper' with the range 0 to 1: of gripper_closed_positive it is -1 to 1, and only then"),
    (policy(MOVE, TURN, part("gripper", 1, "gripper_closed_unit_binary", "fraction")), "of gripper_closed_unit_binary it is 0 to 1"),
    (policy(MOVE, TURN, part("gripper", 1, "gripper_opening_m", "m", low=0.1, high=0.1)), "the range 0.1 to 0.1: its low is its high, and"),
    (policy(MOVE, TURN, part("gripper", 1, "gripper_opening_m", "m", low=0.0, high=1.0)), "no hand opens farther than 0.25 m; .*gripper_open_unit"),
    (policy(MOVE, TURN, part("gripper", 1, grippers.RELATIVE, "fraction", low=0.0)), "it must go from below 0, or it never opens, to above 0"),
    (policy(MOVE, MOVE, TURN, GRIPPER), "has two parts of one name: component 'translation'"),
    (policy(replace(MOVE, name=" "), TURN, GRIPPER), "has a part without a name: component ' '"),
    (seeing(images=(FRONT, replace(FRONT, source="wrist"))), "has two parts of one name: image 'front'"),
    (seeing(state=(STATE, STATE, STATE)), "has 3 parts of one name: state 'state'"),
    (seeing(images=(replace(FRONT, width=0),)), "declares image 'front' with the width 0: it must be at least 1"),
    (seeing(images=(replace(FRONT, crop=0),)), "declares image 'front' with the crop 0: it must be at least 1"),
    (seeing(images=(replace(FRONT, centre_share=1.5),)), "with the centre_share 1.5: it is a share of the area, more than 0 and at most 1"),
    (seeing(images=(replace(FRONT, centre_share=NAN),)), "with the centre_share nan"),
    (seeing(images=(mistaken(FRONT, fit="squeeze"),)), r"spec.observation.images\[0\].fit is 'squeeze'; it must be one of 'exact', 'stretch', 'pad'"),
    (seeing(images=(mistaken(FRONT, orientation="sideways"),)), r"orientation is 'sideways'; it must be one of 'upright', .*'mirrored'"),
    (seeing(state=(replace(STATE, size=0),)), "declares state 'state' with the size 0"),
    (reading(replace(PLACE, gain=NAN), HAND), r"state 'state' with, in part 0 \(ee_pos_base_m\), the gain nan: it must be a finite number"),
    (reading(replace(PLACE, gain=0.0), HAND), "the gain 0: "),
    (reading(replace(PLACE, offset=(0.0, NAN, 0.0)), HAND), r"the offset \(0, nan, 0\): it must be finite"),
    (reading(PLACE, replace(HAND, turn_wxyz=(0.0,) * 4)), r"in part 1 \(ee_quat_base_wxyz\), the turn_wxyz 0: it must be a quaternion"),
    (reading(PLACE, replace(HAND, turn_wxyz=(NAN, 0.0, 0.0, 0.0))), "the turn_wxyz .nan, 0, 0, 0.: it must be a quaternion"),
    (policy(history=(0, -1)), r"declares the history \(0, -1\): it rises to 0, the present step, as in \(-1, 0\)"),
    (policy(history=(-1,)), r"declares the history \(-1,\): it rises to 0"),
    (policy(history=(-1000000, 0)), "it may look back 64 of its steps, and not 1000000"),
    (policy(history=(-1.5, 0)), r"what cannot be read: spec.history\[0\] must be int, not -1.5"),
    (policy(chunk_steps=2, execute_steps=5), "executes 5 of 2 actions; it must be 1 to chunk_steps"),
    (policy(chunk_steps=0, execute_steps=0), "executes 0 of 0 actions"),
    (policy(sticky_steps=15), "holds gripper commands for 15 steps and sends none of the convention gripper_closing_relative"),
    (at(1e-9), "acts at 1e-09 Hz; the rate must be 0.1 to 1000 Hz; it reads at 1e-09 Hz"),
    (at(20.0, NAN), "reads at nan Hz; the rate must be 0.1 to 1000 Hz"),
    (at(INF), "acts at inf Hz"),
    (policy(normalisation={"hand": statistics("min_max", (0.0,), (1.0,))}), "has statistics of 'hand', which is the name neither"),
    (policy(normalisation={"gripper": statistics("mean_std", (0.0,), (0.0,))}), "is the same: all of its standard deviations are 0"),
    (policy(normalisation={"gripper": statistics("q01_q99", (1.0,), (1.0,))}), "'gripper' by which .*: all of its first numbers are its second ones"),
    (policy(card={"loss": NAN}), "has a card that cannot be written as JSON"),
    (policy(card={"weights": np.zeros(2)}), "has a card that cannot be written as JSON .*: it must hold words, finite numbers, lists and tables"),
    (policy(mistaken(MOVE, scale="0.05"), TURN, GRIPPER), r"spec.action.components\[0\].scale must be a number, not '0.05'"),
    (policy(mistaken(MOVE, low=np.zeros(3)), TURN, GRIPPER), r"spec.action.components\[0\].low must be a list, not ndarray"),
]


@pytest.mark.parametrize(("spec", "message"), CANNOT_BE)
def test_what_cannot_be_is_named_with_what_could(spec: PolicySpec, message: str) -> None:
    with pytest.raises(BadSpec, match=f"^policy 'mine' .*{message}"):
        connect(spec, ENV, SENT)


def test_everything_that_cannot_be_is_said_at_once() -> None:
    spec = policy(replace(MOVE, scale=0.0), replace(TURN, scale=NAN), GRIPPER, chunk_steps=1, execute_steps=2)
    assert [line.split()[0] for line in contradictions(spec)] == ["declares", "declares", "executes"]


def test_a_profile_is_refused_by_the_same_words(tmp_path: Path) -> None:
    head = 'name = "mine"\n[action]\nname = "mine"\nrate_hz = 20.0\n[[action.components]]\nname = "gripper"\nsize = 1\nframe = "joint"\n'
    for field, told in (("scale = nan", "the scale nan"), ("scale = -1.0", "the scale -1"), ("low = [0.0]", "the range 0 to 1: of gripper_closed_p")):
        usual = {"scale": "scale = 1.0", "low": "low = [-1.0]", "high": "high = [1.0]", field.partition(" ")[0]: field}
        component = 'convention = "gripper_closed_positive"\nunit = "fraction"\n' + "\n".join(usual.values())
        path = tmp_path / "mine.toml"
        path.write_text(f"{head}{component}\n[observation]\n", encoding="utf-8")
        with pytest.raises(BadData, match=f"mine.toml: the profile 'mine' declares action 'gripper' with {told}"):
            load_profile(str(path))


def test_a_profile_made_in_python_is_refused_by_the_same_words() -> None:
    libero = load_profile("libero")
    with pytest.raises(BadData, match="the profile 'libero' executes 5 of 2 actions; .*; it declares the history"):
        replace(libero, chunk_steps=2, execute_steps=5, history=(0, 1))
    assert isinstance(replace(libero, chunk_steps=5, execute_steps=5), Profile)


def test_a_misspelt_kind_of_statistics_is_answered_with_the_near_one() -> None:
    with pytest.raises(UnknownName, match=r"no kind of normalisation is called 'minmax'. Did you mean min_max\?"):
        statistics("minmax", (0.0,), (1.0,))


def test_what_is_usual_in_real_data_is_let_through() -> None:
    planar = replace(TURN, low=(0.0, 0.0, -1.0), high=(0.0, 0.0, 1.0))
    never_moved = statistics("q01_q99", (-0.1, 0.0, -0.2), (0.1, 0.0, 0.2))
    still = statistics("mean_std", (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    spec = policy(MOVE, planar, part("gripper", 1, "gripper_opening_m", "m", low=0.08, high=0.0), normalisation={"translation": never_moved})
    assert not contradictions(spec), "single numbers that never vary, and a hand whose number grows as it closes"
    assert not contradictions(replace(seeing(state=(StateComponent(name="ee_pos_base_m", size=3),)), normalisation={"ee_pos_base_m": still}))
    assert not contradictions(policy(*ENV.components, part("terminate", 3, "ignored", "1", low=0.0, high=0.0)))
    assert connect(policy(history=[-1, 0]), ENV, SENT).history == (-1, 0), "a list is as good"


def test_a_policy_without_an_action_of_its_own_may_leave_the_rate_to_the_environment() -> None:
    taker = policy(action=None, observation=ObservationSpec(images=(), state=(), rate_hz=0.0))
    assert not contradictions(taker)
    with pytest.raises(BadSpec, match="reads at -1 Hz; the rate must be 0.1 to 1000 Hz, or 0 for the environment's"):
        connect(replace(taker, observation=replace(taker.observation, rate_hz=-1.0)), ENV, SENT)
