"""Every task keeps the contract of its kind: its scenes can be laid out, its sentences name what is meant, the expert reaches its goals."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.task import complaints
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("task"))
def test_nothing_is_wrong_with_a_few_episodes_of_it(name: str) -> None:
    assert [found for found in complaints(name, num_specs=3, workers=1) if isinstance(found, str)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("task"))
def test_nothing_is_wrong_with_many_episodes_of_it(name: str) -> None:
    assert [found for found in complaints(name, workers=2) if isinstance(found, str)] == []
