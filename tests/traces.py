"""Specs, traces, results and headers written by hand: whatever is not said stands still, touches nothing and is not met."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vlagym.envs.types import (
    CONTACT_KINDS,
    ActionComponent,
    ActionSpec,
    Certificate,
    EndedBy,
    EpisodeResult,
    EpisodeSpec,
    ErrorRecord,
    FixtureSpec,
    Outcome,
    PhysicsSpec,
    Predicate,
    PropSpec,
    RunHeader,
    SceneSpec,
    Trace,
    stream,
)
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing

RATE_HZ = 20.0
SUBSTEP_S = 0.01
"""Coarser than in an episode, so that 0.1 s are 10 substeps and a control step is 5."""
SUBSTEPS = 5

EE_DELTA = ActionSpec(
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
    rate_hz=RATE_HZ,
)


JOINT_DELTA = ActionSpec(
    name="joint_delta",
    components=(
        ActionComponent(
            name="joints", size=7, convention="joint_delta", frame="joint", unit="rad", scale=0.1, low=(-1.0,) * 7, high=(1.0,) * 7
        ),
        EE_DELTA.components[2],
    ),
    rate_hz=RATE_HZ,
)


def predicate(text: str) -> Predicate:
    """Returns the predicate that prints as `text`, e.g. "on(mug, plate)"."""
    name, _, rest = text.partition("(")
    return Predicate(name=name, args=tuple(a.strip() for a in rest.rstrip(")").split(",")))


def make_spec(
    *,
    props: Sequence[str] = ("mug", "plate", "can"),
    goal: Sequence[str] = ("on(mug, plate)",),
    stages: Sequence[str] = ("held(mug)", "on(mug, plate)"),
    fixtures: Mapping[str, Sequence[str]] | None = None,
    hold_s: float = 0.1,
    seed: int = 0,
    **changes: Any,
) -> EpisodeSpec:
    """Returns a spec: mug, plate and can on a table, "put the mug on the plate". The hold of 0.1 s is two control steps.

    Args:
      props: Names of the props, which stand 0.1 m from each other along x, at height 0.
      goal: As `predicate` reads them.
      stages: Likewise.
      fixtures: Name of each fixture -> names of its joints.
      hold_s: Of the spec.
      seed: Tells specs apart.
      **changes: Further fields of EpisodeSpec.
    """
    scene = SceneSpec(
        arena="table",
        props=tuple(PropSpec(name=n, asset=n, pos_world=(0.1 * i, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0)) for i, n in enumerate(props)),
        fixtures=tuple(
            FixtureSpec(name=n, asset=n, pos_world=(0.0, 0.5, 0.0), yaw_rad=0.0, joints=tuple((j, 0.0) for j in joints))
            for n, joints in (fixtures or {}).items()
        ),
        physics=PhysicsSpec(timestep_s=SUBSTEP_S),
    )
    spec = EpisodeSpec(
        task="place_on",
        robot="panda",
        scene=scene,
        robot_qpos=(0.0,) * 7,
        goal=tuple(map(predicate, goal)),
        stages=tuple(map(predicate, stages)),
        alternatives=(),
        instruction="put the mug on the plate",
        phrase="on-01",
        control=EE_DELTA,
        horizon_s=10.0,
        hold_s=hold_s,
        seed=seed,
    )
    return dataclasses.replace(spec, **changes)


def make_trace(
    spec: EpisodeSpec | None = None,
    *,
    steps: int = 4,
    forces: Mapping[str, Mapping[int, float]] | None = None,
    ended_by: EndedBy = "horizon",
    latency_s: Sequence[float] = (),
    call_step: Sequence[int] | None = None,
    actions: Sequence[Sequence[float]] | None = None,
    safety: Sequence[int] | None = None,
    **columns: Any,
) -> Trace:
    """Returns a trace of `steps` control steps.

    Args:
      spec: Default: `make_spec()`.
      steps: T.
      forces: Kind of contact -> {substep from the beginning of the episode: N}.
      ended_by: Of the trace.
      latency_s: One for each call of the policy.
      call_step: The steps at which it was called, one a call; None: the first ones. Alone, it gives each call 0.01 s.
      actions: `(T, D)`; None: zeros.
      safety: What the safety filter did at each step; None: there was none.
      **columns: Columns of the trace, each with T + 1 rows. `height_m={"mug": [...]}`, `x_m={...}`, `tilt_deg={...}`, `held={...}`,
        `touched_n={...}` set single props by name, `joint={...}` and `fixture_touched_n={...}` the joints ("cabinet/drawer") and fixtures.
    """
    spec = spec or make_spec()
    rows = steps + 1
    prop_names = [p.name for p in spec.scene.props]
    fixture_names = [f.name for f in spec.scene.fixtures]
    joint_names = [f"{f.name}/{j}" for f in spec.scene.fixtures for j, _ in f.joints]
    pos = np.tile(np.array([p.pos_world for p in spec.scene.props], float).reshape(1, -1, 3), (rows, 1, 1))
    values: dict[str, Any] = {
        "goal_met": np.zeros((rows, len(spec.goal)), bool),
        "alternative_met": np.zeros((rows, len(spec.alternatives)), bool),
        "step_met": np.zeros((rows, len(spec.steps)), bool),
        "stage_met": np.zeros((rows, len(spec.stages)), bool),
        "ee_pos_world_m": np.zeros((rows, 1, 3)),
        "ee_quat_world_wxyz": np.tile([1.0, 0.0, 0.0, 0.0], (rows, 1, 1)),
        "gripper_opening_m": np.full((rows, 1), 0.08),
        "joint_pos": np.zeros((rows, 7)),
        "joint_vel": np.zeros((rows, 7)),
        "prop_pos_world_m": pos,
        "prop_quat_world_wxyz": np.tile([1.0, 0.0, 0.0, 0.0], (rows, len(prop_names), 1)),
        "prop_is_held": np.zeros((rows, len(prop_names)), bool),
        "prop_robot_force_n": np.zeros((rows, len(prop_names)), np.float32),
        "fixture_joint_pos": np.zeros((rows, len(joint_names))),
        "fixture_robot_force_n": np.zeros((rows, len(fixture_names)), np.float32),
        "base_pose_world": np.zeros((rows, 3)),
        "com_margin_m": np.zeros((rows, int(spec.robot_base == "legs"))),
        "foot_slip_m": np.zeros((rows, int(spec.robot_base == "legs"))),
        "is_fallen": np.zeros(rows, bool),
        "torque_share": np.zeros(rows),
        "joint_margin_rad": np.full(rows, 0.5),
        "energy_j": np.zeros(rows),
        "time_s": np.arange(rows) / RATE_HZ,
    }
    by_name = {
        "height_m": (pos[:, :, 2], prop_names),
        "x_m": (pos[:, :, 0], prop_names),
        "held": (values["prop_is_held"], prop_names),
        "touched_n": (values["prop_robot_force_n"], prop_names),
        "joint": (values["fixture_joint_pos"], joint_names),
        "fixture_touched_n": (values["fixture_robot_force_n"], fixture_names),
    }
    for name, (target, known) in by_name.items():
        for who, column in columns.pop(name, {}).items():
            target[:, known.index(who)] = column
    for who, degrees in columns.pop("tilt_deg", {}).items():
        half = np.radians(np.asarray(degrees, float)) / 2
        values["prop_quat_world_wxyz"][:, prop_names.index(who)] = np.stack([np.cos(half), np.sin(half), 0 * half, 0 * half], axis=1)
    for name, value in columns.items():
        assert name in values, f"there is no column {name!r}"
        values[name] = np.asarray(value, values[name].dtype).reshape(rows, *values[name].shape[1:])
    force = np.zeros((steps * SUBSTEPS, len(CONTACT_KINDS)), np.float32)
    for kind, entries in (forces or {}).items():
        for substep, newton in entries.items():
            force[substep, CONTACT_KINDS.index(kind)] = newton
    if call_step is not None and not len(latency_s):
        latency_s = [0.01] * len(call_step)
    return Trace(
        spec=spec,
        actions=np.zeros((steps, spec.control.size), np.float32) if actions is None else np.array(actions, np.float32),
        columns=values,
        contact_force_n=force.reshape(steps, SUBSTEPS, len(CONTACT_KINDS)),
        ended_by=ended_by,
        latency_s=np.array(latency_s, np.float64),
        call_step=np.arange(len(latency_s), dtype=np.int32) if call_step is None else np.array(call_step, np.int32),
        safety=np.full(steps, -1, np.int8) if safety is None else np.array(safety, np.int8),
    )


def make_result(spec: EpisodeSpec | None = None, *, outcome: Outcome = "success", **changes: Any) -> EpisodeResult:
    """Returns the result of an episode of 4 steps; an errored one has no measures and an error record."""
    spec = spec or make_spec()
    is_error = outcome == "error"
    digest = spec.digest()
    result = EpisodeResult(
        digest=digest,
        task=spec.task,
        robot=spec.robot,
        robot_base=spec.robot_base,
        level=spec.level,
        axes=dict(spec.axes),
        base=spec.base,
        seed=spec.seed,
        instruction=spec.instruction,
        outcome=outcome,
        ended_by="policy_error" if is_error else "goal" if outcome == "success" else "horizon",
        measures={} if is_error else {"success": float(outcome == "success"), "steps": 4.0},
        steps=4,
        time_s=0.2,
        wall_s=0.5,
        attempt=1,
        error=ErrorRecord(type="ValueError", message="no", traceback="Traceback …") if is_error else None,
        certificate=Certificate(spec=digest, model="1" * 32, initial_state="2" * 32, actions="3" * 32, final_state="4" * 32, frames=None),
    )
    return dataclasses.replace(result, **changes)


def make_header(*, policy: str = "hold", suite: str = "smoke", episodes: int | None = None, **changes: Any) -> RunHeader:
    """Returns the header of a run of `policy` on `suite`."""
    header = RunHeader(
        schema=1,
        suite={"name": suite, "version": 1, "digest": "a" * 32} | ({} if episodes is None else {"episodes": episodes}),
        policy={"name": policy, "options": {}, "card": {}, "privileged": policy == "expert"},
        robot_looks={"panda": "gymnasium_robotics"},
        quality="fast",
        conventions={},
        seeds={},
        packages={"vlagym": "0.1.0", "mujoco": "3.17.0", "numpy": "2.4.6"},
        gl_renderer=None,
        machine={"cpu": "abacus"},
        command=("vlagym", "run"),
        started="2026-01-02T03:04:05+00:00",
    )
    return dataclasses.replace(header, **changes)


def make_dataset_info(**changes: Any) -> DatasetInfo:
    """Returns a dataset of two cameras, `front` of 8 pixels and `wrist` of 4, an image at each step."""
    info = DatasetInfo(
        action=EE_DELTA,
        images={"front": ImagePreprocessing(crop=192, size=8), "wrist": ImagePreprocessing(crop=256, size=4)},
        provenance={"command": ["vlagym", "demo"]},
    )
    return dataclasses.replace(info, **changes)


def make_demonstration(seed: int = 0, *, steps: int = 7, info: DatasetInfo | None = None, **changes: Any) -> Demonstration:
    """Returns a demonstration of random numbers, different for each seed, that fits the dataset."""
    info = info or make_dataset_info()
    spec = make_spec(seed=seed, props=("mug", "plate"))
    rng = stream(seed, "demonstration")

    def drawn(*shape: int) -> Any:
        return rng.uniform(-1, 1, (steps, *shape)).astype(np.float32)

    quat = drawn(4)
    image_steps = np.arange(0, steps, info.frame_stride)
    demonstration = Demonstration(
        spec=spec,
        digest=spec.digest(),
        instruction=spec.instruction,
        actions=drawn(7),
        executed_actions=drawn(7),
        images={c: rng.integers(0, 256, (len(image_steps), p.size, p.size, 3), dtype=np.uint8) for c, p in info.images.items()},
        image_steps=image_steps,
        proprio={
            "joint_pos_rad": drawn(7),
            "ee_pos_base_m": drawn(3),
            "ee_quat_base_wxyz": quat / np.linalg.norm(quat, axis=1, keepdims=True),
            "gripper_opening_m": np.abs(drawn(1)),
        },
        privileged={"prop_pos_world_m": drawn(2, 3).astype(np.float64), "fixture_joint_pos": drawn(0), "stage_met": drawn(2) > 0},
        commands={name: drawn(command.size) for name, command in info.commands.items()},
    )
    return dataclasses.replace(demonstration, **changes)
