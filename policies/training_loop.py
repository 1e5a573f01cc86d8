"""The training loop: one process's share of the steps, the average of the weights, the course of the loss, and what is kept on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vlagym.envs.errors import MissingPackage, VlagymError
from vlagym.envs.types import to_plain
from vlagym.policies import loss_curve, training_state
from vlagym.policies.loss_curve import Point
from vlagym.policies.train_options import TrainOptions, learning_rate, trainee_module
from vlagym.policies.training_state import TrainingState

if TYPE_CHECKING:
    import torch

    from vlagym.policies.models.flat import FlatParameters
    from vlagym.policies.models.together import Team

POINT_EVERY_STEPS = 50
"""Distance of the points of the loss curve."""
MAX_GRADIENT_NORM = 1.0


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
    """Goes into the card: commands, files, versions. Of a resumed training the card has what it was begun with, and what was different then."""


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


class TrainingLoop:
    """One process's training."""

    def __init__(self, options: TrainOptions, team: Team, before: TrainingState | None, hooks: Hooks) -> None:
        import torch

        from vlagym.policies.models.flat import FlatParameters

        if options.workers > 1:
            torch.set_num_threads(1)
        self.options, self.team, self.hooks = options, team, hooks
        self.trainee: Trainee = trainee_module(options.model).load(options.cache, options)
        self.flat: FlatParameters = FlatParameters(self.trainee.network, weight_decay=options.weight_decay, average=options.average)
        self.is_first = team.rank == 0
        self.step, self.elapsed_before_s = 0, 0.0
        self.sums: dict[str, float] = {}
        self.points: list[Point] = []
        self.next_evaluation = self._evaluation_after(0.0)
        self.record: dict[str, Any] = to_plain(hooks.record)
        if before is not None:
            self.flat.restore(training_state.read_vectors(options.state, before), before.step)
            self.step, self.elapsed_before_s = before.step, before.elapsed_s
            again = {"step": before.step, **{k: v for k, v in self.record.items() if k in before.record and v != before.record[k]}}
            self.record = {**before.record, "resumed": [*before.record.get("resumed", []), again]}
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
                rate = self.options.learning_rate
                raise VlagymError(f"the loss stopped being a number at step {self.step}; try a lower learning rate than {rate:g}")
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
            # The card tells this evaluation too.
            self._save_checkpoint()
        self._save_state()
        self._draw()

    def _finish(self) -> None:
        if self.hooks.evaluate is None:
            self._point(1.0)
        self._evaluate(1.0)

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
            **self.record,
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
            record=self.record,
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
