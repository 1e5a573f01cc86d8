"""What goes wrong on a wire costs its episode and no other: the reason is in the ledger, and the run goes on over a new connection."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import openpi_servers
import pytest
from raw_websocket import frame, goodbye

from vlagym.benchmark.entry import Entry
from vlagym.benchmark.runner import RunOptions, RunReport, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.types import EpisodeResult, EpisodeSpec, ImageComponent, ObservationSpec, stream, to_plain
from vlagym.policies.base import PolicySpec
from vlagym.policies.connections import websocket
from vlagym.policies.profile import Profile

OBSERVATION = ObservationSpec(images=(ImageComponent(name="front", width=16, height=16),), state=fakes.STATE[:1], rate_hz=20.0)
SPEC = PolicySpec(name="distant", action=fakes.CONTROL, observation=OBSERVATION, chunk_steps=4, execute_steps=2)
SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=8),))
GOES_WRONG: dict[int, tuple[str, str, str]] = {
    0: ("drops", "PolicyUnreachable", "dropped the connection without a word"),
    1: ("raises", "BadReply", "the server answers with an error: "),
    2: ("nan", "BadPolicyOutput", "the policy sent nan in step 1, component 2 of its chunk"),
    4: ("huge", "BadReply", "announced a message that is larger than 64 MiB"),
    5: ("pickle", "BadReply", "sent what is no answer"),
    6: ("leaves", "PolicyUnreachable", "closed the connection with code 1001 (restarting)"),
    7: ("sleeps", "PolicyTimeout", "has not answered within 1 s (option timeout=S)"),
}
"""Seed -> what happens at the second call of its episode, and how the ledger tells it. The episode of seed 3 goes well."""


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


class Server:
    """Answers by what it is shown; does something else at the second call of episodes that it is told."""

    def __init__(self, faults: dict[str, str]) -> None:
        self._faults = faults
        self._calls: dict[str, int] = {}

    def __call__(self, message: dict[str, Any]) -> Any:
        session = message["session_id"]
        self._calls[session] = self._calls.get(session, 0) + 1
        seed = int(message["observation/front"].astype(np.int64).sum())
        values = stream(seed, "distant").uniform(-1, 1, (4, 7)).astype(np.float32)
        fault = self._faults.get(session, "") if self._calls[session] == 2 else ""
        if fault == "raises":
            raise RuntimeError("no memory left")
        if fault == "nan":
            values[1, 2] = np.nan
        if fault == "sleeps":
            time.sleep(1.6)
        raw = {"drops": b"", "huge": frame(b"x", announced=10 * 2**30), "pickle": frame(pickle.dumps(print)), "leaves": goodbye(1001, "restarting")}
        return raw.get(fault, {"actions": values})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits long for a goodbye."""
    monkeypatch.setattr(websocket, "_CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(websocket, "_LOOK_S", 0.05)
    yield


def play(out: Path, faults: dict[str, str], specs: list[EpisodeSpec]) -> RunReport:
    announced = {"vlagym": Profile.of(SPEC).to_plain()}
    with openpi_servers.openpi(Server(faults), announced) as server:
        options = RunOptions(
            policy=f"openpi:{server.url}",
            policy_options={"timeout": "1"},
            suite=SUITE,
            make_world=fakes.make_world,
            out=out,
            executor="serial",
            stop_after_errors=len(specs) + 1,
        )
        return run(options, specs, Silent())


def told(report: RunReport) -> dict[int, Any]:
    """Returns seed -> all that must be equal of the episodes that went well."""
    found = {}
    for r in report.results:
        measures = {name: value for name, value in r.measures.items() if not name.startswith("latency_")}
        found[r.seed] = (r.outcome, r.ended_by, r.steps, measures, to_plain(r.certificate))
    return found


def test_each_failure_costs_its_episode_and_changes_no_other(tmp_path: Path) -> None:
    specs = [fakes.spec(seed, horizon_s=0.5) for seed in range(8)]
    faults = {specs[seed].digest(): what for seed, (what, *_) in GOES_WRONG.items()}
    well = told(play(tmp_path / "well", {}, specs))
    report = play(tmp_path / "wrong", faults, specs)
    errors = {r.seed: r.error for r in report.results if r.outcome == "error"}
    assert sorted(errors) == sorted(GOES_WRONG)
    for seed, (_, kind, message) in GOES_WRONG.items():
        error = errors[seed]
        assert error is not None and (error.type, message in error.message) == (kind, True), (seed, error)
    assert told(report)[3] == well[3] and {outcome for outcome, *_ in well.values()} == {"failure"}
    assert all(r.steps == 2 for r in report.results if r.outcome == "error"), "two actions of the first chunk were played"
