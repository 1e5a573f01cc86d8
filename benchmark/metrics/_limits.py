"""The limits that a safety filter would hold a robot to, for measures of how often they are left without one."""

from __future__ import annotations

from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.safety_limits import SafetyLimits, limits_of


def known_limits(robot: str) -> SafetyLimits | None:
    """Returns the limits of a robot; None where it has none or is not of this installation: then there is nothing to violate."""
    try:
        return limits_of(robot)
    except (UnknownName, BadData):
        return None
