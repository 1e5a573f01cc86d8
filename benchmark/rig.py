"""A rig: the cameras, start posture and control of a station that checkpoints were trained at, put over our episodes. One TOML file each."""

from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec, VlagymError, unknown_name
from vlagym.envs.types import ActionSpec, CameraSpec, EpisodeSpec, canonical_json, from_plain, sha, to_plain

if TYPE_CHECKING:
    from vlagym.envs.robot import Robot

FOLDER = "benchmark/rigs"
NO_RIG = "none"
"""What a suite says whose episodes stay as they are."""
_PROSE = ("name", "about", "sources", "gaps")


@dataclass(frozen=True, kw_only=True)
class RigControl:
    """The [control] table of a rig."""

    convention: str
    """ee_delta | ee_pose | joint_delta | joint_position"""
    rate_hz: float
    substeps: int
    """Steps of physics in a control step."""
    scale: Mapping[str, float] = field(default_factory=dict)
    """Component of the convention -> what 1.0 of it is, in m or rad a step; ours where it is not named."""

    def spec(self, robot: Robot, convention: str = "default") -> ActionSpec:
        """Returns the action vector; of another convention than the rig's own, only the rate is the rig's."""
        from vlagym.envs.control import action_spec, rescaled  # and with it the simulator, which those who list suites do not need

        name = self.convention if convention == "default" else convention
        own = action_spec(robot, name, self.rate_hz)
        return rescaled(own, self.scale) if name == self.convention else own


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A station. A file of benchmark/rigs, or anyone's TOML file."""

    name: str
    about: str
    """What it is, in a sentence."""
    robot: str
    robot_qpos: tuple[float, ...]
    """Start posture in rad. What an episode's posture differs from its robot's home is added."""
    control: RigControl
    camera: tuple[CameraSpec, ...]
    """They take the place of the episode's cameras of the same names. One is called front: things that a sentence names must be seen by it."""
    horizon_factor: float = 1.0
    """How many times as long as usual an episode may last: stations differ in speed."""
    sources: tuple[str, ...]
    """Where its numbers are from."""
    gaps: tuple[str, ...] = ()
    """What of the station cannot be had here, each in a sentence."""

    def __post_init__(self) -> None:
        """Looks at what it names.

        Raises:
          UnknownName: If there is no such robot, convention or component of it.
          BadData: If it has no camera called front, a camera twice, another number of joints, or a rate or factor that is not above 0.
        """
        names = [c.name for c in self.camera]
        if "front" not in names:
            raise BadData(f"the rig {self.name!r} has no [[camera]] called front; it has: {', '.join(names) or 'none'}")
        if len(set(names)) < len(names):
            raise BadData(f"the rig {self.name!r} has two cameras of one name: {', '.join(names)}")
        numbers = {"control.rate_hz": self.control.rate_hz, "control.substeps": self.control.substeps, "horizon_factor": self.horizon_factor}
        for name, value in numbers.items():
            if not value > 0 or not math.isfinite(value):
                raise BadData(f"the rig {self.name!r} has {name} = {value:g}; it must be more than 0")
        robot: Robot = catalog.load("robot", self.robot)
        if len(self.robot_qpos) != len(robot.joints):
            raise BadData(f"the rig {self.name!r} has {len(self.robot_qpos)} joint positions; {self.robot!r} has {len(robot.joints)} joints")
        try:
            self.control.spec(robot)
        except BadSpec as error:
            raise BadData(f"the rig {self.name!r}: {error}") from error

    def digest(self) -> str:
        """Returns what tells it from others: all that it says but its name and its prose."""
        said = {key: value for key, value in to_plain(self).items() if key not in _PROSE}
        return sha(canonical_json(said).encode())

    def apply(self, spec: EpisodeSpec, control: str = "default") -> EpisodeSpec:
        """Returns the episode at this station: the same things in the same places, goal, sentence and seed.

        Whether its premises still hold is not looked at: see `complaint`.

        Args:
          spec: Not varied: variations come after the rig, for they may be about cameras.
          control: Another action convention, at the rig's rate; default: the rig's own.

        Raises:
          BadSpec: If the episode is of another robot, or was varied.
        """
        if spec.robot != self.robot:
            raise BadSpec(f"the rig {self.name!r} is one of {self.robot!r}, and the episode is of {spec.robot!r}: choose --robot {self.robot}")
        if spec.axes:
            raise BadSpec(f"the episode was varied along {spec.axes[0][0]!r} before; the rig comes first")
        robot: Robot = catalog.load("robot", self.robot)
        own = {c.name: c for c in self.camera}
        cameras = [own.pop(c.name, c) for c in spec.scene.cameras]
        timestep_s = 1.0 / (self.control.rate_hz * self.control.substeps)
        return dataclasses.replace(
            spec,
            scene=dataclasses.replace(
                spec.scene, cameras=(*cameras, *own.values()), physics=dataclasses.replace(spec.scene.physics, timestep_s=timestep_s)
            ),
            robot_qpos=_start(np.array(self.robot_qpos), np.array(spec.robot_qpos), robot),
            control=self.control.spec(robot, control),
            horizon_s=round(spec.horizon_s * self.horizon_factor, 3),
        )

    def complaint(self, spec: EpisodeSpec) -> str | None:
        """Returns in a few words which premise an episode of this rig breaks: its camera may not see what the sentence names. None if none."""
        from vlagym.envs.premises import broken_premise

        return broken_premise(spec)


def _start(start: np.ndarray, was: np.ndarray, robot: Robot) -> tuple[float, ...]:
    moved = start + (was - np.array(robot.home_qpos))
    bounded = np.clip(moved, robot.joint_low_rad, robot.joint_high_rad)
    return tuple(bounded.round(5).tolist())


def rig_names() -> list[str]:
    """Returns the names of all rigs, sorted."""
    return catalog.toml_names(FOLDER)


@functools.cache
def load_rig(name: str) -> Rig:
    """Returns the rig of that name from benchmark/rigs, or from a file if the name ends in .toml.

    Raises:
      UnknownName: If there is none, or if a name in it does not exist.
      BadData: If its file does not hold what it should.
    """
    if name.endswith(".toml"):
        return read_rig(Path(name))
    if name not in rig_names():
        raise unknown_name("rig", name, rig_names(), "One of your own is written as the path of its .toml file.")
    return read_rig(Path(__file__).parent / "rigs" / f"{name}.toml")


def read_rig(path: Path) -> Rig:
    """Reads a rig's file.

    Raises:
      BadData: If it is absent, no TOML, lacks a key, has one that is unknown or of another type, or bears another name than its file.
      UnknownName: If a name in it does not exist.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"the rig {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not TOML: {error}") from error
    try:
        rig = from_plain(Rig, data, "rig")
    except VlagymError as error:
        raise type(error)(f"{path}: {error}") from error
    if rig.name != path.stem:
        raise BadData(f"{path} calls its rig {rig.name!r}; a rig bears the name of its file, {path.stem!r}")
    return rig
