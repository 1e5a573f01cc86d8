"""A table as text that a person reads, and as text that programs read."""

from __future__ import annotations

import csv
import io
import json
import re
from types import ModuleType

import pytest

from vlagym.envs.errors import UnknownName
from vlagym.results.aggregate import Column, Run, Table, aggregate
from vlagym.results.leaderboard import render
from vlagym.results.sheet import FORMATS

COLUMNS = (
    Column(name="success", unit="share", better="higher", kind="rate"),
    Column(name="goal_conditions", unit="share", better="higher", kind="mean", headline=True),
    Column(name="path_length_m", unit="m", better="lower", kind="mean", headline=True),
    Column(name="target_first", unit="share", better="higher", kind="rate", headline=True),
    Column(name="energy_j", unit="J", better="lower", kind="mean"),
    Column(name="drops", unit="1", better="lower", kind="mean", headline=True),
)


@pytest.fixture
def table(traces: ModuleType) -> Table:
    def run(policy: str, successes: int, n: int, errors: int = 0) -> Run:
        results = []
        for i in range(n + errors):
            spec = traces.make_spec(seed=i, instruction="put a_b | c")
            met = i < successes
            measures = {"goal_conditions": float(met), "path_length_m": 1 + i % 5 / 10, "target_first": 1.0 if i % 2 else None, "energy_j": 3.0}
            outcome = "error" if i >= n else "success" if met else "failure"
            results.append(traces.make_result(spec, outcome=outcome, measures={} if i >= n else measures))
        return Run(name=policy, header=traces.make_header(policy=policy), results=results)

    return aggregate([run("minivla", 124, 200, errors=2), run("hold", 0, 10), run("broken_a|b", 0, 0, errors=3)], COLUMNS)


def test_markdown_reads_well_in_a_terminal(table: Table) -> None:
    lines = render(table, "md").splitlines()
    head, rule, first, second, third = lines[:5]
    assert len({len(line) for line in (head, rule, first, second, third)}) == 1
    assert "| minivla     | smoke | 200 |      2 | 62.0 % [55.1, 68.4] | a       |" in first
    assert " 0.0 % [0.0, 27.8] | b       |" in second
    assert r"| broken_a\|b | smoke |   0 |      3 |                   – |         |" in third
    assert rule.split("|")[1:5] == [" ----------- ", " ----- ", " --: ", " -----: "]
    assert "(n = 100)" in first and "(n = 5)" in second
    assert lines[5] == "" and lines[6].startswith("n: episodes that ended in success or failure; errors are in no mean.")


def test_markdown_shows_headline_measures_that_apply(table: Table) -> None:
    head = render(table).splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        *("policy", "suite", "n", "errors", "success", "letters", "goal_conditions", "path_length_m", "target_first")
    ]
    assert "energy_j" in render(table, "md", ["energy_j"]).splitlines()[0]
    with pytest.raises(UnknownName, match="no measure is called 'energy'. Did you mean energy_j"):
        render(table, "md", ["energy"])


def test_numbers_have_as_many_digits_as_they_are_known_to(table: Table) -> None:
    assert re.search(r" 1\.200 \[1\.1[78]\d, 1\.2[12]\d\]", render(table))


def test_equal_values_claim_no_interval(table: Table) -> None:
    assert [line.split("|")[-2].strip() for line in render(table, "md", ["energy_j"]).splitlines()[2:5]] == ["3.00", "3.00", "–"]


def test_rules_are_wide_enough_for_markdown(traces: ModuleType) -> None:
    small = aggregate([Run(name="r", header=traces.make_header(policy="p"), results=[traces.make_result()])], COLUMNS)
    rule = render(small).splitlines()[1]
    assert all(re.fullmatch(r" -{3,} | -{2,}: ", cell) for cell in rule.split("|")[1:-1])


def test_json_is_the_list_of_rows_that_other_programs_read(table: Table) -> None:
    found = json.loads(render(table, "json"))
    assert list(found[0]) == [
        *("policy", "suite", "n", "errors", "success", "success_low", "success_high"),
        *("goal_conditions", "path_length_m", "target_first", "energy_j", "drops"),
    ]
    assert (found[0]["policy"], found[0]["n"], found[0]["errors"], found[0]["success"]) == ("minivla", 200, 2, 0.62)
    assert found[0]["energy_j"] == {"mean": 3.0, "low": 3.0, "high": 3.0, "n": 200}
    assert found[0]["drops"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert found[2]["success"] is None


def test_csv_holds_every_number_in_full(table: Table) -> None:
    found = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert float(found[0]["success"]) == 0.62 and found[0]["target_first_n"] == "100"
    assert found[2]["policy"] == "broken_a|b" and found[2]["success"] == ""


def test_latex_is_escaped(table: Table) -> None:
    text = render(table, "tex")
    assert r"goal\_conditions & path\_length\_m" in text
    assert r"62.0 \% [55.1, 68.4]" in text
    assert text.count(r"\\") == 4 and text.endswith("\\end{tabular}\n")


def test_an_unknown_format_is_answered_with_the_known_ones(table: Table) -> None:
    with pytest.raises(UnknownName, match="no table format is called 'xlsx'. There are: csv, json, md, tex"):
        render(table, "xlsx")
    assert set(FORMATS) == {"md", "csv", "json", "tex"}


def test_the_n_of_spl_is_explained_where_it_is_shown(traces: ModuleType) -> None:
    results = [traces.make_result(traces.make_spec(seed=i), measures={} if i else {"spl_time": 0.5}) for i in range(2)]
    columns = [Column(name="spl_time", unit="share", better="higher", kind="mean", headline=True)]
    text = render(aggregate([Run(name="a", header=traces.make_header(), results=results)], columns), "md")
    assert "50.0 % (n = 1)" in text and "spl_time, spl_path: over the expert's successes alone, which is why their n is smaller" in text
    bare = render(aggregate([Run(name="a", header=traces.make_header(), results=results)], COLUMNS), "md")
    assert "over the expert's successes alone" not in bare
