"""A dataset is believed when every demonstration runs again as it is stored; whatever was changed in it is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import collecting
import fakes
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from vlagym.benchmark import dataset_verification
from vlagym.benchmark.cli import main
from vlagym.benchmark.dataset_verification import CheckedDataset, verify_dataset
from vlagym.benchmark.demonstration_verdict import DemonstrationVerdict
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.benchmark.noise import Noise
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec, canonical_json, sha_arrays, to_plain
from vlagym.results.conversion import Conversion, ConversionOptions
from vlagym.results.datasets import open_dataset
from vlagym.results.format import Format

Capsys = pytest.CaptureFixture[str]
FORMATS = ("hdf5", "npz", "lerobot_v3", "rlds")
NUM = 3


def unlucky_sample(task: str, **options: Any) -> EpisodeSpec:
    """The third episode is too short to succeed in."""
    spec = fakes.sample(task, **options)
    return dataclasses.replace(spec, horizon_s=0.5) if spec.seed == FIRST_DEMO_SEED + 2 else spec


def collect(out: Path, format_name: str, **changes: Any) -> Path:
    defaults: dict[str, Any] = {
        "images": {"front": Shrink(crop=16, size=16)},
        "keep_failures": True,
        "format": format_name,
        "sample": unlucky_sample,
    }
    assert all(attempt.kept for attempt in Collection(collecting.options(out, NUM, **{**defaults, **changes})))
    return out


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("collected")
    return {name: collect(folder / f"{name}{suffix_of(name)}", name) for name in FORMATS}


def suffix_of(name: str) -> str:
    found: Format = catalog.load("format", name)
    return found.suffix


@pytest.fixture
def copied(collected: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Returns a function that copies a dataset, and the list beside it, to change them."""

    def copy(name: str) -> Path:
        source = collected[name]
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / source.name)
        shutil.copyfile(f"{source}.attempts.jsonl", tmp_path / f"{source.name}.attempts.jsonl")
        return tmp_path / source.name

    return copy


def verified(path: Path, **options: Any) -> tuple[CheckedDataset, list[DemonstrationVerdict]]:
    checked = verify_dataset(path, executor=options.pop("executor", "serial"), make_world=fakes.make_world, **options)
    return checked, sorted(checked.verdicts, key=lambda v: v.index)


def whats(verdict: DemonstrationVerdict) -> list[str]:
    return [d.what for d in verdict.differences]


# ------------------------------------------------------------------------------------------------ how the files are changed, by format
def sidecar(path: Path) -> Path:
    (found,) = path.glob("**/vlagym")
    return found


def change_archive(at: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with np.load(at) as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    with zipfile.ZipFile(at, "w") as target:
        for name, array in arrays.items():
            with target.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(array, order="C"))


def change_executed(path: Path, index: int, change: Callable[[Any], None]) -> None:
    """Changes the executed actions of a demonstration."""
    if path.is_file():
        with h5py.File(path, "r+") as file:
            rows = file[f"data/demo_{index}/executed_actions"]
            new = rows[()]
            change(new)
            rows[...] = new
        return
    with open_dataset(path) as reader:
        digest = reader.digests[index]
    at = path / "episodes" / f"{index:06d}.npz" if (path / "index.json").exists() else sidecar(path) / "arrays" / f"{digest}.npz"
    change_archive(at, lambda arrays: change(arrays["executed_actions"]))


def change_line(path: Path, index: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes what is said of a demonstration besides its arrays."""
    if path.is_file():
        with h5py.File(path, "r+") as file:
            attributes = file[f"data/demo_{index}"].attrs
            certificate = str(attributes["certificate"])
            line = {"spec": attributes["spec"], "is_success": bool(attributes["success"]), "certificate": json.loads(certificate)}
            change(line)
            attributes["spec"], attributes["success"] = line["spec"], line["is_success"]
            attributes["certificate"] = json.dumps(line["certificate"]) if line["certificate"] else ""
        return
    if (path / "index.json").exists():

        def of_archive(arrays: dict[str, Any]) -> None:
            about = json.loads(str(arrays["about"]))
            change(about)
            arrays["about"] = np.array(json.dumps(about))

        change_archive(path / "episodes" / f"{index:06d}.npz", of_archive)
        return
    at = sidecar(path) / "episodes.jsonl"
    lines = [json.loads(line) for line in at.read_bytes().splitlines()]
    change(lines[index])
    at.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def nudge(rows: Any) -> None:
    rows[4, 0] += 0.25 if rows[4, 0] < 0 else -0.25


# ---------------------------------------------------------------------------------------------------------------- what is confirmed
@pytest.mark.parametrize("name", FORMATS)
def test_what_was_collected_is_confirmed_failures_too(collected: dict[str, Path], name: str) -> None:
    checked, verdicts = verified(collected[name])
    assert checked.format == name and checked.differences == () and checked.total == NUM
    assert [(v.is_confirmed, v.is_success, v.ended_by, v.differences, v.unchecked) for v in verdicts] == [
        (True, True, "goal", (), ()),
        (True, True, "goal", (), ()),
        (True, False, "horizon", (), ()),
    ]
    assert {v.task for v in verdicts} == {"place_on"} and [v.seed for v in verdicts] == [FIRST_DEMO_SEED + i for i in range(NUM)]


def test_processes_find_the_same(collected: dict[str, Path]) -> None:
    assert verified(collected["lerobot_v3"], executor="processes", workers=2)[1] == verified(collected["lerobot_v3"])[1]


def test_a_sample_is_drawn_once_and_for_all(collected: dict[str, Path]) -> None:
    checked, verdicts = verified(collected["npz"], sample=2, seed=5)
    assert checked.total == 2 == len(verdicts)
    assert [v.index for v in verified(collected["npz"], sample=2, seed=5)[1]] == [v.index for v in verdicts]
    for wrong, said in (({"sample": 0}, "at least 1 demonstration, not 0"), ({"seed": -1}, "0 or more, not -1"), ({"workers": 0}, "1 worker, not 0")):
        with pytest.raises(BadData, match=said):
            verified(collected["npz"], **wrong)


def test_nothing_is_changed(collected: dict[str, Path]) -> None:
    before = {p: p.read_bytes() for p in collected["npz"].parent.rglob("*") if p.is_file()}
    for path in collected.values():
        verified(path)
    assert before == {p: p.read_bytes() for p in collected["npz"].parent.rglob("*") if p.is_file()}


# -------------------------------------------------------------------------------------------------------------- what was changed
@pytest.mark.parametrize("name", FORMATS)
def test_an_executed_action_that_was_changed_is_told(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    change_executed(path, 1, nudge)
    _, verdicts = verified(path)
    assert [v.is_confirmed for v in verdicts] == [True, False, True]
    assert whats(verdicts[1])[:2] == ["actions", "states"] and {"final_state", "labels"} <= set(whats(verdicts[1]))
    told = dict(verdicts[1].differences)
    assert "first differs before action 5, by" in told["states"] and "they differ from step 4 on" in told["labels"]
    assert "the executed actions have" in told["actions"]


@pytest.mark.parametrize("name", FORMATS)
def test_an_action_that_was_changed_with_its_digest_still_leads_elsewhere(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    change_executed(path, 0, nudge)
    with open_dataset(path) as reader:
        digest = sha_arrays(reader[0].executed_actions)
    change_line(path, 0, lambda line: line["certificate"].update(actions=digest))
    first = verified(path)[1][0]
    assert "actions" not in whats(first) and {"states", "final_state"} <= set(whats(first))


def test_a_label_that_was_changed_is_told(copied: Callable[[str], Path]) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_1/actions"][7, 2] = 0.5
    assert [whats(v) for v in verified(path)[1]] == [[], ["labels"], []]
    folder = copied("lerobot_v3")
    at = folder / "data/chunk-000/file-000.parquet"
    table = parquet.read_table(at)
    rows = np.array(table["action"].to_pylist(), np.float32)
    rows[3, 1] = 0.125
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), 7)
    parquet.write_table(table.set_column(table.schema.get_field_index("action"), table.schema.field("action"), column), at)
    assert [whats(v) for v in verified(folder)[1]] == [["labels"], [], []]


@pytest.mark.parametrize(
    ("name", "what"), [("hdf5", "initial_state"), ("npz", "final_state"), ("lerobot_v3", "actions"), ("rlds", "model"), ("npz", "spec")]
)
def test_a_certificate_that_was_changed_is_told(copied: Callable[[str], Path], name: str, what: str) -> None:
    path = copied(name)
    change_line(path, 2, lambda line: line["certificate"].update({what: "f" * 32}))
    _, verdicts = verified(path)
    assert [whats(v) for v in verdicts] == [[], [], [what]] and "the certificate says ffff" in verdicts[2].differences[0].how


@pytest.mark.parametrize("name", FORMATS)
def test_a_certificate_that_is_missing_is_no_certificate(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    change_line(path, 0, lambda line: line.update(certificate=None))
    (first, *others) = verified(path)[1]
    assert [d.how for d in first.differences] == ["the dataset holds none: nobody can tell whether it runs as it was recorded"]
    assert all(v.is_confirmed for v in others)


@pytest.mark.parametrize("name", FORMATS)
def test_an_episode_that_was_changed_is_told(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    with open_dataset(path) as reader:
        spec = reader[0].episode
    other = dataclasses.replace(spec, instruction="put the plate on the red block")
    change_line(path, 0, lambda line: line.update(spec=other.to_json()))
    first = verified(path)[1][0]
    assert whats(first) == ["spec", "instruction", "spec"]
    assert "the spec that it holds is that of" in first.differences[0].how and "the spec 'put the plate on the red block'" in first.differences[1].how


@pytest.mark.parametrize("name", FORMATS)
def test_success_is_what_the_simulation_says(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    change_line(path, 0, lambda line: line.update(is_success=False))
    change_line(path, 2, lambda line: line.update(is_success=True))
    told = [v.differences for v in verified(path)[1]]
    assert told[1] == () and told[0][0].how == "the dataset says failure, and the episode ends by goal"
    assert told[2][0].how == "the dataset says success, and the episode ends by horizon"


def test_actions_that_were_cut_off_do_not_end_the_episode(copied: Callable[[str], Path]) -> None:
    path = copied("npz")
    at = path / "episodes" / "000000.npz"

    def shorten(arrays: dict[str, Any]) -> None:
        about = json.loads(str(arrays["about"]))
        for name in list(arrays):
            if name != "about":
                arrays[name] = arrays[name][:-1]
        arrays["about"] = np.array(canonical_json(to_plain(about)))

    change_archive(at, shorten)
    first = verified(path)[1][0]
    assert "the episode goes on after its" in dict(first.differences)["end"] and not first.is_confirmed


# ----------------------------------------------------------------------------------------------------------------------- with noise
def test_labels_under_noise_are_confirmed_by_the_noise_that_is_told(tmp_path: Path) -> None:
    path = collect(tmp_path / "noisy.hdf5", "hdf5", noise=Noise(burst_probability=0.2), sample=fakes.sample, policy="fakes:CARRIER")
    verdicts = verified(path)[1]
    assert all(v.is_confirmed and v.unchecked == () for v in verdicts)
    with h5py.File(path, "r+") as file:
        file["data/demo_1/actions"][3, 0] = 0.125
    assert [whats(v) for v in verified(path)[1]] == [[], ["labels"], []]
    assert "with the noise of the provenance they do not give what was executed, from step 3 on" in verified(path)[1][1].differences[0].how


def test_labels_that_nobody_explains_are_not_called_confirmed(tmp_path: Path, collected: dict[str, Path]) -> None:
    source = collected["npz"]
    with open_dataset(source) as reader:
        info, demonstration = dataclasses.replace(reader.info, provenance={"made by": "hand"}), reader[0]
        other = demonstration.actions.copy()
        other[0, 0] = 0.5
        with catalog.load("format", "npz").write(tmp_path / "set", info) as writer:
            writer.append(dataclasses.replace(demonstration, actions=other))
    (verdict,) = verified(tmp_path / "set")[1]
    assert verdict.is_confirmed and verdict.unchecked == ("labels",)


# ------------------------------------------------------------------------------------------------------------- what is not whole
def test_an_episode_that_was_removed_is_missed(copied: Callable[[str], Path], tmp_path: Path) -> None:
    path = copied("npz")
    index = json.loads((path / "index.json").read_text(encoding="utf-8"))
    (removed,) = (entry["digest"] for entry in index["episodes"][1:2])
    del index["episodes"][1]
    (path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (path / "episodes" / "000001.npz").unlink()
    checked, verdicts = verified(path)
    assert [tuple(d) for d in checked.differences] == [("demonstrations", f"the list beside it tells of 1 that the dataset lacks: {removed}")]
    assert all(v.is_confirmed for v in verdicts)
    (path / "episodes" / "000002.npz").unlink()
    assert whats(verified(path)[1][1]) == ["data"]
    file_path = copied("hdf5")
    with h5py.File(file_path, "r+") as file:
        del file["data/demo_1"]
    with pytest.raises(BadData, match="hdf5.hdf5 says that it holds 3 demonstrations, and there are 2: it was changed"):
        verified(file_path)
    folder = copied("lerobot_v3")
    at = sidecar(folder) / "episodes.jsonl"
    at.write_bytes(b"".join(at.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadData, match="holds 3 episodes, its folder vlagym tells of 2: it was changed"):
        verified(folder)


def test_what_a_conversion_counted_must_still_be_there(collected: dict[str, Path], tmp_path: Path) -> None:
    with Conversion(ConversionOptions(source=collected["hdf5"], target=tmp_path / "set", format="npz")) as conversion:
        assert len(list(conversion)) == NUM
    assert verified(tmp_path / "set")[0].differences == ()
    index = json.loads((tmp_path / "set" / "index.json").read_text(encoding="utf-8"))
    index["episodes"].append(index["episodes"].pop(0) | {"file": "episodes/000001.npz"})
    del index["episodes"][0]
    (tmp_path / "set" / "index.json").write_text(json.dumps(index), encoding="utf-8")
    assert [d.how for d in verified(tmp_path / "set")[0].differences] == ["3 were converted, and the dataset holds 2"]


def test_a_file_that_was_cut_off_is_told(copied: Callable[[str], Path]) -> None:
    def cut(at: Path) -> None:
        at.write_bytes(at.read_bytes()[: at.stat().st_size * 2 // 3])

    path = copied("npz")
    cut(path / "episodes" / "000001.npz")
    assert [whats(v) for v in verified(path)[1]] == [[], ["data"], []]
    path = copied("rlds")
    cut(next(path.glob("**/*.tfrecord-*")))
    with pytest.raises(BadData, match="tfrecord"):
        verified(path)
    path = copied("hdf5")
    cut(path)
    with pytest.raises(BadData, match="hdf5.hdf5 cannot be opened as HDF5: .*truncated file"):
        verified(path)


def test_images_that_cannot_be_read_are_told_unless_nobody_asks(copied: Callable[[str], Path]) -> None:
    path = copied("lerobot_v3")
    next(path.glob("videos/**/*.mp4")).unlink()
    assert {tuple(whats(v)) for v in verified(path)[1]} == {("data",)}
    assert all(v.is_confirmed for v in verified(path, images=False)[1])


# -------------------------------------------------------------------------------------------------------------- recorded elsewhere
def test_what_was_recorded_elsewhere_cannot_be_verified(collected: dict[str, Path], tmp_path: Path) -> None:
    with open_dataset(collected["npz"]) as reader:
        info, demonstrations = reader.info, [reader[0], dataclasses.replace(reader[1], spec=None, certificate=None)]
        with catalog.load("format", "npz").write(tmp_path / "set", info) as writer:
            for demonstration in demonstrations:
                writer.append(demonstration)
    verdicts = verified(tmp_path / "set")[1]
    assert [(v.is_confirmed, v.is_recorded_elsewhere, v.differences) for v in verdicts] == [(True, False, ()), (False, True, ())]


# ---------------------------------------------------------------------------------------------------------------- the command
@pytest.fixture
def in_the_fake_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_verification, "verify_dataset", partial(verify_dataset, make_world=fakes.make_world))


@pytest.mark.usefixtures("in_the_fake_world")
def test_the_command_prints_a_table_and_a_verdict(collected: dict[str, Path], copied: Callable[[str], Path], capsys: Capsys) -> None:
    assert main(["verify", str(collected["hdf5"]), "--workers", "1"]) == 0
    head, row, _, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["task", "demonstrations", "confirmed", "successes", "differ", "steps"]
    assert row.split()[:5] == ["place_on", "3", "3", "2", "0"]
    assert last == f"3 of 3 demonstrations confirmed: sentences, actions, states and how they ended ({collected['hdf5']})"
    path = copied("hdf5")
    change_executed(path, 1, nudge)
    assert main(["verify", str(path), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"1 of 3 demonstrations differ: the dataset is refused ({path})"
    assert f"place_on seed {FIRST_DEMO_SEED + 1} (number 1, episode" in told.err and "  actions: the certificate says" in told.err


@pytest.mark.usefixtures("in_the_fake_world")
def test_the_command_says_to_machines_what_differs(copied: Callable[[str], Path], capsys: Capsys) -> None:
    path = copied("rlds")
    change_line(path, 0, lambda line: line["certificate"].update(final_state="f" * 32))
    assert main(["verify", str(path), "--workers", "1", "--json", "--no-images"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["confirmed"], told["differences"]) == ("rlds", False, [])
    first, second, third = told["demonstrations"]
    assert not first["confirmed"] and [d["what"] for d in first["differences"]] == ["final_state"]
    assert second["confirmed"] and second["ended_by"] == "goal" and not third["success"]


@pytest.mark.usefixtures("in_the_fake_world")
def test_the_command_says_what_was_made_with_other_versions(copied: Callable[[str], Path], capsys: Capsys) -> None:
    path = copied("npz")
    index = json.loads((path / "index.json").read_text(encoding="utf-8"))
    index["dataset"]["provenance"]["packages"]["mujoco"] = "3.0.0"
    (path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    change_line(path, 0, lambda line: line["certificate"].update(final_state="f" * 32))
    assert main(["verify", str(path), "--workers", "1"]) == 1
    assert "the dataset was made with other versions: mujoco 3.0.0 there, " in capsys.readouterr().err


@pytest.mark.usefixtures("in_the_fake_world")
def test_a_dataset_of_others_ends_with_3_and_says_why(copied: Callable[[str], Path], capsys: Capsys) -> None:
    path = copied("lerobot_v3")
    shutil.rmtree(sidecar(path))
    assert main(["verify", str(path), "--workers", "1"]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"none of the 3 demonstrations names an episode: recorded elsewhere, they cannot be simulated again ({path})"


def test_a_metric_has_no_place_in_a_dataset_and_what_is_no_dataset_is_no_run(collected: dict[str, Path], tmp_path: Path, capsys: Capsys) -> None:
    assert main(["verify", str(collected["npz"]), "--metric", "steps"]) == 2
    assert "is a dataset, which holds no measures: leave out --metric" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "half.hdf5.parts").mkdir()
    assert main(["verify", str(tmp_path / "half.hdf5")]) == 2
    assert "half.hdf5 was not finished" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------- in the real world
@pytest.mark.slow
def test_what_the_expert_demonstrates_is_confirmed_in_every_format_and_a_nudge_is_not(tmp_path: Path, capsys: Capsys) -> None:
    source = tmp_path / "demos.hdf5"
    tasks, sizes = ["--task", "place_on", "--task", "open_drawer"], ["--size", "front=32", "--size", "wrist=32"]
    assert main(["demo", *tasks, *sizes, "--depth", "--noise", "1", "--episodes", "1", "--workers", "1", "--out", str(source)]) == 0
    for name in catalog.names("format"):
        path = tmp_path / name / f"set{suffix_of(name)}"
        assert main(["convert", str(source), "--format", name, "--out", str(path)]) == 0
        assert main(["verify", str(path), "--workers", "1"]) == 0
        assert "2 of 2 demonstrations confirmed: sentences, actions, states and how they ended" in capsys.readouterr().out
    change_executed(tmp_path / "lerobot_v3" / "set", 0, nudge)
    assert main(["verify", str(tmp_path / "lerobot_v3" / "set"), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "1 of 2 demonstrations differ: the dataset is refused" in told.out and "  actions: the certificate says" in told.err
