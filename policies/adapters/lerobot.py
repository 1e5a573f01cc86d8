"""Any checkpoint of LeRobot, with its own pre- and post-processors: `lerobot:DIR`."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families import lerobot_features as features
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.calls import call, find_device
from vlagym.policies.families.digests import digest_of_folder
from vlagym.policies.families.options import ForeignOptions, flag, profile_of, read_options, refuse_history, refuse_normalisation
from vlagym.policies.families.slots import Slots
from vlagym.policies.families.weights_file import check_weights
from vlagym.policies.foreign import told

if TYPE_CHECKING:
    import torch

_OPTIONS = ("profile", "device", "execute", "keys", "strict", "trust_remote_code")


class LeRobotPolicy:
    """Calls a checkpoint as LeRobot's own evaluation does, for each slot apart.

    One that sees a single observation and keeps nothing between calls is asked for whole chunks. One that keeps a queue of observations
    (diffusion, vqbet, tdmpc) or its own temporal ensemble is asked at every step, through `select_action`, with queues for each slot apart.
    Normalisation is the processors' affair; images go in as float32 from 0 to 1, states raw.
    """

    def __init__(self, folder: Path, options: ForeignOptions, keys: Mapping[str, str], *, strict: bool = True) -> None:
        who = f"lerobot:{folder.name}"
        if not (folder / "config.json").is_file():
            raise BadData(f"{folder} is no checkpoint of LeRobot: it has no config.json. Name the folder that is called pretrained_model")
        profile = profile_of("lerobot", options.profile)
        refuse_normalisation("lerobot", profile)
        refuse_history("lerobot", profile)
        if not options.trust_remote_code:
            features.refuse_foreign_steps(folder)
        self._who, self._device = who, find_device("lerobot", options.device)
        check_weights(folder)
        self._policy, self._before, self._after = _load(folder, self._device, strict)
        config = self._policy.config
        inputs = {key: features.Feature(_word(f.type), tuple(f.shape)) for key, f in (config.input_features or {}).items()}
        filled_in = [key for key in inputs if key.startswith(f"{features.IMAGES}empty_camera_")] if getattr(config, "empty_cameras", 0) else []
        said = {**{n: k for n, k in profile.wire.get("lerobot", {}).items() if k in inputs}, **keys}
        feeding = features.feed(inputs, profile.observation, said, who=who, may_be_absent=filled_in)
        self._keys = feeding.keys
        size = tuple((config.output_features or {})[features.ACTION].shape)
        if size != (profile.action.size,):
            raise BadData(f"{who} sends actions of shape {size}; those of the profile {profile.name!r} have {profile.action.size} numbers")
        self._is_asked_for_chunks = _keeps_nothing(config)
        if options.execute_steps is not None and not self._is_asked_for_chunks:
            raise BadData(f"{who} is a {config.type} that plays its own chunks, asked at every step: leave the option execute out")
        card = {
            "about": "a checkpoint of LeRobot",
            "type": config.type,
            "checkpoint": digest_of_folder(folder),
            "parameters": sum(p.numel() for p in self._policy.parameters()),
            "device": options.device,
            "keys": dict(self._keys),
            "asked_for": "chunks" if self._is_asked_for_chunks else "single actions",
            "profile": profile.name,
            **({} if strict else {"strict": False}),
            **({"trust_remote_code": True} if options.trust_remote_code else {}),
        }
        chunk, execute = (config.chunk_size, config.n_action_steps) if self._is_asked_for_chunks else (1, 1)
        spec = profile.spec("lerobot", card=card, chunk_steps=chunk, execute_steps=options.execute_steps or execute, runs_in_worker=False)
        self.spec = replace(spec, observation=feeding.observation)
        self._slots: Slots[Any] = Slots(who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode with empty queues."""
        mine = _with_own_queues(self._policy)
        mine.reset()
        self._slots.begin(context, mine)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot, or a single action.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadPolicyOutput: If the answer is no chunk of the profile's actions.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        episode, action = self._slots[slot], self.spec.action
        assert action is not None
        with call(episode.next_seed(), self._device):
            batch = self._before(self._batch(observation))
            if self._is_asked_for_chunks:
                chunk = episode.memory.predict_action_chunk(batch)
                # As LeRobot does it: each action of the chunk goes through the post-processor by itself.
                said = [self._after(chunk[:, step]) for step in range(chunk.shape[1])]
            else:
                said = [self._after(episode.memory.select_action(batch))]
            answer = np.concatenate([one.to("cpu").double().numpy() for one in said])
        return ActionChunk(values=as_chunk(answer, size=action.size, steps=self.spec.chunk_steps, who=self._who), spec=action)

    def _batch(self, observation: Observation) -> dict[str, Any]:
        import torch

        batch: dict[str, Any] = {"task": [observation.instruction]}
        for name, key in self._keys.items():
            if name in observation.images:
                image = np.ascontiguousarray(observation.images[name].transpose(2, 0, 1), np.float32)
                batch[key] = torch.from_numpy(image)[None]
            else:
                batch[key] = torch.from_numpy(np.array(observation.proprio[name], np.float32))[None]
        return batch


def _load(folder: Path, device: torch.device, strict: bool) -> tuple[Any, Any, Any]:
    try:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
        from safetensors import SafetensorError
    except ImportError as missing:
        line = "python -m venv lerobot && lerobot/bin/pip install 'lerobot>=0.4.4' vlagym"
        raise MissingPackage(f"lerobot:DIR needs LeRobot, best in an environment of its own: {line} ({missing})") from missing
    place = str(folder)
    with contextlib.redirect_stdout(sys.stderr):  # it prints, and stdout is for answers
        try:
            config: Any = PreTrainedConfig.from_pretrained(place)
            config.device = str(device)
            if getattr(config, "pretrained_backbone_weights", None):
                config.pretrained_backbone_weights = None  # they would be downloaded, and then replaced by the checkpoint's own
            policy = get_policy_class(config.type).from_pretrained(place, config=config, strict=strict)
            moved = {"device_processor": {"device": str(device)}}
            before, after = make_pre_post_processors(policy.config, pretrained_path=place, preprocessor_overrides=moved)
        except (OSError, RuntimeError, ValueError, KeyError, ImportError, AttributeError, SafetensorError) as error:
            what = f"{type(error).__name__}: {told(error, 600)}"
            raise BadData(f"{folder} does not load as a checkpoint of LeRobot: {what}") from error
    return policy.to(device).eval(), before, after


def _keeps_nothing(config: Any) -> bool:
    """Returns whether a chunk depends on the present observation alone."""
    has_ensemble = getattr(config, "temporal_ensemble_coeff", None) is not None
    return getattr(config, "n_obs_steps", 1) == 1 and hasattr(config, "chunk_size") and not has_ensemble


def _with_own_queues(policy: Any) -> Any:
    """Returns a policy that shares the weights of another one and has what that keeps between calls for itself."""
    shared = copy.copy(policy)
    shared.__dict__ = dict(policy.__dict__)
    for name, value in policy.__dict__.items():
        if name.startswith(("_queues", "_action_queue", "temporal_ensembler", "_prev")):
            shared.__dict__[name] = copy.deepcopy(value)
    return shared


def _word(kind: Any) -> str:
    return str(getattr(kind, "value", kind))


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a checkpoint of LeRobot: ACT, Diffusion, VQ-BeT, SmolVLA, pi0, pi0.5, GR00T and what else it knows.

    Args:
      argument: The folder with config.json, model.safetensors and the processors, as LeRobot's training leaves it in pretrained_model.
      options: "profile" (needed: a checkpoint does not say what its numbers mean), "device", "execute"; "keys": NAME=KEY,…, which image or
        state of the profile feeds which key of the checkpoint; "strict": false loads weights of which some are missing;
        "trust_remote_code": true allows processors whose code is not LeRobot's.

    Raises:
      BadData: If it is no checkpoint, does not fit the profile, or an option makes no sense.
      UnknownName: For another option, or an unknown profile.
      MissingPackage: Without lerobot.
    """
    said = read_options("lerobot", options, _OPTIONS)
    if argument is None:
        raise BadData("lerobot needs the folder of a checkpoint: lerobot:DIR")
    keys = features.parse_keys(options["keys"]) if "keys" in options else {}
    return LeRobotPolicy(Path(argument), said, keys, strict=flag("lerobot", "strict", options.get("strict", "true")))
