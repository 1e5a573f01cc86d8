"""minivla as the training loop sees it: lays out data, makes the network, knows its loss, writes its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlagym.envs.language import sentences as language
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec, ImageComponent, to_plain
from vlagym.policies.models.minivla import card, preparation, proprio
from vlagym.policies.models.minivla.card import Card, Statistics
from vlagym.policies.models.minivla.config import MiniVlaConfig
from vlagym.policies.models.minivla.frames import Frames, read_manifest
from vlagym.policies.models.minivla.losses import Loss, loss_of, to_device
from vlagym.policies.train import DemonstrationLike
from vlagym.policies.train_options import TrainOptions


class MiniVlaTrainee:
    """A network that is being trained on frames."""

    def __init__(self, frames: Frames, options: TrainOptions) -> None:
        """Draws a fresh network for the frames.

        Raises:
          BadData: If the device does not exist.
        """
        if options.device.startswith("cuda") and not torch.cuda.is_available():
            raise BadData(f"there is no {options.device!r} here: torch {torch.__version__} sees no CUDA; train with device cpu")
        config, manifest = frames.manifest.config, frames.manifest
        self._frames, self._options, self._device = frames, options, torch.device(options.device)
        self._card = Card(
            config=config,
            action=manifest.action,
            observation=card.observation_spec(config, manifest.rate_hz),
            statistics=_statistics(frames),
        )
        self.data = manifest.data
        self.network = card.build(config, self._card.statistics, seed=options.seed).to(self._device).train()

    def loss(self, step: int, part: slice) -> Loss:
        """Draws the batch of a step and returns the loss of a part of it."""
        batch = self._frames.batch(self._options.seed, step, self._options.batch, part, self._options.mirror)
        return loss_of(self.network, to_device(batch, self._device), self._options.bf16)

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor], training: Mapping[str, Any]) -> str:
        """Writes a checkpoint with these weights and returns its digest."""
        manifest = self._frames.manifest
        about = {
            "demonstrations": manifest.demonstrations,
            "tasks": dict(manifest.tasks),
            "frames": manifest.frames,
            "distinct_sentences": manifest.distinct_sentences,
        }
        whole = Card(
            config=self._card.config,
            action=self._card.action,
            observation=self._card.observation,
            statistics=self._card.statistics,
            training={**about, **training},
        )
        return card.save(folder, whole, weights)


def images() -> tuple[ImageComponent, ...]:
    """Returns the images that demonstrations must hold."""
    config = MiniVlaConfig()
    return config.front.image, config.wrist.image


def prepare(demonstrations: Sequence[DemonstrationLike], folder: Path, options: TrainOptions, watch: Callable[[], None] = lambda: None) -> None:
    """Lays the demonstrations out as frames in the folder, unless the same ones lie there already.

    Args:
      demonstrations: Those to train on. None are needed where the folder holds frames.
      folder: Is filled.
      options: Number of sentences, the seed of their draws, and how far frames are apart.
      watch: Called after each demonstration that was laid out.
    """
    if len(demonstrations) == 0:
        read_manifest(folder)
        return
    config = MiniVlaConfig()
    sentences, seed, stride = options.sentences, options.seed, options.frame_stride
    if preparation.is_prepared(demonstrations, folder, config, sentences=sentences, seed=seed, frame_stride=stride):
        return
    preparation.prepare(demonstrations, folder, config, say=_say, sentences=sentences, seed=seed, frame_stride=stride, watch=watch)


def load(folder: Path, options: TrainOptions) -> MiniVlaTrainee:
    """Returns a fresh network and the frames of the folder."""
    return MiniVlaTrainee(Frames(folder), options)


def _say(spec: EpisodeSpec, rng: np.random.Generator) -> str:
    return language.say(spec, rng).text


def _statistics(frames: Frames) -> Statistics:
    values = frames.columns.proprio.astype(np.float64)
    spread = np.maximum(values.std(axis=0), proprio.FLOOR)
    return Statistics(
        pos_mean_base_m=tuple(tuple(row) for row in to_plain(frames.pos_mean.tolist())),
        proprio_mean=tuple(values.mean(axis=0).tolist()),
        proprio_spread=tuple(spread.tolist()),
    )
