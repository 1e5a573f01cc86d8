"""Tables and contact sheets of what the world is made of."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from vlagym.benchmark import contact_sheets
from vlagym.benchmark.cli import main
from vlagym.benchmark.contact_sheets import Picture, sheet
from vlagym.benchmark.scene_pictures import wrapped
from vlagym.envs.arenas import arena_names
from vlagym.envs.fixtures import fixtures


def test_arenas_are_listed_with_their_split(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "arenas", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == arena_names()
    assert {row["split"] for row in rows} == {"seen", "unseen"} and all(row["summary"] for row in rows)


def test_arenas_and_furniture_are_shown_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "arenas"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in arena_names()) and "a round marble table in a café" in told
    assert main(["show", "fixtures", "--kind", "cabinet"]) == 0
    told = capsys.readouterr().out
    assert "cabinet_red" in told and "microwave" not in told


def test_what_cannot_be_shown_is_answered_with_what_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "arena"]) == 2
    assert "no suite or task is called 'arena'. Did you mean arenas" in capsys.readouterr().err
    assert main(["show", "fixtures", "--kind", "cabin"]) == 2
    assert "no kind of furniture is called 'cabin'. Did you mean cabinet" in capsys.readouterr().err
    assert main(["show", "arenas", "--kind", "cafe"]) == 2
    assert "arenas have no kinds: leave out --kind cafe" in capsys.readouterr().err
    assert main(["show", "smoke", "--size", "9"]) == 2
    assert "32 to 1024 pixels wide, not 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objects", "--seed", "3"], "--seed means nothing for the table of objects"),
        (["arenas", "--arena", "kitchen", "--json"], "--arena and --json mean nothing for the table of arenas"),
        (["touch", "--kind", "cup"], "--kind means nothing for an episode of a task"),
        (["touch", "--episodes", "3"], "--episodes means nothing for an episode of a task"),
        (["smoke", "--arena", "kitchen"], "--arena means nothing for a suite"),
        (["apple"], "'apple' is an object, not a suite or task. Its kind is shown by: vlagym show objects --kind fruit"),
        (["cabinet_red"], "'cabinet_red' is a fixture, not a suite or task. Its kind is shown by: vlagym show fixtures --kind cabinet"),
        (["kitchen"], "'kitchen' is an arena, not a suite or task. A task is shown in it by: vlagym show place_on --arena kitchen"),
        (["mysmok"], "A suite of your own is written as the path of its .toml file."),
        (["mysmoke"], "mysmoke.toml is there: write that."),
    ],
)
def test_what_means_nothing_is_not_ignored(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mysmoke.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["show", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.gl
def test_a_suite_is_shown_with_its_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheets" / "smoke.png"
    assert main(["show", "smoke", "--episodes", "1", "--size", "96", "--png", str(out), "--small", "--quality", "fast"]) == 0
    page = imageio.imread(out)
    assert page.shape[1] == 3 * (96 + 6) + 6 and len(np.unique(page.reshape(-1, page.shape[2]), axis=0)) <= 256
    assert "the first frames of 3 episodes" in capsys.readouterr().err


@pytest.mark.gl
def test_furniture_is_portrayed_with_its_doors_ajar() -> None:
    pictures = contact_sheets.fixture_portraits(("cupboard",), size_px=48)
    assert len(pictures) == sum(f.kind == "cupboard" for f in fixtures().values())
    assert all(p.image.shape == (48, 48, 3) and p.image.std() > 5 for p in pictures)


def test_captions_are_broken_into_lines_and_lose_their_accents() -> None:
    assert wrapped("put the red block into the bowl", 60) == "put the\nred block\ninto the\nbowl"
    plain, accented = (sheet([Picture(np.zeros((8, 60, 3), np.uint8), "cafe", note)], 1) for note in ("a cafe\nby the sea", "a café\nby the sea"))
    assert np.array_equal(plain, accented)
    assert plain.shape[0] > sheet([Picture(np.zeros((8, 60, 3), np.uint8), "cafe")], 1).shape[0]
