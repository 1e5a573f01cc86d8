"""What the README shows works as it stands: its files pass their contract, its commands exist with these options."""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vlagym.benchmark import check
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs import catalog
from vlagym.envs.types import EpisodeResult

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
FILES = {name: body for name, body in re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", README, re.M | re.S)}
_FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
BLOCKS = "\n".join(body for language, body in _FENCED if language in ("", "bash")).replace("\\\n", " ")
COMMANDS = sorted({line.split("  #")[0].strip() for line in BLOCKS.splitlines() if line.startswith("vlagym ")})


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not the checkout, with the README's files in it."""
    for name, body in FILES.items():
        (tmp_path / f"{name}.py").write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_there_are_a_policy_a_server_a_metric_and_a_task_to_follow() -> None:
    assert set(FILES) == {"my_policy", "my_server", "my_metric", "my_task"}


def test_a_policy_of_ones_own_takes_fifteen_lines() -> None:
    assert len([line for line in FILES["my_policy"].splitlines() if line.strip()]) <= 15


@pytest.mark.slow
def test_the_examples_fulfil_their_contracts(outside: Path) -> None:
    for kind, name in (("policy", "python:my_policy:Mine"), ("metric", "my_metric:METRIC"), ("task", "my_task:TASK")):
        verdict = check.check(kind, name)
        assert (verdict.complaints, verdict.skipped) == ((), "")


def test_a_server_takes_twenty_lines() -> None:
    assert len([line for line in FILES["my_server"].splitlines() if line.strip()]) <= 20


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def second(policy: str, options: dict[str, str], out: Path) -> EpisodeResult:
    """Plays the first second of an episode of smoke."""
    suite = load_suite("smoke")
    specs = [dataclasses.replace(spec, horizon_s=1.0) for spec in suite.restrict(episodes=1, tasks=("place_on",)).expand()]
    (result,) = run(RunOptions(policy=policy, policy_options=options, suite=suite, out=out, executor="serial"), specs, Silent()).results
    return result


@pytest.mark.gl
def test_the_policy_of_fifteen_lines_plays(outside: Path) -> None:
    result = second("python:my_policy:Mine", {}, outside / "run")
    assert (result.outcome, result.steps, result.measures["calls"]) == ("failure", 20, 3)


@pytest.mark.gl
def test_the_server_of_twenty_lines_is_asked_and_plays(outside: Path) -> None:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]
    (command,) = (line for line in COMMANDS if line.startswith("vlagym run --policy rest:http://127.0.0.1:8000/act "))
    words = shlex.split(command.replace(":8000/", f":{port}/"))
    said = [words[i + 1] for i, word in enumerate(words) if word == "--policy-option"]
    path = outside / "my_server.py"
    assert path.read_text().count("8000") == 1
    path.write_text(path.read_text().replace("8000", str(port)))
    server = subprocess.Popen([sys.executable, str(path)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as plug:
                if plug.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        result = second(words[words.index("--policy") + 1], dict(option.split("=", 1) for option in said), outside / "run")
    finally:
        server.terminate()
        server.wait(20)
    assert (result.outcome, result.steps, result.measures["calls"]) == ("failure", 20, 20), result.error


@functools.cache
def options_of(verb: str) -> set[str]:
    """Returns the options that a command knows."""
    done = subprocess.run([sys.executable, "-m", "vlagym.benchmark.cli", verb, "--help"], capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"--[a-z-]+", done.stdout))


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_names_a_command_and_options_that_exist(line: str) -> None:
    verb, *words = shlex.split(line)[1:]
    assert verb in catalog.names("command")
    assert {w for w in words if w.startswith("--")} <= options_of(verb)


def test_the_gymnasium_example_runs() -> None:
    example = re.search(r"^```python\n(import gymnasium.*?)^```", README, re.M | re.S)
    assert example is not None
    done = subprocess.run([sys.executable, "-c", example[1]], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
