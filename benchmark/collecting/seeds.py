"""The seeds of an entry in the order in which they are demonstrated: one after another, or such that no sentence is told much more than others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from vlagym.benchmark.entry import Entry, Sample
from vlagym.envs.errors import VlagymError

LOOKS = 4
"""Seeds in a row that are looked at for one that is taken, at most."""


def seeds_of(entry: Entry, sample: Sample, *, even: bool) -> Iterator[int]:
    """Yields the seeds of an entry from its first one on, without an end; which ones does not depend on how many are taken.

    Args:
      entry: Whose episodes are demonstrated.
      sample: Draws an episode.
      even: Whether seeds are passed over whose sentence has a template that was told more often than the templates so far on the average. Where
        that is so of LOOKS in a row, the one whose template was told least is taken. It takes one to two draws for each seed.
    """
    ahead = itertools.count(entry.first_seed)
    if not even:
        yield from ahead
    told = Counter[str]()
    for taken in itertools.count():
        best, template = None, None
        for seed in itertools.islice(ahead, LOOKS):
            found = _template(entry, seed, sample)
            if best is None or (found is not None and (template is None or told[found] < told[template])):
                best, template = seed, found
            if template is not None and told[template] * len(told) <= taken:
                break
        if template is not None:
            told[template] += 1
        assert best is not None
        yield best


def _template(entry: Entry, seed: int, sample: Sample) -> str | None:
    """Returns which template the sentence of an episode has; None where a seed gives no episode, which whoever plays it finds out again and tells."""
    try:
        return entry.sample(seed, sample).phrase
    except VlagymError:
        return None
