"""Which episodes of a leaderboard are filmed, and what happens where one cannot be."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import Any

import fakes
import pytest

from vlagym.benchmark import site_media
from vlagym.benchmark.cli import main
from vlagym.benchmark.replay import film
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.site_media import choose, render
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, EpisodeSpec
from vlagym.results.schema import result_to_line
from vlagym.results.store import Store


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def played(out: Path, episodes: list[EpisodeSpec]) -> Path:
    suite = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1, vary=("latency=3",), each=1), Entry(task="stack", episodes=1)))
    return run(RunOptions(policy="fakes:CARRIER", suite=suite, executor="serial", out=out, make_world=fakes.make_world), episodes, Silent()).path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three successes, and the failures of two tasks, one of them varied: it has no time to succeed."""
    twin = fakes.spec(1)
    varied = dataclasses.replace(twin, horizon_s=0.2, axes=(("latency", 3),), base=twin.digest())
    other = [fakes.spec(seed, task=task, horizon_s=0.2) for seed, task in ((2, "place_on"), (3, "place_on"), (4, "stack"))]
    return played(tmp_path_factory.mktemp("made") / "run", [fakes.spec(0), twin, varied, *other])


def named(made: Path, count: int) -> list[tuple[int, str]]:
    """Returns (seed, outcome) of the chosen ones."""
    store = Store.open(made)
    return [(r.seed, r.outcome) for chosen in choose({made: store}, count) for r in [store.result(chosen.digest)]]


def test_failures_come_first_each_varied_one_with_its_twin_and_every_task_before_any_has_a_second(made: Path) -> None:
    assert named(made, 1) == [(1, "failure"), (1, "success")], "the varied one, and its twin"
    store = Store.open(made)
    failed = [r for r in store.results() if r.outcome == "failure"]
    kinds = {(r.task, r.failure_mode) for r in failed}
    first = [r for r in (store.result(c.digest) for c in choose({made: store}, len(kinds))) if r.outcome == "failure"]
    assert len(failed) == 4 and {(r.task, r.failure_mode) for r in first} == kinds
    assert [outcome for _, outcome in named(made, 6)] == ["failure", "success", *["failure"] * 3, "success"]
    assert len(named(made, 99)) == 6, "none twice"
    assert named(made, 0) == []
    with pytest.raises(BadData, match="-1 episodes of each policy cannot be shown"):
        named(made, -1)


def test_films_are_rendered_and_told_of(made: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = render([made], 1, tmp_path, suffix=".png", make_world=fakes.make_world, tell=lambda done, total: told.append((done, total)))
    assert not found.complaints and told == [(1, 2), (2, 2)]
    assert {run for run, _ in found.media.files} == {made} and len(found.media.files) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found.media.files.values())


def test_what_does_not_run_the_same_again_has_no_film_and_is_told(made: Path, tmp_path: Path) -> None:
    def breaks(options: object) -> fakes.FakeWorld:
        raise BadData("no world today")

    found = render([made], 1, tmp_path, make_world=breaks)
    assert not found.media.files and len(found.complaints) == 2
    assert found.complaints[0].startswith(f"run: episode {Store.open(made).digests()[2][:12]} has no film: no world today")


def test_a_damaged_run_and_errors_are_not_filmed(made: Path, tmp_path: Path) -> None:
    damaged, errored, lost = (shutil.copytree(made, tmp_path / name) for name in ("damaged", "errored", "lost"))
    with (damaged / "episodes.jsonl").open("a") as ledger:
        ledger.write("{\n")
    (lost / "header.json").write_text("{")
    results = [dataclasses.replace(r, outcome="error") for r in Store.open(made).results()]
    (errored / "episodes.jsonl").write_text("".join(result_to_line(r) + "\n" for r in results))
    found = render([damaged, errored, lost], 3, tmp_path / "media", make_world=fakes.make_world)
    assert not found.media.files and found.complaints == ("no episode of damaged is filmed, for the run is damaged",)


def test_a_header_that_cannot_be_read_is_reported_once(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site_media, "render", functools.partial(render, make_world=fakes.make_world))
    lost = shutil.copytree(made, tmp_path / "lost")
    (lost / "header.json").write_text('{"schema": 1, "pol')
    assert main(["table", str(made), str(lost), "--format", "html", "--out", str(tmp_path / "out"), "--media", "1", "--strips"]) == 1
    assert capsys.readouterr().err.count("lost") == 1 and (tmp_path / "out" / "index.html").read_text().count("header.json") == 1
    (lost / "header.json").write_bytes(b"\xff\xfe\x00")
    assert main(["table", str(made), str(lost), "--columns", "measures"]) == 1
    told = capsys.readouterr()
    assert (told.out + told.err).count("header.json cannot be read") == 1


def test_the_command_makes_a_site_with_films(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(site_media, "render", functools.partial(render, make_world=fakes.make_world))
    assert main(["table", str(made), "--format", "html", "--out", str(tmp_path / "out"), "--media", "1", "--strips"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'index.html'}: 4 pages of 6 episodes, 2 films and strips\n"
    assert len(list((tmp_path / "out" / "media").rglob("*.png"))) == 2


def test_films_that_stand_in_the_site_are_not_made_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filmed: list[str] = []

    def counts(store: Store, digest: str, out: Path, **options: Any) -> int:
        filmed.append(digest)
        return film(store, digest, out, **options)

    def site_with(count: int, *options: str, run: Path = made) -> str:
        filmed.clear()
        assert main(["table", str(run), "--format", "html", "--out", str(tmp_path / "out"), "--media", str(count), *options]) == 0
        return capsys.readouterr().out.rpartition("episodes, ")[2].strip()

    monkeypatch.setattr(site_media, "render", functools.partial(render, make_world=fakes.make_world))
    monkeypatch.setattr(site_media, "film", counts)
    assert (site_with(1, "--strips"), len(filmed)) == ("2 films and strips", 2)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert (site_with(1, "--strips"), len(filmed)) == ("2 films and strips (kept: 2 that stood there)", 0)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert (site_with(2, "--strips"), len(filmed)) == ("3 films and strips (kept: 2 that stood there)", 1)
    moved = shutil.copytree(made, tmp_path / "moved")
    assert (site_with(2, "--strips", run=moved), len(filmed)) == ("3 films and strips (kept: 3 that stood there)", 0), "of one playing"
    cut, emptied, _ = sorted((tmp_path / "out" / "media").rglob("*.png"))
    cut.write_bytes(cut.read_bytes()[:-9])
    emptied.write_bytes(b"")
    assert (site_with(2, "--strips"), len(filmed)) == ("3 films and strips (kept: 1 that stood there)", 2), "what is not whole is made again"
    assert cut.stem in filmed and emptied.stem in filmed
    site_with(1)
    assert len(filmed) == 2, "a strip is no film"
    mark = tmp_path / "out" / "site.json"
    mark.write_text(mark.read_text().replace("quality fast", "quality high"))
    assert (site_with(1), len(filmed)) == ("3 films and strips (kept: 1 that stood there)", 2), "made in another way"


def test_a_place_that_is_taken_is_told_before_anything_is_rendered(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("here")
    assert main(["table", str(made), "--format", "html", "--out", str(tmp_path), "--media", "1"]) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert main(["table", str(made), "--media", "1"]) == 2
    assert "--media, --strips and --replace are for the pages of --format html" in capsys.readouterr().err
