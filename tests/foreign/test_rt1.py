"""A SavedModel with the signatures of TF-Agents' PolicySaver is played as RT-1: what it looks back on lies in its own state.

It runs where tensorflow is, which is best an environment of its own:

    python3.11 -m venv rt1
    rt1/bin/pip install tensorflow-cpu 'pytest>=9' -e .
    rt1/bin/python -m pytest tests/foreign/test_rt1.py

The model is tiny: the first three numbers of its action are means of the six pictures that it remembers and of the embedding, so that what reaches
it, and in which order, can be read off. Its inputs, outputs and state bear the names and shapes of the published checkpoints' policy_specs.pbtxt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy

tf: Any = pytest.importorskip("tensorflow", reason="tensorflow is not installed here; the docstring says how to make an environment for it")

pytestmark = pytest.mark.foreign

UNUSED = {
    "base_pose_tool_reached": (7,),
    "gripper_closed": (1,),
    "gripper_closedness_commanded": (1,),
    "height_to_bottom": (1,),
    "orientation_box": (2, 3),
    "orientation_start": (4,),
    "robot_orientation_positions_box": (3, 3),
    "rotation_delta_to_go": (3,),
    "src_rotation": (4,),
    "vector_to_go": (3,),
    "workspace_bounds": (3, 3),
}
SENTENCE = "put the red block on the plate"


def write_policy(folder: Path, **left_out: bool) -> str:
    """Writes a SavedModel as PolicySaver does: flat signatures, batch of any size."""
    specs: dict[str, Any] = {
        "0/step_type": tf.TensorSpec((None,), tf.int32),
        "0/reward": tf.TensorSpec((None,), tf.float32),
        "0/discount": tf.TensorSpec((None,), tf.float32),
        "0/observation/image": tf.TensorSpec((None, 256, 320, 3), tf.uint8),
        "0/observation/natural_language_embedding": tf.TensorSpec((None, 512), tf.float32),
        "0/observation/natural_language_instruction": tf.TensorSpec((None,), tf.string),
        **{f"0/observation/{name}": tf.TensorSpec((None, *shape), tf.float32) for name, shape in UNUSED.items()},
        "1/action_tokens": tf.TensorSpec((None, 6, 11, 1, 1), tf.int32),
        "1/image": tf.TensorSpec((None, 6, 256, 320, 3), tf.uint8),
        "1/step_num": tf.TensorSpec((None, 1, 1, 1, 1), tf.int32),
        "1/t": tf.TensorSpec((None, 1, 1, 1, 1), tf.int32),
    }
    names = list(specs)

    def act(*given: Any) -> dict[str, Any]:
        at = dict(zip(names, given, strict=True))
        images = tf.concat([at["1/image"][:, 1:], at["0/observation/image"][:, None]], axis=1)
        means = tf.reduce_mean(tf.cast(images, tf.float32), axis=[2, 3, 4]) / 255.0
        embedding = tf.reduce_mean(at["0/observation/natural_language_embedding"], axis=1)
        zeros = tf.reduce_sum([tf.reduce_sum(tf.abs(at[f"0/observation/{name}"])) for name in UNUSED])
        number = tf.cast(at["1/t"][:, 0, 0, 0, 0], tf.float32)
        letters = tf.cast(tf.strings.length(at["0/observation/natural_language_instruction"]), tf.float32)
        kind = tf.cast(at["0/step_type"], tf.float32)
        return {
            "action/world_vector": tf.stack([means[:, -1], means[:, -2], embedding], axis=1),
            "action/rotation_delta": tf.stack([number / 100, kind, letters / 100], axis=1),
            "action/gripper_closedness_action": tf.ones_like(at["0/reward"])[:, None] + zeros,
            "action/base_displacement_vector": tf.zeros((1, 2)),
            "action/base_displacement_vertical_rotation": tf.zeros((1, 1)),
            "action/terminate_episode": tf.constant([[0, 1, 0]], tf.int32),
            "state/action_tokens": at["1/action_tokens"],
            "state/image": images,
            "state/step_num": at["1/step_num"],
            "state/t": at["1/t"] + 1,
        }

    def begin(size: Any) -> dict[str, Any]:
        return {name[2:]: tf.zeros((1, *spec.shape[1:]), spec.dtype) for name, spec in specs.items() if name.startswith("1/")}

    model = tf.Module()
    model.action = tf.function(act)
    model.begin = tf.function(begin)
    named = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]
    signatures = {
        "action": model.action.get_concrete_function(*named),
        "get_initial_state": model.begin.get_concrete_function(tf.TensorSpec((), tf.int32, name="batch_size")),
    }
    tf.saved_model.save(model, str(folder), {name: s for name, s in signatures.items() if not left_out.get(name)})
    return f"rt1:{folder}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_policy(tmp_path_factory.mktemp("rt1"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of two sentences."""
    path = tmp_path_factory.mktemp("table") / "sentences.npz"
    vectors = np.stack([np.full(512, 0.25), np.full(512, -0.5)]).astype(np.float32)
    np.savez(path, sentences=np.array([SENTENCE, "open the drawer"]), embeddings=vectors)
    return path


def begin(policy: Policy, slot: int, instruction: str = SENTENCE) -> None:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=slot, instruction=instruction, action=policy.spec.action, digest=f"{slot}"))


def ask(policy: Policy, slot: int, level: int, instruction: str = SENTENCE) -> list[float]:
    (image,) = policy.spec.observation.images
    seen = Observation(images={image.name: np.full((256, 320, 3), level, np.uint8)}, proprio={}, instruction=instruction, time_s=0.0)
    values: list[float] = policy.act({slot: seen})[slot].values[0].tolist()
    return values


def test_pictures_are_remembered_in_the_policys_own_state_one_slot_apart(model: str, table: Path) -> None:
    policy = load_policy(model, {"profile": "rt1_google", "embedding": str(table)})
    begin(policy, 0)
    begin(policy, 1, "open the drawer")
    assert ask(policy, 0, 51)[:6] == pytest.approx([0.2, 0.0, 0.25, 0.0, 1.0, 0.3]), "told as in the middle, the first one too"
    assert ask(policy, 1, 255, "open the drawer")[:5] == pytest.approx([1.0, 0.0, -0.5, 0.0, 1.0])
    assert ask(policy, 0, 102)[:5] == pytest.approx([0.4, 0.2, 0.25, 0.01, 1.0])
    begin(policy, 0)
    assert ask(policy, 0, 102)[:5] == pytest.approx([0.4, 0.0, 0.25, 0.0, 1.0])


def test_its_action_has_the_profiles_components_in_their_order(model: str, table: Path) -> None:
    policy = load_policy(model, {"profile": "rt1_google", "embedding": str(table)})
    begin(policy, 0)
    assert ask(policy, 0, 0)[6:] == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_sentences_are_embedded_by_a_saved_model_too(model: str, tmp_path: Path) -> None:
    class Encoder(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])  # type: ignore[untyped-decorator]
        def __call__(self, sentences: Any) -> Any:
            return tf.cast(tf.strings.length(sentences), tf.float32)[:, None] * tf.ones((1, 512)) / 100

    tf.saved_model.save(Encoder(), str(tmp_path))
    policy = load_policy(model, {"profile": "rt1_google", "embedding": str(tmp_path)})
    begin(policy, 0)
    assert ask(policy, 0, 0)[2] == pytest.approx(0.3)


def test_a_sentence_without_embedding_is_an_error(model: str, table: Path) -> None:
    policy = load_policy(model, {"profile": "rt1_google", "embedding": str(table)})
    with pytest.raises(BadData, match="has no embedding of 'fly'; it has 2 sentences"):
        begin(policy, 0, "fly")


def test_what_is_no_rt1_is_refused(model: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="has no signature 'get_initial_state'; it has action"):
        load_policy(write_policy(tmp_path / "half", get_initial_state=True), {"profile": "rt1_google", "embedding": str(table)})
    with pytest.raises(BadData, match=r"wants 3 numbers called 'translation'; the model sends .*world_vector"):
        load_policy(model, {"profile": "bridge_widowx", "embedding": str(table)} | {"profile": write_profile(tmp_path)})


def write_profile(folder: Path) -> str:
    """Writes the profile of RT-1 without the names of its components, and returns its path."""
    import vlagym

    text = (Path(vlagym.__file__).parent / "policies" / "profiles" / "rt1_google.toml").read_text()
    lines = [line for line in text.replace('"rt1_google"', '"plain"').splitlines() if not line.startswith('"action.')]
    (folder / "plain.toml").write_text("\n".join(lines))
    return str(folder / "plain.toml")


def test_it_plays_episodes(model: str, tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    from vlagym.benchmark import cli
    from vlagym.envs.sampling import sample

    sentences = [sample("stack", seed=seed, control="ee_delta").instruction for seed in range(2)]
    np.savez(tmp_path / "table.npz", sentences=np.array(sentences), embeddings=np.zeros((2, 512), np.float32))
    options = [f"--policy-option={key}={value}" for key, value in {"profile": "rt1_google", "embedding": tmp_path / "table.npz"}.items()]
    # The default executor: TensorFlow acts here, and a worker renders. In one process the two crash on Mesa's EGL.
    words = ["--rig", "droid", "--control", "ee_delta", "--task", "stack", "--episodes", "2", "--workers", "1", "--out", str(tmp_path / "run")]
    status = cli.main(["run", "--policy", model, *(word for option in options for word in option.split("=", 1)), *words])
    lines = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    assert status == 0 and len(lines) == 2 and all(line["outcome"] != "error" for line in lines), lines
