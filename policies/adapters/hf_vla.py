"""Any vision-language model of Hugging Face that writes actions as tokens: `hf_vla:DIR`, with a card that says how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families import action_tokens, constraints, language_model, vla_card
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.calls import call, find_device
from vlagym.policies.families.digests import digest_of_folder
from vlagym.policies.families.options import ForeignOptions, profile_of, read_options, reading, refuse_history, refuse_normalisation
from vlagym.policies.families.slots import Slots
from vlagym.policies.families.vla_card import VlaCard

_OPTIONS = ("profile", "card", "device", "execute", "trust_remote_code")


class HuggingFaceVla:
    """Asks the model for each slot apart, without sampling; what it writes that is no action is an error of the policy, not a motion."""

    def __init__(self, folder: Path, card_path: Path, options: ForeignOptions) -> None:
        self._who = f"hf_vla:{folder.name}"
        card = vla_card.load(card_path)
        profile = profile_of("hf_vla", options.profile, card.profile, where=f"{card_path}, as profile = \"NAME\"")
        refuse_normalisation("hf_vla", profile)
        refuse_history("hf_vla", profile)
        there = [i.name for i in profile.observation.images]
        for name in card.images:
            if name not in there:
                raise unknown_name(f"image of the profile {profile.name!r}", name, there, f"It was named in {card_path}.")
        if card.meaning.size != profile.action.size:
            raise BadData(
                f"{card_path} says what {card.meaning.size} numbers of an action mean (low, high); those of the profile {profile.name!r} have "
                f"{profile.action.size}: {', '.join(f'{c.name} {c.size}' for c in profile.action.components)}"
            )
        self._device = find_device("hf_vla", options.device)
        install = "pip install 'vlagym[hf]'"
        self._model = language_model.load("hf_vla", folder, self._device, trust_remote_code=options.trust_remote_code, install=install)
        self._card, self._bins = card, card.meaning
        self._allowed = self._constraint() if card.constrain else None
        about = {
            "about": "a vision-language model that writes actions as tokens",
            "type": str(self._model.model.config.model_type),
            "checkpoint": digest_of_folder(folder),
            "parameters": sum(p.numel() for p in self._model.model.parameters()),
            "device": options.device,
            "decoder": card.decoder,
            "prompt": card.prompt,
            "profile": profile.name,
            **({"constrain": True} if card.constrain else {}),
            **({"trust_remote_code": True} if options.trust_remote_code else {}),
        }
        execute = options.execute_steps or card.execute_steps or card.steps
        spec = profile.spec("hf_vla", card=about, chunk_steps=card.steps, execute_steps=execute, runs_in_worker=False)
        self.spec = reading(spec, images={name: "uint8" for name in card.images}, state=())
        self._slots: Slots[None] = Slots(self._who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode."""
        self._slots.begin(context, None)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadReply: If what the model wrote is no action.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        action, card = self.spec.action, self._card
        assert action is not None
        with call(self._slots[slot].next_seed(), self._device):
            inputs = self._model.inputs(self._prompt(observation.instruction), [observation.images[name] for name in card.images])
            ids = self._model.generate(inputs, tokens=card.tokens, allowed=self._allowed)
        values = self._read(ids)
        return ActionChunk(values=as_chunk(values, size=action.size, steps=card.steps, who=self._who), spec=action)

    def _prompt(self, instruction: str) -> str:
        said = self._card.prompt.replace("{instruction}", instruction.lower() if self._card.lower else instruction)
        if not self._card.chat:
            return said
        content = [*({"type": "image"} for _ in self._card.images), {"type": "text", "text": said}]
        text: str = self._model.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        return text

    def _read(self, ids: list[int]) -> NDArray[np.float64]:
        card = self._card
        if card.decoder == "openvla_tail":
            assert card.vocabulary is not None
            return action_tokens.read_tail(ids, self._bins, steps=card.steps, vocabulary=card.vocabulary)
        if card.decoder == "act_tokens":
            text = self._model.tokenizer.decode(ids, skip_special_tokens=False)
            return action_tokens.read_tokens(text, self._bins, steps=card.steps)
        text = self._model.tokenizer.decode(ids, skip_special_tokens=True)
        return action_tokens.read_text(text, self._bins, steps=card.steps, terminate=card.terminate)

    def _constraint(self) -> language_model.Allowed:
        card, tokenizer = self._card, self._model.tokenizer
        if card.decoder == "openvla_tail":
            assert card.vocabulary is not None
            return constraints.tail(count=card.bins, vocabulary=card.vocabulary)
        if card.decoder == "act_tokens":
            return constraints.act_tokens(tokenizer, size=self._bins.size, count=card.bins)
        if tokenizer.eos_token_id is None:
            raise BadData(f"{self._who}: its tokenizer has no token that ends a text, which constrain = true needs")
        return constraints.bins_text(tokenizer, numbers=card.numbers, count=card.bins, end=tokenizer.eos_token_id)


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a vision-language model.

    Args:
      argument: Its folder, as transformers' `save_pretrained` leaves it, with the processor.
      options: "card": the card, where it is not vla.toml in the folder. "profile", "device", "execute"; "trust_remote_code": true runs Python code of
        the checkpoint, and the run header says so.

    Raises:
      BadData: If there is no such folder or card, they contradict each other, or an option makes no sense.
      UnknownName: For another option, or if the card names what the profile does not have.
      MissingPackage: Without torch or transformers.
    """
    said = read_options("hf_vla", options, _OPTIONS)
    if argument is None:
        raise BadData("hf_vla needs the folder of a model: hf_vla:DIR, with a card vla.toml in it")
    folder = Path(argument)
    return HuggingFaceVla(folder, Path(options["card"]) if "card" in options else folder / vla_card.NAME, said)
