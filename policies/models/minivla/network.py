"""The network of minivla: two cameras, a body and a sentence go in, a chunk of motions and a place for each thing that is meant come out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlagym.policies.models.minivla.config import POSITION_UNIT_M, MiniVlaConfig, TextConfig, TowerConfig

ROLES = 2
"""Things that a sentence means: the object that is moved, and its destination."""
YAW_SIZE = 4
"""Cosine and sine of twice and of four times the yaw: whole for things that look the same after a half or a quarter turn."""
_FAR_M, _NEAR_M = 0.2, 0.04
"""The two scales at which the trunk sees how far a thing is from the hand."""
_POSITION_SCALE = 1.5
"""Of the sines that number the words. With 0.5 it took twice as many steps to tell the object from the destination, which is a matter of order."""


class Prediction(NamedTuple):
    """What the network says of B observations."""

    motion: Tensor
    """(B, T, M) translation and rotation of each step of the chunk."""
    gripper: Tensor
    """(B, T) logit of "closed"."""
    front_pos: Tensor
    """(B, 2, 3) object and destination as the front camera alone locates them, in `POSITION_UNIT_M` around the mean."""
    pos: Tensor
    """(B, 2, 3) the same, corrected by wrist camera and body."""
    yaw: Tensor
    """(B, 4) of the object; see `YAW_SIZE`."""
    heat: Tensor
    """(B, 2, H, W) logits of where object and destination appear in the front image."""


class FilmBlock(nn.Module):
    """A residual block whose inner map is scaled and shifted by the sentence. It begins as the identity.

    The inner map is divided by its root mean square, one number for each image. That learns per step as GroupNorm does and costs a fifth of
    it: a training step on 48 frames took 212 ms with GroupNorm and 174 ms with this, on one core in bfloat16.
    """

    def __init__(self, channels: int, summary_size: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.film = nn.Linear(summary_size, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for tensor in (self.film.weight, self.film.bias, self.second.weight, self.second.bias):
            assert tensor is not None
            nn.init.zeros_(tensor)

    def forward(self, x: Tensor, summary: Tensor) -> Tensor:
        inner = self.first(x)
        scale, shift = self.film(summary).float()[:, :, None, None].chunk(2, dim=1)
        power = torch.linalg.vector_norm(inner, dim=(1, 2, 3), keepdim=True, dtype=torch.float32).square() / inner[0].numel()
        factor = (1 + scale) * (power + 1e-5).rsqrt()
        return F.relu(x + self.second(F.relu(inner * factor.to(inner.dtype) + shift.to(inner.dtype))))


class Sights(NamedTuple):
    """What a tower makes of an image."""

    heat: Tensor
    """(B, Q, H, W) logits of where each asked thing appears."""
    where: Tensor
    """(B, Q, 2) expected position of each, -1 … 1, x then y."""
    spread: Tensor
    """(B, Q) standard deviation of that position: how sure it is."""
    what: Tensor
    """(B, Q, C) features there."""
    points: Tensor
    """(B, 2 K) positions of the free keypoints."""
    glance: Tensor
    """(B, C) mean of the deepest map."""


class Tower(nn.Module):
    """An image and a sentence to heat maps of the things that the sentence means, and to points of its own choice."""

    def __init__(self, config: TowerConfig, queries: int, summary_size: int) -> None:
        super().__init__()
        half, quarter, eighth = config.channels
        width = config.map_channels
        self.stem = nn.Conv2d(5, half, 5, stride=2, padding=2)
        self.down = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.fine = FilmBlock(quarter, summary_size)
        self.deeper = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)
        self.coarse = FilmBlock(eighth, summary_size)
        self.across = nn.Conv2d(quarter, width, 1)
        self.up = nn.Conv2d(eighth, width, 1)
        self.merge = FilmBlock(width, summary_size)
        self.query = nn.Linear(summary_size, queries * width)
        self.keypoints = nn.Conv2d(width, config.keypoints, 1)
        self.queries, self.map_size, self.width = queries, config.map_size, width
        self.register_buffer("image_xy", _grid(config.size), persistent=False)
        self.register_buffer("map_xy", _grid(config.map_size).flatten(1), persistent=False)
        self.image_xy: Tensor
        self.map_xy: Tensor

    def forward(self, image: Tensor, summary: Tensor, bf16: bool) -> Sights:
        """Looks at images (B, 3, S, S), about zero mean and unit spread, with the summary (B, N) of the sentence in mind."""
        batch = image.shape[0]
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=bf16):
            x = torch.cat([image, self.image_xy.to(image.dtype).expand(batch, -1, -1, -1)], dim=1)
            x = F.relu(self.stem(x.contiguous(memory_format=torch.channels_last)))
            fine = self.fine(F.relu(self.down(x)), summary)
            coarse = self.coarse(F.relu(self.deeper(fine)), summary)
            merged = F.relu(self.across(fine) + F.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest"))
            merged = self.merge(merged, summary)
            own = self.keypoints(merged)
        cells = merged.float().flatten(2)
        query = self.query(summary).view(batch, self.queries, self.width)
        heat = torch.bmm(query, cells) * self.width**-0.5
        share = heat.softmax(dim=-1)
        where = share @ self.map_xy.t()
        spread = (share @ self.map_xy.square().t() - where.square()).sum(-1).clamp_min(0).add(1e-6).sqrt()
        what = torch.bmm(share, cells.transpose(1, 2))
        points = own.float().flatten(2).softmax(dim=-1) @ self.map_xy.t()
        size = (batch, self.queries, self.map_size, self.map_size)
        return Sights(heat.view(size), where, spread, what, points.flatten(1), coarse.float().mean(dim=(2, 3)))


class SentenceEncoder(nn.Module):
    """Words and their parts to a summary: a small transformer, then learned queries that read its output."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.word_buckets, config.width, padding_idx=0)
        self.grams = nn.Embedding(config.gram_buckets, config.width, padding_idx=0)
        # A word that training never shows keeps its zeros and is read by its parts alone, which word dropout has trained for.
        nn.init.zeros_(self.words.weight)
        nn.init.normal_(self.grams.weight, std=0.5)
        with torch.no_grad():
            self.grams.weight[0].zero_()
        self.begin = nn.Parameter(torch.randn(config.width) * 0.5)
        self.layers = nn.ModuleList(_TransformerLayer(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.queries = nn.Parameter(torch.randn(config.poolings, config.width) * config.width**-0.5)
        self.key = nn.Linear(config.width, config.width)

    def forward(self, words: Tensor, grams: Tensor, keep_word: Tensor | None = None, keep_token: Tensor | None = None) -> Tensor:
        """Returns the summaries (B, poolings * width) of B sentences.

        Args:
          words: (B, L) buckets of whole words, 0 where there is none.
          grams: (B, L, G) buckets of their parts, 0 where there is none.
          keep_word: (B, L) bool; False reads a word by its parts alone, as one that training has never shown.
          keep_token: (B, L) bool; False leaves the word out.
        """
        batch, length = words.shape
        whole = self.words(words)
        if keep_word is not None:
            whole = whole * keep_word[..., None]
        count = (grams > 0).sum(-1, keepdim=True).clamp_min(1)
        x = whole + self.grams(grams).sum(-2) / count.sqrt()
        x = torch.cat([self.begin.expand(batch, 1, -1), x + _POSITION_SCALE * _positions(length, x.shape[-1], x.device)], dim=1)
        present = words > 0
        if keep_token is not None:
            present = present & keep_token
        present = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)
        for layer in self.layers:
            x = layer(x, present)
        x = self.norm(x)
        score = (self.key(x) @ self.queries.t()).masked_fill(~present[..., None], float("-inf"))
        pooled: Tensor = score.softmax(dim=1).transpose(1, 2) @ x
        return pooled.flatten(1)


class MiniVla(nn.Module):
    """The whole network; see `Prediction` for what it says."""

    def __init__(self, config: MiniVlaConfig) -> None:
        super().__init__()
        config.check()
        self.config = config
        summary, width = config.text.summary_size, config.trunk_width
        self.text = SentenceEncoder(config.text)
        self.front = Tower(config.front, ROLES, summary)
        self.wrist = Tower(config.wrist, ROLES, summary)
        self.proprio = nn.Sequential(nn.Linear(config.proprio_size, 64), nn.ReLU())
        # One head locates both things: where a pixel lies in the room does not depend on the role of what is seen there.
        located = 3 + config.front.map_channels
        self.locate = _mlp(located + config.front.channels[2], 192, 3)
        self.orient = _mlp(located, 96, YAW_SIZE)
        senses = 2 * config.front.keypoints + ROLES * (3 + config.wrist.map_channels) + 2 * config.wrist.keypoints + config.wrist.channels[2] + 64
        self.correct = _mlp(senses + ROLES * (3 + 3), 192, ROLES * 3, zero=True)
        trunk_in = senses + ROLES * (3 + 6) + 2 * YAW_SIZE + config.front.channels[2] + ROLES * located + summary
        sizes = [trunk_in, *[width] * config.trunk_layers]
        self.trunk = nn.Sequential(*(part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())))
        self.act = nn.Linear(width, config.chunk_steps * config.action_size)
        with torch.no_grad():
            self.act.weight.mul_(0.1)
        # They come from the card, in full precision.
        self.register_buffer("pos_mean", torch.zeros(ROLES, 3), persistent=False)
        self.register_buffer("proprio_mean", torch.zeros(config.proprio_size), persistent=False)
        self.register_buffer("proprio_spread", torch.ones(config.proprio_size), persistent=False)
        self.pos_mean: Tensor
        self.proprio_mean: Tensor
        self.proprio_spread: Tensor

    def forward(
        self,
        front: Tensor,
        wrist: Tensor,
        proprio: Tensor,
        summary: Tensor,
        *,
        told_pos: Tensor | None = None,
        is_told: Tensor | None = None,
        bf16: bool = False,
    ) -> Prediction:
        """Returns a prediction for each of B observations.

        Args:
          front: (B, 3, S, S) float, 0 … 1 before any jitter.
          wrist: (B, 3, S', S') likewise.
          proprio: (B, P) as `proprio.features` makes them, not yet scaled.
          summary: (B, N) of the sentences, by `self.text`.
          told_pos: (B, 2, 3) positions to hand to the trunk instead of the predicted ones, in units around the mean. Only in training.
          is_told: (B,) bool: in which rows.
          bf16: Compute the towers in bfloat16.
        """
        batch = front.shape[0]
        seen = self.front((front - 0.5) * 4, summary, bf16)
        near = self.wrist((wrist - 0.5) * 4, summary, bf16)
        found = torch.cat([seen.where, seen.spread[..., None], seen.what], dim=-1)
        front_pos = self.locate(torch.cat([found, seen.glance[:, None].expand(-1, ROLES, -1)], dim=-1))
        yaw = self.orient(found[:, 0])
        body = self.proprio(((proprio - self.proprio_mean) / self.proprio_spread).clamp(-5, 5))
        near_found = torch.cat([near.where, near.spread[..., None], near.what], dim=-1).flatten(1)
        senses = torch.cat([seen.points, near_found, near.points, near.glance, body], dim=-1)

        hand_m = proprio[:, None, :3]
        apart = (self._in_m(front_pos) - hand_m) / _FAR_M
        pos = front_pos + self.correct(torch.cat([senses, front_pos.flatten(1), apart.flatten(1)], dim=-1)).view(batch, ROLES, 3)
        used = pos
        if told_pos is not None and is_told is not None:
            used = torch.where(is_told[:, None, None], told_pos, pos)
        apart_m = self._in_m(used) - hand_m
        places = torch.cat([used, apart_m / _FAR_M, torch.tanh(apart_m / _NEAR_M)], dim=-1).flatten(1)
        turned = _turn_between(yaw, proprio[:, 3:5])
        x = torch.cat([senses, places, yaw, turned, seen.glance, found.flatten(1), summary], dim=-1)
        out = self.act(self.trunk(x)).view(batch, self.config.chunk_steps, self.config.action_size)
        return Prediction(out[..., :-1], out[..., -1], front_pos, pos, yaw, seen.heat)

    def _in_m(self, pos: Tensor) -> Tensor:
        return pos * POSITION_UNIT_M + self.pos_mean


class _TransformerLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=present[:, None, None, :])
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        out: Tensor = x + self.mlp(self.between(x))
        return out


def _mlp(size_in: int, width: int, size_out: int, zero: bool = False) -> nn.Sequential:
    last = nn.Linear(width, size_out)
    if zero:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(size_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)


def _grid(size: int) -> Tensor:
    """Returns (2, size, size): x and y of the middle of each cell, -1 … 1."""
    at = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    return torch.stack([at.expand(size, size), at[:, None].expand(size, size)])


def _positions(length: int, width: int, device: torch.device) -> Tensor:
    """Returns (length, width) sines and cosines: no longest sentence."""
    rate = torch.exp(torch.arange(width // 2, dtype=torch.float32, device=device) * (-4.0 / (width // 2)))
    angle = torch.arange(length, dtype=torch.float32, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _turn_between(yaw: Tensor, hand_x_axis: Tensor) -> Tensor:
    """Returns (B, 4): cosine and sine of two and of four times the angle from the hand to the object, from those of the object alone."""
    hand = F.normalize(hand_x_axis, dim=-1, eps=1e-3)
    parts = []
    c, s = hand[:, 0], hand[:, 1]
    for i in (0, 2):
        c, s = c * c - s * s, 2 * c * s
        parts += [yaw[:, i] * c + yaw[:, i + 1] * s, yaw[:, i + 1] * c - yaw[:, i] * s]
    return torch.stack(parts, dim=-1)
