"""Sheets of gaps, language use, failures, tasks and axes, in every format of text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from vlagym.envs.errors import BadData, UnknownName
from vlagym.results import pivot, sections
from vlagym.results.compositions import compositions
from vlagym.results.failures import failures
from vlagym.results.gaps import gaps
from vlagym.results.intervals import MeanInterval
from vlagym.results.language_use import language_use
from vlagym.results.pooling import Run
from vlagym.results.sheet import Sheet, p_text, percent, points, render

MakeRun = Callable[..., Run]
CAMERA, WRONG = (("camera", 1),), (("wrong", 1),)


@pytest.fixture
def run(paired_run: MakeRun) -> Run:
    return paired_run({CAMERA: "ss sf sf se", WRONG: "sf sf ss ss"}, task=("stack", "pour"), measures={"chance": 0.5})


def cells(sheet: Sheet) -> list[dict[str, str]]:
    return [dict(zip(sheet.head, row, strict=True)) for row in sheet.body]


def test_gaps_are_read_in_points_with_their_pairs(run: Run) -> None:
    sheet = sections.gap_sheet(gaps([run]))
    (row,) = cells(sheet)
    assert (row["axis"], row["pairs"], row["left out"], row["unvaried"][:7], row["varied"][:6]) == ("camera", "3", "1", "100.0 %", "33.3 %")
    assert row["gap (points)"].startswith("-66.7 [") and (row["p"], row["p (Holm)"], row["lost"], row["won"]) == ("0.500", "0.500", "2", "0")
    assert sheet.notes == (
        "hold on smoke: 1 pair is left out for an error; as failures, errors would move most camera by -8.3 points",
        "the row is of fewer than 10 pairs: too few to conclude from",
    )
    (record,) = sheet.records
    assert record["gap"]["mean"] == pytest.approx(-2 / 3) and (record["level"], record["p_holm"], record["errors"]) == (None, 0.5, 1)
    assert "hold is the floor" in sheet.legend[-1]


def test_csv_and_json_hold_the_numbers_behind(run: Run) -> None:
    levels = sections.gap_sheet(gaps([run], "level"))
    (row,) = csv.DictReader(io.StringIO(render([levels], "csv")))
    assert (row["level"], row["gap_n"], row["unpaired"]) == ("1", "3", "0") and float(row["gap"]) == pytest.approx(-2 / 3)
    assert json.loads(render([levels], "json"))[0]["level"] == 1
    both = json.loads(render([levels, sections.language_sheet(language_use([run]))], "json"))
    assert list(both) == ["gaps", "language_use"] and both["language_use"][0]["arm"] == "wrong"
    with pytest.raises(BadData, match="a CSV file holds one table, and 2 are asked for: gaps, gaps. Ask for one at a time"):
        render([levels, levels], "csv")
    with pytest.raises(UnknownName, match="no table format is called 'xml'"):
        render([levels], "xml")


def test_language_use_stands_beside_its_bound(run: Run) -> None:
    (row,) = cells(sections.language_sheet(language_use([run])))
    assert (row["pairs"], row["1/k"]) == ("4", "50.0 %")
    assert row["language use"].startswith("+50.0 [") and row["right - wrong"].startswith("+50.0 [")


def test_tasks_stand_across_and_only_unvaried_episodes_are_counted(run: Run, paired_run: MakeRun) -> None:
    other = paired_run({CAMERA: "fs ff es ff"}, task=("stack", "pour"), policy="uniform", name="other")
    sheet = pivot.tasks_sheet([run, other])
    assert sheet.legend[-1].startswith("hold and uniform are the floor: they look at nothing")
    assert sheet.head == ("policy", "suite", "pour (n = 2)", "stack (n = 2)", "all (n = 4)", "letters")
    first, second = sheet.body
    assert first[:2] == ("hold", "smoke") and first[2].startswith("100 [") and first[4].startswith("100 [")
    assert second[0] == "uniform" and second[3].startswith("0 [") and second[3].endswith("(n = 1) +1e")
    assert "Only unvaried episodes are counted; what variations cost: --columns axes." in sheet.legend
    assert sheet.notes == ("uniform on smoke: 1 error; as failures, all would be 0.0 % [0.0, 49.0]",)


def test_axes_stand_across_with_a_mark_where_holm_leaves_a_difference(paired_run: MakeRun) -> None:
    run = paired_run({CAMERA: " ".join(["sf"] * 12), (("mass", 1),): " ".join(["ss"] * 12)})
    (row,) = cells(pivot.axes_sheet([run]))
    assert row["camera (n = 12)"].startswith("-100 [") and row["camera (n = 12)"].endswith("]*")
    assert row["mass (n = 12)"].startswith("0 [") and "*" not in row["mass (n = 12)"]
    with pytest.raises(BadData, match="there is no axis in these runs: a gap takes varied episodes beside their unvaried twins"):
        pivot.axes_sheet([paired_run({WRONG: "sf"})])


def test_failure_modes_are_shares_of_all_that_ended_and_of_unvaried_episodes_alone(paired_run: MakeRun) -> None:
    run = paired_run({CAMERA: "fs ff ss se", WRONG: "ff ff ss ss"}, task=("stack", "pour"))
    sheet = sections.failure_sheet(failures([run], ["task"]), ["task"])
    assert sheet.head == ("policy", "suite", "task", "n", "errors", "success", "dropped")
    assert [row[2:5] + row[6:] for row in sheet.body] == [("pour", "2", "0", "50.0 %"), ("stack", "2", "0", "50.0 %")]
    by_axis = sections.failure_sheet(failures([run], ["axis_name"]), ["axis_name"])
    shares = {row[2]: row[3:5] + row[6:] for row in by_axis.body}
    assert shares == {"camera": ("3", "1", "33.3 %"), "none": ("4", "0", "50.0 %"), "wrong": ("4", "0", "50.0 %")}


def test_what_no_run_holds_is_said(paired_run: MakeRun) -> None:
    lonely = paired_run({CAMERA: "-s -f"})
    with pytest.raises(BadData, match="these runs tell of no compositional gap"):
        sections.composition_sheet(compositions([lonely]))
    with pytest.raises(BadData, match="these runs tell of no language use: that takes control arms"):
        sections.language_sheet(language_use([lonely]))
    (row,) = cells(sections.gap_sheet(gaps([lonely])))
    assert (row["pairs"], row["gap (points)"], row["p"]) == ("0", "–", "–")


def test_names_from_a_run_break_no_format(paired_run: MakeRun) -> None:
    sheet = sections.gap_sheet(gaps([paired_run({CAMERA: "ss"}, policy="a|b_{c}\n\\$x$")]))
    markdown = render([sheet], "md").splitlines()
    assert len(markdown[0]) == len(markdown[2]) and r"a\|b_{c} \$x$" in markdown[2]
    latex = render([sheet], "tex")
    assert r"a|b\_\{c\} \textbackslash{}\$x\$" in latex and latex.count(r"\\") == 2
    assert "\n{}[2mm] & smoke" in render([sections.gap_sheet(gaps([paired_run({CAMERA: "ss"}, policy="[2mm]")]))], "tex")


def test_numbers_are_written_as_they_are_read() -> None:
    assert percent(MeanInterval(0.5, 0.25, 0.75, 4)) == "50.0 % [25.0, 75.0]" and percent(MeanInterval(None, None, None, 0)) == "–"
    assert points(MeanInterval(0.031, -0.001, 0.1, 4)) == "+3.1 [-0.1, 10.0]" and points(MeanInterval(-0.0001, None, None, 4)) == "0.0"
    assert [p_text(p) for p in (0.0001, 0.0123, 1.0, None)] == ["< 0.001", "0.012", "1", "–"]


def test_long_names_are_clipped_with_a_legend_and_told_apart(paired_run: MakeRun) -> None:
    names = [("n" * 100) + end for end in "ab"]
    sheet = sections.gap_sheet(gaps([paired_run({CAMERA: "ss"}, policy=name, name=name) for name in names]))
    for format_name in ("md", "tex"):
        rows = [line for line in render([sheet], format_name).splitlines() if line.lstrip("| ").startswith("nnn") and "smoke" in line]
        assert len(set(rows)) == 2 and all(len(row) < 200 for row in rows)
    assert f"{'n' * 47}…2 is {names[1]}" in render([sheet], "md")
    assert names[0] in render([sheet], "csv")
    assert f"{'n' * 47}\\dots{{}}2 & smoke" in render([sheet], "tex")


def test_letters_that_latex_has_no_glyph_for_are_told_by_their_number_there_alone(paired_run: MakeRun) -> None:
    sheet = sections.gap_sheet(gaps([paired_run({CAMERA: "ss"}, policy="\N{ROBOT FACE}")]))
    latex, markdown = render([sheet], "tex"), render([sheet], "md")
    (row,) = [line for line in latex.splitlines() if line.endswith(r"\\") and "smoke" in line]
    assert row.startswith("U+1F916 & smoke & camera & 1 & ") and "\N{ROBOT FACE}" not in latex
    assert "| \N{ROBOT FACE} " in markdown and "U+1F916" not in markdown


def test_many_axes_stand_down_and_policies_across_the_best_first(paired_run: MakeRun) -> None:
    axes = [((f"axis{i}", 1),) for i in range(9)]
    poor, good = paired_run(dict.fromkeys(axes, "ff fs"), policy="a", name="a"), paired_run(dict.fromkeys(axes, "ss sf"), policy="b", name="b")
    sheet = pivot.axes_sheet([poor, good])
    assert sheet.head == ("axis", "n", "b", "a") and len(sheet.body) == 9 and sheet.body[0][:2] == ("axis0", "2")
    assert [record["policy"] for record in sheet.records] == ["b", "a"], "machines read a record for each policy, as ever"
