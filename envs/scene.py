"""A scene spec becomes a compiled model and a map of its names. The only file that composes models."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.bases import mount
from vlagym.envs.arenas import AHEAD_M, FLOOR_HALF_M, Arena, arena, check_table_texture, is_dressed, surroundings, texture, top_boxes
from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import from_yaw
from vlagym.envs.fixtures import FixtureAsset, get_fixture
from vlagym.envs.friction import add_stated_friction
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.textures.pictures import draw
from vlagym.envs.robot import Robot
from vlagym.envs.scenery import SceneryMesh
from vlagym.envs.shapes.parts import MATERIALS, Material, Part, Primitive
from vlagym.envs.textures.texture import Texture
from vlagym.envs.textures.worn import dressed, worn
from vlagym.envs.types import CameraSpec, EpisodeSpec, FixtureSpec, LightSpec, PropSpec, Rgba, sha_arrays

TABLE, FLOOR, WALL = "table", "floor", "wall"


@dataclass(frozen=True, kw_only=True)
class SceneModel:
    """A compiled scene. Indices are those of the model."""

    model: Any
    """`mujoco.MjModel`"""
    base_key: tuple[str, str, str]
    """Robot, look, and arena with its table's finish: scenes that share them begin with the same meshes, textures and materials."""
    num_base_meshes: int
    """Meshes of that beginning."""
    num_base_textures: int
    """Textures of that beginning."""
    parties: tuple[str, ...]
    """Who can touch whom: robot links, then the arena's parts, then fixtures, then props."""
    geom_party: NDArray[np.int32]
    """(ngeom,) index into `parties`."""
    num_robot: int
    num_arena: int
    floor_m: float
    """Height of the floor in the world frame."""
    prop_bodies: NDArray[np.int32]
    """(P,) body ids in the order of the spec."""
    prop_qpos: NDArray[np.int32]
    """(P,) address of each prop's free joint in qpos."""
    fixture_joint_names: tuple[str, ...]
    """(F,) "fixture/joint"."""
    fixture_joint_qpos: NDArray[np.int32]
    """(F,) addresses in qpos."""
    joint_qpos: NDArray[np.int32]
    """(J,) addresses of the robot's arm joints."""
    joint_dof: NDArray[np.int32]
    cameras: Mapping[str, CameraSpec]


def build(spec: EpisodeSpec, robot: Robot, look: str | None) -> SceneModel:
    """Composes and compiles the scene of an episode.

    Args:
      spec: The episode.
      robot: Its robot, loaded.
      look: A resolved look, or None for a model without the robot's visual meshes.

    Raises:
      BadSpec: If two things bear the same name, or a pose or camera names what does not exist.
      UnknownName: If an asset does not exist.
    """
    import mujoco

    names = [p.name for p in spec.scene.props] + [f.name for f in spec.scene.fixtures]
    taken = {*robot.bodies, TABLE, FLOOR, WALL, "world"}
    for i, name in enumerate(names):
        if name in taken or name in names[:i]:
            raise BadSpec(f"two things in the scene are called {name!r}")
    top = spec.scene.table_texture
    check_table_texture(top)
    mj: Any = _base(robot.name, look, spec.scene.arena, top if look is not None else None).copy()
    if robot.stance is not None or spec.robot_base != "fixed":
        mount(mj, robot, spec.robot_base, spec.robot_start, arena(spec.scene.arena).floor.height_m)
    base = (len(mj.meshes), len(mj.textures))
    mj.option.timestep = spec.scene.physics.timestep_s
    mj.option.gravity = spec.scene.physics.gravity_m_s2
    for light in spec.scene.lights:
        _add_light(mj, light)
    for camera in spec.scene.cameras:
        _add_camera(mj, camera, robot)
    compose(mj, spec.scene.fixtures, spec.scene.props, is_seen=look is not None)
    add_stated_friction(mj, spec.scene.props, TABLE)
    try:
        model = mj.compile()
    except ValueError as error:
        raise BadSpec(f"the scene of {spec.task!r} (seed {spec.seed}) does not compile: {error}") from error
    return _index(model, spec, robot, (robot.name, look or "", f"{spec.scene.arena} {top}" if top else spec.scene.arena), base)


def compose(mj: Any, fixtures: Sequence[FixtureSpec], props: Sequence[PropSpec], *, is_seen: bool = True) -> None:
    """Adds furniture and objects to a `mujoco.MjSpec`, and the materials that they wear where it lacks them.

    Without `is_seen` only what can be touched is added: the physics is the same, and the model compiles three times as fast.

    Raises:
      BadSpec: If a fixture has no joint of a name that is given.
      UnknownName: If an asset, or a pattern that one wears, does not exist.
    """
    _add_finishes(mj)
    for pattern in (*(f.texture for f in fixtures), *(p.texture for p in props)):
        if pattern is not None:
            worn(pattern)
    meshes: dict[int, str] = {}
    for fixture in fixtures:
        _add_fixture(mj, fixture, get_fixture(fixture.asset), meshes if is_seen else None)
    for prop in props:
        _add_prop(mj, prop, get(prop.asset), meshes if is_seen else None)


def _add_finishes(mj: Any) -> None:
    for name, finish in MATERIALS.items():
        if mj.material(name) is None:
            mj.add_material(name=name, specular=finish.specular, shininess=finish.shininess, reflectance=finish.reflectance, rgba=(1, 1, 1, 1))


@functools.lru_cache(maxsize=24)  # a run visits many arenas, with and without what is only seen
def _base(robot_name: str, look: str | None, arena_name: str, table_texture: str | None) -> Any:
    """Returns the part that scenes share: options, arena, robot. It is copied, never changed."""
    import mujoco

    mj = mujoco.MjSpec()
    mj.compiler.degree = False
    option = mj.option
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    # Multi-contact makes cylinders creep out of flat pads; auto-reset would hide a divergence.
    option.disableflags = int(mujoco.mjtDisableBit.mjDSBL_MULTICCD) | int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    head = mj.visual.headlight
    head.ambient, head.diffuse, head.specular = (0.34, 0.34, 0.35), (0.10, 0.10, 0.10), (0.0, 0.0, 0.0)
    mj.visual.map.znear, mj.visual.map.zfar = 0.01, 8.0
    mj.stat.extent, mj.stat.center = 1.0, (0.4, 0, 0.2)
    mj.visual.map.shadowclip = arena(arena_name).shadow_radius_m / mj.stat.extent
    _add_finishes(mj)
    robot: Robot = catalog.load("robot", robot_name)
    robot.add(mj, look)
    shift_m = arena_shift_m(robot, arena(arena_name))
    _add_arena(mj, arena_name, table_texture, is_seen=look is not None, shift_m=shift_m, is_seen_ahead=robot.has_two_hands)
    return mj


def arena_shift_m(robot: Robot, here: Arena) -> float:
    """Returns how far an arena is moved along x for a robot that stands on the floor: its table's near edge comes to where the robot wants it."""
    if robot.stance is None:
        return 0.0
    return robot.stance.table_edge_x_m - (here.table.centre_m[0] - here.table.size_m[0] / 2)


def _add_arena(
    mj: Any, name: str, table_texture: str | None = None, *, is_seen: bool, shift_m: float = 0.0, is_seen_ahead: bool = False
) -> None:
    """Adds table, floor and walls, and where it is seen, what stands around: only table and floor are ever touched."""
    import mujoco

    here = arena(name, table_texture)
    world = mj.worldbody
    width, depth, thick = here.table.size_m
    x, y = here.table.centre_m
    dressed = is_dressed(here.table)
    material = ""
    if here.table.texture and not dressed:
        _add_surface(mj, "table", texture(here.table.texture))
        surface = mj.add_material(name="table", specular=0.08, shininess=0.2, rgba=here.table.rgba, texrepeat=(1, 1))
        surface.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "table"
        material = "table"
    box = mujoco.mjtGeom.mjGEOM_BOX
    for i, (half, pos) in enumerate(top_boxes(here.table)):
        pos = (pos[0] + shift_m, pos[1], pos[2])
        top = world.add_geom(name=f"{TABLE}_top_{i}" if i else TABLE, type=box, size=half, pos=pos, rgba=here.table.rgba)
        if dressed:
            top.group = 3  # what is seen of it is scenery
        elif material:
            top.material = material
    leg = here.floor.height_m + thick
    for i, (sx, sy) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1)) if here.table.legs == "four" else ()):
        pos = (x + shift_m + sx * (width / 2 - 0.06), y + sy * (depth / 2 - 0.06), (leg - 2 * thick) / 2)
        world.add_geom(name=f"{TABLE}_{i}", type=box, size=(0.025, 0.025, -leg / 2), pos=pos, rgba=(0.35, 0.36, 0.38, 1), contype=0, conaffinity=0)
    # What is drawn first hides what comes later before that has cost much: the table, what stands around, the floor, the walls.
    around = surroundings(name, table_texture, is_seen_ahead=is_seen_ahead) if is_seen else ()
    _add_surroundings(mj, [part for part in around if not part.finish.is_far], shift_m)
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    size = (FLOOR_HALF_M, FLOOR_HALF_M, 0.1)
    floor = world.add_geom(name=FLOOR, type=plane, size=size, pos=(0, 0, here.floor.height_m), rgba=here.floor.rgba)
    if here.floor.texture:
        floor.group = 3  # what is seen of it is scenery
    if here.room is not None and here.room.texture is None:
        room, base = here.room, here.floor.height_m
        walls = [
            ((0.02, 3, 1.5), (room.back_m + shift_m, 0, base + 1.5)),
            ((3, 0.02, 1.5), (shift_m, room.side_m, base + 1.5)),
            ((3, 0.02, 1.5), (shift_m, -room.side_m, base + 1.5)),
        ]
        walls += [((0.02, 3, 1.5), (AHEAD_M, 0, base + 1.5))] if is_seen_ahead else []
        for i, (size, pos) in enumerate(walls):
            world.add_geom(name=f"{WALL}_{i}", type=box, size=size, pos=pos, rgba=room.rgba, contype=0, conaffinity=0)
    _add_surroundings(mj, [part for part in around if part.finish.is_far], shift_m)


def _add_surface(mj: Any, name: str, pixels: NDArray[np.uint8]) -> None:
    import mujoco

    image = mj.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=pixels.shape[1], height=pixels.shape[0], nchannel=3)
    image.data = pixels.tobytes()


def _add_surroundings(mj: Any, parts: Sequence[SceneryMesh], shift_m: float) -> None:
    """Adds what stands around the table: a mesh for each finish, in the group of what is only seen."""
    import mujoco

    for part in parts:
        finish, name = part.finish, f"{WALL}_around_{len(mj.meshes)}"
        mesh = mj.add_mesh(name=name, uservert=part.vertices.ravel(), userface=part.faces.ravel())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        mesh.usertexcoord, mesh.userfacetexcoord = part.texcoords.ravel(), part.faces.ravel()
        _add_surface(mj, name, part.picture)
        shine = MATERIALS[finish.material]
        look = mj.add_material(name=name, specular=shine.specular, shininess=shine.shininess, emission=finish.glow, rgba=finish.rgba)
        look.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name
        geom = mj.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=name, rgba=finish.rgba)
        geom.contype, geom.conaffinity, geom.group, geom.mass = 0, 0, 2, 0.0
        if shift_m:
            geom.pos = (shift_m, 0.0, 0.0)


def _add_light(mj: Any, light: LightSpec) -> None:
    import mujoco

    direction = np.array(light.direction_world)
    direction = direction / np.linalg.norm(direction)
    mj.worldbody.add_light(
        name=light.name,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(np.array([0.4, 0.0, 0.0]) - 1.6 * direction),
        dir=direction,
        diffuse=light.diffuse,
        ambient=light.ambient,
        specular=light.specular,
        castshadow=light.casts_shadow,
    )


def _add_camera(mj: Any, camera: CameraSpec, robot: Robot) -> None:
    if camera.parent == "world":
        parent = mj.worldbody
    elif camera.parent in robot.bodies:
        parent = mj.body(camera.parent)
    else:
        raise BadSpec(f"camera {camera.name!r} is mounted on {camera.parent!r}. There are: world, {', '.join(robot.bodies)}")
    parent.add_camera(name=camera.name, pos=camera.pos_parent, quat=camera.quat_parent_wxyz, fovy=camera.fovy_deg)


def _add_prop(mj: Any, prop: PropSpec, asset: ObjectAsset, meshes: dict[int, str] | None) -> None:
    body = mj.worldbody.add_body(name=prop.name, pos=prop.pos_world, quat=prop.quat_world_wxyz)
    body.add_freejoint(name=prop.name)
    friction = asset.friction if prop.friction is None else prop.friction
    mass = asset.mass_kg if prop.mass_kg is None else prop.mass_kg
    for geom in _add_collision(mj, body, asset.collision, mass, prop.scale):
        geom.condim = 6 if asset.rolling_friction > 0 else 4
        geom.friction = (friction, 0.01, max(asset.rolling_friction, 1e-4))
        if "bead" in asset.roles:
            # A bead rolls as beads do, also in a cup that is kept from rolling itself, and does not sink through the floor that it falls on.
            geom.priority, geom.solref = 1, (0.004, 1.0)
    if meshes is None:
        return
    for i, part in enumerate(asset.visual_parts()):
        if prop.texture is not None:
            part = dressed(part, prop.texture, prop.rgba or asset.rgba, is_round=asset.yaw_symmetry == 0)
        geom = _add_part(mj, body, f"{prop.name}@{i}", part, prop.scale, meshes)
        _paint(mj, geom, part, asset.rgba, prop.rgba)


def _add_fixture(mj: Any, fixture: FixtureSpec, asset: FixtureAsset, meshes: dict[int, str] | None) -> None:
    import mujoco

    root = mj.worldbody.add_body(name=fixture.name, pos=fixture.pos_world, quat=from_yaw(fixture.yaw_rad))
    bodies = {"": root}
    known = {j.name for j in asset.joints}
    for name, _ in fixture.joints:
        if name not in known:
            raise BadSpec(f"fixture {fixture.name!r} has no joint {name!r}. There are: {', '.join(sorted(known))}")
    for joint in asset.joints:
        body = root.add_body(name=f"{fixture.name}/{joint.name}")
        kind = mujoco.mjtJoint.mjJNT_SLIDE if joint.type == "slide" else mujoco.mjtJoint.mjJNT_HINGE
        made = body.add_joint(name=f"{fixture.name}/{joint.name}", type=kind, axis=joint.axis, pos=joint.pos_m, range=joint.range_m)
        made.limited = mujoco.mjtLimited.mjLIMITED_TRUE
        made.damping, made.frictionloss, made.armature = [joint.damping, 0, 0], joint.frictionloss, joint.armature
        made.stiffness, made.springref = [joint.stiffness, 0, 0], joint.spring_pos_m
        bodies[joint.name] = body
    for owner, body in bodies.items():
        joint_asset = asset.joint(owner) if owner else None
        pieces, mass = (joint_asset.collision, joint_asset.mass_kg) if joint_asset else (asset.collision, 1.0)
        for geom in _add_collision(mj, body, pieces, mass, 1.0):
            geom.condim = 4
        own = joint_asset.rgba if joint_asset else None
        for i, part in enumerate(asset.visual_parts(owner)):
            if meshes is not None:
                if fixture.texture is not None and own is None:
                    part = dressed(part, fixture.texture, fixture.rgba or asset.rgba, is_round=False)
                geom = _add_part(mj, body, f"{body.name}@{i}", part, 1.0, meshes)
                _paint(mj, geom, part, own or asset.rgba, None if own else fixture.rgba)
        # A drawer slides inside its cabinet with little play, and beside the next drawer: their pieces do not touch.
        if owner:
            mj.add_exclude(name=f"{body.name}-{fixture.name}", bodyname1=body.name, bodyname2=fixture.name)
    for i, first in enumerate(asset.joints):
        for second in asset.joints[i + 1 :]:
            first_name, second_name = bodies[first.name].name, bodies[second.name].name
            mj.add_exclude(name=f"{first_name}-{second_name}", bodyname1=first_name, bodyname2=second_name)


def _paint(mj: Any, geom: Any, part: Part, main: Rgba, override: Rgba | None) -> None:
    geom.mass, geom.contype, geom.conaffinity, geom.group = 0, 0, 0, 2
    colour = part.rgba if part.rgba is not None else (override if override is not None else main)
    if part.texture is None:
        geom.material, geom.rgba = part.material, colour
    else:  # the picture holds the colour
        geom.material, geom.rgba = _picture(mj, part.texture, part.material, colour), (1.0, 1.0, 1.0, colour[3])


def _picture(mj: Any, texture: Texture, material: Material, colour: Rgba) -> str:
    """Returns the name of the material that shows a texture over a colour; parts that look alike share it."""
    import mujoco

    pixels, finish = draw(texture, colour), MATERIALS[material]
    name = f"picture:{material}:{sha_arrays(pixels)}"
    if mj.material(name) is None:
        image = mj.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=pixels.shape[1], height=pixels.shape[0], nchannel=3)
        image.data = pixels.tobytes()
        made = mj.add_material(name=name, specular=finish.specular, shininess=finish.shininess, reflectance=finish.reflectance, rgba=(1, 1, 1, 1))
        made.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name
    return name


def _add_part(mj: Any, body: Any, name: str, part: Part, scale: float, meshes: dict[int, str]) -> Any:
    import mujoco

    shape = part.shape
    if isinstance(shape, Primitive):
        return _add_primitive(body, name, shape, scale)
    key = id(shape) if scale == 1.0 else hash((id(shape), scale))
    if key not in meshes:
        meshes[key] = f"mesh:{len(meshes)}"
        made = mj.add_mesh(name=meshes[key], uservert=(scale * shape.vertices).astype(np.float32).ravel(), userface=shape.faces.ravel())
        if shape.texcoords is not None:
            made.usertexcoord, made.userfacetexcoord = shape.texcoords.ravel(), np.arange(len(shape.texcoords), dtype=np.int32)
        made.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    return body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=meshes[key])


def _add_collision(mj: Any, body: Any, pieces: Sequence[Primitive], mass_kg: float, scale: float) -> list[Any]:
    """Adds what is touched; the mass is shared out by volume."""
    total = sum(piece.volume_m3 for piece in pieces)
    geoms = []
    for i, piece in enumerate(pieces):
        geom = _add_primitive(body, f"{body.name}#{i}", piece, scale)
        geom.group, geom.mass = 3, mass_kg * piece.volume_m3 / total
        geoms.append(geom)
    return geoms


def _add_primitive(body: Any, name: str, shape: Primitive, scale: float) -> Any:
    import mujoco

    kind = getattr(mujoco.mjtGeom, f"mjGEOM_{shape.type.upper()}")
    return body.add_geom(name=name, type=kind, size=[scale * s for s in shape.size], pos=[scale * p for p in shape.pos], quat=shape.quat)


def _index(model: Any, spec: EpisodeSpec, robot: Robot, base_key: tuple[str, str, str], base: tuple[int, int]) -> SceneModel:
    parties = [*robot.bodies, TABLE, FLOOR, WALL, *(f.name for f in spec.scene.fixtures), *(p.name for p in spec.scene.props)]
    index = {name: i for i, name in enumerate(parties)}
    geom_party = np.zeros(model.ngeom, np.int32)
    for g in range(model.ngeom):
        body = model.body(int(model.geom_bodyid[g])).name
        owner = model.geom(g).name.split("_")[0] if body == "world" else body.split("/")[0]
        geom_party[g] = index[owner]
    fixture_joints = [f"{f.name}/{j.name}" for f in spec.scene.fixtures for j in get_fixture(f.asset).joints]

    def qpos(joints: Sequence[str]) -> NDArray[np.int32]:
        return np.array([int(model.joint(name).qposadr[0]) for name in joints], np.int32)

    return SceneModel(
        model=model,
        base_key=base_key,
        num_base_meshes=base[0],
        num_base_textures=base[1],
        parties=tuple(parties),
        geom_party=geom_party,
        num_robot=len(robot.bodies),
        num_arena=3,
        floor_m=arena(spec.scene.arena).floor.height_m,
        prop_bodies=np.array([model.body(p.name).id for p in spec.scene.props], np.int32),
        prop_qpos=qpos([p.name for p in spec.scene.props]),
        fixture_joint_names=tuple(fixture_joints),
        fixture_joint_qpos=qpos(fixture_joints),
        joint_qpos=qpos(robot.joints),
        joint_dof=np.array([int(model.joint(name).dofadr[0]) for name in robot.joints], np.int32),
        cameras={c.name: c for c in spec.scene.cameras},
    )
