"""A recorder for a loop of one's own, on a robot or in another simulator: start, step, end, save. It writes any format of demonstrations.

    from vlagym.results.recording import Recording

    with Recording("kitchen.hdf5", rate_hz=15) as recording:  # or a folder: Recording("kitchen", format="droid", …)
        recording.start("put the mug on the plate", episode_id="kitchen-7")
        while not done:
            recording.step(
                rgb={"front": image}, depth={"front": depth_m}, joint_positions=q, ee_pose=pose,
                delta_joint_positions=dq, gripper_command=closed, timestamp=seconds,
            )
        recording.end(success=True)

Each step holds what was seen before the action, and the action. An episode is on the disk when `end` returns, and the dataset has its name when the
`with` statement is left, or `save` is called. What was not saved goes on with the next `Recording` of the same path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results import recorded_rows, rehearsal
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import DatasetWriter, Format
from vlagym.results.formats import _vectors, droid
from vlagym.results.formats._sidecar import content_digest
from vlagym.results.recorded_rows import Rows

JOINT_DELTA = "joint_delta"
_PICTURES = ("rgb/", "depth/")


@dataclass(frozen=True, kw_only=True)
class _Episode:
    """The one that is under way."""

    instruction: str
    episode_id: str
    rows: Rows = field(default_factory=Rows)


class Recording:
    """A dataset that is recorded episode by episode. Use it in a `with` statement."""

    def __init__(self, path: str | Path, *, rate_hz: float, format: str | None = None, robot: str = "", action: ActionSpec | None = None) -> None:
        """Begins with nothing, or goes on with what was not saved.

        Args:
          path: Of the dataset: a file that ends in .hdf5, or a folder.
          rate_hz: Steps a second.
          format: A name of `vlagym list formats`; None: hdf5 for a file, droid for a folder.
          robot: Its name, for the dataset.
          action: The convention of `step(action=…)`, whose actions are then the labels; None: displacements of joints are.

        Raises:
          BadData: If the path does not fit the format, the rate is none or not one that the format has, or that of `action` is another one.
          UnknownName: If there is no such format.
        """
        self.path = Path(path)
        if format is None and self.path.suffix not in ("", ".hdf5"):
            raise BadData(f"{self.path.name} ends neither in .hdf5 nor like a folder: call it {self.path.stem}.hdf5, or say format=…")
        name = format or ("hdf5" if self.path.suffix == ".hdf5" else "droid")
        found: Format = catalog.load("format", name)
        if found.suffix and self.path.suffix != found.suffix:
            raise BadData(f"a dataset of the format {name} is a file that ends in {found.suffix}, not {self.path.name}")
        if not found.suffix and self.path.suffix in (".hdf5", ".h5"):
            raise BadData(f"a dataset of the format {name} is a folder, and {self.path.name} the name of a file: leave out {self.path.suffix}")
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise BadData(f"the rate is {rate_hz}; it must be above 0, in steps a second")
        if action is not None and action.rate_hz != rate_hz:
            raise BadData(f"the rate is {rate_hz:g} steps a second, and that of the actions {action.rate_hz:g}: they must be equal")
        self._format, self._rate_hz, self._robot, self._action = found, float(rate_hz), robot, action
        self._writer: DatasetWriter | None = None
        self._episode: _Episode | None = None
        self._is_saved = False
        self._like: dict[str, tuple[int, ...]] | None = None
        """The shapes of what a step of the episodes before held."""
        rehearsal.check_rate(found, action or _joint_delta(1, 1, self._rate_hz))

    def __len__(self) -> int:
        """Episodes that are stored; those of an earlier recording count from the first `end` on."""
        return 0 if self._writer is None else len(self._writer.digests)

    def start(self, language_instruction: str, *, episode_id: str = "") -> None:
        """Begins an episode.

        Args:
          language_instruction: What the robot is asked to do.
          episode_id: What the episode is called; "" for its number.

        Raises:
          BadData: If one is under way, nothing is asked, or the dataset was saved.
        """
        if self._is_saved:
            raise BadData(f"{self.path} was saved. Begin another Recording, at another path")
        if self._episode is not None:
            raise BadData("an episode is under way: call end(success=…) or discard() before the next start")
        if not language_instruction.strip():
            raise BadData("an episode without a sentence teaches nothing about language: say what the robot is asked to do")
        self._episode = _Episode(instruction=language_instruction, episode_id=episode_id)

    def step(
        self,
        *,
        rgb: Mapping[str, ArrayLike],
        joint_positions: ArrayLike,
        delta_joint_positions: ArrayLike | None = None,
        gripper_command: ArrayLike | None = None,
        action: ArrayLike | None = None,
        depth: Mapping[str, ArrayLike] | None = None,
        ee_pose: ArrayLike | None = None,
        gripper_opening_m: ArrayLike | None = None,
        proprio: Mapping[str, ArrayLike] | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Records what was seen, and the action that followed. Arrays are copied. What the first step of an episode has, all have.

        Args:
          rgb: Camera -> uint8 (h, w, 3), RGB, row 0 on top.
          joint_positions: (J,) rad.
          delta_joint_positions: (J,) rad, by how much the joints are told to move.
          gripper_command: From 0, open, to 1, closed; one number for each gripper.
          action: In the convention that the recording was made with; without one the two above are the action.
          depth: Camera -> metres (h, w) as floats, or millimetres as uint16, along the optical axis; what is not finite becomes 0.
          ee_pose: (7,) position in m and quaternion wxyz in the frame of the robot's base; (14,) of two hands, the left one first.
          gripper_opening_m: Between the pads; one number for each gripper.
          proprio: Further arrays; carry unit and frame in their names.
          timestamp: Of the observation, in s; without one step t was at t / rate_hz.

        Raises:
          BadData: If no episode is under way, something has another shape or type than it must, or displacements or a gripper are out of range. The
            episode is as before. The first step of an episode is refused if the format has no place for what it holds, if the dataset cannot be
            written where it should be, or if the episodes before held something else.
        """
        if self._episode is None:
            raise BadData("no episode is under way: call start(sentence) before the first step")
        t = self._episode.rows.num_steps
        row: dict[str, NDArray[Any]] = {f"rgb/{camera}": recorded_rows.image(camera, image, t) for camera, image in rgb.items()}
        row |= {f"depth/{camera}": recorded_rows.depth(camera, image, t) for camera, image in (depth or {}).items()}
        row["joint_pos_rad"] = recorded_rows.numbers("joint_positions", joint_positions, t)
        self._episode.rows.check_joints(row["joint_pos_rad"])
        row |= recorded_rows.poses(ee_pose, t) | recorded_rows.openings(gripper_opening_m, t)
        row |= recorded_rows.further(proprio, row, t)
        if (delta_joint_positions is None) != (gripper_command is None):
            raise BadData(f"step {t}: delta_joint_positions and gripper_command go together")
        if delta_joint_positions is not None and gripper_command is not None:
            row["joint_delta"] = recorded_rows.motion(delta_joint_positions, gripper_command, len(row["joint_pos_rad"]), t)
        if (action is None) != (self._action is None):
            told = "`action` is missing" if action is None else "the recording was made without the convention of `action`"
            raise BadData(f"step {t}: {told}")
        if action is not None and self._action is not None:
            row["action"] = self._action.check(action)
        elif "joint_delta" not in row:
            raise BadData(f"step {t} has no action: give delta_joint_positions and gripper_command, or record with action=ActionSpec(…)")
        if timestamp is not None:
            row["timestamp"] = recorded_rows.seconds(timestamp, t)
        if t == 0:
            self._check_first(self._episode, row)
        self._episode.rows.add(row)

    def end(self, success: bool) -> str:
        """Ends the episode and stores it; when this returns, a kill no longer loses it.

        Args:
          success: Whether what was asked for was done.

        Returns:
          Its digest.

        Raises:
          BadData: If no episode is under way or it has no steps, `success` is neither True nor False, the very same episode is stored already, or it
            cannot be written. It is still under way then.
        """
        episode = self._episode
        if episode is None or episode.rows.num_steps == 0:
            raise BadData("no episode is under way: call start(sentence) first" if episode is None else "the episode has no steps: call step first")
        is_success = recorded_rows.truth(success)
        columns = episode.rows.columns()
        info = self._info(columns)
        if self._writer is None:
            self._writer = self._format.write(self.path, info)
        made = self._demonstration(episode, columns, info, is_success)
        self._writer.append(made)
        self._episode, self._like = None, _shapes({name: rows[0] for name, rows in columns.items()})
        return made.digest

    def add(self, episode: Mapping[str, Any]) -> str:
        """Records a whole episode dict in the manner of DROID.

        Args:
          episode: episode_id, language_instruction, success, observations and actions: arrays with a row a step, as `droid.load_episode` gives
            them, or lists with a dict a step. The keys of observations and actions are those of `step`.

        Returns:
          Its digest.

        Raises:
          BadData: As `start`, `step` and `end`, or if the dict lacks something; nothing of it is kept then.
        """
        try:
            sentence, success, seen, done = (episode[key] for key in ("language_instruction", "success", "observations", "actions"))
            if isinstance(seen, Mapping):
                seen, done = droid.steps(episode)
        except (KeyError, TypeError) as error:
            raise BadData(f"this is no episode dict: {error!r}") from error
        self.start(str(sentence), episode_id=str(episode.get("episode_id", "")))
        try:
            for observation, action in zip(seen, done, strict=True):
                self.step(**observation, **action)
            return self.end(success)
        except (TypeError, ValueError) as error:
            raise BadData(f"the episode dict holds what no step has, or observations and actions of different number: {error}") from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Forgets the episode that is under way; harmless where none is."""
        self._episode = None

    def save(self) -> Path:
        """Makes the dataset whole, and gives it its name.

        Returns:
          Its path.

        Raises:
          BadData: If an episode is under way, nothing was recorded, or the dataset cannot be finished; what was stored is kept beside it.
        """
        if self._is_saved:
            return self.path
        if self._episode is not None:
            raise BadData("an episode is under way: call end(success=…) or discard() before save")
        if self._writer is None:
            raise BadData(f"nothing was recorded for {self.path}")
        self._writer.close()
        self._is_saved = True
        return self.path

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._episode is None:
            self.save()
        elif self._writer is not None:  # an episode is under way, or something was raised: what was stored is kept
            unsaved = BadData(f"{self.path} is not saved: an episode is under way")
            self._writer.__exit__(kind or BadData, error or unsaved, trace)
        if kind is None and self._episode is not None:
            raise BadData("an episode is under way: call end(success=…) or discard() before the recording is left. Those before it are kept")

    # ------------------------------------------------------------------------------------------------------------- before it is too late
    def _check_first(self, episode: _Episode, row: Mapping[str, NDArray[Any]]) -> None:
        """Raises BadData where `end` would refuse the episode for what its first step holds, or for the place of the dataset."""
        columns = {name: value[np.newaxis] for name, value in row.items()}
        try:
            recorded_rows.check_depth(row)
            if self._like is not None:
                recorded_rows.check_like({name: row[name] for name in _shapes(row)}, self._like, "the episodes before")
                return
            info = self._info(columns)
            rehearsal.check_place(self._format, self.path, info)
            rehearsal.check_stored(self._format, self.path, info, self._demonstration(episode, columns, info, True))
        except BadData as error:
            advice = "" if self._like is None else ". One dataset holds episodes of one kind: record others into another"
            raise BadData(f"step 0: {error}{advice}") from error

    # -------------------------------------------------------------------------------------------------------------- what is made of it
    def _info(self, columns: Mapping[str, NDArray[Any]]) -> DatasetInfo:
        joints = columns["joint_pos_rad"].shape[1]
        joint_delta = _joint_delta(joints, columns[JOINT_DELTA].shape[1] - joints, self._rate_hz) if JOINT_DELTA in columns else None
        label = self._action or joint_delta
        assert label is not None  # step() has seen to it
        sizes = {name.removeprefix("rgb/"): array.shape[1:] for name, array in columns.items() if name.startswith("rgb/")}
        return DatasetInfo(
            action=label,
            images={c: ImagePreprocessing(crop=h, size=h, width=None if w == h else w) for c, (h, w, _) in sizes.items()},
            provenance={"made by": "vlagym.results.recording"},
            robot=self._robot,
            state="all" if _vectors.missing(_proprio(columns)) else "libero",
            depth=tuple(name.removeprefix("depth/") for name in columns if name.startswith("depth/")),
            commands={} if joint_delta is None or self._action is None else {JOINT_DELTA: joint_delta},
        )

    def _demonstration(self, episode: _Episode, columns: Mapping[str, NDArray[Any]], info: DatasetInfo, is_success: bool) -> Demonstration:
        proprio = _proprio(columns)
        actions = columns["action" if self._action else JOINT_DELTA]
        episode_id = episode.episode_id or f"episode_{len(self):06d}"
        stamps = columns.get("timestamp")
        seen = [columns[name] for name in sorted(columns) if name.startswith(_PICTURES)]
        return Demonstration(
            spec=None,
            digest=content_digest(f"{episode_id}\n{episode.instruction}", actions, *proprio.values(), *([] if stamps is None else [stamps]), *seen),
            instruction=episode.instruction,
            actions=actions,
            executed_actions=actions,
            images={camera: columns[f"rgb/{camera}"] for camera in info.images},
            image_steps=np.arange(len(actions), dtype=np.int64),
            proprio=proprio,
            is_success=is_success,
            depth={camera: columns[f"depth/{camera}"] for camera in info.depth},
            commands={name: columns[name] for name in info.commands},
            timestamps_s=stamps,
            extra={"episode_id": episode_id},
        )


def _proprio(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    names = [name for name in columns if name not in ("action", JOINT_DELTA, "timestamp") and not name.startswith(_PICTURES)]
    return {name.removeprefix("proprio/"): columns[name] for name in names}


def _shapes(row: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of what all episodes of a dataset hold; some may have timestamps, and others not."""
    return {name: value.shape for name, value in row.items() if name != "timestamp"}


def _joint_delta(joints: int, grippers: int, rate_hz: float) -> ActionSpec:
    def part(name: str, size: int, convention: str, unit: str, bound: float) -> ActionComponent:
        bounds = {"low": (-bound,) * size, "high": (bound,) * size}
        return ActionComponent(name=name, size=size, convention=convention, frame="joint", unit=unit, scale=1.0, **bounds)

    components = (part("joints", joints, "joint_delta", "rad", math.pi), part("gripper", grippers, "gripper_closed_positive", "fraction", 1.0))
    return ActionSpec(name=JOINT_DELTA, components=components, rate_hz=rate_hz)
