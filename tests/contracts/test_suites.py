"""Every suite keeps the contract of its kind: it loads, names only what exists, and expands to the same episodes every time."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.suite import CONTRACT
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.toml_names(FOLDER))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []


@pytest.mark.parametrize("name", catalog.toml_names(FOLDER))
def test_it_tests_on_no_seed_that_demonstrations_are_made_of(name: str) -> None:
    assert all(0 <= seed < FIRST_DEMO_SEED for entry in load_suite(name).entries for seed in (entry.seeds[0], entry.seeds[-1]))
