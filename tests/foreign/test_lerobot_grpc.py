"""LeRobot's own policy server loads a checkpoint because our adapter says so; it answers, and plays episodes, as the checkpoint does in process.

It runs where lerobot is, which needs an environment of its own:

    python3.11 -m venv lerobot
    lerobot/bin/pip install 'lerobot[async]==0.4.4' 'pytest>=9' -e .
    lerobot/bin/python -m pytest -m foreign tests/foreign/test_lerobot_grpc.py
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.types import EpisodeResult, EpisodeSpec, Observation, to_plain
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile

pytest.importorskip("lerobot", reason="lerobot is not installed here; the docstring says how to make an environment for it")
pytest.importorskip("grpc", reason="grpcio is not installed here: pip install 'vlagym[grpc]'")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.foreign, pytest.mark.gl]

SIZES = {s.name: s.size for s in load_profile("vlagym").observation.state}
TOLD = {"trust_pickle": "true", "type": "act", "chunk": "4", "connect_timeout": "90", "first_timeout": "120", "timeout": "60"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Sums are then added in the same order here and at the server."""
SUITE = load_suite("smoke")
ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, state_size: int) -> Path:
    """Writes an ACT checkpoint with random weights and known statistics, with LeRobot's own functions."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    cameras = ("observation.images.front", "observation.images.wrist")
    inputs = {camera: PolicyFeature(FeatureType.VISUAL, (3, 256, 256)) for camera in cameras}
    small = {"dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}
    config = make_policy_config(
        "act",
        input_features={**inputs, "observation.state": PolicyFeature(FeatureType.STATE, (state_size,))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        device="cpu",
        chunk_size=4,
        n_action_steps=2,
        pretrained_backbone_weights=None,
        **small,
    )
    torch.manual_seed(0)
    get_policy_class("act")(config).save_pretrained(folder)
    statistics = {camera: {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)} for camera in cameras}
    statistics |= {"observation.state": {"mean": torch.zeros(state_size), "std": torch.ones(state_size)}}
    statistics |= {"action": {"mean": torch.full((7,), 0.05), "std": torch.full((7,), 0.2)}}
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns one that reads all states of the profile `vlagym`, which stand in one vector."""
    return write(tmp_path_factory.mktemp("act"), sum(SIZES.values()))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Runs LeRobot's policy server; it takes no port 0, so one that is free is looked for. What it wrote is shown where a test fails."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")  # it writes a folder logs/ where it is started
    command = [sys.executable, "-m", "lerobot.async_inference.policy_server", "--host=127.0.0.1", f"--port={port}"]
    with open(folder / "out.txt", "wb") as out:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **ONE_THREAD})
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(20)
            print((folder / "out.txt").read_text(errors="replace")[-8000:])


def seen(shift: float) -> Observation:
    rng = np.random.default_rng(7)
    images = {name: rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for name in ("front", "wrist")}
    proprio = {name: (shift + np.arange(size) / 10).astype(np.float32) for name, size in SIZES.items()}
    return Observation(images=images, proprio=proprio, instruction="lift the cube", time_s=0.0)


def begun(policy: Policy) -> Policy:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=0, instruction="lift the cube", action=policy.spec.action, digest="00ff" * 8))
    return policy


def expected(checkpoint: Path, observation: Observation) -> np.ndarray:
    """Returns the chunk that LeRobot's own functions make of it."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(checkpoint)
    model = get_policy_class(config.type).from_pretrained(checkpoint)
    before, after = make_pre_post_processors(model.config, pretrained_path=str(checkpoint))
    images = {f"observation.images.{n}": torch.from_numpy(i).permute(2, 0, 1).float() / 255 for n, i in observation.images.items()}
    state = torch.from_numpy(np.concatenate([observation.proprio[name] for name in SIZES]))
    chunk = model.predict_action_chunk(before({**images, "observation.state": state, "task": observation.instruction}))
    return np.asarray(after(chunk)[0].detach())


def test_its_answers_are_those_of_the_checkpoint_in_process(checkpoint: Path, address: str) -> None:
    policy = load_policy(f"lerobot_grpc:{address}", {"profile": "vlagym", "checkpoint": str(checkpoint), **TOLD})
    try:
        for _ in range(2):
            begun(policy)
            for shift in (0.0, 0.001, 0.5):  # the second is so near to the first that the server would drop it, did it not have to answer
                found = policy.act({0: seen(shift)})[0].values
                assert found.shape == (4, 7)
                assert np.allclose(found, expected(checkpoint, seen(shift)), atol=1e-5)
    finally:
        policy.close()


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def ledger(out: Path, specs: list[EpisodeSpec], policy: str, options: dict[str, str]) -> dict[str, Any]:
    """Returns digest -> all that must be equal: not the digest of frames, which the checkpoint in process is shown as 0 to 1."""
    results = run(RunOptions(policy=policy, policy_options=options, suite=SUITE, out=out, executor="serial"), specs, Silent()).results
    assert not [r.error for r in results if r.error is not None]
    found = {}
    for r in results:
        measures = {name: value for name, value in r.measures.items() if not name.startswith("latency_")}
        found[r.digest] = (r.outcome, r.ended_by, r.steps, measures, {**to_plain(r.certificate), "frames": None})
    return found


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_episodes_are_those_of_the_checkpoint_in_process(tmp_path: Path, address: str) -> None:
    shipped = (ROOT / "policies" / "profiles" / "vlagym.toml").read_text().replace('name = "vlagym"', 'name = "joints"')
    head, _, tail = shipped.partition("[[observation.state]]")
    assert tail.lstrip().startswith('name = "joint_pos_rad"')
    (tmp_path / "joints.toml").write_text(head + '[[observation.state]]\nname = "joint_pos_rad"\nsize = 7\n')
    checkpoint = write(tmp_path / "act", 7)
    specs = [dataclasses.replace(spec, horizon_s=1.0) for spec in SUITE.restrict(episodes=1).expand()][:2]
    said = {"profile": str(tmp_path / "joints.toml"), "execute": "2"}
    here = ledger(tmp_path / "here", specs, f"lerobot:{checkpoint}", {**said, "keys": "joint_pos_rad=observation.state"})
    assert len(here) == 2
    assert ledger(tmp_path / "there", specs, f"lerobot_grpc:{address}", {**said, **TOLD, "checkpoint": str(checkpoint)}) == here
