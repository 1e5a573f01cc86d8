"""What a data card counts, how it is written down, and where it lies."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec
from vlagym.results.datacard import escaping
from vlagym.results.datacard.identity import scene_digest
from vlagym.results.datacard.place import PAGE, place_of, put, size_of
from vlagym.results.datacard.tally import Shown, Tally
from vlagym.results.demonstration import Stage
from vlagym.results.formats import npz

SHOWN = Shown(objects=("mug_red", "plate_white"), kinds=("mug", "plate"), colours=("red",), unseen=())
NASTY = "<img src=x onerror=alert(1)> | a*b_c* [x](javascript:y) `code`\n# title \x1b[31m \u202e $1$"


def describe(spec: EpisodeSpec) -> Shown:
    return SHOWN._replace(unseen=("the word 'berry'",)) if spec.seed == 2 else SHOWN


# ----------------------------------------------------------------------------------------------------------------------- what is counted
def test_everything_is_counted_in_one_pass_without_an_image(traces: ModuleType) -> None:
    tally = Tally(traces.make_dataset_info(), describe)
    for seed, steps in ((0, 7), (1, 9), (2, 20)):
        demonstration = traces.make_demonstration(seed, steps=steps, stages=(Stage(0, "reach"),), paraphrases=("a", "b"))
        tally.add(dataclasses.replace(demonstration, images={}, is_success=seed != 2))
    found = tally.contents()
    assert (found.demonstrations, found.successes, found.steps.total, found.steps.median, found.paraphrases) == (3, 2, 36, 9.0, 6)
    (task,) = found.tasks
    assert (task.demonstrations, task.successes, task.steps.min, task.steps.max, task.sentences) == (3, 2, 7, 20, 1)
    assert found.seconds == pytest.approx(36 / 20) and found.sentences == {"put the mug on the plate": 3}
    assert found.words == {"the": 6, "mug": 3, "on": 3, "plate": 3, "put": 3} and next(iter(found.words)) == "the"
    assert found.objects == {"mug_red": 3, "plate_white": 3} and found.colours == {"red": 3} and found.stages == {"reach": 3}
    assert [n.name for n in found.actions] == [*(f"{part}.{a}" for part in ("translation", "rotation") for a in "xyz"), "gripper"]
    assert found.actions[0].count == 36 and found.disturbed_steps == 36 and found.without_spec == 0
    assert tally.places == {task.task: [0, 1, 2]}
    held_out = tally.held_out(["unseen phrases"])
    assert (held_out.demonstrations, held_out.looked_at, held_out.things, held_out.allowed) == (1, 3, {"the word 'berry'": 1}, ("unseen phrases",))


def test_what_is_there_twice_is_told(traces: ModuleType) -> None:
    tally = Tally(traces.make_dataset_info(), describe)
    first = traces.make_demonstration(0)
    copied = dataclasses.replace(first.episode, seed=77)
    for demonstration in (first, first, dataclasses.replace(first, spec=copied, digest=copied.digest()), traces.make_demonstration(1)):
        tally.add(demonstration)
    found = tally.duplicates()
    assert (found.same_digest, found.same_recording, found.same_scene) == (1, 2, 3)


def test_a_scene_is_the_same_whatever_its_seed_sentence_and_looks(traces: ModuleType) -> None:
    spec = traces.make_spec(seed=3, props=("mug", "plate"))
    painted = tuple(dataclasses.replace(prop, rgba=(1.0, 0.0, 0.0, 1.0)) for prop in spec.scene.props)
    same = dataclasses.replace(spec, seed=9, instruction="other words", phrase="x/y", scene=dataclasses.replace(spec.scene, props=painted, cameras=()))
    assert scene_digest(same) == scene_digest(spec) and same.digest() != spec.digest()
    moved = tuple(dataclasses.replace(prop, pos_world=(0.1, 0.2, 0.0)) for prop in spec.scene.props)
    for other in (dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=moved)), dataclasses.replace(spec, goal=spec.goal[:0])):
        assert scene_digest(other) != scene_digest(spec)


def test_a_damaged_demonstration_is_named(traces: ModuleType) -> None:
    tally = Tally(traces.make_dataset_info(), describe)
    demonstration = traces.make_demonstration(0)
    with pytest.raises(BadData, match=f"demonstration {demonstration.digest} has actions of the shape \\(7, 6\\); ee_delta wants \\(7, 7\\)"):
        tally.add(dataclasses.replace(demonstration, actions=demonstration.actions[:, :6]))
    spoiled = demonstration.actions.copy()
    spoiled[3, 2] = np.inf
    with pytest.raises(BadData, match=f"demonstration {demonstration.digest}: actions, number 2: a column of numbers holds inf"):
        tally.add(dataclasses.replace(demonstration, actions=spoiled))


# ------------------------------------------------------------------------------------------------------------------------- how it is written
def test_whatever_a_text_holds_does_nothing_on_the_page() -> None:
    written = escaping.text(NASTY)
    assert "\n" not in written and "\x1b" not in written and "\u202e" not in written
    for mark in "<>|*_[]()`#$":
        assert f"\\{mark}" in written and not any(written[i - 1] != "\\" for i in range(1, len(written)) if written[i] == mark)
    assert written.startswith("\\<img")
    assert escaping.code("a`b") == "``a`b``" and escaping.code("`") == "`` ` ``" and escaping.code("a|b") == "a\\|b"
    assert escaping.block("```\nx").startswith("````\n") and escaping.text("- x") == "\\- x"
    assert json.loads(escaping.yaml_text(NASTY)) == escaping.one_line(NASTY)
    assert escaping.details("a <b>", "x").startswith("<details>\n<summary>a &lt;b&gt;</summary>")


def test_a_table_keeps_its_columns() -> None:
    row = [escaping.text("a | b"), escaping.code("c | d")]
    lines = escaping.table(["one", "two"], [row], right=(1,)).splitlines()
    assert lines == ["| one | two |", "| --- | ---: |", "| a \\| b | c \\| d |"]


# --------------------------------------------------------------------------------------------------------------------------- where it lies
def write(page: str, folder: Path) -> str:
    (folder / "card.json").write_text("{}")
    return page


def test_a_card_lies_in_folders_of_ours_and_beside_all_else(traces: ModuleType, tmp_path: Path) -> None:
    with npz.FORMAT.write(tmp_path / "ours", traces.make_dataset_info()) as writer:
        writer.append(traces.make_demonstration(0))
    inside = place_of(tmp_path / "ours")
    assert (inside.page, inside.folder, inside.pictures) == (tmp_path / "ours" / PAGE, tmp_path / "ours" / "vlagym" / "card", "vlagym/card")
    theirs = tmp_path / "theirs"
    (theirs / "meta").mkdir(parents=True)
    assert place_of(theirs).folder == tmp_path / "theirs.card" and place_of(theirs).pictures == ""
    (theirs / "1.0.0" / "vlagym").mkdir(parents=True)
    (theirs / "1.0.0" / "vlagym" / "info.json").write_text("{}")
    assert (place_of(theirs).page, place_of(theirs).pictures) == (theirs / PAGE, "1.0.0/vlagym/card")
    (tmp_path / "d.hdf5").write_bytes(b"")
    assert place_of(tmp_path / "d.hdf5").page == tmp_path / "d.hdf5.card" / PAGE
    assert place_of(theirs, tmp_path / "else").page == tmp_path / "else" / PAGE


def test_a_page_of_somebody_else_is_not_written_over(traces: ModuleType, tmp_path: Path) -> None:
    with npz.FORMAT.write(tmp_path / "ours", traces.make_dataset_info()) as writer:
        writer.append(traces.make_demonstration(0))
    (tmp_path / "ours" / PAGE).write_text("# mine")
    place = place_of(tmp_path / "ours")
    assert place.page == tmp_path / "ours" / "vlagym" / "card" / PAGE
    before = size_of(tmp_path / "ours", place)
    put(place, partial(write, "# card"))
    assert (tmp_path / "ours" / PAGE).read_text() == "# mine" and place.page.read_text() == "# card"
    assert size_of(tmp_path / "ours", place) == before and npz.FORMAT.open(tmp_path / "ours").digests


def test_a_card_that_cannot_be_made_leaves_the_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "d.hdf5").write_bytes(b"")
    place = place_of(tmp_path / "d.hdf5")
    put(place, partial(write, "# first"))

    def fail(folder: Path) -> str:
        (folder / "half.png").write_bytes(b"x")
        raise BadData("no")

    with pytest.raises(BadData, match="no"):
        put(place, fail)
    assert place.page.read_text() == "# first" and sorted(p.name for p in tmp_path.iterdir()) == ["d.hdf5", "d.hdf5.card"]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("years")
    with pytest.raises(BadData, match="work is there and holds no data card: choose another folder, with --out"):
        put(place_of(tmp_path / "d.hdf5", tmp_path / "work"), lambda folder: "")
    with pytest.raises(BadData, match="the card cannot be written to .*d.hdf5/x: .*Choose another folder, with --out"):
        put(place_of(tmp_path / "d.hdf5", tmp_path / "d.hdf5" / "x"), lambda folder: "")
