"""What is counted together, what is kept apart, and what is never counted silently."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlagym.envs.errors import BadData, UnknownName
from vlagym.results.aggregate import CLIPPED_SHARE, SENSITIVITY, Column, Run, Table, aggregate, with_total
from vlagym.results.leaderboard import rows
from vlagym.results.schema import result_from_line, result_to_line
from vlagym.results.store import Store

COLUMNS = (
    Column(name="success", unit="share", better="higher", kind="rate"),
    Column(name="steps", unit="steps", better="lower", kind="mean", headline=True),
    Column(name="target_first", unit="share", better="higher", kind="rate"),
)


def make_run(traces: ModuleType, outcomes: str, *, name: str = "run", first_seed: int = 0, spec: dict[str, Any] | None = None, **header: Any) -> Run:
    """Returns a run whose episodes are spelled: s(uccess), f(ailure), e(rror)."""
    words = {"s": "success", "f": "failure", "e": "error"}
    results = [
        traces.make_result(traces.make_spec(seed=first_seed + i, **(spec or {})), outcome=words[letter]) for i, letter in enumerate(outcomes)
    ]
    return Run(name=name, header=traces.make_header(**header), results=results)


def only_row(table: Table) -> dict[str, Any]:
    (row,) = rows(table)
    return row


def test_errors_stand_beside_n_and_never_in_it(traces: ModuleType) -> None:
    row = only_row(aggregate([make_run(traces, "ssfe")], COLUMNS))
    assert (row["policy"], row["suite"], row["n"], row["errors"]) == ("hold", "smoke", 3, 1)
    assert row["success"] == pytest.approx(2 / 3)
    assert row["steps"] == {"mean": 4.0, "low": 4.0, "high": 4.0, "n": 3}
    assert (row["success_low"], row["success_high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)


def test_a_row_of_errors_only_has_no_rate(traces: ModuleType) -> None:
    row = only_row(aggregate([make_run(traces, "ee")], COLUMNS))
    assert (row["n"], row["errors"], row["success"], row["success_low"]) == (0, 2, None, None)
    assert row["steps"] == {"mean": None, "low": None, "high": None, "n": 0}


def test_a_measure_that_does_not_apply_is_left_out_of_its_mean_with_its_own_n(traces: ModuleType) -> None:
    run = make_run(traces, "")
    results = [
        traces.make_result(traces.make_spec(seed=i), measures={"target_first": value, "steps": steps})
        for i, (value, steps) in enumerate([(1.0, 2.0), (None, None), (0.0, 4.0)])
    ]
    row = only_row(aggregate([Run(name="run", header=run.header, results=results)], COLUMNS))
    assert row["n"] == 3
    assert (row["target_first"]["mean"], row["target_first"]["n"]) == (0.5, 2)
    assert (row["steps"]["mean"], row["steps"]["n"]) == (3.0, 2)


def test_the_order_of_the_episodes_does_not_matter(traces: ModuleType) -> None:
    results = [traces.make_result(traces.make_spec(seed=i), measures={"steps": float(i % 7)}) for i in range(40)]
    header = traces.make_header()
    first, second = (aggregate([Run(name="r", header=header, results=r)], COLUMNS) for r in (results, results[::-1]))
    assert rows(first) == rows(second)


def test_shards_of_one_run_are_pooled(traces: ModuleType) -> None:
    shards = [make_run(traces, "ssf", name="a"), make_run(traces, "sf", name="b", first_seed=100, started="2026-02-02T00:00:00+00:00")]
    assert only_row(aggregate(shards, COLUMNS))["n"] == 5


def test_the_same_episodes_twice_are_two_rows_and_not_twice_the_evidence(traces: ModuleType) -> None:
    found = rows(aggregate([make_run(traces, "ssf", name="monday"), make_run(traces, "sff", name="tuesday")], COLUMNS))
    assert [(r["differs"], r["n"]) for r in found] == [("run=monday", 3), ("run=tuesday", 3)]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"quality": "high"}, {"quality=fast", "quality=high"}),
        ({"robot_looks": {"panda": "menagerie"}}, {"look.panda=gymnasium_robotics", "look.panda=menagerie"}),
        ({"robot_bases": {"g1": ["legs"]}}, {"base.g1=none", "base.g1=legs"}),
        ({"safety": {"mode": "clip"}}, {"safety=off", "safety=clip"}),
        ({"suite": {"name": "smoke", "version": 1, "digest": "b" * 32}}, {"suite.digest=aaaaaaaaaaaa…", "suite.digest=bbbbbbbbbbbb…"}),
        ({"packages": {"vlagym": "0.2.0", "mujoco": "3.17.0", "numpy": "1"}}, {"package.vlagym=0.1.0", "package.vlagym=0.2.0"}),
        (
            {"policy": {"name": "hold", "options": {"horizon": 8}, "card": {}, "privileged": False}},
            {"policy.options.horizon=8", "policy.options.horizon=none"},
        ),
    ],
)
def test_runs_that_differ_in_what_a_score_depends_on_are_not_mixed(traces: ModuleType, change: dict[str, Any], difference: set[str]) -> None:
    plain, other = make_run(traces, "ss"), make_run(traces, "ff", first_seed=50)
    found = rows(aggregate([plain, dataclasses.replace(other, header=dataclasses.replace(other.header, **change))], COLUMNS))
    assert {row["differs"] for row in found} == difference
    assert [row["n"] for row in found] == [2, 2]


def test_what_a_score_does_not_depend_on_does_not_divide(traces: ModuleType) -> None:
    other = make_run(traces, "ff", first_seed=50, packages={"vlagym": "0.1.0", "mujoco": "3.17.0", "numpy": "1.26"}, machine={"cpu": "other"})
    assert only_row(aggregate([make_run(traces, "ss"), other], COLUMNS))["n"] == 4


def test_rows_are_made_by_task_robot_and_axis(traces: ModuleType) -> None:
    results = [
        traces.make_result(traces.make_spec(seed=1, task="stack"), outcome="success"),
        traces.make_result(traces.make_spec(seed=2, task="open_drawer"), outcome="failure"),
        traces.make_result(traces.make_spec(seed=3, task="stack", axes=(("light", 2), ("blank", 1))), outcome="failure"),
    ]
    run = Run(name="run", header=traces.make_header(), results=results)
    assert [(r["task"], r["n"]) for r in rows(aggregate([run], COLUMNS, ["task"]))] == [("open_drawer", 1), ("stack", 1)]
    assert [(r["axis"], r["n"]) for r in rows(aggregate([run], COLUMNS, ["axis"]))] == [("blank:1 + light:2", 1), ("none", 2)]
    both = rows(aggregate([run], COLUMNS, ["robot", "task"]))
    assert [(r["robot"], r["task"], r["n"]) for r in both] == [("panda", "open_drawer", 1), ("panda", "stack", 1)]
    assert [list(r)[:3] for r in rows(aggregate([run], COLUMNS, ["policy"]))] == [["policy", "suite", "n"]]
    with pytest.raises(UnknownName, match="no grouping is called 'tasks'. Did you mean task"):
        aggregate([run], COLUMNS, ["tasks"])


def test_the_best_policy_stands_first(traces: ModuleType) -> None:
    runs = [make_run(traces, o, policy=p) for p, o in (("uniform", "fff"), ("minivla", "ssf"), ("broken", "eee"), ("expert", "sss"), ("hold", "fff"))]
    assert [r["policy"] for r in rows(aggregate(runs, COLUMNS))] == ["expert", "minivla", "hold", "uniform", "broken"]


def test_an_unfinished_run_is_said_to_be_one(traces: ModuleType) -> None:
    table = aggregate([make_run(traces, "ssf", name="monday", episodes=30)], COLUMNS)
    assert table.notes == ("monday: 3 of 30 episodes are stored; the row is of an unfinished run",)
    assert aggregate([make_run(traces, "ssf", episodes=3)], COLUMNS).notes == ()


def test_a_run_of_more_episodes_than_it_has_is_not_said_to_be_unfinished(traces: ModuleType) -> None:
    (told,) = aggregate([make_run(traces, "ssf", name="monday", episodes=2)], COLUMNS).notes
    assert told == "monday: 3 episodes are stored where the run has 2; lines of another run are among them and counted"


def test_a_privileged_policy_is_said_to_be_one(traces: ModuleType) -> None:
    table = aggregate([make_run(traces, "s", policy="expert"), make_run(traces, "s")], COLUMNS)
    assert table.notes == ("expert reads the true state of the scene: it bounds what a policy that sees pixels can reach",)


def test_an_unknown_measure_is_left_out_and_named(traces: ModuleType) -> None:
    run = Run(name="run", header=traces.make_header(), results=[traces.make_result(measures={"jerk": 1.0, "steps": 3.0})])
    table = aggregate([run], COLUMNS)
    assert table.notes == ("left out, for no metric of this installation is called so: jerk",)
    assert "jerk" not in table.frame.columns


def test_a_rate_that_is_none_is_refused(traces: ModuleType) -> None:
    run = Run(name="run", header=traces.make_header(), results=[traces.make_result(measures={"target_first": 0.5})])
    with pytest.raises(BadData, match="the measure 'target_first' is a rate and holds 0.5; a rate is 0 or 1"):
        aggregate([run], COLUMNS)


def test_no_runs_make_no_table() -> None:
    with pytest.raises(BadData, match="a table needs at least one run folder"):
        aggregate([], COLUMNS)


def test_a_run_is_loaded_from_its_folder(traces: ModuleType, tmp_path: Path) -> None:
    with Store.create(tmp_path / "monday", traces.make_header()) as store:
        store.append(traces.make_result(outcome="error"), None)
        store.append(traces.make_result(attempt=2), None)
    row = only_row(aggregate([Run.load(tmp_path / "monday")], COLUMNS))
    assert (row["n"], row["errors"]) == (1, 0)


def test_a_total_stands_below_the_groups(traces: ModuleType) -> None:
    stack = make_run(traces, "ss", spec={"task": "stack"})
    both = dataclasses.replace(stack, results=[*stack.results, *make_run(traces, "f", spec={"task": "place_on"}).results])
    whole = with_total(aggregate([both], COLUMNS, ["task"]), aggregate([both], COLUMNS), "task")
    assert [(row["task"], row["n"]) for row in rows(whole)] == [("place_on", 1), ("stack", 2), ("all", 3)]


def clipped_run(traces: ModuleType, *clipped_of_4: int | None, outcome: str = "failure") -> Run:
    """Returns a run of episodes of 4 steps, of each of which so many were clipped; None: nothing may be."""
    results = [traces.make_result(traces.make_spec(seed=i), outcome=outcome, clipped_steps=n) for i, n in enumerate(clipped_of_4)]
    return Run(name="run", header=traces.make_header(), results=results)


def test_a_policy_whose_actions_are_clipped_in_a_fifth_of_its_steps_is_told(traces: ModuleType) -> None:
    (note,) = aggregate([clipped_run(traces, 4, 4, 4, 3)], COLUMNS).notes
    assert note == "smoke: policy hold: 94 % of its steps asked for more than its range and were clipped: are its actions un-normalised?"
    assert aggregate([clipped_run(traces, 1, 1, 1, 1, 0)], COLUMNS).notes == (note.replace("94", "20"),)
    assert aggregate([clipped_run(traces, 1, 1, 1, 0, 0)], COLUMNS).notes == (), "3 of 20"
    assert aggregate([clipped_run(traces, None, None)], COLUMNS).notes == (), "nothing may be clipped"
    errors = aggregate([clipped_run(traces, 4, outcome="error")], COLUMNS).notes
    assert any("100 % of its steps" in text for text in errors), "an episode that ended in an error counts as far as it went"


def test_the_share_of_clipped_steps_is_a_measure_for_machines(traces: ModuleType) -> None:
    column = Column(name=CLIPPED_SHARE, unit="share", better="lower", kind="mean")
    row = only_row(aggregate([clipped_run(traces, 4, 0, None)], [*COLUMNS, column]))
    assert (row[CLIPPED_SHARE]["mean"], row[CLIPPED_SHARE]["n"]) == (0.5, 2)


def test_a_table_says_that_a_safety_filter_stood_before_the_robot(traces: ModuleType) -> None:
    (note,) = aggregate([make_run(traces, "ss", safety={"mode": "stop", "limits": {}})], COLUMNS).notes
    assert note == "between hold and the robot stood a safety filter, which ended the episode at what was not allowed (--safety stop)"


def test_a_fixed_base_is_called_so_beside_another_one(traces: ModuleType) -> None:
    on_legs = make_run(traces, "ss", first_seed=50, robot_looks={"g1": "shell"}, robot_bases={"g1": ["legs"]})
    found = rows(aggregate([make_run(traces, "ss", robot_looks={"g1": "shell"}), on_legs], COLUMNS))
    assert {row["differs"] for row in found} == {"base.g1=fixed", "base.g1=legs"}


def test_a_row_that_counts_several_bodies_or_bases_says_so(traces: ModuleType) -> None:
    gliding = make_run(traces, "ss", spec={"robot": "g1"}, robot_looks={"g1": "shell"}, robot_bases={"g1": ["fixed", "planar"]})
    (note,) = aggregate([gliding], COLUMNS).notes
    assert note == "smoke counts episodes of several bodies or bases together: g1 (fixed, planar)"
    both = dataclasses.replace(gliding, results=[*gliding.results, *make_run(traces, "s").results])
    (note,) = aggregate([both], COLUMNS).notes
    assert note.endswith("together: g1 (fixed, planar), panda (fixed); --by robot gives each robot a row")


def test_what_moves_two_hands_is_part_of_what_a_row_stands_for(traces: ModuleType) -> None:
    def made_with(mink: str, part: str, first_seed: int) -> Run:
        conventions = {"environments": [{"action": {"components": [{"name": part}]}}]}
        return make_run(traces, "ss", first_seed=first_seed, packages={"vlagym": "0.1.0", "mujoco": "3.17.0", "mink": mink}, conventions=conventions)

    two_hands = rows(aggregate([made_with("1.0", "left_hand", 0), made_with("1.1", "left_hand", 50)], COLUMNS))
    assert {row["differs"] for row in two_hands} == {"package.mink=1.0", "package.mink=1.1"}
    assert only_row(aggregate([made_with("1.0", "gripper", 0), made_with("1.1", "gripper", 50)], COLUMNS))["n"] == 4


def test_rows_are_made_by_base_level_and_axis_name(traces: ModuleType) -> None:
    results = [
        traces.make_result(traces.make_spec(seed=1, robot_base="planar", level="indirect")),
        traces.make_result(traces.make_spec(seed=2, axes=(("camera", 2),))),
        traces.make_result(traces.make_spec(seed=3, axes=(("camera", 5),)), level=None),
    ]
    run = Run(name="run", header=traces.make_header(), results=results)
    assert [(r["base"], r["n"]) for r in rows(aggregate([run], COLUMNS, ["base"]))] == [("fixed", 2), ("planar", 1)]
    assert [(r["level"], r["n"]) for r in rows(aggregate([run], COLUMNS, ["level"]))] == [("indirect", 1), ("plain", 1), ("unknown", 1)]
    assert [(r["axis_name"], r["n"]) for r in rows(aggregate([run], COLUMNS, ["axis_name"]))] == [("camera", 2), ("none", 1)]
    assert [list(r)[:3] for r in rows(aggregate([run], COLUMNS, ["suite"]))] == [["policy", "suite", "n"]]


def test_a_line_without_base_and_level_is_read_as_it_was_written(traces: ModuleType) -> None:
    line = json.loads(result_to_line(traces.make_result()))
    assert (line.pop("robot_base"), line.pop("level")) == ("fixed", "plain")
    old = result_from_line(json.dumps(line))
    assert (old.robot_base, old.level) == ("fixed", None)


def test_errors_say_what_they_could_change(traces: ModuleType) -> None:
    table = aggregate([make_run(traces, "ssfe")], COLUMNS)
    assert table.notes == ("hold on smoke: 1 of 4 episodes ended in an error; if these were failures, success would be 50.0 % [15.0, 85.0]",)
    harsh = aggregate([make_run(traces, "ssfe")], COLUMNS, errors_as_failures=True)
    row = only_row(harsh)
    assert (row["n"], row["errors"], row["success"], row["steps"]["n"]) == (4, 1, 0.5, 3)
    (note,) = harsh.notes
    assert note == "hold on smoke: 1 of 4 episodes ended in an error and count as failures here; without them success is 66.7 % [20.8, 93.9]"


def test_the_sensitivity_is_a_measure_like_others(traces: ModuleType) -> None:
    row = only_row(aggregate([make_run(traces, "ssfe")], [Column(name=SENSITIVITY, unit="share", better="higher", kind="rate"), *COLUMNS]))
    assert row["success"] == pytest.approx(2 / 3) and row[SENSITIVITY]["mean"] == 0.5 and row[SENSITIVITY]["n"] == 4


def run_of(traces: ModuleType, episodes: dict[tuple[tuple[str, int], ...], str], **header: Any) -> Run:
    """Returns a run with so many episodes of each variation, () for none, spelled as in `make_run`."""
    made = [make_run(traces, text, first_seed=100 * i, spec={"axes": axes}).results for i, (axes, text) in enumerate(episodes.items())]
    return Run(name="run", header=traces.make_header(**header), results=[r for of in made for r in of])


CAMERA, BLANK, WRONG = (("camera", 2),), (("blank", 1),), (("wrong", 1),)


def test_success_and_measures_are_of_the_unvaried_episodes_and_the_rest_is_counted_in_a_note(traces: ModuleType) -> None:
    run = run_of(traces, {(): "ssf", CAMERA: "ff", BLANK: "ee", WRONG: "s"})
    table = aggregate([run], COLUMNS)
    row = only_row(table)
    assert (row["n"], row["errors"], row["success"], row["steps"]["n"]) == (3, 0, pytest.approx(2 / 3), 3)
    assert list(row)[:4] == ["policy", "suite", "n", "errors"] and table.leaves_out
    assert table.notes == (
        "smoke: the numbers are of its unvaried episodes; 5 varied episodes are in none of them (3 with control sentences), "
        "but in gaps and language use",
    )
    by_axis = aggregate([run], COLUMNS, ["axis"])
    assert [(r["axis"], r["n"], r["errors"]) for r in rows(by_axis)] == [("blank:1", 0, 2), ("camera:2", 2, 0), ("none", 3, 0), ("wrong:1", 1, 0)]
    assert by_axis.notes == ("hold on smoke: 2 of 8 episodes ended in an error; each row says how many of its own",)


def test_obeying_a_contradictory_sentence_costs_no_letter(traces: ModuleType) -> None:
    obeys = run_of(traces, {(): "s" * 8, WRONG: "f" * 8}, policy="obeys")
    ignores = run_of(traces, {(): "s" * 8, WRONG: "s" * 8}, policy="ignores")
    assert [r["success"] for r in rows(aggregate([obeys, ignores], COLUMNS))] == [1.0, 1.0]
    assert aggregate([obeys, ignores], COLUMNS).letters == ("a", "a")
    assert aggregate([obeys, ignores], COLUMNS, ["axis_name"]).letters == ("a", "a", "a", "b")


def test_a_row_of_episodes_that_are_varied_alike_says_how(traces: ModuleType) -> None:
    plain, camera = make_run(traces, "ss", policy="plain"), run_of(traces, {(("lighting", 1), ("camera", 2)): "sf"}, policy="camera")
    found = rows(aggregate([plain, camera], COLUMNS))
    assert [(r["policy"], r["varied"]) for r in found] == [("plain", ""), ("camera", "camera=2 + lighting=1")]
    assert only_row(aggregate([run_of(traces, {BLANK: "sf"})], COLUMNS))["varied"] == "blank=1"
    assert "varied" not in only_row(aggregate([camera], COLUMNS, ["axis"]))


def test_a_row_without_unvaried_episodes_mixes_no_control_into_its_success(traces: ModuleType) -> None:
    row = only_row(aggregate([run_of(traces, {CAMERA: "ss", (("mass", 3),): "s", BLANK: "ff"})], COLUMNS))
    assert (row["n"], row["success"], row["varied"]) == (3, 1.0, "camera=2, mass=3")
    assert only_row(aggregate([run_of(traces, {WRONG: "ss", BLANK: "ff"})], COLUMNS))["success"] is None


def test_a_total_of_tasks_of_which_one_is_varied_only_has_every_column(traces: ModuleType) -> None:
    stack, pour = run_of(traces, {(): "ss", CAMERA: "ff"}), make_run(traces, "ff", first_seed=900, spec={"task": "pour", "axes": CAMERA})
    both = dataclasses.replace(stack, results=[*stack.results, *pour.results])
    whole = with_total(aggregate([both], COLUMNS, ["task"]), aggregate([both], COLUMNS), "task")
    assert [(r["task"], r["varied"], r["n"]) for r in rows(whole)] == [("place_on", "", 2), ("pour", "camera=2", 2), ("all", "", 2)]


def test_letters_stand_beside_the_rows_and_below_a_total(traces: ModuleType) -> None:
    good, poor = make_run(traces, "s" * 12, policy="good"), make_run(traces, "f" * 12, policy="poor")
    by_task = aggregate([good, poor], COLUMNS, ["task"])
    assert by_task.letters == ("a", "b")
    assert with_total(by_task, aggregate([good, poor], COLUMNS), "task").letters == ("a", "b", "a", "b")
    assert aggregate([good], COLUMNS).letters == ()
