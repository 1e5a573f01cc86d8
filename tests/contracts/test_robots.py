"""Every robot keeps the contract of its kind: its names exist, its home posture is within limits, its hand reaches the table."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.robot import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("robot"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []
