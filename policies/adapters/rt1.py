"""RT-1 and RT-1-X as SavedModels of TF-Agents: `rt1:DIR`, with what embeds the sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadPolicyOutput, MissingPackage
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families import sentence_embedding
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.digests import digest_of
from vlagym.policies.families.options import ForeignOptions, profile_of, read_options, reading, refuse_history, refuse_normalisation
from vlagym.policies.families.slots import Slots

_OPTIONS = ("profile", "embedding")
_OBSERVATION, _STATE = "0/observation/", "1/"
_IMAGE, _EMBEDDING, _SENTENCE = "image", "natural_language_embedding", "natural_language_instruction"
_MID = 1
"""Kind of a time step in the middle of an episode. SimplerEnv's rt1_model.py says so of the first one too (`ts.transition`), and its scores are the
published ones; the network of robotics_transformer is not told (`TransformerNetwork.call`)."""


class _Memory(NamedTuple):
    """What is kept of an episode."""

    embedding: NDArray[np.float32]
    state: Mapping[str, Any]
    """The policy's own: the last six images, their tokens, and where it stands among them."""


class Rt1Policy:
    """Asks the SavedModel's signatures, which need tensorflow and nothing else; a batch of one, for each slot apart.

    The signatures are those that TF-Agents' PolicySaver writes: `get_initial_state` and `action`, whose inputs are called "0/observation/image",
    "0/step_type" … and "1/<state>", and whose outputs "action/<component>" and "state/<state>". What the profile does not feed is zero: published
    checkpoints name eleven inputs that they do not look at.
    """

    def __init__(self, folder: Path, options: ForeignOptions, embedding: Path) -> None:
        self._who = f"rt1:{folder.name}"
        if not (folder / "saved_model.pb").is_file():
            raise BadData(f"{folder} is no SavedModel: it has no saved_model.pb")
        profile = profile_of("rt1", options.profile)
        refuse_normalisation("rt1", profile)
        refuse_history("rt1", profile)
        names = profile.wire.get("rt1", {})
        self._tf = _tensorflow()
        self._model = self._tf.saved_model.load(str(folder))
        self._step, self._begin = _signatures(self._model, self._who)
        self._inputs, self._arguments = _named(self._step)
        outputs: Mapping[str, Any] = self._step.structured_outputs
        self._images = {i.name: names.get(i.name, i.name) for i in profile.observation.images}
        _check_images(self._inputs, self._images, {i.name: (i.height, i.width, 3) for i in profile.observation.images}, self._who)
        self._actions = [names.get(f"action.{c.name}", c.name) for c in profile.action.components]
        for key, component in zip(self._actions, profile.action.components, strict=True):
            found = outputs.get(f"action/{key}")
            if found is None or found.shape.num_elements() not in (component.size, None):
                there = ", ".join(f"{k.removeprefix('action/')} {v.shape}" for k, v in sorted(outputs.items()) if k.startswith("action/"))
                raise BadData(f"{self._who}: the profile wants {component.size} numbers called {key!r}; the model sends {there or 'no action'}")
        wanted = self._inputs.get(_OBSERVATION + _EMBEDDING)
        if wanted is None:
            raise BadData(f"{self._who} reads no {_EMBEDDING}: it is no RT-1")
        self._embed = sentence_embedding.find(embedding, int(wanted.shape[-1]))
        card = {
            "about": "a SavedModel of RT-1's family",
            "checkpoint": digest_of(p for p in folder.rglob("*") if p.is_file()),
            "embedding": embedding.name,
            "profile": profile.name,
        }
        spec = profile.spec("rt1", card=card, chunk_steps=1, execute_steps=1, runs_in_worker=False)
        self.spec = reading(spec, images={name: "uint8" for name in self._images}, state=())
        self._slots: Slots[_Memory] = Slots(self._who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: embeds its sentence, and empties the policy's history."""
        wants_size = "batch_size" in self._begin.structured_input_signature[1]
        state = self._begin(**({"batch_size": self._tf.constant(1, self._tf.int32)} if wants_size else {}))
        self._slots.begin(context, _Memory(self._embed(context.instruction), dict(state)))

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadPolicyOutput: If the answer is no action of the profile.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        episode, action = self._slots[slot], self.spec.action
        assert action is not None
        answer = self._step(**self._fed(episode.memory, observation))
        state = {key.removeprefix("state/"): value for key, value in answer.items() if key.startswith("state/")}
        episode.memory = episode.memory._replace(state=state)
        parts = [np.array(answer[f"action/{key}"], np.float64).reshape(-1) for key in self._actions]
        sizes = [len(part) for part in parts]
        if sizes != [c.size for c in action.components]:
            raise BadPolicyOutput(f"{self._who} sent {sizes} numbers; the profile's components have {[c.size for c in action.components]}")
        return ActionChunk(values=as_chunk(np.concatenate(parts), size=action.size, steps=1, who=self._who), spec=action)

    def _fed(self, memory: _Memory, observation: Observation) -> dict[str, Any]:
        """Returns every input of the signature."""
        said: dict[str, Any] = {_OBSERVATION + key: observation.images[name][None] for name, key in self._images.items()}
        said |= {_OBSERVATION + _EMBEDDING: memory.embedding[None], _OBSERVATION + _SENTENCE: np.array([observation.instruction.encode()])}
        said |= {"0/step_type": np.array([_MID]), "0/reward": np.zeros(1), "0/discount": np.ones(1)}
        said |= {_STATE + key: value for key, value in memory.state.items()}
        return {self._arguments[key]: self._tensor(said.get(key), spec) for key, spec in self._inputs.items()}

    def _tensor(self, value: Any, spec: Any) -> Any:
        """Returns an input as the signature declares it; zeros, or no text, where nothing feeds it."""
        tf = self._tf
        if value is None:
            shape = [1 if n is None else n for n in spec.shape]
            return tf.fill(shape, "") if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)
        return value if tf.is_tensor(value) else tf.constant(value, spec.dtype)


def _tensorflow() -> Any:
    try:
        import tensorflow
    except ImportError as missing:
        raise MissingPackage("rt1:DIR needs tensorflow, best in an environment of its own: pip install tensorflow-cpu vlagym") from missing
    return tensorflow


def _signatures(model: Any, who: str) -> tuple[Any, Any]:
    """Returns the functions that act and begin."""
    missing = [name for name in ("action", "get_initial_state") if name not in model.signatures]
    if missing:
        there = ", ".join(sorted(model.signatures)) or "none"
        raise BadData(f"{who} has no signature {missing[0]!r}; it has {there}. A policy is saved with tf_agents.policies.policy_saver.PolicySaver")
    return model.signatures["action"], model.signatures["get_initial_state"]


def _named(signature: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the inputs of a signature by the names that PolicySaver gave them, and what each is called as an argument.

    Newer versions of TensorFlow write "arg_0_observation_image" for an argument, and keep "0/observation/image" as the tensor's name.
    """
    inputs, arguments = {}, {}
    for argument, spec in signature.structured_input_signature[1].items():
        name = spec.name if spec.name and spec.name.startswith(("0/", "1/")) else argument
        inputs[name], arguments[name] = spec, argument
    return inputs, arguments


def _check_images(inputs: Mapping[str, Any], images: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], who: str) -> None:
    if not images:
        raise BadData(f"{who}: the profile has no image")
    for name, key in images.items():
        spec = inputs.get(_OBSERVATION + key)
        if spec is None:
            there = ", ".join(sorted(k.removeprefix(_OBSERVATION) for k in inputs if k.startswith(_OBSERVATION)))
            raise BadData(f"{who} reads no {key!r}, which the profile's image {name!r} would be; it reads {there}")
        if tuple(spec.shape)[1:] != shapes[name] or spec.dtype.name != "uint8":
            raise BadData(f"{who} reads {key!r} as {tuple(spec.shape)[1:]} {spec.dtype.name}; the profile's image is {shapes[name]} uint8")


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a SavedModel.

    Args:
      argument: Its folder.
      options: "profile" (rt1_google, bridge_widowx_rt1); "embedding": the folder of the SavedModel that embeds sentences, for published checkpoints
        the Universal Sentence Encoder large/5, or an .npz file of sentences and their embeddings.

    Raises:
      BadData: If it is no such model, does not fit the profile, or there is no embedding.
      UnknownName: For another option, or an unknown profile.
      MissingPackage: Without tensorflow.
    """
    said = read_options("rt1", options, _OPTIONS)
    if argument is None:
        raise BadData("rt1 needs the folder of a SavedModel: rt1:DIR")
    if "embedding" not in options:
        which = "a SavedModel of the Universal Sentence Encoder, or embedding=FILE.npz"
        raise BadData(f"rt1 is told sentences as vectors: say --policy-option embedding=DIR, {which}")
    return Rt1Policy(Path(argument), said, Path(options["embedding"]))
