"""Zones, lines and holes are data of a fixture: they measure, and refuse what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.fixtures import fixtures, load_fixture
from vlagym.envs.marks import Hole, Line, Zone

PAINT = """
names = ["zone"]
rgba = [1.0, 0.0, 0.0, 1.0]
split = "seen"
size_m = [0.1, 0.1, 0.001]
{mark}
[[visual]]
shape = "box"
size_m = [0.1, 0.1, 0.001]
pos_m = [0.0, 0.0, 0.0005]
"""


def _load(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "zone" / "mine" / "fixture.toml"
    file.parent.mkdir(parents=True)
    file.write_text(PAINT.format(mark=mark))
    load_fixture(file)


def test_a_zone_says_how_far_a_point_is_inside() -> None:
    disc, square = Zone(outline="round", size_m=(0.2, 0.2)), Zone(outline="rectangular", size_m=(0.2, 0.1))
    assert disc.inside_m(0.06, 0.08) == pytest.approx(0.0) and disc.inside_m(0.0, 0.0) == pytest.approx(0.1)
    assert square.inside_m(0.09, 0.0) == pytest.approx(0.01) and square.inside_m(0.0, 0.06) == pytest.approx(-0.01)


def test_a_line_says_how_far_along_and_beside_it_a_point_is() -> None:
    line = Line(start_m=(0.0, 0.0), end_m=(0.0, 0.2))
    assert line.length_m == pytest.approx(0.2)
    assert line.along_m(0.0, 0.05) == pytest.approx((0.05, 0.0))
    assert line.along_m(-0.03, 0.2) == pytest.approx((0.2, 0.03)), "left of its direction counts as positive"


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('[zone]\noutline = "round"\nsize_m = [0.1, 0.2]', r"zone is round, but its size_m is \(0.1, 0.2\); both extents must be its diameter"),
        ('[zone]\noutline = "round"\nsize_m = [0.0, 0.0]', r"zone.size_m is \(0.0, 0.0\); lengths must be above 0"),
        ("[line]\nstart_m = [0.0, 0.0]\nend_m = [0.0, 0.01]", r"line is 0.01 m long; it must be at least 0.05 m"),
        ('[hole]\noutline = "round"\nsize_m = [0.1, 0.1]\nfloor_m = 0.05\nrim_m = 0.04', r"needs at least one \[\[visual\]\] and one \[\[collision\]\]"),
        ('[zone]\noutline = "oval"\nsize_m = [0.1, 0.1]', "oval"),
        ('[zone]\noutline = "round"\nsize = [0.1, 0.1]', "size"),
    ],
)
def test_a_mark_that_cannot_be_is_refused_with_its_file(tmp_path: Path, mark: str, complaint: str) -> None:
    with pytest.raises(BadData, match=complaint) as caught:
        _load(tmp_path, mark)
    assert "zone/mine/fixture.toml" in str(caught.value)


def test_a_hole_without_depth_is_refused(tmp_path: Path) -> None:
    collision = '\n[[collision]]\nshape = "box"\nsize_m = [0.1, 0.1, 0.001]\npos_m = [0.0, 0.0, 0.0005]\n'
    with pytest.raises(BadData, match=r"hole has its floor at 0.05 m and its rim at 0.04 m; the rim must be above the floor"):
        _load(tmp_path, '[hole]\noutline = "round"\nsize_m = [0.1, 0.1]\nfloor_m = 0.05\nrim_m = 0.04' + collision)


def test_what_is_painted_on_the_table_is_flat_and_touches_nothing() -> None:
    painted = [f for f in fixtures().values() if f.zone is not None or f.line is not None]
    assert len(painted) >= 10
    assert all(f.collision == () and f.size_m[2] < 0.002 for f in painted)


def test_every_hole_is_as_free_as_it_says() -> None:
    """No piece of a socket or lock reaches into the free extents of its hole, above its floor and below its chamfer."""
    with_holes = [f for f in fixtures().values() if f.hole is not None]
    assert {f.kind for f in with_holes} >= {"socket", "lock"}
    for asset in with_holes:
        hole = asset.hole
        assert isinstance(hole, Hole)
        for piece in asset.collision:
            if piece.quat != (1.0, 0.0, 0.0, 0.0):
                continue  # the chamfer is turned; it begins where the wall ends
            (x, y, z), (u, v, w) = piece.pos, piece.size
            apart = abs(x) - u >= hole.size_m[0] / 2 - 1e-6 or abs(y) - v >= hole.size_m[1] / 2 - 1e-6
            assert apart or z + w <= hole.floor_m + 1e-6, (asset.id, piece)
