"""Figures: which are drawn, that equal runs give equal files, that a name is only a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.results.gaps import gaps
from vlagym.results.plots import draw, level_figure
from vlagym.results.pooling import Run

MakeRun = Callable[..., Run]
WORDS = {(("camera", 1),): "ss sf ff", (("camera", 3),): "sf sf ff", (("wrong", 1),): "sf ss ff"}


def test_every_figure_that_the_runs_hold_something_for_is_drawn(paired_run: MakeRun, tmp_path: Path) -> None:
    runs = [paired_run(WORDS, task=("stack", "pour"), measures={"chance": 0.5}), paired_run(WORDS, policy="mini", name="other")]
    drawn = draw(runs, tmp_path / "figures")
    stems = ["success", "levels", "gaps-hold", "gaps-mini", "language"]
    assert [path.name for path in drawn] == [f"{stem}{end}" for stem in stems for end in (".png", ".svg")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn if path.suffix == ".png")


def test_a_name_is_only_a_name(paired_run: MakeRun, tmp_path: Path) -> None:
    drawn = draw([paired_run(WORDS, policy="<script>$\\frac{1$ ../../x")], tmp_path / "figures")
    assert all(path.parent == tmp_path / "figures" for path in drawn)
    for path in drawn:
        if path.suffix == ".svg":
            ElementTree.parse(path)
    assert "gaps-_script_frac_1_.._.._x.svg" in {path.name for path in drawn}


def test_without_variations_success_alone_is_drawn(paired_run: MakeRun, tmp_path: Path) -> None:
    whole = paired_run(WORDS)
    plain = Run(name="plain", header=whole.header, results=[r for r in whole.results if not r.axes])
    drawn = draw([plain], tmp_path / "once")
    assert [path.name for path in drawn] == ["success.png", "success.svg"]
    again = draw([plain], tmp_path / "again")
    assert [path.read_bytes() for path in drawn] == [path.read_bytes() for path in again], "equal runs, equal files"
    errors = paired_run({(("camera", 1),): "ee", (("wrong", 1),): "ee"})
    assert "success.png" in {path.name for path in draw([errors], tmp_path / "errors")}


def test_a_file_is_no_folder(paired_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadData, match="is a file; --plots wants a folder"):
        draw([paired_run(WORDS)], tmp_path / "file")
    with pytest.raises(BadData, match="a figure needs at least one run folder"):
        draw([], tmp_path)


def test_each_level_is_drawn_beside_its_own_twins(paired_run: MakeRun) -> None:
    """Scenes of level 1 are hard and those of level 3 easy; the variation changes nothing, and nothing is seen to change."""
    run = paired_run({(("camera", 1),): "ff ff ff -s", (("camera", 3),): "-f -f -f ss"})
    (panel,) = level_figure(gaps([run], "level").rows).axes
    (line,) = [line for line in panel.get_lines() if line.get_label() == "hold"]
    assert np.asarray(line.get_xydata()).tolist() == [[1.0, 0.0], [3.0, 0.0]]
