"""A minivla checkpoint that acts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vlagym.envs.errors import BadData, NotReset
from vlagym.envs.types import ActionChunk, ImageComponent, Observation, to_plain
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.models.minivla import proprio, words
from vlagym.policies.models.minivla.card import MODEL, Loaded
from vlagym.policies.models.minivla.losses import image_tensor

GPU_ROWS = 16
"""On a GPU every batch has this many rows, filled up with copies: kernels are chosen by the shape, so that one that varies with the number of slots
would make a slot's answer depend on the others."""


class _Seen(NamedTuple):
    """One observation as the network reads it, without the batch's dimension."""

    front: Tensor
    wrist: Tensor
    proprio: Tensor
    summary: Tensor


class MiniVlaPolicy:
    """Answers each slot as if it were alone.

    On a CPU every slot has a forward pass of its own on one thread: sums are then always taken in the same order, and an answer does not
    depend on who else is asked. The sentence is read once an episode.
    """

    def __init__(self, loaded: Loaded, *, device: str = "cpu", execute_steps: int | None = None) -> None:
        """Makes a policy of a checkpoint.

        Args:
          loaded: The checkpoint.
          device: "cpu", "cuda" or "cuda:<number>".
          execute_steps: How many actions of a chunk are executed; None: what the card says.

        Raises:
          BadData: If the device does not exist, or so many actions are not predicted.
        """
        card, config = loaded.card, loaded.card.config
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise BadData(f"there is no {device!r} here: torch {torch.__version__} sees no CUDA; say device=cpu")
        steps = config.execute_steps if execute_steps is None else execute_steps
        if not 1 <= steps <= config.chunk_steps:
            raise BadData(f"minivla predicts {config.chunk_steps} actions at once; it cannot execute {steps} of them")
        self._device = torch.device(device)
        self._is_batched = self._device.type != "cpu"
        self._network = loaded.network.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._card = card
        self._summaries: dict[int, Tensor] = {}
        self.spec = PolicySpec(
            name=MODEL,
            action=card.action,
            observation=card.observation,
            chunk_steps=config.chunk_steps,
            execute_steps=steps,
            card={
                "architecture": to_plain(config),
                "checkpoint": loaded.digest,
                "parameters": sum(p.numel() for p in loaded.network.parameters()),
                "device": device,
                "training": dict(card.training),
            },
        )

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: reads its sentence."""
        ids = words.encode([context.instruction], self._card.config.text)
        with torch.inference_mode(), _one_thread():
            tokens = (torch.from_numpy(a).to(self._device) for a in ids)
            self._summaries[context.slot] = self._network.text(*tokens)[0]

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot.

        Raises:
          NotReset: If a slot was never told its sentence.
          BadData: If an image has another size than the card declares, or state is missing.
        """
        with torch.inference_mode(), _one_thread():
            seen = {slot: self._see(slot, observation) for slot, observation in observations.items()}
            if not self._is_batched:
                return {slot: self._answer([one])[0] for slot, one in seen.items()}
            slots = list(seen)
            answers: dict[int, ActionChunk] = {}
            for first in range(0, len(slots), GPU_ROWS):
                some = slots[first : first + GPU_ROWS]
                rows = [seen[slot] for slot in some]
                answers |= dict(zip(some, self._answer(rows + [rows[-1]] * (GPU_ROWS - len(rows))), strict=False))
            return answers

    def close(self) -> None:
        """Forgets every episode."""
        self._summaries.clear()

    def _see(self, slot: int, observation: Observation) -> _Seen:
        if slot not in self._summaries:
            raise NotReset(f"slot {slot} was asked for actions before it was told its sentence: call reset first")
        front, wrist = (_image(observation, component) for component in self._card.observation.images)
        return _Seen(front, wrist, torch.from_numpy(proprio.features(observation.proprio)), self._summaries[slot])

    def _answer(self, rows: Sequence[_Seen]) -> list[ActionChunk]:
        batch = _Seen(*(torch.stack(parts).to(self._device) for parts in zip(*rows, strict=True)))
        said = self._network(image_tensor(batch.front), image_tensor(batch.wrist), batch.proprio, batch.summary)
        motion, closed = said.motion.cpu().numpy(), said.gripper.cpu().numpy() > 0
        spec = self._card.action
        low, high = spec.low, spec.high
        gripper = np.where(closed, high[-1], low[-1])[..., None].astype(np.float32)
        values = np.concatenate([np.clip(motion, low[:-1], high[:-1]), gripper], axis=-1)
        return [ActionChunk(values=v.copy(), spec=spec) for v in values]


def _image(observation: Observation, wanted: ImageComponent) -> Tensor:
    image, shape = observation.images.get(wanted.name), (wanted.height, wanted.width, 3)
    if image is None or image.shape != shape or image.dtype != np.uint8:
        found = "no such image" if image is None else f"{image.shape} {image.dtype}"
        raise BadData(f"minivla wants the image {wanted.name!r} as {shape} uint8; the observation has {found}")
    return torch.from_numpy(np.array(image))  # a copy: torch wants memory that may be written


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)
