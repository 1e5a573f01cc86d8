"""At how many control steps a decision was executed that was made for that step."""

from __future__ import annotations

from vlagym.envs.types import EpisodeSpec, Trace


def fresh_steps(trace: Trace, spec: EpisodeSpec) -> int | None:
    """Returns the number of control steps whose action is the first of a chunk; None where the policy was never asked or nothing was done.

    A policy that is asked at step c decides on what it sees then. The first action of its chunk is executed at step c + k, where k is
    `action_delay_steps`; the others play out what was decided before. What arrives after the end of the episode is never executed.
    """
    if not trace.num_steps or not trace.call_step.size:
        return None
    return int((trace.call_step + spec.action_delay_steps < trace.num_steps).sum())
