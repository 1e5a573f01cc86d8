"""Lays demonstrations out as the files of `frames.Frames`, with sentences, positions and pixels to learn from."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, CameraSpec, EpisodeSpec, stream, to_plain
from vlagym.policies.models.minivla import proprio, words
from vlagym.policies.models.minivla.config import MiniVlaConfig, TowerConfig
from vlagym.policies.models.minivla.frames import COLUMNS, MANIFEST, SCHEMA, Columns, Frames, Manifest, image_file, read_manifest
from vlagym.policies.models.minivla.geometry import project
from vlagym.policies.models.minivla.mirror import is_symmetric
from vlagym.policies.train import DemonstrationLike

TARGETS = ("target_pos_world_m", "target_yaw_rad")
"""Privileged columns of a demonstration: (T, 2, 3) where object and destination are, (T,) how the object is turned."""

_log = logging.getLogger(__name__)


def data_digest(digests: Iterable[str]) -> str:
    """Returns the digest of demonstrations that are named by theirs, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]


def is_prepared(
    demonstrations: Iterable[DemonstrationLike],
    folder: Path,
    config: MiniVlaConfig,
    *,
    sentences: int,
    seed: int,
    frame_stride: int | None = None,
) -> bool:
    """Returns whether the folder holds what `prepare` would write for these arguments."""
    try:
        there = read_manifest(folder)
    except BadData:
        return False
    wanted = (data_digest(d.digest for d in demonstrations), config, 1 + sentences, seed, frame_stride)
    return (there.data, there.config, there.sentences_each, there.sentence_seed, there.frame_stride) == wanted


def prepare(
    demonstrations: Iterable[DemonstrationLike],
    folder: Path,
    config: MiniVlaConfig,
    *,
    say: Callable[[EpisodeSpec, np.random.Generator], str],
    sentences: int,
    seed: int,
    frame_stride: int | None = None,
    watch: Callable[[], None] = lambda: None,
) -> Frames:
    """Lays demonstrations out as frames and opens them.

    Args:
      demonstrations: Read once, one after another.
      folder: Is filled; what it held is overwritten.
      config: Says how large images are, and how sentences become numbers.
      say: Draws a sentence for an episode.
      sentences: How many are drawn for each demonstration, besides the one it was recorded with.
      seed: Of those draws.
      frame_stride: Frames are taken every so many control steps; None: all that the demonstrations hold.
      watch: Called after each demonstration.

    Raises:
      BadData: If there are none, or one has no targets, other images, another action, a camera that does not stand still, or no frames at the
        wanted steps.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    lexicon, rows, digests = _Lexicon(config), _Rows(), []
    tasks: Counter[str] = Counter()
    action: ActionSpec | None = None
    with (folder / image_file(config.front)).open("wb") as front, (folder / image_file(config.wrist)).open("wb") as wrist:
        for index, demonstration in enumerate(demonstrations):
            spec = demonstration.episode
            action = action or spec.control
            if spec.control != action:
                raise BadData(f"demonstration {demonstration.digest} acts by {spec.control.name} of another convention than those before it")
            rows_taken = _taken(demonstration, frame_stride)
            drawn = [say(spec, stream(seed, "sentence", demonstration.digest, str(i))) for i in range(sentences)]
            rows.add(demonstration, rows_taken, index, [demonstration.instruction, *drawn], lexicon, config)
            front.write(_images(demonstration, config.front)[rows_taken].tobytes())
            wrist.write(_images(demonstration, config.wrist)[rows_taken].tobytes())
            digests.append(demonstration.digest)
            tasks[spec.task] += 1
            watch()
    if action is None:
        raise BadData("there are no demonstrations to train on")
    columns = rows.columns(lexicon)
    save_file({name: np.ascontiguousarray(c) for name, c in columns._asdict().items()}, folder / COLUMNS)
    manifest = Manifest(
        schema=SCHEMA,
        data=data_digest(digests),
        sentence_seed=seed,
        config=config,
        action=action,
        rate_hz=action.rate_hz,
        frames=len(columns.frame_demo),
        demonstrations=len(digests),
        sentences_each=1 + sentences,
        tasks=dict(sorted(tasks.items())),
        distinct_sentences=len(columns.sentences),
        frame_stride=frame_stride,
    )
    (folder / MANIFEST).write_text(json.dumps(to_plain(manifest), indent=2), encoding="utf-8")
    _log.info("%d frames of %d demonstrations lie in %s", manifest.frames, manifest.demonstrations, folder)
    return Frames(folder)


class _Lexicon:
    """Numbers for the words and sentences that occur; kept here and not in the network, which has no vocabulary."""

    def __init__(self, config: MiniVlaConfig) -> None:
        self._config = config.text
        self._words: dict[str, int] = {}
        self._sentences: dict[tuple[int, ...], int] = {}

    def sentence(self, text: str) -> int:
        tokens = tuple(self._words.setdefault(w, len(self._words) + 1) for w in words.split(text))
        return self._sentences.setdefault(tokens, len(self._sentences))

    def arrays(self) -> dict[str, NDArray[Any]]:
        ids = words.encode([" ".join(self._words)], self._config)
        none = np.zeros((1, ids.grams.shape[-1]), np.int64)
        table = np.zeros((len(self._sentences), max([1, *map(len, self._sentences)])), np.int64)
        for tokens, row in self._sentences.items():
            table[row, : len(tokens)] = tokens
        return {
            "sentences": table,
            "words": np.concatenate([[0], ids.words[0, : len(self._words)]]),
            "grams": np.concatenate([none, ids.grams[0, : len(self._words)]]),
        }


class _Rows:
    """Collects the columns of one demonstration after another."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._actions = 0

    def add(
        self,
        demonstration: DemonstrationLike,
        taken: NDArray[np.int64],
        index: int,
        sentences: list[str],
        lexicon: _Lexicon,
        config: MiniVlaConfig,
    ) -> None:
        who, spec = f"demonstration {demonstration.digest}", demonstration.episode
        actions = np.asarray(demonstration.actions, np.float32)
        at = np.asarray(demonstration.image_steps, np.int64)[taken]
        if actions.ndim != 2 or not len(at) or at.min() < 0 or at.max() >= len(actions):
            raise BadData(f"{who} has {len(actions)} actions and frames at steps {at.tolist()[:3]} …; frames must lie at control steps")
        if not np.isfinite(actions).all():
            raise BadData(f"{who} holds an action that is not finite")
        for name in TARGETS:
            if name not in demonstration.privileged:
                known = ", ".join(sorted(demonstration.privileged)) or "none"
                raise BadData(f"{who} lacks the privileged column {name!r}, without which minivla does not learn; it has {known}")
        pos_world = np.asarray(demonstration.privileged["target_pos_world_m"], np.float64)[at]
        yaw = np.asarray(demonstration.privileged["target_yaw_rad"], np.float64)[at]
        if pos_world.shape != (len(at), 2, 3) or yaw.shape != (len(at),) or not (np.isfinite(pos_world).all() and np.isfinite(yaw).all()):
            raise BadData(f"{who} has targets of shape {pos_world.shape} and {yaw.shape}; they must be finite, (T, 2, 3) and (T,)")
        seen = project(pos_world, _camera(spec, config.front), config.front.crop)
        told = proprio.fully_opened(demonstration.proprio)
        features = proprio.features({name: np.asarray(a)[at] for name, a in told.items()})
        base = np.asarray(catalog.load("robot", spec.robot).base_pos_world)
        self._put(
            frame_action=self._actions + at,
            frame_last=np.full(len(at), self._actions + len(actions) - 1),
            frame_demo=np.full(len(at), index),
            proprio=features,
            pos=(pos_world - base).astype(np.float32),
            yaw=yaw.astype(np.float32),
            image_xy=seen.image_xy.astype(np.float32),
            is_inside=seen.is_inside,
            actions=actions,
            demo_sentences=np.array([[lexicon.sentence(s) for s in sentences]]),
            demo_is_symmetric=np.array([is_symmetric(spec, sentences, float(base[1]), config)]),
        )
        self._actions += len(actions)

    def columns(self, lexicon: _Lexicon) -> Columns:
        arrays: dict[str, NDArray[Any]] = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        return Columns(**arrays, **lexicon.arrays())

    def _put(self, **arrays: NDArray[Any]) -> None:
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(array)


def _taken(demonstration: DemonstrationLike, frame_stride: int | None) -> NDArray[np.int64]:
    """Returns which of a demonstration's images are taken, by their numbers.

    Raises:
      BadData: If there is no image at a step at which one is wanted.
    """
    steps = np.asarray(demonstration.image_steps, np.int64)
    if frame_stride is None:
        return np.arange(len(steps))
    wanted = np.arange(0, len(demonstration.actions), frame_stride)
    missing = np.setdiff1d(wanted, steps)
    if len(missing):
        stored = f"{steps[:3].tolist()} …"
        raise BadData(
            f"demonstration {demonstration.digest} has images of the steps {stored}, and none of step {missing[0]}; a frame every {frame_stride} "
            "steps needs a dataset whose own stride divides that"
        )
    return np.searchsorted(steps, wanted)


def _camera(spec: EpisodeSpec, tower: TowerConfig) -> CameraSpec:
    for camera in spec.scene.cameras:
        if camera.name == tower.camera:
            return camera
    raise BadData(f"the scene of {spec.task!r} has no camera {tower.camera!r}; it has {', '.join(c.name for c in spec.scene.cameras) or 'none'}")


def _images(demonstration: DemonstrationLike, tower: TowerConfig) -> NDArray[np.uint8]:
    if tower.camera not in demonstration.images:
        known = ", ".join(sorted(demonstration.images)) or "none"
        raise BadData(f"demonstration {demonstration.digest} has no images of camera {tower.camera!r}; it has {known}")
    images = np.asarray(demonstration.images[tower.camera])
    wanted = (len(demonstration.image_steps), tower.size, tower.size, 3)
    if images.shape != wanted or images.dtype != np.uint8:
        raise BadData(
            f"demonstration {demonstration.digest} has images {images.shape} {images.dtype} of camera {tower.camera!r}; "
            f"minivla wants {wanted} uint8: a centre crop of {tower.crop} shrunk to {tower.size} "
            f"(vlagym demo --crop {tower.camera}={tower.crop} --size {tower.camera}={tower.size})"
        )
    return images
