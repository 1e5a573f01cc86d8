"""Axes of images, of delay, and of everything at once; and how axes are proved."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vlagym.benchmark import axis_proof, axis_table, check, cli
from vlagym.benchmark.axes import all as everything
from vlagym.benchmark.axis import Axis, NotApplicable, Unfit, vary, vary_all
from vlagym.benchmark.axis_proof import Case, Finding, Prover, Scope, examine
from vlagym.benchmark.check import Note
from vlagym.benchmark.checks.axis import complaints
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec

LEVELS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def twin() -> EpisodeSpec:
    return sample("place_on", seed=900_000)


# ------------------------------------------------------------------------------------------------------------------------ the axes
def test_images_get_worse_from_level_to_level_and_at_last_a_camera_stands_still(twin: EpisodeSpec) -> None:
    sensing = [vary(twin, "sensor_noise", level).sensing for level in LEVELS]
    for name, order in (("blur_px", 1), ("noise_std", 1), ("dropped_share", 1), ("jpeg_quality", -1)):
        values = [order * getattr(one, name) for one in sensing]
        assert values == sorted(values) and values[0] < values[-1], name
    assert [one.frozen_camera for one in sensing[:-1]] == [None] * 4
    assert sensing[-1].frozen_camera in ("front", "wrist") and 1.0 <= sensing[-1].frozen_from_s <= 4.0


def test_a_camera_freezes_that_a_policy_of_the_body_looks_through() -> None:
    frozen = {vary(sample("touch_with", seed=seed), "sensor_noise", 5).sensing.frozen_camera for seed in range(900_000, 900_006)}
    assert frozen <= {"head", "left_wrist", "right_wrist"} and len(frozen) > 1


def test_blur_is_as_wide_in_images_of_any_size(twin: EpisodeSpec) -> None:
    small = dataclasses.replace(twin.scene, cameras=tuple(dataclasses.replace(c, width=128, height=128) for c in twin.scene.cameras))
    assert vary(dataclasses.replace(twin, scene=small), "sensor_noise", 3).sensing.blur_px == vary(twin, "sensor_noise", 3).sensing.blur_px / 2


def test_latency_delays_actions_and_says_by_how_much(twin: EpisodeSpec) -> None:
    assert [vary(twin, "latency", level).action_delay_steps for level in LEVELS] == [1, 2, 3, 4, 6]
    assert catalog.load("axis", "latency").tells[4] == "each action is executed 6 control steps after it was sent (300 ms at 20 Hz)"


def test_everything_at_once_is_every_axis_but_controls_and_those_of_safety(twin: EpisodeSpec) -> None:
    axes = {name: catalog.load("axis", name) for name in everything.PARTS}
    rest = {name: catalog.load("axis", name).group for name in catalog.names("axis") if name not in axes}
    assert set(rest.values()) == {"all", "control", "safety"}
    ranks = [axis.rank for axis in axes.values()]
    assert ranks == sorted(ranks)
    assert {field for axis in axes.values() for field in axis.changes} == set(everything.AXIS.changes)
    varied = vary(twin, "all", 2)
    assert varied.axes == (("all", 2),) and varied.base == twin.digest()
    for field in ("scene", "robot_qpos", "sensing", "action_delay_steps", "instruction"):
        assert getattr(varied, field) != getattr(twin, field), field
    assert varied.sensing == vary(twin, "sensor_noise", 2).sensing  # the same draw as alone


def test_everything_at_once_leaves_out_what_cannot_vary_an_episode(twin: EpisodeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def reluctant(spec: EpisodeSpec, name: str, level: int) -> EpisodeSpec:
        tried.append(name)
        if name != "latency":
            raise NotApplicable("not in this episode")
        return vary(spec, name, level)

    monkeypatch.setattr(everything, "vary", reluctant)
    varied = vary(twin, "all", 3)
    assert varied.action_delay_steps == 3 and varied.scene == twin.scene
    assert set(tried) == set(everything.PARTS)  # each of a pair is tried where the other one cannot


def test_images_delay_and_words_come_in_one_order_whichever_way_they_are_given(twin: EpisodeSpec) -> None:
    one, other = (vary_all(twin, given) for given in ([("latency", 2), ("sensor_noise", 1)], [("sensor_noise", 1), ("latency", 2)]))
    assert one == other and one.axes == (("sensor_noise", 1), ("latency", 2)) and one.base == twin.digest()


# ----------------------------------------------------------------------------------------------------------------------- the proof
def _axis(**changes: object) -> Axis:
    fields: dict[str, object] = {"levels": (0, 1), "tells": ("something",), "group": "timing", "changes": ("action_delay_steps",)}
    return Axis(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Axis], Finding]:
    """Returns a function that examines an axis in one episode and returns the finding."""

    def judge(axis: Axis) -> Finding:
        load = catalog.load
        monkeypatch.setattr(catalog, "load", lambda kind, name: axis if (kind, name) == ("axis", "mine") else load(kind, name))
        (finding,) = examine(Case("mine", "press_button", "default", 900_000, (1,), (1,)))
        return finding

    return judge


def test_what_an_axis_breaks_is_said_in_words(judged: Callable[[Axis], Finding]) -> None:
    calls: list[int] = []

    def unsteady(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
        calls.append(level)
        return replace(spec, action_delay_steps=len(calls))

    def lying(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
        from vlagym.envs.language.sentences import say

        other = say(replace(spec, goal=spec.alternatives[0], steps=()), rng, split="seen", level="plain")
        return replace(spec, instruction=other.text)

    assert judged(_axis(apply=lambda spec, level, rng: replace(spec, action_delay_steps=2))).fate == "solved"
    assert "it changes nothing: raise NotApplicable" in judged(_axis(apply=lambda spec, level, rng: spec)).told
    assert "two different episodes: draw only from the generator" in judged(_axis(apply=unsteady)).told
    hasty = _axis(apply=lambda spec, level, rng: replace(spec, horizon_s=1.0))
    assert "changed 'horizon_s' and declares only: action_delay_steps" in judged(hasty).told
    assert "it raises ZeroDivisionError" in judged(_axis(apply=lambda spec, level, rng: 1 // 0)).told
    garbling = _axis(group="noise", changes=("instruction",), apply=lying)
    assert "its sentence asks for another goal" in judged(garbling).told


def test_what_cannot_be_varied_is_no_fault_and_is_counted(judged: Callable[[Axis], Finding]) -> None:
    def never(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
        raise NotApplicable("it has no such thing")

    def unfit(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
        raise Unfit("no room")

    assert (judged(_axis(apply=never)).fate, judged(_axis(apply=never)).told) == ("not applicable", "it has no such thing")
    finding = judged(_axis(apply=unfit))
    assert finding.fate == "not found" and "40x no room" in finding.told


def test_an_episode_that_the_expert_does_not_solve_is_named_and_many_of_them_are_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    def played(case: Case) -> list[Finding]:
        fate: axis_proof.Fate = ("failed", "solved", "not applicable")[case.seed % 3]
        return [Finding(task=case.task, seed=case.seed, level=1, fate=fate, told="why", time_s=2.0)]

    monkeypatch.setattr(axis_proof, "examine", played)

    def told(num_seeds: int) -> list[object]:
        return list(Prover().complaints("blank", Scope(tasks=("stack",), num_seeds=num_seeds)))

    few = told(3)
    assert few[0] == "stack, seed 900000, level 1: the expert does not solve it: why" and isinstance(few[0], Note)
    assert few[1] == {
        "axis": "blank", "level": 1, "episodes": 3, "played": 2, "solved": 1, "not_applicable": 1, "not_found": 0, "p95_s": 2.0, "wall_s": 0.0
    }  # fmt: skip
    assert "level 1: the expert solves 4 of 8, and must solve 95%: make the level easier" in told(12)


def test_episodes_that_differ_in_words_light_and_images_are_played_once(twin: EpisodeSpec) -> None:
    alike = [vary(twin, name, level) for name, level in (("sensor_noise", 3), ("lighting", 5), ("blank", 1), ("paraphrase", 4))]
    assert {axis_proof.performed(spec) for spec in alike} == {axis_proof.performed(twin)}
    others = [vary(twin, name, 5) for name in ("latency", "friction", "robot_state", "camera", "layout")]
    assert len({axis_proof.performed(spec) for spec in others} - {axis_proof.performed(twin)}) == 5


def test_the_table_has_a_line_for_each_axis_and_a_column_for_each_level() -> None:
    row = {"played": 10, "solved": 9, "not_applicable": 1, "not_found": 2}
    cells = (("a", 1, 3.0), ("a", 2, 4.25), ("b", 1, None))
    rows = [{"axis": axis, "level": level, **row, "p95_s": p95_s} for axis, level, p95_s in cells]
    columns, lines = axis_proof.pivot(rows)
    assert columns == ["axis", "level 1", "level 2", "n/a", "not found", "p95_s"]
    assert lines == [["a", "9/10", "9/10", 2, 4, "4.2"], ["b", "9/10", "", 1, 2, ""]]


def test_the_command_proves_an_axis_on_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "axis:latency", "--seeds", "1", "--task", "press_button", "--level", "5", "--workers", "1", "--json"]
    assert cli.main(words) == cli.DONE
    (verdict,) = json.loads(capsys.readouterr().out)
    (row,) = verdict["rows"]
    assert (verdict["name"], row["level"], row["episodes"], row["solved"]) == ("latency", 5, 1, 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["metric:steps", "--seeds", "2"], "--seeds says on what an axis is proved, and no axis is named"),
        (["axis:blank", "--level", "3"], "none of the axes has a level 3: blank"),
        (["axis:blank", "--level", "0"], "level 0 is the identity"),
        (["axis:blank", "--seeds", "0"], "at least 1 seed, not 0"),
        (["axis:blank", "--task", "stak"], "no task is called 'stak'. Did you mean stack"),
        (["axis:blank", "--task", "stack", "--robot", "g1"], "'stack' is not done with 'g1', but with: panda, jaco"),
    ],
)
def test_the_command_says_what_cannot_be_proved(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *words]) == 2
    assert error in capsys.readouterr().err


def test_a_scope_without_seeds_is_refused() -> None:
    with pytest.raises(BadData, match="at least 1 seed"):
        Scope(tasks=("stack",), num_seeds=0)
    assert check.check("axis", "blank", lambda name: iter(["wrong", Note("told")])).notes == ("told",)


# ------------------------------------------------------------------------------------------------------------------------ the page
PAGE = Path(__file__).resolve().parents[2] / "docs" / "axes.md"


def test_the_page_has_every_axis_with_a_line_for_each_level() -> None:
    table = axis_table.markdown().splitlines()
    assert table[0] == "| group | axis | level | what it does |"
    assert "| timing | `latency` | 1 | each action is executed 1 control step after it was sent (50 ms at 20 Hz) |" in table
    page = PAGE.read_text(encoding="utf-8")
    for name in catalog.names("axis"):
        assert f"| `{name}` | 1 |" in page, "make its table anew with vlagym.benchmark.axis_table.markdown()"


def test_the_axis_that_the_page_writes_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n# haste.py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "haste.py").write_text(blocks[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    scope = Scope(tasks=("touch",), num_seeds=1, is_brief=True)
    verdict = check.check("axis", "haste:AXIS", lambda name: complaints(name, scope))
    assert verdict.complaints == () and [(row["level"], row["solved"]) for row in verdict.rows] == [(1, 0), (5, 1)]


def test_what_the_expert_has_done_is_remembered_of_the_latest_episodes_only(twin: EpisodeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []

    def play(world: object, spec: EpisodeSpec, policy: object) -> SimpleNamespace:
        played.append(spec.seed)
        return SimpleNamespace(result=spec.seed)

    monkeypatch.setattr("vlagym.benchmark.episode.play_episode", play)
    monkeypatch.setattr(axis_proof, "_PERFORMANCES", 2)
    known: dict[str, object] = {}
    monkeypatch.setattr(axis_proof, "_performances", lambda: known)
    for seed in (1, 2, 2, 3, 3, 1):
        found: object = axis_proof._played(replace(twin, seed=seed))
        assert found == seed
        assert len(known) <= 2
    assert played == [1, 2, 3, 1]
