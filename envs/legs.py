"""Two legs that stand: where their soles are, how far they can stretch, and the torques that press them on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.bases import ROOT, stance_of
from vlagym.envs.errors import BadSpec
from vlagym.envs.ground_forces import Sole
from vlagym.envs.robot import Robot

Array = NDArray[np.float64]

_RIM_M = 0.004  # of the soles that is left unused
_FLOOR_NEAR_M = 0.008  # a corner of a sole that is no higher above the lowest one touches the ground
_LEVEL_GAIN, _LEVEL_DAMPING = 30.0, 2.0  # N m/rad and N m s/rad that keep the soles level
# N/m and N s/m, and N m/rad and N m s/rad, that bring back a foot which lost its load and moved; a foot that stands does not feel them.
_PLACE_GAIN, _PLACE_DAMPING = 2000.0, 90.0
_HEADING_GAIN, _HEADING_DAMPING = 30.0, 2.0
_KNEE_MIN_RAD = 0.20  # a straight leg cannot push: with hips too far from above the feet the pelvis goes lower instead
_KNEE_STOP_RAD = 0.08  # and where it does not go so fast, knees straighter than this are bent by a spring
_KNEE_GAIN, _KNEE_DAMPING = 200.0, 10.0  # N m/rad and N m s/rad
_SINGULAR = 1e-4  # damping of the accelerations of joints where a leg is nearly straight
_GRAVITY = 9.81
_HIP, _KNEE, _ANKLE, _JOINTS = 0, 3, 4, 6  # joints of a leg, in its order, and how many


class _Leg(NamedTuple):
    qpos: NDArray[np.intp]
    """(6,) addresses."""
    dof: NDArray[np.intp]
    """(6,) addresses."""
    foot: int
    """Body."""
    hip: int
    """Joint."""
    ankle: int
    """Joint."""
    length_m: float
    """From hip to ankle with the knee almost straight."""
    centre: Array
    """(3,) of the sole, in the frame of the foot."""
    corners: Array
    """(C, 3)"""


class Legs:
    """The legs of one robot in one model, moved by position actuators."""

    def __init__(self, robot: Robot, model: Any) -> None:
        """Looks up the legs.

        Args:
          robot: With a stance that has two feet, the left one first, and a joint group of kind leg for each: three joints of the hip, the first
            of them for pitch, then knee and two of the ankle, the first of them for pitch.
          model: `mujoco.MjModel` of a scene in which it stands on base legs.

        Raises:
          BadSpec: If it has not two such legs with feet, or the motors of its legs do not hold positions.
        """
        groups = [group for group in robot.groups if group.kind == "leg"]
        feet = stance_of(robot).feet
        if len(groups) != 2 or len(feet) != 2 or any(len(group.joints) != _JOINTS for group in groups):
            counts = ", ".join(str(len(group.joints)) for group in groups)
            raise BadSpec(
                f"{robot.name} has legs of ({counts}) joints and {len(feet)} feet (Robot.groups, Stance.feet); "
                f"to keep its balance it wants two legs of {_JOINTS} joints with a foot each"
            )
        self.joints = tuple(joint for group in groups for joint in group.joints)
        self._model = model
        self._legs: list[_Leg] = []
        half_sizes: list[tuple[float, float]] = []
        for group, foot in zip(groups, feet, strict=True):
            corners = np.array([(*corner, foot.sole_z_m) for corner in foot.corners_m])
            back, front = float(corners[:, 0].min()), float(corners[:, 0].max())
            joints = [model.joint(joint) for joint in group.joints]
            leg = _Leg(
                qpos=np.array([int(j.qposadr[0]) for j in joints]),
                dof=np.array([int(j.dofadr[0]) for j in joints]),
                foot=model.body(foot.body).id,
                hip=int(joints[_HIP].id),
                ankle=int(joints[_ANKLE].id),
                length_m=_stretched_m(model, [int(j.id) for j in joints]),
                centre=np.array([(back + front) / 2, 0.0, foot.sole_z_m]),
                corners=corners,
            )
            self._legs.append(leg)
            # The rectangle inside the sole, without its rim.
            half_sizes.append(((front - back) / 2 - _RIM_M, float(np.abs(corners[:, 1]).min()) - _RIM_M))
        self.half_sizes_m = half_sizes
        """Half the length and half the width that each sole presses with."""
        self.feet = tuple(leg.foot for leg in self._legs)
        """Bodies."""
        self.pelvis = model.body(robot.base_body).id
        """Body."""
        self.root = int(model.joint(ROOT).dofadr[0])
        """First of the six degrees of freedom of the pelvis."""
        self.mass_kg = float(model.body_subtreemass[self.pelvis])
        """Of the whole robot."""
        self._qpos = np.concatenate([leg.qpos for leg in self._legs])
        self._dof = np.concatenate([leg.dof for leg in self._legs])
        self._actuator = np.array([model.actuator(joint).id for joint in self.joints])
        self._kp, self._kv = model.actuator_gainprm[self._actuator, 0], -model.actuator_biasprm[self._actuator, 2]
        if not (self._kp > 0).all() or not np.allclose(model.actuator_biasprm[self._actuator, 1], -self._kp):
            raise BadSpec(f"the legs of {robot.name} are not moved by position actuators")
        self._ankles = np.array([leg.qpos[_ANKLE] for leg in self._legs])
        self._ankle_low = model.jnt_range[[leg.ankle for leg in self._legs], 0]
        self._torque_max = model.actuator_forcerange[self._actuator, 1]
        self._own = np.concatenate([np.arange(self.root, self.root + 6), self._dof])
        self._jac, self.jac_com = np.zeros((6, model.nv)), np.zeros((3, model.nv))
        """Of the centre of mass, (3, nv), as `com` found it last."""
        self._rows, self._rush = np.zeros((18, 18)), np.zeros(18)
        self._motion, self._inertial = np.zeros(model.nv), np.zeros(model.nv)
        self._apart = np.zeros(3)  # from the right sole to the left one, at the start
        self._headings = np.zeros(2)  # of the soles then, rad

    def reset(self, data: Any) -> None:
        """Begins an episode in the present state: the feet belong where they are."""
        left, right = self.soles(data)
        self._apart = left.centre - right.centre
        self._headings = np.array([_heading(left), _heading(right)])

    # ---------------------------------------------------------------------------------------------------------- where they are
    def soles(self, data: Any) -> list[Sole]:
        """Returns the soles, the left one first."""
        soles = []
        for leg in self._legs:
            turn = data.xmat[leg.foot].reshape(3, 3)
            soles.append(Sole(data.xpos[leg.foot] + turn @ leg.centre, turn))
        return soles

    def corners(self, data: Any) -> tuple[Array, NDArray[np.bool_]]:
        """Returns the corners of the soles (2, C, 3) in the world frame, and whether each touches the ground (2, C)."""
        corners = np.stack([data.xpos[leg.foot] + leg.corners @ data.xmat[leg.foot].reshape(3, 3).T for leg in self._legs])
        return corners, corners[:, :, 2] < corners[:, :, 2].min() + _FLOOR_NEAR_M

    def stretch_left_m(self, data: Any) -> float:
        """Returns how much higher the pelvis can go before a knee is straight."""
        left = []
        for leg in self._legs:
            x, y, z = (data.xanchor[leg.hip] - data.xanchor[leg.ankle]).tolist()
            left.append(float(np.sqrt(max(leg.length_m**2 - x * x - y * y, 0.0))) - z)
        return float(min(left))

    def ankle_left_rad(self, data: Any) -> float:
        """Returns how much farther the ankles can bend, shanks forward."""
        return float((data.qpos[self._ankles] - self._ankle_low).min())

    def com(self, data: Any) -> tuple[Array, Array]:
        """Returns the centre of mass of the robot (3,) in m and its velocity (3,) in m/s."""
        import mujoco

        mujoco.mj_jacSubtreeCom(self._model, data, self.jac_com, self.pelvis)
        return data.subtree_com[self.pelvis].copy(), self.jac_com @ data.qvel

    def turning_inertia(self, data: Any) -> Array:
        """Returns what turns with the pelvis over feet that stand.

        That is the angular momentum about the centre of mass of a turn of the pelvis about each axis of the world at 1 rad/s while soles and
        centre of mass rest, in kg m2, (3,). Changes what `data` holds about velocities beyond qvel.
        """
        import mujoco

        model = self._model
        com = np.zeros((3, model.nv))
        mujoco.mj_jacSubtreeCom(model, data, com, self.pelvis)
        parts = [self._jac_foot(data, leg, sole)[:, self._own].copy() for leg, sole in zip(self._legs, self.soles(data), strict=True)]
        mujoco.mj_jacBody(model, data, None, self._jac[3:], self.pelvis)
        constraints = np.concatenate([*parts, com[:, self._own], self._jac[3:, self._own]])
        speed = data.qvel.copy()
        momenta: list[float] = []
        for axis in range(3):
            wanted = np.zeros(len(constraints))
            wanted[-3 + axis] = 1.0
            data.qvel[:] = 0.0
            data.qvel[self._own] = np.linalg.lstsq(constraints, wanted, rcond=None)[0]
            mujoco.mj_comVel(model, data)
            mujoco.mj_subtreeVel(model, data)
            momenta.append(float(data.subtree_angmom[self.pelvis][axis]))
        data.qvel[:] = speed
        return np.array(momenta)

    # ----------------------------------------------------------------------------------------------------------- what they do
    def torques(self, data: Any, soles: Sequence[Sole], forces: Array, com: Array, inertia: Array) -> Array:
        """Returns the torques that make the soles press so, and that carry and move the legs' own weight meanwhile.

        Args:
          data: `mujoco.MjData`
          soles: As `soles` says.
          forces: (2, 6) forces and moments of the ground on the soles at their centres, in the world frame.
          com: (3,) m, the centre of mass, as `com` found it for this state.
          inertia: As `turning_inertia` says.

        Returns:
          (12,) N m, within what the motors have.
        """
        import mujoco

        model, speed, rows = self._model, data.qvel, self._rows
        torque = np.zeros(len(self._dof))
        moment = forces[0, 3:] + forces[1, 3:]
        strayed = _PLACE_GAIN * (self._apart - (soles[0].centre - soles[1].centre))
        for i, (leg, sole, force) in enumerate(zip(self._legs, soles, forces, strict=True)):
            at = slice(_JOINTS * i, _JOINTS * (i + 1))
            full = self._jac_foot(data, leg, sole)
            rows[at] = full[:, self._own]
            jac, motion = full[:, leg.dof], full @ speed
            x, y, z = (sole.centre - com).tolist()
            fx, fy, fz = force[:3].tolist()
            moment = moment + [y * fz - z * fy, z * fx - x * fz, x * fy - y * fx]
            hold = (0.5 - i) * strayed - _PLACE_DAMPING * motion[:3]
            up, turned = sole.turn[:, 2], float(self._headings[i]) - _heading(sole)
            level = np.array(
                [
                    _LEVEL_GAIN * up[1] - _LEVEL_DAMPING * motion[3],
                    -_LEVEL_GAIN * up[0] - _LEVEL_DAMPING * motion[4],
                    _HEADING_GAIN * (turned - 2 * math.pi * round(turned / (2 * math.pi))) - _HEADING_DAMPING * motion[5],
                ]
            )
            torque[at] = data.qfrc_bias[leg.dof] + jac[:3].T @ (hold - force[:3]) + jac[3:].T @ (level - force[3:])
            straight = _KNEE_STOP_RAD - float(data.qpos[leg.qpos[_KNEE]])
            if straight > 0.0:
                torque[_JOINTS * i + _KNEE] += _KNEE_GAIN * straight - _KNEE_DAMPING * float(speed[leg.dof[_KNEE]])
        # How pelvis and legs speed up where the soles stay, and centre of mass and pelvis move as the forces make them.
        mujoco.mj_jacBody(model, data, self._jac[:3], self._jac[3:], self.pelvis)
        rows[12:14] = self.jac_com[:2, self._own]
        rows[14:] = self._jac[2:, self._own]
        self._rush[12:15] = (forces[0, :3] + forces[1, :3]) / self.mass_kg
        self._rush[14] -= _GRAVITY
        self._rush[15:] = moment / inertia
        gram = rows.T @ rows
        gram.flat[:: len(gram) + 1] += _SINGULAR
        self._motion[self._own] = np.linalg.solve(gram, rows.T @ self._rush)
        mujoco.mj_mulM(model, data, self._inertial, self._motion)
        total: Array = np.clip(torque + self._inertial[self._dof], -self._torque_max, self._torque_max)
        return total

    def drive(self, data: Any, torque: Array, for_s: float) -> None:
        """Sets the controls of the legs so that their motors give torques `(12,)` in N m for a time: targets ahead of the joints."""
        speed = data.qvel[self._dof]
        # As seen in the middle of that time.
        data.ctrl[self._actuator] = data.qpos[self._qpos] + speed * (for_s / 2) + (torque + self._kv * speed) / self._kp

    def _jac_foot(self, data: Any, leg: _Leg, sole: Sole) -> Array:
        import mujoco

        mujoco.mj_jac(self._model, data, self._jac[:3], self._jac[3:], sole.centre, leg.foot)
        return self._jac


def _heading(sole: Sole) -> float:
    return math.atan2(float(sole.turn[1, 0]), float(sole.turn[0, 0]))


def _stretched_m(model: Any, joints: list[int]) -> float:
    import mujoco

    data = mujoco.MjData(model)
    data.qpos[model.jnt_qposadr[joints[_KNEE]]] = _KNEE_MIN_RAD
    mujoco.mj_kinematics(model, data)
    return float(np.linalg.norm(data.xanchor[joints[_HIP]] - data.xanchor[joints[_ANKLE]]))
