"""What a body says without touching anything: it waves, raises a hand or both, bows, nods, shakes its head. Made of the history of its motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.frames import Array
from vlagym.envs.predicates.hands import robot_of
from vlagym.envs.predicates.history import HISTORY_S, is_still, rows, spread
from vlagym.envs.predicates.state import WorldState, word
from vlagym.envs.types import EpisodeSpec

HIGH_M = -0.05
"""A raised hand is no lower than this below the camera in the head: the G1, its hand held level, reaches as high as that camera and no higher."""
WAVING_M = -0.20
"""A hand that waves is no lower than this below the camera in the head, about as high as the shoulder."""
LOW_M = -0.15
"""A hand that has no part in a gesture stays so far below it."""
HELD_S, HELD_M = 0.5, 0.04
"""A raised hand has moved by no more than this for so long."""
IDLE_M = 0.12
"""The hand, or the hands, that have no part in a gesture have moved by no more than this in all the time that it took."""
SWING_M, NOD_RAD, SHAKE_RAD = 0.06, 0.12, 0.20
"""What counts as a swing: of a hand to one side, of the head down or up, of the head to one side."""
SWINGS = 4
"""To and fro, twice."""
MAX_SWING_S = 1.0
NECK_S = 1.5
"""While a head nods or is shaken the hands stay where they are, for so long at least."""
STRAIGHT = 1.35
"""The way of a swinging motion is at most so many times the sum of its swings: it goes to and fro and does not tremble."""
ACROSS = 0.7
"""So much of the way of a waving hand is sideways."""
NECK_M = 0.28
"""A head that nods or is shaken moves by no more than this for each rad that it turns: the neck bends, and not the trunk, which is longer."""
BOW_RAD, UPRIGHT_RAD, BOW_HELD_S = 0.35, 0.12, 0.15
"""Who bows leans forward by so much, for so long, and stands up again to within so much."""
BOW_TURN_RAD = 0.25
"""Who bows does not look about by more than this meanwhile."""


class Gestured:
    """gestured(=gesture): the body makes, or within the last HISTORY_S has made, a gesture, and no other part of it does anything else.

    wave_left, wave_right: that hand is up and swings to and fro at least twice, sideways and evenly; the other hand hangs still.
    raise_left, raise_right: that hand is as high as the head and at rest; the other one is low. arms_up: both are high and at rest.
    bow: the trunk leaned forward, without looking about, and is upright again; head and hands are at rest.
    nod, shake_head: the head turned down and up, or left and right, twice, by the neck.
    """

    arity = 1

    def __init__(self, spec: EpisodeSpec, gesture: str) -> None:
        name = word(gesture)
        if name not in _GESTURES:
            raise unknown_name("gesture", name, _GESTURES)
        robot = robot_of(spec)
        if not robot.has_two_hands:
            raise BadSpec(f"{robot.name!r} makes no gestures: they are made with two hands")
        if name in _OF_THE_NECK and not any(group.kind == "neck" for group in robot.groups):
            raise BadSpec(f"{robot.name!r} cannot {name.replace('_', ' its ')}: it has no neck")
        self._is_made, self._rate_hz = _GESTURES[name], spec.control.rate_hz

    def __call__(self, state: WorldState) -> bool:
        if state.head is None or not len(rows(state, "head_pos", 0.0, self._rate_hz)):
            return False
        return self._is_made(state, self._rate_hz)


def num_swings(track: Array, least: float, rate_hz: float) -> int:
    """Returns how often a value went to or fro by at least `least`, evenly: no swing longer than MAX_SWING_S, no trembling in between.

    Args:
      track: (n,) the value, a row a control step.
      least: The smallest swing, in its unit.
      rate_hz: Of control steps.

    Returns:
      The number of swings at the end of the track that follow each other without a pause; 0 if its way is more than STRAIGHT times their sum.
    """
    turns = _turning_points(track, least)
    run = 0
    for begin, end in zip(turns[-2::-1], turns[:0:-1], strict=True):
        if (end - begin) / rate_hz > MAX_SWING_S:
            break
        run += 1
    if run == 0:
        return 0
    first = turns[len(turns) - 1 - run]
    ends = [float(track[i]) for i in turns[len(turns) - 1 - run :]]
    way, swings = float(np.abs(np.diff(track[first : turns[-1] + 1])).sum()), float(np.abs(np.diff(ends)).sum())
    return run if way <= STRAIGHT * swings else 0


def _turning_points(track: Array, least: float) -> list[int]:
    """Returns the rows between which a value went up or down by at least `least`, in order; the last one is the extreme of what goes on."""
    if not len(track):
        return []
    low = high = 0
    turns: list[int] = []
    going = 0
    for i, value in enumerate(track.tolist()):
        low = i if value < track[low] else low
        high = i if value > track[high] else high
        if going >= 0 and value <= track[high] - least:
            turns, going, low = [*turns, high], -1, i
        elif going <= 0 and value >= track[low] + least:
            turns, going, high = [*turns, low], 1, i
    return [*turns, low if going < 0 else high] if turns else []


def _wave(side: str) -> Callable[[WorldState, float], bool]:
    def is_made(state: WorldState, rate_hz: float) -> bool:
        hand, head = rows(state, side, HISTORY_S, rate_hz), rows(state, "head_pos", HISTORY_S, rate_hz)
        above = hand[:, 2] - head[:, 2] >= WAVING_M
        if not above[-1]:
            return False
        up = hand[np.flatnonzero(~above)[-1] + 1 :] if not above.all() else hand
        if num_swings(up[:, 1], SWING_M, rate_hz) < SWINGS:
            return False
        steps = np.abs(np.diff(up, axis=0))
        is_sideways = steps[:, 1].sum() >= ACROSS * np.linalg.norm(steps, axis=1).sum()
        return bool(is_sideways) and _hangs_still(state, _other(side), len(up) / rate_hz, rate_hz)

    return is_made


def _raise(side: str) -> Callable[[WorldState, float], bool]:
    def is_made(state: WorldState, rate_hz: float) -> bool:
        return _is_high(state, side, rate_hz) and _height_m(state, _other(side), rate_hz) <= LOW_M

    return is_made


def _arms_up(state: WorldState, rate_hz: float) -> bool:
    return _is_high(state, "left", rate_hz) and _is_high(state, "right", rate_hz)


def _bow(state: WorldState, rate_hz: float) -> bool:
    lean, turn = rows(state, "head_lean", HISTORY_S, rate_hz).T
    if abs(float(lean[-1])) > UPRIGHT_RAD or not all(is_still(state, name, rate_hz, HELD_M) for name in ("head_pos", *state.hands)):
        return False
    is_smooth = float(np.abs(np.diff(lean)).sum()) <= STRAIGHT * (2.0 * float(lean.max()))
    is_deep = int((lean >= BOW_RAD).sum()) >= BOW_HELD_S * rate_hz
    return is_deep and is_smooth and float(np.ptp(turn)) <= BOW_TURN_RAD and _stays(state, HISTORY_S, rate_hz)


def _neck(column: int, least: float) -> Callable[[WorldState, float], bool]:
    def is_made(state: WorldState, rate_hz: float) -> bool:
        lean = rows(state, "head_lean", HISTORY_S, rate_hz)
        turned = float(np.ptp(lean[:, column]))
        if num_swings(lean[:, column], least, rate_hz) < SWINGS or np.ptp(lean[:, 1 - column]) > 0.5 * turned:
            return False
        if any(spread(rows(state, side, NECK_S, rate_hz)) > IDLE_M for side in state.hands):
            return False  # a body that is tossed about shakes its head, too
        return spread(rows(state, "head_pos", HISTORY_S, rate_hz)) <= NECK_M * turned and _stays(state, HISTORY_S, rate_hz)

    return is_made


def _is_high(state: WorldState, side: str, rate_hz: float) -> bool:
    return _height_m(state, side, rate_hz) >= HIGH_M and is_still(state, side, rate_hz, HELD_M, HELD_S)


def _hangs_still(state: WorldState, side: str, seconds: float, rate_hz: float) -> bool:
    return _height_m(state, side, rate_hz) <= LOW_M and spread(rows(state, side, seconds, rate_hz)) <= IDLE_M


def _stays(state: WorldState, seconds: float, rate_hz: float) -> bool:
    """Returns whether the base stayed where it is."""
    return spread(rows(state, "base", seconds, rate_hz)) <= IDLE_M


def _height_m(state: WorldState, side: str, rate_hz: float) -> float:
    """Returns how high a hand is above the camera in the head."""
    return float(rows(state, side, 0.0, rate_hz)[-1, 2] - rows(state, "head_pos", 0.0, rate_hz)[-1, 2])


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


_OF_THE_NECK = ("nod", "shake_head")
_GESTURES: Mapping[str, Callable[[WorldState, float], bool]] = {
    "wave_left": _wave("left"),
    "wave_right": _wave("right"),
    "raise_left": _raise("left"),
    "raise_right": _raise("right"),
    "arms_up": _arms_up,
    "bow": _bow,
    "nod": _neck(0, NOD_RAD),
    "shake_head": _neck(1, SHAKE_RAD),
}
PREDICATES: Mapping[str, type[Any]] = {"gestured": Gestured}
"""Name -> class."""
