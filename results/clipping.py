"""How often what a policy sent was clipped: the trace of a policy whose actions are not un-normalised, or mean something else than is declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vlagym.envs.types import EpisodeResult
from vlagym.results.pooling import Pool

CLIPPED_SHARE = "clipped_share"
"""A derived measure: in which share of an episode's control steps something was clipped. A table has it where it is among the columns asked for."""

MANY = 0.2
"""From this share of all steps on it is said below the table."""


def share_of(result: EpisodeResult) -> float | None:
    """Returns the share of an episode's control steps in which something that the policy sent was clipped; None where nothing may be."""
    return None if result.clipped_steps is None or not result.steps else result.clipped_steps / result.steps


def share(results: Iterable[EpisodeResult]) -> float | None:
    """Returns the share of all control steps in which something was clipped; None where nothing may be, or nothing was played."""
    some = [(r.clipped_steps, r.steps) for r in results if r.clipped_steps is not None]
    steps = sum(n for _, n in some)
    return sum(clipped for clipped, _ in some) / steps if steps else None


def clipping_remarks(of_rows: Sequence[Pool]) -> tuple[str, ...]:
    """Returns a sentence for each row in which MANY steps or more were clipped. Errored episodes count as far as they went."""
    notes = []
    for pool in of_rows:
        found = share(pool.results())
        if found is not None and found >= MANY:
            told = f"{100 * found:.0f} % of its steps asked for more than its range and were clipped: are its actions un-normalised?"
            notes.append(f"{pool.suite}: policy {pool.label}: {told}")
    return tuple(notes)
