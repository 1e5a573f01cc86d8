"""The expert's run as the ceiling of a table: what every other policy took is weighed against what it took in the same episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vlagym.results.pooling import Run
from vlagym.results.spl import OF, reference_of, with_spl

EXPERT = "expert"
"""The privileged policy that sets the reference."""


def with_expert(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs with `spl_time` and `spl_path` in every episode that an expert's run among them has solved too.

    A run that holds these measures already, stored by `vlagym score RUN --reference`, keeps its own. Without an expert's run the runs come back as
    they are.

    Args:
      runs: Those of one table.
    """
    experts = [run for run in runs if run.header.policy.get("privileged") and str(run.header.policy.get("name")).partition(":")[0] == EXPERT]
    if not experts:
        return list(runs)
    reference = reference_of(result for run in experts for result in run.results)
    return [run if _has_its_own(run) else dataclasses.replace(run, results=with_spl(run.results, reference)) for run in runs]


def _has_its_own(run: Run) -> bool:
    return any(result.measures.get(name) is not None for result in run.results for name in OF)
