"""Keeps a robot on its feet: a controller under the policy that owns the legs and answers pushes, moving arms and what the hands carry.

Each time it is asked it wants a motion of the centre of mass, from where that would come to rest (the capture point, or divergent component of
motion), and a turn of the pelvis; the forces at the soles that make both, within friction and the size of the feet; and the torques of the legs
that press so on the ground, which position actuators are given as targets ahead of the joints. Nothing else holds the body up.

How it is called (`vlagym.envs.simulation.Regulator`): `reset` with the start posture in `data`; then before the first and every `every`-th
substep `update`, after all other controls are set; `command` at any time. It reads `data` as the last `mj_step` left it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.bases import ROOT, stance_of
from vlagym.envs.errors import BadSpec
from vlagym.envs.ground_forces import GroundForces, Sole
from vlagym.envs.robot import Robot
from vlagym.envs.sway import Sway
from vlagym.envs.support import has_fallen, slip_m, support_margin_m

Array = NDArray[np.float64]

EVERY = 5
"""Substeps between two updates: 10 ms at the usual timestep of 2 ms."""
HEIGHT_SPEED_M_S = 0.20
"""How fast a commanded height is approached."""
LEAN_SPEED_RAD_S = 0.5
"""How fast a commanded lean is approached."""

_GRAVITY = 9.81
_HEIGHT_GAIN, _HEIGHT_DAMPING = 150.0, 25.0  # 1/s2 and 1/s
_LIFT_MAX_M_S2 = 2.0  # so that soles keep their load while the body drops, and knees their strength while it rises
_YAW_GAIN, _YAW_DAMPING, _YAW_MAX_NM = 60.0, 15.0, 60.0  # N m/rad and N m s/rad
_RIM_M = (0.004, 0.004)  # of the sole, along and across, that is left unused
# The centre of pressure goes no further out than the first share of the base of support, so that both feet keep a load, unless the capture point
# is out there too; from the second share on the pelvis is turned to brake, as a person bends at the hips.
_INNER = np.array([1.0, 0.85])  # of the length; across, of the way to the middle of a foot
_REACH = 1.15  # centre of pressure over capture point
_BEND_MAX_NM, _BENT_MAX_RAD = (120.0, 80.0), (0.8, 0.4)  # of the moment that turns the pelvis, and of that turn: forward, and to the side
_HEIGHT_STEP_M = 0.05  # of the centre of mass, for which answers to sway are worked out anew
_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.3])  # of force and moment where not all can be had
_LEVEL_GAIN, _LEVEL_DAMPING = 30.0, 2.0  # N m/rad and N m s/rad that keep the soles level
_PLACE_GAIN, _PLACE_DAMPING = 800.0, 50.0  # N/m and N s/m that keep a foot without load where it stood
_LIGHT_N = 60.0  # below this load that begins
_CENTRING = 0.3  # 1/s, of the centre of pressure to the middle of the feet: what the hands carry is leant against
_OFFSET_MAX_M = 0.04
_STOOP_FROM_M, _STOOP_RAD_M = 0.20, 2.5  # a squat deeper than the first leans the torso: ankles of a G1 end at 0.87 rad
_KNEE_MIN_RAD = 0.20  # a straight leg cannot push: the pelvis goes lower instead where a lean takes the hips away from above the feet
_STRETCH_TIME_S = 0.5
_KNEE_STOP_RAD = 0.08
_KNEE_GAIN, _KNEE_DAMPING = 200.0, 10.0  # N m/rad and N m s/rad that bend a knee which is straighter than that
_SINGULAR = 1e-4  # damping of the accelerations of joints where a leg is nearly straight
_HIP, _KNEE, _ANKLE = 0, 3, 4  # joints of a leg, in its order
_FLOOR_NEAR_M = 0.008  # a corner of a sole that is no higher above the lowest one touches the ground


class _Leg(NamedTuple):
    qpos: Array
    dof: Array
    actuator: Array
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


class Balance:
    """The legs of one robot in one model."""

    def __init__(self, robot: Robot, model: Any) -> None:
        """Looks up the legs.

        Args:
          robot: With a stance that has two feet, and a joint group of kind leg for each.
          model: `mujoco.MjModel` of a scene in which it stands on base legs.

        Raises:
          BadSpec: If it has not two legs with feet, or its legs' motors do not hold positions.
        """
        legs = [group for group in robot.groups if group.kind == "leg"]
        feet = stance_of(robot).feet
        if len(legs) != 2 or len(feet) != 2:
            raise BadSpec(f"{robot.name} has {len(legs)} legs and {len(feet)} feet (Robot.groups, Stance.feet); balance wants two of each")
        self.joints = tuple(joint for leg in legs for joint in leg.joints)
        self.every = EVERY
        self._model = model
        self._legs = []
        half_sizes = []
        for leg, foot in zip(legs, feet, strict=True):
            corners = np.array([(*corner, foot.sole_z_m) for corner in foot.corners_m])
            low, high = corners[:, 0].min(), corners[:, 0].max()
            width = float(np.abs(corners[:, 1]).min())  # of the rectangle inside
            joints = [model.joint(joint) for joint in leg.joints]
            self._legs.append(
                _Leg(
                    qpos=np.array([int(j.qposadr[0]) for j in joints]),
                    dof=np.array([int(j.dofadr[0]) for j in joints]),
                    actuator=np.array([model.actuator(joint).id for joint in leg.joints]),
                    foot=model.body(foot.body).id,
                    hip=int(joints[_HIP].id),
                    ankle=int(joints[_ANKLE].id),
                    length_m=_stretched_m(model, [int(j.id) for j in joints]),
                    centre=np.array([(low + high) / 2, 0.0, foot.sole_z_m]),
                    corners=corners,
                )
            )
            half_sizes.append((float(high - low) / 2 - _RIM_M[0], width - _RIM_M[1]))
        self._half = np.array(half_sizes).min(axis=0)
        self._ground = GroundForces(half_sizes)
        self._qpos, self._dof, self._actuator = (np.concatenate([leg[i] for leg in self._legs]) for i in range(3))
        self._kp, self._kv = model.actuator_gainprm[self._actuator, 0], -model.actuator_biasprm[self._actuator, 2]
        if not (self._kp > 0).all() or not np.allclose(model.actuator_biasprm[self._actuator, 1], -self._kp):
            raise BadSpec(f"the legs of {robot.name} are not moved by position actuators")
        self._torque_max = model.actuator_forcerange[self._actuator, 1]
        self._pelvis = model.body(robot.base_body).id
        self._root = int(model.joint(ROOT).dofadr[0])
        self._mass = float(model.body_subtreemass[self._pelvis])
        self._dt = EVERY * float(model.opt.timestep)
        self._body = _geoms_below(model, self._pelvis) - set().union(*(_geoms_below(model, leg.foot) for leg in self._legs))
        self._floor = {g for g in range(model.ngeom) if model.geom_bodyid[g] == 0 and model.geom_type[g] == _PLANE}
        self._jac_com, self._jac_foot = np.zeros((3, model.nv)), np.zeros((6, model.nv))
        self._own = np.concatenate([np.arange(self._root, self._root + 6), self._dof])
        self._rows = np.zeros((18, 18))
        self._push, self._weight = np.zeros(model.nv), np.zeros(model.nv)
        self._wanted = np.zeros(2)  # height and lean, as commanded
        self._posture = np.zeros(2)  # on the way there
        self._rate = np.zeros(2)
        self._offset = np.zeros(2)
        self._standing_m = 0.0
        self._highest_m = 0.0
        self._places: list[Array] = []
        self._inertia = np.ones(3)
        self._sway: dict[int, tuple[Sway, Sway]] = {}
        self._last_corners: tuple[Array, NDArray[np.bool_]] | None = None

    # ---------------------------------------------------------------------------------------------------------- what it does
    def reset(self, data: Any) -> None:
        """Begins an episode in the present state of `mujoco.MjData`, in which the robot stands."""
        import mujoco

        mujoco.mj_forward(self._model, data)
        self._wanted, self._posture, self._rate, self._offset = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2)
        self._standing_m = 1.0
        self._standing_m = self.height_m(data) + 1.0
        self._places = [sole.centre for sole in self._soles(data)]
        self._inertia = self._turning_inertia(data)
        self._sway = {}
        mujoco.mj_forward(self._model, data)
        self._highest_m = self._standing_m + min(self._stretch_left_m(data, leg) for leg in self._legs)
        self._last_corners = None

    def command(self, height_m: float, lean_rad: float) -> None:
        """Takes what is wanted, to be approached at bounded speeds.

        Args:
          height_m: Of the pelvis, counted from its height as it stood at the start: 0 or below.
          lean_rad: Forward, of the pelvis and what stands on it.
        """
        self._wanted = np.array([height_m, lean_rad])

    def update(self, data: Any) -> None:
        """Sets the controls of the legs in `data.ctrl`."""
        self._approach()
        soles = self._soles(data)
        wrench, about = self._wish(data, soles)
        forces = self._ground.solve(soles, about, wrench, _WEIGHTS)
        self._lean_against(soles, forces)
        torque = self._torques(data, soles, forces, about)
        speed = data.qvel[self._dof]
        # A target ahead of the joint by torque / stiffness, as seen in the middle of the time until the next update.
        data.ctrl[self._actuator] = data.qpos[self._qpos] + speed * (self._dt / 2) + (torque + self._kv * speed) / self._kp

    def _approach(self) -> None:
        """Moves the posture that is asked for towards the commanded one."""
        wanted = self._wanted.copy()
        wanted[1] = max(wanted[1], _STOOP_RAD_M * (-wanted[0] - _STOOP_FROM_M))
        most = np.array([HEIGHT_SPEED_M_S, LEAN_SPEED_RAD_S])
        # Slower near the end, and never a jump in speed: 0.2 s to full speed.
        rate = np.clip(4.0 * (wanted - self._posture), -most, most)
        self._rate = self._rate + np.clip(rate - self._rate, -most * self._dt / 0.2, most * self._dt / 0.2)
        self._posture = self._posture + self._rate * self._dt

    def _wish(self, data: Any, soles: list[Sole]) -> tuple[Array, Array]:
        """Returns the wanted force and moment of the ground on the body, and the centre of mass, which the moment is about."""
        import mujoco

        speed = data.qvel
        com = data.subtree_com[self._pelvis].copy()
        mujoco.mj_jacSubtreeCom(self._model, data, self._jac_com, self._pelvis)
        middle = (soles[0].centre + soles[1].centre) / 2
        apart = soles[0].centre - soles[1].centre
        yaw = float(np.arctan2(-apart[0], apart[1]))  # the left foot is the first
        cos, sin = np.cos(yaw), np.sin(yaw)
        level = np.array([[cos, -sin], [sin, cos]])
        turn = data.xmat[self._pelvis].reshape(3, 3)
        lean_cos, lean_sin = np.cos(self._posture[1]), np.sin(self._posture[1])
        wanted = np.array([[cos * lean_cos, -sin, cos * lean_sin], [sin * lean_cos, cos, sin * lean_sin], [-lean_sin, 0.0, lean_cos]])
        rest = wanted @ turn.T
        error = 0.5 * np.array([rest[2, 1] - rest[1, 2], rest[0, 2] - rest[2, 0], rest[1, 0] - rest[0, 1]])
        spin = turn @ speed[self._root + 3 : self._root + 6] - self._rate[1] * wanted[:, 1]

        height = float(data.xpos[self._pelvis][2] - middle[2])
        wanted_height, rate = self._standing_m + self._posture[0], self._rate[0]
        highest = height + min(self._stretch_left_m(data, leg) for leg in self._legs)
        # Slowly: to sink in the middle of a bow takes the load off the feet that brakes it.
        fall = (highest - self._highest_m) / _STRETCH_TIME_S
        self._highest_m += fall * self._dt
        if wanted_height > self._highest_m:
            wanted_height, rate = self._highest_m, max(min(fall, 0.0), -HEIGHT_SPEED_M_S)
        lift = _HEIGHT_GAIN * (wanted_height - height) + _HEIGHT_DAMPING * (rate - speed[self._root + 2])
        load = self._mass * (_GRAVITY + float(np.clip(lift, -_LIFT_MAX_M_S2, _LIFT_MAX_M_S2)))

        # In the plane, along and across the feet. With the pressure at p and the moment m about the level axis across each direction, the
        # ground pushes the body with (load (com - p) - m) / height of the centre of mass.
        tall = max(float(com[2] - middle[2]), 0.2)
        place = level.T @ (com[:2] - middle[:2])
        sway_speed = level.T @ (self._jac_com @ speed)[:2]
        capture = place + sway_speed * np.sqrt(tall / _GRAVITY)
        half_way = float(np.hypot(apart[0], apart[1])) / 2
        outer = self._half + [0.0, half_way]
        limit = np.clip(np.abs(capture) * _REACH, _INNER * [self._half[0], half_way], outer)
        across = np.array([level[:, 1], -level[:, 0]])
        turned, turning = across @ -error[:2], across @ spin[:2]
        pressure, bend = np.zeros(2), np.zeros(2)
        for axis, sway in enumerate(self._sways(tall)):
            state = np.array([place[axis], sway_speed[axis], turned[axis], turning[axis]])
            pressure[axis], bend[axis] = sway.answer(state, self._offset[axis], limit[axis], _BEND_MAX_NM[axis], _BENT_MAX_RAD[axis])
        push = (load * (place - pressure) - bend) / tall
        force = np.array([*(level @ push), load])
        about_vertical = np.clip(_YAW_GAIN * error[2] - _YAW_DAMPING * spin[2], -_YAW_MAX_NM, _YAW_MAX_NM)
        moment = np.array([*(across.T @ bend), about_vertical])
        return np.concatenate([force, moment]), com

    def _sways(self, tall: float) -> tuple[Sway, Sway]:
        """Returns the answers to sway along and across the feet for a height of the centre of mass in m."""
        step = round(tall / _HEIGHT_STEP_M)
        if step not in self._sway:
            along, across = (Sway(self._mass, step * _HEIGHT_STEP_M, inertia) for inertia in self._inertia[[1, 0]])
            self._sway[step] = along, across
        return self._sway[step]

    def _turning_inertia(self, data: Any) -> Array:
        """Returns the angular momentum about the centre of mass that a turn of the pelvis about each axis at 1 rad/s has over feet that stand,
        the centre of mass at rest: (3,) kg m2."""
        import mujoco

        model = self._model
        own = self._own
        rows = np.zeros((6, model.nv))
        parts = []
        for leg, sole in zip(self._legs, self._soles(data), strict=True):
            mujoco.mj_jac(model, data, rows[:3], rows[3:], sole.centre, leg.foot)
            parts.append(rows[:, own].copy())
        mujoco.mj_jacSubtreeCom(model, data, rows[:3], self._pelvis)
        mujoco.mj_jacBody(model, data, None, rows[3:], self._pelvis)
        constraints = np.concatenate([*parts, rows[:, own]])
        speed = data.qvel.copy()
        momenta: list[float] = []
        for axis in range(3):
            goals = np.zeros(len(constraints))
            goals[-3 + axis] = 1.0
            data.qvel[:] = 0.0
            data.qvel[own] = np.linalg.lstsq(constraints, goals, rcond=None)[0]
            mujoco.mj_comVel(model, data)
            mujoco.mj_subtreeVel(model, data)
            momenta.append(float(data.subtree_angmom[self._pelvis][axis]))
        data.qvel[:] = speed
        return np.array(momenta)

    def _lean_against(self, soles: list[Sole], forces: Array) -> None:
        """Moves where the centre of mass shall be until the pressure is in the middle of the feet: against what the hands carry or push."""
        load = forces[:, 2].sum()
        middle = (soles[0].centre + soles[1].centre)[:2] / 2
        centres = np.array([sole.centre[:2] for sole in soles])
        pressure = (forces[:, 2] @ centres + [-forces[:, 4].sum(), forces[:, 3].sum()]) / load - middle
        apart = (soles[0].centre - soles[1].centre)[:2]
        left = apart / np.linalg.norm(apart)
        along = np.array([pressure @ [left[1], -left[0]], pressure @ left])
        self._offset = np.clip(self._offset - _CENTRING * self._dt * along, -_OFFSET_MAX_M, _OFFSET_MAX_M)

    def _torques(self, data: Any, soles: list[Sole], forces: Array, com: Array) -> Array:
        """Returns the torques of the legs `(12,)` in N m: they press the soles on the ground so, and carry and move the legs' own weight."""
        import mujoco

        model, speed = self._model, data.qvel
        torque = np.zeros(len(self._dof))
        rows = self._rows
        for i, (leg, sole, force) in enumerate(zip(self._legs, soles, forces, strict=True)):
            at = slice(6 * i, 6 * i + 6)
            mujoco.mj_jac(model, data, self._jac_foot[:3], self._jac_foot[3:], sole.centre, leg.foot)
            jac = self._jac_foot[:, leg.dof]
            rows[at] = self._jac_foot[:, self._own]
            motion = self._jac_foot @ speed
            light = max(0.0, 1.0 - float(force[2]) / _LIGHT_N)
            hold = light * (_PLACE_GAIN * (self._places[i] - sole.centre) - _PLACE_DAMPING * motion[:3])
            self._places[i] = self._places[i] + (1.0 - light) * 0.1 * (sole.centre - self._places[i])
            up = sole.turn[:, 2]
            level = _LEVEL_GAIN * np.array([up[1], -up[0], 0.0]) - _LEVEL_DAMPING * np.array([motion[3], motion[4], 0.0])
            torque[at] = data.qfrc_bias[leg.dof] + jac[:3].T @ (hold - force[:3]) + jac[3:].T @ (level - force[3:])
            straight = _KNEE_STOP_RAD - float(data.qpos[leg.qpos[_KNEE]])
            if straight > 0.0:
                torque[6 * i + _KNEE] += _KNEE_GAIN * straight - _KNEE_DAMPING * float(speed[leg.dof[_KNEE]])
        # How pelvis and legs speed up where the soles stay, the centre of mass and the pelvis move as the forces make them.
        total = forces.sum(axis=0)
        lever = np.array([sole.centre for sole in soles]) - com
        moment = total[3:] + np.cross(lever, forces[:, :3]).sum(axis=0)
        mujoco.mj_jacBody(model, data, self._jac_foot[:3], self._jac_foot[3:], self._pelvis)
        rows[12:14] = self._jac_com[:2, self._own]
        rows[14] = self._jac_foot[2, self._own]
        rows[15:] = self._jac_foot[3:, self._own]
        rush = np.concatenate([np.zeros(12), total[:2] / self._mass, [total[2] / self._mass - _GRAVITY], moment / self._inertia])
        self._push[self._own] = np.linalg.solve(rows.T @ rows + _SINGULAR * np.eye(18), rows.T @ rush)
        mujoco.mj_mulM(model, data, self._weight, self._push)
        torque += self._weight[self._dof]
        return np.clip(torque, -self._torque_max, self._torque_max)

    def _stretch_left_m(self, data: Any, leg: _Leg) -> float:
        """Returns how much higher the hip of a leg could be above where it is."""
        way = data.xanchor[leg.hip] - data.xanchor[leg.ankle]
        aside = min(float(np.hypot(way[0], way[1])), leg.length_m)
        return float(np.sqrt(leg.length_m**2 - aside**2)) - float(way[2])

    def _soles(self, data: Any) -> list[Sole]:
        soles = []
        for leg in self._legs:
            turn = data.xmat[leg.foot].reshape(3, 3)
            soles.append(Sole(data.xpos[leg.foot] + turn @ leg.centre, turn))
        return soles

    # ------------------------------------------------------------------------------------------------------------ what it says
    def height_m(self, data: Any) -> float:
        """Returns how much higher than at the start the pelvis is above the soles."""
        ground = np.mean([sole.centre[2] for sole in self._soles(data)])
        return float(data.xpos[self._pelvis][2] - ground) - self._standing_m

    def lean_rad(self, data: Any) -> float:
        """Returns how far the pelvis leans forward; the waist's joints add to that."""
        turn = data.xmat[self._pelvis].reshape(3, 3)
        return float(np.arctan2(-turn[2, 0], np.hypot(turn[2, 1], turn[2, 2])))

    def is_fallen(self, data: Any) -> bool:
        """Returns whether the robot has fallen: see `vlagym.envs.support.has_fallen`."""
        tilt = float(np.arccos(np.clip(data.xmat[self._pelvis][8], -1.0, 1.0)))
        pairs = data.contact.geom
        lies = any((a in self._floor and b in self._body) or (b in self._floor and a in self._body) for a, b in pairs.tolist())
        height = self.height_m(data) + self._standing_m
        return has_fallen(
            pelvis_height_m=height, standing_height_m=self._standing_m, tilt_rad=tilt, commanded_tilt_rad=float(self._wanted[1]), lies=lies
        )

    def com_margin_m(self, data: Any) -> float:
        """Returns how far the ground below the centre of mass is inside the support polygon; negative outside."""
        corners, touches = self._corners(data)
        return support_margin_m(data.subtree_com[self._pelvis][:2], corners[touches][:, :2])

    def foot_slip_m(self, data: Any) -> float:
        """Returns how far loaded soles slid since it was asked last, and 0 the first time."""
        corners, touches = self._corners(data)
        before = self._last_corners
        self._last_corners = corners, touches
        return 0.0 if before is None else slip_m(before[0][:, :, :2], corners[:, :, :2], before[1] & touches)

    def _corners(self, data: Any) -> tuple[Array, NDArray[np.bool_]]:
        """Returns the corners of the soles (K, C, 3) in the world, and whether each touches the ground (K, C)."""
        corners = np.stack([data.xpos[leg.foot] + leg.corners @ data.xmat[leg.foot].reshape(3, 3).T for leg in self._legs])
        return corners, corners[:, :, 2] < corners[:, :, 2].min() + _FLOOR_NEAR_M


_PLANE = 0
"""mjGEOM_PLANE"""


def _stretched_m(model: Any, joints: list[int]) -> float:
    import mujoco

    data = mujoco.MjData(model)
    data.qpos[model.jnt_qposadr[joints[_KNEE]]] = _KNEE_MIN_RAD
    mujoco.mj_kinematics(model, data)
    return float(np.linalg.norm(data.xanchor[joints[_HIP]] - data.xanchor[joints[_ANKLE]]))


def _geoms_below(model: Any, body: int) -> set[int]:
    bodies = {body}
    for index in range(body + 1, model.nbody):
        if int(model.body_parentid[index]) in bodies:
            bodies.add(index)
    return {g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in bodies}
