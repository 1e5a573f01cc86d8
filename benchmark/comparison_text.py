"""A comparison as a person reads it, and as JSON holds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vlagym.benchmark import console
from vlagym.results.comparison import Comparison, Row, Standing
from vlagym.results.intervals import MeanInterval
from vlagym.results.sequential import State


def standing_lines(standing: Standing) -> list[str]:
    """Returns several runs, each compared with each, as lines for a person."""
    rows = []
    for found, p in zip(standing.comparisons, standing.p_adjusted, strict=True):
        total = found.total
        difference = f"{found.first} - {found.second}"
        rows.append([difference, total.n, total.errors, _points(total.difference), total.first_only, total.second_only, _p(p)])
    lines = [console.table(rows, ["difference", "n", "errors", "points", "only 1st", "only 2nd", "p (Holm)"]), ""]
    lines += [console.table([[name, standing.letters[name]] for name in standing.names], ["policy", "letters"])]
    lines += ["", "Policies that share a letter are not told apart. Highest success first; where letters are shared there is no rank."]
    told = {note for found in standing.comparisons for note in (*found.notes, *(f"not only the policy differs: {d}" for d in found.differs))}
    lines += [f"- {note}" for note in sorted(told)]
    uneven = [f"{c.first} and {c.second}" for c in standing.comparisons if c.only_first or c.only_second]
    if uneven:
        lines.append(f"- compared on the episodes that they share, which are not all: {'; '.join(uneven)}")
    return lines


def comparison_lines(found: Comparison) -> list[str]:
    """Returns the comparison of two runs as lines for a person; the last one is the sum."""
    total, first, second = found.total, found.first, found.second
    rows = [_cells(row) for row in (*found.tasks, total)] if len(found.tasks) > 1 else [_cells(total)]
    columns = ["task", "n", "errors", first, second, "difference", "only 1st", "only 2nd", "p", "p (Holm)"]
    lines = [console.table(rows, columns), ""]
    confidence = f"{100 * (1 - found.alpha):g} %"
    lines.append(f"difference: {first} minus {second}, in points, with its {confidence} interval; p: exact, paired; p (Holm): over the tasks.")
    lines += [f"- not only the policy differs: {text}" for text in found.differs]
    lines += [f"- {note}" for note in found.notes]
    if found.only_first or found.only_second:
        lines.append(f"- in no number: {found.only_first} episodes that only {first} has played, {found.only_second} that only {second} has")
    if total.scenes < total.n:
        lines.append(f"- {total.n} episodes are of {total.scenes} scenes; episodes of one scene count as one piece of evidence")
    if total.difference_if_failures is not None:
        lines.append(
            f"- {total.errors} episodes ended in an error for one of them and are set aside. If errors were failures: "
            f"{_points(total.difference_if_failures)} points, p = {_p(total.p_if_failures)}"
        )
    lines.append(f"looked at as often as one likes: {state_in_words(found.sequential, first, second)}")
    average, table = found.sequential.difference, total.difference.mean
    if average is not None and table is not None and abs(average - table) >= 0.0005:
        scenes = f"that difference is the mean over {found.sequential.n} scenes, each counted once"
        lines.append(f"- {scenes}, and that of the table ({100 * table:+.1f}) the mean over {total.n} episodes")
    if found.sequential_if_failures is not None:
        lines.append(f"and if errors were failures: {state_in_words(found.sequential_if_failures, first, second)}")
    if found.needed is not None:
        lines.append(f"a test of fixed size sees a difference like this one with power 0.8 from {found.needed} pairs on")
    alike = total.n - total.first_only - total.second_only
    sums = f"{total.first_only} only {first}, {total.second_only} only {second}, {alike} alike; {total.errors} with an error"
    return [*lines, "", f"{total.n + total.errors} pairs: {sums}"]


def order_notes(order_seed: int | None) -> list[str]:
    """Returns what must be said of the order in which a comparison looked, where somebody has chosen it."""
    if order_seed is None:
        return []
    return [f"the order of the looks is that of --order-seed {order_seed}: the answer holds only if no other order was tried"]


def looking_notes(journal: Mapping[str, Any] | None, difference: float | None) -> list[str]:
    """Returns what must be said of looks at stored runs.

    Args:
      journal: Of the comparison that played them; None: they were played apart.
      difference: The smallest difference that matters, as it is asked for now.
    """
    notes = []
    fixed = None
    if journal is not None:
        fixed = journal["design"]["difference"]
        notes.append(f"played by one comparison: the {len(journal['order'])} scenes that it looked at are taken in its order")
        notes += order_notes(journal["design"]["order_seed"])
    if difference is not None and difference != fixed:
        notes.append(
            f"that {100 * difference:g} points matter was said after the runs were played: that they differ by less is known only if nobody who "
            "chose the number had seen them. The interval holds for any"
        )
    return notes


def state_in_words(state: State, first: str, second: str) -> str:
    """Returns a state in words."""
    if state.difference is None:
        return "nothing is known yet"
    interval = f"{100 * state.difference:+.1f} points [{100 * state.low:.1f}, {100 * state.high:.1f}], p = {_p(state.p)}"
    after = f"known after {state.decided_at} of {state.n} looks"
    if state.decided == "equivalent":
        return f"they differ by less than what matters, {after}; {interval}"
    if state.decided is not None:
        return f"{first if state.decided == 'first' else second} is better, {after}; {interval}"
    return f"not decided after {state.n} looks; {interval}"


def plain(value: Any) -> Any:
    """Returns a `Comparison`, a `Standing` or a part of one as JSON holds it: what has named fields becomes a table."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _cells(row: Row) -> list[Any]:
    rates = [_percent(row.first), _percent(row.second)]
    adjusted = None if row.p_adjusted is None else _p(row.p_adjusted)
    return [row.task or "all", row.n, row.errors, *rates, _points(row.difference), row.first_only, row.second_only, _p(row.p), adjusted]


def _percent(value: MeanInterval) -> str:
    if value.mean is None or value.low is None or value.high is None:
        return "–"
    return f"{100 * value.mean:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _points(value: MeanInterval) -> str:
    if value.mean is None or value.low is None or value.high is None:
        return "–"
    return f"{100 * value.mean:+.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"
