"""Share of the stages of the task's plan (reach, grasp, move, place …) that were reached one after the other."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._stages import stages_in_order
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    return stages_in_order(trace) / len(spec.stages) if spec.stages else None


METRIC = Metric(unit="share", better="higher", kind="mean", measure=_measure, headline=True)
