"""Trains a policy of our own on demonstrations: a loop that several processes share, that can be stopped anywhere and goes on exactly."""

from __future__ import annotations

import importlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.catalog import require
from vlagym.envs.errors import BadData, MissingPackage, VlagymError
from vlagym.envs.types import EpisodeSpec, ImageComponent, to_plain
from vlagym.policies import loss_curve, training_state
from vlagym.policies.loss_curve import Point
from vlagym.policies.training_state import TrainingState

if TYPE_CHECKING:
    import torch

    from vlagym.policies.models.flat import FlatParameters
    from vlagym.policies.models.together import Team

POINT_EVERY_STEPS = 50
"""Distance of the points of the loss curve."""
MAX_GRADIENT_NORM = 1.0
MODELS_FOLDER = Path(__file__).resolve().parent / "models"


class DemonstrationLike(Protocol):
    """What training reads of a demonstration: T control steps, of which T' were rendered."""

    @property
    def spec(self) -> EpisodeSpec: ...
    @property
    def digest(self) -> str:
        """Of the spec."""
        ...

    @property
    def instruction(self) -> str: ...
    @property
    def actions(self) -> NDArray[np.float32]:
        """(T, D) labels."""
        ...

    @property
    def image_steps(self) -> NDArray[Any]:
        """(T',) control steps at which images were rendered."""
        ...

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """Camera -> (T', H, W, 3)."""
        ...

    @property
    def proprio(self) -> Mapping[str, NDArray[Any]]:
        """Name -> (T, k)."""
        ...

    @property
    def privileged(self) -> Mapping[str, NDArray[Any]]:
        """Name -> (T, …), read in training only."""
        ...


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
        positive = ("steps", "minutes", "batch", "learning_rate", "workers", "evaluate_every", "sentences")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadData(f"{name} must be more than 0, not {value}")
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


class Progress(NamedTuple):
    """Where a training stands."""

    step: int
    share: float
    """Of the budget, 0 … 1."""
    elapsed_s: float
    samples_per_s: float
    """Over the last steps."""
    losses: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Whom a training calls, all in its first process."""

    prepared: Callable[[], None] = lambda: None
    """After each demonstration that was laid out."""
    stepped: Callable[[Progress], None] = lambda progress: None
    """After each step."""
    evaluate: Callable[[Path], Mapping[str, float]] | None = None
    """Is given the folder of the current checkpoint; returns task -> success."""
    evaluated: Callable[[Point], None] = lambda point: None
    note: Callable[[str], None] = lambda text: None
    """Something that the user should know, once."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Goes into the card as it is: commands, files, versions."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training came to."""

    checkpoint: Path
    digest: str
    """Of its weights."""
    steps: int
    elapsed_s: float
    points: tuple[Point, ...]


class LossLike(Protocol):
    """A weighted sum of losses and its parts."""

    @property
    def total(self) -> torch.Tensor: ...
    @property
    def parts(self) -> Mapping[str, torch.Tensor]: ...


class Trainee(Protocol):
    """A model as the loop sees it; `trainee.py` of its folder in policies/models defines `images`, `prepare` and `load`."""

    @property
    def network(self) -> torch.nn.Module: ...

    @property
    def data(self) -> str:
        """Digest of the training data."""
        ...

    def loss(self, step: int, part: slice) -> LossLike:
        """Draws the batch of a step and returns the loss of this process's part of it."""
        ...

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor], training: Mapping[str, Any]) -> str:
        """Writes a checkpoint with these weights in place of the network's own, and returns its digest."""
        ...


def models() -> list[str]:
    """Returns the names of the models that can be trained: folders of policies/models that hold a trainee.py."""
    return sorted(p.parent.name for p in MODELS_FOLDER.glob("*/trainee.py"))


def images(model: str) -> tuple[ImageComponent, ...]:
    """Returns the images that demonstrations for a model must hold."""
    wanted: tuple[ImageComponent, ...] = _module(model).images()
    return wanted


def train(demonstrations: Sequence[DemonstrationLike], options: TrainOptions, hooks: Hooks | None = None, *, resume: bool = False) -> TrainResult:
    """Trains a model and leaves its checkpoint in `options.out`.

    Args:
      demonstrations: Laid out once as files; needed again on resuming only if those files are gone.
      options: Budget, sizes, seed.
      hooks: Whom to call.
      resume: Go on with the training in `options.out` instead of beginning one. With a budget of steps and the same workers the result
        is bit for bit that of a training that was never interrupted.

    Raises:
      BadData: If the options or demonstrations make no sense, or there is a training in the folder and `resume` was not said.
      VlagymError: If the loss stops being a number.
    """
    from vlagym.policies.models.together import team

    options.check()
    hooks = hooks or Hooks()
    if training_state.exists(options.state) and not resume:
        raise BadData(f"{options.out} holds a training already: say --resume to go on with it, or another --out")
    before = _compatible(training_state.read(options.state), options) if resume else None
    module = _module(options.model)
    module.prepare(demonstrations, options.cache, options, hooks.prepared)
    if before is not None and (data := module.load(options.cache, options).data) != before.data:
        raise BadData(f"{options.out} was trained on the data {before.data[:12]}…, and this is {data[:12]}…: resume with the same files in the same order")
    with team(options.workers, options.out / "gradients.f32", _work, (options, before)) as members:
        result = _Loop(options, members, before, hooks).run()
    if not options.keep_cache:
        shutil.rmtree(options.cache)
    return result


def learning_rate(options: TrainOptions, share: float) -> float:
    """Returns the learning rate when a share of the budget is spent: up in a line, down along a cosine."""
    if share < options.warmup:
        return options.learning_rate * max(share / options.warmup, 1e-3)
    down = (share - options.warmup) / (1 - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(down, 1.0)))


def _work(team: Team, options: TrainOptions, before: TrainingState | None) -> None:
    _Loop(options, team, before, Hooks()).run()


class _Loop:
    """One process's training."""

    def __init__(self, options: TrainOptions, team: Team, before: TrainingState | None, hooks: Hooks) -> None:
        import torch

        from vlagym.policies.models.flat import FlatParameters

        if options.workers > 1:
            torch.set_num_threads(1)
        self.options, self.team, self.hooks = options, team, hooks
        self.trainee: Trainee = _module(options.model).load(options.cache, options)
        self.flat: FlatParameters = FlatParameters(self.trainee.network, weight_decay=options.weight_decay, average=options.average)
        self.is_first = team.rank == 0
        self.step, self.elapsed_before_s = 0, 0.0
        self.sums: dict[str, float] = {}
        self.points: list[Point] = []
        self.next_evaluation = self._evaluation_after(0.0)
        if before is not None:
            self.flat.restore(training_state.read_vectors(options.state, before), before.step)
            self.step, self.elapsed_before_s = before.step, before.elapsed_s
            self.sums, self.points, self.next_evaluation = dict(before.sums), list(before.points), before.next_evaluation
        each = options.batch // team.size
        self.part = slice(team.rank * each, (team.rank + 1) * each)
        self.has_curve = True
        self.digest = ""

    def run(self) -> TrainResult:
        """Trains until the budget is spent."""
        import torch

        self.began_s = self.saved_s = self.mark_s = time.monotonic()
        self.mark_step = self.step
        # One number more than the gradient: how much of the budget is spent, which only the first process says.
        vector = torch.zeros(self.flat.size + 1)
        share = 1.0 if self.options.steps is not None and self.step >= self.options.steps else 0.0
        while share < 1.0:
            loss = self.trainee.loss(self.step, self.part)
            loss.total.backward()  # type: ignore[no-untyped-call]
            if self.team.size > 1:
                vector[:-1] = self.flat.gradient
                vector[-1] = self._share() if self.is_first else 0.0
                self.team.add_up(vector)
                self.flat.gradient.copy_(vector[:-1]).div_(self.team.size)
                share = float(vector[-1])
            else:
                share = self._share()
            norm = self.flat.step(learning_rate(self.options, share), MAX_GRADIENT_NORM)
            if not math.isfinite(norm):
                raise VlagymError(f"the loss stopped being a number at step {self.step}; try a lower learning rate than {self.options.learning_rate:g}")
            self.step += 1
            if self.is_first:
                self._count(loss, share)
        if self.is_first:
            self._finish()
        return TrainResult(
            checkpoint=self.options.out, digest=self.digest, steps=self.step, elapsed_s=self._elapsed_s(), points=tuple(self.points)
        )

    def _share(self) -> float:
        """Returns how much of the budget is spent once this step is done."""
        if self.options.steps is not None:
            return (self.step + 1) / self.options.steps
        assert self.options.minutes is not None
        return self._elapsed_s() / (60 * self.options.minutes)

    def _elapsed_s(self) -> float:
        return self.elapsed_before_s + time.monotonic() - self.began_s

    def _count(self, loss: LossLike, share: float) -> None:
        for name, value in {**loss.parts, "total": loss.total.detach()}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.sums["steps"] = self.sums.get("steps", 0.0) + 1
        if self.step % POINT_EVERY_STEPS == 0:
            self._point(share)
        now_s = time.monotonic()
        rate = (self.step - self.mark_step) * self.options.batch / max(now_s - self.mark_s, 1e-9)
        losses = self.points[-1].losses if self.points else {"total": float(loss.total.detach())}
        self.hooks.stepped(Progress(self.step, min(share, 1.0), self._elapsed_s(), rate, losses))
        if self.step - self.mark_step >= 2 * POINT_EVERY_STEPS:
            self.mark_step, self.mark_s = self.step, now_s
        if share >= self.next_evaluation and share < 1.0:
            self._evaluate(share)
            self.next_evaluation = self._evaluation_after(share)
            self.mark_step, self.mark_s = self.step, time.monotonic()
        if now_s - self.saved_s >= self.options.save_every_s:
            self._save_state()

    def _point(self, share: float, success: Mapping[str, float] | None = None) -> None:
        steps = self.sums.pop("steps", 0.0)
        losses = {name: total / steps for name, total in self.sums.items()} if steps else {}
        self.sums = {}
        point = Point(
            step=self.step,
            elapsed_s=self._elapsed_s(),
            samples=self.step * self.options.batch,
            learning_rate=learning_rate(self.options, share),
            losses=losses,
            success=success or {},
        )
        self.points.append(point)

    def _evaluate(self, share: float) -> None:
        self._save_checkpoint()
        if self.hooks.evaluate is not None:
            self._point(share, self.hooks.evaluate(self.options.out))
            self.hooks.evaluated(self.points[-1])
        self._save_state()
        self._draw()

    def _finish(self) -> None:
        self._evaluate(1.0)
        if not self.points or self.sums:
            self._point(1.0)
        # The card tells the last evaluation too.
        self._save_checkpoint()
        self._save_state()
        self._draw()

    def _evaluation_after(self, share: float) -> float:
        if self.options.evaluate_every is None:
            return 1.0
        budget = self.options.steps if self.options.steps is not None else self.options.minutes
        assert budget is not None
        each = self.options.evaluate_every / budget
        return each * (math.floor(share / each + 1e-9) + 1)

    def _save_checkpoint(self) -> None:
        success = [{"step": p.step, "elapsed_s": round(p.elapsed_s, 1), **p.success} for p in self.points if p.success]
        training = {
            "steps": self.step,
            "samples": self.step * self.options.batch,
            "elapsed_s": round(self._elapsed_s(), 1),
            "workers": self.options.workers,
            "device": self.options.device,
            "options": to_plain(self.options.decisive()),
            "data": self.trainee.data,
            "success_on_fresh_episodes": success,
            **to_plain(self.hooks.record),
        }
        self.digest = self.trainee.save(self.options.out, self.flat.averaged(), training)

    def _save_state(self) -> None:
        state = TrainingState(
            schema=training_state.SCHEMA,
            step=self.step,
            elapsed_s=self._elapsed_s(),
            next_evaluation=self.next_evaluation,
            data=self.trainee.data,
            options=to_plain(self.options.decisive()),
            sums=self.sums,
            points=tuple(self.points),
            vectors="",
            vectors_digest="",
        )
        training_state.save(self.options.state, state, self.flat.state())
        self.saved_s = time.monotonic()

    def _draw(self) -> None:
        loss_curve.write_csv(self.points, self.options.out / "loss.csv")
        if not self.has_curve:
            return
        try:
            loss_curve.draw(self.points, self.options.out / "loss.png")
        except MissingPackage as missing:
            self.has_curve = False
            self.hooks.note(str(missing))


def _module(model: str) -> Any:
    return importlib.import_module(f"vlagym.policies.models.{require(models(), model, 'model')}.trainee")


def _compatible(before: TrainingState, options: TrainOptions) -> TrainingState:
    asked = to_plain(options.decisive())
    for name in sorted(set(asked) | set(before.options)):
        if asked.get(name) != before.options.get(name):
            raise BadData(
                f"{options.out} was begun with {name} {before.options.get(name)!r}, not {asked.get(name)!r}: "
                "resume with the same, or train into another folder"
            )
    return before
