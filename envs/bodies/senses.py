"""What a humanoid feels beside its joints: which way it is turned and moved, the forces in its wrists, and what its finger tips touch."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.envs.robot import SensorArray


def body_senses(sides: Sequence[str], tips: Sequence[str]) -> tuple[SensorArray, ...]:
    """Returns the arrays of a body whose model has the sensors imu_quat, imu_gyro and imu_accel, and for each side those of wrist and finger tips.

    Args:
      sides: Of its hands: left, right.
      tips: What touches, by the middle of the names of its sensors: "thumb" for "left_thumb_touch".
    """
    imu = (
        SensorArray(name="imu_quat_world_wxyz", sensors=("imu_quat",), size=4),
        SensorArray(name="imu_gyro_rad_s", sensors=("imu_gyro",), size=3),
        SensorArray(name="imu_accel_m_s2", sensors=("imu_accel",), size=3),
    )
    hands = (
        array
        for side in sides
        for array in (
            SensorArray(name=f"{side}_wrist_force_n", sensors=(f"{side}_wrist_force",), size=3),
            SensorArray(name=f"{side}_wrist_torque_nm", sensors=(f"{side}_wrist_torque",), size=3),
            SensorArray(name=f"{side}_hand_touch_n", sensors=tuple(f"{side}_{tip}_touch" for tip in tips), size=len(tips)),
        )
    )
    return (*imu, *hands)
