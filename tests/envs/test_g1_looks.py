"""How the Unitree G1 looks: two looks, one physics."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs import catalog
from vlagym.envs.bodies import g1_shell
from vlagym.envs.bodies.links import read_body
from vlagym.envs.bodies.menagerie_look import menagerie_parts
from vlagym.envs.bodies.shell_parts import Shell, read_shell
from vlagym.envs.errors import BadData, MissingPackage, UnknownName
from vlagym.envs.robot import Robot
from vlagym.envs.simulation import physics_digest

G1: Robot = catalog.load("robot", "g1")
MAX_FACES = 12000


def compiled(look: str | None) -> Any:
    import mujoco

    spec: Any = mujoco.MjSpec()
    spec.compiler.degree = False
    G1.add(spec, look)
    return spec.compile()


@pytest.fixture(scope="module")
def shell() -> Shell:
    return read_shell(g1_shell.SHELL_FILE)


@pytest.fixture(scope="module")
def needs_menagerie() -> None:
    root = os.environ.get("MENAGERIE_ROOT")
    if not root or not (Path(root) / "unitree_g1" / "g1_with_hands.xml").exists():
        pytest.skip("MENAGERIE_ROOT does not hold unitree_g1/g1_with_hands.xml: the published look is not here")


def test_the_shell_is_what_every_installation_has() -> None:
    assert G1.resolve_look("auto") == G1.resolve_look("shell") == "shell"


def test_an_unknown_look_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no look of the g1 is called 'shel'. Did you mean shell"):
        G1.resolve_look("shel")
    with pytest.raises(UnknownName, match="no look of the g1 is called 'gymnasium_robotics'"):
        compiled("gymnasium_robotics")


def test_the_shell_changes_nothing_of_the_physics() -> None:
    assert physics_digest(compiled("shell")) == physics_digest(compiled(None))


@pytest.mark.slow
def test_the_published_look_changes_nothing_of_the_physics_and_costs_20000_faces(needs_menagerie: None) -> None:
    model = compiled("menagerie")
    assert physics_digest(model) == physics_digest(compiled(None))
    assert sum(len(p.mesh.faces) for p in menagerie_parts(g1_shell.MENAGERIE, g1_shell.MENAGERIE_FACES)) <= g1_shell.MENAGERIE_FACES
    assert int(model.mesh_facenum.sum()) <= g1_shell.MENAGERIE_FACES


def test_the_shell_is_cheap_to_draw(shell: Shell) -> None:
    assert shell.num_faces <= MAX_FACES
    assert int(compiled("shell").mesh_facenum.sum()) == shell.num_faces


def test_every_link_wears_something(shell: Shell) -> None:
    assert {part.link for part in shell.parts} == {link.name for link in read_body("robots/g1").links}


def test_the_shell_is_only_seen() -> None:
    model = compiled("shell")
    worn = np.flatnonzero(model.geom_group == 2)
    assert len(worn) == len(read_shell(g1_shell.SHELL_FILE).parts)
    assert not model.geom_contype[worn].any() and not model.geom_conaffinity[worn].any()


def test_the_left_of_the_shell_is_the_mirror_image_of_the_right(shell: Shell) -> None:
    worn = {(part.link, part.finish): part.mesh for part in shell.parts}
    for (link, finish), mesh in worn.items():
        twin = worn[link.replace("left_", "right_") if link.startswith("left_") else link.replace("right_", "left_"), finish]
        image = mesh.vertices * np.array([1.0, -1.0, 1.0], np.float32)
        assert len(image) == len(twin.vertices) and len(mesh.faces) == len(twin.faces)
        gaps = [np.linalg.norm(twin.vertices - point, axis=1).min() for point in image]
        assert max(gaps) < 3e-6, f"{finish} of {link}"


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_is_seen_of_a_finger_is_where_it_is_touched(side: str) -> None:
    model = compiled("shell")
    for link in (f"{side}_hand_{finger}_link" for finger in ("thumb_1", "thumb_2", "middle_0", "middle_1", "index_0", "index_1")):
        seen, touched = (_box(model, link, group) for group in (2, 3))
        assert np.abs(seen - touched).max() < 0.010, link
        tip_and_pads = np.delete(np.abs(seen - touched), 0 if "thumb" not in link else 1, axis=1)  # not along the finger
        assert tip_and_pads.max() < 0.0045, link


def _box(model: Any, link: str, group: int) -> np.ndarray[Any, Any]:
    """Returns the (2, 3) lowest and highest coordinates of a link's geoms of a group, in its frame."""
    import mujoco

    points = []
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] != model.body(link).id or model.geom_group[geom] != group:
            continue
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = int(model.geom_dataid[geom])
            first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
            corners = model.mesh_vert[first : first + count]
        else:
            signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
            size = model.geom_size[geom]
            half = {
                mujoco.mjtGeom.mjGEOM_BOX: size,
                mujoco.mjtGeom.mjGEOM_SPHERE: np.full(3, size[0]),
                mujoco.mjtGeom.mjGEOM_CAPSULE: np.array([size[0], size[0], size[0] + size[1]]),
                mujoco.mjtGeom.mjGEOM_CYLINDER: np.array([size[0], size[0], size[1]]),
            }[mujoco.mjtGeom(model.geom_type[geom])]
            corners = signs * half
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        points.append(corners @ turn.reshape(3, 3).T + model.geom_pos[geom])
    every = np.concatenate(points)
    return np.stack([every.min(axis=0), every.max(axis=0)])


def test_two_readings_of_the_shell_are_the_same_bytes() -> None:
    read_shell.cache_clear()
    first = read_shell(g1_shell.SHELL_FILE)
    read_shell.cache_clear()
    second = read_shell(g1_shell.SHELL_FILE)
    for a, b in zip(first.parts, second.parts, strict=True):
        assert a.mesh.vertices.tobytes() == b.mesh.vertices.tobytes() and a.mesh.faces.tobytes() == b.mesh.faces.tobytes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("along = ", "allong = ", "has an unknown key 'allong'. Known: links, finish"),
        ('finish = "white"', 'finish = "wite"', r"loft\[0\] on torso_link: .*no finish is called 'wite'. Did you mean white"),
        ("  [62, -60", "  [17, -60", r"loft\[0\] on torso_link: the sections of a loft must ascend along z, found"),
    ],
)
def test_a_mistake_in_the_shell_is_named(old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = assets.path(g1_shell.SHELL_FILE).read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "shell.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(assets, "path", lambda relative: file)
    with pytest.raises(BadData, match=message):
        read_shell(f"of a mistake: {new}")


def test_a_checkout_without_the_model_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    wanted = r"unitree_g1/g1_with_hands.xml is not below MENAGERIE_ROOT \(.*\): pip install mujoco-menagerie"
    with pytest.raises(MissingPackage, match=wanted) as error:
        G1.resolve_look("menagerie")
    assert "\n" not in str(error.value)


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(MissingPackage, match="needs unitree_g1 of MuJoCo Menagerie: pip install mujoco-menagerie, or set MENAGERIE_ROOT") as error:
        G1.resolve_look("menagerie")
    assert "\n" not in str(error.value)


def test_a_missing_network_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = ModuleType("mujoco_menagerie")

    class Unreachable(Exception):
        pass

    def get(name: str) -> None:
        raise Unreachable(f"{name}.tar.xz:\n  name or service not known")

    package.MenagerieError, package.get = Unreachable, get
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", package)
    wanted = r"could not provide unitree_g1 \(unitree_g1.tar.xz: name or service not known\): try again with a network, or set MENAGERIE_ROOT"
    with pytest.raises(MissingPackage, match=wanted) as error:
        G1.resolve_look("menagerie")
    assert "\n" not in str(error.value)
