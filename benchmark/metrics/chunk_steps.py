"""Control steps that were played of a chunk before the policy was asked again: steps over calls."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the length; None where the policy was never asked. A temporal ensemble asks at every step, so that its length is 1."""
    return trace.num_steps / trace.call_step.size if trace.call_step.size else None


METRIC = Metric(unit="steps", better="higher", kind="mean", measure=_measure)
