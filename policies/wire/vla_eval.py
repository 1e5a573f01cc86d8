"""Messages of vla-eval's model servers: an envelope of msgpack with type, payload, seq and timestamp, images in it as PNG or JPEG files.

Observations are `{"images": {name: (H, W, 3)}, "task_description": sentence, "states": (N,)}`. Streams bear their own names, in the order of the
profile, for many servers take them by position; all state is put together into `states`, in that order too. A profile's table `[wire.vla_eval]` may
say otherwise: `front = "images[agentview]"`, `state = "states"`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply, unknown_name
from vlagym.envs.types import ActionSpec, Observation, ObservationSpec
from vlagym.policies.foreign import told, told_names
from vlagym.policies.wire import arrays, names
from vlagym.policies.wire.names import Names

PROTOCOL_VERSION = 1
INSTRUCTION, ACTIONS = "task_description", "actions"
"""Keys of the sentence in an observation and of the actions in an answer."""
Type = Literal["hello", "observation", "action", "episode_start", "episode_end", "error"]
ImageFormat = Literal["png", "jpeg", "raw", "array"]
"""How images travel. png: a lossless file. jpeg: a file of quality 95, which is not the image any more. raw: bare bytes in an envelope of images.
array: like any other array."""

_MAX_STEPS = 1024
"""Of a chunk: the longest of a published checkpoint has 50."""
_DIMENSIONS_MAX = 4
_JPEG_QUALITY = 95  # vla-eval 0.8.0, protocol/image_codec.py
_IMAGE_DEPTHS = (3, 4)
_PIXELS_MAX = 32 * 2**20
"""Of an image file, before it is unpacked: a small one may announce a large picture."""


class Message(NamedTuple):
    """One message."""

    type: str
    payload: Mapping[str, Any]
    seq: int
    """An answer bears the number of what it answers."""
    timestamp: float
    """When it was sent, in s since 1970."""


def check_format(text: str) -> ImageFormat:
    """Returns the format of images that a word means.

    Raises:
      UnknownName: If there is none.
    """
    for known in get_args(ImageFormat):
        if text == known:
            found: ImageFormat = known
            return found
    raise unknown_name("format of images", text, get_args(ImageFormat))


def pack(message: Message, images: ImageFormat = "png") -> bytes:
    """Returns a message as it travels.

    Raises:
      UnknownName: If there is no such format of images.
      BadData: If something in it cannot travel.
    """
    check_format(images)
    raw = {"type": message.type, "payload": _with_files(message.payload, images), "seq": message.seq, "timestamp": message.timestamp}
    return arrays.pack(raw, "vla_eval")


def unpack(data: bytes | str, *, max_bytes: int = arrays.MAX_BYTES) -> Message:
    """Reads a message.

    Args:
      data: What came; a text is no message.
      max_bytes: A longer one is not looked at.

    Raises:
      BadReply: If it is none.
    """
    if isinstance(data, str):
        raise BadReply(f"a text came where messages are binary: '{told(data, keep='end')}'")
    try:
        raw = arrays.unpack(data, max_bytes=max_bytes)
        if not isinstance(raw, dict) or not {"type", "payload", "seq", "timestamp"} <= set(raw):
            found = f"a map of {told_names(raw)}" if isinstance(raw, dict) else type(raw).__name__
            raise BadReply(f"what came is no message of vla-eval, which has type, payload, seq and timestamp; it is {found}")
        kind, payload, seq, timestamp = raw["type"], raw["payload"], raw["seq"], raw["timestamp"]
        if kind not in get_args(Type):
            raise BadReply(f"a message is of the type '{told(kind, 40)}'; there are {', '.join(get_args(Type))}")
        if not isinstance(payload, dict) or not isinstance(seq, int) or isinstance(seq, bool) or not isinstance(timestamp, (int, float)):
            raise BadReply(f"a message of the type {kind!r} has payload, seq and timestamp of other types than map, whole number and number")
        return Message(kind, _without_files(payload), seq, float(timestamp))
    except BadReply:
        raise
    except BadData as error:
        raise BadReply(str(error)) from error


def observation_payload(
    observation: Observation, spec: ObservationSpec, called: Names | None, *, num_images: int | None = None, has_state: bool = True
) -> dict[str, Any]:
    """Returns what an observation message holds.

    Args:
      observation: As the policy is shown it.
      spec: What is declared of it: its streams and state, in order.
      called: Where its parts stand, where a profile says so; None: the usual places.
      num_images: How many streams are sent, from the first; None: all.
      has_state: Whether state is sent.
    """
    payload: dict[str, Any] = {"images": {}}
    for image in spec.images[:num_images]:
        names.put(payload, f"images[{image.name}]" if called is None else called.images[image.name], observation.images[image.name])
    names.put(payload, INSTRUCTION if called is None else called.instruction, observation.instruction)
    if has_state and spec.state and called is None:
        payload["states"] = np.concatenate([observation.proprio[c.name].ravel() for c in spec.state]).astype(np.float32)
    elif has_state and called is not None:
        for state in spec.state:
            names.put(payload, called.state[state.name], observation.proprio[state.name])
    return payload


def read_table(table: Mapping[str, str] | None, action: ActionSpec, observation: ObservationSpec, where: str) -> Names | None:
    """Returns where a profile's table says that things stand; None without one.

    Raises:
      UnknownName: As `wire.names.read_names`.
      BadData: As `wire.names.read_names`.
    """
    if table is None:
        return None
    usual = Names(images={}, state={}, instruction=INSTRUCTION, actions=ACTIONS, parts={c.name: c.name for c in action.components})
    return names.read_names(table, usual, action, observation, where)


def read_images(payload: Mapping[str, Any], spec: ObservationSpec) -> dict[str, Any]:
    """Returns the streams of an observation message under the names that a policy gives them.

    They are taken by name where all names are there. Else they are taken by position, if there are as many, and none of them bears a name that
    belongs to another position.

    Raises:
      BadData: If it cannot be told which image is which.
    """
    images = payload.get("images", {})
    if not isinstance(images, dict):
        raise BadData(f"images is {type(images).__name__}; a map of names and arrays is wanted")
    wanted, found = [c.name for c in spec.images], [str(name) for name in images]
    if set(wanted) <= set(found):
        return {name: images[name] for name in wanted}
    at_home = all(a == b or (a not in found and b not in wanted) for a, b in zip(wanted, found, strict=False))
    if len(wanted) == len(found) and at_home:
        return dict(zip(wanted, images.values(), strict=True))
    raise BadData(f"the policy reads the images {', '.join(wanted) or 'none'}, in this order; what came is {', '.join(found) or 'none'}")


def read_state(payload: Mapping[str, Any], spec: ObservationSpec) -> dict[str, Any]:
    """Returns the state of an observation message, cut into the arrays that a policy reads.

    Raises:
      BadData: If it is missing or of another size.
    """
    if not spec.state:
        return {}
    sizes = {c.name: c.size for c in spec.state}
    said = payload.get("states", payload.get("state"))
    layout = ", ".join(f"{name}[{size}]" for name, size in sizes.items())
    if said is None:
        raise BadData(f"the policy reads states: ({sum(sizes.values())},) numbers, which are {layout}; none were sent")
    values = np.asarray(said)
    if values.shape != (sum(sizes.values()),) or values.dtype.kind not in "fiu":
        raise BadData(f"states is {values.shape} {values.dtype}; the policy reads ({sum(sizes.values())},) numbers, which are {layout}")
    ends = np.cumsum(list(sizes.values()))[:-1]
    return dict(zip(sizes, np.split(values, ends), strict=True))


def read_actions(payload: Mapping[str, Any], key: str = ACTIONS) -> NDArray[np.float32]:
    """Returns the actions `(T, D)` of an action message; a server that keeps chunks to itself sends one `(D,)` at a time.

    Raises:
      BadReply: If there are none.
    """
    said = payload.get(key, payload.get("action"))
    if said is None:
        raise BadReply(f"the answer has no {key!r}; it has {told_names(payload)}")
    try:
        values = arrays.numbers(said)
    except ValueError as error:
        raise BadReply(f"the {key} of the answer are no array: {error}") from error
    wanted = f"(D,) or (T, D) numbers are wanted, with T from 1 to {_MAX_STEPS}"
    if values is None:
        raise BadReply(f"the {key} of the answer are {type(said).__name__} {told(said, 80)}; {wanted}")
    if values.ndim not in (1, 2) or not 0 < len(values) <= _MAX_STEPS:
        raise BadReply(f"the {key} of the answer are {values.shape} {values.dtype}; {wanted}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.atleast_2d(values).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------------- images
def _with_files(value: Any, images: ImageFormat) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_files(inner, images) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_files(inner, images) for inner in value]
    is_image = isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype == np.uint8 and value.shape[2] in _IMAGE_DEPTHS
    return _file(value, images) if is_image and images != "array" else value


def _file(image: NDArray[np.uint8], images: ImageFormat) -> dict[str, Any]:
    if images == "raw":
        return {"__image__": True, "format": images, "data": image.tobytes(), "dtype": image.dtype.str, "shape": list(image.shape)}
    if images == "jpeg" and image.shape[2] != 3:
        raise BadData(f"an image of {image.shape[2]} channels cannot travel as jpeg; choose png")
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, **({"format": "JPEG", "quality": _JPEG_QUALITY} if images == "jpeg" else {"format": "PNG"}))
    return {"__image__": True, "format": images, "data": file.getvalue(), "shape": list(image.shape)}


def _without_files(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_files(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return _pixels(value) if value.get("__image__") is True else {key: _without_files(inner) for key, inner in value.items()}


def _pixels(said: Mapping[str, Any]) -> NDArray[np.uint8]:
    kind, data, shape = said.get("format"), said.get("data"), said.get("shape")
    is_shape = isinstance(shape, list) and len(shape) <= _DIMENSIONS_MAX and all(isinstance(n, int) and n >= 0 for n in shape)
    if not isinstance(data, bytes) or not isinstance(shape, list) or not is_shape:
        raise BadData("an image of a message has no data or no shape")
    if kind == "raw":
        if said.get("dtype") != "|u1" or len(data) != np.prod(shape, dtype=object):
            raise BadData(f"a raw image declares {shape} of {told(said.get('dtype'), 16)!r} and brings {len(data)} bytes; uint8 is wanted")
        return np.frombuffer(data, np.uint8).reshape(shape).copy()
    if kind not in ("png", "jpeg"):
        raise BadData(f"an image of a message has the format {told(kind, 16)!r}; png, jpeg and raw are read")
    return _unpacked(data, kind, shape)


def _unpacked(data: bytes, kind: str, shape: list[int]) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=(kind.upper(),)) as file:
            if file.width * file.height > _PIXELS_MAX:
                raise BadData(f"an image of a message is {file.width} x {file.height}; at most {_PIXELS_MAX} pixels are unpacked")
            pixels = np.array(file)
    except BadData:
        raise
    except Exception as error:  # a decoder raises whatever it likes about a broken file
        raise BadData(f"an image of a message is no {kind} that can be read: {type(error).__name__}: {told(error)}") from error
    if list(pixels.shape) != shape or pixels.dtype != np.uint8:
        raise BadData(f"an image of a message declares {shape} uint8 and is {list(pixels.shape)} {pixels.dtype}")
    return pixels
