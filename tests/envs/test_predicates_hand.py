"""Touched, held, lifted, over: what they say of states that are written by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlagym.envs.errors import UnknownName
from vlagym.envs.frames import pose
from vlagym.envs.predicates import Check, WorldState, compile_predicate
from vlagym.envs.types import EpisodeSpec, Predicate

CUP, BLOCK = "cup_red", "block_red"


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """A block, and a cup with one bead in it."""
    laid = lay_table(props={CUP: (0.4, 0.0), BLOCK: (0.5, 0.0), "bead_red": (0.4, 0.0)})
    *others, bead = laid.scene.props
    filled = (*others, dataclasses.replace(bead, name="bead", content_of=CUP))
    return dataclasses.replace(laid, scene=dataclasses.replace(laid.scene, props=filled))


def _state(height_m: float = 0.0, held: Sequence[str] = (), touching: Sequence[tuple[str, str]] = ()) -> WorldState:
    return WorldState(
        props={CUP: pose((0.4, 0.0, height_m)), BLOCK: pose((0.5, 0.0, height_m)), "bead": pose((0.4, 0.0, height_m))},
        held=frozenset(held),
        fixture_joints={},
        find_touching=lambda: frozenset(frozenset(pair) for pair in touching),
        ee_pos_world=np.array([0.4, 0.0, 0.4]),
        touched_by_robot=frozenset(held),
        gripper_command=1.0,
        find_speed_m_s=lambda prop: 0.0,
    )


def _check(spec: EpisodeSpec, name: str, *args: str) -> Check:
    return compile_predicate(Predicate(name=name, args=args), spec)


def test_lifted_asks_for_three_centimetres_over_the_start(spec: EpisodeSpec) -> None:
    lifted, grip = _check(spec, "lifted", BLOCK), [(BLOCK, "robot")]
    assert not lifted(_state(0.004, (BLOCK,), grip)) and not lifted(_state(0.029, (BLOCK,), grip))
    assert lifted(_state(0.031, (BLOCK,), grip))
    assert not lifted(_state(0.1)), "it is not in the hand"
    assert not lifted(_state(0.1, (BLOCK,), [*grip, (BLOCK, CUP)])), "it stands on the cup"


def test_lifted_counts_from_where_the_thing_began(spec: EpisodeSpec) -> None:
    props = tuple(dataclasses.replace(p, pos_world=(0.5, 0.0, 0.05)) if p.name == BLOCK else p for p in spec.scene.props)
    lifted = _check(dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props)), "lifted", BLOCK)
    assert not lifted(_state(0.07, (BLOCK,))) and lifted(_state(0.09, (BLOCK,)))


def test_what_lies_in_a_cup_does_not_support_it(spec: EpisodeSpec) -> None:
    assert _check(spec, "lifted", CUP)(_state(0.1, (CUP,), [(CUP, "robot"), (CUP, "bead")]))


def test_touched_and_held_tell_a_press_from_a_grip(spec: EpisodeSpec) -> None:
    assert _check(spec, "held", CUP)(_state(held=(CUP,))) and not _check(spec, "held", BLOCK)(_state(held=(CUP,)))
    assert _check(spec, "touched", CUP)(_state(held=(CUP,))) and not _check(spec, "touched", BLOCK)(_state(held=(CUP,)))


def test_an_unknown_thing_is_answered_with_the_near_names(spec: EpisodeSpec) -> None:
    with pytest.raises(UnknownName, match=r"'blok_red'.*block_red"):
        _check(spec, "lifted", "blok_red")
