"""A run is believed only if its stored actions give its numbers again; one changed byte is found and named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import imageio.v2 as imageio
import numpy as np
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.replay import film
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.verdict import Verdict
from vlagym.benchmark.verify import verify
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import EpisodeResult, EpisodeSpec, ErrorRecord, Trace
from vlagym.results.schema import result_to_line, trace_from_bytes, trace_to_bytes
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=4),))
TROUBLES = {2: "divergence:3", 3: "env_error:2"}


def expanded(suite: Suite) -> list[EpisodeSpec]:
    """Stands in for sampling: the episodes that the suite of `made` holds."""
    return [fakes.spec(seed, trouble=TROUBLES.get(seed, "")) for entry in suite.entries for seed in entry.seeds]


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", out=out, make_world=fakes.make_world)
    return run(options, expanded(SUITE), Silent()).path


@pytest.fixture
def stored(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def verdicts(path: Path, **options: Any) -> dict[int, Verdict]:
    checked = verify(path, executor="serial", expand=expanded, make_world=fakes.make_world, **options)
    return {v.result.seed: v for v in checked.verdicts}


def differences(verdict: Verdict) -> dict[str, str]:
    return {d.what: d.how for d in verdict.differences}


def change_trace(path: Path, seed: int, change: Callable[[Trace], Trace]) -> None:
    digest = next(r.digest for r in Store.open(path).results() if r.seed == seed)
    file = path / "traces" / f"{digest}.npz"
    file.write_bytes(trace_to_bytes(change(trace_from_bytes(file.read_bytes()))))


def change_ledger(path: Path, seed: int, change: Callable[[EpisodeResult], EpisodeResult]) -> None:
    lines = [result_to_line(change(r) if r.seed == seed else r) for r in Store.open(path).results()]
    (path / "episodes.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


# ----------------------------------------------------------------------------------------------------------------------- verify
def whole(path: Path) -> dict[str, str]:
    """Returns the differences of the run as a whole."""
    return {d.what: d.how for d in verify(path, executor="serial", expand=expanded, make_world=fakes.make_world).differences}


def change_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    header = json.loads((path / "header.json").read_text(encoding="utf-8"))
    change(header)
    (path / "header.json").write_text(json.dumps(header), encoding="utf-8")


def test_a_run_that_was_not_touched_is_confirmed_and_its_errors_are_not(made: Path) -> None:
    checked = verify(made, executor="serial", expand=expanded, make_world=fakes.make_world)
    found = {v.result.seed: v for v in checked.verdicts}
    assert checked.total == 4 and checked.differences == ()
    assert {seed: (v.differences, v.is_confirmed) for seed, v in found.items()} == {0: ((), True), 1: ((), True), 2: ((), True), 3: ((), False)}
    assert found[2].result.ended_by == "divergence" and found[2].found_outcome == "failure" and found[3].found_outcome is None
    assert "it was 'fakes:CARRIER' which chose these actions" in checked.reservations[0]


def test_processes_come_to_the_same_verdicts(made: Path) -> None:
    checked = verify(made, workers=2, expand=expanded, make_world=fakes.make_world)
    assert all(v.differences == () and not v.error for v in checked.verdicts)


# -------------------------------------------------------------------------------------------------------- the run as a whole
def test_episodes_that_were_taken_out_of_the_ledger_are_missed(stored: Path) -> None:
    lines = (stored / "episodes.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (stored / "episodes.jsonl").write_text("".join(lines[:2] + lines[3:]), encoding="utf-8")
    assert whole(stored) == {"episodes": "1 of the 4 episodes of the suite are missing from the ledger: place_on seed 2"}


def test_episodes_of_another_suite_are_found(stored: Path, tmp_path: Path) -> None:
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", out=tmp_path / "other", make_world=fakes.make_world)
    other = run(options, [fakes.spec(seed) for seed in (7, 8)], Silent()).path
    shutil.copytree(other / "traces", stored / "traces", dirs_exist_ok=True)
    shutil.copy(other / "episodes.jsonl", stored / "episodes.jsonl")
    change_header(stored, lambda header: header["suite"].update(episodes=2))
    told = whole(stored)
    assert told["suite.episodes"] == "the header says 2, the suite expands to 4"
    assert told["episodes"] == "2 episodes of the ledger do not belong to the suite: place_on seed 7, place_on seed 8"


def test_a_header_that_names_another_digest_is_found(stored: Path) -> None:
    change_header(stored, lambda header: header["suite"].update(digest="0" * 32))
    assert set(whole(stored)) == {"suite.digest"}


def test_a_run_that_was_killed_says_that_it_has_not_ended(stored: Path) -> None:
    change_header(stored, lambda header: header.update(finished=None))
    assert whole(stored) == {}
    lines = (stored / "episodes.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (stored / "episodes.jsonl").write_text(lines[0] + '{"torn', encoding="utf-8")
    assert whole(stored) == {"finished": "the run has not ended: 3 of its 4 episodes are still to be played"}
    (stored / "episodes.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(BadData, match="has not ended and holds no episode yet.*vlagym run --resume"):
        verify(stored, expand=expanded)


def test_an_episode_that_was_played_until_it_succeeded_is_found(stored: Path) -> None:
    first, *others = Store.open(stored).results()
    assert first.certificate is not None
    worse = dataclasses.replace(first, outcome="failure", certificate=dataclasses.replace(first.certificate, actions="0" * 32))
    lines = [result_to_line(r) + "\n" for r in (worse, dataclasses.replace(first, attempt=2), *others)]
    (stored / "episodes.jsonl").write_text("".join(lines), encoding="utf-8")
    assert whole(stored) == {"attempts": "1 episodes were played again after they had ended without an error: place_on seed 0"}
    # Measured anew is not played again.
    lines[0] = result_to_line(first) + "\n"
    (stored / "episodes.jsonl").write_text("".join(lines), encoding="utf-8")
    assert whole(stored) == {}


def test_a_warning_that_was_taken_out_is_found(stored: Path) -> None:
    change_ledger(stored, 2, lambda r: dataclasses.replace(r, warning=None))
    assert differences(verdicts(stored)[2]) == {"warning": "stored None, simulated MuJoCo warned of BADQACC at 0.150 s"}


def test_a_part_of_a_shipped_suite_is_not_taken_for_the_whole(stored: Path) -> None:
    change_header(stored, lambda header: header["suite"].update(name="smoke"))
    checked = verify(stored, executor="serial", expand=expanded, make_world=fakes.make_world)
    assert "these are not the episodes of the suite 'smoke' as it ships (4 episodes there, " in checked.reservations[-1]


# ------------------------------------------------------------------------------------------------------------- episode by episode
def test_a_failure_that_was_written_as_an_error_is_found(stored: Path) -> None:
    error = ErrorRecord(type="ValueError", message="no", traceback="")
    change_ledger(stored, 2, lambda r: dataclasses.replace(r, outcome="error", ended_by="policy_error", measures={}, error=error))
    verdict = verdicts(stored)[2]
    told = differences(verdict)
    assert told["ended_by"] == "stored policy_error, and the stored actions end the episode by divergence"
    assert not verdict.is_confirmed


def test_a_policy_error_without_a_trace_is_found(stored: Path) -> None:
    error = ErrorRecord(type="ValueError", message="no", traceback="")
    change_ledger(stored, 2, lambda r: dataclasses.replace(r, outcome="error", ended_by="policy_error", measures={}, error=error))
    Store.open(stored).trace_path(Store.open(stored).results()[2].digest).unlink()
    assert "is missing" in differences(verdicts(stored)[2])["trace"]


def test_a_measure_that_was_taken_out_is_found(stored: Path) -> None:
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, measures={k: v for k, v in r.measures.items() if k != "energy_j"}))
    told = differences(verdicts(stored)[0])
    assert set(told) == {"energy_j"} and told["energy_j"].startswith("the ledger lacks it, simulated 0.")


def test_a_failure_mode_that_was_changed_is_found(stored: Path) -> None:
    assert {r.seed: r.failure_mode for r in Store.open(stored).results()}[2] == "unsafe"
    change_ledger(stored, 2, lambda r: dataclasses.replace(r, failure_mode="timed_out"))
    assert differences(verdicts(stored)[2]) == {"failure_mode": "stored timed_out, simulated unsafe"}


def test_the_weights_of_a_suite_enter_the_cost_and_are_confirmed(tmp_path: Path) -> None:
    suite = dataclasses.replace(SUITE, cost={"steps": 0.5})
    options = RunOptions(policy="fakes:CARRIER", suite=suite, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    path = run(options, expanded(suite), Silent()).path
    assert all(r.measures["cost"] >= 0.5 * r.steps for r in Store.open(path).results() if r.measures)  # type: ignore[operator]
    assert verdicts(path)[0].is_confirmed
    change_header(path, lambda header: header["suite"]["cost"].update(steps=0.0))
    assert set(differences(verdicts(path)[0])) <= {"cost", "safe_success"} and "cost" in differences(verdicts(path)[0])


def test_a_weight_of_no_measure_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    suite = dataclasses.replace(SUITE, cost={"stepz": 0.5})
    options = RunOptions(policy="fakes:CARRIER", suite=suite, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    with pytest.raises(UnknownName, match="no measure is called 'stepz'. Did you mean steps"):
        run(options, expanded(suite), Silent())
    assert not (tmp_path / "run").exists()


def test_a_measure_that_no_metric_gives_is_not_checked_and_a_named_metric_checks_it(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = '''"""Twice the steps."""
from vlagym.benchmark.metric import Metric
METRIC = Metric(unit="steps", better="lower", kind="mean", measure=lambda trace, spec: 2.0 * trace.num_steps)
'''
    (tmp_path / "double_steps.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, measures={**r.measures, "double_steps": 2.0 * r.steps}))
    change_ledger(stored, 1, lambda r: dataclasses.replace(r, measures={**r.measures, "double_steps": 1.0}))
    unknown = verdicts(stored)
    assert unknown[0].is_confirmed and unknown[0].unchecked == ("double_steps",) and unknown[1].is_confirmed
    named = verdicts(stored, metrics=["double_steps:METRIC"])
    assert named[0].is_confirmed and named[0].unchecked == ()
    assert set(differences(named[1])) == {"double_steps"} and set(differences(named[2])) == {"double_steps"}


def test_verifying_changes_nothing_in_the_folder(made: Path) -> None:
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    verdicts(made)
    assert {p: p.read_bytes() for p in made.rglob("*") if p.is_file()} == before


def test_one_changed_byte_of_a_stored_action_is_found_and_named(stored: Path) -> None:
    def one_byte(trace: Trace) -> Trace:
        actions = trace.actions.copy()
        actions.view(np.uint8).reshape(-1)[5 * 28 + 1] ^= 1  # the second byte of the first number of action 5
        return dataclasses.replace(trace, actions=actions)

    change_trace(stored, 1, one_byte)
    found = verdicts(stored)
    assert found[0].is_confirmed and found[2].is_confirmed
    told = differences(found[1])
    assert "the stored actions have" in told["actions"]
    assert "first differs after action 6, by" in told["facts"]
    assert "final_state" in told and told["path_length_m"].startswith("stored ")
    assert found[1].found_outcome == found[1].result.outcome


@pytest.mark.parametrize("at", [0.3, 0.6])
def test_one_changed_byte_of_the_file_is_found(stored: Path, at: float) -> None:
    digest = next(r.digest for r in Store.open(stored).results() if r.seed == 1)
    file = stored / "traces" / f"{digest}.npz"
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    file.write_bytes(data)
    assert verdicts(stored)[1].differences


def test_an_embellished_measure_is_found(stored: Path) -> None:
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, measures={**r.measures, "path_length_m": 0.1}))
    told = differences(verdicts(stored)[0])
    assert set(told) == {"path_length_m"} and told["path_length_m"].startswith("stored 0.1, simulated 0.")


def test_latency_is_nobodys_to_confirm(stored: Path) -> None:
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, measures={**r.measures, "latency_s_p50": 1e-9}))
    assert verdicts(stored)[0].is_confirmed


def test_a_failure_that_was_written_as_a_success_is_found(stored: Path) -> None:
    change_ledger(stored, 2, lambda r: dataclasses.replace(r, outcome="success", ended_by="goal"))
    verdict = verdicts(stored)[2]
    told = differences(verdict)
    assert told["outcome"] == "stored success, simulated failure" and told["ended_by"] == "stored goal, simulated divergence"
    assert verdict.found_outcome == "failure"


def test_an_episode_that_goes_on_after_its_stored_actions_is_found(stored: Path) -> None:
    def cut(trace: Trace) -> Trace:
        columns = {name: column[:-3] for name, column in trace.columns.items()}
        force, safety = trace.contact_force_n[:-3], trace.safety[:-3]
        return dataclasses.replace(trace, actions=trace.actions[:-3], columns=columns, contact_force_n=force, safety=safety)

    change_trace(stored, 0, cut)
    assert "the episode goes on at" in differences(verdicts(stored)[0])["ended_by"]


def test_the_trace_of_another_episode_is_found(stored: Path) -> None:
    change_trace(stored, 0, lambda trace: dataclasses.replace(trace, spec=dataclasses.replace(trace.spec, instruction="do as you like")))
    told = differences(verdicts(stored)[0])
    assert "the ledger names the episode" in told["spec"] or "the certificate says" in told["spec"]
    assert told["instruction"] == "the ledger says 'put the red block on the plate', the spec 'do as you like'"


def test_a_missing_trace_is_found(stored: Path) -> None:
    for trace in (stored / "traces").iterdir():
        trace.unlink()
    assert "is missing" in differences(verdicts(stored)[0])["trace"]


def test_a_run_without_any_traces_as_published_ones_are_is_refused_in_one_line(stored: Path) -> None:
    shutil.rmtree(stored / "traces")
    with pytest.raises(BadData, match=r"holds no traces \(no folder traces\), as published runs do not: no episode can be simulated again"):
        verdicts(stored)


def test_options_of_images_are_refused_for_a_run(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made), "--no-images", "--moments", "all"]) == 2
    assert "is no dataset, whose images could be compared: leave out --no-images and --moments" in capsys.readouterr().err


def test_a_sample_is_drawn_without_replacement_and_the_same_every_time(made: Path) -> None:
    first, again = verdicts(made, sample=2), verdicts(made, sample=2)
    assert len(first) == 2 and set(first) == set(again)
    assert len(verdicts(made, sample=99)) == 4


def test_a_run_of_errors_confirms_nothing(tmp_path: Path) -> None:
    options = RunOptions(policy="fakes:FAULTY:act/0", suite=SUITE, executor="serial", out=tmp_path / "run", make_world=fakes.make_world)
    run(options, [fakes.spec(0)], Silent())
    (verdict,) = verdicts(tmp_path / "run").values()
    assert verdict.differences == () and not verdict.is_confirmed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "at least 1 worker, not 0"),
        ({"workers": -1}, "at least 1 worker, not -1"),
        ({"seed": -1, "sample": 1}, "the seed of a sample is 0 or more, not -1"),
        ({"sample": 0}, "at least 1 episode, not 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(made: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        verify(made, expand=expanded, **options)


# ---------------------------------------------------------------------------------------------------------------------- replay
@pytest.mark.parametrize("suffix", [".gif", ".png", ".mp4"])
def test_a_stored_episode_is_filmed_without_the_policy(made: Path, tmp_path: Path, suffix: str) -> None:
    store, out = Store.open(made), tmp_path / "deep" / f"film{suffix}"
    result = next(r for r in store.results() if r.seed == 0)
    count = film(store, result.digest[:8], out, make_world=fakes.make_world)
    assert count == result.steps + 1
    if suffix == ".png":
        assert imageio.imread(out).shape == (16, 8 * 16, 3)
    else:
        frames = imageio.mimread(out)
        assert abs(len(frames) - (count if suffix == ".mp4" else (count + 1) // 2)) <= 1


def test_an_episode_that_diverged_or_crashed_is_filmed_to_its_end(made: Path, tmp_path: Path) -> None:
    store = Store.open(made)
    steps = {r.seed: (r.digest, r.steps) for r in store.results()}
    # One image before each of the 3 + 1 actions that ended in a divergence, of which the last gave no step; 2 actions and what followed them.
    assert film(store, steps[2][0], tmp_path / "a.gif", make_world=fakes.make_world) == 3
    assert film(store, steps[3][0], tmp_path / "b.gif", make_world=fakes.make_world) == 3


def test_unknown_cameras_and_suffixes_are_answered_with_the_known_ones(made: Path, tmp_path: Path) -> None:
    store = Store.open(made)
    digest = store.digests()[0]
    with pytest.raises(UnknownName, match=r"no camera is called 'frnot'. Did you mean front\?"):
        film(store, digest, tmp_path / "a.gif", cameras=["frnot"], make_world=fakes.make_world)
    with pytest.raises(BadData, match="ends in '.avi'; a replay is written to .mp4, .gif, .png"):
        film(store, digest, tmp_path / "a.avi", make_world=fakes.make_world)


def test_an_episode_that_does_not_run_the_same_is_not_filmed(stored: Path, tmp_path: Path) -> None:
    change_trace(stored, 0, lambda trace: dataclasses.replace(trace, actions=np.zeros_like(trace.actions)))
    store = Store.open(stored)
    digest = next(r.digest for r in store.results() if r.seed == 0)
    with pytest.raises(BadData, match="the episode ended by goal, and now it goes on after its 1[0-9] stored actions.*see vlagym verify"):
        film(store, digest, tmp_path / "a.gif", make_world=fakes.make_world)


# ----------------------------------------------------------------------------------------------------------- in the real world
def short(task: str, seed: int) -> EpisodeSpec:
    return dataclasses.replace(Entry(task=task, episodes=1).sample(seed), horizon_s=1.0)


def test_a_real_run_is_confirmed_and_a_changed_action_is_found(tmp_path: Path) -> None:
    specs = [short("place_on", 0), short("open_drawer", 0)]
    path = run(RunOptions(policy="uniform", suite=SUITE, executor="serial", out=tmp_path / "run"), specs, Silent()).path
    checked = verify(path, executor="serial", expand=lambda suite: specs)
    assert all(v.is_confirmed for v in checked.verdicts) and checked.differences == ()

    def nudge(trace: Trace) -> Trace:
        actions = trace.actions.copy()
        actions[10, 0] = np.nextafter(actions[10, 0], np.float32(0))
        return dataclasses.replace(trace, actions=actions)

    digest = specs[0].digest()
    file = path / "traces" / f"{digest}.npz"
    file.write_bytes(trace_to_bytes(nudge(trace_from_bytes(file.read_bytes()))))
    found = {v.result.digest: v for v in verify(path, executor="serial", expand=lambda suite: specs).verdicts}
    assert found[specs[1].digest()].is_confirmed
    told = differences(found[digest])
    assert {"actions", "facts", "final_state"} <= set(told) and "first differs after action 11" in told["facts"]


# ---------------------------------------------------------------------------------------------------------------- with a safety filter
@pytest.mark.parametrize("mode", ["clip", "stop"])
def test_a_run_with_a_safety_filter_is_verified_without_it(tmp_path: Path, mode: str) -> None:
    options = RunOptions(
        policy="fakes:CARRIER", suite=SUITE, executor="serial", out=tmp_path / "run", make_world=fakes.make_world, safety=mode
    )
    path = run(options, expanded(SUITE), Silent()).path
    results = {r.seed: r for r in Store.open(path).results()}
    assert Store.open(path).header.safety["mode"] == mode
    if mode == "stop":
        assert {r.ended_by for r in results.values()} == {"stop"} and results[0].measures["safety_stops"] == 1.0
    else:
        clips = results[0].measures["safety_clips"]
        assert clips is not None and clips > 0 and results[0].measures["safety_stops"] == 0.0
    assert all(v.differences == () and not v.error for v in verdicts(path).values())
    digest = next(r.digest for r in results.values() if r.seed == 0)
    frames = film(Store.open(path), digest, tmp_path / "film.gif", make_world=fakes.make_world)
    assert frames == results[0].steps + 1


def test_a_filter_may_not_be_switched_when_a_run_is_resumed(made: Path) -> None:
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", resume=made, make_world=fakes.make_world, safety="clip")
    with pytest.raises(BadData, match="safety.mode was 'off' and is 'clip'"):
        run(options, expanded(SUITE), Silent())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("guarded") / "run"
    options = RunOptions(policy="fakes:CARRIER", suite=SUITE, executor="serial", out=out, make_world=fakes.make_world, safety="clip")
    return run(options, expanded(SUITE), Silent()).path


def test_a_run_without_a_filter_cannot_pass_for_one_with_it(made: Path, guarded: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(made, tmp_path / "plain"))
    safety = json.loads((guarded / "header.json").read_text(encoding="utf-8"))["safety"]
    change_header(plain, lambda header: header.update(safety=safety))
    assert differences(verdicts(plain)[0])["safety"] == "the header says --safety clip, and the trace holds the verdict -1"
    change_trace(plain, 0, lambda trace: dataclasses.replace(trace, safety=np.zeros_like(trace.safety)))
    told = differences(verdicts(plain)[0])
    assert "is none that the filter (clip) lets pass: it breaks hand_speed, by" in told["safety"]
    assert "stored None, simulated 0.0" in told["safety_clips"]


def test_a_header_without_the_limits_of_its_robot_is_found(guarded: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(guarded, tmp_path / "run"))
    change_header(path, lambda header: header["safety"].update(limits={}))
    assert "the safety limits of 'panda' in the header lacks the key 'hand_speed_m_s'" in differences(verdicts(path)[0])["safety"]


# --------------------------------------------------------------------------------------------------- what a run says of itself
def test_what_rows_are_grouped_by_is_compared(stored: Path) -> None:
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, level="indirect"))
    change_ledger(stored, 1, lambda r: dataclasses.replace(r, robot_base="planar"))
    found = verdicts(stored)
    assert set(differences(found[0])) == {"level"} and set(differences(found[1])) == {"robot_base"}


def test_bases_that_the_suite_does_not_have_are_found(stored: Path) -> None:
    change_header(stored, lambda header: header.update(robot_bases={"panda": ["planar"]}))
    assert whole(stored) == {"robot_bases": "the header says {'panda': ['planar']}, the suite expands to none"}


def test_a_run_from_before_there_was_a_measure_is_confirmed_and_lacks_it(stored: Path) -> None:
    def older(result: EpisodeResult) -> EpisodeResult:
        measures = {name: value for name, value in result.measures.items() if name != "energy_j"}
        return dataclasses.replace(result, measures=measures, failure_mode=None, level=None)

    for seed in range(4):
        change_ledger(stored, seed, older)
    found = verdicts(stored)
    assert all(v.differences == () for v in found.values()) and found[0].is_confirmed
    assert found[0].lacking == ("energy_j",) and found[2].lacking == ("energy_j", "failure_mode")


def test_a_policy_that_was_asked_less_often_than_its_chunks_allow_is_found(stored: Path) -> None:
    chunking = Store.open(stored).header.policy["chunking"]
    assert str(chunking).startswith("receding:")
    change_trace(stored, 0, lambda trace: dataclasses.replace(trace, call_step=trace.call_step[:1], latency_s=trace.latency_s[:1]))
    one_call = {"calls": 1.0, "chunk_steps": float(Store.open(stored).results()[0].steps)}
    change_ledger(stored, 0, lambda r: dataclasses.replace(r, measures={**r.measures, **one_call}))
    assert f"the header says that chunks were played {chunking}, and " in differences(verdicts(stored)[0])["calls"]


def test_a_season_whose_seeds_do_not_follow_from_its_name_is_found(stored: Path) -> None:
    season = SUITE.in_season("spring")

    def of_the_season(first_seed: int) -> dict[str, str]:
        change_header(stored, lambda header: header["suite"].update(season="spring"))
        change_header(stored, lambda header: header["suite"]["entry"][0].update(first_seed=first_seed))
        return whole(stored)

    assert "season" not in of_the_season(season.entries[0].first_seed)
    told = of_the_season(season.entries[0].first_seed + 1)["season"]
    assert told.startswith("these are not the episodes of the season 'spring': place_on from ")
    with pytest.raises(BadData, match="place_on begins with the seed 1000000 in the season 'spring'; the seeds of a season are 1,0"):
        of_the_season(1_000_000)


def test_what_must_be_believed_is_told(stored: Path) -> None:
    change_header(stored, lambda header: header["suite"].update(cost={"drops": 0.0}, name="smoke"))
    change_header(stored, lambda header: header["policy"].update(privileged=False))
    told = verify(stored, executor="serial", expand=expanded, make_world=fakes.make_world).reservations
    assert "and that it read nothing of the true state of the scene; only running the policy could confirm it" in told[0]
    assert told[1].startswith("what the policy saw: no image is rendered again")
    assert told[2].startswith("how long it took (latency_s, wall_s)")
    assert told[-1].startswith("the cost is not weighed as the suite 'smoke' does as it ships (drops): ")
