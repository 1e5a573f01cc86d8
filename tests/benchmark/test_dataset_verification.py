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
from vlagym.results.formats import _tfrecord, _video
from vlagym.results.formats._rlds_example import Example, encode

Capsys = pytest.CaptureFixture[str]
FORMATS = ("hdf5", "npz", "lerobot_v3", "rlds")
NUM = 3
ALL = "sentences, executed actions, labels, states, how they ended, what trainers read of them"


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
    assert [whats(v) for v in verified(folder)[1]] == [["labels", "statistics"], [], []]


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


# ------------------------------------------------------------------------------------------------------------ what trainers read
def change_column(folder: Path, name: str, change: Callable[[Any], Any], where: str = "data") -> None:
    """Changes a column of the rows of a LeRobot folder, or of its meta/episodes."""
    at = folder / where / "chunk-000/file-000.parquet"
    table = parquet.read_table(at)
    field = table.schema.field(name)
    rows = change(np.array(table[name].to_pylist()))
    column = pa.array(rows.tolist(), field.type)
    parquet.write_table(table.set_column(table.schema.get_field_index(name), field, column), at)


@pytest.mark.parametrize(
    "name", ["observation.state", "timestamp", "next.reward", "next.done", "frame_index", "episode_index", "index", "task_index"]
)
def test_a_column_that_trainers_read_is_that_of_the_demonstration(copied: Callable[[str], Path], name: str) -> None:
    path = copied("lerobot_v3")
    change_column(path, name, lambda rows: ~rows if rows.dtype == bool else rows * 0 + 5)
    checked, verdicts = verified(path)
    assert name in whats(verdicts[1]) and not verdicts[1].is_confirmed
    assert any(name in difference.how and "stats.json" in difference.how for difference in checked.differences)


_FRONT = "videos/observation.images.front"


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (f"{_FRONT}/from_timestamp", lambda rows: rows + [0.05, 0, 0], "episode 0: observation.images.front is said to begin at 0.05 s of file-000.mp4"),
        (f"{_FRONT}/from_timestamp", lambda rows: rows - [0, 0.0001, 0], "episode 1: observation.images.front is said to begin at "),
        (f"{_FRONT}/to_timestamp", lambda rows: rows + [0, 0, 1.0], f"episode 2: {_FRONT}/to_timestamp is told as "),
        ("length", lambda rows: rows * [1, 0, 1], "episode 1: length is told as 0, and it is "),
        ("meta/episodes/file_index", lambda rows: rows + 7, "episode 0: meta/episodes/file_index is told as 7, and it is 0"),
    ],
)
def test_where_the_frames_of_an_episode_lie_follows_from_those_before_it(
    copied: Callable[[str], Path], name: str, change: Callable[[Any], Any], told: str
) -> None:
    path = copied("lerobot_v3")
    assert verified(path, images=False, sample=1)[0].differences == ()
    change_column(path, name, change, "meta/episodes")
    differences = verified(path, images=False, sample=1)[0].differences
    assert {d.what for d in differences} == {"statistics"} and any(d.how.startswith(told) for d in differences)


def test_a_video_with_other_frames_than_rows_is_told(copied: Callable[[str], Path]) -> None:
    path = copied("lerobot_v3")
    (film,) = path.glob("videos/**/*.mp4")
    _video.join(film.with_name("two.mp4"), [film, film], 20)
    film.with_name("two.mp4").replace(film)
    (difference,) = verified(path, images=False, sample=1)[0].differences
    assert "file-000.mp4 holds " in difference.how and ", and its episodes have " in difference.how


@pytest.mark.parametrize("key", ["total_videos", "total_chunks"])
def test_what_a_folder_of_v21_counts_is_counted_again(collected: dict[str, Path], tmp_path: Path, key: str) -> None:
    out = tmp_path / "v21"
    with Conversion(ConversionOptions(source=collected["hdf5"], target=out, format="lerobot_v21")) as conversion:
        assert len(list(conversion)) == NUM
    assert verified(out, images=False, sample=1)[0].differences == ()
    at = out / "meta" / "info.json"
    at.write_text(json.dumps(json.loads(at.read_text(encoding="utf-8")) | {key: 9}), encoding="utf-8")
    (difference,) = verified(out, images=False, sample=1)[0].differences
    assert difference.how == f"meta/info.json says {key} 9, and it is {3 if key == 'total_videos' else 1}"


def test_the_robot_and_the_masks_are_those_of_the_demonstrations(copied: Callable[[str], Path]) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        file["mask/train"] = np.array([b"demo_0", b"demo_9"])
    assert "the masks name demonstrations that are not there: demo_9" in [d.how for d in verified(path, images=False)[0].differences]
    with h5py.File(path, "r+") as file:
        del file["mask"]
        file["data"].attrs["robot"] = "g1"
    assert [whats(v) for v in verified(path, images=False)[1]] == [["robot"]] * 3


def test_without_noise_what_was_executed_is_the_label(copied: Callable[[str], Path]) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        told = json.loads(file["data"].attrs["provenance"])
        told["noise"] |= {"burst_probability": 0.0, "burst_sigma": 0.35}  # two ways of saying that there is none
        file["data"].attrs["provenance"] = json.dumps(told)
        file["data/demo_1/actions"][3:5, 0] = 0.125
    verdicts = verified(path, images=False)[1]
    assert [whats(v) for v in verdicts] == [[], ["labels"], []]
    assert verdicts[1].differences[0].how == "without noise they are what was executed, and they differ from step 3 on"


def test_the_column_that_differs_is_told_with_its_row(copied: Callable[[str], Path]) -> None:
    path = copied("lerobot_v3")
    change_column(path, "timestamp", lambda rows: rows * 0)
    told = dict(verified(path, images=False)[1][0].differences)
    assert told["timestamp"] == "first differs in row 1: stored 0, and 0.05 follows from the demonstration"
    assert told["statistics"].startswith("episode 0: max of timestamp is told as ")


@pytest.mark.parametrize(
    "name", ["obs/ee_states", "obs/ee_pos", "obs/joint_states", "obs/gripper_states", "states", "rewards", "dones", "robot_states"]
)
def test_a_key_of_libero_is_that_of_the_demonstration(copied: Callable[[str], Path], name: str) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        file[f"data/demo_1/{name}"][...] = 7
    assert [whats(v) for v in verified(path)[1]] == [[], [name], []]


@pytest.mark.parametrize("name", ["steps/observation/state", "steps/reward", "steps/is_last", "episode_metadata/task"])
def test_a_value_of_rlds_is_that_of_the_demonstration(copied: Callable[[str], Path], name: str) -> None:
    path = copied("rlds")
    (at,) = path.glob("**/*.tfrecord-*")
    with at.open("rb") as file:
        examples = [Example(_tfrecord.payload(file, place, "")) for place in _tfrecord.places(at)]
    values = [{key: example.values(key) for key in example.names} for example in examples]
    values[2][name] = [b"stack"] if name.endswith("task") else values[2][name] * 0 + np.asarray(values[2][name]).dtype.type(3)
    at.write_bytes(b"".join(piece for one in values for piece in _tfrecord.framed(encode(one))))
    assert [whats(v) for v in verified(path)[1]] == [[], [], [name]]


def test_a_line_of_an_index_is_that_of_the_demonstration(copied: Callable[[str], Path]) -> None:
    path = copied("npz")
    index = json.loads((path / "index.json").read_text(encoding="utf-8"))
    index["episodes"][2]["success"], index["episodes"][0]["language_instruction"] = True, "wave"
    (path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    assert [whats(v) for v in verified(path)[1]] == [["index.json/language_instruction"], [], ["index.json/success"]]


def test_what_is_said_of_all_demonstrations_follows_from_them(copied: Callable[[str], Path]) -> None:
    path = copied("lerobot_v3")
    changes: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
        ("stats.json", lambda told: told["action"]["mean"].__setitem__(0, 4.0)),
        ("stats.json", lambda told: told["observation.images.front"]["std"][0][0].__setitem__(0, 0.9)),
        ("info.json", lambda told: told.update(total_frames=1)),
    ]
    for name, change in changes:
        at = path / "meta" / name
        before = at.read_text(encoding="utf-8")
        told = json.loads(before)
        change(told)
        at.write_text(json.dumps(told), encoding="utf-8")
        (difference,) = verified(path, images=False, sample=1)[0].differences
        assert difference.what == "statistics" and name in difference.how
        at.write_text(before, encoding="utf-8")
    told = json.loads((path / "meta" / "info.json").read_text(encoding="utf-8"))
    told["features"]["action"]["names"][0] = "elbow"
    (path / "meta" / "info.json").write_text(json.dumps(told), encoding="utf-8")
    assert {tuple(whats(v)) for v in verified(path)[1]} == {("meta/info.json/action",)}
    with h5py.File(file_path := copied("hdf5"), "r+") as file:
        file["data"].attrs["total"] = 5
    assert "data says total 5, and its demonstrations are" in verified(file_path)[0].differences[0].how
    folder = copied("rlds")
    (at,) = folder.glob("**/dataset_info.json")
    at.write_text(at.read_text(encoding="utf-8").replace('"numBytes": "', '"numBytes": "9'), encoding="utf-8")
    assert "dataset_info.json says numBytes 9" in verified(folder)[0].differences[0].how


def test_images_of_another_moment_or_episode_are_told(copied: Callable[[str], Path]) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        front = file["data/demo_1/obs/agentview_rgb"]
        front[...] = front[()][::-1]
    verdicts = verified(path)[1]
    assert [whats(v) for v in verdicts] == [[], ["images of front"], []] and [v.moments for v in verdicts] == [3, 3, 3]
    assert " the dataset shows something else than is rendered: " in verdicts[1].differences[0].how
    assert all(v.is_confirmed and not v.moments for v in verified(path, images=False)[1])


def test_images_of_so_many_demonstrations_are_rendered_as_are_wanted(collected: dict[str, Path]) -> None:
    for wanted in (0, 2):
        verdicts = verified(collected["npz"], rendered=wanted)[1]
        assert sum(v.moments > 0 for v in verdicts) == wanted and all(v.is_confirmed for v in verdicts)
    with pytest.raises(BadData, match="images of 0 or more demonstrations are compared, not of -1"):
        verified(collected["npz"], rendered=-1)


def test_one_exchanged_image_is_noticed_where_all_are_compared(copied: Callable[[str], Path]) -> None:
    path = copied("hdf5")
    with h5py.File(path, "r+") as file:
        front = file["data/demo_1/obs/agentview_rgb"]
        front[2] = front[2] // 2
        num_images = [len(file[f"data/demo_{k}/obs/agentview_rgb"]) for k in range(3)]
    assert all(v.is_confirmed and v.moments == 3 for v in verified(path)[1])
    verdicts = verified(path, moments=None)[1]
    assert [whats(v) for v in verdicts] == [[], ["images of front"], []]
    assert [v.moments for v in verdicts] == [v.images for v in verdicts] == num_images
    assert verdicts[1].differences[0].how.startswith("before action 2 the dataset shows something else")
    assert [v.moments for v in verified(path, moments=1)[1]] == [1, 1, 1]
    with pytest.raises(BadData, match="1 or more images of each camera are compared, not 0"):
        verified(path, moments=0)


# --------------------------------------------------------------------------------------------------------- what is no fault of it
class UnwritableWorld(fakes.FakeWorld):
    """Cannot put down what it computes: the seed after the first fails."""

    def start(self, spec: EpisodeSpec) -> Any:
        if spec.seed == FIRST_DEMO_SEED + 1:
            raise PermissionError(13, "Permission denied", "cache")
        return super().start(spec)


def test_what_fails_on_this_machine_says_nothing_of_the_dataset(
    collected: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr(dataset_verification, "verify_dataset", partial(verify_dataset, make_world=UnwritableWorld))
    assert main(["verify", str(collected["npz"]), "--workers", "1"]) == 3
    told = capsys.readouterr()
    assert "could not be simulated here: PermissionError: [Errno 13] Permission denied: 'cache'" in told.err and "differs" not in told.err
    last = told.out.splitlines()[-1]
    assert last.startswith("2 of 3 demonstrations confirmed: ")
    assert last.endswith(f"; 1 could not be simulated here: the dataset is neither confirmed nor refused ({collected['npz']})")


# ----------------------------------------------------------------------------------------------------------------------- with noise
def test_what_was_executed_is_no_label_where_there_was_noise(tmp_path: Path) -> None:
    path = collect(tmp_path / "noisy.hdf5", "hdf5", noise=Noise(burst_probability=0.2), sample=fakes.sample, policy="fakes:CARRIER")
    with h5py.File(path, "r+") as file:
        file["data/demo_1/actions"][...] = file["data/demo_1/executed_actions"][()]
    assert [whats(v) for v in verified(path)[1]] == [[], ["labels"], []]


def test_labels_that_were_not_looked_at_are_not_called_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.setattr(dataset_verification, "verify_dataset", partial(verify_dataset, make_world=fakes.make_world))
    path = collect(
        tmp_path / "noisy.hdf5", "hdf5", noise=Noise(burst_probability=0.2), sample=fakes.sample, policy="fakes:CARRIER", filter_noops=True
    )
    assert main(["verify", str(path), "--workers", "1"]) == 0
    told = capsys.readouterr()
    assert ": sentences, executed actions, states, how they ended, what trainers read of them and images at 3 moments of each, " in told.out
    assert f"not the labels of {NUM} ({path})" in told.out and f"not checked: the labels of {NUM} demonstrations" in told.err


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
    assert last == f"3 of 3 demonstrations confirmed: {ALL} and images at 3 moments of each ({collected['hdf5']})"
    assert main(["verify", str(collected["hdf5"]), "--workers", "1", "--moments", "all", "--images", "2"]) == 0
    assert f"{ALL} and every image of 2 of them ({collected['hdf5']})" in capsys.readouterr().out
    path = copied("hdf5")
    change_executed(path, 1, nudge)
    assert main(["verify", str(path), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"1 of 3 demonstrations differ: the dataset is refused ({path})"
    assert f"place_on seed {FIRST_DEMO_SEED + 1} (number 1, episode" in told.err and "  actions: the certificate says" in told.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--moments", "some"], "--moments says how many images of each camera are compared, or `all`; not 'some'"),
        (["--moments", "-1"], "1 or more images of each camera are compared, not -1"),
        (["--moments", "all", "--no-images"], "--no-images renders none: leave it out, or --images and --moments"),
    ],
)
def test_moments_that_make_no_sense_are_refused(collected: dict[str, Path], words: list[str], complaint: str, capsys: Capsys) -> None:
    assert main(["verify", str(collected["hdf5"]), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(complaint)


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


@pytest.mark.usefixtures("in_the_fake_world")
def test_a_dataset_that_is_damaged_is_refused_and_what_is_damaged_is_named(copied: Callable[[str], Path], tmp_path: Path, capsys: Capsys) -> None:
    path = copied("lerobot_v3")
    change_column(path, "dataset_to_index", lambda rows: rows * [1, 0, 1], "meta/episodes")
    assert main(["verify", str(path)]) == 1
    assert "by meta/episodes the rows of episode 1 end before they begin" in capsys.readouterr().out
    for name, file in (("npz", "index.json"), ("rlds", "**/features.json"), ("lerobot_v3", "meta/info.json")):
        shutil.rmtree(path, ignore_errors=True)
        path = copied(name)
        (at,) = path.glob(file)
        at.write_bytes(at.read_bytes()[:50])
        assert main(["verify", str(path)]) == 1
        said = capsys.readouterr().out
        assert said.startswith(f"{at}, which says what the dataset is, is damaged: ") and said.endswith(f": the dataset is refused ({path})\n")
        assert main(["replay", str(path), "0", "--out", str(tmp_path / "film.gif")]) == 2
        assert f"{at}, which says what the dataset is, is damaged" in capsys.readouterr().err
    assert main(["verify", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["confirmed"] is False and told["differences"][0]["what"] == "data" and str(at) in told["differences"][0]["how"]
    assert main(["verify", str(tmp_path / "nowhere.hdf5")]) == 2
    assert "there is no dataset at" in capsys.readouterr().err


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
        assert f"2 of 2 demonstrations confirmed: {ALL} and images at 3 moments of each (" in capsys.readouterr().out
    change_executed(tmp_path / "lerobot_v3" / "set", 0, nudge)
    assert main(["verify", str(tmp_path / "lerobot_v3" / "set"), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "1 of 2 demonstrations differ: the dataset is refused" in told.out and "  actions: the certificate says" in told.err


@pytest.mark.slow
def test_labels_that_were_translated_after_noise_are_played_again(tmp_path: Path, capsys: Capsys) -> None:
    source, size = tmp_path / "demos.hdf5", ["--size", "front=32", "--cameras", "front"]
    how = ["--noise", "1", "--filter-noops", "--control", "joint_position"]
    assert main(["demo", "--task", "place_on", *size, *how, "--episodes", "2", "--workers", "1", "--no-card", "--out", str(source)]) == 0
    assert main(["verify", str(source), "--workers", "1"]) == 0
    assert f"2 of 2 demonstrations confirmed: {ALL}" in capsys.readouterr().out
    with h5py.File(source, "r+") as file:
        file["data/demo_0/actions"][...] = file["data/demo_0/actions"][0]
        file["data/demo_1/commands/ee_pose"][5, 0] += 0.01
    assert main(["verify", str(source), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "played again as it was collected, the episode is labelled otherwise from step 1 on" in told.err
    assert "commands ee_pose: they are not what the controllers were asked for, from step 5 on, by 0.01" in told.err


@pytest.mark.slow
def test_failures_are_kept_in_another_convention_too(tmp_path: Path, capsys: Capsys) -> None:
    source = tmp_path / "demos.hdf5"
    which = ["--task", "pour", "--first-seed", "1000004", "--episodes", "3", "--noise", "2", "--keep-failures", "--control", "joint_position"]
    assert main(["demo", *which, "--cameras", "front", "--size", "front=32", "--workers", "1", "--no-card", "--out", str(source)]) == 0
    with open_dataset(source) as reader:
        failed = [reader[i] for i in range(len(reader)) if not reader[i].is_success]
        assert failed and all(d.episode.control == reader.info.action and reader.info.action.name == "joint_position" for d in failed)
    assert main(["verify", str(source), "--workers", "1"]) == 0
    assert f" demonstrations confirmed: {ALL}" in capsys.readouterr().out


@pytest.mark.slow
def test_videos_that_were_exchanged_are_told(tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "set"
    arguments = ["--task", "place_on", "--episodes", "2", "--workers", "1", "--no-card", "--format", "lerobot_v3", "--out", str(folder)]
    assert main(["demo", *arguments]) == 0 and main(["verify", str(folder), "--workers", "1"]) == 0
    front, wrist = (folder / f"videos/observation.images.{camera}/chunk-000/file-000.mp4" for camera in ("front", "wrist"))
    front.rename(tmp_path / "front.mp4")
    wrist.rename(front)
    (tmp_path / "front.mp4").rename(wrist)
    capsys.readouterr()
    assert main(["verify", str(folder), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "2 of 2 demonstrations differ: the dataset is refused" in told.out
    assert told.err.count("  images of front: before action 0 the dataset shows something else than is rendered") == 2
