"""The running physics: owns MjModel and MjData; set, settle, step, read. The only file that calls mj_step."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.contacts import ContactTracker
from vlagym.envs.errors import BadSpec, Divergence
from vlagym.envs.frames import Pose
from vlagym.envs.robot import Robot
from vlagym.envs.scene import SceneModel
from vlagym.envs.types import EpisodeSpec, sha_arrays

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)


class Simulation:
    """One scene in motion."""

    def __init__(self, scene: SceneModel, spec: EpisodeSpec, robot: Robot) -> None:
        import mujoco

        mujoco.set_mju_user_warning(_log.warning)  # without a handler MuJoCo writes MUJOCO_LOG.TXT into the current folder
        self._mj = mujoco
        self.scene = scene
        self.model = scene.model
        self.data = mujoco.MjData(scene.model)
        self._spec = spec
        self._robot = robot
        hand = robot.end_effectors[0]
        model = self.model
        self._arm_ctrl = _as_slice([model.actuator(a).id for a in robot.actuators])
        self._finger_ctrl = np.array([model.actuator(a).id for a in hand.finger_actuators])
        self._finger_qpos = np.array([int(model.joint(j).qposadr[0]) for j in hand.finger_joints])
        self._opening_table = np.array(hand.opening_of_joint_m, np.float64).reshape(-1, 2)
        self._site = model.site(hand.site).id
        self._prop_columns = scene.prop_qpos[:, None] + np.arange(7)
        self._quat = np.zeros(4)
        timestep = spec.scene.physics.timestep_s
        self.num_substeps = round(1.0 / (spec.control.rate_hz * timestep))
        if abs(self.num_substeps * timestep * spec.control.rate_hz - 1.0) > 1e-6:
            raise BadSpec(f"a control step of 1/{spec.control.rate_hz:g} s is not a whole number of timesteps of {timestep:g} s")
        if len(spec.robot_qpos) != len(robot.joints):
            raise BadSpec(f"robot_qpos has {len(spec.robot_qpos)} entries; {robot.name} has {len(robot.joints)} joints")
        self._ramp = ((np.arange(self.num_substeps) + 1) / self.num_substeps)[:, None]
        self._forces, self._velocities = (np.zeros((self.num_substeps, model.nu)) for _ in range(2))
        self.energy_j = 0.0
        """Of the last control step."""

    def start(self) -> None:
        """Sets the start state of the spec, lets it settle for the stated time, and computes what is read."""
        mj, model, data, spec = self._mj, self.model, self.data, self._spec
        mj.mj_resetData(model, data)
        data.qpos[self.scene.joint_qpos] = spec.robot_qpos
        hand = self._robot.end_effectors[0]
        data.qpos[self._finger_qpos] = hand.open_ctrl
        for fixture in spec.scene.fixtures:
            for name, value in fixture.joints:
                at = self.scene.fixture_joint_names.index(f"{fixture.name}/{name}")
                data.qpos[self.scene.fixture_joint_qpos[at]] = value
        data.ctrl[self._arm_ctrl] = spec.robot_qpos
        data.ctrl[self._finger_ctrl] = hand.open_ctrl
        mj.mj_step(model, data, round(spec.scene.physics.settle_s / spec.scene.physics.timestep_s))
        data.time = 0.0
        self._check()
        self._read()

    def step(self, joint_target: Array, finger_target: float, tracker: ContactTracker) -> None:
        """Simulates one control step; targets are approached in a straight line over its substeps.

        Args:
          joint_target: (n,) rad for the arm.
          finger_target: For each finger actuator.
          tracker: Is shown the contacts of every substep.

        Raises:
          Divergence: If MuJoCo warned of a bad state, or the state is not finite.
        """
        mj, model, data = self._mj, self.model, self.data
        begin = data.ctrl[self._arm_ctrl].copy()
        path = begin + self._ramp * (joint_target - begin)
        data.ctrl[self._finger_ctrl] = finger_target
        ctrl, arm, step, record = data.ctrl, self._arm_ctrl, mj.mj_step, tracker.record
        force, velocity, forces, velocities = data.actuator_force, data.actuator_velocity, self._forces, self._velocities
        for i, target in enumerate(path):
            ctrl[arm] = target
            step(model, data)
            record(data)
            forces[i], velocities[i] = force, velocity
        self.energy_j = float(np.abs(forces * velocities).sum()) * float(model.opt.timestep)
        self._check()
        self._read()

    def _check(self) -> None:
        data = self.data
        numbers = data.warning.number
        if numbers.any():
            raised = ", ".join(_warning_name(int(i)) for i in np.flatnonzero(numbers))
            raise Divergence(f"MuJoCo warned of {raised} at {data.time:.3f} s")
        if not math.isfinite(float(data.qpos.sum() + data.qvel.sum())):
            raise Divergence(f"the state holds NaN or infinity at {data.time:.3f} s")

    def _read(self) -> None:
        # mj_step computes kinematics before it integrates: positions are brought up to the present qpos.
        mj = self._mj
        mj.mj_kinematics(self.model, self.data)
        mj.mj_camlight(self.model, self.data)

    # ------------------------------------------------------------------------------------------------------------ what is read
    @property
    def joint_pos(self) -> Array:
        """(n,) rad, a copy."""
        return np.array(self.data.qpos[self.scene.joint_qpos])

    @property
    def joint_vel(self) -> Array:
        """(n,) rad/s, a copy."""
        return np.array(self.data.qvel[self.scene.joint_dof])

    @property
    def finger_opening_m(self) -> float:
        """Distance between the finger pads."""
        fingers = self.data.qpos[self._finger_qpos]
        if len(self._opening_table):
            return float(np.interp(fingers.mean(), self._opening_table[:, 0], self._opening_table[:, 1]))
        return float(fingers.sum())

    @property
    def fixture_joint_pos(self) -> Array:
        """(F,) a copy."""
        return np.array(self.data.qpos[self.scene.fixture_joint_qpos])

    def prop_states(self) -> Array:
        """Returns (P, 7): position in m and quaternion wxyz in the world frame."""
        return np.array(self.data.qpos[self._prop_columns])

    def prop_speed_m_s(self, name: str) -> float:
        """Returns the speed of a prop's origin."""
        address = int(self.model.joint(name).dofadr[0])
        return float(np.linalg.norm(self.data.qvel[address : address + 3]))

    def ee_pose_world(self) -> Pose:
        """Returns the pose of the pinch point."""
        self._mj.mju_mat2Quat(self._quat, self.data.site_xmat[self._site])
        return Pose(self.data.site_xpos[self._site].copy(), self._quat.copy())

    def touching(self) -> set[tuple[int, int]]:
        """Returns the pairs (a < b) of parties that press on each other at the last substep."""
        contact = self.data.contact
        geom = contact.geom
        if not len(geom):
            return set()
        address = contact.efc_address
        force = np.where(address >= 0, self.data.efc_force[address], 0.0)
        pairs = np.sort(self.scene.geom_party[geom[force > 0.0]], axis=1)
        return {(a, b) for a, b in pairs.tolist()}

    def state(self) -> Array:
        """Returns the full integration state: qpos, qvel, controls, warm start."""
        mj = self._mj
        kind = mj.mjtState.mjSTATE_INTEGRATION
        out = np.empty(mj.mj_stateSize(self.model, kind))
        mj.mj_getState(self.model, self.data, out, kind)
        return out

    def state_digest(self) -> str:
        """Returns the digest of `state`."""
        return sha_arrays(self.state())


def _as_slice(ids: list[int]) -> slice | NDArray[np.intp]:
    """Returns ids as a slice where they follow each other: the faster way to write, in the innermost loop."""
    if ids == list(range(ids[0], ids[0] + len(ids))):
        return slice(ids[0], ids[0] + len(ids))
    return np.array(ids)


def _warning_name(index: int) -> str:
    import mujoco

    return str(mujoco.mjtWarning(index).name).removeprefix("mjWARN_")


def physics_digest(model: Any) -> str:
    """Returns the digest of a compiled model's physics: all that is computed from, but not what is only seen.

    Visual geoms, materials, meshes that do not collide, lights, cameras and names do not enter. What a release of MuJoCo adds to the physics
    of a model does, because arrays are taken in by their prefix and not by a list.
    """
    names = sorted(n for n in dir(model) if n.startswith(_PHYSICS_PREFIXES) and n not in _BOOKKEEPING)
    arrays = {n: getattr(model, n) for n in names}
    collides = np.flatnonzero((model.geom_contype != 0) | (model.geom_conaffinity != 0))
    parts: list[NDArray[Any]] = []
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            continue
        parts.append(np.array(value[collides] if name.startswith("geom_") else value))
    for g in collides:
        mesh = int(model.geom_dataid[g])
        if mesh >= 0 and model.geom_type[g] == _MESH:
            first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
            parts.append(np.array(model.mesh_vert[first : first + count]))
    option = model.opt
    for name in sorted(n for n in dir(option) if not n.startswith("_")):
        value = getattr(option, name)
        if isinstance(value, (int, float, np.ndarray)):
            parts.append(np.array(value, np.float64))
    return sha_arrays(*parts)


_MESH = 7
"""mjGEOM_MESH"""
_PHYSICS_PREFIXES = ("qpos", "body_", "jnt_", "dof_", "geom_", "actuator_", "eq_", "tendon_", "wrap_", "exclude_", "pair_", "site_")
_BOOKKEEPING = frozenset(
    """
    body_geomadr body_geomnum body_bvhadr body_bvhnum body_plugin body_user
    geom_bvhadr geom_dataid geom_group geom_matid geom_rgba geom_plugin geom_user
    site_rgba site_group site_matid site_user jnt_group jnt_user actuator_group actuator_user
    dof_length tendon_rgba tendon_group tendon_matid tendon_user
    """.split()
)
"""Arrays that say where things lie in other arrays, or how they look."""
