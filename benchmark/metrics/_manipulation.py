"""Which things the robot manipulated, and when first."""

from __future__ import annotations

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec, Trace

DISPLACED_M = 0.02
"""A thing that the robot touched counts as moved beyond this distance from where it stood at the start; a joint of a fixture beyond as many
metres or radians."""


def first_manipulated(trace: Trace, spec: EpisodeSpec) -> dict[str, int]:
    """Returns the things that the robot manipulated, each with the first row of the trace at which it had.

    A prop is manipulated once it is held, or has moved by more than `DISPLACED_M` after the robot touched it: what slides about in a drawer
    that is opened, or is hit by another object, is not manipulated. A fixture is manipulated once one of its joints has moved that far after the
    robot touched the fixture.

    Raises:
      BadData: If the columns do not have one entry for each prop, fixture and fixture joint of the spec.
    """
    columns = trace.columns
    props, fixtures = spec.scene.props, spec.scene.fixtures
    owners = [x for x, fixture in enumerate(fixtures) for _ in fixture.joints]
    for name, wanted in (
        ("prop_pos_world_m", len(props)),
        ("prop_is_held", len(props)),
        ("prop_robot_force_n", len(props)),
        ("fixture_robot_force_n", len(fixtures)),
        ("fixture_joint_pos", len(owners)),
    ):
        if columns[name].shape[1] != wanted:
            hint = ". FixtureSpec.joints must list every joint of its fixture" if name == "fixture_joint_pos" else ""
            raise BadData(f"the column {name!r} has {columns[name].shape[1]} entries a row; the spec of {spec.task!r} has {wanted}{hint}")

    pos = columns["prop_pos_world_m"]
    moved = np.linalg.norm(pos - pos[:1], axis=2) > DISPLACED_M
    touched = np.maximum.accumulate(columns["prop_robot_force_n"] > 0, axis=0)
    prop_done = columns["prop_is_held"].astype(bool) | (moved & touched)

    joints = columns["fixture_joint_pos"]
    joint_moved = np.abs(joints - joints[:1]) > DISPLACED_M
    fixture_moved = np.zeros((joints.shape[0], len(fixtures)), dtype=bool)
    for joint, fixture in enumerate(owners):
        fixture_moved[:, fixture] |= joint_moved[:, joint]
    fixture_done = fixture_moved & np.maximum.accumulate(columns["fixture_robot_force_n"] > 0, axis=0)

    first: dict[str, int] = {}
    names = [p.name for p in props] + [f.name for f in fixtures]
    for name, rows in zip(names, np.concatenate([prop_done, fixture_done], axis=1).T, strict=True):
        if rows.any():
            first[name] = int(rows.argmax())
    return first
