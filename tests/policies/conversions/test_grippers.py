"""Gripper commands: which end is which, what half open means, and what a command does that is relative to the last."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.types import ActionComponent
from vlagym.policies.conversions import grippers
from vlagym.policies.conversions.grippers import GRIPPER_ENDS, RelativeGripper

OURS = GRIPPER_ENDS["gripper_closed_positive"]


def component(convention: str, low: float, high: float) -> ActionComponent:
    return ActionComponent(name="gripper", size=1, convention=convention, frame="joint", unit="fraction", scale=1.0, low=(low,), high=(high,))


@pytest.mark.parametrize(
    ("convention", "opened", "closed"),
    [
        ("gripper_closed_positive", -1, 1),  # robosuite, LIBERO
        ("gripper_open_positive", 1, -1),  # CALVIN, SimplerEnv's WidowX
        ("gripper_closed_unit", 0, 1),  # DROID
        ("gripper_open_unit", 1, 0),  # Open X-Embodiment
    ],
)
def test_every_sign_is_as_its_users_have_it(convention: str, opened: float, closed: float) -> None:
    gain, offset = grippers.line(GRIPPER_ENDS[convention], OURS)
    assert (gain * opened + offset, gain * closed + offset) == (-1, 1)


def test_there_and_back_is_nothing() -> None:
    for mine in GRIPPER_ENDS.values():
        (gain, offset), (back, rest) = grippers.line(mine, OURS), grippers.line(OURS, mine)
        assert [back * (gain * v + offset) + rest for v in (0.0, 0.3, 1.0)] == pytest.approx([0.0, 0.3, 1.0])


def test_an_opening_in_metres_is_closed_at_its_low_and_open_at_its_high() -> None:
    gain, offset = grippers.line(grippers.ends(component("gripper_opening_m", 0.0, 0.08)) or (0, 0), OURS)
    assert [gain * v + offset for v in (0.08, 0.04, 0.0)] == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize("convention", GRIPPER_ENDS)
def test_of_a_binary_command_only_the_side_of_the_middle_counts(convention: str) -> None:
    assert grippers.is_binary(f"{convention}_binary") and not grippers.is_binary(convention)
    opened, closed = ends = GRIPPER_ENDS[convention]
    middle, a_little = (opened + closed) / 2, 0.01 * (closed - opened)
    assert grippers.binary([opened, middle - a_little, middle, middle + a_little, closed], ends).tolist() == [opened, opened, middle, closed, closed]


@pytest.mark.parametrize("ends", GRIPPER_ENDS.values())
def test_a_binary_gripper_begins_open_and_the_middle_leaves_it_as_it_is(ends: tuple[float, float]) -> None:
    opened, closed = ends
    gripper, middle = grippers.BinaryGripper(ends), (opened + closed) / 2
    assert [gripper.push(v) for v in (middle, closed, middle, opened, middle)] == [opened, closed, closed, opened, opened]


# ------------------------------------------------------------------------------------------------------------------------ relative
def test_a_relative_command_closes_by_so_much_more_and_stops_at_the_ends() -> None:
    gripper = RelativeGripper(OURS, 0)
    assert [gripper.push(v) for v in (0.25, 0.25, 0.0, 1.0, 1.0, -0.5, -1.0)] == [-0.5, 0.0, 0.0, 1.0, 1.0, 0.0, -1.0]


def test_a_relative_command_that_is_hardly_one_does_nothing() -> None:
    gripper = RelativeGripper(OURS, 0)
    assert [gripper.push(0.009) for _ in range(100)][-1] == -1.0 and gripper.push(0.01) == pytest.approx(-0.98)


def test_a_sticky_command_is_held_and_what_comes_meanwhile_is_not_heard() -> None:
    gripper = RelativeGripper(OURS, 3)
    assert [gripper.push(v) for v in (0.6, -1.0, 0.0)] == pytest.approx([0.2, 1.0, 1.0])
    assert gripper.push(0.0) == 1.0, "after its steps it stays where it is"
    assert [gripper.push(v) for v in (-0.6, 1.0, 1.0, 0.0)] == pytest.approx([-0.2, -1.0, -1.0, -1.0])


def test_a_small_command_is_heard_once_where_large_ones_are_held() -> None:
    gripper = RelativeGripper(OURS, 15)
    assert [gripper.push(v) for v in (0.5, 0.3, -0.4)] == pytest.approx([0.0, 0.6, -0.2])


def test_sticky_commands_are_those_of_simplerenvs_octo() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        commands = rng.uniform(-1, 1, 60)
        gripper = RelativeGripper(OURS, 15)
        held, times, closed, wanted = 0.0, 0, 0.0, []
        for command in commands:  # its rule in its own terms: a flag, and how often the command was repeated
            if not held and abs(command) > 0.5:
                held = command
            change, times = (held, times + 1) if held else (command, times)
            held, times = (0.0, 0) if times == 15 else (held, times)
            closed = min(1.0, max(0.0, closed + change))
            wanted.append(2 * closed - 1)
        assert [gripper.push(float(c)) for c in commands] == pytest.approx(wanted)


def test_a_relative_gripper_speaks_the_environments_sign() -> None:
    assert [RelativeGripper(ends, 0).push(1.0) for ends in GRIPPER_ENDS.values()] == [closed for _, closed in GRIPPER_ENDS.values()]
