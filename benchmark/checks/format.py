"""A dataset format: what is written is read back equal, a file that was begun is gone on with, and a wrong demonstration is refused."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vlagym.benchmark.check import Contract, first_sentence_complaint
from vlagym.benchmark.checks import _samples
from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError
from vlagym.envs.types import stream
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import Format

NUM_DEMONSTRATIONS = 3
STEPS = (17, 1, 40)
"""Of each: one of a single step, and one whose steps the stride divides."""
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


def _complaints(name: str) -> Iterator[str]:
    format_ = catalog.load("format", name)
    if not isinstance(format_, Format):
        yield f"FORMAT is {type(format_).__name__}: make it a vlagym.results.format.Format"
        return
    yield from first_sentence_complaint("format", name)
    if format_.suffix and not format_.suffix.startswith("."):
        yield f"its suffix is {format_.suffix!r}: begin it with a dot, or leave it empty where a dataset is a folder"
    for stride in (1, 4):
        with tempfile.TemporaryDirectory(prefix="vlagym-check-") as folder:
            yield from (f"with frame_stride={stride}: {c}" for c in _about_file(format_, Path(folder) / f"demos{format_.suffix}", stride))


def _about_file(format_: Format, path: Path, stride: int) -> Iterator[str]:
    info = _info(stride)
    demonstrations = [_demonstration(i, info) for i in range(NUM_DEMONSTRATIONS)]
    digests = tuple(d.digest for d in demonstrations)
    with format_.write(path, info) as writer:
        writer.append(demonstrations[0])
    with format_.write(path, info) as writer:
        if writer.digests != digests[:1]:
            yield f"opened again, the writer lists the digests {list(writer.digests)} instead of {list(digests[:1])}: a run could not be resumed"
        for demonstration in demonstrations[1:]:
            writer.append(demonstration)
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
            yield from (f"demonstration {index}, by its number: {difference}" for difference in _differences(written, reader[index]))
    read = list(format_.read(path))
    if len(read) != len(demonstrations):
        yield f"read gives {len(read)} demonstrations; {len(demonstrations)} were written"
    for index, (written, found) in enumerate(zip(demonstrations, read, strict=False)):
        yield from (f"demonstration {index}, read in order: {difference}" for difference in _differences(written, found))


def _differences(written: Demonstration, found: Demonstration) -> Iterator[str]:
    for field in dataclasses.fields(Demonstration):
        a, b = getattr(written, field.name), getattr(found, field.name)
        if field.name in ("images", "proprio", "privileged"):
            if set(a) != set(b):
                yield f"{field.name} holds {', '.join(sorted(b)) or 'nothing'} instead of {', '.join(sorted(a))}"
            yield from (d for key in sorted(set(a) & set(b)) if (d := _array_difference(f"{field.name}[{key!r}]", a[key], b[key])))
        elif isinstance(a, np.ndarray):
            if difference := _array_difference(field.name, a, b):
                yield difference
        elif a != b:
            yield f"{field.name} is {b!r} instead of {a!r}"


def _array_difference(name: str, written: object, found: object) -> str:
    a, b = np.asarray(written), np.asarray(found)
    if a.shape != b.shape:
        return f"{name} has the shape {b.shape} instead of {a.shape}"
    if a.dtype != b.dtype:
        return f"{name} is {b.dtype} instead of {a.dtype}"
    if not np.array_equal(a, b):
        return f"{name} differs by up to {np.abs(a.astype(np.float64) - b.astype(np.float64)).max():.3g}"
    return ""


def _info(stride: int) -> DatasetInfo:
    images = {"front": ImagePreprocessing(crop=192, size=24), "wrist": ImagePreprocessing(crop=256, size=16)}
    return DatasetInfo(action=_samples.ACTION, images=images, frame_stride=stride, provenance={"made by": "vlagym check"})


def _demonstration(index: int, info: DatasetInfo) -> Demonstration:
    rng = stream(index, "checks", "demonstration")
    steps = STEPS[index]
    spec = dataclasses.replace(_samples.spec(props=2, fixtures=1), seed=index, instruction=f"put the café mug {index} on the plate")
    image_steps = np.arange(0, steps, info.frame_stride, dtype=np.int64)
    clean = rng.uniform(-1.0, 1.0, (steps, info.action.size)).astype(np.float32)
    proprio = [_samples.proprio(PROPRIO, 1000 * index + step) for step in range(steps)]
    return Demonstration(
        spec=spec,
        digest=spec.digest(),
        instruction=spec.instruction,
        actions=clean,
        executed_actions=np.clip(clean + rng.normal(0.0, 0.1, clean.shape), -1.0, 1.0).astype(np.float32),
        images={name: rng.integers(0, 256, (len(image_steps), how.size, how.size, 3), np.uint8) for name, how in info.images.items()},
        image_steps=image_steps,
        proprio={name: np.stack([p[name] for p in proprio]) for name in PROPRIO},
        privileged={"prop_pos_world_m": rng.normal(size=(steps, 2, 3)), "stage_met": rng.random((steps, 2)) > 0.5},
    )


CONTRACT = Contract(names=lambda: catalog.names("format"), complaints=_complaints)
