"""What minivla is trained to get right: the motions, the gripper, and where the things that the sentence means are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vlagym.policies.models.minivla.frames import Batch
from vlagym.policies.models.minivla.network import MiniVla, Prediction

WEIGHTS = {"motion": 1.0, "gripper": 0.2, "front_pos": 1.0, "pos": 1.0, "yaw": 0.1, "heat": 0.3}
"""Of the parts in their sum. With 0.3 on the heat maps things were found in half the steps that 0.1 took."""
_SMALL_MOTION, _SMALL_WEIGHT = 0.15, 2.0
_UNEXECUTED_WEIGHT = 0.5


class Loss(NamedTuple):
    """A weighted sum and the values of its parts, before weighting."""

    total: Tensor
    parts: dict[str, Tensor]


class Tensors(NamedTuple):
    """A batch as tensors, on the device."""

    front: Tensor
    wrist: Tensor
    colour: Tensor
    proprio: Tensor
    words: Tensor
    grams: Tensor
    keep_word: Tensor
    keep_token: Tensor
    motion: Tensor
    is_closed: Tensor
    is_step: Tensor
    pos: Tensor
    told_pos: Tensor
    is_told: Tensor
    yaw: Tensor
    image_xy: Tensor
    is_inside: Tensor


def to_device(batch: Batch, device: torch.device) -> Tensors:
    """Returns the batch on the device."""
    return Tensors(*(torch.from_numpy(array).to(device) for array in batch))


def loss_of(network: MiniVla, batch: Tensors, bf16: bool) -> Loss:
    """Returns the loss of the network on a batch.

    Args:
      network: In training mode.
      batch: B frames.
      bf16: Compute the image towers in bfloat16.
    """
    front, wrist = (_coloured(image, batch.colour[:, i]) for i, image in enumerate((batch.front, batch.wrist)))
    summary = network.text(batch.words, batch.grams, batch.keep_word, batch.keep_token)
    said = network(front, wrist, batch.proprio, summary, told_pos=batch.told_pos, is_told=batch.is_told, bf16=bf16)
    parts = {
        "motion": _motion(said, batch, network.config.execute_steps),
        "gripper": _mean(F.binary_cross_entropy_with_logits(said.gripper, batch.is_closed, reduction="none"), batch.is_step),
        "front_pos": (said.front_pos - batch.pos).abs().mean(),
        "pos": (said.pos - batch.pos).abs().mean(),
        "yaw": (said.yaw - _turns(batch.yaw)).abs().mean(),
        "heat": _heat(said.heat, batch.image_xy, batch.is_inside),
    }
    total = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
    return Loss(total, {name: part.detach() for name, part in parts.items()})


def image_tensor(images: Tensor) -> Tensor:
    """Returns images (B, H, W, 3) uint8 as (B, 3, H, W) float32, 0 … 1, rows of channels together in memory."""
    return images.permute(0, 3, 1, 2).float() / 255


def _coloured(images: Tensor, colour: Tensor) -> Tensor:
    factor, offset = colour[:, 0, :, None, None], colour[:, 1, :, None, None]
    return ((image_tensor(images) - 0.5) * factor + (0.5 + offset)).clamp(0, 1)


def _motion(said: Prediction, batch: Tensors, execute_steps: int) -> Tensor:
    """Returns the absolute error; small motions, which decide about millimetres, and steps that will be executed weigh more."""
    speed = batch.motion.norm(dim=-1)
    weight = (1 + _SMALL_WEIGHT * torch.exp(-speed / _SMALL_MOTION)) * batch.is_step
    weight[:, execute_steps:] *= _UNEXECUTED_WEIGHT
    return _mean((said.motion - batch.motion).abs().mean(-1), weight)


def _heat(heat: Tensor, image_xy: Tensor, is_inside: Tensor) -> Tensor:
    """Returns the cross-entropy of heat maps (B, Q, H, W) with the true points (B, Q, 2), each shared between the four cells around it."""
    height, width = heat.shape[-2:]
    size = torch.tensor([width, height], dtype=torch.float32, device=heat.device)
    at = (image_xy * size - 0.5).clamp(torch.zeros_like(size), size - 1.001)
    low = at.floor()
    share = at - low
    log_share = heat.flatten(2).log_softmax(dim=-1)
    total = torch.zeros(heat.shape[:2], device=heat.device)
    for dx in (0, 1):
        for dy in (0, 1):
            cell = ((low[..., 1] + dy) * width + low[..., 0] + dx).long()
            part = (share[..., 0] if dx else 1 - share[..., 0]) * (share[..., 1] if dy else 1 - share[..., 1])
            total = total - part * log_share.gather(-1, cell[..., None]).squeeze(-1)
    return _mean(total, is_inside.float())


def _turns(yaw: Tensor) -> Tensor:
    """Returns (B, 4) what `Prediction.yaw` should be."""
    return torch.stack([(2 * yaw).cos(), (2 * yaw).sin(), (4 * yaw).cos(), (4 * yaw).sin()], dim=-1)


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / weight.sum().clamp_min(1e-6)
