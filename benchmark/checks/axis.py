"""An axis: levels from 0, which is the identity; each other level changes the episode, only in what the axis declares, and still plays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from vlagym.benchmark.axis import Axis, vary
from vlagym.benchmark.check import Contract, described, first_sentence_complaint
from vlagym.envs import catalog
from vlagym.envs.types import EpisodeSpec

SEEDS = (0, 1, 2)


def _complaints(name: str) -> Iterator[str]:
    axis = catalog.load("axis", name)
    if not isinstance(axis, Axis):
        yield f"AXIS is {type(axis).__name__}: make it a vlagym.benchmark.axis.Axis"
        return
    yield from first_sentence_complaint("axis", name)
    if len(axis.levels) < 2 or axis.levels != tuple(range(len(axis.levels))):
        yield f"its levels are {axis.levels}: they count up from 0, the identity, to 1 at least"
    fields = [f.name for f in dataclasses.fields(EpisodeSpec)]
    for field in axis.changes:
        if field not in fields or field in ("axes", "base"):
            yield f"it says that it changes {field!r}: these can be changed: {', '.join(f for f in fields if f not in ('axes', 'base'))}"
    for task in catalog.names("task"):
        yield from _about_task(axis, name, task)


def _about_task(axis: Axis, name: str, task: str) -> Iterator[str]:
    from vlagym.envs.sampling import sample
    from vlagym.envs.world import World

    world = World(render=False)
    changed = set()
    for seed in SEEDS:
        spec = sample(task, seed=seed)
        for level in axis.levels[1:]:
            varied, again = vary(spec, name, level), vary(spec, name, level)
            where = f"{task}, seed {seed}, level {level}"
            if varied.digest() != again.digest():
                yield f"{where}: it gives two different episodes: draw only from the generator that is handed in"
            if any(getattr(varied, field) != getattr(spec, field) for field in axis.changes):
                changed.add(level)
            try:
                EpisodeSpec.from_json(varied.to_json())
                world.start(varied)
            except Exception as error:
                yield f"{where}: the episode cannot be played: {described(error)}"
    for level in sorted(set(axis.levels[1:]) - changed):
        yield f"level {level} changes nothing in {len(SEEDS)} episodes of {task}"
    world.close()


CONTRACT = Contract(names=lambda: catalog.names("axis"), complaints=_complaints)
