"""What a process holds more after doing the same again and again: measured in one of its own, for what other tests left behind grows and shrinks."""

import json
import subprocess
import sys
from typing import NamedTuple

_CODE = """
import json, sys
from pathlib import Path

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20, len(list(Path("/proc/self/fd").iterdir()))

def run(first, end):
    for i in range(first, end):
        again(i)

{first}

def again(i):
    {again}

run(0, {warm})
before = held()
run({warm}, {warm} + {count})
print(json.dumps([after - was for after, was in zip(held(), before)]))
"""


class Growth(NamedTuple):
    """What was added."""

    memory_mb: float
    handles: int


def growth(first: str, again: str, *, warm: int, count: int, words: tuple[str, ...] = ()) -> Growth:
    """Returns what `count` more times have added to what a process held after `warm` times. For Linux.

    Args:
      first: Source that runs once.
      again: A line of source that runs each time; `i` counts.
      warm: How often before it is measured.
      count: How often after that.
      words: What stands in `sys.argv[1:]`.
    """
    code = _CODE.format(first=first, again=again, warm=warm, count=count)
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    memory_mb, handles = json.loads(done.stdout.splitlines()[-1])
    return Growth(memory_mb, handles)
