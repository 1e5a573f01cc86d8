"""The real vla-eval, from PyPI, asks our server and is asked by our adapter.

It is no requirement of ours. To run this, make an environment that has both, and run it there:

    python -m venv foreign
    foreign/bin/pip install -e '.[test]' 'vla-eval==0.8.0'
    foreign/bin/python -m pytest tests/foreign/test_vla_eval.py
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import served
from vla_eval_servers import profile_file

from vlagym.envs.errors import BadReply, ConventionMismatch
from vlagym.envs.types import Observation, sha
from vlagym.policies.adapters.vla_eval import POLICY, VlaEval
from vlagym.policies.serving.vla_eval import SERVER

pytestmark = pytest.mark.foreign

vla_eval = pytest.importorskip("vla_eval", reason="needs vla-eval in the same environment; the docstring of this file says how to make one")
anyio = pytest.importorskip("anyio")

LIMIT_S = 30.0
SEEN = Observation(
    images={"front": np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)},
    proprio={"ee_pos_base_m": np.array([0.1, 0.2, 0.3], np.float32)},
    instruction="lift it",
    time_s=0.0,
)


def expected(instruction: str = "lift the cube") -> Any:
    """Returns the first chunk that the policy sends in process."""
    policy = served.Echo()
    policy.reset(served.context(instruction=instruction, digest=sha(f"served: {instruction}".encode())))
    return policy.act({0: served.observation(instruction)})[0].values


# --------------------------------------------------------------------------------------------------- its client, its harness; our server
def ask(url: str, talk: Callable[[Any], Any]) -> Any:
    """Returns what a conversation of the real client gives."""
    from vla_eval.connection import Connection

    async def run() -> Any:
        with anyio.fail_after(LIMIT_S):
            async with Connection(url, timeout=LIMIT_S, max_retries=1) as connection:
                return await talk(connection)

    return anyio.run(run)


def seen(instruction: str = "lift the cube") -> dict[str, Any]:
    return {"images": served.frames(), "task_description": instruction, "states": np.concatenate(list(served.state().values()))}


def test_its_client_is_greeted_answered_told_of_errors_and_answered_again(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(connection: Any) -> Any:
        answers = []
        await connection.start_episode({"task": {"name": "lift the cube", "suite": "tiny"}})
        answers += [(await connection.act(seen()))["actions"] for _ in range(4)]
        with pytest.raises(RuntimeError, match="observation_failed: ValueError: I have no idea"):
            await connection.act(seen("raise"))
        await connection.end_episode({"metrics": {}, "steps": 5, "elapsed_sec": 0.1})
        await connection.start_episode({"task": {"name": "lift the cube"}})
        answers.append((await connection.act(seen()))["actions"])
        return connection.server_info, answers

    caplog.set_level(logging.WARNING)
    with SERVER(served.Echo(), "127.0.0.1", 0) as server:
        info, answers = ask(server.url, talk)
    assert info["model_server"] == "echo" and info["protocol_version"] == 1
    again = expected().copy()
    again[:, 1] = 0.02  # the second call of the episode: three of four actions are executed
    assert np.array_equal(answers, [*expected()[:3], again[0], expected()[0]])
    assert "Seq mismatch" not in caplog.text


@pytest.mark.parametrize("images", ["raw", "jpeg", "png"])
def test_its_images_of_every_format_are_read(images: str) -> None:
    from vla_eval.protocol import numpy_codec

    async def talk(connection: Any) -> Any:
        return (await connection.act(seen()))["actions"]

    before = numpy_codec.get_image_format()
    numpy_codec.set_image_format(images)  # type: ignore[arg-type, unused-ignore]
    try:
        with SERVER(served.Echo(), "127.0.0.1", 0) as server:
            assert np.allclose(ask(server.url, talk), expected()[0], atol=0.02 if images == "jpeg" else 0.0)
    finally:
        numpy_codec.set_image_format(before)


def test_its_specs_read_what_our_server_says_and_find_no_mismatch() -> None:
    import vla_eval_bench
    from vla_eval.specs import DimSpec, check_specs

    async def talk(connection: Any) -> Any:
        return connection.server_info

    with SERVER(served.Echo(), "127.0.0.1", 0) as server:
        info = ask(server.url, talk)
    action, observation = ({k: DimSpec.from_dict(v) for k, v in info[key].items()} for key in ("action_spec", "observation_spec"))
    bench = vla_eval_bench.Bench(send_state=True, send_wrist_image=True)
    assert check_specs(action, bench.get_action_spec(), observation, bench.get_observation_spec()) == []


def test_its_harness_runs_a_benchmark_on_our_server(tmp_path: Path) -> None:
    import vla_eval_bench
    from vla_eval.api import run

    vla_eval_bench.Bench.told.clear()
    config = {"benchmarks": [{"benchmark": "vla_eval_bench:Bench", "mode": "sync", "episodes_per_task": 1}]}
    with SERVER(served.Echo(), "127.0.0.1", 0) as server:
        (result,) = run(config, server_url=server.url, output_dir=tmp_path, docker=False)
    assert vla_eval_bench.Bench.params == {"send_state": True, "send_wrist_image": True}, "the harness reads what our hello asks for"
    assert [task for task, _ in vla_eval_bench.Bench.told] == ["lift the cube", "open the drawer"]
    for task, actions in vla_eval_bench.Bench.told:
        said = expected(task)
        assert np.array_equal(np.array(actions)[:3], said[:3]) and len(actions) == 5
    assert result["mean_success"] == 1.0 and result["server_info"]["model_server"] == "echo"


def test_its_health_check_finds_our_server() -> None:
    import urllib.request

    with SERVER(served.Echo(), "127.0.0.1", 0) as server, urllib.request.urlopen(server.url.replace("ws", "http") + "/health", timeout=10) as answer:
        assert answer.read() == b'{"status": "ok"}\n'


# ------------------------------------------------------------------------------------------------------------ its servers; our adapter
def make_server(**options: Any) -> Any:
    """Returns a model server of the real package, whose actions tell what it was shown."""
    from vla_eval.model_servers.predict import PredictModelServer
    from vla_eval.specs import GRIPPER_CLOSE_POS, IMAGE_RGB, LANGUAGE, POSITION_DELTA, RAW, ROTATION_AA

    class Telling(PredictModelServer):  # type: ignore[misc, unused-ignore]
        steps = options.pop("steps", None)
        gripper = options.pop("gripper", GRIPPER_CLOSE_POS)
        starts: list[dict[str, Any]] = []
        batches: list[int] = []

        def predict_batch(self, obs_batch: list[Any], ctx_batch: list[Any]) -> list[Any]:
            self.batches.append(len(obs_batch))
            return [{"actions": self.say(obs, ctx), "more": "ignored"} for obs, ctx in zip(obs_batch, ctx_batch, strict=True)]

        def say(self, obs: dict[str, Any], ctx: Any) -> Any:
            if obs["task_description"] == "raise":
                raise ValueError("bad obs")
            one = np.array([*obs["states"], obs["images"]["front"].mean() / 255, (ctx.step % 10) / 10, len(obs["task_description"]) / 100, 0.5])
            return one if self.steps is None else one + np.arange(self.steps)[:, None] / 1000

        async def on_episode_start(self, config: dict[str, Any], ctx: Any) -> None:
            self.starts.append(config)
            if config["task"]["name"] == "refuse":
                raise RuntimeError("no such task")
            await super().on_episode_start(config, ctx)

        def get_action_spec(self) -> Any:
            return {"position": POSITION_DELTA, "rotation": ROTATION_AA, "gripper": self.gripper}

        def get_observation_spec(self) -> Any:
            return {"image": IMAGE_RGB, "state": RAW, "language": LANGUAGE}

        def get_observation_params(self) -> Any:
            return {"send_state": True, "seed": 0}

    return Telling(**options)


@contextlib.contextmanager
def asked(server: Any, **options: str) -> Iterator[VlaEval]:
    from vla_eval.api import serve_background

    with serve_background(server) as handle, contextlib.closing(POLICY(handle.url, options)) as policy:
        yield policy


def one(policy: VlaEval, slot: int = 0, instruction: str = "lift it") -> Any:
    return policy.act({slot: Observation(images=SEEN.images, proprio=SEEN.proprio, instruction=instruction, time_s=0.0)})[slot].values


def told(step: int, sentence: str = "lift it") -> Any:
    return np.array([0.1, 0.2, 0.3, SEEN.images["front"].mean() / 255, step / 10, len(sentence) / 100, 0.5], np.float32)


def test_its_server_gives_one_action_at_a_time(tmp_path: Path) -> None:
    server = make_server()
    with asked(server, profile=profile_file(tmp_path), suite="tiny") as policy:
        for _ in range(2):
            policy.reset(served.context(instruction="lift it"))
            for step in range(3):
                assert np.allclose(one(policy), told(step)[None], atol=1e-6)
    assert server.starts[0] == {"task": {"name": "lift it", "digest": "00ff" * 8, "suite": "tiny"}, "mode": "sync"} and len(server.starts) == 2
    assert policy.spec.card["server"]["harness_version"] == "0.8.0" and policy.spec.card["not_followed"] == {"seed": 0}


def test_its_server_gives_chunks_whole_or_keeps_them_to_itself(tmp_path: Path) -> None:
    profile = profile_file(tmp_path, chunk_steps="4", execute_steps="2")
    with asked(make_server(steps=4), profile=profile) as policy:
        policy.reset(served.context(instruction="lift it"))
        assert np.allclose(one(policy), told(0) + np.arange(4)[:, None] / 1000, atol=1e-6)
    with asked(make_server(steps=4, chunk_size=2), profile=profile) as policy:
        policy.reset(served.context(instruction="lift it"))
        answers = np.concatenate([one(policy) for _ in range(3)])
        assert np.allclose(answers, [told(0), told(0) + 0.001, told(2)], atol=1e-6)


def test_its_errors_cost_an_episode_and_shift_nothing(tmp_path: Path) -> None:
    with asked(make_server(), profile=profile_file(tmp_path)) as policy:
        policy.reset(served.context(instruction="refuse"))
        with pytest.raises(BadReply, match="tells of an error: episode_start_failed: RuntimeError: no such task"):
            one(policy, instruction="refuse")
        for sentence in ("lift it", "open that drawer"):
            policy.reset(served.context(instruction=sentence))
            assert np.allclose(one(policy, instruction=sentence), told(0, sentence)[None], atol=1e-6)
        with pytest.raises(BadReply, match="tells of an error: observation_failed: ValueError: bad obs"):
            one(policy, instruction="raise")
        assert np.allclose(one(policy), told(1)[None], atol=1e-6)


def test_it_answers_our_episodes_together(tmp_path: Path) -> None:
    server = make_server(max_batch_size=4, max_wait_time=0.2)
    with asked(server, profile=profile_file(tmp_path)) as policy:
        slots = range(4)
        for slot in slots:
            policy.reset(served.context(slot, f"episode {slot}{'.' * slot}"))
        for step in range(3):
            seen = {
                slot: Observation(images=SEEN.images, proprio=SEEN.proprio, instruction=f"episode {slot}{'.' * slot}", time_s=0.0) for slot in slots
            }
            chunks = policy.act(seen)
            assert all(np.allclose(chunks[s].values, told(step, seen[s].instruction)[None], atol=1e-6) for s in slots)
    assert max(server.batches) > 1


def test_where_its_own_harness_warns_we_refuse(tmp_path: Path) -> None:
    from vla_eval.api import serve_background
    from vla_eval.specs import GRIPPER_01

    profile = profile_file(tmp_path)
    with serve_background(make_server(gripper=GRIPPER_01)) as handle:
        with pytest.raises(ConventionMismatch, match="action gripper: it sends 'continuous_01', and the profile declares 'gripper_closed_positive'"):
            POLICY(handle.url, {"profile": profile})


def without_weights(module: str, name: str, **attributes: Any) -> Any:
    """Returns one of the package's own servers that was not built, for what it says of itself needs no weights."""
    import importlib

    from vla_eval.model_servers.predict import PredictModelServer

    server_class = getattr(importlib.import_module(f"vla_eval.model_servers.{module}"), name)

    class Weightless(server_class):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            PredictModelServer.__init__(self)
            for key, value in attributes.items():
                setattr(self, key, value)

        def predict(self, obs: Any, ctx: Any) -> Any:
            self.seen = obs
            return {"actions": np.zeros(7, np.float32)}

        predict_batch = PredictModelServer.predict_batch

    return Weightless()


LIBERO = Observation(
    images={"image": np.zeros((256, 256, 3), np.uint8), "wrist_image": np.ones((256, 256, 3), np.uint8)},
    proprio={"state": np.zeros(8, np.float32)},
    instruction="lift it",
    time_s=0.0,
)


@pytest.mark.parametrize(
    ("module", "name", "attributes", "images", "has_state"),
    [
        ("openvla", "OpenVLAModelServer", {}, 1, False),
        ("oft", "OFTModelServer", {"num_images_in_input": 2, "use_proprio": True}, 2, True),
        ("oft", "OFTModelServer", {"num_images_in_input": 1, "use_proprio": False}, 1, False),
        ("pi0", "Pi0ModelServer", {"wrist_image_key": "observation/wrist_image", "state_key": "observation/state"}, 2, True),
        ("vlanext", "VLANeXtModelServer", {"_state_histories": {}}, 2, True),
    ],
)
def test_what_its_servers_for_libero_say_fits_our_profile_of_libero(
    module: str, name: str, attributes: dict[str, Any], images: int, has_state: bool
) -> None:
    server = without_weights(module, name, **attributes)
    with asked(server, profile="libero") as policy:
        policy.reset(served.context(instruction="lift it"))
        assert policy.act({0: LIBERO})[0].values.shape == (1, 7)
    assert list(server.seen["images"]) == ["image", "wrist_image"][:images] and ("states" in server.seen) == has_state


def test_its_groot_server_which_sends_euler_angles_does_not_fit_the_profile_of_libero() -> None:
    from vla_eval.api import serve_background

    with serve_background(without_weights("groot", "GR00TModelServer", invert_gripper=False, _extra_obs_params={})) as handle:
        with pytest.raises(ConventionMismatch) as caught:
            POLICY(handle.url, {"profile": "libero"})
    complaints = [line for line in str(caught.value).splitlines() if line.startswith("- ")]
    assert [line.split(":")[0] for line in complaints] == ["- action rotation", "- action gripper"]


@pytest.mark.gl
@pytest.mark.slow
def test_its_server_plays_episodes_of_ours(tmp_path: Path) -> None:
    import dataclasses

    from vla_eval.api import serve_background
    from vlagym.benchmark.runner import RunOptions, run
    from vlagym.benchmark.suite_files import load_suite
    from vlagym.envs.types import EpisodeResult

    class Silent:
        def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

        def stored(self, result: EpisodeResult) -> None: ...

    suite = load_suite("smoke").restrict(episodes=1)
    specs = [dataclasses.replace(spec, horizon_s=1.0) for spec in suite.expand()]
    server = make_server(max_batch_size=2)
    profile = _native(tmp_path)
    with serve_background(server) as handle:
        options = RunOptions(
            policy=f"vla_eval:{handle.url}",
            policy_options={"profile": profile},
            suite=suite,
            executor="processes",
            workers=2,
            out=tmp_path / "run",
        )
        began_s = time.monotonic()
        report = run(options, specs, Silent())
    assert [r.outcome for r in report.results] == ["failure"] * 3, [r.error for r in report.results]
    assert {start["task"]["name"] for start in server.starts} == {spec.instruction for spec in specs}
    assert sum(server.batches) == sum(r.steps for r in report.results) and time.monotonic() - began_s < 120


def _native(folder: Path) -> str:
    """Writes a profile that reads our own front camera and hand, as the suite's episodes have them."""
    path = Path(profile_file(folder, "native"))
    text = path.read_text(encoding="utf-8").replace("width = 16", "width = 256").replace("height = 16", "height = 256")
    path.write_text(text, encoding="utf-8")
    return str(path)
