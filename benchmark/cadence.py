"""How often a policy was asked: stated by the run itself, and contradicted only where the way its chunks are played allows no such thing."""

from __future__ import annotations

from vlagym.envs.types import Trace
from vlagym.policies.chunking import Chunking, parse

MEASURES = ("calls", "chunk_steps", "effective_rate_hz", "stale_action_ratio")
"""Those that follow from when the policy was asked."""


def is_decided(chunking: str | None) -> bool:
    """Returns whether there is only one answer to when the policy was asked: before every action.

    Args:
      chunking: As the header of a run has it, e.g. receding:8; None where it does not say.
    """
    if chunking is None:
        return False
    way = parse(chunking)
    return way.mode == "ensemble" or (way.mode == "receding" and way.execute_steps == 1)


def contradiction(trace: Trace, chunking: str | None) -> str | None:
    """Returns what of the stored calls cannot be, in words; None if nothing contradicts the way in which chunks were played.

    A chunk may be shorter than what is executed of one: asked more often than it had to be a policy may have been, asked less often it was not.

    Args:
      trace: A stored episode that ended without an error.
      chunking: As the header of its run has it; None: only that the calls are in order is looked at.

    Raises:
      UnknownName: If it is no way to play a chunk.
      BadData: As `policies.chunking.parse`.
    """
    calls, steps = trace.call_step.tolist(), len(trace.actions)
    if len(calls) != len(trace.latency_s):
        return f"the trace holds {len(calls)} calls of the policy and {len(trace.latency_s)} latencies"
    if not steps:
        return None
    if not calls or calls[0] != 0:
        return "the policy was not asked before the first action"
    gaps = [b - a for a, b in zip(calls, [*calls[1:], steps], strict=True)]
    if min(gaps) < 1:
        return f"the policy was asked twice before one action, or after the last one: at {calls}"
    most = _most_steps(None if chunking is None else parse(chunking))
    if most is not None and max(gaps) > most:
        return f"the header says that chunks were played {chunking}, and {max(gaps)} actions were played without asking the policy"
    return None


def _most_steps(way: Chunking | None) -> int | None:
    """Returns how many actions may be played of a chunk; None for as many as it has."""
    if way is None or way.mode == "whole":
        return None
    return 1 if way.mode == "ensemble" else way.execute_steps
