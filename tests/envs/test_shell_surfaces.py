"""Surfaces of robot shells: closed where they are asked to be, looking outward, mirrored and reduced without losing their shape."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.bodies.menagerie_meshes import reduced_together
from vlagym.envs.bodies.shell_surfaces import Array, Axis, Cap, Surface, hoop, joined, loft, mirrored, tube, turned
from vlagym.envs.errors import BadData
from vlagym.envs.meshes import TriangleMesh

BAR = np.array([[0.0, -0.02, 0.02, -0.01, 0.01, 2.0], [0.1, -0.02, 0.02, -0.01, 0.01, 2.0]])


def volume_m3(surface: Surface) -> float:
    a, b, c = (surface.vertices[surface.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0


def looks_outward(surface: Surface, centre: Array) -> bool:
    a, b, c = (surface.vertices[surface.faces[:, i]] for i in range(3))
    return bool(np.all(np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3.0 - centre) > -1e-15))


@pytest.mark.parametrize("along", ["x", "y", "z"])
@pytest.mark.parametrize("caps", [("flat", "flat"), (0.01, 0.03), ("flat", 0.01)])
def test_a_closed_loft_has_the_volume_of_what_it_is(along: Axis, caps: tuple[Cap, Cap]) -> None:
    made = loft(along, BAR, sides=64, rings=2, caps=caps)
    expected = np.pi * 0.02 * 0.01 * (0.1 + sum(2.0 / 3.0 * cap for cap in caps if isinstance(cap, float)))
    assert volume_m3(made) == pytest.approx(expected, rel=0.08)
    assert looks_outward(made, made.vertices.mean(axis=0))


def test_a_loft_lies_where_its_sections_say() -> None:
    made = loft("y", np.array([[-0.1, 0.01, 0.05, -0.03, 0.02, 3.0], [0.2, 0.01, 0.05, -0.03, 0.02, 3.0]]), sides=16, rings=1, caps=("open", "open"))
    assert np.allclose(made.vertices.min(axis=0), (0.01, -0.1, -0.03)) and np.allclose(made.vertices.max(axis=0), (0.05, 0.2, 0.02))


def test_a_plate_has_a_rim_that_looks_outward() -> None:
    made = loft("z", BAR, sides=64, rings=2, caps=("open", "open"), arc_rad=(-1.0, 1.0), rim_m=0.004)
    depth = loft("z", BAR, sides=64, rings=2, caps=("open", "open"), arc_rad=(-1.0, 1.0))
    assert len(made.faces) > len(depth.faces)
    a, b, c = (made.vertices[made.faces[:, i]] for i in range(3))
    upper = np.abs(made.vertices[made.faces][:, :, 2] - 0.1).max(axis=1) < 1e-9  # faces of the rim at the high end
    assert upper.any() and np.all(np.cross(b - a, c - a)[upper][:, 2] > 0.0)


def test_sections_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(BadData, match=r"the sections of a loft must ascend along x, found \[0.1, 0.0\]"):
        loft("x", BAR[::-1], sides=8, rings=1, caps=("open", "open"))


def test_a_plate_with_caps_is_refused() -> None:
    with pytest.raises(BadData, match="a loft with an arc is a plate without caps"):
        loft("x", BAR, sides=8, rings=1, caps=("flat", "open"), arc_rad=(0.0, 1.0))


@pytest.mark.parametrize("along", ["x", "y", "z"])
def test_a_turned_disc_has_the_volume_of_a_cylinder(along: Axis) -> None:
    made = turned(along, np.zeros(3), np.array([[0.0, -0.01], [0.03, -0.01], [0.03, 0.01], [0.0, 0.01]]), 64)
    assert volume_m3(made) == pytest.approx(np.pi * 0.03**2 * 0.02, rel=0.01)
    assert len(made.vertices) > 4 * 64  # its edges are sharp: each rim is there twice


def test_a_ring_looks_away_from_its_line() -> None:
    points = hoop("x", np.array([0.05, -0.04, 0.04, -0.05, 0.05, 2.0]), taper=0.0, count=48)
    made = tube(points, radius_m=0.004, sides=8, steps=1, is_closed=True)
    assert volume_m3(made) == pytest.approx(np.pi * 0.004**2 * 2 * np.pi * 0.045, rel=0.15)


def test_a_mirror_image_looks_outward_too() -> None:
    made = loft("x", BAR, sides=16, rings=1, caps=("flat", "flat"))
    assert volume_m3(mirrored(made)) == pytest.approx(volume_m3(made))


def test_a_reduced_mesh_keeps_its_shape_and_loses_what_is_inside() -> None:
    profile = np.column_stack([np.sin(np.linspace(0, np.pi, 60)), -np.cos(np.linspace(0, np.pi, 60))])
    profile[[0, -1], 0] = 0.0
    ball, core = (turned("z", np.zeros(3), radius * profile, 80) for radius in (0.05, 0.02))
    crumb = turned("z", np.array([0.06, 0.0, 0.0]), 0.001 * profile, 20)
    every = joined([ball, core, crumb])
    (made,) = reduced_together([TriangleMesh(vertices=every.vertices.astype(np.float32), faces=every.faces.astype(np.int32))], 600)
    assert 500 < len(made.faces) <= 600
    radii = np.linalg.norm(made.vertices, axis=1)
    assert radii.min() > 0.048 and radii.max() < 0.052


def test_meshes_reduced_together_stay_apart_and_share_the_faces() -> None:
    bars = [loft("x", BAR + np.array([[0, dy, dy, 0, 0, 0]]), sides=60, rings=20, caps=("flat", "flat")) for dy in (0.0, 0.2)]
    meshes = [TriangleMesh(vertices=bar.vertices.astype(np.float32), faces=bar.faces.astype(np.int32)) for bar in bars]
    first, second = reduced_together(meshes, 400)
    assert len(first.faces) + len(second.faces) <= 400 and abs(len(first.faces) - len(second.faces)) < 100
    assert first.vertices[:, 1].max() < 0.021 and second.vertices[:, 1].min() > 0.179
