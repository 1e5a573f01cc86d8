"""Contact sheets: every thing in its cell, with its name below, and large enough to be recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlagym.benchmark import cli
from vlagym.benchmark.contact_sheets import Picture, object_portraits, save, sheet
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.portraits import portrait
from vlagym.envs.types import PropSpec


def grey(value: int, size: int = 40) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def prop(asset: str) -> PropSpec:
    return PropSpec(name="it", asset=asset, pos_world=(0.0, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))


def test_pictures_lie_in_rows_with_their_titles_below() -> None:
    page = sheet([Picture(grey(10 * k), f"n{k}") for k in range(5)], columns=3)
    dark = [int((page == 10 * k).all(axis=-1).sum()) for k in range(5)]
    assert dark == [1600] * 5
    below_first = page[6 + 40 : 6 + 40 + 14, 6:46]
    assert (below_first < 60).any() and (page[:4] == 255).all()


def test_a_title_that_is_too_long_stays_within_its_cell() -> None:
    page = sheet([Picture(grey(0), "a_name_that_nobody_would_give"), Picture(grey(255), "x")], columns=2, text_scale=3)
    title = page[46:, 6 + 40 : 6 + 40 + 6]
    assert (title == 255).all()


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(UnknownName, match="a contact sheet needs at least one picture"):
        sheet([], columns=3)


@pytest.mark.gl
def test_a_portrait_shows_the_whole_thing_in_its_colour() -> None:
    image = portrait(props=[prop("tomato")], size_px=96).astype(int)
    red = (image[..., 0] > 2 * image[..., 1]) & (image[..., 0] > 80)
    assert 0.1 < red.mean() < 0.7
    border = np.concatenate([red[0], red[-1], red[:, 0], red[:, -1]])
    assert not border.any(), "it is cut off"


@pytest.mark.gl
def test_a_portrait_does_not_depend_on_what_was_drawn_before() -> None:
    first = portrait(props=[prop("soup_can")], size_px=64)
    portrait(props=[prop("football")], size_px=120)
    assert np.array_equal(portrait(props=[prop("soup_can")], size_px=64), first)


def test_a_portrait_of_nothing_is_refused() -> None:
    with pytest.raises(BadSpec, match="a portrait needs a prop or a fixture"):
        portrait()


@pytest.mark.gl
def test_every_object_of_a_kind_is_shown_with_its_split() -> None:
    pictures = object_portraits(["cup"], size_px=48)
    assert [p.title for p in pictures] == sorted(p.title for p in pictures) and len(pictures) >= 4
    assert {p.note for p in pictures} == {"cup - seen", "cup - unseen"}
    with pytest.raises(UnknownName, match=r"no kind of object is called 'cups'\. Did you mean cup"):
        object_portraits(["cups"])


@pytest.mark.parametrize("name", ("a", "a.xyz", ".png"))
def test_a_page_is_not_written_to_a_file_of_another_sort(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadData, match="a contact sheet is written to a file that ends in .png or .jpg or .jpeg, not to "):
        save(grey(9), tmp_path / name)
    with pytest.raises(BadData, match="with 256 colours is written to a file that ends in .png, not to "):
        save(grey(9), tmp_path / "a.jpg", is_small=True)
    for what in ("open_drawer", "smoke", "objects"):
        assert cli.main(["show", what, "--png", str(tmp_path / name)]) == 2
        assert "a contact sheet is written to a file that ends in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ("a.png", "a.PNG", "a.jpg"))
def test_a_page_is_written(name: str, tmp_path: Path) -> None:
    save(grey(9), tmp_path / name)
    assert (tmp_path / name).stat().st_size > 50


@pytest.mark.gl
def test_show_objects_writes_a_sheet_and_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import imageio.v2 as imageio

    out = tmp_path / "new" / "cups.png"
    assert cli.main(["show", "objects", "--kind", "pot", "--png", str(out)]) == 0
    page = np.asarray(imageio.imread(out))
    assert page.ndim == 3 and page.shape[1] > 500
    printed = capsys.readouterr().out
    assert "pot_red" in printed and "seen" in printed and "saucepan" in printed
    assert cli.main(["show", "objects", "--kind", "pott"]) == 2


@pytest.mark.gl
def test_show_of_a_robot_plays_an_episode_of_each_of_its_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import imageio.v2 as imageio

    out = tmp_path / "robot.png"
    words = ["show", "cmu_humanoid", "--task", "touch_with", "--task", "turn_to", "--frames", "3", "--size", "48", "--quality", "fast"]
    assert cli.main([*words, "--columns", "1", "--png", str(out)]) == 0
    page = np.asarray(imageio.imread(out))
    assert page.shape[1] == 3 * 48 + 12 and page.shape[0] > 2 * 48
    told = capsys.readouterr()
    assert "2 episodes" in told.out and "turn_to" in told.out and "3 frames each of 2 episodes" in told.err
    strips = [page[top : top + 48, 6 : 6 + 144] for top in (6,)]
    assert all((strip[:, :48] != strip[:, 96:]).any() for strip in strips), "nothing moves"


def test_show_of_a_robot_refuses_what_it_does_not_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "g1", "--task", "pour"]) == 2
    assert "no task of g1 is called 'pour'" in capsys.readouterr().err
    assert cli.main(["show", "g1", "--base", "legs"]) == 2
    assert "--base means nothing for a robot in all of its tasks: leave it out" in capsys.readouterr().err
    assert cli.main(["show", "g1", "--frames", "0"]) == 2
    assert "--frames is 1 to 16, not 0" in capsys.readouterr().err
