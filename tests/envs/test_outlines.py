"""Solids made of outlines: closed, of the size that was asked for, and of the volume of the school book."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.shapes.outlines import cutout, loft, superellipsoid, tub
from vlagym.envs.shapes.shape_tables import collision_pieces, visual_part
from vlagym.envs.shapes.parts import joint_bounds

L_SHAPE = np.array([[0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]], float)
TETRAHEDRON = {"shape": "mesh", "vertices_m": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "faces": [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]}


def test_a_cutout_of_a_concave_outline_has_its_area() -> None:
    assert cutout(L_SHAPE, 2.0, 0.0).volume_m3 == pytest.approx(10.0)
    assert 9.0 < cutout(L_SHAPE, 2.0, 0.1).volume_m3 < 10.0


def test_a_tub_holds_what_lies_between_its_walls() -> None:
    block = tub((2.0, 1.0), 0.001, np.array([[0.0, 0.0], [0.0, 1.0]]), 1)
    tray = tub((2.0, 1.0), 0.001, np.array([[0.0, 0.0], [0.0, 1.0], [0.1, 1.0], [0.1, 0.1]]), 1)
    assert block.volume_m3 == pytest.approx(2.0, rel=1e-3)
    assert tray.volume_m3 == pytest.approx(2.0 - 1.8 * 0.8 * 0.9, rel=1e-3)


def test_a_loft_of_ellipses_is_nearly_a_cylinder() -> None:
    stations = np.array([[0.0, 0, 0, 1, 1], [3.0, 0, 0, 1, 1]])
    assert loft(stations, 2.0, 60).volume_m3 == pytest.approx(3 * np.pi, rel=0.01)


def test_a_superellipsoid_goes_from_a_ball_to_a_box() -> None:
    volumes = [superellipsoid(np.ones(3), (n, n), 40, 20).volume_m3 for n in (2.0, 3.0, 10.0)]
    assert volumes[0] == pytest.approx(4 / 3 * np.pi, rel=0.03)
    assert volumes[0] < volumes[1] < volumes[2] < 8.0


def test_walls_stand_around_a_rectangle_and_lean_out() -> None:
    pieces = collision_pieces({"shape": "walls", "width_m": [0.2, 0.1], "height_m": 0.04, "thickness_m": 0.004, "flare_m": 0.01}, "f.toml")
    low, high = joint_bounds(pieces)
    assert len(pieces) == 4 and high - low == pytest.approx([0.22, 0.12, 0.04], abs=0.003)


def test_a_mesh_may_be_written_down() -> None:
    assert len(visual_part(TETRAHEDRON, "f.toml").shape.faces) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 1, 2]]}, r"^f\.toml: the mesh is not closed: \d of its edges do not lie between two faces"),
        ({"faces": [[0, 2, 1], [0, 1, 3], [1, 2, 3]]}, r"^f\.toml: faces needs four triangles or more over the 4 vertices"),
        ({"faces": [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 7]]}, r"over the 4 vertices, which are numbered from 0"),
        ({"faces": [[0, 1, 2], [0, 3, 1], [1, 3, 2], [0, 2, 3]]}, r"its faces look inward; swap two corners of each"),
    ],
)
def test_a_mesh_that_is_not_closed_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        visual_part({**TETRAHEDRON, **change}, "f.toml")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"shape": "cutout", "outline_m": L_SHAPE[::-1].tolist(), "height_m": 0.1}, r"outline_m must run counter-clockwise"),
        ({"shape": "cutout", "outline_m": [[0, 0], [2, 2], [2, 0], [0.5, 3], [-3, 3]], "height_m": 0.1}, r"outline_m crosses itself"),
        ({"shape": "cutout", "outline_m": [[0, 0], [1, 0], [1, 1], [1, 1], [0, 1]], "height_m": 0.1}, r"touches itself or has two equal corners"),
        (
            {"shape": "tub", "width_m": [0.1, 0.1], "corner_m": 0.01, "profile_m": [[0, 0], [0.06, 0.1]]},
            r"goes 0\.06 m inward, but the rectangle is only 0\.1 m",
        ),
        ({"shape": "loft", "stations_m": [[0, 0, 1, 1], [-1, 0, 1, 1]]}, r"x growing and half sizes above 0"),
        ({"shape": "walls", "width_m": [0.1, 0.1], "height_m": 0.1, "thickness_m": 0.01}, r"walls are for contacts only; a tub is what one sees"),
    ],
)
def test_a_wrong_outline_is_refused_with_the_reason(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        visual_part(table, "f.toml")
