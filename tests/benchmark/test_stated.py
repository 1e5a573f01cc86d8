"""What a policy says of itself is kept with the run, shown in its table, and confirmed by nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import pytest

from vlagym.benchmark import scoring
from vlagym.benchmark.commands.score import _now
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.rescoring import Remeasured
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.verification import Verification
from vlagym.benchmark.verify import verify
from vlagym.envs.errors import BadPolicyOutput
from vlagym.envs.types import ActionChunk, EpisodeResult, EpisodeSpec, Observation, PolicyNotes
from vlagym.policies.base import check_notes
from vlagym.results import aggregate, leaderboard
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=2),))


class Talker(fakes.Carrier):
    """Says a word at each call, and counts them."""

    bad: PolicyNotes | None = None

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns what the carrier does, with notes."""
        self.count = getattr(self, "count", 0) + 1
        notes = self.bad or PolicyNotes(measures={"words": float(self.count), "plan_valid": None}, said=({"word": "ähem", "at": self.count},))
        return {slot: replace(chunk, notes=notes) for slot, chunk in super().act(observations).items()}


def TALKER(argument: str | None, options: Mapping[str, str]) -> Talker:
    policy = Talker()
    if argument is not None:
        policy.bad = PolicyNotes(measures={argument: float("nan")})
    return policy


def expanded(suite: Suite) -> list[EpisodeSpec]:
    return [fakes.spec(seed) for entry in suite.entries for seed in entry.seeds]


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def made(tmp_path: Path, policy: str) -> Store:
    options = RunOptions(policy=policy, suite=SUITE, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    return Store.open(run(options, expanded(SUITE), Silent()).path)


@pytest.fixture
def talked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(fakes, "TALKER", TALKER, raising=False)
    return made(tmp_path, "fakes:TALKER")


def test_measures_bear_the_prefix_and_the_transcript_lies_beside_the_traces(talked: Store) -> None:
    first, second = talked.results()
    calls = first.measures["calls"]
    assert first.measures["stated_words"] == calls and first.measures["stated_plan_valid"] is None
    lines = [json.loads(line) for line in talked.transcript_path(first.digest).read_text(encoding="utf-8").splitlines()]
    assert lines == [{"word": "ähem", "at": k + 1} for k in range(int(calls or 0))]
    assert talked.transcript_path(second.digest).exists()


def test_a_verification_says_that_they_are_the_policy_s_own_words(talked: Store) -> None:
    checked = verify(talked.path, executor="serial", expand=expanded, make_world=fakes.make_world)
    found = Verification(checked=checked, verdicts=list(checked.verdicts), header=talked.header)
    assert found.num_confirmed == 2 and found.unchecked == ()
    assert {"stated_words", "stated_plan_valid"} <= set(found.self_reported)
    assert found.told.startswith("2 of 2 episodes confirmed: actions, states and every measure but latency")
    assert found.told.endswith("and what the policy says of itself")


def test_measuring_anew_leaves_them(talked: Store) -> None:
    result = talked.results()[0]
    now = _now(result, Remeasured(result.digest, {"success": 1.0}, None), None)
    assert now.measures == {"success": 1.0, "stated_words": result.measures["stated_words"], "stated_plan_valid": None}


def test_tables_know_them_only_where_some_policy_states_some(talked: Store, tmp_path: Path) -> None:
    assert [column.name for column in scoring.stated(talked.results())] == ["stated_plan_valid", "stated_words"]
    assert not [column.name for column in scoring.columns() if column.name.startswith("stated_")]
    loaded = aggregate.Run.load(talked.path)
    table = aggregate.aggregate([loaded], (*scoring.columns(), *scoring.stated(loaded.results)))
    row: dict[str, Any] = leaderboard.rows(table)[0]
    assert row["stated_words"]["n"] == 2
    quiet = made(tmp_path / "quiet", "fakes:CARRIER")
    assert scoring.stated(quiet.results()) == () and not (quiet.path / "transcripts").exists()


def test_a_measure_that_is_none_is_the_policy_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "TALKER", TALKER, raising=False)
    error = made(tmp_path, "fakes:TALKER:words").results()[0].error
    assert error is not None and "the policy states nan for 'words'; a measure is a finite number, or None" in error.message
    error = made(tmp_path / "two", "fakes:TALKER:two words").results()[0].error
    assert error is not None and "a measure is called by a word" in error.message


def test_what_cannot_be_written_is_the_policy_s_error_and_not_the_end_of_the_run() -> None:
    with pytest.raises(BadPolicyOutput, match="what the policy says for the transcript cannot be written as JSON"):
        check_notes(PolicyNotes(measures={}, said=({"array": {1, 2}},)))
