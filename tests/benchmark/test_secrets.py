"""Whatever an address holds beside scheme, host, port and path goes to the server, and into nothing that a run writes or says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import openpi_servers
import pytest

from vlagym.benchmark import cli
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.runner import RunOptions, default_folder, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.types import EpisodeResult, ImageComponent, ObservationSpec
from vlagym.policies.base import PolicySpec
from vlagym.policies.profile import Profile
from vlagym.results.store import Store

OBSERVATION = ObservationSpec(images=(ImageComponent(name="front", width=16, height=16),), state=fakes.STATE[:1], rate_hz=20.0)
SPEC = PolicySpec(name="distant", action=fakes.CONTROL, observation=OBSERVATION, chunk_steps=4, execute_steps=2)
SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1),))


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def answer(message: dict[str, Any]) -> dict[str, Any]:
    return {"actions": np.zeros((4, 7), np.float32)}


@contextlib.contextmanager
def server() -> Iterator[str]:
    metadata = {"vlagym": Profile.of(SPEC).to_plain(), "auth": {"token": "s3cret"}, "see": "http://h/?token=s3cret"}
    with openpi_servers.openpi(answer, metadata) as served:
        yield served.url


def test_a_run_writes_neither_the_query_of_an_address_nor_what_looks_secret_of_its_server(tmp_path: Path) -> None:
    with server() as url:
        policy = f"openpi:{url}/x?api_key=s3cret"
        command = ("vlagym", "run", "--policy", policy)
        options = RunOptions(policy=policy, suite=SUITE, make_world=fakes.make_world, out=tmp_path / "run", executor="serial", command=command)
        report = run(options, [fakes.spec(0, horizon_s=0.5)], Silent())
    header = Store.open(report.path).header
    assert header.policy["name"] == f"openpi:{url}/x" and header.policy["query_left_out"] is True
    assert header.command[-1] == f"openpi:{url}/x" and header.policy["card"]["url"] == f"{url}/x"
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) >= 2 and all(b"s3cret" not in path.read_bytes() for path in written)
    assert "s3cret" not in str(default_folder(policy, "tiny"))


def test_a_run_whose_address_had_a_query_goes_on_once_it_is_said_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as url:
        policy = f"openpi:{url}?api_key=s3cret"
        run(
            RunOptions(policy=policy, suite=SUITE, make_world=fakes.make_world, out=tmp_path / "run", executor="serial"),
            [fakes.spec(0, horizon_s=0.5)],
            Silent(),
        )
        assert cli.main(["run", "--resume", str(tmp_path / "run")]) == 2
    assert f"this run's policy, openpi:{url}, had a query, which is not stored: say it again with --policy" in capsys.readouterr().err
