"""What `vlagym replay` says when its film cannot be written, and to machines."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import fakes
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.replay import film
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, EpisodeSpec, Facts, SensorSpec
from vlagym.results.store import Store


Capsys = pytest.CaptureFixture[str]


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    suite = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1),))
    options = RunOptions(
        policy="fakes:CARRIER", suite=suite, executor="serial", out=tmp_path_factory.mktemp("made") / "run", make_world=fakes.make_world
    )
    return run(options, [fakes.spec(0)], Silent()).path


def test_a_film_that_cannot_be_written_is_refused_in_one_line_before_anything_is_simulated(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "film.mp4"
    out.mkdir()
    assert main(["replay", str(made), Store.open(made).digests()[0], "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"vlagym replay: {out}: Is a directory\n"


def test_replay_says_to_machines_what_it_filmed(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    from vlagym.benchmark import replay

    monkeypatch.setattr(replay, "film", partial(film, make_world=fakes.make_world))
    result = Store.open(made).results()[0]
    out = tmp_path / "film.gif"
    assert main(["replay", str(made), result.digest[:6], "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "out": str(out),
        "frames": result.steps + 1,
        "digest": result.digest,
        "task": "place_on",
        "seed": 0,
        "outcome": "success",
        "instruction": "put the red block on the plate",
    }


def test_a_film_that_could_not_be_made_leaves_nothing_behind(made: Path, tmp_path: Path) -> None:
    def breaks(options: object) -> fakes.FakeWorld:
        raise RuntimeError("no world today")

    with pytest.raises(RuntimeError, match="no world today"):
        film(Store.open(made), Store.open(made).digests()[0], tmp_path / "film.gif", make_world=breaks)
    assert not list(tmp_path.iterdir())


def test_people_are_shown_clean_images_unless_they_ask_for_what_the_policy_saw(tmp_path: Path) -> None:
    class Noting(fakes.FakeWorld):
        def start(self, spec: EpisodeSpec) -> Facts:
            started.append(spec.sensing)
            return super().start(spec)

    started: list[SensorSpec] = []
    noisy = SensorSpec(noise_std=9.0)
    suite = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1),))
    options = RunOptions(policy="fakes:CARRIER", suite=suite, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    store = Store.open(run(options, [fakes.spec(0, sensing=noisy)], Silent()).path)
    (digest,) = store.digests()
    film(store, digest, tmp_path / "clean.gif", make_world=Noting)
    film(store, digest, tmp_path / "seen.gif", as_seen=True, make_world=Noting)
    assert started == [SensorSpec(), noisy]
    with pytest.raises(BadData, match="give either --as-seen or --size"):
        film(store, digest, tmp_path / "large.gif", as_seen=True, size=64, make_world=Noting)
