"""`vlagym card`: made for datasets of ours, of loops of one's own and of others; what it knows, what it does not, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import fakes
import numpy as np
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.describing.making import Made, make_card, renew_card
from vlagym.benchmark.describing.things import describe, describing
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.objects import catalog as objects
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec
from vlagym.results.datacard import figures
from vlagym.results.datacard.card import DataCard
from vlagym.results.format import Format, NoDataset
from vlagym.results.recording import Recording

NASTY = "put | the <img src=x onerror=alert(1)> `cup` on $x$ [here](javascript:alert)"


def unlucky_sample(task: str, **options: Any) -> EpisodeSpec:
    """Every second episode is too short to succeed in."""
    spec = fakes.sample(task, **options)
    return dataclasses.replace(spec, horizon_s=0.2) if spec.seed % 2 else spec


def collect(out: Path, episodes: int = 4, **changes: Any) -> Path:
    defaults: dict[str, Any] = {
        "entries": (Entry(task="place_on", episodes=episodes, first_seed=FIRST_DEMO_SEED),),
        "out": out,
        "policy": "fakes:CARRIER",
        "images": {"front": Shrink(crop=16, size=16)},
        "commands": False,
        "paraphrases": 0,
        "executor": "serial",
        "sample": unlucky_sample,
        "find_unseen": fakes.find_nothing_unseen,
        "make_world": fakes.make_world,
        "command": ("vlagym", "demo", "--suite", "three"),
    }
    list(Collection(DemoOptions(**{**defaults, **changes})))
    return out


def store(traces: ModuleType, out: Path, *changes: dict[str, Any], format_name: str = "npz", **info: Any) -> Path:
    format_: Format = catalog.load("format", format_name)
    with format_.write(out, traces.make_dataset_info(**info)) as writer:
        for seed, change in enumerate(changes):
            writer.append(traces.make_demonstration(seed, **change))
    return out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take seconds; one test draws them."""
    monkeypatch.setattr(figures, "draw", lambda tally, folder: {})


def blind(dataset: Path, **options: Any) -> Made:
    return make_card(dataset, with_pictures=False, **options)


# ----------------------------------------------------------------------------------------------------------------------- datasets of ours
def test_the_card_of_a_collection_says_what_is_in_it_and_what_became_of_every_try(tmp_path: Path) -> None:
    made = make_card(collect(tmp_path / "d.hdf5"))
    card, folder = made.card, tmp_path / "d.hdf5.card"
    assert made.page == folder / "README.md" and card.is_ours and card.format == "hdf5" and card.licence == "Apache-2.0"
    assert card.yields is not None and [(t.task, t.tried, t.kept, t.lost) for t in card.yields.tasks] == [("place_on", 4, 2, {"horizon": 2})]
    assert card.contents.objects == {"block_red": 2, "plate_white": 2} and card.contents.kinds == {"block": 2, "plate": 2}
    assert card.contents.colours == {"red": 2, "white": 2} and card.suite == {"name": "three"} and card.unknown == ()
    assert card.disjoint.is_proven and (card.disjoint.first_seed, card.disjoint.last_seed) == (FIRST_DEMO_SEED, FIRST_DEMO_SEED + 2)
    assert {s.suite for s in card.disjoint.suites} == set(catalog.toml_names("benchmark/suites"))
    assert set(card.pictures) == {"lengths", "actions", "tasks", "words", "episodes"}
    assert all((folder / name).stat().st_size > 1000 for name in card.pictures.values())
    page = made.page.read_text(encoding="utf-8")
    assert page.startswith('---\npretty_name: "d.hdf5"\nlicense: apache-2.0\n') and "vlagym demo --suite three" in page
    assert "**No demonstration is a test episode**" in page and "| `place_on` | horizon | 2 |" in page
    assert all(f"({name})" in page for name in card.pictures.values())
    assert DataCard.from_json((folder / "card.json").read_text(encoding="utf-8")) == card


def test_a_failure_that_was_kept_is_no_yield_and_is_counted_beside(tmp_path: Path) -> None:
    out = collect(tmp_path / "d", format="npz", keep_failures=True)
    made = blind(out)
    assert made.card.contents.demonstrations == 4 and made.card.contents.successes == 2 and made.card.yields is not None
    (task,) = made.card.yields.tasks
    assert (task.tried, task.kept, task.kept_successes, task.kept_failures, task.lost) == (4, 4, 2, 2, {})
    page = made.page.read_text(encoding="utf-8")
    assert "4 seeds tried, 2 successful demonstrations kept (50.0 %), and 2 failures beside." in page and "| 4 | 50.0 % |" in page
    plain = json.loads(made.card.to_json())
    del plain["yields"]["tasks"][0]["kept_failures"]
    assert DataCard.from_json(json.dumps(plain)).yields is not None, "cards of before do not tell them apart"


def test_what_the_list_of_tries_knew_is_not_forgotten_when_it_is_gone(tmp_path: Path) -> None:
    out = collect(tmp_path / "d", format="npz")
    first = blind(out, suite={"name": "three", "version": 2}).card
    (tmp_path / "d.attempts.jsonl").unlink()
    again = blind(out).card
    assert again == first and again.yields is not None and again.suite == {"name": "three", "version": 2}
    (out / "vlagym" / "card" / "card.json").write_text("{")
    assert blind(out).card.yields is None
    (tmp_path / "d.attempts.jsonl").write_text("no list\n" * 3)
    with pytest.raises(BadData, match="d.attempts.jsonl is damaged: .*Without it the card is made"):
        blind(out)


def test_the_collector_makes_a_card_when_its_dataset_is_whole_and_fails_in_no_case(
    traces: ModuleType, tmp_path: Path, undrawn: None
) -> None:
    assert renew_card(tmp_path / "d", "npz") == ""
    out = store(traces, tmp_path / "d", {})
    (out / "vlagym").write_text("in the way")
    assert renew_card(out, "npz").startswith("the dataset is whole, and its card could not be made: ")
    (out / "vlagym").unlink()
    assert renew_card(out, "npz") == f"data card: {out / 'README.md'}"
    assert renew_card(out, "npz") == "", "it has one of these very demonstrations"
    (tmp_path / "e.parts").mkdir()
    assert renew_card(store(traces, tmp_path / "e.hdf5", {}, format_name="hdf5"), "hdf5").startswith("data card: ")


@pytest.mark.parametrize("name", [name for name in catalog.names("format") if name not in ("droid", "rlds_droid")])
def test_every_format_is_read_as_before_with_its_card_in_it(name: str, traces: ModuleType, tmp_path: Path, undrawn: None) -> None:
    format_: Format = catalog.load("format", name)
    info = traces.make_dataset_info()
    images = {camera: dataclasses.replace(how, size=16) for camera, how in info.images.items()}
    frames = {camera: np.full((7, 16, 16, 3), 90, np.uint8) for camera in images}
    out = store(traces, tmp_path / f"set{format_.suffix}", {"images": frames}, {"images": frames}, format_name=name, images=images)
    with format_.open(out) as reader:
        before = reader.digests
    card = make_card(out).card
    with format_.open(out) as reader:
        assert reader.digests == before and reader[0].images["front"].shape == (7, 16, 16, 3)
    assert (card.format, card.contents.demonstrations, [c.name for c in card.cameras]) == (name, 2, ["front", "wrist"])
    assert (out / "README.md").is_file() == out.is_dir() and make_card(out).card == card


# ------------------------------------------------------------------------------------------------------------------------ what is held out
def test_what_is_held_out_and_was_demonstrated_all_the_same_is_counted(traces: ModuleType, tmp_path: Path) -> None:
    unseen = next(a.id for a in objects().values() if a.split == "unseen" and a.kind == "block")
    spec = sample("pick_up", seed=FIRST_DEMO_SEED + 3)
    props = (dataclasses.replace(spec.scene.props[0], asset=unseen), *spec.scene.props[1:])
    other = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props))
    told = [{"spec": of, "digest": of.digest(), "instruction": of.instruction} for of in (spec, other)]
    out = store(traces, tmp_path / "d", *told, provenance={"held_out": ["unseen objects of pick_up"]})
    made = blind(out)
    assert made.card.held_out.demonstrations == 1 and made.card.held_out.looked_at == 2 and made.card.held_out.things[unseen] == 1
    assert made.card.held_out.allowed == ("unseen objects of pick_up",)
    page = made.page.read_text(encoding="utf-8")
    assert "**1 of 2 demonstrations show, say or ask for what is held out.**" in page and "- unseen objects of pick\\_up" in page


def test_the_small_world_has_no_places_that_are_held_out() -> None:
    found = (sample("place_on", seed=seed, catalogue="core") for seed in range(FIRST_DEMO_SEED, FIRST_DEMO_SEED + 40))
    spec = next(s for s in found if describe(s).unseen)
    assert all("the place of" in what for what in describe(spec).unseen or ())
    assert describing({"entries": [{"task": "place_on", "catalogue": "core"}]})(spec).unseen == ()
    assert describing({"entries": [{"task": "place_on", "catalogue": "full"}]})(spec).unseen and describing({})(spec).unseen


def test_what_is_not_here_is_said_not_to_be_known(traces: ModuleType, tmp_path: Path) -> None:
    made = blind(store(traces, tmp_path / "d", {}))
    assert made.card.contents.objects == {"mug": 1, "plate": 1} and made.card.contents.kinds == {} and made.card.held_out.looked_at == 0
    assert "Not known: the episodes name what this version of vlagym does not have." in made.page.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------------------ made by others
def test_the_card_of_what_was_recorded_elsewhere_says_what_nobody_knows(tmp_path: Path, undrawn: None) -> None:
    with Recording(tmp_path / "d", format="npz", rate_hz=10) as recording:
        for seed in range(2):
            recording.start(NASTY)
            for step in range(3):
                frame = {"front": np.full((16, 24, 3), 80 * seed, np.uint8)}
                recording.step(rgb=frame, joint_positions=np.full(6, step), delta_joint_positions=np.zeros(6) + seed, gripper_command=0.5)
            recording.end(success=bool(seed))
    made = make_card(tmp_path / "d")
    card, page = made.card, made.page.read_text(encoding="utf-8")
    assert not card.is_ours and card.licence is None and card.contents.without_spec == 2 and card.contents.successes == 1
    assert not card.disjoint.is_proven and card.disjoint.looked_at == 0 and card.yields is None
    assert [line.split(":")[0] for line in card.unknown] == [
        "2 of 2 demonstrations name no episode of vlagym",
        "whether demonstrations without a mark of success succeeded",
        "how many tries it took",
        "the command that made it",
        "the versions of what made it",
        "which robot it was",
    ]
    assert "license:" not in page and "**Not known**: the demonstrations name no episode" in page and "## What is not known" in page
    assert "<img" not in page.replace("\\<img", "") and "put \\| the \\<img src=x onerror=alert\\(1\\)\\>" in page


# -------------------------------------------------------------------------------------------------------------------------- what is refused
def test_what_is_empty_broken_or_not_there_has_no_card(traces: ModuleType, tmp_path: Path) -> None:
    out = store(traces, tmp_path / "d", {}, {})
    index = json.loads((out / "index.json").read_text())
    (out / "episodes" / "000001.npz").write_bytes(b"cut off")
    with pytest.raises(BadData, match="000001.npz cannot be read"):
        blind(out)
    (out / "index.json").write_text(json.dumps({**index, "episodes": []}))
    with pytest.raises(BadData, match="d holds no demonstration: there is nothing to tell of it"):
        blind(out)
    assert sorted(p.name for p in out.iterdir()) == ["episodes", "index.json"] and sorted(p.name for p in tmp_path.iterdir()) == ["d"]
    with pytest.raises(NoDataset, match="there is no dataset at .*nowhere"):
        blind(tmp_path / "nowhere")
    (tmp_path / "e").mkdir()
    with pytest.raises(BadData, match="e is no dataset of a format that is known here"):
        blind(tmp_path / "e")


def test_the_command_line_prints_the_sum_and_the_card(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = store(traces, tmp_path / "d", {}, {"is_success": False})
    words = ["card", str(out), "--no-pictures"]
    assert main([*words, "--out", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"2 demonstrations ({tmp_path / 'c' / 'README.md'})"
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contents"]["successes"] == 1
    for wrong, message in (
        (["--season", "x"], "the season 'x' is one of suites: say which, --against SUITE or --against all"),
        (["--against", "tabeltop"], "no suite is called 'tabeltop'. Did you mean tabletop"),
        (["--format", "hdf"], "no format is called 'hdf'. Did you mean hdf5"),
        (["--workers", "0"], "there is at least 1 worker, not 0"),
    ):
        assert main([*words, *wrong]) == 2 and message in capsys.readouterr().err


def test_conversions_and_their_losses_are_told_and_nothing_in_them_is_markup(traces: ModuleType, tmp_path: Path) -> None:
    lost = [["depth", "not stored <b>at all</b>"], ["images", "H.264, 0.4 of 255 levels"]]
    conversions = [{"from": "hdf5", "to": "npz", "lost": lost}, {"from": "npz", "to": "droid", "lost": []}]
    told = {"command": ["vlagym", "demo", "--out", "a b`c"], "conversions": conversions}
    page = blind(store(traces, tmp_path / "d", {}, provenance=told)).page.read_text(encoding="utf-8")
    assert "```bash\nvlagym demo --out 'a b`c'\n```" in page
    assert "Then converted from `hdf5` to `npz`, with a loss of:\n\n- depth: not stored \\<b\\>at all\\</b\\>\n- images: H.264" in page
    assert "Then converted from `npz` to `droid`, without a loss." in page


def test_rows_are_found_by_the_hub_only_where_they_lie_beside_the_page(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info()
    images = {camera: dataclasses.replace(how, size=16) for camera, how in info.images.items()}
    frames = {camera: np.full((7, 16, 16, 3), 90, np.uint8) for camera in images}
    out = store(traces, tmp_path / "set", {"images": frames}, format_name="lerobot_v3", images=images)
    inside, beside = (blind(out, out=folder).page.read_text(encoding="utf-8").split("---")[1] for folder in (None, tmp_path / "card"))
    assert "tags:\n- LeRobot\n" in inside and "tags:\n- LeRobot\n" in beside
    assert "  data_files: data/*/*.parquet\n" in inside and "configs:" not in beside
