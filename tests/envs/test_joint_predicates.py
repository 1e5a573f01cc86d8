"""Open, closed, moved, in_drawer: what they say of states that are written by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import Pose, from_yaw, pose
from vlagym.envs.predicates import WorldState, compile_predicate
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec, FixtureSpec, Predicate, PropSpec

CHEST = FixtureSpec(name="chest", asset="chest_white", pos_world=(0.4, 0.1, 0.0), yaw_rad=0.3, joints=(("bottom", 0.1), ("top", 0.0)))
OVEN = FixtureSpec(name="oven", asset="microwave_white", pos_world=(0.4, -0.2, 0.0), yaw_rad=0.0, joints=(("door", 0.0),))
BLOCK = PropSpec(name="block", asset="block_red", pos_world=(0.5, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def spec() -> EpisodeSpec:
    """A chest with its lower drawer open, a microwave, a block."""
    base = sample("open_drawer", seed=3, catalogue="core")
    return dataclasses.replace(base, scene=dataclasses.replace(base.scene, fixtures=(CHEST, OVEN), props=(BLOCK,)))


def _state(bottom: float = 0.1, top: float = 0.0, door: float = 0.0, block: Pose | None = None, touching: tuple[str, ...] = ("chest",)) -> WorldState:
    return WorldState(
        props={"block": block or pose(BLOCK.pos_world)},
        held=frozenset(),
        fixture_joints={"chest/bottom": bottom, "chest/top": top, "oven/door": door},
        find_touching=lambda: frozenset(frozenset(("block", other)) for other in touching),
        ee_pos_world=np.array([0.4, 0.0, 0.4]),
        touched_by_robot=frozenset(),
        gripper_command=-1.0,
        find_speed_m_s=lambda prop: 0.0,
    )


def _holds(spec: EpisodeSpec, state: WorldState, name: str, *args: str) -> bool:
    return bool(compile_predicate(Predicate(name=name, args=args), spec)(state))


def test_a_drawer_is_open_closed_or_neither(spec: EpisodeSpec) -> None:
    for bottom, is_open, is_closed in ((0.1, True, False), (0.05, False, False), (0.005, False, True)):
        state = _state(bottom=bottom)
        assert _holds(spec, state, "open", "chest/bottom") == is_open and _holds(spec, state, "closed", "chest/bottom") == is_closed


def test_a_door_counts_in_radians(spec: EpisodeSpec) -> None:
    assert not _holds(spec, _state(door=0.9), "open", "oven/door") and _holds(spec, _state(door=1.05), "open", "oven/door")
    assert _holds(spec, _state(door=0.05), "closed", "oven/door") and not _holds(spec, _state(door=0.1), "closed", "oven/door")
    assert not _holds(spec, _state(door=0.1), "moved", "oven/door") and _holds(spec, _state(door=0.2), "moved", "oven/door")


def test_moved_counts_from_where_the_joint_began(spec: EpisodeSpec) -> None:
    assert not _holds(spec, _state(bottom=0.095), "moved", "chest/bottom") and _holds(spec, _state(bottom=0.08), "moved", "chest/bottom")
    assert not _holds(spec, _state(), "moved", "chest/top") and _holds(spec, _state(top=0.02), "moved", "chest/top")


def _in_drawer(x: float, y: float, z: float) -> Pose:
    chest = pose(CHEST.pos_world, from_yaw(CHEST.yaw_rad))
    return chest @ pose((x, y, z))


def test_what_lies_in_a_drawer_goes_with_it_and_must_be_let_go(spec: EpisodeSpec) -> None:
    inside = _in_drawer(0.13, 0.0, 0.02)
    assert _holds(spec, _state(block=inside), "in_drawer", "block", "chest/bottom")
    assert not _holds(spec, _state(block=inside), "in_drawer", "block", "chest/top")
    assert not _holds(spec, _state(block=inside, bottom=0.0), "in_drawer", "block", "chest/bottom")  # the drawer went without it
    assert not _holds(spec, _state(block=inside, touching=("chest", "robot")), "in_drawer", "block", "chest/bottom")
    assert not _holds(spec, _state(block=inside, touching=()), "in_drawer", "block", "chest/bottom")  # still falling
    assert not _holds(spec, _state(block=_in_drawer(0.13, 0.0, 0.09)), "in_drawer", "block", "chest/bottom")  # over it
    assert not _holds(spec, _state(block=_in_drawer(0.28, 0.0, 0.02)), "in_drawer", "block", "chest/bottom")  # before it


def test_what_cannot_be_meant_is_refused(spec: EpisodeSpec) -> None:
    with pytest.raises(BadSpec, match=r"nothing can lie in 'oven/door': its file gives no inside_m"):
        compile_predicate(Predicate(name="in_drawer", args=("block", "oven/door")), spec)
    with pytest.raises(UnknownName, match=r"no joint of 'chest' is called 'botom'\. Did you mean bottom"):
        compile_predicate(Predicate(name="closed", args=("chest/botom",)), spec)
