"""The contract of robots tells what is wrong with a hand, in words."""

import dataclasses
from typing import Any

import pytest

from vlagym.benchmark.checks.robot import CONTRACT
from vlagym.envs import catalog
from vlagym.envs.robot import EndEffector, Robot

JACO: Robot = catalog.load("robot", "jaco")


def told(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    """Returns the complaints about a Jaco whose hand differs."""
    hand = dataclasses.replace(JACO.end_effectors[0], **changes)
    return _about(monkeypatch, dataclasses.replace(JACO, end_effectors=(hand,)))


def _about(monkeypatch: pytest.MonkeyPatch, robot: Robot) -> str:
    monkeypatch.setattr(catalog, "load", lambda kind, name: robot)
    return "\n".join(str(complaint) for complaint in CONTRACT.complaints("jaco"))


def test_a_hand_with_one_side_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = (JACO.end_effectors[0].finger_sides[0], ())
    assert "hand.finger_sides has 2 sides: name the links of two opposing sides, or nothing counts as held" in told(monkeypatch, finger_sides=sides)


def test_a_link_cannot_press_from_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    side = JACO.end_effectors[0].finger_sides[0]
    assert "hand.finger_sides names 'b_finger_1' twice: one link cannot press from both sides" in told(monkeypatch, finger_sides=(side, side))


def test_a_link_that_the_model_lacks_is_named_with_those_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = told(monkeypatch, finger_sides=(("thumb",), JACO.end_effectors[0].finger_sides[1]))
    assert "hand.finger_sides names 'thumb', which is not among its bodies" in complaint
    assert "hand.finger_sides names the body 'thumb', which its model does not have. It has: b_1, b_2" in complaint


def test_an_opening_that_the_table_does_not_give_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hand opens to 0.0940 m by opening_of_joint_m at open_ctrl; opening_max_m says 0.1200" in told(monkeypatch, opening_max_m=0.12)
    table = tuple(reversed(JACO.end_effectors[0].opening_of_joint_m))
    assert "hand.opening_of_joint_m does not ascend" in told(monkeypatch, opening_of_joint_m=table)


def test_the_room_of_a_hand_has_an_inside_and_an_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    hand: EndEffector = JACO.end_effectors[0]
    room = dataclasses.replace(hand.room, finger_from_m=0.08)
    assert "hand.room holds no boxes: 0 < finger_from_m < finger_to_m" in told(monkeypatch, room=room)
    narrow = dataclasses.replace(hand.room, finger_from_m=0.03)
    assert "hand.room.finger_from_m is 0.03: less than half of the opening of 0.09 m" in told(monkeypatch, room=narrow)


def test_a_joint_without_an_end_stop_has_limits_of_a_turn_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    robot = dataclasses.replace(JACO, joint_low_rad=(-1.0, *JACO.joint_low_rad[1:]), joint_high_rad=(1.0, *JACO.joint_high_rad[1:]))
    assert "joint_1 has no end stop in its model, and its limits here, -1.0000 to 1.0000, are less than a turn" in _about(monkeypatch, robot)
