"""A table says which runs were verified, and what lies in the repository is what was verified."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

from vlagym.results.aggregate import aggregate
from vlagym.results.pooling import Run
from vlagym.results.published import VERIFIED
from vlagym.results.salvage import read_run

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"


def test_a_table_says_which_runs_were_verified_and_which_were_not(traces: ModuleType) -> None:
    own = [Run(name=name, header=traces.make_header(policy=name), results=[traces.make_result()]) for name in ("hold", "uniform")]
    known = dataclasses.replace(own[0], verified="1 of 1")
    assert "verified: hold (1 of 1 episodes); not verified: uniform" in aggregate([known, own[1]], ()).notes
    assert "verified: hold (1 of 1 episodes)" in aggregate([known], ()).notes
    assert not any("verified" in note for note in aggregate(own, ()).notes)


def test_every_published_run_is_the_one_that_was_verified() -> None:
    for path in sorted(PUBLISHED.rglob(VERIFIED)):
        run, complaints = read_run(path.parent)
        assert complaints == () and run is not None and run.verified, path.parent
