"""In which order rows stand: suite by suite, the policy that succeeded most often in its unvaried episodes first, the same in every table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from vlagym.results.counted import low_first, plain_episodes, rate
from vlagym.results.pooling import Pool, Run, pools


class Row(Protocol):
    """What has a place among the rows."""

    @property
    def policy(self) -> str: ...

    @property
    def suite(self) -> str: ...

    @property
    def differs(self) -> str: ...


R = TypeVar("R", bound=Row)


def in_order(rows: Iterable[R], runs: Sequence[Run]) -> list[R]:
    """Returns the rows of some runs in the order of their policies; those of one policy stay as they are."""
    places = {(pool.suite, pool.policy, pool.differs): i for i, pool in enumerate(sorted(pools(runs), key=_key))}
    return sorted(rows, key=lambda row: places.get((row.suite, row.policy, row.differs), len(places)))


def _key(pool: Pool) -> tuple[str, float, str, str]:
    counted = [r for r in plain_episodes(pool.results()) if r.outcome != "error"]
    success = rate(sum(r.outcome == "success" for r in counted), len(counted)).mean
    return pool.suite, -low_first(success), pool.policy, pool.differs
