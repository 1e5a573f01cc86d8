"""The messages of the policies that are asked by HTTP: OpenVLA and OpenVLA-OFT, JSON with the arrays of json-numpy.

openvla: one image and the sentence are answered with one action. oft: images, a state vector and the sentence are answered with a list of actions.
gr00t: what N1.5 is asked over ZeroMQ; its messages stand in `vlagym.policies.wire.gr00t`.

The first two answer whatever goes wrong inside them with the status 200 and the word "error"; what it was stands in their own log.

Sources: openvla, vla-scripts/deploy.py; openvla-oft, vla-scripts/deploy.py and experiments/robot/openvla_utils.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply, unknown_name
from vlagym.envs.types import ActionSpec, Observation, ObservationSpec
from vlagym.policies.foreign import told
from vlagym.policies.wire import arrays, names
from vlagym.policies.wire.names import Names, read_names

Dialect = Literal["openvla", "oft", "gr00t"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
Vla = Literal["openvla", "oft"]
"""Those whose messages stand here."""

ERROR = "error"
"""The whole answer where something went wrong."""
ENCODED = "encoded"
"""Only key of a message whose value is the message as JSON, for clients whose JSON knows no arrays. The answer is JSON within JSON then."""
UNNORM_KEY = "unnorm_key"
STATE, WRIST = "state", "wrist"
"""OFT reads its one state vector from the first, and further images from every key that holds the second."""
_MAX_STEPS = 1024
"""Of a chunk: the longest of a published checkpoint has 50."""


def check_dialect(name: str) -> Dialect:
    """Returns the dialect of that name.

    Raises:
      UnknownName: If there is none.
    """
    for dialect in DIALECTS:
        if name == dialect:
            return dialect
    raise unknown_name("dialect of rest", name, DIALECTS)


def usual_dialect(observation: ObservationSpec) -> Vla:
    """Returns what a policy that reads this is served by: OpenVLA reads one image and no state, everything else is OFT's."""
    return "openvla" if len(observation.images) == 1 and not observation.state else "oft"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the parts of an observation stand in a message."""

    called: Names
    joined: tuple[tuple[str, int], ...] = ()
    """Names and sizes of the state that stands in one vector, one after another; empty: each has its own place."""


def layout(dialect: Vla, table: Mapping[str, str] | None, action: ActionSpec, observation: ObservationSpec, where: str = "the policy") -> Layout:
    """Returns where things stand in messages.

    openvla: the image is `image`. oft: the first image is `full_image`; the one other, or the ones whose names hold "wrist", are `wrist_image` and
    `<name>_image`; all state is one vector, `state`, in the declared order. The sentence is `instruction`.

    Args:
      dialect: What the server speaks.
      table: What a profile says of it; None: the names above.
      action: What the policy sends.
      observation: What it reads.
      where: What the table is called in errors.

    Raises:
      UnknownName: As `read_names`.
      BadData: As `read_names`, and if the dialect has no place for something that the policy reads.
    """
    floats = [i.name for i in observation.images if i.values != "uint8"]
    if floats:
        raise BadData(f"{where} reads the image {floats[0]!r} as floats; servers of {dialect} take uint8 alone")
    if dialect == "openvla" and usual_dialect(observation) != "openvla":
        held = f"{len(observation.images)} images and {len(observation.state)} states"
        raise BadData(f"OpenVLA reads one image and no state, and {where} declares {held}: take another profile, or dialect=oft")
    parts = {c.name: c.name for c in action.components}
    state = [s.name for s in observation.state]
    if table is not None:
        # What the protocol calls the state is not needed where a table has to say it.
        usual = Names(images={}, state={}, instruction="instruction", actions="", parts=parts)
        return Layout(called=read_names(table, usual, action, observation, where))
    images = _image_keys(dialect, [i.name for i in observation.images], where)
    own = {} if len(state) > 1 else dict.fromkeys(state, STATE)
    joined = tuple((s.name, s.size) for s in observation.state) if len(state) > 1 else ()
    return Layout(called=Names(images=images, state=own, instruction="instruction", actions="", parts=parts), joined=joined)


def request(observation: Observation, where: Layout, *, unnorm_key: str | None = None) -> dict[str, Any]:
    """Returns the message that asks for actions.

    Args:
      observation: What the policy is shown.
      where: Its parts go there.
      unnorm_key: Which statistics the server un-normalises with; None: it is not told.
    """
    message: dict[str, Any] = {}
    for name, place in where.called.images.items():
        names.put(message, place, observation.images[name])
    for name, place in where.called.state.items():
        names.put(message, place, observation.proprio[name])
    if where.joined:
        message[STATE] = np.concatenate([np.asarray(observation.proprio[name], np.float32).ravel() for name, _ in where.joined])
    names.put(message, where.called.instruction, observation.instruction)
    if unnorm_key is not None:
        message[UNNORM_KEY] = unnorm_key
    return message


def read_request(message: Any, where: Layout) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Returns the images, the state and the sentence of a message; what is not there is left out, for the reader to miss.

    Raises:
      BadData: If it is no map, or its state vector has another length than the policy reads.
    """
    if not isinstance(message, Mapping):
        raise BadData(f"a request is a map with an image and an instruction, not {type(message).__name__}")
    images = {name: names.find(message, place) for name, place in where.called.images.items()}
    state = {name: names.find(message, place) for name, place in where.called.state.items()}
    if where.joined and STATE in message:
        vector, size = _numbers(message[STATE]), sum(size for _, size in where.joined)
        if vector.shape != (size,):
            order = ", ".join(f"{name} ({n})" for name, n in where.joined)
            raise BadData(f"{STATE} has the shape {vector.shape}; ({size},) is wanted: {order}")
        ends = np.cumsum([n for _, n in where.joined])[:-1]
        state |= dict(zip([name for name, _ in where.joined], np.split(vector, ends), strict=True))
    said = names.find(message, where.called.instruction)
    state = {name: _numbers(value) for name, value in state.items() if value is not None}
    return {name: value for name, value in images.items() if value is not None}, state, said


def answer(values: NDArray[np.float32], dialect: Vla) -> Any:
    """Returns what a server of the dialect answers: one array, the first action, or a list of one array for each.

    Args:
      values: `(T, D)`.
      dialect: Of the server.
    """
    rows = [np.asarray(row, np.float64) for row in values]
    return rows[0] if dialect == "openvla" else rows


def read_actions(said: Any, action: ActionSpec) -> NDArray[np.float32]:
    """Returns the actions of an answer, whichever of the servers gave it. Whether numbers are finite is not looked at here.

    Args:
      said: The answer, decoded: an array, a list of them, or either as JSON within JSON.
      action: What the policy sends.

    Returns:
      `(T, D)` float32.

    Raises:
      BadReply: If it is the word "error", or nothing of these sizes.
    """
    if isinstance(said, str) and said.strip() != ERROR:
        said = _inner(said)
    if isinstance(said, str):
        raise BadReply(
            'the server answers with the word "error": something failed inside it, and its own log says what. Usual causes: an unnorm_key '
            "that its checkpoint does not have or that it needs (option unnorm_key=KEY), the other dialect (option dialect=…), images "
            "that are not uint8"
        )
    if isinstance(said, Mapping) and "detail" in said:
        raise BadReply(f"the server refuses the request: {told(said['detail'])}")
    try:
        found = arrays.numbers(said)
    except ValueError as error:
        raise BadReply(f"the server answers with actions of different lengths; each is {action.size} numbers") from error
    if found is None:
        raise BadReply(f"the server answers with {type(said).__name__} '{told(said, 80)}', not with actions")
    steps = found[None] if found.ndim == 1 else found
    if steps.ndim != 2 or steps.shape[1] != action.size or not 0 < len(steps) <= _MAX_STEPS:
        wanted = f"({action.size},) or (T, {action.size}) with T from 1 to {_MAX_STEPS}"
        raise BadReply(f"the server answers with actions of the shape {found.shape}; {action.name} wants {wanted}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return steps.astype(np.float32)


def _image_keys(dialect: Vla, images: list[str], where: str) -> dict[str, str]:
    if dialect == "openvla":
        return {images[0]: "image"}
    keys = {name: "full_image" for name in images[:1]}
    others = images[1:]
    if len(others) == 1:
        return keys | {others[0]: "wrist_image"}
    unknown = [name for name in others if WRIST not in name]
    if unknown:
        raise BadData(
            f"OFT reads one image besides those of wrists, and {where} reads {images[0]!r} and {unknown[0]!r}: name their keys in [wire.rest] of the "
            f"profile (further ones are read from keys that hold {WRIST!r})"
        )
    return keys | {name: name if name.endswith("_image") else f"{name}_image" for name in others}


def _inner(text: str) -> Any:
    """Returns the JSON within JSON."""
    try:
        said = arrays.from_json(text)
    except BadData as error:
        raise BadReply(f"the server answers with the text {text[:80]!r}, not with actions") from error
    if isinstance(said, str) and said != ERROR:
        raise BadReply(f"the server answers with the text {said[:80]!r}, not with actions")
    return said


def _numbers(value: Any) -> NDArray[Any]:
    try:
        array = arrays.numbers(value)
    except ValueError as error:
        raise BadData(f"{STATE} holds no vector of numbers: {error}") from error
    if array is None:
        raise BadData(f"{STATE} holds {type(value).__name__}; numbers are wanted")
    return array
