"""Every policy keeps the contract of its kind: it says what it reads, answers with chunks of its spec, and forgets when it is reset."""

from __future__ import annotations

import pytest

from vlagym.benchmark.check import NotCheckable
from vlagym.benchmark.checks.policy import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("policy"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    try:
        complaints = list(CONTRACT.complaints(name))
    except NotCheckable as why:
        pytest.skip(str(why))
    assert complaints == []
