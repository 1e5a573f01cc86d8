"""Many comparisons at once: Holm's adjustment of p values, and letters that say which rates differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from vlagym.envs.errors import BadData, unknown_name

_COLUMNS_MAX = 10_000
"""Sets of names that differ from nobody in the set; more than a page can show long before that."""


def holm(p_values: ArrayLike) -> list[float]:
    """Returns the p values adjusted so that the chance of any false rejection stays below alpha (Holm 1979), in the same order.

    Args:
      p_values: `(k,)`, each within [0, 1].

    Raises:
      BadData: If one is not.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise BadData(f"p values are numbers from 0 to 1, one a comparison, not {p.tolist()}; leave out comparisons that could not be made")
    if p.size < 2:
        return [float(only) for only in p]  # nothing to adjust; what follows collects garbage each time, which takes longer than all else
    from statsmodels.stats.multitest import multipletests

    return [float(adjusted) for adjusted in multipletests(p, method="holm")[1]]


def letters(names: Sequence[str], significant: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the compact letter display: two names share a letter exactly if they are not known to differ.

    Insert, absorb and sweep of Piepho 2004 (Journal of Computational and Graphical Statistics 13, 456-466): one set holds everybody; each pair
    that differs splits every set that holds both; sets within others are absorbed; at last letters that connect nobody who is not connected by
    another are swept away.

    Args:
      names: In the order of the table, best first: the first name has an "a".
      significant: Pairs of names that differ after correction.

    Returns:
      Name -> its letters in alphabetical order; after "z" come "a2", "b2" ...

    Raises:
      UnknownName: If a pair names somebody else.
      BadData: If a name comes twice or differs from itself.
    """
    if len(set(names)) != len(names):
        raise BadData(f"letters are for names that differ, not for {', '.join(names)}")
    place = {name: i for i, name in enumerate(names)}
    differ: set[frozenset[int]] = set()
    for pair in significant:
        for name in pair:
            if name not in place:
                raise unknown_name("row", name, names)
        if pair[0] == pair[1]:
            raise BadData(f"{pair[0]!r} cannot differ from itself")
        differ.add(frozenset(place[name] for name in pair))
    columns: list[frozenset[int]] = [frozenset(range(len(names)))]
    for i, j in sorted(tuple(sorted(pair)) for pair in differ):
        split = [column - {out} for column in columns if {i, j} <= column for out in (i, j)]
        columns = _absorbed([c for c in columns if not {i, j} <= c] + split)
        if len(columns) > _COLUMNS_MAX:
            raise BadData(f"{len(names)} names need more than {_COLUMNS_MAX} letters: compare fewer at once")
    columns = _swept(columns, len(names))
    columns.sort(key=lambda column: sorted(column))
    return {name: "".join(_letter(k) for k, column in enumerate(columns) if i in column) for name, i in place.items()}


def _absorbed(columns: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """Returns the columns that are in no other."""
    kept: list[frozenset[int]] = []
    for column in sorted(set(columns), key=lambda c: (-len(c), sorted(c))):
        if not any(column <= other for other in kept):
            kept.append(column)
    return kept


def _swept(columns: Sequence[frozenset[int]], size: int) -> list[frozenset[int]]:
    """Returns the columns without the letters that nobody needs: whoever shared one still shares one, and everybody has one."""
    swept = list(columns)
    for k in range(len(swept) - 1, -1, -1):
        for i in sorted(swept[k], reverse=True):
            rest = swept[k] - {i}
            others = [c for at, c in enumerate(swept) if at != k and i in c]
            if others and all(any(j in c for c in others) for j in rest):
                swept[k] = rest
    return _absorbed(c for c in swept if c)


def _letter(k: int) -> str:
    turn, at = divmod(k, 26)
    return chr(ord("a") + at) + (str(turn + 1) if turn else "")
