"""Synthetic episodes: made of numbers, not of physics, and odd on purpose. What is handed out cannot be written to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import (
    CONTACT_KINDS,
    ActionComponent,
    ActionSpec,
    CameraSpec,
    EpisodeSpec,
    FixtureSpec,
    Predicate,
    PropSpec,
    SceneSpec,
    Trace,
    stream,
)

NUM_STEPS = 40
NUM_SUBSTEPS = 25
NUM_JOINTS = 7

ACTION = ActionSpec(
    name="ee_delta",
    components=(
        ActionComponent(
            name="translation", size=3, convention="delta_position", frame="base", unit="m", scale=0.05, low=(-1.0,) * 3, high=(1.0,) * 3
        ),
        ActionComponent(
            name="rotation", size=3, convention="delta_axis_angle", frame="base", unit="rad", scale=0.25, low=(-1.0,) * 3, high=(1.0,) * 3
        ),
        ActionComponent(
            name="gripper", size=1, convention="gripper_closed_positive", frame="joint", unit="fraction", scale=1.0, low=(-1.0,), high=(1.0,)
        ),
    ),
    rate_hz=20.0,
)

_UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def spec(*, props: int = 2, fixtures: int = 0) -> EpisodeSpec:
    """Returns an episode whose goal names the first props, or the drawer of the first fixture where there are no props.

    Args:
      props: Number of free objects.
      fixtures: Number of cabinets, each with one drawer.
    """
    names = [("mug", "plate", "block", "can")[i] for i in range(props)]
    goal = (Predicate(name="on", args=(names[0], names[1])),) if props > 1 else (Predicate(name="open", args=("cabinet_0/drawer",)),)
    return EpisodeSpec(
        task="synthetic",
        robot="synthetic",
        scene=SceneSpec(
            arena="synthetic",
            props=tuple(
                PropSpec(name=name, asset=f"synthetic_{name}", pos_world=(0.4, 0.1 * i, 0.0), quat_world_wxyz=_UPRIGHT)
                for i, name in enumerate(names)
            ),
            fixtures=tuple(
                FixtureSpec(name=f"cabinet_{i}", asset="synthetic_cabinet", pos_world=(0.5, -0.3, 0.0), yaw_rad=0.0, joints=(("drawer", 0.0),))
                for i in range(fixtures)
            ),
            cameras=(CameraSpec(name="front", parent="world", pos_parent=(1.2, 0.0, 0.6), quat_parent_wxyz=_UPRIGHT, fovy_deg=45.0),),
        ),
        robot_qpos=(0.0,) * NUM_JOINTS,
        goal=goal,
        stages=(Predicate(name="held", args=(names[0],)), *goal) if props > 1 else goal,
        alternatives=(),
        instruction="put the mug on the plate" if props > 1 else "open the drawer",
        phrase="synthetic",
        control=ACTION,
        horizon_s=NUM_STEPS / ACTION.rate_hz,
    )


def traces() -> dict[str, Trace]:
    """Returns what a trace can look like, by a label that fits after "on"."""
    drawer = spec(props=0, fixtures=1)
    return {
        "an episode in which nothing happens": _trace(spec()),
        "an episode that carries the right prop to its goal": _carried(spec(props=4, fixtures=1)),
        "an episode of noise, with blows and drops": _noisy(spec(props=3, fixtures=1)),
        "an episode without props": _noisy(drawer),
        "an episode that ended before its first step": _trace(spec(), steps=0),
        "an episode of one step in which everything moved": _noisy(spec(), steps=1),
    }


def _trace(of: EpisodeSpec, *, steps: int = NUM_STEPS, forces: NDArray[np.float32] | None = None, **changes: NDArray[Any]) -> Trace:
    """Returns a trace in which all stands still, but for the columns that are given."""
    rows, props, fixtures = steps + 1, len(of.scene.props), len(of.scene.fixtures)
    still = np.array([p.pos_world for p in of.scene.props], np.float64).reshape(props, 3)
    columns: dict[str, NDArray[Any]] = {
        "goal_met": np.zeros((rows, len(of.goal)), np.bool_),
        "alternative_met": np.zeros((rows, len(of.alternatives)), np.bool_),
        "step_met": np.zeros((rows, len(of.steps)), np.bool_),
        "stage_met": np.zeros((rows, len(of.stages)), np.bool_),
        "ee_pos_world_m": np.tile(np.array([0.3, 0.0, 0.4]), (rows, 1, 1)),
        "ee_quat_world_wxyz": np.tile(np.array(_UPRIGHT), (rows, 1, 1)),
        "gripper_opening_m": np.full((rows, 1), 0.08),
        "joint_pos": np.zeros((rows, NUM_JOINTS)),
        "joint_vel": np.zeros((rows, NUM_JOINTS)),
        "prop_pos_world_m": np.tile(still, (rows, 1, 1)),
        "prop_quat_world_wxyz": np.tile(np.array(_UPRIGHT), (rows, props, 1)),
        "prop_is_held": np.zeros((rows, props), np.bool_),
        "prop_robot_force_n": np.zeros((rows, props), np.float32),
        "fixture_joint_pos": np.zeros((rows, fixtures)),
        "fixture_robot_force_n": np.zeros((rows, fixtures), np.float32),
        "base_pose_world": np.zeros((rows, 3)),
        "com_margin_m": np.zeros((rows, 0)),
        "foot_slip_m": np.zeros((rows, 0)),
        "is_fallen": np.zeros(rows, np.bool_),
        "torque_share": np.full(rows, 0.2),
        "joint_margin_rad": np.full(rows, 0.5),
        "energy_j": np.zeros(rows),
        "time_s": np.arange(rows) / of.control.rate_hz,
        **changes,
    }
    if forces is None:
        forces = np.zeros((steps, NUM_SUBSTEPS, len(CONTACT_KINDS)), np.float32)
    calls = np.arange(0, steps, 8, dtype=np.int32)
    return Trace(
        spec=of,
        actions=_locked(np.zeros((steps, of.control.size), np.float32)),
        columns={name: _locked(column) for name, column in columns.items()},
        contact_force_n=_locked(forces),
        ended_by="goal" if columns["goal_met"][-1].all() else "horizon",
        latency_s=_locked(np.full(len(calls), 0.01)),
        call_step=_locked(calls),
        safety=_locked(np.full(steps, -1, np.int8)),
    )


def _carried(of: EpisodeSpec) -> Trace:
    """The first prop is grasped after a quarter, carried in an arc, and let go over the second at three quarters."""
    rows = NUM_STEPS + 1
    t = np.clip((np.arange(rows) / NUM_STEPS - 0.25) / 0.5, 0.0, 1.0)
    start, goal = (np.array(of.scene.props[i].pos_world) for i in (0, 1))
    pos = np.tile(np.array([p.pos_world for p in of.scene.props]), (rows, 1, 1))
    pos[:, 0] = start + t[:, None] * (goal - start) + np.array([0.0, 0.0, 0.15]) * np.sin(np.pi * t)[:, None]
    held = np.zeros((rows, len(of.scene.props)), np.bool_)
    held[:, 0] = (t > 0.0) & (t < 1.0)
    done = (t >= 1.0)[:, None]
    return _trace(
        of,
        prop_pos_world_m=pos,
        ee_pos_world_m=pos[:, :1] + np.array([0.0, 0.0, 0.02]),
        prop_is_held=held,
        prop_robot_force_n=20.0 * held.astype(np.float32),
        goal_met=np.tile(done, (1, len(of.goal))),
        stage_met=np.concatenate([held[:, :1], *[done] * (len(of.stages) - 1)], axis=1),
        energy_j=np.full(rows, 0.5),
    )


def _noisy(of: EpisodeSpec, steps: int = NUM_STEPS) -> Trace:
    rng = stream(0, "checks", of.digest(), str(steps))
    rows, props, fixtures = steps + 1, len(of.scene.props), len(of.scene.fixtures)
    blows = rng.random((steps, NUM_SUBSTEPS, len(CONTACT_KINDS)))
    return _trace(
        of,
        steps=steps,
        forces=np.where(blows > 0.98, 1e3 * blows, 0.0).astype(np.float32),
        goal_met=rng.random((rows, len(of.goal))) > 0.5,
        stage_met=rng.random((rows, len(of.stages))) > 0.5,
        alternative_met=rng.random((rows, len(of.alternatives))) > 0.5,
        ee_pos_world_m=rng.normal(size=(rows, 1, 3)),
        joint_pos=rng.normal(size=(rows, NUM_JOINTS)),
        joint_vel=rng.normal(size=(rows, NUM_JOINTS)),
        prop_pos_world_m=rng.normal(size=(rows, props, 3)),
        prop_is_held=rng.random((rows, props)) > 0.7,
        prop_robot_force_n=(30.0 * rng.random((rows, props))).astype(np.float32),
        fixture_joint_pos=rng.normal(size=(rows, fixtures)),
        fixture_robot_force_n=(30.0 * rng.random((rows, fixtures))).astype(np.float32),
        energy_j=rng.random(rows),
    )


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    out = np.array(array)
    out.flags.writeable = False
    return out


def proprio(sizes: Mapping[str, int], seed: int) -> dict[str, NDArray[np.float32]]:
    """Returns proprioception of the given sizes: unit quaternions, else numbers between -1 and 1."""
    rng = stream(seed, "checks", "proprio")
    drawn = {name: rng.uniform(-1.0, 1.0, size).astype(np.float32) for name, size in sorted(sizes.items())}
    return {name: value / np.linalg.norm(value) if "quat" in name else value for name, value in drawn.items()}
