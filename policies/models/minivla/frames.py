"""Demonstrations as frames: files that every training process maps into its memory, and from which batches are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, from_plain, stream
from vlagym.policies.models.minivla import mirror
from vlagym.policies.models.minivla.config import POSITION_UNIT_M, MiniVlaConfig, TowerConfig
from vlagym.policies.models.minivla.proprio import CLOSED_FROM

SCHEMA = 3
MANIFEST, COLUMNS = "manifest.json", "columns.safetensors"

WORD_DROP, TOKEN_DROP = 0.15, 0.03
"""How often a word is read by its parts alone, and how often it is left out."""
TOLD, TOLD_NOISE_M = 0.3, 0.006
"""How often the trunk is told the true positions, and with how much noise."""
JITTER_GAIN, JITTER_TINT, JITTER_BIAS = 0.15, 0.04, 0.06
"""Colour: contrast, contrast of each channel, brightness; half widths of uniform draws. Hues must stay apart: sentences name them."""
GRIPPER_EARLY_STEPS = 2
"""Gripper labels are moved so many steps ahead: a late grasp fails, an early one does not."""


class Columns(NamedTuple):
    """N frames and A actions. Rows of `action_*` are control steps of all demonstrations, one demonstration after another."""

    frame_action: NDArray[np.int64]
    """(N,) row of the action that follows the frame."""
    frame_last: NDArray[np.int64]
    """(N,) row of the last action of its demonstration."""
    frame_demo: NDArray[np.int64]
    """(N,)"""
    proprio: NDArray[np.float32]
    """(N, P) not scaled."""
    pos: NDArray[np.float32]
    """(N, 2, 3) object and destination in the base frame, in m."""
    yaw: NDArray[np.float32]
    """(N,) of the object, in rad."""
    image_xy: NDArray[np.float32]
    """(N, 2, 2) where they appear in the front image, 0 … 1."""
    is_inside: NDArray[np.bool_]
    """(N, 2) whether they do."""
    actions: NDArray[np.float32]
    """(A, D)"""
    demo_sentences: NDArray[np.int64]
    """(M, K) rows of `sentences` that fit each demonstration."""
    demo_is_symmetric: NDArray[np.bool_]
    """(M,) whether a mirror image of the demonstration may be shown; see `mirror`."""
    sentences: NDArray[np.int64]
    """(S, L) rows of `words`, 0 where there is none."""
    words: NDArray[np.int64]
    """(W,) bucket of each word; row 0 is none."""
    grams: NDArray[np.int64]
    """(W, G) buckets of its parts."""


class Batch(NamedTuple):
    """What one training step reads of B frames; numpy, ready for torch."""

    front: NDArray[np.uint8]
    wrist: NDArray[np.uint8]
    colour: NDArray[np.float32]
    """(B, 2, 2, 3) factor and offset of each camera and channel."""
    proprio: NDArray[np.float32]
    words: NDArray[np.int64]
    grams: NDArray[np.int64]
    keep_word: NDArray[np.bool_]
    keep_token: NDArray[np.bool_]
    motion: NDArray[np.float32]
    """(B, T, M)"""
    is_closed: NDArray[np.float32]
    """(B, T) 1 closed, 0 open."""
    is_step: NDArray[np.float32]
    """(B, T) 0 after the end of the demonstration."""
    pos: NDArray[np.float32]
    """(B, 2, 3) in units around the mean."""
    told_pos: NDArray[np.float32]
    is_told: NDArray[np.bool_]
    yaw: NDArray[np.float32]
    """(B,)"""
    image_xy: NDArray[np.float32]
    is_inside: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the files hold."""

    schema: int
    data: str
    """Digest of the demonstrations' digests, in order."""
    sentence_seed: int
    config: MiniVlaConfig
    action: ActionSpec
    rate_hz: float
    frames: int
    demonstrations: int
    sentences_each: int
    tasks: Mapping[str, int]
    """Task -> number of its demonstrations."""
    distinct_sentences: int
    frame_stride: int | None = None
    """Control steps from one frame to the next that were asked for; None: those of the demonstrations."""


class Frames:
    """A folder of frames, mapped into memory. Processes that open the same folder share it."""

    def __init__(self, folder: Path) -> None:
        """Opens what `prepare` wrote.

        Raises:
          BadData: If the folder holds no complete frames.
        """
        from safetensors.numpy import load_file

        self.manifest = read_manifest(folder)
        tensors = load_file(folder / COLUMNS)
        self.columns = Columns(**{name: tensors[name] for name in Columns._fields})
        config = self.manifest.config
        self._front = _mapped(folder, config.front, self.manifest.frames)
        self._wrist = _mapped(folder, config.wrist, self.manifest.frames)
        self._order: tuple[tuple[int, int], NDArray[np.int64]] | None = None
        self.pos_mean = self.columns.pos.mean(axis=0, dtype=np.float64).astype(np.float32)

    def __len__(self) -> int:
        return self.manifest.frames

    def batch(self, seed: int, step: int, size: int, part: slice = slice(None), mirrored: float = 0.0) -> Batch:
        """Returns the frames and draws of a training step. They depend on the arguments alone, so a run can stop and go on anywhere.

        Args:
          seed: Of the training.
          step: Counted from 0. Every frame comes once before any comes twice.
          size: Of the whole batch.
          part: Which of its rows to return; the others belong to other processes.
          mirrored: Share of the symmetric frames that are shown in a mirror.
        """
        c, config = self.columns, self.manifest.config
        rng = stream(seed, "batch", str(step))
        rows = self._rows(seed, step * size, size)
        variant = rng.integers(0, c.demo_sentences.shape[1], size)
        length = c.sentences.shape[1]
        keep_word, keep_token = (rng.random((size, length)) >= drop for drop in (WORD_DROP, TOKEN_DROP))
        gain = 1 + rng.uniform(-JITTER_GAIN, JITTER_GAIN, (size, 2, 1)) + rng.uniform(-JITTER_TINT, JITTER_TINT, (size, 2, 3))
        offset = np.broadcast_to(rng.uniform(-JITTER_BIAS, JITTER_BIAS, (size, 2, 1)), gain.shape)
        noise = rng.normal(0, TOLD_NOISE_M, (size, 2, 3))
        is_told = rng.random(size) < TOLD
        is_mirrored = rng.random(size) < mirrored
        # All draws are made for the whole batch, so that it is the same for any number of processes.
        rows, variant, keep_word, keep_token = rows[part], variant[part], keep_word[part], keep_token[part]

        flipped = is_mirrored[part] & c.demo_is_symmetric[c.frame_demo[rows]]
        tokens = c.sentences[c.demo_sentences[c.frame_demo[rows], variant]]
        used = max(1, int((tokens > 0).any(axis=0).sum()))
        tokens, keep_word, keep_token = tokens[:, :used], keep_word[:, :used], keep_token[:, :used]
        steps = c.frame_action[rows, None] + np.arange(config.chunk_steps)
        last = c.frame_last[rows, None]
        motion = c.actions[np.minimum(steps, last), : config.motion_size]
        gripper = c.actions[np.minimum(steps + GRIPPER_EARLY_STEPS, last), config.motion_size]
        pos = (_signed(c.pos[rows], mirror.POSITION_SIGNS, flipped) - self.pos_mean) / np.float32(POSITION_UNIT_M)
        image_xy = c.image_xy[rows]
        image_xy[flipped, :, 0] = 1 - image_xy[flipped, :, 0]
        return Batch(
            front=mirror.flip(self._front[rows], flipped),
            wrist=mirror.flip(self._wrist[rows], flipped),
            colour=np.stack([gain, offset], axis=2)[part].astype(np.float32),
            proprio=_signed(c.proprio[rows], mirror.PROPRIO_SIGNS, flipped),
            words=c.words[tokens],
            grams=c.grams[tokens],
            keep_word=keep_word,
            keep_token=keep_token,
            motion=_signed(motion, mirror.MOTION_SIGNS, flipped),
            is_closed=(gripper >= CLOSED_FROM).astype(np.float32),
            is_step=(steps <= last).astype(np.float32),
            pos=pos,
            told_pos=(pos + noise[part] / POSITION_UNIT_M).astype(np.float32),
            is_told=is_told[part],
            yaw=np.where(flipped, -c.yaw[rows], c.yaw[rows]),
            image_xy=image_xy,
            is_inside=c.is_inside[rows],
        )

    def _rows(self, seed: int, first: int, size: int) -> NDArray[np.int64]:
        at = np.arange(first, first + size)
        return np.concatenate([self._epoch(seed, int(e))[at[at // len(self) == e] % len(self)] for e in np.unique(at // len(self))])

    def _epoch(self, seed: int, epoch: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != (seed, epoch):
            self._order = ((seed, epoch), stream(seed, "epoch", str(epoch)).permutation(len(self)))
        return self._order[1]


def read_manifest(folder: Path) -> Manifest:
    """Returns what is written about the frames of a folder.

    Raises:
      BadData: If there are none, or they were laid out by another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadData(f"{folder} holds no frames: {path.name} is missing; they are written by `vlagym train --data`")
    plain = json.loads(path.read_text(encoding="utf-8"))
    if plain.get("schema") != SCHEMA:
        raise BadData(f"{path} has schema {plain.get('schema')!r}; this version of vlagym reads {SCHEMA}: lay the frames out again with --data")
    return from_plain(Manifest, plain, path.name)


def _signed(values: NDArray[np.float32], signs: NDArray[np.float32], rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Returns values (B, …, k) with the signs (k,) of some rows changed; what was handed in is changed."""
    values[rows] *= signs
    return values


def image_file(tower: TowerConfig) -> str:
    """Returns the name of the file that holds the images of a camera: frames one after another, uint8."""
    return f"{tower.camera}.u8"


def _mapped(folder: Path, tower: TowerConfig, frames: int) -> NDArray[np.uint8]:
    path, shape = folder / image_file(tower), (frames, tower.size, tower.size, 3)
    if not path.is_file() or path.stat().st_size != frames * tower.size * tower.size * 3:
        raise BadData(f"{path} does not hold {frames} images of {tower.size}x{tower.size}; remove {folder} and start again")
    return np.memmap(path, np.uint8, "r", shape=shape)
