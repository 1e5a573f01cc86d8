"""A collection that is killed at any of its steps on the disk is gone on with: nothing is lost, nothing twice, nothing half-written has its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRIES = 2
EPISODES = 2
KILLS = """
import itertools, json, os, shutil, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
import numpy as np
import fakes
from collecting import options
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.envs import catalog
from vlagym.envs.images import Shrink
from vlagym.results.format import NoDataset

name, root, first, stride = {name!r}, Path({root!r}), {first}, {stride}
form = catalog.load("format", name)
entries = tuple(Entry(task=task, episodes={episodes}, first_seed=FIRST_DEMO_SEED) for task in ("place_on", "stack"))
images = {{camera: Shrink(crop=16, size=16) for camera in ("front", "wrist")}}

def collect(out):
    return list(Collection(options(out, entries=entries, images=images, format=name, sample=fakes.sample)))

def content(demo):
    arrays = [demo.actions, demo.executed_actions, *demo.images.values(), *demo.proprio.values()]
    return demo.digest, demo.instruction, demo.spec, [array.tobytes() for array in map(np.asarray, arrays)]

def contents(out):
    with form.open(out) as reader:
        return [content(reader[i]) for i in range(len(reader))]

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")

def collect_and_die(out, at):
    left = at
    def count(event, args):
        nonlocal left
        if event in CHANGES and out.name in str(args[0]) and (event != "open" or args[1] != "r"):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    collect(out)
    os._exit(0)

whole = root / ("whole" + form.suffix)
collect(whole)
wanted = contents(whole)
for at in itertools.count(first, stride):
    out = root / f"killed_{{at}}{{form.suffix}}"
    child = os.fork()
    if child == 0:
        collect_and_die(out, at)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0 and contents(out) == wanted
        break
    is_there = out.exists()
    assert not is_there or contents(out) == wanted, f"half a dataset bears its name at {{at}}"
    again = Collection(options(out, entries=entries, images=images, format=name, sample=fakes.sample))
    known = again.done
    assert known + len(list(again)) == len(wanted) and contents(out) == wanted, f"not the same after a kill at {{at}}"
    lines = out.with_name(out.name + ".attempts.jsonl").read_text().splitlines()[1:]
    assert len({{(a["entry"], a["seed"]) for a in map(json.loads, lines)}}) == len(wanted)
    beside = sorted(p.name for p in root.iterdir() if p.name.startswith(out.name))
    assert beside == [out.name, out.name + ".attempts.jsonl"], beside
    print(json.dumps([at, is_there, known]), flush=True)
    shutil.rmtree(out) if out.is_dir() else out.unlink()
"""


def killed(tmp_path: Path, name: str, first: int, stride: int) -> list[tuple[int, bool, int]]:
    """Returns, for each kill, its number, whether the dataset had its name by then, and how many tries were known when it was gone on with."""
    script = tmp_path / "kills.py"
    script.write_text(KILLS.format(path=sys.path, name=name, root=str(tmp_path), first=first, stride=stride, episodes=EPISODES), encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_a_collection_goes_on_after_a_kill_at_some_of_its_steps_on_the_disk(tmp_path: Path) -> None:
    assert len(killed(tmp_path, "npz", 5, 9)) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hdf5", "npz", "lerobot_v3", *(pytest.param(n, marks=pytest.mark.long) for n in ("lerobot_v21", "lerobot_v21_openpi", "rlds"))])
def test_a_collection_goes_on_after_a_kill_at_each_of_its_steps_on_the_disk(tmp_path: Path, name: str) -> None:
    kills = killed(tmp_path, name, 0, 1)
    assert {known for _, _, known in kills} == set(range(ENTRIES * EPISODES + 1)) and {is_there for _, is_there, _ in kills} == {False, True}
