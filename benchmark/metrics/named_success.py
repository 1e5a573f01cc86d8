"""Under a contradictory sentence, the goal that the sentence names was held for the hold time; None where sentence and goal agree."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.outcome import held
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns 1 for a policy that did what it was told, where `success` counts what the episode wanted before the sentence was exchanged."""
    if spec.told is None:
        return None
    return float(held(trace.columns["alternative_met"][:, [spec.told]], spec.hold_steps_of(spec.alternatives[spec.told])))


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
