"""What may stand in one row, and that nothing unlike stands in one column silently."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest

from vlagym.results.aggregate import aggregate
from vlagym.results.leaderboard import rows
from vlagym.results.pooling import METRICS, Run, pools, renderer_class
from vlagym.results.schema import RUN_SCHEMA

SEES = {"policy": {"observation": {"images": [{"name": "front"}]}}}


def run_of(traces: ModuleType, policy: str = "hold", *, first_seed: int = 0, **header: Any) -> Run:
    results = [traces.make_result(traces.make_spec(seed=first_seed + i)) for i in range(2)]
    return Run(name=f"{policy}-{first_seed}", header=traces.make_header(policy=policy, **header), results=results)


def differences(*runs: Run) -> list[tuple[str, str]]:
    return [(pool.policy, pool.differs) for pool in pools(runs)]


def test_policies_on_two_versions_of_a_suite_do_not_stand_in_one_column_silently(traces: ModuleType) -> None:
    second = {"name": "smoke", "version": 2, "digest": "b" * 32}
    found = differences(run_of(traces, "hold"), run_of(traces, "minivla", suite="smoke", first_seed=5), run_of(traces, "uniform", first_seed=9))
    assert {differs for _, differs in found} == {""}
    newer = dataclasses.replace(run_of(traces, "minivla"), header=dataclasses.replace(traces.make_header(policy="minivla"), suite=second))
    assert differences(run_of(traces, "hold"), newer) == [
        ("hold", "suite.digest=aaaaaaaaaaaa…, suite.version=1"),
        ("minivla", "suite.digest=bbbbbbbbbbbb…, suite.version=2"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"robot_looks": {"panda": "menagerie"}}, "look.panda=menagerie"),
        ({"quality": "high"}, "quality=high"),
        ({"safety": {"mode": "clip"}}, "safety=clip"),
        ({"packages": {"vlagym": "0.1.0", "mujoco": "3.17.0", METRICS: "2"}}, "metrics=2"),
        ({"packages": {"vlagym": "0.1.0", "mujoco": "3.18.0"}}, "package.mujoco=3.18.0"),
        ({"packages": {"vlagym": "0.1.0", "mujoco": "3.17.0", "pillow": "12.0.0"}}, "package.pillow=12.0.0"),
        ({"suite": {"name": "smoke", "version": 1, "digest": "a" * 32, "season": "winter"}}, "suite.season=winter"),
        ({"suite": {"name": "smoke", "version": 1, "digest": "a" * 32, "cost": {"fragile_hits": 0.0}}}, "suite.cost=fragile_hits=0"),
    ],
)
def test_rows_say_what_is_unlike_whether_of_one_policy_or_of_two(traces: ModuleType, change: dict[str, Any], told: str) -> None:
    def changed(run: Run) -> Run:
        return dataclasses.replace(run, header=dataclasses.replace(run.header, **change))

    one_policy = differences(run_of(traces, "hold"), changed(run_of(traces, "hold", first_seed=50)))
    assert len(one_policy) == 2 and told in {differs for _, differs in one_policy}
    two = dict(differences(run_of(traces, "hold"), changed(run_of(traces, "minivla"))))
    # What the other header does not name is no difference to it: fresh seeds make another digest of the suite, which is.
    assert two["minivla"] == ("" if any(word in told for word in ("season", "pillow")) else told)


def test_runs_that_were_varied_as_a_whole_are_told_apart_by_their_axes(traces: ModuleType) -> None:
    def varied(seed: int, digest: str, *axes: str, episodes: int = 3) -> Run:
        entry = {"task": "stack", "episodes": episodes, "axes": list(axes)}
        run = run_of(traces, first_seed=seed)
        return dataclasses.replace(run, header=dataclasses.replace(run.header, suite={"name": "smoke", "digest": digest * 32, "entry": [entry]}))

    three = [varied(0, "a"), varied(50, "b", "camera=3"), varied(90, "c", "lighting=1", "blank")]
    assert sorted(differs for _, differs in differences(*three)) == ["blank=1 + lighting=1", "camera=3", "unvaried"]
    other = differences(three[0], varied(50, "b", "camera=3", episodes=9))
    assert sorted(differs for _, differs in other) == ["suite.digest=aaaaaaaaaaaa…", "suite.digest=bbbbbbbbbbbb…"], "not only the axes differ"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (RUN_SCHEMA + 1, f"written by a newer vlagym (schema {RUN_SCHEMA + 1})"),
        (RUN_SCHEMA - 1, f"written by an older vlagym (schema {RUN_SCHEMA - 1})"),
    ],
)
def test_of_runs_with_several_schemas_only_those_of_another_vlagym_say_so(traces: ModuleType, schema: int, told: str) -> None:
    strange: dict[str, Any] = {"packages": {"vlagym": "9.0.0", "mujoco": "3.17.0"}, "quality": "high", "safety": {"mode": "clip"}, "schema": schema}
    healthy = [run_of(traces, "hold"), run_of(traces, "uniform")]
    assert differences(*healthy, run_of(traces, "minivla", schema=schema)) == [("hold", ""), ("uniform", ""), ("minivla", told)]
    assert differences(healthy[0], run_of(traces, "hold", first_seed=50, schema=schema)) == [("hold", ""), ("hold", told)], "of one policy"
    many = dict(differences(healthy[0], run_of(traces, "minivla", **strange)))
    assert many["minivla"].startswith(told) and "schema" not in many["hold"], "it is told first, and not cut off where much is unlike"


def test_two_seasons_of_one_label_can_be_told_apart(traces: ModuleType) -> None:
    def of_season(end: str, seed: int) -> Run:
        run = run_of(traces, first_seed=seed)
        suite = {**run.header.suite, "season": f"2027-spring-{'0' * 24}{end}"}
        return dataclasses.replace(run, header=dataclasses.replace(run.header, suite=suite))

    found = [told for _, told in differences(of_season("11112222", 0), of_season("33334444", 9))]
    assert found == ["suite.season=2027-spring-…11112222", "suite.season=2027-spring-…33334444"]


def test_what_a_policy_declares_of_its_numbers_is_part_of_a_row(traces: ModuleType) -> None:
    def declaring(seed: int, name: str = "mine:POLICY", **said: Any) -> Run:
        return run_of(traces, name, first_seed=seed, conventions={"policy": {"action": {"scale": 0.05}, "observation": {}, **said}})

    assert len(pools([declaring(0), declaring(9)])) == 1
    assert len(pools([declaring(0), declaring(9, action={"scale": 0.01})])) == 2
    two = differences(declaring(0), declaring(9, clip=True))
    assert [told.startswith("policy.conventions.clip=") for _, told in two] == [True, True] and two[0][1] == "policy.conventions.clip=none"
    other = differences(declaring(0), declaring(9, "other:POLICY", clip=True))
    assert other == [("mine:POLICY", ""), ("other:POLICY", "")], "of two policies it is what they are"


def test_headers_of_before_that_say_nothing_of_clipping_are_alike_to_those_that_have_nothing_to_say(traces: ModuleType) -> None:
    before = run_of(traces, conventions={"policy": {"action": None, "observation": {"images": []}}})
    assert len(pools([before, run_of(traces, first_seed=9, conventions=before.header.conventions)])) == 1


def test_headers_without_a_version_of_the_metrics_are_of_the_first(traces: ModuleType) -> None:
    first = run_of(traces, first_seed=9, packages={"vlagym": "0.1.0", "mujoco": "3.17.0", METRICS: "1"})
    assert differences(run_of(traces), first) == [("hold", "")]


def test_the_kind_of_renderer_counts_where_the_policy_reads_pixels(traces: ModuleType) -> None:
    software: dict[str, Any] = {"gl_renderer": "llvmpipe (LLVM 19.1.7, 256 bits)"}
    card: dict[str, Any] = {"gl_renderer": "NVIDIA H200/PCIe/SSE2"}
    assert differences(run_of(traces, **software), run_of(traces, first_seed=9, **card)) == [("hold", "")], "hold sees nothing"
    seeing = [run_of(traces, first_seed=10 * i, conventions=SEES, **of) for i, of in enumerate((software, card))]
    assert {differs for _, differs in differences(*seeing)} == {"renderer=llvmpipe", "renderer=nvidia"}
    other = run_of(traces, first_seed=9, conventions=SEES, gl_renderer="llvmpipe (LLVM 15.0.6, 128 bits)")
    assert len(pools([run_of(traces, conventions=SEES, **software), other])) == 1, "another width of vector is no other kind"
    mixed = differences(run_of(traces), run_of(traces, "a", conventions=SEES, **software), run_of(traces, "b", conventions=SEES, **card))
    assert mixed == [("hold", ""), ("a", "renderer=llvmpipe"), ("b", "renderer=nvidia")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("llvmpipe (LLVM 19.1.7, 256 bits)", "llvmpipe"), ("NVIDIA GeForce RTX 4090/PCIe/SSE2", "nvidia"), ("Acme 3", "Acme 3"), (None, None)],
)
def test_renderers_are_known_by_their_kind(name: str | None, kind: str | None) -> None:
    assert renderer_class(name) == kind


def test_rows_of_one_suite_without_an_episode_in_common_are_said_to_be_strangers(traces: ModuleType) -> None:
    table = aggregate([run_of(traces, "hold"), run_of(traces, "uniform", first_seed=50)], ())
    assert table.notes[0] == "smoke: hold and uniform have no episode in common; nothing here compares them"
    assert table.letters == () and [row["policy"] for row in rows(table)] == ["hold", "uniform"]
