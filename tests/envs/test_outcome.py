"""Success is the goal held together, without a break, for as many control steps as the spec wants."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.outcome import HoldCounter, Judge, decided, held, longest_hold
from vlagym.envs.types import stream


def column(text: str) -> np.ndarray:
    """Returns one goal condition over the rows of a trace: "0110"."""
    return np.array([[c == "1"] for c in text])


@pytest.mark.parametrize(
    ("rows", "longest"), [("0", 0), ("1", 0), ("01", 1), ("10", 0), ("0110111", 3), ("01110", 3), ("00000", 0), ("11111", 4), ("0101", 1)]
)
def test_the_longest_hold_counts_control_steps_and_not_the_row_before_the_first(rows: str, longest: int) -> None:
    assert longest_hold(column(rows)) == longest
    assert [held(column(rows), n) for n in range(1, 6)] == [longest >= n for n in range(1, 6)]


def test_a_break_starts_the_count_again() -> None:
    assert not held(column("0110110"), 3)
    assert held(column("0110111"), 3)


def test_conditions_that_hold_one_after_the_other_do_not_hold_together() -> None:
    assert not held(np.array([[0, 0], [1, 0], [0, 1], [1, 0]], bool), 1)
    assert held(np.array([[0, 0], [1, 0], [1, 1], [1, 0]], bool), 1)


def test_the_counter_and_the_column_agree_on_everything() -> None:
    for length, hold_steps in itertools.product(range(7), range(1, 4)):
        for bits in itertools.product("01", repeat=length):
            counter = HoldCounter(hold_steps)
            answers = [counter.update(row) for row in column("1" + "".join(bits))[1:]]
            assert any(answers) == held(column("1" + "".join(bits)), hold_steps)


def test_the_counter_says_how_long_it_has_been() -> None:
    counter = HoldCounter(2)
    seen = []
    for met in (True, False, True, True):
        counter.update(np.array([met, True]))
        seen.append(counter.in_a_row)
    assert seen == [1, 0, 1, 2]


def test_a_goal_without_conditions_is_refused() -> None:
    with pytest.raises(BadData, match=r"goal_met has shape \(0,\); it must be \(G,\) with at least one goal condition"):
        HoldCounter(1).update(np.zeros(0, bool))
    with pytest.raises(BadData, match=r"goal_met has shape \(3, 0\); it must be \(T \+ 1, G\) with at least one"):
        held(np.zeros((3, 0), bool), 1)
    with pytest.raises(BadData, match="hold_steps is 0; the goal must be held for at least 1 control step"):
        HoldCounter(0)
    with pytest.raises(BadData, match="hold_steps is 0"):
        held(column("01"), 0)


def test_a_trace_is_judged_as_its_rows_are_one_after_the_other(traces: ModuleType) -> None:
    """`decided` skips the rows before anything is met; the judge, who sees them all, must say the same."""
    rng, found = stream(0, "decided"), set()
    for ordered in (False, True) * 200:
        steps = ((traces.predicate("on(mug, plate)"),), (traces.predicate("on(can, plate)"),)) if ordered else ()
        others = ((traces.predicate("lifted(mug)"),), (traces.predicate("on(can, mug)"),))
        spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"), alternatives=others, steps=steps)
        widths, quiet_until = {"goal_met": 2, "alternative_met": 2, "step_met": len(steps)}, int(rng.integers(1, 12))
        columns = {name: rng.random((13, width)) < rng.choice([0.2, 0.6, 0.9]) for name, width in widths.items()}
        for column in columns.values():
            column[1:quiet_until] = False
        judge = Judge(spec, columns["step_met"][0])
        verdicts = (judge.update(*(columns[name][row] for name in widths)) for row in range(1, 13))
        found.add(expected := next((verdict for verdict in verdicts if verdict is not None), None))
        assert decided(spec, columns) == expected
    assert found == {None, "goal", "wrong_goal", "wrong_order"}
