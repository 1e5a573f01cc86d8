"""The statistics of vlagym in one place, and which is for what. They live in `results`, where the tables can reach them.

One rate (success of a policy): `wilson`. One mean (path length): `bootstrap_mean`, stratified by task, drawn with `content_rng`.

Two arms on the same episodes (two policies, or an axis and its unvaried twins): `mcnemar` says whether they differ, `paired_rate_interval` by how
much, also where nothing differs or everything does; `paired_bootstrap` gives the interval of any mean difference, stratified by task.

Several such tests at once: `holm` adjusts their p values, `letters` shows which policies are not known to differ.

Tasks as the unit: `iqm` and `optimality_gap` with `over_tasks`, and `probability_of_improvement`.

Before a run: `episodes_for_width`, `width_of`, `width_of_difference`; `episodes_for_difference`, `detectable_difference`, `power_paired`,
`power_unpaired`.

While two policies run: `SequentialComparison`, which may be looked at after every pair. The p value of a test and the ends of the other intervals
hold for a number of episodes that was fixed beforehand; who stops when they please is wrong far more often than they say.
"""

from __future__ import annotations

from vlagym.results.intervals import RESAMPLES, Intervals, MeanInterval, bootstrap_mean, content_rng, wilson
from vlagym.results.multiplicity import holm, letters
from vlagym.results.paired import PairedTest, Pairs, count_pairs, mcnemar, mcnemar_p, paired_bootstrap, paired_rate_interval
from vlagym.results.planning import (
    Plan,
    detectable_difference,
    discordance_of,
    episodes_for_difference,
    episodes_for_width,
    power_paired,
    power_unpaired,
    width_of,
    width_of_difference,
)
from vlagym.results.robust import iqm, optimality_gap, over_tasks, probability_of_improvement
from vlagym.results.sequential import SequentialComparison, State, confidence_sequence, decided_after, state_after

__all__ = [
    "RESAMPLES",
    "Intervals",
    "MeanInterval",
    "PairedTest",
    "Pairs",
    "Plan",
    "SequentialComparison",
    "State",
    "bootstrap_mean",
    "confidence_sequence",
    "content_rng",
    "count_pairs",
    "decided_after",
    "detectable_difference",
    "discordance_of",
    "episodes_for_difference",
    "episodes_for_width",
    "holm",
    "iqm",
    "letters",
    "mcnemar",
    "mcnemar_p",
    "optimality_gap",
    "over_tasks",
    "paired_bootstrap",
    "paired_rate_interval",
    "power_paired",
    "power_unpaired",
    "probability_of_improvement",
    "state_after",
    "width_of",
    "width_of_difference",
    "wilson",
]
