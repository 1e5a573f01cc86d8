"""Every command keeps the contract of its kind: an example in its help, one line for a wrong option, a light start."""

from __future__ import annotations

import re
import shlex

import pytest

from vlagym.benchmark import cli
from vlagym.benchmark.checks import command
from vlagym.benchmark.checks.command import CONTRACT
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("command"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []


def test_a_start_that_is_slow_or_imports_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAX_START_S", 0.0)
    monkeypatch.setattr(command, "HEAVY", ("argparse", "mujoco"))
    heavy, slow = CONTRACT.complaints("list")
    assert heavy == "--help imports argparse: import these inside the function that needs them"
    assert re.fullmatch(r"--help takes 0\.\d\d s of the processor, more than 0\.0 s: import what is slow inside .*", str(slow))


@pytest.mark.parametrize("name", catalog.names("command"))
def test_its_example_calls_the_command_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == cli.DONE
    example = re.search(r"^example:\n((?:  .*\n)+)", capsys.readouterr().out, re.M)
    assert example is not None
    lines = [shlex.split(line) for line in example[1].replace("\\\n", " ").splitlines()]
    assert lines[0][:2] == ["vlagym", name]
    assert all(line[0] == "vlagym" and line[1] in catalog.names("command") for line in lines)
