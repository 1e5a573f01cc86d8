"""The memory of a collection does not grow with the number of its episodes: neither that of who collects nor that of who plays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from vlagym.results.formats import hdf5

PEAKS = """
import json, resource
from pathlib import Path
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.envs.images import Shrink

def main():
    entries = (Entry(task="touch", episodes={episodes}, first_seed=FIRST_DEMO_SEED, catalogue="core"),)
    images = {{"front": Shrink(crop=256, size=32)}}
    collection = Collection(DemoOptions(entries=entries, out=Path({out!r}), images=images, frame_stride=8, executor="processes"))
    assert sum(attempt.kept for attempt in collection) > {episodes} / 2
    print(json.dumps([resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]))

if __name__ == "__main__":
    main()
"""


class Peaks(NamedTuple):
    collector_mb: float
    worker_mb: float


def peaks(folder: Path, episodes: int) -> Peaks:
    script, out = folder / f"collect_{episodes}.py", folder / f"{episodes}.hdf5"
    script.write_text(PEAKS.format(episodes=episodes, out=str(out)), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=600)
    with hdf5.Reader(out) as reader:
        assert len(reader) > episodes / 2
    return Peaks(*json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_forty_episodes_take_no_more_memory_than_ten(tmp_path: Path) -> None:
    few, many = peaks(tmp_path, 10), peaks(tmp_path, 40)
    assert many.worker_mb < few.worker_mb + 25 and many.collector_mb < few.collector_mb + 10, (few, many)
