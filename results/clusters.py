"""Pairs that share a twin are no independent evidence: tests and intervals in which what belongs together is resampled, or changes sign, together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.results.intervals import RESAMPLES

_CELLS_AT_ONCE = 2_000_000


def sign_flip_p(sums: ArrayLike) -> float:
    """Returns the two-sided p of "the sum over clusters is zero": the sign of each cluster's sum is as likely one as the other, all signs counted.

    It is exact where both labels of a whole cluster may be exchanged, as two policies on the episodes of one scene, and where every cluster is one
    pair, for which it is McNemar's exact test. Where the pairs of a cluster share an episode it is not: see `exchange_p`. The asymptotic form of the
    same idea is the test of Durkalski et al. 2003 (Statistics in Medicine 22, 2417-2428).

    Args:
      sums: `(c,)` whole numbers: of each cluster, the successes gained minus those lost.

    Raises:
      BadData: If a sum is no whole number.
    """
    x = np.asarray(sums, np.float64)
    if x.ndim != 1 or not (x == np.round(x)).all():
        raise BadData(f"the sums of clusters are counts gained minus counts lost, whole numbers, not {x.tolist()}")
    sizes, counts = np.unique(np.abs(x[x != 0]).astype(int), return_counts=True)
    return _two_sided(((0.5, 2 * size, count) for size, count in zip(sizes.tolist(), counts.tolist(), strict=True)), int(x.sum()))


def exchange_p(clusters: ArrayLike) -> float:
    """Returns the exact two-sided p of "the variations change nothing" for twins that are each in several pairs.

    If nothing changes, the twin and its variations are exchangeable: given how many of them succeeded, each is as likely as any other to bear the
    label of the twin. So the twin of a cluster of m episodes with s successes has succeeded with probability s / m, and all labellings are counted.
    With one variation a twin this is McNemar's exact test.

    Args:
      clusters: `(c, 3)` whole numbers, of each cluster: whether the twin succeeded, successes of twin and variations, number of all of them.

    Raises:
      BadData: If these are no such counts.
    """
    x = np.asarray(clusters, np.float64).reshape(-1, 3)
    twin, successes, size = x.T
    is_count = (x == np.round(x)).all() and ((twin == 0) | (twin == 1)).all()
    if not is_count or (successes < twin).any() or (size - successes < 1 - twin).any():
        raise BadData(f"clusters are (twin succeeded, successes, episodes), the twin counted in both, not {x.tolist()}")
    is_mixed = (successes > 0) & (successes < size)
    kinds, counts = np.unique(x[is_mixed][:, 1:].astype(int), axis=0, return_counts=True)
    parts = ((s / m, m, count) for (s, m), count in zip(kinds.tolist(), counts.tolist(), strict=True))
    return _two_sided(parts, int((successes - size * twin).sum()))


def _two_sided(parts: Iterable[tuple[float, int, int]], found: int) -> float:
    """Returns how likely a sum of mean 0 is at least as far from it as the one found.

    Args:
      parts: (chance, step, count): count terms of step * chance, minus step with that chance.
      found: The sum that came out.
    """
    from scipy.stats import binom

    distribution, highest = np.ones(1), 0.0  # of the sum so far, from its highest value down
    for chance, step, count in parts:
        one = np.zeros(step * count + 1)
        one[::step] = binom.pmf(np.arange(count + 1), count, chance)
        distribution = np.convolve(distribution, one)
        highest += step * chance * count
    distance = np.abs(round(highest) - np.arange(distribution.size))
    return float(min(1.0, distribution[distance >= abs(found)].sum()))


def resampled_totals(
    units: ArrayLike, strata: Sequence[str], rng: np.random.Generator, *, resamples: int = RESAMPLES, merge_singles: bool = True
) -> NDArray[np.float64] | None:
    """Returns the totals of resampled units, each drawn whole and within its stratum: the bootstrap of whatever is a function of totals.

    Of a stratum of m units m - 1 are drawn, and weighted by m / (m - 1): the rescaled bootstrap of Rao and Wu 1988 (JASA 83, 231-241), whose spread
    is that of the stratum. Drawing m makes it too small by (m - 1) / m, by half with two episodes a task.

    Args:
      units: `(c, k)` k numbers of each unit.
      strata: `(c,)` name of the stratum of each.
      rng: Draws the resamples.
      resamples: R.
      merge_singles: Strata of a single unit, which cannot be resampled, are put together into one; otherwise they stay as they are.

    Returns:
      `(R, k)`; None where the units of no stratum differ, so that there is nothing to resample.

    Raises:
      BadData: If there is not one stratum name a unit.
    """
    x = np.asarray(units, np.float64)
    if x.ndim != 2 or len(strata) != len(x):
        raise BadData(f"units of shape {x.shape} and {len(strata)} stratum names: there must be one name for each of (c, k) units")
    names = np.asarray(strata, dtype=str)
    found, index, counts = np.unique(names, return_inverse=True, return_counts=True)
    is_single = (counts[index] == 1) & merge_singles
    groups = [x[index == i] for i in range(found.size) if counts[i] > 1 or not merge_singles] + ([x[is_single]] if is_single.any() else [])
    kinds = [np.unique(group, axis=0, return_counts=True) for group in groups]
    if all(len(values) == 1 for values, _ in kinds):
        return None
    totals = np.zeros((resamples, x.shape[1]))
    for values, occurrences in kinds:
        size = int(occurrences.sum())
        if size == 1:
            totals += values[0]
            continue
        at_once = max(1, _CELLS_AT_ONCE // len(values))
        for start in range(0, resamples, at_once):
            block = slice(start, min(resamples, start + at_once))
            totals[block] += rng.multinomial(size - 1, occurrences / size, size=block.stop - block.start) @ values * (size / (size - 1))
    return totals
