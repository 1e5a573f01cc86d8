"""Pairs of varied episodes and their twins, wherever the twins are."""

from __future__ import annotations

import dataclasses
import itertools
from types import ModuleType

from vlagym.results.pairing import paired


def test_a_twin_on_which_other_runs_disagree_is_no_twin_whatever_their_order(traces: ModuleType) -> None:
    twins = [traces.make_result(traces.make_spec(seed=seed)) for seed in range(2)]
    varied = [dataclasses.replace(twin, digest=f"{i}" * 32, axes={"camera": 3}, base=twin.digest) for i, twin in enumerate(twins)]
    worse = dataclasses.replace(twins[0], outcome="failure", ended_by="horizon")
    for elsewhere in itertools.permutations([*twins, worse, twins[1]]):
        found = paired(varied, elsewhere)
        assert found.unpaired == (varied[0],) and found.pairs == ((varied[1], twins[1]),)
    assert paired([*varied, twins[0]], [worse]).pairs == ((varied[0], twins[0]),), "a pool's own twin counts before any other"
