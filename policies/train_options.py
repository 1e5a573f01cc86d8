"""What a training is told, and which models can be trained."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vlagym.envs.catalog import require
from vlagym.envs.errors import BadData
from vlagym.envs.types import ImageComponent

_MODELS = Path(__file__).resolve().parent / "models"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training is told."""

    model: str = "minivla"
    out: Path
    """Becomes a checkpoint (card.json, model.safetensors), with loss.csv, loss.png and state/ beside it."""
    steps: int | None = None
    """Budget in steps: exactly repeatable. Either this or `minutes`."""
    minutes: float | None = None
    """Budget in wall time, evaluations included; preparing the data comes before it."""
    seed: int = 0
    batch: int = 96
    """Frames a step, over all processes."""
    learning_rate: float = 2e-3
    """At its highest; on the way there and back it follows the share of the budget that is spent."""
    warmup: float = 0.02
    """Share of the budget in which the learning rate rises."""
    weight_decay: float = 0.01
    average: float = 0.998
    """Of the weights; the average is what is evaluated and stored."""
    bf16: bool = True
    sentences: int = 32
    """Sentences that are drawn for each demonstration."""
    mirror: float = 0.0
    """Share of frames that are shown in a mirror, left for right, where robot, cameras and sentence allow it."""
    frame_stride: int | None = None
    """Frames are taken every so many control steps: 0, k, 2k …; None: all that the demonstrations hold."""
    workers: int = 1
    """Processes on a CPU; one thread each, unless there is only one."""
    device: str = "cpu"
    evaluate_every: float | None = None
    """In the unit of the budget, steps or minutes; None: only at the end."""
    save_every_s: float = 60.0
    keep_cache: bool = False
    """Leave the laid out frames in out/cache when the training is over."""

    @property
    def cache(self) -> Path:
        return self.out / "cache"

    @property
    def state(self) -> Path:
        return self.out / "state"

    def check(self) -> None:
        """Raises BadData, naming the option that makes no sense."""
        if (self.steps is None) == (self.minutes is None):
            raise BadData("a training has a budget of steps or of minutes: say one of them")
        require(models(), self.model, "model")
        positive = ("steps", "minutes", "batch", "learning_rate", "workers", "evaluate_every", "sentences", "frame_stride")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadData(f"{name} must be more than 0, not {value}")
        if not 0 <= self.mirror <= 1:
            raise BadData(f"mirror is a share of frames, 0 to 1, not {self.mirror}")
        for name in ("warmup", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise BadData(f"{name} must be at least 0 and less than 1, not {getattr(self, name)}")
        if self.batch % self.workers:
            raise BadData(f"a batch of {self.batch} does not divide among {self.workers} workers")
        if self.workers > 1 and self.device != "cpu":
            raise BadData(f"several workers train on a CPU only; on {self.device!r} say workers 1")

    def decisive(self) -> dict[str, Any]:
        """Returns the options on which it depends what is learned. A resumed training must have the same."""
        left_out = {"out", "workers", "device", "evaluate_every", "save_every_s", "keep_cache"}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}


def models() -> list[str]:
    """Returns the names of the models that can be trained: folders of policies/models that hold a trainee.py."""
    return sorted(p.parent.name for p in _MODELS.glob("*/trainee.py"))


def images(model: str) -> tuple[ImageComponent, ...]:
    """Returns the images that demonstrations for a model must hold."""
    wanted: tuple[ImageComponent, ...] = trainee_module(model).images()
    return wanted


def learning_rate(options: TrainOptions, share: float) -> float:
    """Returns the learning rate when a share of the budget is spent: up in a line, down along a cosine."""
    if share < options.warmup:
        return options.learning_rate * max(share / options.warmup, 1e-3)
    down = (share - options.warmup) / (1 - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(down, 1.0)))


def trainee_module(model: str) -> Any:
    """Returns trainee.py of a model. Raises UnknownName."""
    return importlib.import_module(f"vlagym.policies.models.{require(models(), model, 'model')}.trainee")
