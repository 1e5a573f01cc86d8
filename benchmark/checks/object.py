"""An object: its file is read without complaint, its shapes are light and closed, and on the table it stays where it is put."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vlagym import assets
from vlagym.benchmark.check import Contract
from vlagym.benchmark.checks import _samples
from vlagym.envs.errors import unknown_name
from vlagym.envs.objects import UPRIGHT, ObjectAsset, StablePose, load_object
from vlagym.envs.types import EpisodeSpec, Predicate, PropSpec, SceneSpec

MAX_FACES = 1300
"""Of all visual meshes of an object: drawn on a CPU, a scene is as slow as its triangles are many."""
REST_S = 1.0
MAX_DRIFT_M = 0.003
MAX_TILT_DEG = 3.0
MAX_SPEED_M_S = 0.005


def _files() -> dict[str, Path]:
    """Returns id -> file of every folder where an object should be, whether its file is there or not."""
    folders = (folder for folder in assets.path("objects").glob("*/*") if folder.is_dir() and not folder.name.startswith(("_", ".")))
    return {folder.name: folder / "object.toml" for folder in sorted(folders, key=lambda f: f.name)}


def _complaints(name: str) -> Iterator[str]:
    if name.endswith(".toml"):
        own = load_object(Path(name))
        yield from _about_shapes(own)
        yield from _about_split(own)
        yield from _about_colour(own)
        return
    files = _files()
    if name not in files:
        raise unknown_name("object", name, files, "One of your own is written as the path of its object.toml.")
    if not files[name].exists():
        there = ", ".join(sorted(p.name for p in files[name].parent.iterdir())) or "nothing"
        yield f"its folder {files[name].parent.parent.name}/{name} has no object.toml, so it is not in the catalogue; it holds: {there}"
        return
    asset = load_object(files[name])
    yield from _about_shapes(asset)
    yield from _about_split(asset)
    yield from _about_colour(asset)
    for pose in (asset.pose(UPRIGHT), *asset.poses):
        yield from _about_rest(asset, pose)


def _about_shapes(asset: ObjectAsset) -> Iterator[str]:
    from vlagym.envs.shapes.parts import Mesh

    faces = sum(len(part.shape.faces) for part in asset.visual if isinstance(part.shape, Mesh))
    if faces > MAX_FACES:
        yield f"its visual meshes have {faces} faces, more than {MAX_FACES}: use fewer segments"
    if not asset.collision:
        yield "it has no [[collision]] shape, so nothing can touch it"


def _about_split(asset: ObjectAsset) -> Iterator[str]:
    """Looks whether a word that is kept for evaluation is shown in training."""
    kept = tomllib.loads(assets.path("split.toml").read_text(encoding="utf-8"))
    for table, word in (("kinds", asset.kind), ("colours", asset.colour), ("materials", asset.material)):
        if asset.split == "seen" and word in kept[table]["unseen"]:
            yield f"it is seen, but assets/split.toml keeps its {table[:-1]} {word!r} for evaluation: write split = \"unseen\""


def _about_colour(asset: ObjectAsset) -> Iterator[str]:
    from vlagym.envs.language.phrases import language

    if asset.colour is not None and asset.colour not in language().colours:
        yield str(unknown_name("colour", asset.colour, language().colours, "Leave the key out if the noun says it, or if it has several."))


def _about_rest(asset: ObjectAsset, pose: StablePose) -> Iterator[str]:
    """Puts the object on the table under a robot that does not move, and looks whether it stays."""
    from vlagym.envs.frames import to_matrix
    from vlagym.envs.world import World

    spec = _alone(asset, pose)
    world = World(render=False)
    try:
        facts = before = world.start(spec)
        still = np.zeros(spec.control.size, np.float32)
        still[-1] = -1.0
        for _ in range(round(REST_S * spec.control.rate_hz)):
            before, facts = facts, world.advance(still)
    finally:
        world.close()
    drift_m = float(np.linalg.norm(facts.prop_pos_world_m[0] - np.array(spec.scene.props[0].pos_world)))
    speed_m_s = float(np.linalg.norm(facts.prop_pos_world_m[0] - before.prop_pos_world_m[0])) * spec.control.rate_hz
    # The world's vertical as seen by the object, before and after.
    turned = to_matrix(pose.quat_wxyz)[2] @ to_matrix(facts.prop_quat_world_wxyz[0])[2]
    tilt_deg = float(np.degrees(np.arccos(np.clip(turned, -1.0, 1.0))))
    how = "" if pose.name == UPRIGHT else f" in the pose {pose.name!r}"
    advice = "widen its base, lower its centre of mass or give it rolling_friction"
    if drift_m > MAX_DRIFT_M:
        yield f"left alone on the table{how} for {REST_S:g} s it moves {1e3 * drift_m:.1f} mm: {advice}"
    if tilt_deg > MAX_TILT_DEG:
        yield f"left alone on the table{how} for {REST_S:g} s it tilts by {tilt_deg:.1f} degrees: {advice}"
    if speed_m_s > MAX_SPEED_M_S:
        yield f"left alone on the table{how} for {REST_S:g} s it still moves at {1e3 * speed_m_s:.1f} mm/s: {advice}"


_ROBOT, _ARENA = "panda", "studio"
"""Where an object is looked at."""


def _alone(asset: ObjectAsset, pose: StablePose) -> EpisodeSpec:
    from vlagym.envs import catalog
    from vlagym.envs.arenas import arena
    from vlagym.envs.control import action_spec

    robot = catalog.load("robot", _ROBOT)
    prop = PropSpec(name=asset.id, asset=asset.id, pos_world=(0.5, 0.25, pose.height_m), quat_world_wxyz=pose.quat_wxyz)
    return EpisodeSpec(
        task="check",
        robot=_ROBOT,
        scene=SceneSpec(arena=_ARENA, props=(prop,), lights=arena(_ARENA).light),
        robot_qpos=robot.home_qpos,
        goal=(Predicate(name="touched", args=(asset.id,)),),
        stages=(),
        alternatives=(),
        instruction="",
        phrase="",
        control=action_spec(robot, _samples.ACTION.name),
        horizon_s=REST_S,
    )


CONTRACT = Contract(names=lambda: list(_files()), complaints=_complaints)
