"""What the README shows works as it stands: its files pass their contract, its commands exist with these options."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vlagym.benchmark import check
from vlagym.envs import catalog

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
FILES = {name: body for name, body in re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", README, re.M | re.S)}
BLOCKS = "\n".join(re.findall(r"^```(?:bash)?\n(.*?)^```", README, re.M | re.S)).replace("\\\n", " ")
COMMANDS = sorted({line.split("  #")[0].strip() for line in BLOCKS.splitlines() if line.startswith("vlagym ")})


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not the checkout, with the README's files in it."""
    for name, body in FILES.items():
        (tmp_path / f"{name}.py").write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_there_are_a_policy_a_metric_and_a_task_to_follow() -> None:
    assert set(FILES) == {"my_policy", "my_metric", "my_task"}


def test_a_policy_of_ones_own_takes_fifteen_lines() -> None:
    assert len([line for line in FILES["my_policy"].splitlines() if line.strip()]) <= 15


def test_the_examples_fulfil_their_contracts(outside: Path) -> None:
    for kind, name in (("policy", "python:my_policy:Mine"), ("metric", "my_metric:METRIC"), ("task", "my_task:TASK")):
        verdict = check.check(kind, name)
        assert (verdict.complaints, verdict.skipped) == ((), "")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_names_a_command_and_options_that_exist(line: str) -> None:
    verb, *words = shlex.split(line)[1:]
    assert verb in catalog.names("command")
    done = subprocess.run([sys.executable, "-m", "vlagym.benchmark.cli", verb, "--help"], capture_output=True, text=True, timeout=60, check=True)
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    assert {w for w in words if w.startswith("--")} <= known


def test_the_gymnasium_example_runs() -> None:
    example = re.search(r"^```python\n(import gymnasium.*?)^```", README, re.M | re.S)
    assert example is not None
    done = subprocess.run([sys.executable, "-c", example[1]], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
