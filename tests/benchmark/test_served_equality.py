"""minivla behind a wire plays the same episodes as in process: every outcome, measure and certificate is equal, that of the frames included."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlagym.benchmark.suite_files import load_suite
from vlagym.envs import catalog
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.base import Policy
from vlagym.policies.loading import load_policy

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "doubles"))
from ledgers import ledger  # noqa: E402

pytestmark = pytest.mark.gl

SUITE = load_suite("smoke")
PROTOCOLS = catalog.names("protocol")


@pytest.fixture(scope="module")
def minivla() -> Iterator[Policy]:
    with contextlib.closing(load_policy("minivla")) as policy:
        yield policy


@pytest.fixture(scope="module")
def three() -> list[EpisodeSpec]:
    """Returns the first second of an episode of each task: three calls of the policy."""
    return [dataclasses.replace(spec, horizon_s=1.0) for spec in SUITE.restrict(episodes=1).expand()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, three: list[EpisodeSpec]) -> dict[str, Any]:
    found = ledger(SUITE, tmp_path_factory.mktemp("here") / "run", three, "minivla", executor="serial")
    assert len(found) == 3 == len({str(certificate["frames"]) for *_, certificate in found.values()})
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_episodes_are_equal_in_everything_but_latency(
    tmp_path: Path, minivla: Policy, three: list[EpisodeSpec], here: dict[str, Any], protocol: str
) -> None:
    with catalog.load("protocol", protocol)(minivla, "127.0.0.1", 0) as server:
        assert ledger(SUITE, tmp_path / "run", three, f"{protocol}:{server.url}", executor="serial") == here


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_whole_episodes_are_equal_with_two_workers_at_once(tmp_path: Path, minivla: Policy, protocol: str) -> None:
    specs = SUITE.restrict(episodes=3).expand()
    with catalog.load("protocol", protocol)(minivla, "127.0.0.1", 0) as server:
        served = ledger(SUITE, tmp_path / "served", specs, f"{protocol}:{server.url}", executor="processes", workers=2)
    assert served == ledger(SUITE, tmp_path / "here", specs, "minivla", executor="processes", workers=2)
    assert {outcome for outcome, *_ in served.values()} >= {"success"}
