"""Success of a policy that ignores the sentence and reaches any one of the k goals of its scene: 1 / k. The bound to read beside success."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return 1.0 / (1 + len(spec.alternatives))


METRIC = Metric(unit="share", better="higher", kind="mean", measure=_measure, headline=True)
