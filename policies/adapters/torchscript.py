"""A policy that was saved as TorchScript, with a card that says what it reads and sends: `torchscript:FILE`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlagym.envs.errors import BadData, BadPolicyOutput
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families import script_card
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.calls import call, find_device
from vlagym.policies.families.digests import digest_of
from vlagym.policies.families.options import ForeignOptions, profile_of, read_options, reading
from vlagym.policies.families.script_card import Input, ScriptCard
from vlagym.policies.families.slots import Slots

if TYPE_CHECKING:
    import torch

_OPTIONS = ("profile", "card", "device", "execute")


class TorchScriptPolicy:
    """Calls `forward` for each slot apart, with a batch of one.

    TorchScript is code: the file says what is computed. It is executed by the TorchScript interpreter alone, which knows tensors, numbers and
    text, and neither files nor Python objects; nothing in it is unpickled by Python.

    A module that exports `reset` keeps something between calls: then each slot has a copy of its own, and `reset` is called when an episode begins.
    """

    def __init__(self, path: Path, card_path: Path, options: ForeignOptions) -> None:
        self._who = f"torchscript:{path.name}"
        card = script_card.load(card_path)
        profile = profile_of("torchscript", options.profile, card.profile, where=f"{card_path}, as profile = \"NAME\"")
        ranges = script_card.check_against(card, profile, card_path)
        self._device = find_device("torchscript", options.device)
        self._module = _load(path, self._device)
        self._keeps = hasattr(self._module, "reset")
        _compare(self._module, card, path)
        self._card = card
        about = {
            "about": "TorchScript; its code runs in the TorchScript interpreter",
            "file": path.name,
            "checkpoint": digest_of([path]),
            "device": options.device,
            "profile": profile.name,
            "parameters": sum(p.numel() for p in self._module.parameters()),
        }
        spec = profile.spec(
            "torchscript",
            card=about,
            chunk_steps=card.chunk_steps,
            execute_steps=options.execute_steps or card.execute_steps,
            runs_in_worker=False,
        )
        self.spec = reading(spec, images=ranges, state={one.state for one in card.input if one.state is not None})
        self._slots: Slots[Any] = Slots(self._who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode."""
        module = self._slots.memory(context.slot)
        if module is None:
            module = copy.deepcopy(self._module) if self._keeps else self._module
        self._slots.begin(context, module)
        if self._keeps:
            module.reset()

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadPolicyOutput: If the answer is no chunk of the profile's actions.
          BadData: If a sentence is longer than the card says.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        episode, action = self._slots[slot], self.spec.action
        assert action is not None
        inputs = [_fed(one, observation, self._device) for one in self._card.input]
        with call(episode.next_seed(), self._device):
            answer = self._chosen(episode.memory(*inputs)).to("cpu").double().numpy()
        return ActionChunk(values=as_chunk(answer, size=action.size, steps=self.spec.chunk_steps, who=self._who), spec=action)

    def _chosen(self, answer: Any) -> torch.Tensor:
        """Returns the actions out of what `forward` returned."""
        import torch

        where = self._card.output
        if where is not None:
            parts = dict(enumerate(answer)) if isinstance(answer, (tuple, list)) else answer if isinstance(answer, dict) else {}
            named = {str(key): part for key, part in parts.items()}
            if where not in named:
                there = ", ".join(named) or "no parts: leave `output` out of the card"
                raise BadPolicyOutput(f"{self._who} was to answer with its actions as {where!r}; its answer has {there}")
            answer = named[where]
        if not isinstance(answer, torch.Tensor):
            raise BadPolicyOutput(f"{self._who} answered with a {type(answer).__name__}, not with a tensor: say in the card which part with `output`")
        return answer


def _load(path: Path, device: torch.device) -> Any:
    import torch

    jit: Any = torch.jit
    if not path.is_file():
        raise BadData(f"there is no file {path}: torchscript:FILE wants what torch.jit.save wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch advises other ways of saving; what is saved already stays readable
            module = jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise BadData(f"{path} is no TorchScript file: {str(error).splitlines()[0]}. Write it with torch.jit.script(model).save(FILE)") from error
    return module.eval()


def _compare(module: Any, card: ScriptCard, path: Path) -> None:
    """Raises BadData unless `forward` takes as many arguments as the card says, each a tensor or, for text, a list of strings."""
    takes = list(module.forward.schema.arguments)[1:]
    needed = [argument for argument in takes if not argument.has_default_value()]
    if not len(needed) <= len(card.input) <= len(takes):
        names = ", ".join(f"{a.name}: {a.type}" for a in takes)
        raise BadData(f"forward of {path} takes {len(needed)} arguments ({names or 'none'}), and its card has {len(card.input)} inputs")
    for number, (one, argument) in enumerate(zip(card.input, takes, strict=False), start=1):
        wanted = "List[str]" if one.instruction == "text" else "Tensor"
        if str(argument.type) != wanted:
            raise BadData(f"input {number} of the card gives forward of {path} a {wanted} as {argument.name!r}, which is a {argument.type}")


def _fed(one: Input, observation: Observation, device: torch.device) -> Any:
    import torch

    moments = (*observation.past, observation)
    if one.image is not None:
        frames = np.stack([moment.images[one.image] for moment in moments])
        frames = frames.transpose(0, 3, 1, 2) if one.layout == "chw" else frames
        return torch.from_numpy(np.ascontiguousarray(frames if len(moments) == 1 else frames[None])).to(device)
    if one.state is not None:
        values = np.stack([moment.proprio[one.state] for moment in moments]).astype(np.float32)
        return torch.from_numpy(values if len(moments) == 1 else values[None]).to(device)
    if one.instruction == "text":
        return [observation.instruction]
    data = observation.instruction.encode()
    if len(data) > one.length:
        raise BadData(f"the sentence has {len(data)} bytes and the card gives it {one.length}: {observation.instruction!r}")
    padded = np.frombuffer(data.ljust(one.length, b"\0"), np.uint8).astype(np.int64)
    return torch.from_numpy(padded[None]).to(device)


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a TorchScript file.

    Args:
      argument: The file, as torch.jit.save wrote it.
      options: "card": the card, where it is not FILE with the ending .toml. "profile", "device", "execute".

    Raises:
      BadData: If there is no such file or card, they contradict each other, or an option makes no sense.
      UnknownName: For another option, or if the card names what the profile does not have.
      MissingPackage: Without torch.
    """
    said = read_options("torchscript", options, _OPTIONS)
    if argument is None:
        raise BadData("torchscript needs a file: torchscript:FILE, with a card FILE.toml beside it")
    path = Path(argument)
    return TorchScriptPolicy(path, Path(options["card"]) if "card" in options else path.with_suffix(".toml"), said)
