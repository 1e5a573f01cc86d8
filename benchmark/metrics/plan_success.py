"""The stages of the task's plan were all reached in order, and nothing was manipulated that the goal does not name."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._manipulation import first_manipulated
from vlagym.benchmark.metrics._stages import stages_in_order
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    if not spec.stages:
        return None
    return float(stages_in_order(trace) == len(spec.stages) and set(first_manipulated(trace, spec)) <= set(spec.concerned))


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
