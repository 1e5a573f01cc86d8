"""Every axis keeps the contract of its kind: it changes the episode, only what it says, and level 0 is the identity."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.axis import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("axis"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []
