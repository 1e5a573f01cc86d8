"""Which of several policies are told apart: compact letters over their episodes in common, and never a rank where nothing separates them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlagym.envs.types import EpisodeResult
from vlagym.results.clusters import sign_flip_p
from vlagym.results.multiplicity import holm
from vlagym.results.multiplicity import letters as letter_display
from vlagym.results.paired import PairedTest, mcnemar

ALPHA = 0.05
"""Chance of telling any two policies of a group apart that succeed equally often."""


class Comparison(NamedTuple):
    """Two policies on the episodes that both have played to an end."""

    first: str
    second: str
    test: PairedTest
    p_adjusted: float
    """By Holm, over all pairs of the group."""

    @property
    def is_different(self) -> bool:
        return self.p_adjusted < ALPHA


def comparisons(rivals: Mapping[str, Sequence[EpisodeResult]]) -> list[Comparison]:
    """Returns every pair of policies that has episodes in common, tested on those by McNemar's exact test.

    Where a scene has several episodes (a twin and its variations), their signs change together: they are one piece of evidence (see
    `vlagym.results.clusters`). An episode that ended in an error on either side is in no pair.

    Args:
      rivals: Name of each row -> its episodes.
    """
    outcomes = {name: {r.digest: r.outcome == "success" for r in results if r.outcome != "error"} for name, results in rivals.items()}
    scenes = {r.digest: r.base or r.digest for results in rivals.values() for r in results}
    tests: list[tuple[str, str, PairedTest]] = []
    for first, second in itertools.combinations(outcomes, 2):
        shared = sorted(outcomes[first].keys() & outcomes[second].keys())
        if shared:
            one, other = ([outcomes[name][d] for d in shared] for name in (first, second))
            gained: Counter[str] = Counter()
            for digest, a, b in zip(shared, one, other, strict=True):
                gained[scenes[digest]] += int(a) - int(b)
            tests.append((first, second, mcnemar(one, other)._replace(p=sign_flip_p(list(gained.values())))))
    adjusted = holm([test.p for _, _, test in tests])
    return [Comparison(first, second, test, p) for (first, second, test), p in zip(tests, adjusted, strict=True)]


def letters(rivals: Mapping[str, Sequence[EpisodeResult]]) -> dict[str, str]:
    """Returns the letters of each row: two that share one are not told apart (Piepho 2004), and two that share none are, at the level ALPHA.

    Rows without an episode in common with any other have no letter, and are not in the result; nor are rows that cannot be compared with each
    other told apart. The row that succeeded most often has an "a".

    Args:
      rivals: Name of each row -> its episodes.
    """
    found = comparisons(rivals)
    compared = {name for c in found for name in (c.first, c.second)}

    def rate(name: str) -> float:
        counted = [r for r in rivals[name] if r.outcome != "error"]
        return sum(r.outcome == "success" for r in counted) / len(counted)

    names = sorted(compared, key=lambda name: (-rate(name), name))
    return letter_display(names, [(c.first, c.second) for c in found if c.is_different]) if names else {}
