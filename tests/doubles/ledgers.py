"""The ledger of a run: all of each result that must be equal however the policy is reached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.types import EpisodeResult, EpisodeSpec, to_plain


class Silent:
    """Hears how a run goes on and says nothing."""

    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def ledger(suite: Suite, out: Path, specs: Sequence[EpisodeSpec], policy: str, **options: Any) -> dict[str, Any]:
    """Returns digest -> outcome, how it ended, steps, measures but those of latency, and certificate, after a run without errors.

    Args:
      options: Other fields of `RunOptions`; the executor is the serial one unless they say otherwise.
    """
    results = run(RunOptions(policy=policy, suite=suite, out=out, **{"executor": "serial"} | options), specs, Silent()).results
    assert not [r.error for r in results if r.error is not None]
    found = {}
    for r in results:
        measures = {name: value for name, value in r.measures.items() if not name.startswith("latency_")}
        found[r.digest] = (r.outcome, r.ended_by, r.steps, measures, to_plain(r.certificate))
    return found
