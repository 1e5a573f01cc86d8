"""Trials: the expert plays fresh episodes of a task, in several processes, to show that what is asked can be done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vlagym.benchmark.executor import one_thread_each
from vlagym.envs import catalog
from vlagym.envs.robot import Robot
from vlagym.envs.task import Task
from vlagym.envs.types import Base, EpisodeResult, EpisodeSpec


class Body(NamedTuple):
    """A robot and what carries it."""

    robot: str
    base: Base

    def __str__(self) -> str:
        return self.robot if self.base == "fixed" else f"{self.robot} ({self.base})"


def bodies(task: str) -> list[Body]:
    """Returns what a task is done with: each robot that it names on each of its bases that the robot has, the default of each robot first.

    Raises:
      UnknownName: If there is no such task, or it names a robot that does not exist.
    """
    catalog.known("task", task)
    definition: Task = catalog.load("task", task)
    found = []
    for name in definition.robots:
        catalog.known("robot", name)
        robot: Robot = catalog.load("robot", name)
        found += [Body(name, base) for base in definition.bases if base in robot.bases]
    return found


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One fresh episode: sampled, and played by the expert where that succeeded."""

    task: str
    seed: int
    spec: EpisodeSpec | None
    """None where no episode was found."""
    unsampled: str = ""
    """Why none was found."""
    sample_s: float
    """Wall time of sampling, all premises checked."""
    result: EpisodeResult | None = None
    """None where it was not played."""

    @property
    def solved(self) -> bool:
        """Whether the expert succeeded."""
        return self.result is not None and self.result.outcome == "success"

    @property
    def ms_a_step(self) -> float | None:
        """Wall time of a control step without rendering, the expert's and the start's share included; None where no step was played."""
        return 1e3 * self.result.wall_s / self.result.steps if self.result is not None and self.result.steps else None

    @property
    def fell(self) -> bool:
        """Whether the robot fell."""
        return self.result is not None and self.result.ended_by == "fall"

    @property
    def ending(self) -> str:
        """How it ended, in a few words."""
        if self.spec is None:
            return f"seed {self.seed} gives no episode: {self.unsampled}"
        if self.result is None:
            return f"seed {self.seed} was not played"
        told = f": {self.result.error.message}" if self.result.error else ""
        return f"seed {self.seed} ended by {self.result.ended_by}{told}"


def try_seed(task: str, seed: int, *, play: bool = True, policy: str = "expert", **options: Any) -> Trial:
    """Samples one episode without rendering and lets the expert play it.

    Args:
      task: Name of a task, or package.module:TASK.
      seed: Of the episode.
      play: False: only samples it.
      policy: Who plays; needs no images.
      **options: Of `vlagym.envs.sampling.sample`: robot, objects, phrases …
    """
    from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
    from vlagym.envs.errors import VlagymError
    from vlagym.envs.sampling import sample
    from vlagym.policies.loading import load_policy

    began_s = time.perf_counter()
    try:
        spec = sample(task, seed=seed, **options)
    except VlagymError as error:
        return Trial(task=task, seed=seed, spec=None, unsampled=str(error), sample_s=time.perf_counter() - began_s)
    sample_s = time.perf_counter() - began_s
    if not play:
        return Trial(task=task, seed=seed, spec=spec, sample_s=sample_s)
    with contextlib.closing(load_policy(policy)) as player:
        result = play_episode(make_world(WorldOptions(render=False)), spec, player).result
    return Trial(task=task, seed=seed, spec=spec, sample_s=sample_s, result=result)


def try_seeds(
    task: str, seeds: Sequence[int], *, workers: int = 1, num_played: int | None = None, advance: Callable[[], None] = lambda: None, **options: Any
) -> list[Trial]:
    """Tries seeds in order; the trials do not depend on the number of workers.

    Args:
      task: As for `try_seed`.
      seeds: Of the episodes.
      workers: Processes; 1 works in this one.
      num_played: How many of the first ones are played; None: all.
      advance: Called after each.
      **options: As for `try_seed`.

    Raises:
      BrokenProcessPool: If a worker dies.
    """
    limit = len(seeds) if num_played is None else num_played
    wanted = [(task, seed, {"play": index < limit, **options}) for index, seed in enumerate(seeds)]
    trials: list[Trial] = []
    for trial in _tried(wanted, min(workers, len(wanted))):
        trials.append(trial)
        advance()
    return trials


def _tried(wanted: Sequence[tuple[str, int, dict[str, Any]]], workers: int) -> Iterator[Trial]:
    if workers <= 1:
        yield from map(_try_one, wanted)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # An executor and not multiprocessing.Pool: where a worker dies or cannot read its work, it raises; a Pool would wait for ever.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        with one_thread_each():
            trials = pool.map(_try_one, wanted)
        yield from trials


def _try_one(wanted: tuple[str, int, dict[str, Any]]) -> Trial:
    task, seed, options = wanted
    return try_seed(task, seed, **options)
