"""Episodes that a loop outside steps are stored as those of a run are; left in the middle, they end with an error and nothing hangs."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest

from vlagym.benchmark import driven
from vlagym.benchmark.driven import DrivenEpisode, DrivenEpisodes
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.episode import WorldOptions
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData, ConventionMismatch, VlagymError
from vlagym.envs.types import ActionChunk, EpisodeSpec, ImageComponent, Observation, ObservationSpec, stream, to_plain
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=3),))
READS = ObservationSpec(images=(ImageComponent(name="front", width=16, height=16),), state=fakes.STATE[:1], rate_hz=20.0)
SPEC = PolicySpec(name="drawn", action=fakes.CONTROL, observation=READS)
OPTIONS = RunOptions(policy="drawn", suite=SUITE, make_world=fakes.make_world, executor="serial")


def drawn(digest: str, step: int, seen: Observation) -> Any:
    """Returns an action that depends on the episode, the step and everything that is seen."""
    told = int(seen.images["front"].astype(np.int64).sum()) + int(1e6 * float(seen.proprio["ee_pos_base_m"].sum()))
    return stream(told, digest, str(step)).uniform(-1, 1, 7).astype(np.float32)


class Drawn:
    """The same in process."""

    spec = SPEC

    def reset(self, context: EpisodeContext) -> None:
        self.digest, self.step = context.digest, 0

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        ((slot, seen),) = observations.items()
        self.step += 1
        return {slot: ActionChunk(values=drawn(self.digest, self.step, seen)[None], spec=fakes.CONTROL)}

    def close(self) -> None: ...


def episodes(count: int = 3, **changes: Any) -> list[EpisodeSpec]:
    return [fakes.spec(seed, horizon_s=0.5, **changes) for seed in range(count)]


def drive(stage: DrivenEpisodes, spec: EpisodeSpec) -> DrivenEpisode:
    """The loop outside."""
    episode = stage.begin(spec)
    while not episode.is_over:
        assert episode.observation is not None
        episode.step(drawn(spec.digest(), episode.steps + 1, episode.observation))
    return episode


def lines(out: Path) -> list[dict[str, Any]]:
    """Returns the ledger without what a clock says."""
    found = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    for line in found:
        del line["wall_s"]
        line["measures"] = {name: value for name, value in line["measures"].items() if not name.startswith("latency_")}
    return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[DrivenEpisodes]:
    driving = DrivenEpisodes(SPEC, driven.stored(replace(OPTIONS, out=tmp_path / "run"), episodes()))
    yield driving
    driving.close()


def test_the_run_folder_is_that_of_a_run(tmp_path: Path) -> None:
    class Silent:
        def begins(self, *_: Any) -> None: ...

        def stored(self, result: Any) -> None: ...

    run(replace(OPTIONS, load=Drawn, out=tmp_path / "own"), episodes(), Silent())
    stage = DrivenEpisodes(SPEC, driven.stored(replace(OPTIONS, out=tmp_path / "driven"), episodes()))
    for spec in episodes():
        drive(stage, spec)
    stage.close()
    assert lines(tmp_path / "own") == lines(tmp_path / "driven") and len(lines(tmp_path / "own")) == 3
    own, theirs = Store.open(tmp_path / "own"), Store.open(tmp_path / "driven")
    assert replace(own.header, started="", finished=None) == replace(theirs.header, started="", finished=None)
    assert theirs.header.finished is not None
    for digest in own.digests():
        np.testing.assert_array_equal(own.trace(digest).actions, theirs.trace(digest).actions)


def test_episodes_come_in_whatever_order_they_are_asked_for_and_once_each(stage: DrivenEpisodes) -> None:
    for spec in reversed(episodes()):
        assert drive(stage, spec).result is not None
    with pytest.raises(BadData, match=r"place_on seed 1 \(.*\) is no episode that the run in .*run still owes: each is played once"):
        stage.begin(episodes()[1])
    assert not stage.owed and stage.owed is not None


def test_an_episode_that_is_left_is_an_error_that_says_after_how_many_steps(stage: DrivenEpisodes, tmp_path: Path) -> None:
    left = stage.begin(episodes()[0])
    for step in range(4):
        assert left.observation is not None
        left.step(drawn(left.spec.digest(), step + 1, left.observation))
    assert drive(stage, episodes()[1]).result is not None
    assert left.result is not None and left.result.outcome == "error" and left.result.ended_by == "policy_error"
    assert left.result.error is not None and left.result.error.type == "Abandoned" and left.result.steps == 4
    assert left.result.error.message == "another episode was begun after 4 steps of this one"
    assert Store.open(tmp_path / "run").result(left.spec.digest()).outcome == "error"
    with pytest.raises(VlagymError, match="is over; begin another one"):
        left.step(np.zeros(7))


def test_closing_in_the_middle_stores_the_error_and_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    stage = DrivenEpisodes(SPEC, driven.stored(replace(OPTIONS, out=tmp_path / "run"), episodes()))
    drive(stage, episodes()[0])
    stage.begin(episodes()[1])
    stage.close()
    stage.close()
    with pytest.raises(VlagymError, match="these episodes were closed"):
        stage.begin(episodes()[2])
    store = Store.open(tmp_path / "run")
    assert [r.outcome for r in store.results()] == ["failure", "error"] and store.header.finished is None
    again = replace(OPTIONS, resume=tmp_path / "run", retry_errors=True)
    stage = DrivenEpisodes(SPEC, driven.stored(again, episodes()))
    assert sorted(stage.owed or ()) == sorted(spec.digest() for spec in episodes()[1:])
    for spec in episodes()[1:]:
        drive(stage, spec)
    stage.close()
    store = Store.open(tmp_path / "run")
    assert [(r.outcome, r.attempt) for r in store.results()] == [("failure", 1), ("failure", 2), ("failure", 1)] and store.header.finished


def test_episodes_that_are_forgotten_end_and_so_does_their_thread(tmp_path: Path) -> None:
    stage = DrivenEpisodes(SPEC, driven.stored(replace(OPTIONS, out=tmp_path / "run"), episodes()))
    episode = stage.begin(episodes()[0])
    thread = stage._thread
    del stage, episode
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    (error,) = [r.error for r in Store.open(tmp_path / "run").results()]
    assert error is not None and error.message == "the loop outside ended"


def test_a_process_that_ends_in_the_middle_stores_the_error(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path[:0] = [{str(Path(fakes.__file__).parent)!r}, {str(Path(__file__).parent)!r}]
import pathlib, test_driven as t
stage = t.DrivenEpisodes(t.SPEC, t.driven.stored(t.replace(t.OPTIONS, out=pathlib.Path({str(tmp_path / "run")!r})), t.episodes()))
stage.begin(t.episodes()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = Store.open(tmp_path / "run").results()
    assert result.error is not None and result.error.type == "Abandoned"


@pytest.mark.parametrize(
    ("actions", "error", "told"),
    [
        (np.full(7, np.nan), "BadPolicyOutput", "nan in step 0, component 0"),
        (np.zeros(6), "BadPolicyOutput", r"shape \(1, 6\)"),
        (np.full(7, 1.5), "BadAction", r"1\.5 at index 0"),
        (np.array(["left"] * 7), "BadPolicyOutput", "dtype"),
    ],
)
def test_an_answer_that_is_none_costs_the_episode_as_in_a_run(stage: DrivenEpisodes, actions: Any, error: str, told: str) -> None:
    episode = stage.begin(episodes()[0])
    episode.step(actions)
    assert episode.result is not None and episode.result.error is not None
    assert episode.result.error.type == error and episode.result.ended_by == "policy_error"
    assert re.search(told, episode.result.error.message)
    assert drive(stage, episodes()[1]).result is not None


def test_a_world_that_fails_to_start_is_told_as_an_episode_that_is_over(tmp_path: Path) -> None:
    specs = [*episodes(1), fakes.spec(7, trouble="unstartable"), fakes.spec(8, trouble="env_error:2")]
    stage = DrivenEpisodes(SPEC, driven.stored(replace(OPTIONS, out=tmp_path / "run"), specs))
    unstartable = stage.begin(specs[1])
    assert unstartable.is_over and unstartable.observation is None
    assert drive(stage, specs[2]).result is not None
    stage.close()
    assert [(r.ended_by, r.error and r.error.type) for r in Store.open(tmp_path / "run").results()] == [
        ("env_error", "BadSpec"),
        ("env_error", "RuntimeError"),
    ]


def test_conventions_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    blind = replace(SPEC, observation=replace(READS, images=(ImageComponent(name="above", width=16, height=16),)))
    with pytest.raises(ConventionMismatch, match="above"):
        DrivenEpisodes(blind, driven.stored(replace(OPTIONS, out=tmp_path / "run"), episodes()))
    assert not (tmp_path / "run").exists()


def test_what_is_not_stored_is_played_as_often_as_one_likes_and_equally() -> None:
    stage = DrivenEpisodes(SPEC, driven.unstored(WorldOptions(), make=fakes.make_world))
    first, second = (drive(stage, episodes()[0]).result for _ in range(2))
    assert first is not None and second is not None and to_plain(first.certificate) == to_plain(second.certificate)
    assert stage.path is None and stage.owed is None
    stage.close()


def test_the_world_is_looked_at_on_the_thread_that_owns_it() -> None:
    stage = DrivenEpisodes(SPEC, driven.unstored(WorldOptions(), make=fakes.make_world))
    episode = stage.begin(episodes()[0])
    seen = {stage.look(lambda _: threading.get_ident())}
    with pytest.raises(ZeroDivisionError):
        stage.look(lambda _: 1 / 0)
    episode.step(np.zeros((1, 7)))
    while not episode.is_over:
        episode.step(np.zeros(7))
    seen.add(stage.look(lambda world: threading.get_ident() if world.state_digest() else None))
    assert len(seen) == 1 and threading.get_ident() not in seen
    stage.close()
