"""In the real world: results are equal, bit for bit, for any executor, number of workers and order of episodes, images included."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import fakes  # noqa: F401 -- so that its name is known here as it is to workers
import pytest

from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite, digest_of
from vlagym.envs.types import EpisodeResult, EpisodeSpec, to_plain

SUITE = Suite(name="real", version=1, entries=(Entry(task="place_on", episodes=2), Entry(task="open_drawer", episodes=2)))


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


@pytest.fixture(scope="module")
def episodes() -> list[EpisodeSpec]:
    return [dataclasses.replace(spec, horizon_s=1.0) for spec in SUITE.expand()]


def results(out: Path, episodes: list[EpisodeSpec], policy: str, **options: Any) -> dict[str, Any]:
    report = run(RunOptions(policy=policy, suite=SUITE, out=out, **options), episodes, Silent())
    return {
        r.digest: (r.outcome, r.steps, to_plain(r.certificate), {k: v for k, v in r.measures.items() if not k.startswith("latency_")})
        for r in report.results
    }


WAYS: list[dict[str, Any]] = [
    {"executor": "processes", "workers": 1},
    {"executor": "processes", "workers": 2, "shuffle": 3},
    {"executor": "processes", "workers": 4},
    {"executor": "serial", "shuffle": 1},
]


@pytest.mark.gl
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_a_policy_that_acts_on_pixels_gives_equal_results(
    tmp_path: Path, episodes: list[EpisodeSpec], seen: dict[str, Any], way: dict[str, Any]
) -> None:
    assert results(tmp_path / "run", episodes, "fakes:PIXELS", **way) == seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, episodes: list[EpisodeSpec]) -> dict[str, Any]:
    found = results(tmp_path_factory.mktemp("seen") / "run", episodes, "fakes:PIXELS", executor="serial")
    assert len(found) == 4 and all(outcome != "error" for outcome, *_ in found.values())
    assert len({certificate["frames"] for _, _, certificate, _ in found.values()}) == 4
    return found


def test_a_policy_in_the_worker_gives_equal_results(tmp_path: Path, episodes: list[EpisodeSpec]) -> None:
    alone, shared, here = (results(tmp_path / str(i), episodes, "uniform", **WAYS[i]) for i in (0, 1, 3))
    assert alone == shared == here


def test_sampling_in_processes_gives_equal_episodes() -> None:
    assert digest_of(SUITE.expand(workers=2)) == digest_of(SUITE.expand())


# ------------------------------------------------------------------------------------------------------------------- minivla itself
@pytest.fixture(scope="module")
def minivla_alone(tmp_path_factory: pytest.TempPathFactory, episodes: list[EpisodeSpec]) -> dict[str, Any]:
    found = results(tmp_path_factory.mktemp("minivla") / "run", episodes, "minivla", executor="serial")
    assert len(found) == 4 and all(outcome != "error" for outcome, *_ in found.values())
    return found


@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_minivla_gives_equal_results_in_any_company(
    tmp_path: Path, episodes: list[EpisodeSpec], minivla_alone: dict[str, Any], workers: int
) -> None:
    assert results(tmp_path / "run", episodes, "minivla", executor="processes", workers=workers, shuffle=workers) == minivla_alone
