"""Every goal condition holds together at the end of the episode, however briefly it had been so by then."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns what a benchmark would count that looks at the last step alone; None for an episode without steps.

    An episode ends as soon as its goal was held for the hold time, so of a success this says nothing new. It adds those whose time was up while
    the goal held, not yet for long enough; and it takes none away, as it would in a run that went on to the horizon in any case.
    """
    return float(trace.columns["goal_met"][-1].all()) if trace.num_steps else None


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
