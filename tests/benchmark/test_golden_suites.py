"""A suite of one version has the same episodes for ever: whoever compares two numbers of `smoke` 1 compares the same thing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from vlagym.benchmark.suite import Suite, digest_of
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog

PINNED: dict[str, Any] = tomllib.loads((Path(__file__).resolve().parent.parent / "golden" / "suites.toml").read_text(encoding="utf-8"))
SUITES = catalog.toml_names(FOLDER)


def advice(suite: Suite, key: str, found: str) -> str:
    return (
        f"{suite.name!r} has other episodes than were pinned for its version {suite.version}: layout, language or what a spec holds has changed, and "
        f"numbers of before can no longer be compared with numbers of now. Raise the version in {FOLDER}/{suite.name}.toml, pin it in "
        f'tests/golden/suites.toml ({key} = "{found}"), and say why in CHANGELOG.md'
    )


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_is_pinned_in_its_version(name: str) -> None:
    suite = load_suite(name)
    assert PINNED[name]["version"] == suite.version, f"pin the digests of {name!r} version {suite.version} in tests/golden/suites.toml"
    assert PINNED[name]["episodes"] == suite.num_episodes, advice(suite, "episodes", str(suite.num_episodes))


@pytest.mark.parametrize("name", SUITES)
def test_the_first_episode_of_each_entry_is_the_one_that_was_pinned(name: str) -> None:
    suite = load_suite(name)
    found = digest_of([entry.sample(entry.first_seed) for entry in suite.entries])
    assert found == PINNED[name]["firsts"], advice(suite, "firsts", found)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_so_are_all_of_them(name: str) -> None:
    suite = load_suite(name)
    found = digest_of(suite.expand(workers=2))
    assert found == PINNED[name]["digest"], advice(suite, "digest", found)
