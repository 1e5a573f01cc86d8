"""Whether episodes are made at the station that their policy was made for: before other cameras a checkpoint fails, and nothing says why."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.benchmark.entry import Entry
from vlagym.benchmark.rig import NO_RIG, Rig, load_rig
from vlagym.envs.errors import ConventionMismatch, VlagymError
from vlagym.policies.base import PolicySpec


def refuse_elsewhere(policy: PolicySpec, entries: Sequence[Entry], *, any_rig: bool = False, option: str = "--rig ", way_out: str = "") -> bool:
    """Returns whether a policy is to play at another station than its own, which only happens where that was asked for.

    Conventions alone do not tell: those of a station and of our own table often connect, and cameras, start posture and horizon are other ones.

    Args:
      policy: Its `rig` names its station; without one it plays anywhere.
      entries: Of the suite.
      any_rig: Whether it may be another station; the robot must be that of its own all the same.
      option: How a rig is chosen there where the refusal is read.
      way_out: What else could be done there, as the end of a sentence; nothing: that of `vlagym run`.

    Raises:
      ConventionMismatch: If some episodes are of another robot, or at another station and that was not asked for. Says what to write.
      VlagymError: If the policy's rig is none that can be read.
    """
    if policy.rig is None:
        return False
    who = f"policy {policy.name!r}" if policy.profile is None else f"policy {policy.name!r} (profile {policy.profile!r})"
    try:
        own = load_rig(policy.rig)
    except VlagymError as error:
        raise type(error)(f"the station that {who} was made for: {error}") from error
    made = f"{who} was made for the rig {policy.rig!r}"
    for entry in entries:
        if entry.body != own.robot:
            raise ConventionMismatch(
                f"{made}, which is one of {own.robot!r}, and {entry.task} is played by {entry.body!r}: write {option}{policy.rig} and choose the "
                f"robot {own.robot!r}; another robot is played with a profile of your own that names no rig"
            )
    others = [entry for entry in entries if not _is(policy.rig, own, entry.rig)]
    if not others or any_rig:
        return bool(others)
    where = "without a rig" if others[0].rig == NO_RIG else f"at {others[0].rig!r}"
    what = "with other cameras, another start posture and another horizon"
    out = way_out or "to measure how it does elsewhere all the same, add --any-rig, which the run and its table will say"
    raise ConventionMismatch(f"{made}, and {others[0].task} is played {where}, {what}: write {option}{policy.rig}; {out}")


def _is(name: str, own: Rig, other: str) -> bool:
    """Returns whether two names are of rigs that say the same."""
    return other != NO_RIG and (other == name or load_rig(other).digest() == own.digest())
