"""Every task keeps the contract of its kind: its scenes can be laid out, its sentences name what is meant, the expert reaches its goals."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.task import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("task"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []
