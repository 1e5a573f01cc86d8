"""How short a success was: success weighted by the reference over the greater of value and reference (SPL), the reference being another run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from vlagym.envs.types import EpisodeResult

OF: Mapping[str, str] = {"spl_time": "time_s", "spl_path": "path_length_m"}
"""Measure -> the measure that is compared with the reference."""

Reference = Mapping[str, Mapping[str, float]]
"""Digest of an episode -> its `OF` measures in the reference run."""


def reference_of(results: Iterable[EpisodeResult]) -> dict[str, dict[str, float]]:
    """Returns the reference that a run is: what its successes took. Usually the run of the expert on the same suite.

    Args:
      results: Of one or more runs, in any order; of several that succeeded in an episode the shortest counts, of each measure.
    """
    reference: dict[str, dict[str, float]] = {}
    for result in results:
        if result.outcome == "success":
            known = reference.setdefault(result.digest, {})
            for name in OF.values():
                value = result.measures.get(name)
                if value is not None:
                    known[name] = min(value, known.get(name, value))
    return reference


def spl(result: EpisodeResult, reference: Reference) -> dict[str, float | None]:
    """Returns `spl_time` and `spl_path` of an episode: S * ref / max(value, ref), between 0 and 1.

    S is 1 for a success and 0 for a failure, so that the mean over episodes is the success weighted by path length of Anderson et al., "On
    evaluation of embodied navigation agents" (arXiv:1807.06757, 2018), with the reference run in the place of the shortest path. A value that is
    smaller than the reference counts as equal to it. None for an error, and where the reference run has no success in this very episode: what
    it would have taken nobody knows, and a failure there is left out together with the successes.
    """
    found: dict[str, float | None] = dict.fromkeys(OF)
    known = reference.get(result.digest)
    if known is None or result.outcome == "error":
        return found
    for name, of in OF.items():
        value, ref = result.measures.get(of), known.get(of)
        if value is None or ref is None:
            continue
        longest = max(value, ref)
        found[name] = 0.0 if result.outcome != "success" else ref / longest if longest > 0 else 1.0
    return found


def with_spl(results: Iterable[EpisodeResult], reference: Reference) -> list[EpisodeResult]:
    """Returns results with both measures added to those of each episode that has measures."""
    return [dataclasses.replace(r, measures={**r.measures, **spl(r, reference)}) if r.measures else r for r in results]
