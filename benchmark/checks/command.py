"""A command: `main(args)`, `--help` with an example that can be pasted, one line for a wrong option, and a light start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from vlagym.benchmark.check import Contract, first_sentence_complaint
from vlagym.envs import catalog

MAX_START_S = 0.3
"""Of the processor, until the help is printed, counted without the start of the interpreter."""

_TRIES = 3
"""The fastest start counts: on a busy machine a start costs more."""

HEAVY = ("mujoco", "torch", "pandas", "matplotlib", "h5py", "imageio", "scipy")
"""What a command imports only once it knows what it is asked for."""

_CODE = """
import json, sys, time
began_s = time.process_time()
from vlagym.benchmark import cli
status = cli.main(json.loads(sys.argv[1]))
spent_s = time.process_time() - began_s
print(json.dumps([status, spent_s, [m for m in json.loads(sys.argv[2]) if m in sys.modules]]), file=sys.stderr)
"""


def _complaints(name: str) -> Iterator[str]:
    if not callable(catalog.load("command", name)):
        yield "it is not callable: define main(args: Sequence[str]) -> int"
        return
    yield from first_sentence_complaint("command", name)
    out, said, (status, spent_s, heavy) = _run(name, "--help")
    if status != 0:
        yield f"--help ends with status {status} instead of 0: build its parser with vlagym.benchmark.console.parser"
        return
    if f"usage: vlagym {name}" not in out and ":" not in name:
        yield f"--help does not begin with 'usage: vlagym {name}': say prog=\"vlagym {name}\""
    if "example:" not in out:
        yield "--help shows no example: hand one to vlagym.benchmark.console.parser"
    if heavy:
        yield f"--help imports {', '.join(heavy)}: import these inside the function that needs them"
    for _ in range(_TRIES - 1):
        if spent_s > MAX_START_S:
            spent_s = min(spent_s, _run(name, "--help")[2][1])
    if spent_s > MAX_START_S:
        yield f"--help takes {spent_s:.2f} s of the processor, more than {MAX_START_S} s: import what is slow inside the function that needs it"
    _, said, (status, _, _) = _run(name, "--no-such-option")
    if status != 2 or len(said) != 1:
        yield f"an unknown option ends with status {status} and {len(said)} lines on stderr; it must be status 2 and one line"


def _run(name: str, option: str) -> tuple[str, list[str], tuple[int, float, list[str]]]:
    """Returns stdout, the lines of stderr, and (status, seconds, heavy modules) of `vlagym NAME OPTION` in a process of its own."""
    command = [sys.executable, "-c", _CODE, json.dumps([name, option]), json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    *said, last = done.stderr.strip().splitlines() or [""]
    if done.returncode != 0:
        raise RuntimeError(f"`vlagym {name} {option}` ended with a traceback: {last}")
    status, spent_s, heavy = json.loads(last)
    return done.stdout, said, (status, spent_s, heavy)


CONTRACT = Contract(names=lambda: catalog.names("command"), complaints=_complaints)
