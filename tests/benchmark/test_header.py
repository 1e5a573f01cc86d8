"""The header of a run names what its frames were rendered with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from vlagym.benchmark.episode import WorldOptions
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.envs.types import EpisodeResult, RunHeader, SensorSpec
from vlagym.results.pooling import packages_that_score
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1),))


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


class Blind(fakes.FakeWorld):
    def gl_renderer(self) -> str | None:
        return None


def make_blind(options: WorldOptions) -> Blind:
    return Blind(options)


def header(options: RunOptions) -> RunHeader:
    return Store.open(run(options, [fakes.spec(0)], Silent()).path).header


def test_it_names_the_backend_beside_the_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    found = header(options)
    assert (found.gl_renderer, found.machine["gl_backend"]) == ("fake renderer", "osmesa")
    blind = header(replace(options, out=tmp_path / "blind", make_world=make_blind))
    assert blind.gl_renderer is None and "gl_backend" not in blind.machine


def test_it_names_what_degrades_images_only_where_something_does(tmp_path: Path) -> None:
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", out=tmp_path / "clean", make_world=fakes.make_world)
    clean = header(options)
    noisy = replace(fakes.spec(0), sensing=SensorSpec(jpeg_quality=20))
    degraded = Store.open(run(replace(options, out=tmp_path / "noisy"), [noisy], Silent()).path).header
    assert "pillow" not in clean.packages and {"pillow", "scipy"} <= set(degraded.packages)
    assert set(packages_that_score(degraded)) - set(packages_that_score(clean)) == {"pillow", "scipy"}
