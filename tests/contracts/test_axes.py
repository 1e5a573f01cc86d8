"""Every axis keeps the contract of its kind: it changes the episode, only what it says, keeps its premises, and the expert solves it."""

from __future__ import annotations

import pytest

from vlagym.benchmark import check
from vlagym.benchmark.axis_proof import Prover, Scope
from vlagym.benchmark.checks.axis import complaints
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("axis"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert check.check("axis", name).complaints == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] if name == "all" else []) for name in catalog.names("axis")])
def test_nothing_is_wrong_with_it_in_any_task(name: str) -> None:
    scope = Scope(tasks=tuple(catalog.names("task")), num_seeds=1, is_brief=True)
    with Prover() as prover:
        verdict = check.check("axis", name, lambda axis: complaints(axis, scope, prover))
    assert verdict.complaints == ()
