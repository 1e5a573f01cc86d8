"""Checkpoints of OpenVLA, with their own prompt, statistics and `predict_action`: `openvla:DIR`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families import action_tokens, language_model
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.calls import call, find_device
from vlagym.policies.families.digests import digest_of_folder
from vlagym.policies.families.openvla_statistics import Unnormaliser, choose, read_statistics
from vlagym.policies.families.options import ForeignOptions, flag, profile_of, read_options, reading, refuse_history, refuse_normalisation
from vlagym.policies.families.slots import Slots

_OPTIONS = ("profile", "device", "unnorm_key", "any_range", "image", "center_crop", "trust_remote_code")
_PROMPT = "In: What action should the robot take to {instruction}?\nOut:"
_PROMPT_V01 = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the "
    "user's questions. USER: What action should the robot take to {instruction}? ASSISTANT:"
)
"""Of checkpoints that are called openvla-v01…"""
_EMPTY = 29871
"""Llama's token of an empty word. It stood after the prompt in training, and tokenizers leave it out."""
_CROP_SHARE = 0.9
"""Of the area, for checkpoints that were fine-tuned with random crops (openvla, experiments/robot/openvla_utils.py)."""
_INSTALL = "pip install 'vlagym[hf]'; code of published checkpoints is of the time of transformers==4.40.1 tokenizers==0.19.1 timm==0.9.10"


class OpenVlaPolicy:
    """Asks for one action at a time; it sees one image and no state.

    A checkpoint that brings its own code is asked through its `predict_action`; one whose class is in transformers is decoded here, by the same
    arithmetic. Both un-normalise by the statistics of one dataset.
    """

    def __init__(
        self, folder: Path, options: ForeignOptions, *, unnorm_key: str | None, any_range: bool, image: str | None, center_crop: bool
    ) -> None:
        self._who = f"openvla:{folder.name}"
        config = language_model.read_config("openvla", folder)
        profile = profile_of("openvla", options.profile)
        refuse_normalisation("openvla", profile)
        refuse_history("openvla", profile)
        statistics = read_statistics(folder, config)
        self._key = choose(statistics, unnorm_key, folder)
        self._unnormaliser = Unnormaliser(statistics, self._key)
        if self._unnormaliser.size != profile.action.size:
            there = f"those of the profile {profile.name!r} have {profile.action.size}"
            raise BadData(f"{self._who} sends actions of {self._unnormaliser.size} numbers ({self._key}); {there}")
        unlike = list(self._unnormaliser.other_ranges(profile.action))
        if unlike and not any_range:
            raise BadData(
                f"{self._who}: the statistics of {self._key!r} (q01, q99) are of other units than the profile {profile.name!r}, or of another robot: "
                f"{'; '.join(unlike)}. Say the unnorm_key and the profile that belong together, or any_range=true if they do"
            )
        self._image = _one_image(self._who, [i.name for i in profile.observation.images], image)
        self._device = find_device("openvla", options.device)
        self._model = language_model.load("openvla", folder, self._device, trust_remote_code=options.trust_remote_code, install=_INSTALL)
        self._predicts = callable(getattr(self._model.model, "predict_action", None))
        if self._predicts:
            self._model.model.norm_stats = statistics
        else:
            self._bins, self._vocabulary = _tokens(folder, config, self._unnormaliser.size)
        self._prompt = _PROMPT_V01 if "openvla-v01" in folder.name else _PROMPT
        card = {
            "about": "a checkpoint of OpenVLA",
            "checkpoint": digest_of_folder(folder),
            "parameters": sum(p.numel() for p in self._model.model.parameters()),
            "precision": str(self._model.dtype).removeprefix("torch."),
            "device": options.device,
            "unnorm_key": self._key,
            "decoded_by": "its own predict_action" if self._predicts else "vlagym",
            "profile": profile.name,
            **({"any_range": unlike} if unlike else {}),
            **({"trust_remote_code": True} if options.trust_remote_code else {}),
        }
        spec = profile.spec("openvla", card=card, chunk_steps=1, execute_steps=1, runs_in_worker=False)
        spec = reading(spec, images={self._image: "uint8"}, state=())
        if center_crop:
            cropped = tuple(replace(i, centre_share=_CROP_SHARE) for i in spec.observation.images)
            spec = replace(spec, observation=replace(spec.observation, images=cropped))
        self.spec = spec
        self._slots: Slots[None] = Slots(self._who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode; the model keeps nothing between calls."""
        self._slots.begin(context, None)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadReply: If what the model wrote is no action.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        action = self.spec.action
        assert action is not None
        with call(self._slots[slot].next_seed(), self._device):
            prompt = self._prompt.replace("{instruction}", observation.instruction.lower())
            inputs = self._model.inputs(prompt, [observation.images[self._image]])
            values = self._predict(inputs) if self._predicts else self._decode(inputs)
        return ActionChunk(values=as_chunk(values, size=action.size, steps=1, who=self._who), spec=action)

    def _predict(self, inputs: Any) -> Any:
        return self._model.model.predict_action(**inputs, unnorm_key=self._key, do_sample=False)

    def _decode(self, inputs: Any) -> NDArray[np.float64]:
        import torch

        ids = inputs["input_ids"]
        if int(ids[0, -1]) != _EMPTY and self._model.tokenizer.convert_ids_to_tokens(_EMPTY) == "\u2581":
            inputs["input_ids"] = torch.cat([ids, torch.full_like(ids[:, :1], _EMPTY)], dim=1)
            inputs["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(ids[:, :1])], dim=1)
        written = self._model.generate(inputs, tokens=self._bins.size)
        return self._unnormaliser.apply(action_tokens.read_tail(written, self._bins, steps=1, vocabulary=self._vocabulary))


def _one_image(who: str, there: list[str], said: str | None) -> str:
    if said is not None and said not in there:
        raise BadData(f"{who}: the profile has no image {said!r}; it has {', '.join(there) or 'none'}")
    if said is None and len(there) != 1:
        raise BadData(f"{who} reads one image and the profile has {len(there)}: say --policy-option image=NAME, one of {', '.join(there)}")
    return said or there[0]


def _tokens(folder: Path, config: Mapping[str, Any], size: int) -> tuple[action_tokens.Bins, int]:
    """Returns what the last ids mean, and the size of the vocabulary that they are counted from: without what pads it."""
    total, padding = (config.get("text_config") or {}).get("vocab_size"), config.get("pad_to_multiple_of")
    count = config.get("n_action_bins", 256)
    if not (isinstance(total, int) and isinstance(padding, int) and isinstance(count, int)):
        raise BadData(f"{folder / 'config.json'} does not say text_config.vocab_size and pad_to_multiple_of, from which action tokens are counted")
    return action_tokens.Bins(low=(-1.0,) * size, high=(1.0,) * size, count=count, spacing="edges"), total - padding


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a checkpoint of OpenVLA.

    Args:
      argument: Its folder; nothing is downloaded.
      options: "profile" (openvla_libero, bridge_widowx …) and "device"; "unnorm_key": the dataset whose statistics count, needed where there are
        several; "any_range": true lets those statistics and the profile's range differ by more than a factor of 3, and the run header says so;
        "image": which image of the profile, where that has several; "center_crop": true cuts out 0.9 of the area, as fine-tuned checkpoints want it
        where the profile does not say so; "trust_remote_code": true runs the checkpoint's own code, and the run header says so.

    Raises:
      BadData: If it is no such checkpoint, needs code that is not trusted, does not fit the profile, or an option makes no sense.
      UnknownName: For another option, an unknown profile or dataset.
      MissingPackage: Without torch or transformers.
    """
    said = read_options("openvla", options, _OPTIONS)
    if argument is None:
        raise BadData("openvla needs the folder of a checkpoint: openvla:DIR")
    crop = flag("openvla", "center_crop", options.get("center_crop", "false"))
    any_range = flag("openvla", "any_range", options.get("any_range", "false"))
    return OpenVlaPolicy(
        Path(argument), said, unnorm_key=options.get("unnorm_key"), any_range=any_range, image=options.get("image"), center_crop=crop
    )
