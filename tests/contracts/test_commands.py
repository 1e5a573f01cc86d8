"""Every command keeps the contract of its kind: an example in its help, one line for a wrong option, a light start."""

from __future__ import annotations

import re
import shlex

import pytest

from vlagym.benchmark import cli
from vlagym.benchmark.checks.command import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("command"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []


@pytest.mark.parametrize("name", catalog.names("command"))
def test_its_example_calls_the_command_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == cli.DONE
    example = re.search(r"^example:\n((?:  .*\n)+)", capsys.readouterr().out, re.M)
    assert example is not None
    lines = [shlex.split(line) for line in example[1].replace("\\\n", " ").splitlines()]
    assert lines[0][:2] == ["vlagym", name]
    assert all(line[0] == "vlagym" and line[1] in catalog.names("command") for line in lines)
