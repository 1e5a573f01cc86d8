"""LeRobot's own training loop trains an ACT for 200 steps on what `vlagym demo --format lerobot_v3` wrote, and has nothing to warn of in the data.

It runs where LeRobot 0.4 or later is, which needs an environment of its own:

    python3.11 -m venv lerobot
    lerobot/bin/pip install 'lerobot==0.4.4' 'pytest>=9' -e '.[data]'
    lerobot/bin/python -m pytest -m foreign tests/foreign/test_lerobot_training.py

The network is small (64 numbers wide, one layer, a ResNet-18 of random weights) and so are the images (64 pixels): it takes a minute and a half on
one core. Run with LeRobot 0.4.4, torch 2.10 and PyAV 15.1.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlagym.benchmark.cli import main

lerobot = pytest.importorskip("lerobot", reason="lerobot is not installed here; the docstring says how to make an environment for it")

pytestmark = pytest.mark.foreign

STEPS = 200
POLICY = {
    "type": "act",
    "device": "cpu",
    "push_to_hub": "false",
    "pretrained_backbone_weights": "null",
    "dim_model": "64",
    "n_heads": "4",
    "dim_feedforward": "128",
    "n_encoder_layers": "1",
    "n_vae_encoder_layers": "1",
    "latent_dim": "8",
    "chunk_size": "16",
    "n_action_steps": "8",
}
NOT_ABOUT_DATA = "_video_deprecation_warning.py"
"""torchvision's decoder, which LeRobot uses where torchcodec finds no FFmpeg, says of itself that it will be removed."""


def trained(folder: Path, out: Path) -> str:
    """Returns what LeRobot's training said."""
    version = tuple(int(n) for n in lerobot.__version__.split(".")[:2])
    if version < (0, 4):
        pytest.skip(f"lerobot {lerobot.__version__} reads datasets of v2.1")
    words = [f"--policy.{name}={value}" for name, value in POLICY.items()]
    words += ["--dataset.repo_id=vlagym/demos", f"--dataset.root={folder}", "--dataset.video_backend=pyav", f"--output_dir={out}"]
    words += [f"--steps={STEPS}", "--batch_size=4", "--num_workers=0", "--log_freq=1", "--eval_freq=0", "--wandb.enable=false", "--seed=0"]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(out.parent / "home"), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "always"}
    line = [sys.executable, "-m", "lerobot.scripts.lerobot_train", *words]
    done = subprocess.run(line, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=3000, check=False)
    said = (done.stdout + done.stderr).replace("\r", "\n")
    assert done.returncode == 0, said[-3000:]
    return said


@pytest.mark.slow
def test_act_learns_and_nothing_is_said_against_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "demos"
    collected = ["--task", "place_on", "--episodes", "4", "--workers", "1", "--image-size", "64", "--format", "lerobot_v3", "--out", str(folder)]
    assert main(["demo", *collected]) == 0
    said = trained(folder, tmp_path / "out")
    losses = [float(found) for found in re.findall(r"step:\d+ .*?loss:([\d.]+)", said)]
    assert len(losses) == STEPS and all(map(math.isfinite, losses))
    assert sum(losses[-20:]) / 20 < 0.7 * sum(losses[:5]) / 5
    warned = [line for line in said.splitlines() if re.search("WARN|Warning", line) and NOT_ABOUT_DATA not in line]
    assert warned == []
    assert (tmp_path / "out" / "checkpoints" / "last" / "pretrained_model" / "model.safetensors").is_file()
