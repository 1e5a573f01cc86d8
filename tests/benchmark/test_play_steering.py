"""From a player's input to an action: limbs, speeds, directions as in a picture, late input, and the pace."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.entry import sample_episode
from vlagym.benchmark.teleoperation.driver import Driver
from vlagym.benchmark.teleoperation.inputs import Input, Ordered
from vlagym.benchmark.teleoperation.pace import RealTime
from vlagym.benchmark.teleoperation.seat import SILENT_S, Seat
from vlagym.benchmark.teleoperation.steering import Speeds, Steering, control_for, heading, limbs
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec

SEEN: Any = SimpleNamespace(proprio={})
FORWARD, LEFT, UP, TURN = 0, 1, 2, 5


def wanted(*axes: int, limb: str = "hand", **more: Any) -> Input:
    values = [0.0] * 6
    for axis in axes:
        values[axis] = 1.0
    usual: dict[str, Any] = {"episode": 1, "closed": (False,), "is_fast": True, "view": "", "device": "keyboard", "large": 0, "seen": 0}
    return Input(axes=tuple(values), limb=limb, **{**usual, **more})


@pytest.fixture(scope="module")
def arm() -> EpisodeSpec:
    return sample_episode("place_on", robot="panda", seed=1, control="ee_delta")


@pytest.fixture(scope="module")
def gliding() -> EpisodeSpec:
    return sample_episode("go_to", robot="g1", seed=1, control="bimanual_ee_delta")


@pytest.fixture(scope="module")
def walking() -> EpisodeSpec:
    return sample_episode("reach_low", robot="g1", seed=1, control="bimanual_ee_delta")


def parts(spec: EpisodeSpec, action: Any) -> dict[str, list[float]]:
    return {name: np.round(action[at].astype(np.float64), 4).tolist() for name, at in spec.control.slices().items() if np.any(action[at])}


def test_a_hand_moves_at_the_stated_speeds_and_turns_in_proportion(arm: EpisodeSpec) -> None:
    steering = Steering(arm, Speeds(slow_m_s=0.1, fast_m_s=0.4))
    fast = parts(arm, steering.action(wanted(FORWARD, TURN), SEEN))
    assert fast == {"translation": [0.4, 0.0, 0.0], "rotation": [0.0, 0.0, 0.4], "gripper": [-1.0]}, "1.0 is 1 m/s, or 5 rad/s"
    slow = parts(arm, steering.action(wanted(UP, is_fast=False, closed=(True,)), SEEN))
    assert slow == {"translation": [0.0, 0.0, 0.1], "gripper": [1.0]}
    assert parts(arm, steering.action(None, SEEN)) == {"gripper": [-1.0]}
    assert parts(arm, steering.action(wanted(FORWARD, limb="tail"), SEEN)) == {"gripper": [-1.0]}


def test_directions_are_those_of_the_picture(arm: EpisodeSpec) -> None:
    steering = Steering(arm, Speeds(slow_m_s=1.0, fast_m_s=1.0))
    assert heading(arm, "wrist") is None and heading(arm, "nosuch") is None
    into_the_picture = steering.action(wanted(FORWARD, view="front"), SEEN)[:3]
    assert into_the_picture == pytest.approx([-1.0, 0.0, 0.0], abs=1e-3), "the front camera looks at the robot"
    assert steering.action(wanted(LEFT, view="front"), SEEN)[:3] == pytest.approx([0.0, -1.0, 0.0], abs=1e-3)
    assert steering.action(wanted(FORWARD, view="wrist"), SEEN)[:3] == pytest.approx([1.0, 0.0, 0.0])


def test_one_hand_moves_or_both_together_or_apart(gliding: EpisodeSpec) -> None:
    steering = Steering(gliding, Speeds(slow_m_s=0.5, fast_m_s=0.5))
    assert limbs(gliding) == ("left", "right", "both", "body")
    right = parts(gliding, steering.action(wanted(UP, TURN, limb="right", closed=(False, True)), SEEN))
    assert right == {"right_translation": [0.0, 0.0, 0.5], "right_rotation": [0.0, 0.0, 0.5], "left_hand": [-1.0], "right_hand": [1.0]}
    both = parts(gliding, steering.action(wanted(UP, TURN, limb="both", closed=(True, True)), SEEN))
    assert both == {"left_translation": [0.0, 0.5, 0.5], "right_translation": [0.0, -0.5, 0.5], "left_hand": [1.0], "right_hand": [1.0]}


def test_a_body_glides_or_crouches_and_stays_down(gliding: EpisodeSpec, walking: EpisodeSpec) -> None:
    glides = parts(gliding, Steering(gliding, Speeds()).action(wanted(FORWARD, TURN, limb="body"), SEEN))
    assert glides["navigate_command"] == [0.5, 0.0, 1.0]
    steering = Steering(walking, Speeds())
    down = Input(**{**vars(wanted(limb="body")), "axes": (0.0, 0.0, -1.0, 0.0, 0.0, 0.0)})
    for _ in range(100):
        action = steering.action(down, SEEN)
    assert parts(walking, action)["base_height_command"] == [-0.3], "as far as may be commanded"
    assert parts(walking, steering.action(wanted(UP, limb="left"), SEEN))["base_height_command"] == [-0.3]


@pytest.mark.parametrize("robot", catalog.names("robot"))
def test_every_robot_can_be_steered(robot: str) -> None:
    task = next(t for t in catalog.names("task") if robot in catalog.load("task", t).robots)
    spec = sample_episode(task, robot=robot, seed=1, control=control_for(catalog.load("robot", robot)))
    felt: Any = SimpleNamespace(proprio={"neck_joint_pos_rad": np.zeros(sum(c.size for c in spec.control.components if c.name == "neck"))})
    for limb in limbs(spec):
        action = Steering(spec, Speeds()).action(wanted(FORWARD, limb=limb), felt)
        spec.control.check(action)
        still = Steering(spec, Speeds()).action(None, felt)
        assert limb == "body" and spec.robot_base != "planar" or (action != still).any()


def test_speeds_and_conventions_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadData, match="the slow one must be above 0, the fast one no slower, at most 1"):
        Speeds(slow_m_s=0.5, fast_m_s=0.3)
    with pytest.raises(BadData, match="a player moves hands by displacements .* 'joint_position'"):
        Steering(sample_episode("place_on", robot="panda", seed=1, control="joint_position"), Speeds())


# ------------------------------------------------------------------------------------------------------------------------- in its time
class NoWait:
    rate_hz, late_steps = 20.0, 0

    def begin(self) -> None: ...

    def spare_s(self) -> float:
        return 0.0

    def wait(self) -> float:
        return 0.0


def test_input_that_comes_late_moves_nothing_and_the_hand_stays_closed(arm: EpisodeSpec) -> None:
    clock = [0.0]
    seat = Seat(now=lambda: clock[0])
    player = seat.sit()
    assert player is not None
    driver = Driver(1, arm.control, seat, Steering(arm, Speeds()), NoWait(), wait_s=1.0, tell=lambda why: None)

    def step() -> dict[str, list[float]]:
        return parts(arm, driver.decide(SEEN).chunk.values[0])

    assert step() == {"gripper": [-1.0]}, "before the first input"
    seat.hear(player, wanted(FORWARD, closed=(True,)))
    assert step() == {"translation": [0.3, 0.0, 0.0], "gripper": [1.0]}
    clock[0] += 0.3
    assert step() == {"gripper": [1.0]}
    seat.hear(player, wanted(FORWARD, closed=(False,), episode=0))
    assert step() == {"gripper": [1.0]}, "meant for an episode that is over"
    assert (driver.held_steps, driver.devices) == (3, {"keyboard": 1})


def test_a_pause_does_not_count_as_time_of_the_episode(arm: EpisodeSpec) -> None:
    seat = Seat()
    player = seat.sit()
    assert player is not None
    told: list[str | None] = []

    def tell(why: str | None) -> None:
        told.append(why)
        if why is not None:
            seat.hear(player, Ordered(order="resume", episode=1))
            time.sleep(0.2)

    driver = Driver(1, arm.control, seat, Steering(arm, Speeds()), RealTime(50.0), wait_s=1.0, tell=tell)
    driver.decide(SEEN)
    seat.hear(player, Ordered(order="pause", episode=1))
    driver.decide(SEEN)
    driver.decide(SEEN)
    assert told == ["asked", None] and driver.paused_s >= 0.2
    assert driver.clock_s[0] == 0.0 and driver.clock_s[2] - driver.clock_s[0] >= 0.02 - 1e-3
    assert driver.clock_s[1] < driver.paused_s, "the pause is left out"


def test_orders_of_an_episode_that_is_over_do_nothing(arm: EpisodeSpec) -> None:
    seat = Seat()
    player = seat.sit()
    assert player is not None
    driver = Driver(2, arm.control, seat, Steering(arm, Speeds()), NoWait(), wait_s=1.0, tell=lambda why: None)
    seat.hear(player, Ordered(order="give_up", episode=1))
    driver.decide(SEEN)
    seat.hear(player, Ordered(order="give_up", episode=2))
    with pytest.raises(Exception, match="given up"):
        driver.decide(SEEN)
    assert driver.end == "given up"


def test_pictures_are_dropped_rather_than_queued_for_a_page_that_is_slow() -> None:
    seat = Seat()
    player = seat.sit()
    assert player is not None
    for number in range(1, 6):
        seat.show({0: b"front %d" % number})
        sent = player.outbox(0.0)
        assert sent is not None and len(sent) == (1 if number <= 2 else 0)
    seat.hear(player, wanted(seen=1))
    assert player.outbox(0.0) == [b"\x00" + (5).to_bytes(4, "big") + b"front 5"], "the newest, once one has been shown"


def test_who_is_silent_loses_the_seat_to_the_next_who_comes() -> None:
    clock = [0.0]
    seat = Seat(now=lambda: clock[0])
    first = seat.sit()
    assert first is not None and seat.sit() is None and not seat.is_away()
    clock[0] += SILENT_S
    assert seat.is_away()
    second = seat.sit()
    assert second is not None and first.outbox(0.0) is None and not seat.is_away()
    seat.hear(first, wanted(FORWARD))
    assert seat.heard().input is None
    seat.leave(first)
    assert not seat.is_away()
    seat.leave(second)
    assert seat.is_away()


def test_the_pace_is_that_of_the_clock_and_what_was_late_is_not_caught_up_with() -> None:
    pace = RealTime(50.0)
    pace.begin()
    began_s = time.monotonic()
    for _ in range(10):
        pace.wait()
    assert time.monotonic() - began_s >= 9 * 0.02 - 1e-3
    time.sleep(0.1)
    late = pace.late_steps
    first = pace.wait()
    assert pace.late_steps == late + 1 and pace.wait() - first >= 0.02 - 1e-3
