"""An axis: levels from 0, which is the identity; what each makes keeps the premises and the goal, changes only what it says, and is solved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.axis_proof import Prover, Scope
from vlagym.benchmark.check import Contract, Row, first_sentence_complaint
from vlagym.envs import catalog
from vlagym.envs.types import EpisodeSpec

BRIEF = Scope(tasks=("place_on", "open_drawer", "touch_with"), num_seeds=1, is_brief=True)
"""Things, furniture, and a body with two hands: where no scope is asked for, it is a check of seconds and no proof."""
BRIEF_OF_ALL = dataclasses.replace(BRIEF, tasks=BRIEF.tasks[:1])
"""An episode in which everything is varied takes as long as one of each axis."""


def complaints(name: str, scope: Scope | None = None, prover: Prover | None = None) -> Iterator[str | Row]:
    """Yields what is wrong with an axis, and a row for each level.

    Args:
      name: Of an axis, or package.module:ATTRIBUTE.
      scope: On which episodes it is proved; None: BRIEF.
      prover: Looks at them; None: one in this process.
    """
    axis = catalog.load("axis", name)
    if not isinstance(axis, Axis):
        yield f"AXIS is {type(axis).__name__}: make it a vlagym.benchmark.axis.Axis"
        return
    yield from first_sentence_complaint("axis", name)
    is_counted = len(axis.levels) > 1 and axis.levels == tuple(range(len(axis.levels)))
    if not is_counted:
        yield f"its levels are {axis.levels}: they count up from 0, the identity, to 1 at least"
    if len(axis.tells) != len(axis.levels) - 1 or not all(told.strip() for told in axis.tells):
        yield f"tells has {len(axis.tells)} lines for {len(axis.levels) - 1} levels above 0: say of each what it does, with numbers and units"
    fields = [f.name for f in dataclasses.fields(EpisodeSpec) if f.name not in ("axes", "base")]
    unknown = [field for field in axis.changes if field not in fields]
    yield from (f"it says that it changes {field!r}: these can be changed: {', '.join(fields)}" for field in unknown)
    if is_counted and not unknown:
        yield from (prover or Prover()).complaints(name, scope or (BRIEF_OF_ALL if axis.group == "all" else BRIEF))


CONTRACT = Contract(names=lambda: catalog.names("axis"), complaints=complaints)
