"""Props of another size, and in patterns: everything that reads a thing's geometry reads the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vlagym.envs.errors import UnknownName
from vlagym.envs.language.scene_words import scene_words
from vlagym.envs.objects import asset_of, get
from vlagym.envs.predicates.relations import disc
from vlagym.envs.predicates.state import place_of
from vlagym.envs.sampling import sample
from vlagym.envs.scene import compose
from vlagym.envs.shapes.parts import Mesh, Part, Primitive, joint_bounds, scaled
from vlagym.envs.task import footprint_m
from vlagym.envs.textures.worn import dressed, worn, worn_names
from vlagym.envs.types import PropSpec
from vlagym.policies.skills.view import asset_of as asset_for_skills

QUAT = (1.0, 0.0, 0.0, 0.0)


def prop(asset: str, scale: float = 1.0, texture: str | None = None) -> PropSpec:
    return PropSpec(name=asset, asset=asset, pos_world=(0.5, 0.0, 0.0), quat_world_wxyz=QUAT, scale=scale, texture=texture)


def model_of(*props: PropSpec) -> object:
    import mujoco

    mj = mujoco.MjSpec()
    compose(mj, (), props)
    return mj.compile()


def test_a_prop_of_the_usual_size_is_the_very_object_of_the_catalogue() -> None:
    assert asset_of(prop("mug_blue")) is get("mug_blue")


def test_all_lengths_of_a_scaled_prop_are_scaled_and_its_mass_is_not() -> None:
    plain, large = get("cup_blue"), asset_of(prop("cup_blue", 1.2))
    assert large.size_m == pytest.approx([1.2 * s for s in plain.size_m])
    assert large.place is not None and plain.place is not None
    assert large.place.inner_radius_m == pytest.approx(1.2 * plain.place.inner_radius_m)
    assert [g.width_m for g in large.grasps] == pytest.approx([1.2 * g.width_m for g in plain.grasps])
    assert [g.offset_xy_m[0] for g in large.grasps] == pytest.approx([1.2 * g.offset_xy_m[0] for g in plain.grasps])
    assert large.pose("lying").height_m == pytest.approx(1.2 * plain.pose("lying").height_m)
    assert joint_bounds(large.collision) == pytest.approx(1.2 * joint_bounds(plain.collision))
    assert large.mass_kg == plain.mass_kg


def test_the_holds_of_a_scaled_tray_are_where_its_grips_are() -> None:
    plain, small = get("grip_tray_green"), asset_of(prop("grip_tray_green", 0.8))
    for one, other in zip(small.holds, plain.holds, strict=True):
        assert one.pos_m == pytest.approx([0.8 * p for p in other.pos_m]) and one.out == other.out
        assert one.width_m == pytest.approx(0.8 * other.width_m)


def test_what_is_compiled_is_as_large_as_what_is_read() -> None:
    model = model_of(prop("block_red", 1.25))
    (box,) = asset_of(prop("block_red", 1.25)).collision
    sizes = model.geom_size[model.geom_group == 3]  # type: ignore[attr-defined]
    assert sizes[0] == pytest.approx(box.size)


def test_predicates_sentences_and_skills_read_a_scaled_prop_alike() -> None:
    spec = sample("place_on", seed=3)
    first = spec.goal[0].args[1]
    props = tuple(dataclasses.replace(p, scale=0.9) if p.name == first else p for p in spec.scene.props)
    varied = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props))
    small = asset_of(next(p for p in props if p.name == first))
    assert asset_for_skills(varied, first) is small
    assert place_of(varied, first) is small.place
    assert disc(varied, first, (0.0, 0.0, 0.0)).radius_m == pytest.approx(footprint_m(small))
    assert scene_words(varied)[first].size_m == small.size_m


def test_shapes_are_scaled_about_the_origin_of_their_object() -> None:
    box = Primitive(type="box", size=(0.1, 0.2, 0.3), pos=(0.0, 0.0, 0.3), quat=QUAT)
    assert scaled(box, 0.5) == Primitive(type="box", size=(0.05, 0.1, 0.15), pos=(0.0, 0.0, 0.15), quat=QUAT)


# ---------------------------------------------------------------------------------------------------------------------- patterns
def test_a_pattern_is_seen_and_changes_nothing_that_is_touched() -> None:
    plain, dotted = model_of(prop("block_red")), model_of(prop("block_red", texture="bold_dots"))
    assert dotted.ntex == plain.ntex + 1  # type: ignore[attr-defined]
    for name in ("body_mass", "body_inertia"):
        assert getattr(dotted, name) == pytest.approx(getattr(plain, name))
    touched = [m.geom_size[m.geom_group == 3] for m in (plain, dotted)]  # type: ignore[attr-defined]
    assert np.array_equal(*touched)


def test_an_unknown_pattern_is_answered_with_the_known_ones_even_where_nothing_is_seen() -> None:
    import mujoco

    with pytest.raises(UnknownName, match=r"no texture that things wear is called 'dotts'.*dots.*worn\.toml"):
        compose(mujoco.MjSpec(), (), [prop("block_red", texture="dotts")], is_seen=False)


@pytest.mark.parametrize("name", worn_names())
def test_marks_stand_out_from_light_and_from_dark_things(name: str) -> None:
    for ground in ((0.92, 0.91, 0.88, 1.0), (0.12, 0.12, 0.13, 1.0)):
        accent = worn(name).texture(ground).accent
        assert max(abs(a - g) for a, g in zip(accent, ground, strict=False)) >= 0.5 * worn(name).contrast


def test_parts_with_a_colour_of_their_own_wear_no_pattern() -> None:
    box = Primitive(type="box", size=(0.1, 0.1, 0.1), pos=(0.0, 0.0, 0.0), quat=QUAT)
    lid = Part(shape=box, rgba=(1.0, 0.0, 0.0, 1.0), material="matte")
    assert dressed(lid, "dots", (0.5, 0.5, 0.5, 1.0), is_round=False) is lid


def test_a_plain_box_is_covered_on_each_of_its_sides_in_copies_of_the_same_size() -> None:
    box = Primitive(type="box", size=(0.1, 0.2, 0.3), pos=(0.0, 0.0, 0.3), quat=QUAT)
    part = dressed(Part(shape=box, rgba=None, material="matte"), "dots", (0.5, 0.5, 0.5, 1.0), is_round=False)
    mesh = part.shape
    assert isinstance(mesh, Mesh) and mesh.texcoords is not None and mesh.texcoords.shape == (36, 2)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert low == pytest.approx((-0.1, -0.2, 0.0), abs=1e-6) and high == pytest.approx((0.1, 0.2, 0.6), abs=1e-6)
    corners, uv = mesh.vertices[mesh.faces], mesh.texcoords.reshape(-1, 3, 2)
    edges, along = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1), np.linalg.norm(uv[:, 0] - uv[:, 1], axis=1)
    assert along * worn("dots").tile_m == pytest.approx(edges, rel=1e-4)
    # Outward: counter-clockwise as seen from outside.
    middles, normals = corners.mean(axis=1) - (low + high) / 2, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((middles * normals).sum(axis=1) > 0.0).all()


def test_around_a_round_thing_the_pattern_closes_without_a_seam() -> None:
    can = get("can_red")
    part = next(p for p in can.visual if p.rgba is None and isinstance(p.shape, Mesh))
    mesh = dressed(part, "stripes", can.rgba, is_round=True).shape
    assert isinstance(mesh, Mesh) and mesh.texcoords is not None
    uv = mesh.texcoords.reshape(-1, 3, 2)
    copies = round(2 * np.pi * float(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]).max()) / worn("stripes").tile_m)
    assert np.ptp(uv[..., 0], axis=1).max() < 0.5 * copies  # no face runs all the way back around
