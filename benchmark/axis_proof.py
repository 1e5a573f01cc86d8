"""Proving an axis: over tasks, levels and seeds, what it makes is an episode that keeps its premises and that the expert solves."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple

import numpy as np

from vlagym.benchmark.axis import GARBLING, Axis, NotApplicable, asks_for_its_goal, vary
from vlagym.benchmark.check import Note, Row, described
from vlagym.benchmark.executor import one_thread_each
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, Unsatisfiable, VlagymError
from vlagym.envs.types import EpisodeResult, EpisodeSpec, SensorSpec

FIRST_SEED = 900_000
"""Seeds that neither a suite nor a demonstration has."""
LEAST_SOLVED = 0.95
"""Share of the varied episodes of a level that the expert must solve ..."""
LEAST_SOLVED_OF_ALL = 0.90
"""... and of those in which everything is varied at once."""
CHANCE = 0.02
"""How improbable fewer successes must be, if the expert solves that share, before they are a complaint."""

_PERFORMANCES = 512
"""Results that a process remembers."""

Fate = Literal["solved", "failed", "unplayed", "not applicable", "not found", "wrong"]
"""not applicable: nothing in the episode has what the axis varies. not found: none of the draws kept the premises. wrong: the contract is broken."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """On which episodes an axis is proved."""

    tasks: tuple[str, ...]
    num_seeds: int = 5
    robot: str = "default"
    levels: tuple[int, ...] = ()
    """Empty: all that the axis has."""
    is_brief: bool = False
    """Whether only the lowest and the highest level are looked at, and only the highest is played."""

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise BadData(f"an axis is proved on at least 1 seed, not {self.num_seeds}")
        if 0 in self.levels:
            raise BadData("level 0 is the identity: there is nothing to prove; name levels from 1 on")

    def levels_of(self, axis: Axis) -> tuple[int, ...]:
        """Returns the levels that are proved, from 1 on."""
        levels = tuple(level for level in axis.levels if level > 0 and (not self.levels or level in self.levels))
        return tuple(dict.fromkeys((levels[0], levels[-1]))) if self.is_brief and levels else levels

    def cases(self, name: str) -> list[Case]:
        """Returns what is looked at one after another: an axis at its levels, in one episode."""
        levels = self.levels_of(catalog.load("axis", name))
        played = levels[-1:] if self.is_brief else levels
        seeds = range(FIRST_SEED, FIRST_SEED + self.num_seeds)
        return [Case(name, task, self.robot, seed, levels, played) for task in self.tasks for seed in seeds] if levels else []


class Case(NamedTuple):
    """One episode, and the levels at which it is varied along an axis."""

    axis: str
    task: str
    robot: str
    seed: int
    levels: tuple[int, ...]
    played: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one episode at one level."""

    task: str
    seed: int
    level: int
    fate: Fate
    told: str = ""
    """What is wrong, or why it is not applicable, not found or not solved."""
    time_s: float = 0.0
    """Simulated, of an episode that was played."""
    wall_s: float = 0.0

    @property
    def where(self) -> str:
        return f"{self.task}, seed {self.seed}, level {self.level}"


class Prover:
    """Looks at cases, in several processes; what it finds does not depend on how many.

    Args:
      workers: Processes; 1 works in this one.
      advance: Called with the number of episodes after each case.
    """

    def __init__(self, workers: int = 1, advance: Callable[[int], None] = lambda n: None) -> None:
        self._workers, self._advance = workers, advance
        self._pool: Any = None

    def __enter__(self) -> Prover:
        if self._workers > 1:
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(self._workers, mp_context=multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def findings(self, cases: Sequence[Case]) -> Iterator[Finding]:
        """Yields what became of each case, in order.

        Raises:
          BrokenProcessPool: If a worker dies.
        """
        if self._pool is None:
            found: Iterator[list[Finding]] = map(examine, cases)
        else:
            with one_thread_each():
                found = self._pool.map(examine, cases)
        for case, findings in zip(cases, found, strict=True):
            self._advance(len(case.levels))
            yield from findings

    def complaints(self, name: str, scope: Scope) -> Iterator[str | Row]:
        """Yields what is wrong with an axis, notes on what the expert did not solve, and a row for each level.

        Args:
          name: Of an axis, or package.module:ATTRIBUTE.
          scope: On which episodes.
        """
        axis: Axis = catalog.load("axis", name)
        findings = list(self.findings(scope.cases(name)))
        for level in scope.levels_of(axis):
            own = [f for f in findings if f.level == level]
            yield from (f"{f.where}: {f.told}" for f in own if f.fate == "wrong")
            yield from (Note(f"{f.where}: the expert does not solve it: {f.told}") for f in own if f.fate == "failed")
            played = [f for f in own if f.fate in ("solved", "failed")]
            solved = sum(f.fate == "solved" for f in played)
            least = LEAST_SOLVED_OF_ALL if axis.group == "all" else LEAST_SOLVED
            if _chance(solved, len(played), least) < CHANCE:
                yield f"level {level}: the expert solves {solved} of {len(played)}, and must solve {least:.0%}: make the level easier"
            lacking = [f for f in own if f.fate in ("not applicable", "not found")]
            if own and len(lacking) == len(own):
                yield f"level {level} varies none of {len(own)} episodes, e.g. {lacking[0].where}: {lacking[0].told}"
            times = [f.time_s for f in played if f.fate == "solved"]
            yield {
                "axis": name,
                "level": level,
                "episodes": len(own),
                "played": len(played),
                "solved": solved,
                "not_applicable": sum(f.fate == "not applicable" for f in own),
                "not_found": sum(f.fate == "not found" for f in own),
                "p95_s": round(float(np.percentile(times, 95)), 2) if times else None,
                "wall_s": round(sum(f.wall_s for f in own), 1),
            }


def pivot(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Returns the columns and lines of a table axis x level out of the rows of `Prover.complaints`."""
    levels = sorted({int(str(row["level"])) for row in rows})
    lines: list[list[object]] = []
    for name in dict.fromkeys(str(row["axis"]) for row in rows):
        own = {int(str(row["level"])): row for row in rows if row["axis"] == name}
        cells = [f"{own[level]['solved']}/{own[level]['played']}" if level in own else "" for level in levels]
        sums = [sum(int(str(row[key])) for row in own.values()) for key in ("not_applicable", "not_found")]
        times = [float(str(row["p95_s"])) for row in own.values() if row["p95_s"] is not None]
        lines.append([name, *cells, *sums, f"{max(times):.1f}" if times else ""])
    return ["axis", *(f"level {level}" for level in levels), "n/a", "not found", "p95_s"], lines


def examine(case: Case) -> list[Finding]:
    """Varies one episode at each of the levels of a case, holds it against the contract and lets the expert play it."""
    axis: Axis = catalog.load("axis", case.axis)
    try:
        twin = _twin(case.task, case.robot, case.seed)
    except VlagymError as error:
        return [
            Finding(task=case.task, seed=case.seed, level=level, fate="not found", told=f"there is no episode to vary: {error}")
            for level in case.levels
        ]
    return [_at_level(axis, case, twin, level) for level in case.levels]


def _at_level(axis: Axis, case: Case, twin: EpisodeSpec, level: int) -> Finding:
    began_s = time.perf_counter()

    def found(fate: Fate, told: str = "", time_s: float = 0.0) -> Finding:
        wall_s = time.perf_counter() - began_s
        return Finding(task=case.task, seed=case.seed, level=level, fate=fate, told=told, time_s=time_s, wall_s=wall_s)

    try:
        varied = vary(twin, case.axis, level)
        wrong = next(breaches(axis, case.axis, level, twin, varied), None)
        if wrong is None and level in case.played:
            wrong = _unlike(vary(twin, case.axis, level), varied) or _broken_premise(varied)
    except NotApplicable as error:
        return found("not applicable", str(error))
    except Unsatisfiable as error:
        return found("not found", str(error))
    except Exception as error:
        return found("wrong", str(error) if isinstance(error, VlagymError) else f"it raises {described(error)}")
    if wrong is not None:
        return found("wrong", wrong)
    if level not in case.played:
        return found("unplayed")
    result = _played(varied)
    told = f"it ends by {result.ended_by} after {result.time_s:.1f} s" + (f": {result.error.message}" if result.error else "")
    return found("solved", "", result.time_s) if result.outcome == "success" else found("failed", told, result.time_s)


def _played(spec: EpisodeSpec) -> EpisodeResult:
    """Returns how the expert does in an episode. Of those that differ only in what neither it nor physics knows of, one is played."""
    from vlagym.benchmark.episode import play_episode
    from vlagym.policies.loading import load_policy

    known, performance = _performances(), performed(spec).digest()
    if performance not in known:
        with contextlib.closing(load_policy("expert")) as expert:
            known[performance] = play_episode(_world(), spec, expert).result
        while len(known) > _PERFORMANCES:
            del known[next(iter(known))]  # the oldest: levels of one episode follow each other
    return known[performance]


def performed(spec: EpisodeSpec) -> EpisodeSpec:
    """Returns an episode without its words, its light and what images suffer: all that a player who sees the true state could know of it."""
    unlit = dataclasses.replace(spec.scene, lights=())
    words = {"instruction": "", "phrase": "", "level": "plain", "told": None}
    return dataclasses.replace(spec, scene=unlit, sensing=SensorSpec(), split="seen", axes=(), base=None, **words)  # type: ignore[arg-type]


def breaches(axis: Axis, name: str, level: int, twin: EpisodeSpec, varied: EpisodeSpec) -> Iterator[str]:
    """Yields what a varied episode breaks of the contract of its kind.

    Args:
      axis: Which it was varied along.
      name: Of the axis.
      level: To which it was varied.
      twin: The episode before.
      varied: And after.
    """
    if vary(twin, name, 0) != twin:
        yield "level 0 changes it: it is the identity"
    undeclared = [
        field.name
        for field in dataclasses.fields(EpisodeSpec)
        if field.name not in (*axis.changes, "axes", "base") and getattr(varied, field.name) != getattr(twin, field.name)
    ]
    if undeclared:
        yield f"it changes {', '.join(undeclared)} and declares only: {', '.join(axis.changes)}"
    if all(getattr(varied, field) == getattr(twin, field) for field in axis.changes):
        yield "it changes nothing: raise NotApplicable where nothing can be varied, and Unfit where another draw could"
    if varied.axes != (*twin.axes, (name, level)) or varied.base != (twin.base or twin.digest()):
        yield f"it is written down as varied along {varied.axes} of {varied.base}"
    if EpisodeSpec.from_json(varied.to_json()) != varied:
        yield "what is read back from its JSON is another episode"
    if twin.alternatives and not varied.alternatives:
        yield "only one goal can be asked for in it: the sentence would decide nothing"
    if (misled := _misleads(axis, varied)) is not None:
        yield misled


def _misleads(axis: Axis, varied: EpisodeSpec) -> str | None:
    """Returns what is wrong with the sentence of a varied episode; None if nothing is."""
    if axis.group not in GARBLING or varied.told is not None:
        if asks_for_its_goal(varied):
            return None
        wanted = "exactly the goal" if varied.told is None else f"exactly the goal that it was told, alternative {varied.told}"
        return f"its sentence does not ask for {wanted}: {varied.instruction!r}"
    from vlagym.envs.language.clauses import wish_of
    from vlagym.envs.language.understand import understand

    others = [wish_of(dataclasses.replace(varied, goal=goal, steps=())) for goal in varied.alternatives]
    if any(wish in others for wish in understand(varied.instruction, varied)):
        return f"its sentence asks for another goal: {varied.instruction!r}"
    return None


def _unlike(again: EpisodeSpec, varied: EpisodeSpec) -> str | None:
    if again.digest() == varied.digest():
        return None
    return "it gives two different episodes: draw only from the generator that is handed in"


def _broken_premise(spec: EpisodeSpec) -> str | None:
    from vlagym.envs.premises import broken_premise

    broken = broken_premise(spec, _world())
    return None if broken is None else f"a premise does not hold: {broken}"


def _chance(solved: int, played: int, share: float) -> float:
    """Returns how probable it is that the expert solves so few, if it solves that share."""
    from scipy.stats import binom

    return float(binom.cdf(solved, played, share)) if played else 1.0


@functools.lru_cache(maxsize=2048)
def _twin(task: str, robot: str, seed: int) -> EpisodeSpec:
    from vlagym.envs.sampling import sample

    return sample(task, robot=robot, seed=seed)


@functools.cache
def _performances() -> dict[str, EpisodeResult]:
    """Returns what the expert has last done in this process, by the digest of `performed`."""
    return {}


@functools.cache
def _world() -> Any:
    """Returns the world of this process in which nothing is rendered."""
    from vlagym.benchmark.episode import WorldOptions, make_world

    return make_world(WorldOptions(render=False))
