"""Runs written by hand for everything that is measured in pairs: each episode is one word of two letters."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlagym.envs.types import EpisodeResult
from vlagym.results.pooling import Run

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doubles"))  # demonstrations that are filmed

_OUTCOMES = {"s": "success", "f": "failure", "e": "error"}

MakeRun = Callable[..., Run]


@pytest.fixture
def paired_run(traces: ModuleType) -> MakeRun:
    """Returns the builder `paired_run(words, ...)` of a run.

    `words` maps each variation, {"camera": 1} as a tuple of pairs, to the outcomes of its pairs: "sf ss ef", twin first, varied second; "-s" has no
    twin in the run. The k-th word of every variation has the k-th twin, whose outcome must be the same in all of them.
    """

    def make(
        words: Mapping[tuple[tuple[str, int], ...], str],
        *,
        task: Sequence[str] = ("stack",),
        name: str = "run",
        measures: Mapping[str, float] | None = None,
        varied_measures: Mapping[str, float] | None = None,
        **header: Any,
    ) -> Run:
        twins: dict[str, EpisodeResult] = {}
        varied: list[EpisodeResult] = []
        template = traces.make_result()
        error = traces.make_result(outcome="error").error

        def result(digest: str, letter: str, k: int, extra: Mapping[str, float] | None, **changes: Any) -> EpisodeResult:
            outcome = _OUTCOMES[letter]
            is_error = outcome == "error"
            made: EpisodeResult = dataclasses.replace(
                template,
                digest=digest,
                task=task[k % len(task)],
                outcome=outcome,
                error=error if is_error else None,
                ended_by="env_error" if is_error else "horizon",
                measures={} if is_error else {"success": float(outcome == "success"), **(extra or {})},
                failure_mode="dropped" if outcome == "failure" else None,
                **changes,
            )
            return made

        for variation, text in words.items():
            for k, word in enumerate(text.split()):
                first, second = word[0], word[1]
                base = f"{k:04d}" + "0" * 28
                if first != "-":
                    made = result(base, first, k, measures)
                    assert twins.setdefault(base, made).outcome == made.outcome, f"twin {k} has two outcomes"
                digest = f"{k:04d}" + "".join(f"{axis}{level}" for axis, level in variation)
                varied.append(result(digest, second, k, {**(measures or {}), **(varied_measures or {})}, axes=dict(variation), base=base))
        return Run(name=name, header=traces.make_header(**header), results=[*twins.values(), *varied])

    return make


@pytest.fixture(params=["isal", "zlib"])
def deflates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Says by what is deflated: by what is installed, and as where it is not."""
    from vlagym.results.formats import _deflate

    name = str(request.param)
    if name == "isal":
        pytest.importorskip("isal", reason="isal is not installed: pip install 'vlagym[data]'")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    _deflate._module.cache_clear()
    yield name
    _deflate._module.cache_clear()
