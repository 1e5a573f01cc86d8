"""`vlagym serve`: prints where it listens, serves, and ends well when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import fakes  # noqa: F401 -- so that its name is known here
import pytest

from vlagym.benchmark.cli import main
from vlagym.policies.adapters.vla_eval import POLICY

DOUBLES = Path(__file__).resolve().parents[1] / "doubles"


def _hears_ctrl_c() -> None:
    """A shell's background jobs ignore Ctrl-C, and whatever is started by them does too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_policy_is_served_until_ctrl_c_which_ends_it_well(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vlagym.benchmark.cli", "serve", "--policy", "fakes:PIXELS", "--protocol", "vla_eval", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(DOUBLES)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, preexec_fn=_hears_ctrl_c
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("ws://127.0.0.1:") and not url.endswith(":0"), process.communicate()
        policy = POLICY(url, {})
        assert policy.spec.card["server"]["model_server"] == "pixels" and policy.spec.chunk_steps == 4
        policy.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        watchdog.cancel()
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == [
        f"pixels is served by vla_eval. Try it: vlagym run --policy vla_eval:{url} --suite smoke",
        "interrupted; the server ends",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "expert"], "policy 'expert' reads the true state of the simulation, which no client could send: it is not served"),
        (["--policy", "hold"], "policy 'hold' sends whatever actions an environment has: a server must say what it is"),
        (["--policy", "nosuch"], "no policy is called 'nosuch'"),
        (["--policy", "fakes:PIXELS", "--protocol", "vlaeval"], "no protocol is called 'vlaeval'. Did you mean vla_eval?"),
        (["--policy", "fakes:PIXELS", "--port", "70000"], "a port is 0 to 65535, not 70000"),
        (["--policy", "fakes:PIXELS", "--policy-option", "seed"], "a policy option is written key=value, not 'seed'"),
    ],
)
def test_what_cannot_be_served_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = words if "--protocol" in words else [*words, "--protocol", "vla_eval"]
    assert main(["serve", "--port", "0", *given]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.out == "" and "Traceback" not in told.err


def test_help_tells_the_protocols_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    told = capsys.readouterr().out
    assert "vla_eval" in told and "vlagym serve --policy minivla --protocol vla_eval --port 8000" in told
