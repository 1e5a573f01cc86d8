"""The real `lerobot-eval` plays our episodes with a tiny ACT of random weights; the ledger is that of our own runner with the same checkpoint.

It runs where lerobot is, which needs an environment of its own; 0.4.4 is the last for Python 3.11, and 0.6 wants 3.12:

    python3.11 -m venv lerobot
    lerobot/bin/pip install 'lerobot==0.4.4' 'pytest>=9' -e .    # for 0.6: 'lerobot[dataset]'
    lerobot/bin/python -m pytest -m foreign tests/foreign/test_lerobot_eval.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.results.store import Store

pytest.importorskip("lerobot", reason="lerobot is not installed here; the docstring says how to make an environment for it")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.foreign, pytest.mark.gl]

ROOT = Path(__file__).resolve().parents[2]
VERSION = tuple(int(part) for part in metadata.version("lerobot").split(".")[:2])
PIXELS = 64
DISCOVER = "--env.discover_packages_path=vlagym.benchmark.hosts.lerobot"
TASK = "place_on"
ENVIRONMENT = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS"), "1")}
"""One thread: sums are then added in the same order in both, and the machine is not asked for more than it has."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes an ACT that is asked at each step, and whose actions stay within bounds, with LeRobot's own functions."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    folder = tmp_path_factory.mktemp("act") / "pretrained_model"
    inputs = {
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, PIXELS, PIXELS)),
        "observation.state": PolicyFeature(FeatureType.STATE, (7,)),
    }
    small = {"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}
    config = make_policy_config(
        "act",
        input_features=inputs,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        chunk_size=4,
        n_action_steps=1,
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
        **small,
    )
    torch.manual_seed(0)
    get_policy_class("act")(config).save_pretrained(folder)
    statistics: dict[str, Any] = {"observation.images.front": {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)}}
    for key, mean, std in (("observation.state", 0.1, 0.5), ("action", 0.05, 0.2)):
        statistics[key] = {"mean": torch.full((7,), mean), "std": torch.full((7,), std)}
    for one in statistics.values():
        one |= {"min": one["mean"] - one["std"], "max": one["mean"] + one["std"]}
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the profile `vlagym` with a front view of 64 pixels."""
    text = (ROOT / "policies" / "profiles" / "vlagym.toml").read_text().replace('name = "vlagym"', 'name = "small"')
    front = 'name = "front"\nwidth = 256\nheight = 256\n'
    assert front in text
    out = tmp_path_factory.mktemp("profile") / "small.toml"
    out.write_text(text.replace(front, f'name = "front"\nwidth = {PIXELS}\nheight = {PIXELS}\ncrop = 256\n'))
    return out


def command(checkpoint: Path, profile: Path, out: Path, *words: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("lerobot-eval")),
        f"--policy.path={checkpoint}",
        "--policy.device=cpu",
        "--env.type=vlagym",
        f"--env.profile={profile}",
        "--env.cameras=front",
        "--env.state=joint_pos_rad",
        f"--output_dir={out}",
        *words,
    ]


def lerobot_eval(checkpoint: Path, profile: Path, out: Path, *words: str, is_discovered: bool = False, path: str = "") -> dict[str, Any]:
    """Runs the real command and returns what it wrote."""
    line = command(checkpoint, profile, out, *([] if is_discovered else [DISCOVER]), *words)
    paths = os.pathsep.join(filter(None, [path, ENVIRONMENT.get("PYTHONPATH", "")]))
    how = ENVIRONMENT | ({"PYTHONPATH": paths} if paths else {})
    done = subprocess.run(line, capture_output=True, text=True, timeout=1200, check=False, env=how)
    assert done.returncode == 0, done.stderr[-5000:]
    found: dict[str, Any] = json.loads((out / "eval_info.json").read_text())
    return found


def own(checkpoint: Path, profile: Path, out: Path, *words: str) -> Path:
    """Runs our own runner with the checkpoint in process."""
    keys = "keys=joint_pos_rad=observation.state,front=observation.images.front"
    policy = ["--policy", f"lerobot:{checkpoint}", "--policy-option", f"profile={profile}", "--policy-option", keys]
    line = [sys.executable, "-m", "vlagym.benchmark.cli", "run", *policy, "--executor", "serial", "--out", str(out), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=1200, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-5000:]
    return out


def lines(*folders: Path) -> dict[str, Any]:
    """Returns digest -> what must be equal: all but what a clock says, and the digest of the frames, which our adapter shows as 0 to 1."""
    found = {}
    for folder in folders:
        for text in (folder / "episodes.jsonl").read_text().splitlines():
            line = json.loads(text)
            del line["wall_s"], line["certificate"]["frames"]
            line["measures"] = {name: value for name, value in line["measures"].items() if not name.startswith("latency_")}
            found[line["digest"]] = line
    return found


def test_the_ledger_is_that_of_our_own_runner_with_the_same_checkpoint(tmp_path: Path, checkpoint: Path, profile: Path) -> None:
    ledger, out = tmp_path / "ledger", tmp_path / "out"
    what = ["--env.suite=smoke", f"--env.task={TASK}", "--env.episodes=1", f"--env.out={ledger}", "--env.policy=act"]
    info = lerobot_eval(checkpoint, profile, out, *what, "--seed=0", "--eval.n_episodes=1", "--eval.batch_size=1")
    (run,) = ledger.iterdir()
    ours = own(checkpoint, profile, tmp_path / "own", "--suite", "smoke", "--task", TASK, "--episodes", "1")
    assert lines(run) == lines(ours) and len(lines(run)) == 1
    there, here = Store.open(run), Store.open(ours)
    assert there.header.suite["digest"] == here.header.suite["digest"] and there.header.finished
    assert there.header.policy["name"] == "act" and any(word.startswith("--policy.path=") for word in there.header.command)
    for digest in here.digests():
        np.testing.assert_array_equal(there.trace(digest).actions, here.trace(digest).actions)
    assert info["overall"]["pc_success"] == 100 * np.mean([r.outcome == "success" for r in there.results()])
    assert len(list((out / "videos").rglob("*.mp4"))) == 1


def test_environments_at_the_same_time_share_the_episodes_between_them(tmp_path: Path, checkpoint: Path, profile: Path) -> None:
    ledger = tmp_path / "ledger"
    what = ["--env.suite=smoke", f"--env.task={TASK}", "--env.episodes=3", f"--env.out={ledger}"]
    how = ["--seed=0", "--eval.n_episodes=3", "--eval.batch_size=3", f"--eval.use_async_envs={'true' if VERSION >= (0, 5) else 'false'}"]
    lerobot_eval(checkpoint, profile, tmp_path / "out", *what, *how)
    runs = sorted(ledger.iterdir())
    assert [run.name for run in runs] == [f"{TASK}-{i}" for i in range(3)]
    found = [r for run in runs for r in Store.open(run).results()]
    assert sorted(r.seed for r in found) == [0, 1, 2] and {r.outcome for r in found} <= {"success", "failure"}


def test_seeds_of_another_range_are_refused_with_the_words_that_are_right(tmp_path: Path, checkpoint: Path, profile: Path) -> None:
    line = command(checkpoint, profile, tmp_path, DISCOVER, "--env.suite=smoke", f"--env.task={TASK}", "--eval.n_episodes=1", "--eval.batch_size=1")
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT)
    assert done.returncode != 0 and re.search(r"seed 1000 is wanted.*has the seeds 0 to 9: give lerobot-eval --seed=0", done.stderr), done.stderr[-3000:]


@pytest.mark.skipif(VERSION < (0, 5), reason="LeRobot 0.4 makes one environment, and looks for no distributions of environments")
def test_a_distribution_of_the_right_name_is_found_without_a_word_and_plays_several_tasks(tmp_path: Path, checkpoint: Path, profile: Path) -> None:
    shutil.copytree(ROOT / "plugins" / "lerobot_env_vlagym", tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(tmp_path / "installed"), str(tmp_path / "source")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    what = [f"--env.task={TASK},stack", "--seed=5", "--eval.n_episodes=1", "--eval.batch_size=1"]
    info = lerobot_eval(checkpoint, profile, tmp_path / "out", *what, is_discovered=True, path=str(tmp_path / "installed"))
    assert [one["task_group"] for one in info["per_task"]] == ["vlagym", "vlagym"]


@pytest.mark.skipif(VERSION >= (0, 5), reason="LeRobot 0.6 makes as many environments as there are tasks")
def test_several_tasks_are_refused_by_a_version_that_makes_one_environment(tmp_path: Path, checkpoint: Path, profile: Path) -> None:
    line = command(checkpoint, profile, tmp_path, DISCOVER, f"--env.task={TASK},stack", "--eval.n_episodes=1", "--eval.batch_size=1")
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT)
    assert done.returncode != 0 and f"one task at a time: say --env.task, one of {TASK}, stack" in done.stderr, done.stderr[-3000:]
