"""Inserted and covered: what they say of states that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, from_axis_angle, pose
from vlagym.envs.marks import Hole
from vlagym.envs.objects import get
from vlagym.envs.predicates import WorldState, compile_predicate
from vlagym.envs.predicates.fitting import fits
from vlagym.envs.types import EpisodeSpec, Predicate

PEG, SOCKET, LID, POT = "round_peg_red", "socket_blue", "lid_red", "pot_blue"
UPRIGHT = from_axis_angle([0.0, 0.0, 0.0])
TILTED = from_axis_angle([0.5, 0.0, 0.0])


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    return lay_table(props={PEG: (0.4, 0.0), LID: (0.4, 0.2), POT: (0.6, 0.2)}, fixtures={SOCKET: (0.5, -0.1), "zone_red": (0.6, -0.2)})


def _holds(
    spec: EpisodeSpec, name: str, thing: str, place: str, at: tuple[float, float, float], *, quat: Array = UPRIGHT, touching: Sequence[str] = (), held: bool = False
) -> bool:
    props = {p.name: pose(p.pos_world) for p in spec.scene.props} | {thing: pose(at, quat)}
    state = WorldState(
        props=props,
        held=frozenset({thing} if held else ()),
        fixture_joints={},
        find_touching=lambda: frozenset(frozenset((thing, other)) for other in touching),
        ee_pos_world=np.zeros(3),
        touched_by_robot=frozenset(),
        gripper_command=-1.0,
        find_speed_m_s=lambda prop: 0.0,
    )
    return compile_predicate(Predicate(name=name, args=(thing, place)), spec)(state)


def test_a_peg_is_inserted_when_it_is_down_in_its_hole_and_let_go(spec: EpisodeSpec) -> None:
    seat = (0.502, -0.101, 0.006)
    assert _holds(spec, "inserted", PEG, SOCKET, seat)
    assert not _holds(spec, "inserted", PEG, SOCKET, seat, held=True)
    assert not _holds(spec, "inserted", PEG, SOCKET, seat, touching=("robot",))
    assert not _holds(spec, "inserted", PEG, SOCKET, seat, quat=TILTED)
    assert not _holds(spec, "inserted", PEG, SOCKET, (0.5, -0.1, 0.04)), "it stands on the edge"
    assert not _holds(spec, "inserted", PEG, SOCKET, (0.55, -0.1, 0.0)), "it stands beside the socket"


def test_a_lid_covers_when_it_sits_level_in_the_middle_of_its_pot(spec: EpisodeSpec) -> None:
    rim = get(POT).size_m[2]
    seat = (0.603, 0.2, rim - 0.007)
    assert _holds(spec, "covered", LID, POT, seat, touching=(POT,))
    assert not _holds(spec, "covered", LID, POT, seat), "it does not touch the pot"
    assert not _holds(spec, "covered", LID, POT, seat, touching=(POT, "robot"))
    assert not _holds(spec, "covered", LID, POT, seat, touching=(POT,), quat=TILTED)
    assert not _holds(spec, "covered", LID, POT, (0.62, 0.2, rim - 0.007), touching=(POT,))
    assert not _holds(spec, "covered", LID, POT, (0.6, 0.2, rim + 0.02), touching=(POT,))


@pytest.mark.parametrize(
    ("name", "args", "complaint"),
    [
        ("inserted", (PEG, "zone_red"), r"'zone_red' has no hole: the file of 'zone_red' has no \[hole\]"),
        ("covered", (PEG, POT), r"'round_peg_red' is no lid: the roles of 'round_peg_red' are graspable, peg"),
        ("covered", (LID, PEG), r"'round_peg_red' is no pot"),
    ],
)
def test_what_has_no_hole_and_what_is_no_lid_is_refused(spec: EpisodeSpec, name: str, args: tuple[str, str], complaint: str) -> None:
    with pytest.raises(BadSpec, match=complaint):
        compile_predicate(Predicate(name=name, args=args), spec)


def test_a_thing_fits_where_there_is_play_on_every_side() -> None:
    socket, lock = get_fixture("socket_red").hole, get_fixture("lock_red").hole
    assert socket is not None and lock is not None
    for peg in ("round_peg_red", "square_peg_red"):
        assert fits(get(peg), socket) and not fits(get("key_red"), socket)
    assert fits(get("key_red"), lock)
    round_hole = Hole(outline="round", size_m=(0.03, 0.03), floor_m=0.0, rim_m=0.04)
    assert fits(get("round_peg_red"), round_hole) and not fits(get("square_peg_red"), round_hole), "its diagonal does not go in"
