"""Trains a policy of our own on demonstrations; several processes may share the work, and it can be stopped anywhere and goes on exactly."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec, to_plain
from vlagym.policies import training_state
from vlagym.policies.train_options import TrainOptions, trainee_module
from vlagym.policies.training_loop import Hooks, TrainingLoop, TrainResult
from vlagym.policies.training_state import TrainingState

if TYPE_CHECKING:
    from vlagym.policies.models.together import Team


class DemonstrationLike(Protocol):
    """What training reads of a demonstration: T control steps, of which T' were rendered."""

    @property
    def episode(self) -> EpisodeSpec:
        """Raises BadData where it was recorded elsewhere and has none."""
        ...

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
    module = trainee_module(options.model)
    module.prepare(demonstrations, options.cache, options, hooks.prepared)
    if before is not None and (data := module.load(options.cache, options).data) != before.data:
        raise BadData(
            f"{options.out} was trained on the data {before.data[:12]}…, and this is {data[:12]}…: resume with the same files in the same order"
        )
    with team(options.workers, options.out / "gradients.f32", _work, (options, before)) as members:
        result = TrainingLoop(options, members, before, hooks).run()
    if not options.keep_cache:
        shutil.rmtree(options.cache)
    return result


def _work(team: Team, options: TrainOptions, before: TrainingState | None) -> None:
    TrainingLoop(options, team, before, Hooks()).run()


def _compatible(before: TrainingState, options: TrainOptions) -> TrainingState:
    asked = to_plain(options.decisive())
    # What did not exist when it was begun was then as it is by default.
    begun = {f.name: f.default for f in fields(options) if f.name in asked} | dict(before.options)
    for name in sorted(set(asked) | set(begun)):
        if asked.get(name) != begun.get(name):
            raise BadData(
                f"{options.out} was begun with {name} {begun.get(name)!r}, not {asked.get(name)!r}: "
                "resume with the same, or train into another folder"
            )
    return before
