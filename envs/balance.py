"""Keeps a robot on its feet: a controller under the policy that owns the legs and answers pushes, moving arms and what the hands carry.

Each time it is asked it chooses where to press on the ground and how hard to bend at the hips (`sway`), shares that out between the soles within
friction and their size (`ground_forces`), and finds the torques of the legs that press so (`legs`), which position actuators are given as targets
ahead of the joints, within the torques that they have. Nothing else holds the body up.

How it is called (`vlagym.envs.simulation.Regulator`): `reset` with the start posture in `data`; then before the first and every `every`-th
substep `update`, after all other controls are set; `command` at any time. It reads `data` as the last `mj_step` left it.

Measured for the G1 (Unitree's masses, torques and soles): it stands 60 s, moves its arms by 1 rad at 3 rad/s, holds 2 kg in a stretched hand,
squats by 0.30 m and leans by 0.5 rad. Pushed at the torso for 0.1 s it stands 100 N from the front and the back, 140 N from the sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.ground_forces import GroundForces, Sole
from vlagym.envs.legs import Legs
from vlagym.envs.robot import Robot
from vlagym.envs.support import has_fallen, slip_m, support_margin_m
from vlagym.envs.sway import Sway

Array = NDArray[np.float64]

PERIOD_S = 0.01
"""Between two updates."""
HEIGHT_SPEED_M_S = 0.20
"""How fast a commanded height is approached."""
LEAN_SPEED_RAD_S = 0.5
"""How fast a commanded lean is approached."""

_GRAVITY = 9.81
_SPEED_MAX = np.array([HEIGHT_SPEED_M_S, LEAN_SPEED_RAD_S])
_APPROACH_GAIN = 4.0  # 1/s, near the end of the way
_SPEED_UP_S = 0.2  # from rest to full speed: a jump in speed would be a push
_HEIGHT_GAIN, _HEIGHT_DAMPING = 150.0, 25.0  # 1/s2 and 1/s
_LIFT_MAX_M_S2 = 2.0  # so that soles keep their load while the body drops, and knees their strength while it rises
_STRETCH_TIME_S = 0.5  # of the limit that straight knees set to height: to sink in the middle of a bow would take the load off the feet that brake it
_YAW_GAIN, _YAW_DAMPING, _YAW_MAX_NM = 60.0, 15.0, 60.0  # N m/rad and N m s/rad
# The pressure goes across no farther than this share of the way to the middle of a foot, so that both feet keep a load, unless the capture point,
# where the body would come to rest, is out there too.
_BETWEEN, _REACH = 0.85, 1.15
_BEND_MAX_NM, _BENT_MAX_RAD = (120.0, 80.0), (0.8, 0.4)  # of the moment that turns the pelvis, and of that turn: forward, and to the side
_HEIGHT_STEP_M = 0.05  # of the centre of mass, for which answers to sway are worked out anew
_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.3])  # of force and moment where not all can be had
# Over so long is smoothed what pushes the body, see `_notice`: fast enough for a hand that presses on the table, slow enough that a short push is
# not leant against when it is over.
_NOTICE_S = np.array([1.0, 1.0, 1.0, 1.0, 0.5])
_STRANGE_MAX = np.array([2.0, 2.0, 12.0, 12.0, 3.0])  # of the same: more would be a body that falls
_REST_MAX_M = (0.06, 0.08)  # of the centre of mass from the middle of the feet, along and across, where something pushes it
# A squat deeper than this leans the torso, by so many rad a metre, because ankles end (at 0.87 rad those of a G1); by more where arms or a load
# behind the feet take the shanks forward, which is noticed by what is left to the ankles, in rad; below the last no knee goes any lower.
_STOOP_FROM_M, _STOOP_RAD_M = 0.16, 2.0
_ANKLE_SPARE_RAD, _ANKLE_STOP_RAD = 0.12, 0.03
_STOOP_GAIN, _STOOP_MAX_RAD = 4.0, 0.4  # 1/s


class Balance:
    """The balance of one robot in one model. Its state is that of one episode."""

    def __init__(self, robot: Robot, model: Any) -> None:
        """Looks up legs and floor.

        Args:
          robot: See `vlagym.envs.legs.Legs`.
          model: `mujoco.MjModel` of a scene in which it stands on base legs.

        Raises:
          BadSpec: If it has no legs to stand on.
        """
        self._model = model
        self._legs = legs = Legs(robot, model)
        self.joints = legs.joints
        self.every = max(1, round(PERIOD_S / float(model.opt.timestep)))
        self._dt = self.every * float(model.opt.timestep)
        self._ground = GroundForces(legs.half_sizes_m)
        self._half = np.array(legs.half_sizes_m).min(axis=0)
        body = _geoms_below(model, legs.pelvis) - set().union(*(_geoms_below(model, foot) for foot in legs.feet))
        self._is_body = np.isin(np.arange(model.ngeom), list(body))
        self._is_floor = (model.geom_bodyid == 0) & (model.geom_type == _PLANE)
        self._wanted = np.zeros(2)  # height in m and lean in rad, as commanded
        self._posture, self._rate = np.zeros(2), np.zeros(2)  # on the way there
        self._strange, self._explained = np.zeros(5), np.zeros(5)
        self._last_motion: Array | None = None
        self._stoop = 0.0
        self._standing_m = self._highest_m = 0.0
        self._inertia = np.ones(3)
        self._sways: dict[int, tuple[Sway, Sway]] = {}
        self._last_corners: tuple[Array, NDArray[np.bool_]] | None = None

    # ---------------------------------------------------------------------------------------------------------- what it does
    def reset(self, data: Any) -> None:
        """Begins an episode in the present state of `mujoco.MjData`, in which the robot stands."""
        import mujoco

        mujoco.mj_forward(self._model, data)
        self._legs.reset(data)
        self._wanted, self._posture, self._rate = np.zeros(2), np.zeros(2), np.zeros(2)
        self._stoop = 0.0
        self._strange, self._explained, self._last_motion = np.zeros(5), np.zeros(5), None
        self._standing_m = self._height_m(data, self._legs.soles(data))
        self._highest_m = self._standing_m + self._legs.stretch_left_m(data)
        self._inertia = self._legs.turning_inertia(data)
        self._sways = {}
        self._last_corners = None
        mujoco.mj_forward(self._model, data)

    def command(self, height_m: float, lean_rad: float) -> None:
        """Takes what is wanted, to be approached at bounded speeds.

        Args:
          height_m: Of the pelvis, counted from its height as it stood at the start: 0 or below.
          lean_rad: Forward, of the pelvis and what stands on it. Deep squats lean at least so far that the ankles can follow.
        """
        self._wanted = np.array([height_m, lean_rad])

    def update(self, data: Any) -> None:
        """Sets the controls of the legs in `data.ctrl`."""
        self._approach(self._legs.ankle_left_rad(data))
        soles = self._legs.soles(data)
        com, com_speed = self._legs.com(data)
        wrench = self._wrench(data, soles, com, com_speed)
        forces = self._ground.solve(soles, com, wrench, _WEIGHTS)
        self._legs.drive(data, self._legs.torques(data, soles, forces, com, self._inertia), self._dt)

    def _approach(self, ankle_left_rad: float) -> None:
        """Moves the posture that is asked for towards the commanded one, as far as the ankles let it."""
        spare = ankle_left_rad - _ANKLE_SPARE_RAD
        self._stoop = min(max(self._stoop - _STOOP_GAIN * spare * self._dt, 0.0), _STOOP_MAX_RAD)
        height, lean = self._wanted.tolist()
        lean = max(lean, _STOOP_RAD_M * (-height - _STOOP_FROM_M)) + self._stoop
        rate = np.clip(_APPROACH_GAIN * (np.array([height, lean]) - self._posture), -_SPEED_MAX, _SPEED_MAX)
        rate[0] = max(rate[0], -_SPEED_MAX[0] * min(max((ankle_left_rad - _ANKLE_STOP_RAD) / (_ANKLE_SPARE_RAD - _ANKLE_STOP_RAD), 0.0), 1.0))
        most = _SPEED_MAX * (self._dt / _SPEED_UP_S)
        self._rate = self._rate + np.clip(rate - self._rate, -most, most)
        self._posture = self._posture + self._rate * self._dt

    def _wrench(self, data: Any, soles: list[Sole], com: Array, com_speed: Array) -> Array:
        """Returns the wanted force of the ground on the body and its moment about the centre of mass, (6,) N and N m, in the world frame."""
        middle = (soles[0].centre + soles[1].centre) / 2
        apart = (soles[0].centre - soles[1].centre)[:2]
        half_way = float(np.hypot(apart[0], apart[1])) / 2
        cos, sin = apart[1] / (2 * half_way), -apart[0] / (2 * half_way)
        level = np.array([[cos, -sin], [sin, cos]])
        error, spin = self._turn_error(data, cos, sin)
        # What a hand that presses downward takes off the feet is not asked of them.
        load = self._legs.mass_kg * max(_GRAVITY + self._lift(data, soles) - float(self._strange[4]), 0.3 * _GRAVITY)

        # Along and across the feet. With the pressure at p and the moment m about the level axis across each direction, the ground pushes the
        # body with (load (com - p) - m) / height of the centre of mass.
        tall = max(float(com[2] - middle[2]), 0.2)
        place, speed = level.T @ (com[:2] - middle[:2]), level.T @ com_speed[:2]
        capture = np.abs(place + speed * np.sqrt(tall / _GRAVITY))
        length, width = self._half.tolist()
        limits = (length, min(max(float(capture[1]) * _REACH, _BETWEEN * half_way), half_way + width))
        across = np.array([level[:, 1], -level[:, 0]])
        turned, turning = across @ -error[:2], across @ spin[:2]
        strange = self._notice(np.array([*speed, *turning, com_speed[2]]))
        pressure, bend = np.zeros(2), np.zeros(2)
        for i, sway in enumerate(self._answers(tall)):
            state = np.array([place[i], speed[i], turned[i], turning[i]])
            rest = sway.rest(float(strange[i]), float(strange[2 + i]), _REST_MAX_M[i], limits[i])
            pressure[i], bend[i] = sway.answer(state, rest, limits[i], _BEND_MAX_NM[i], _BENT_MAX_RAD[i])
        push = (load * (place - pressure) - bend) / tall
        self._explained = np.array([*(push / self._legs.mass_kg), *(bend / self._inertia[[1, 0]]), load / self._legs.mass_kg - _GRAVITY])
        push = level @ push
        about_vertical = min(max(_YAW_GAIN * error[2] - _YAW_DAMPING * spin[2], -_YAW_MAX_NM), _YAW_MAX_NM)
        return np.array([*push, load, *(across.T @ bend), about_vertical])

    def _turn_error(self, data: Any, cos: float, sin: float) -> tuple[Array, Array]:
        """Returns how far the pelvis must turn to be as it is wanted, and how much faster than wanted it turns, as (3,) rad and rad/s, world.

        Args:
          data: `mujoco.MjData`
          cos: Of the direction of the feet.
          sin: Of the same.
        """
        turn, root = data.xmat[self._legs.pelvis].reshape(3, 3), self._legs.root
        lean_cos, lean_sin = np.cos(self._posture[1]), np.sin(self._posture[1])
        wanted = np.array([[cos * lean_cos, -sin, cos * lean_sin], [sin * lean_cos, cos, sin * lean_sin], [-lean_sin, 0.0, lean_cos]])
        rest = wanted @ turn.T
        error = 0.5 * np.array([rest[2, 1] - rest[1, 2], rest[0, 2] - rest[2, 0], rest[1, 0] - rest[0, 1]])
        return error, turn @ data.qvel[root + 3 : root + 6] - self._rate[1] * wanted[:, 1]

    def _lift(self, data: Any, soles: list[Sole]) -> float:
        """Returns the wanted acceleration of the pelvis upward, m/s2."""
        height = self._height_m(data, soles)
        wanted, rate = self._standing_m + float(self._posture[0]), float(self._rate[0])
        fall = (height + self._legs.stretch_left_m(data) - self._highest_m) / _STRETCH_TIME_S
        self._highest_m += fall * self._dt
        if wanted > self._highest_m:
            wanted, rate = self._highest_m, max(min(fall, 0.0), -HEIGHT_SPEED_M_S)
        lift = _HEIGHT_GAIN * (wanted - height) + _HEIGHT_DAMPING * (rate - float(data.qvel[self._legs.root + 2]))
        return min(max(lift, -_LIFT_MAX_M_S2), _LIFT_MAX_M_S2)

    def _answers(self, tall: float) -> tuple[Sway, Sway]:
        """Returns the answers to sway along and across the feet for a height of the centre of mass in m."""
        step = round(tall / _HEIGHT_STEP_M)
        if step not in self._sways:
            height, mass = step * _HEIGHT_STEP_M, self._legs.mass_kg
            self._sways[step] = Sway(mass, height, float(self._inertia[1])), Sway(mass, height, float(self._inertia[0]))
        return self._sways[step]

    def _notice(self, motion: Array) -> Array:
        """Returns accelerations that the ground does not explain: something pushes the body, or it carries what it did not carry before.

        Args:
          motion: (5,) of the centre of mass along and across the feet in m/s, of the pelvis in the senses of bows along and across in rad/s, and
            of the centre of mass upward in m/s.

        Returns:
          (5,) the same in m/s2 and rad/s2, smoothed over _NOTICE_S.
        """
        if self._last_motion is not None:
            strange = (motion - self._last_motion) / self._dt - self._explained
            smooth = self._strange + (strange - self._strange) * (self._dt / _NOTICE_S)
            self._strange = np.clip(smooth, -_STRANGE_MAX, _STRANGE_MAX)
        self._last_motion = motion
        return self._strange

    # ------------------------------------------------------------------------------------------------------------ what it says
    def height_m(self, data: Any) -> float:
        """Returns how much higher than at the start the pelvis is above the soles."""
        return self._height_m(data, self._legs.soles(data)) - self._standing_m

    def lean_rad(self, data: Any) -> float:
        """Returns how far the pelvis leans forward; the waist's joints add to that."""
        turn = data.xmat[self._legs.pelvis]
        return float(np.arctan2(-turn[6], np.hypot(turn[7], turn[8])))

    def is_fallen(self, data: Any) -> bool:
        """Returns whether the robot has fallen: see `vlagym.envs.support.has_fallen`."""
        one, other = data.contact.geom[:, 0], data.contact.geom[:, 1]
        lies = (self._is_floor[one] & self._is_body[other]) | (self._is_body[one] & self._is_floor[other])
        return has_fallen(
            pelvis_height_m=self.height_m(data) + self._standing_m,
            standing_height_m=self._standing_m,
            tilt_rad=float(np.arccos(np.clip(data.xmat[self._legs.pelvis][8], -1.0, 1.0))),
            commanded_tilt_rad=float(self._wanted[1]),
            lies=bool(lies.any()),
        )

    def com_margin_m(self, data: Any) -> float:
        """Returns how far the ground below the centre of mass is inside the support polygon; negative outside."""
        corners, touches = self._legs.corners(data)
        return support_margin_m(data.subtree_com[self._legs.pelvis][:2], corners[touches][:, :2])

    def foot_slip_m(self, data: Any) -> float:
        """Returns how far loaded soles slid since it was asked last, and 0 the first time."""
        corners, touches = self._legs.corners(data)
        before = self._last_corners
        self._last_corners = corners, touches
        return 0.0 if before is None else slip_m(before[0][:, :, :2], corners[:, :, :2], before[1] & touches)

    def _height_m(self, data: Any, soles: list[Sole]) -> float:
        return float(data.xpos[self._legs.pelvis][2]) - 0.5 * float(soles[0].centre[2] + soles[1].centre[2])


_PLANE = 0
"""mjGEOM_PLANE"""


def _geoms_below(model: Any, body: int) -> set[int]:
    bodies = {body}
    for index in range(body + 1, model.nbody):
        if int(model.body_parentid[index]) in bodies:
            bodies.add(index)
    return {g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in bodies}
