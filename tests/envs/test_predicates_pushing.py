"""Within, along, off: what they say of states that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import from_yaw, pose
from vlagym.envs.predicates import Check, WorldState, compile_predicate
from vlagym.envs.types import EpisodeSpec, Predicate


BLOCK, TAPE, MAT, ZONE, LINE = "block_red", "tape_blue", "mat_green", "zone_blue", "line_red"


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """A square zone of 14 cm, a line of 22 cm along x, a mat, a block, a roll of tape."""
    props = {BLOCK: (0.5, 0.0), TAPE: (0.6, 0.0), MAT: (0.4, 0.0)}
    return lay_table(props=props, fixtures={ZONE: (0.5, 0.2), LINE: (0.5, -0.2)})


def _state(touching: Sequence[str] = ("table",), yaw: float = 0.0, held: Sequence[str] = (), **places: tuple[float, float, float]) -> WorldState:
    props = {BLOCK: pose((0.5, 0.0, 0.0)), TAPE: pose((0.6, 0.0, 0.0)), MAT: pose((0.4, 0.0, 0.0))} | {name: pose(at, from_yaw(yaw)) for name, at in places.items()}
    return WorldState(
        props=props,
        held=frozenset(held),
        fixture_joints={},
        find_touching=lambda: frozenset(frozenset((name, other)) for name in places for other in touching),
        ee_pos_world=np.array([0.4, 0.0, 0.4]),
        touched_by_robot=frozenset(),
        gripper_command=1.0,
        find_speed_m_s=lambda prop: 0.0,
    )


def _check(spec: EpisodeSpec, name: str, *args: str) -> Check:
    return compile_predicate(Predicate(name=name, args=args), spec)


def test_within_asks_for_the_whole_outline(spec: EpisodeSpec) -> None:
    within = _check(spec, "within", BLOCK, ZONE)
    assert within(_state(block_red=(0.5, 0.2, 0.0))) and within(_state(block_red=(0.545, 0.2, 0.0)))
    assert not within(_state(block_red=(0.56, 0.2, 0.0))), "its edge sticks out by 1 cm"
    assert not within(_state(yaw=np.pi / 4, block_red=(0.545, 0.2, 0.0))), "turned, its corner sticks out"


def test_a_round_thing_has_no_corners(spec: EpisodeSpec) -> None:
    within = _check(spec, "within", TAPE, ZONE)
    assert within(_state(yaw=np.pi / 4, tape_blue=(0.544, 0.2, 0.0)))


def test_within_and_off_ask_that_the_thing_stands_on_the_table_and_is_let_go(spec: EpisodeSpec) -> None:
    within, off = _check(spec, "within", BLOCK, ZONE), _check(spec, "off", BLOCK, MAT)
    for check, place in ((within, (0.5, 0.2, 0.0)), (off, (0.55, 0.0, 0.0))):
        assert check(_state(block_red=place))
        assert not check(_state(("table", "robot"), block_red=place))
        assert not check(_state((), block_red=place)), "in the air"


def test_off_asks_that_the_mat_is_not_touched(spec: EpisodeSpec) -> None:
    off = _check(spec, "off", BLOCK, MAT)
    assert not off(_state(("table", MAT), block_red=(0.46, 0.0, 0.0)))
    assert not off(_state((MAT,), block_red=(0.4, 0.0, 0.003)))


def test_pulling_the_mat_away_is_no_pushing_off(spec: EpisodeSpec) -> None:
    off = _check(spec, "off", BLOCK, MAT)
    assert not off(_state(block_red=(0.52, 0.0, 0.0), mat_green=(0.3, 0.0, 0.0))) and not off(_state(block_red=(0.52, 0.0, 0.0)))
    assert not off(_state(block_red=(0.6, 0.0, 0.0), mat_green=(0.4, 0.07, 0.0))), "the mat went with it"
    assert off(_state(block_red=(0.6, 0.0, 0.0), mat_green=(0.42, 0.0, 0.0)))


def test_along_asks_for_the_way_and_not_only_for_its_end(spec: EpisodeSpec) -> None:
    start, middle, end = (0.39, -0.2, 0.0), (0.5, -0.2, 0.0), (0.605, -0.2, 0.0)
    along = _check(spec, "along", BLOCK, LINE)
    assert not along(_state(block_red=start)) and not along(_state(block_red=middle))
    assert along(_state(block_red=end)) and along(_state(block_red=end)), "asked again in the same state it says the same"
    assert not _check(spec, "along", BLOCK, LINE)(_state(block_red=end)), "it was never at the beginning"


@pytest.mark.parametrize("detour", [(0.5, -0.13, 0.0), (0.5, -0.2, 0.05)])
def test_who_leaves_the_line_or_lifts_begins_anew(spec: EpisodeSpec, detour: tuple[float, float, float]) -> None:
    start, end = (0.39, -0.2, 0.0), (0.605, -0.2, 0.0)
    along = _check(spec, "along", BLOCK, LINE)
    verdicts = [along(_state(block_red=at)) for at in (start, detour, end, start, (0.5, -0.21, 0.0), end)]
    assert verdicts == [False, False, False, False, False, True]


def test_along_asks_that_the_thing_is_let_go(spec: EpisodeSpec) -> None:
    along = _check(spec, "along", BLOCK, LINE)
    along(_state(block_red=(0.39, -0.2, 0.0)))
    assert not along(_state(("table", "robot"), block_red=(0.61, -0.2, 0.0)))
    assert along(_state(block_red=(0.61, -0.2, 0.0)))


@pytest.mark.parametrize(
    ("name", "args", "complaint"),
    [
        ("within", (BLOCK, LINE), r"'line_red' is no zone: the file of 'line_red' has no \[zone\]"),
        ("along", (BLOCK, ZONE), r"'zone_blue' is no line: the file of 'zone_blue' has no \[line\]"),
        ("off", (BLOCK, TAPE), r"nothing can be pushed off it: 'tape_blue' is no support"),
    ],
)
def test_what_is_no_zone_line_or_mat_is_refused(spec: EpisodeSpec, name: str, args: tuple[str, str], complaint: str) -> None:
    with pytest.raises(BadSpec, match=complaint):
        _check(spec, name, *args)


def test_an_unknown_zone_is_answered_with_the_known_fixtures(spec: EpisodeSpec) -> None:
    with pytest.raises(UnknownName, match=r"'zone_blu'.*zone_blue"):
        _check(spec, "within", BLOCK, "zone_blu")
    with pytest.raises(UnknownName, match=r"'block'.*block_red"):
        _check(spec, "within", "block", ZONE)
