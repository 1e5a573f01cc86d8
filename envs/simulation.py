"""The running physics: owns MjModel and MjData; set, settle, step, read. The only file that calls mj_step."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.bases import PLANAR_JOINTS, ROOT, root_qpos
from vlagym.envs.contacts import ContactTracker
from vlagym.envs.errors import BadSpec, Divergence
from vlagym.envs.frames import Pose
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.scene import SceneModel
from vlagym.envs.types import EpisodeSpec, sha_arrays

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)


class Regulator(Protocol):
    """What keeps a robot on its legs, under whatever commands it: sets the controls of the joints that it owns."""

    joints: tuple[str, ...]
    """Of the robot, which nobody else commands."""
    every: int
    """It is asked once in so many substeps."""

    def reset(self, data: Any) -> None:
        """Begins an episode in the present state of `mujoco.MjData`."""

    def command(self, height_m: float, lean_rad: float) -> None:
        """Takes what a policy wants: how much lower than at the start the pelvis is to be (from 0 down), and how far the torso leans forward."""

    def update(self, data: Any) -> None:
        """Sets `data.ctrl` of its joints."""

    def height_m(self, data: Any) -> float:
        """Returns how much higher than at the start the pelvis is."""

    def lean_rad(self, data: Any) -> float:
        """Returns how far the torso leans forward."""

    def is_fallen(self, data: Any) -> bool:
        """Returns whether the robot has fallen."""

    def com_margin_m(self, data: Any) -> float:
        """Returns how far the centre of mass is within the support polygon; negative outside."""

    def foot_slip_m(self, data: Any) -> float:
        """Returns how far loaded soles slid since it was asked last."""


class Simulation:
    """One scene in motion."""

    def __init__(self, scene: SceneModel, spec: EpisodeSpec, robot: Robot, regulator: Regulator | None = None) -> None:
        import mujoco

        mujoco.set_mju_user_warning(_log.warning)  # without a handler MuJoCo writes MUJOCO_LOG.TXT into the current folder
        self._mj = mujoco
        self.scene = scene
        self.model = scene.model
        self.data = mujoco.MjData(scene.model)
        self._spec = spec
        self._robot = robot
        hands, model = robot.end_effectors, self.model
        self._regulator = regulator
        own = () if regulator is None else regulator.joints
        self._is_driven = np.array([joint not in own for joint in robot.joints])
        driven = [a for a, is_driven in zip(robot.actuators, self._is_driven, strict=True) if is_driven]
        self._glides = spec.robot_base == "planar"
        self._arm_ctrl = _as_slice([model.actuator(a).id for a in [*driven, *(PLANAR_JOINTS if self._glides else ())]])
        self._finger_ctrl = np.array([model.actuator(a).id for hand in hands for a in hand.finger_actuators])
        self._finger_qpos = [np.array([int(model.joint(j).qposadr[0]) for j in hand.finger_joints]) for hand in hands]
        self._sites = [model.site(hand.site).id for hand in hands]
        self._base_qpos = np.array([int(model.joint(j).qposadr[0]) for j in PLANAR_JOINTS]) if self._glides else None
        self._base_dof = np.array([int(model.joint(j).dofadr[0]) for j in PLANAR_JOINTS]) if self._glides else None
        self._weight = _Weight(model, robot, driven) if robot.feedforward else None
        self._target = np.zeros(0)
        self._force_max = np.where(model.actuator_forcelimited > 0, model.actuator_forcerange[:, 1], np.inf)
        self._force_max[self._finger_ctrl] = np.inf  # fingers hold with all the force that they have
        limited = [int(model.joint(j).id) for j in robot.joints]
        self._joint_range = model.jnt_range[limited]
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
        self.torque_share = 0.0
        """Of the last control step: the largest |force| of an actuator, as a share of its limit; fingers are not counted."""

    def start(self) -> None:
        """Sets the start state of the spec, lets it settle for the stated time, and computes what is read."""
        mj, model, data, spec = self._mj, self.model, self.data, self._spec
        mj.mj_resetData(model, data)
        data.qpos[self.scene.joint_qpos] = spec.robot_qpos
        hands = self._robot.end_effectors
        for hand, address in zip(hands, self._finger_qpos, strict=True):
            data.qpos[address] = hand.finger_ctrl(0.0)
        if self._base_qpos is not None:
            data.qpos[self._base_qpos] = spec.robot_start
        if spec.robot_base == "legs":
            root = int(model.joint(ROOT).qposadr[0])
            data.qpos[root : root + 7] = root_qpos(self._robot, spec.robot_start, self.scene.floor_m)
        for fixture in spec.scene.fixtures:
            for name, value in fixture.joints:
                at = self.scene.fixture_joint_names.index(f"{fixture.name}/{name}")
                data.qpos[self.scene.fixture_joint_qpos[at]] = value
        targets = np.array(spec.robot_qpos)[self._is_driven]
        self._target = np.concatenate([targets, spec.robot_start]) if self._glides else targets
        data.ctrl[self._arm_ctrl] = self._target
        data.ctrl[self._finger_ctrl] = np.concatenate([hand.finger_ctrl(0.0) for hand in hands])
        if self._regulator is not None:
            self._regulator.reset(data)
        steps = round(spec.scene.physics.settle_s / spec.scene.physics.timestep_s)
        if self._regulator is None and self._weight is None:
            mj.mj_step(model, data, steps)
        else:
            for i in range(steps):
                self._prepare(i, self._target)
                mj.mj_step(model, data)
        data.time = 0.0
        self._check()
        self._read()

    def _prepare(self, substep: int, target: Array) -> None:
        """Sets the controls of a substep: the targets, what the weight of the arms asks for, and the legs where they are kept in balance."""
        data = self.data
        data.ctrl[self._arm_ctrl] = target
        if self._weight is not None:
            self._weight.add(data)
        if self._regulator is not None and substep % self._regulator.every == 0:
            self._regulator.update(data)

    def step(self, joint_target: Array, finger_target: Array, tracker: ContactTracker, base_target: Array | None = None) -> None:
        """Simulates one control step; targets are approached in a straight line over its substeps.

        Args:
          joint_target: (n,) rad for the joints of the robot.
          finger_target: For each finger actuator, hand by hand.
          tracker: Is shown the contacts of every substep.
          base_target: (3,) m, m, rad, where a gliding base is to be.

        Raises:
          Divergence: If MuJoCo warned of a bad state, or the state is not finite.
        """
        mj, model, data = self._mj, self.model, self.data
        begin = self._target
        self._target = joint_target[self._is_driven] if base_target is None else np.concatenate([joint_target[self._is_driven], base_target])
        path = begin + self._ramp * (self._target - begin)
        data.ctrl[self._finger_ctrl] = finger_target
        ctrl, arm, step, record = data.ctrl, self._arm_ctrl, mj.mj_step, tracker.record
        force, velocity, forces, velocities = data.actuator_force, data.actuator_velocity, self._forces, self._velocities
        is_plain = self._weight is None and self._regulator is None
        for i, target in enumerate(path):
            if is_plain:
                ctrl[arm] = target
            else:
                self._prepare(i, target)
            step(model, data)
            record(data)
            forces[i], velocities[i] = force, velocity
        self.energy_j = float(np.abs(forces * velocities).sum()) * float(model.opt.timestep)
        self.torque_share = float((np.abs(forces).max(axis=0) / self._force_max).max())
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

    def command_base(self, height_m: float, lean_rad: float) -> None:
        """Tells a robot on its legs how high and how upright to be."""
        if self._regulator is not None:
            self._regulator.command(height_m, lean_rad)

    @property
    def height_m(self) -> float:
        """How much higher than at the start the pelvis of a robot on its legs is."""
        return self._legs.height_m(self.data)

    @property
    def lean_rad(self) -> float:
        """How far its torso leans forward."""
        return self._legs.lean_rad(self.data)

    def base_body_pose(self) -> Pose:
        """Returns the pose of the robot's base body in the world."""
        body = self.model.body(self._robot.base_body).id
        return Pose(self.data.xpos[body].copy(), self.data.xquat[body].copy())

    def is_fallen(self) -> bool:
        """Returns whether a robot on its legs has fallen."""
        return self._regulator is not None and self._regulator.is_fallen(self.data)

    def balance(self) -> tuple[Array, Array]:
        """Returns the margin of the centre of mass, and how far soles slid during the control step, (B,) m each; B is 1 on legs, else 0."""
        if self._regulator is None:
            return np.zeros(0), np.zeros(0)
        return np.array([self._regulator.com_margin_m(self.data)]), np.array([self._regulator.foot_slip_m(self.data)])

    @property
    def _legs(self) -> Regulator:
        if self._regulator is None:
            raise BadSpec(f"{self._robot.name} does not stand on its legs with base {self._spec.robot_base!r}")
        return self._regulator

    @property
    def joint_margin_rad(self) -> float:
        """Smallest distance of a joint to its limits, fingers not counted; negative beyond them."""
        q = self.data.qpos[self.scene.joint_qpos]
        return float(min((q - self._joint_range[:, 0]).min(), (self._joint_range[:, 1] - q).min()))

    @property
    def base_pose(self) -> Array:
        """(3,) where the robot is, counted from where it stands usually: x and y in m, and its turn in rad. On its legs: where it began."""
        return np.array(self._spec.robot_start) if self._base_qpos is None else np.array(self.data.qpos[self._base_qpos])

    @property
    def base_velocity(self) -> Array:
        """(3,) of a gliding base: forward and to the left in m/s, turning to the left in rad/s."""
        if self._base_dof is None or self._base_qpos is None:
            raise BadSpec(f"{self._robot.name} glides nowhere on base {self._spec.robot_base!r}")
        vx, vy, turn = self.data.qvel[self._base_dof].tolist()
        yaw = float(self.data.qpos[self._base_qpos[2]])
        cos, sin = math.cos(yaw), math.sin(yaw)
        return np.array([cos * vx + sin * vy, cos * vy - sin * vx, turn])

    def camera_pose(self, name: str) -> Pose:
        """Returns the pose of a camera in the world."""
        camera = self.model.camera(name).id
        self._mj.mju_mat2Quat(self._quat, self.data.cam_xmat[camera])
        return Pose(self.data.cam_xpos[camera].copy(), self._quat.copy())

    def finger_pos(self, hand: int) -> Array:
        """Returns the positions of a hand's finger joints, (f,) rad or m, a copy."""
        return np.array(self.data.qpos[self._finger_qpos[hand]])

    def finger_opening_m(self, hand: int = 0) -> float:
        """Returns the distance between the finger pads of a hand."""
        return opening_m(self._robot.end_effectors[hand], self.data.qpos[self._finger_qpos[hand]])

    def sensors(self, names: Sequence[str]) -> Array:
        """Returns the readings of sensors of the model, one after another, a copy."""
        return np.concatenate([self.data.sensor(name).data for name in names])

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

    def ee_pose_world(self, hand: int = 0) -> Pose:
        """Returns the pose of the pinch point of a hand."""
        site = self._sites[hand]
        self._mj.mju_mat2Quat(self._quat, self.data.site_xmat[site])
        return Pose(self.data.site_xpos[site].copy(), self._quat.copy())

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

    def show(self, state: Array) -> None:
        """Brings positions back to what they were when `state` returned this, for cameras to look at."""
        self._mj.mj_setState(self.model, self.data, state, self._mj.mjtState.mjSTATE_INTEGRATION)
        self._read()

    def state_digest(self) -> str:
        """Returns the digest of `state`."""
        return sha_arrays(self.state())


def opening_m(hand: EndEffector, fingers: Array) -> float:
    """Returns the distance between the pads of a hand whose finger joints are at `(f,)` rad or m."""
    if hand.opening_of_closure_m:
        start, way = hand.finger_ctrl(0.0), hand.finger_ctrl(1.0) - hand.finger_ctrl(0.0)
        closures, openings = zip(*hand.opening_of_closure_m, strict=True)
        return float(np.interp(float((fingers - start) @ way) / float(way @ way), closures, openings))
    if hand.opening_of_joint_m:
        joints, openings = zip(*hand.opening_of_joint_m, strict=True)
        return float(np.interp(fingers.mean(), joints, openings))
    return float(fingers.sum())


class _Weight:
    """What gravity and motion ask of the motors that carry arms, waist and neck, as an addition to their commanded positions."""

    def __init__(self, model: Any, robot: Robot, driven: Sequence[str]) -> None:
        legs = {joint for group in robot.groups if group.kind == "leg" for joint in group.joints}
        pairs = [(a, j) for a, j in zip(robot.actuators, robot.joints, strict=True) if j not in legs and a in driven]
        self._ctrl = np.array([model.actuator(a).id for a, _ in pairs])
        self._dof = np.array([int(model.joint(j).dofadr[0]) for _, j in pairs])
        self._gain = 1.0 / model.actuator_gainprm[self._ctrl, 0]

    def add(self, data: Any) -> None:
        data.ctrl[self._ctrl] += data.qfrc_bias[self._dof] * self._gain


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
    may_collide = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    may_collide[[*model.pair_geom1, *model.pair_geom2]] = True
    collides = np.flatnonzero(may_collide)
    parts: list[NDArray[Any]] = []
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            continue
        if name in _GEOMS:
            value = np.searchsorted(collides, value).astype(np.int32)
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
_GEOMS = ("pair_geom1", "pair_geom2")
"""Arrays that name geoms by their number, which depends on how many visual ones come before: those that may collide are counted alone."""
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
