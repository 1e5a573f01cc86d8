"""A dataset format: what is written is read back equal, a file that was begun is gone on with, and a wrong demonstration is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.check import Contract, first_sentence_complaint
from vlagym.benchmark.checks import _samples
from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError
from vlagym.envs.types import Certificate, stream
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing, Stage
from vlagym.results.format import ABSENT, FIELDS, Format

NUM_DEMONSTRATIONS = 3
STEPS = (17, 1, 40)
"""Of each: one of a single step, and one whose steps the stride divides."""
CODEC_ERROR = 12.0
"""By how many of 255 levels a smooth image may differ on average where a format compresses it with losses."""
PROPRIO = {
    "joint_pos_rad": 7,
    "joint_vel_rad_s": 7,
    "ee_pos_base_m": 3,
    "ee_quat_base_wxyz": 4,
    "ee_target_pos_base_m": 3,
    "ee_target_quat_base_wxyz": 4,
    "gripper_opening_m": 1,
    "gripper_command": 1,
}


JOINT_DELTA = dataclasses.replace(
    _samples.ACTION,
    name="joint_delta",
    components=(
        dataclasses.replace(
            _samples.ACTION.components[0],
            name="joints",
            size=7,
            convention="joint_delta",
            frame="joint",
            unit="rad",
            scale=0.1,
            low=(-1.0,) * 7,
            high=(1.0,) * 7,
        ),
        _samples.ACTION.components[2],
    ),
)
"""The other convention in which the motion is told: some formats are of joint motion."""


def _complaints(name: str) -> Iterator[str]:
    format_ = catalog.load("format", name)
    if not isinstance(format_, Format):
        yield f"FORMAT is {type(format_).__name__}: make it a vlagym.results.format.Format"
        return
    yield from first_sentence_complaint("format", name)
    if format_.suffix and not format_.suffix.startswith("."):
        yield f"its suffix is {format_.suffix!r}: begin it with a dot, or leave it empty where a dataset is a folder"
    if unknown := sorted(format_.holds - set(FIELDS)):
        yield f"holds names {', '.join(unknown)}: known are {', '.join(FIELDS)}"
        return
    for stride in (1, 4) if "frame_stride" in format_.holds else (1,):
        with tempfile.TemporaryDirectory(prefix="vlagym-check-") as folder:
            yield from (f"with frame_stride={stride}: {c}" for c in _about_file(format_, Path(folder) / f"demos{format_.suffix}", stride))


def _about_file(format_: Format, path: Path, stride: int) -> Iterator[str]:
    info = _info(stride, format_)
    demonstrations = [_demonstration(i, info, format_) for i in range(NUM_DEMONSTRATIONS)]
    digests = tuple(d.digest for d in demonstrations)
    with contextlib.suppress(_Interrupted), format_.write(path, info) as writer:
        writer.append(demonstrations[0])
        raise _Interrupted
    with format_.write(path, info) as writer:
        if writer.digests != digests[:1]:
            yield f"opened again, the writer lists the digests {list(writer.digests)} instead of {list(digests[:1])}: a run could not be resumed"
        writer.append(demonstrations[1])
        for demonstration in demonstrations[2:]:
            writer.take(format_.store(path, info, demonstration))
        try:
            writer.append(dataclasses.replace(demonstrations[0], actions=demonstrations[0].actions[:, :3]))
        except VlagymError:
            pass
        else:
            yield "a demonstration with actions of another size is stored: call vlagym.results.demonstration.check_demonstration"
    with format_.open(path) as reader:
        if reader.digests != digests or len(reader) != len(digests):
            yield f"the reader lists {len(reader)} demonstrations {list(reader.digests)}; {list(digests)} were written"
            return
        if (reader.info.action, dict(reader.info.images), reader.info.frame_stride) != (info.action, dict(info.images), info.frame_stride):
            yield f"the reader gives other dataset information than was written: {reader.info}"
        for index, written in enumerate(demonstrations):
            yield from (f"demonstration {index}, by its number: {difference}" for difference in _differences(written, reader[index], format_))
    read = list(format_.read(path))
    if len(read) != len(demonstrations):
        yield f"read gives {len(read)} demonstrations; {len(demonstrations)} were written"
    for index, (written, found) in enumerate(zip(demonstrations, read, strict=False)):
        yield from (f"demonstration {index}, read in order: {difference}" for difference in _differences(written, found, format_))


class _Interrupted(Exception):
    """Stands for whatever ends a collection before its last demonstration."""


def _differences(written: Demonstration, found: Demonstration, format_: Format) -> Iterator[str]:
    for field in dataclasses.fields(Demonstration):
        a, b = getattr(written, field.name), getattr(found, field.name)
        if field.name == "images" and format_.images != "exact":
            yield from _codec_differences(a, b)
        elif field.name in ("images", "proprio", "privileged", "depth", "commands"):
            if set(a) != set(b):
                yield f"{field.name} holds {', '.join(sorted(b)) or 'nothing'} instead of {', '.join(sorted(a))}"
            yield from (d for key in sorted(set(a) & set(b)) if (d := _array_difference(f"{field.name}[{key!r}]", a[key], b[key])))
        elif isinstance(a, np.ndarray):
            if difference := _array_difference(field.name, a, b):
                yield difference
        elif a != b:
            yield f"{field.name} is {b!r} instead of {a!r}"


def _codec_differences(written: Mapping[str, NDArray[np.uint8]], found: Mapping[str, NDArray[np.uint8]]) -> Iterator[str]:
    if set(written) != set(found):
        yield f"images holds {', '.join(sorted(found)) or 'nothing'} instead of {', '.join(sorted(written))}"
    for camera in sorted(set(written) & set(found)):
        a, b = written[camera], found[camera]
        if a.shape != b.shape or b.dtype != np.uint8:
            yield f"images[{camera!r}] is {b.dtype} {b.shape} instead of uint8 {a.shape}"
        elif (error := float(np.abs(a.astype(np.float64) - b.astype(np.float64)).mean())) > CODEC_ERROR:
            yield f"images[{camera!r}] differs by {error:.1f} of 255 levels on average: no codec loses so much of a smooth image"


def _array_difference(name: str, written: object, found: object) -> str:
    a, b = np.asarray(written), np.asarray(found)
    if a.shape != b.shape:
        return f"{name} has the shape {b.shape} instead of {a.shape}"
    if a.dtype != b.dtype:
        return f"{name} is {b.dtype} instead of {a.dtype}"
    if not np.array_equal(a, b):
        return f"{name} differs by up to {np.abs(a.astype(np.float64) - b.astype(np.float64)).max():.3g}"
    return ""


def _info(stride: int, format_: Format) -> DatasetInfo:
    return DatasetInfo(
        action=_samples.ACTION,
        images={"front": ImagePreprocessing(crop=192, size=96), "wrist": ImagePreprocessing(crop=256, size=64)},
        frame_stride=stride,
        provenance={"made by": "vlagym check"},
        robot="panda",
        depth=("wrist",) if "depth" in format_.holds else (),
        commands={JOINT_DELTA.name: JOINT_DELTA} if "commands" in format_.holds else {},
    )


def _demonstration(index: int, info: DatasetInfo, format_: Format) -> Demonstration:
    rng = stream(index, "checks", "demonstration")
    steps = STEPS[index]
    spec = dataclasses.replace(_samples.spec(props=2, fixtures=1), seed=index, instruction=f"put the café mug {index} on the plate")
    image_steps = np.arange(0, steps, info.frame_stride, dtype=np.int64)
    clean = rng.uniform(-1.0, 1.0, (steps, info.action.size)).astype(np.float32)
    proprio = [_samples.proprio(PROPRIO, 1000 * index + step) for step in range(steps)]
    whole = Demonstration(
        spec=spec,
        digest=spec.digest(),
        instruction=spec.instruction,
        actions=clean,
        executed_actions=np.clip(clean + rng.normal(0.0, 0.1, clean.shape), -1.0, 1.0).astype(np.float32),
        images={name: _smooth(rng, len(image_steps), how.shape) for name, how in info.images.items()},
        image_steps=image_steps,
        proprio={name: np.stack([p[name] for p in proprio]) for name in PROPRIO},
        privileged={"prop_pos_world_m": rng.normal(size=(steps, 2, 3)), "stage_met": rng.random((steps, 2)) > 0.5},
        depth={c: rng.integers(0, 5000, (len(image_steps), *info.images[c].shape[:2]), np.uint16) for c in info.depth},
        commands={name: rng.normal(size=(steps, other.size)).astype(np.float32) for name, other in info.commands.items()},
        stages=(Stage(0, "reach"), Stage(9, "grasp"))[: 1 + (steps > 9)],
        paraphrases=("set the café mug onto the plate", "the plate should carry the café mug"),
        certificate=Certificate(spec=spec.digest(), model="0" * 32, initial_state="1" * 32, actions="2" * 32, final_state="3" * 32, frames=None),
        timestamps_s=None if index else np.arange(steps) / info.action.rate_hz + rng.uniform(0.0, 0.01, steps),
        extra={"operator": "nobody"},
    )
    absent = {name: ABSENT[name] for name in ABSENT if name not in format_.holds}
    if "executed_actions" not in format_.holds:
        absent["executed_actions"] = whole.actions
    return dataclasses.replace(whole, **absent)


def _smooth(rng: np.random.Generator, count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Returns moving gradients (count, h, w, 3): each frame, row, column and channel differs, and codecs lose little."""
    t, y, x, c = np.meshgrid(np.arange(count), *(np.arange(n) for n in shape), indexing="ij")
    wave = np.sin(x / 11 + c + t / 5 + rng.uniform(0, 6)) + np.cos(y / 7 - t / 9 + rng.uniform(0, 6))
    image: NDArray[np.uint8] = (127 + 60 * wave).astype(np.uint8)
    return image


CONTRACT = Contract(names=lambda: catalog.names("format"), complaints=_complaints)
