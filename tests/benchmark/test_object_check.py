"""The contract of objects complains of what a reader of the file would not see."""

import shutil
from pathlib import Path

import pytest

from vlagym import assets
from vlagym.benchmark.checks.object import CONTRACT


def mine(folder: Path, text: str) -> str:
    """Returns the path of a block of one's own."""
    path = folder / "block" / "mine" / "object.toml"
    path.parent.mkdir(parents=True)
    shutil.copy(assets.path("objects/block/block.toml"), folder / "block" / "block.toml")
    path.write_text(f'design = "block"\n{text}', encoding="utf-8")
    return str(path)


def test_an_object_of_ones_own_is_checked_by_its_path(tmp_path: Path) -> None:
    assert list(CONTRACT.complaints(mine(tmp_path, 'colour = "red"\nrgba = [0.8, 0.1, 0.1, 1.0]\nsplit = "seen"\n'))) == []


def test_a_colour_that_no_sentence_knows_is_complained_of(tmp_path: Path) -> None:
    (line,) = CONTRACT.complaints(mine(tmp_path, 'colour = "bleu"\nrgba = [0.1, 0.2, 0.8, 1.0]\nsplit = "seen"\n'))
    assert "no colour is called 'bleu'. Did you mean blue" in str(line)


def test_a_folder_without_its_file_is_complained_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(mine(tmp_path, "")).rename(tmp_path / "block" / "mine" / "object.tom")
    monkeypatch.setattr(assets, "path", lambda name: tmp_path)
    assert CONTRACT.names() == ["mine"]
    (line,) = CONTRACT.complaints("mine")
    assert line == "its folder block/mine has no object.toml, so it is not in the catalogue; it holds: object.tom"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [('colour = "pink"', "keeps its colour 'pink' for evaluation"), ('material = "glass"', "keeps its material 'glass' for evaluation")],
)
def test_a_seen_object_of_an_unseen_colour_or_material_is_complained_of(tmp_path: Path, keys: str, complaint: str) -> None:
    path = mine(tmp_path, f'{keys}\nrgba = [0.93, 0.42, 0.62, 1.0]\nsplit = "seen"\n')
    assert any(complaint in line for line in CONTRACT.complaints(path))
