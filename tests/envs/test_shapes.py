"""Shapes are closed, turned outward, as large as they say, and the same every time."""

import math
from typing import Any

import numpy as np
import pytest
import trimesh

from vlagym.envs.errors import BadData
from vlagym.envs.shapes.shape_tables import collision_pieces, visual_part
from vlagym.envs.shapes.parts import Mesh, Primitive, bounds, joint_bounds, num_faces

SOLIDS: dict[str, tuple[dict[str, Any], float, float]] = {
    # name: (table, true volume in m^3, share of it that a coarse mesh may lack)
    "box": ({"shape": "box", "size_m": [0.04, 0.06, 0.08], "bevel_m": 0.001}, 0.04 * 0.06 * 0.08, 0.01),
    "cylinder": ({"shape": "cylinder", "radius_m": 0.02, "height_m": 0.1}, math.pi * 0.02**2 * 0.1, 0.03),
    "sphere": ({"shape": "sphere", "radius_m": 0.03}, 4 / 3 * math.pi * 0.03**3, 0.06),
    "ellipsoid": ({"shape": "ellipsoid", "radii_m": [0.02, 0.03, 0.04]}, 4 / 3 * math.pi * 0.02 * 0.03 * 0.04, 0.06),
    "capsule": ({"shape": "capsule", "radius_m": 0.02, "length_m": 0.06}, math.pi * 0.02**2 * (0.06 + 4 / 3 * 0.02), 0.12),
    "lathe": ({"shape": "lathe", "profile_m": [[0, 0], [0.03, 0], [0, 0.06]]}, math.pi * 0.03**2 * 0.06 / 3, 0.03),
    "ring": ({"shape": "lathe", "profile_m": [[0.02, 0], [0.03, 0], [0.03, 0.01], [0.02, 0.01]]}, math.pi * 0.0005 * 0.01, 0.03),
    "shell": ({"shape": "shell", "radius_m": 0.03, "height_m": 0.05, "thickness_m": 0.004}, math.pi * (0.03**2 - 0.026**2) * 0.05, 0.03),
    "tube": ({"shape": "tube_path", "points_m": [[0, 0, 0], [0, 0, 0.1]], "radius_m": 0.01, "sides": 24}, math.pi * 0.01**2 * 0.1, 0.03),
    "prism": ({"shape": "extrusion", "outline_m": [[0, 0], [0.1, 0], [0, 0.1]], "height_m": 0.02}, 0.1 * 0.1 / 2 * 0.02, 1e-6),
    "bent tube": ({"shape": "tube_path", "points_m": [[0, 0, 0], [0.03, 0, 0], [0.03, 0.03, 0.02]], "radii_m": [0.01, 0.008, 0.005]}, 9.8e-6, 0.03),
    "bevelled prism": ({"shape": "extrusion", "outline_m": [[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]], "height_m": 0.02, "bevel_m": 0.002}, 2e-4, 0.03),
}


def mesh_of(table: dict[str, Any]) -> Mesh:
    shape = visual_part(table, "test").shape
    assert isinstance(shape, Mesh)
    return shape


@pytest.mark.parametrize("name", SOLIDS)
def test_a_mesh_is_closed_looks_outward_and_has_its_volume(name: str) -> None:
    table, volume_m3, lack = SOLIDS[name]
    mesh = mesh_of(table)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)  # joins the corners that creases keep apart
    solid.merge_vertices(merge_norm=True, merge_tex=True)
    assert solid.is_watertight and solid.is_winding_consistent
    assert volume_m3 * (1 - lack) <= solid.volume <= volume_m3 * (1 + 1e-3)
    assert num_faces(mesh) == len(mesh.faces)


@pytest.mark.parametrize("name", SOLIDS)
def test_equal_tables_give_equal_bits(name: str) -> None:
    first, second = mesh_of(SOLIDS[name][0]), mesh_of(SOLIDS[name][0])
    assert first.vertices.tobytes() == second.vertices.tobytes() and first.faces.tobytes() == second.faces.tobytes()
    assert first.digest == second.digest
    assert first.vertices.dtype == np.float32 and first.faces.dtype == np.int32
    assert not first.vertices.flags.writeable


def test_sharp_edges_are_split_and_round_ones_are_not() -> None:
    can = mesh_of({"shape": "cylinder", "radius_m": 0.03, "height_m": 0.1, "sides": 24})
    rim = (can.vertices[:, 2] > 0.049) & (np.hypot(can.vertices[:, 0], can.vertices[:, 1]) > 0.029)
    assert rim.sum() == 48  # one corner for the wall, one for the lid
    ball = mesh_of({"shape": "sphere", "radius_m": 0.03, "sides": 20, "rings": 10})
    assert len(ball.vertices) == 2 + 9 * 20


def test_a_plain_box_stays_a_primitive_for_the_eye() -> None:
    part = visual_part({"shape": "box", "size_m": [0.1, 0.2, 0.3], "pos_m": [1, 0, 0], "rgba": [1, 0, 0, 1], "material": "metal"}, "test")
    assert isinstance(part.shape, Primitive)
    assert part.shape.size == (0.05, 0.1, 0.15) and part.shape.pos == (1.0, 0.0, 0.0)
    assert part.rgba == (1.0, 0.0, 0.0, 1.0) and part.material == "metal"


def test_turns_are_about_x_then_y_then_z() -> None:
    (piece,) = collision_pieces({"shape": "box", "size_m": [0.1, 0.2, 0.3], "euler_deg": [90, 0, 90]}, "test")
    # About x: z takes y's extent; about z: x and y change places.
    assert np.ptp(bounds(piece), axis=0) == pytest.approx([0.3, 0.1, 0.2])
    turned = visual_part({"shape": "lathe", "profile_m": [[0, 0], [0.01, 0], [0, 0.1]], "euler_deg": [0, 90, 0]}, "test").shape
    assert bounds(turned)[1, 0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("table", "extents"),
    [
        ({"shape": "cylinder", "radius_m": 0.02, "height_m": 0.1, "euler_deg": [0, 90, 0]}, [0.1, 0.04, 0.04]),
        ({"shape": "capsule", "radius_m": 0.02, "length_m": 0.1, "euler_deg": [90, 0, 0]}, [0.04, 0.14, 0.04]),
        ({"shape": "ellipsoid", "radii_m": [0.01, 0.02, 0.03], "euler_deg": [0, 0, 90]}, [0.04, 0.02, 0.06]),
        ({"shape": "sphere", "radius_m": 0.02, "quat_wxyz": [2, 0, 0, 0]}, [0.04, 0.04, 0.04]),
    ],
)
def test_bounds_follow_the_turn(table: dict[str, Any], extents: list[float]) -> None:
    (piece,) = collision_pieces(table, "test")
    assert np.ptp(bounds(piece), axis=0) == pytest.approx(extents, abs=1e-9)


def test_a_shell_is_a_ring_of_boxes_that_leans_outward() -> None:
    table = {"shape": "shell", "radius_m": 0.04, "top_radius_m": 0.06, "height_m": 0.03, "thickness_m": 0.003, "segments": 10}
    pieces = collision_pieces(table, "test")
    assert len(pieces) == 10 and {p.type for p in pieces} == {"box"}
    low, high = joint_bounds(pieces)
    assert high[0] == pytest.approx(0.06, abs=0.002) and low[2] == pytest.approx(0.0, abs=0.003) and high[2] == pytest.approx(0.03, abs=0.003)


def test_a_tube_is_touched_as_a_chain_of_capsules() -> None:
    first, second = collision_pieces({"shape": "tube_path", "points_m": [[0, 0, 0], [0, 0, 0.05], [0.05, 0, 0.05]], "radius_m": 0.01}, "test")
    assert first.type == second.type == "capsule"
    assert first.pos == pytest.approx((0, 0, 0.025)) and first.size == pytest.approx((0.01, 0.025, 0))
    assert np.ptp(bounds(second), axis=0) == pytest.approx([0.07, 0.02, 0.02])


@pytest.mark.parametrize(
    ("primitive", "volume_m3"),
    [("box", 8 * 0.01 * 0.02 * 0.03), ("ellipsoid", 4 / 3 * math.pi * 0.01 * 0.02 * 0.03), ("cylinder", 2 * math.pi * 0.01**2 * 0.02)],
)
def test_volumes_are_those_of_the_school_book(primitive: Any, volume_m3: float) -> None:
    assert Primitive(type=primitive, size=(0.01, 0.02, 0.03), pos=(0, 0, 0), quat=(1, 0, 0, 0)).volume_m3 == pytest.approx(volume_m3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"radius_m": 0.1}, r"^f\.toml needs a key shape\. There are: box, capsule"),
        ({"shape": "sfere", "radius_m": 0.1}, r"no shape is called 'sfere'\. Did you mean sphere\?"),
        ({"shape": "sphere", "radius": 0.1}, r"^f\.toml has an unknown key 'radius'\. Known: .*radius_m"),
        ({"shape": "sphere"}, r"^f\.toml lacks the key 'radius_m'"),
        ({"shape": "sphere", "radius_m": -0.1}, r"^f\.toml\.radius_m is -0\.1; lengths must be above 0"),
        ({"shape": "sphere", "radius_m": 0.1, "euler_deg": [0, 0, 0], "quat_wxyz": [1, 0, 0, 0]}, r"gives both euler_deg and quat_wxyz; keep one"),
        ({"shape": "sphere", "radius_m": 0.1, "material": "shiny"}, r"material is 'shiny'; it must be one of 'matte', 'glossy', 'metal'"),
        ({"shape": "lathe", "profile_m": [[0, 0], [0.1, 0], [0.1, 0.1]]}, r"^f\.toml: profile_m must have both ends on the axis"),
        ({"shape": "lathe", "profile_m": [[0, 0], [-0.1, 0], [0, 0.1]]}, r"radii not negative"),
        ({"shape": "tube_path", "points_m": [[0, 0, 0], [1, 0, 0]]}, r"takes either radius_m or radii_m"),
        ({"shape": "tube_path", "points_m": [[0, 0, 0], [1, 0, 0]], "radii_m": [0.1]}, r"2 points and 1 radii"),
        ({"shape": "extrusion", "outline_m": [[0, 0], [0, 1], [1, 0]], "height_m": 0.1}, r"convex polygon of three corners or more, counter"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        visual_part(table, "f.toml")


def test_meshes_and_paint_are_not_for_contacts() -> None:
    with pytest.raises(BadData, match=r"^f\.toml: shape 'lathe' is for the eye only\. Collision shapes: box, capsule"):
        collision_pieces({"shape": "lathe", "profile_m": [[0, 0], [0.1, 0], [0, 0.1]]}, "f.toml")
    with pytest.raises(BadData, match="rgba and material belong to"):
        collision_pieces({"shape": "sphere", "radius_m": 0.1, "rgba": [1, 0, 0, 1]}, "f.toml")
