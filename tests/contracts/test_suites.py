"""Every suite keeps the contract of its kind: it loads, names only what exists, and expands to the same episodes every time."""

from __future__ import annotations

import pytest

from vlagym.benchmark.checks.suite import CONTRACT
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog


ALL = catalog.toml_names(FOLDER)
WITH_A_CORE = {name for name in ALL if any(f"{name}_{part}" in ALL for part in ("core", "smoke"))}
"""Large suites of which there is a small one too."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in WITH_A_CORE else []) for name in ALL])
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []


@pytest.mark.parametrize("name", ALL)
def test_it_tests_on_no_seed_that_demonstrations_are_made_of(name: str) -> None:
    assert all(0 <= seed < FIRST_DEMO_SEED for entry in load_suite(name).entries for seed in (entry.seeds[0], entry.seeds[-1]))
