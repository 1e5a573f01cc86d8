"""The messages of the servers that speak as openpi does: openpi itself, RoboArena, vLLM-Omni and SGLang.

All of them push a first frame that says what they are, and answer a flat map of arrays with a chunk of actions. They differ in names, in what a
reset is, and in how an error looks.

Sources: openpi, src/openpi/serving/websocket_policy_server.py and packages/openpi-client; roboarena/policy_server.py; vllm_omni/entrypoints/openpi;
sglang, multimodal_gen/runtime/entrypoints/action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadReply, unknown_name
from vlagym.envs.types import ActionSpec, Observation, ObservationSpec
from vlagym.policies.foreign import told, told_names
from vlagym.policies.wire import arrays, names
from vlagym.policies.wire.names import Names

Dialect = Literal["openpi", "roboarena", "vllm_omni", "sglang"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

ANNOUNCEMENT = "vlagym"
"""Key of the first frame under which a server of ours says its profile."""
SESSION = "session_id"
VLLM_PATH = "/v1/realtime/robot/openpi"
SGLANG_PATH = "/openpi/policy"

_ROBOARENA_FIELDS = ("needs_session_id", "n_external_cameras", "needs_wrist_camera", "needs_stereo_camera")
_VLLM_FIELDS = ("action_horizon", "max_action_horizon", "action_dim", "action_keys", "embodiment_tag")
_SESSIONS = ("roboarena", "vllm_omni")
MAX_STEPS = 1024
"""Of a chunk: the longest of a published checkpoint has 50."""


def dialect_of(metadata: Mapping[str, Any], path: str) -> Dialect:
    """Returns what a server speaks, going by its first frame, and by the path of its address where that leaves it open."""
    if metadata.get("object") == "action.metadata":
        return "sglang"
    if any(field in metadata for field in _VLLM_FIELDS) or (path.rstrip("/") == VLLM_PATH and ANNOUNCEMENT not in metadata):
        return "vllm_omni"
    if any(field in metadata for field in _ROBOARENA_FIELDS):
        return "roboarena"
    return "openpi"


def check_dialect(name: str) -> Dialect:
    """Returns the dialect of that name.

    Raises:
      UnknownName: If there is none.
    """
    for dialect in DIALECTS:
        if name == dialect:
            return dialect
    raise unknown_name("dialect of openpi", name, DIALECTS)


def has_sessions(dialect: Dialect) -> bool:
    """Returns whether a server of this dialect is told of episodes: has a reset, and names of sessions."""
    return dialect in _SESSIONS


def default_names(dialect: Dialect, action: ActionSpec, observation: ObservationSpec) -> Names:
    """Returns what is called how where a profile does not say it.

    openpi: `observation/<name>` for streams and state, `prompt`. RoboArena and vLLM-Omni: a stream whose name holds "wrist" is
    `observation/wrist_image_left`, the others are `observation/exterior_image_0_left`, `…_1_left` in their order; state is `observation/<name>`.
    SGLang: `observation.images.<name>`, `observation.state` where there is one state, `task`.
    """
    images, state = [i.name for i in observation.images], [s.name for s in observation.state]
    parts = {c.name: c.name for c in action.components}
    if dialect == "sglang":
        places = {name: "observation.state" if len(state) == 1 else f"observation.{name}" for name in state}
        cameras = {name: f"observation.images.{name}" for name in images}
        return Names(images=cameras, state=places, instruction="task", actions="actions", parts=parts)
    cameras = {name: f"observation/{name}" for name in images}
    if has_sessions(dialect):
        exterior = [name for name in images if "wrist" not in name]
        cameras = {
            name: f"observation/exterior_image_{exterior.index(name)}_left" if name in exterior else "observation/wrist_image_left" for name in images
        }
    return Names(images=cameras, state={name: f"observation/{name}" for name in state}, instruction="prompt", actions="actions", parts=parts)


def request(observation: Observation, called: Names, dialect: Dialect, *, session: str | None, seed: int | None = None) -> dict[str, Any]:
    """Returns the message that asks for a chunk.

    Args:
      observation: What the policy is shown.
      called: Where its parts go.
      dialect: Of the server.
      session: Name of the episode, for servers that are told.
      seed: Of the policy's noise, for those that take one.
    """
    message: dict[str, Any] = {}
    for name, place in called.images.items():
        names.put(message, place, observation.images[name])
    for name, place in called.state.items():
        names.put(message, place, observation.proprio[name])
    names.put(message, called.instruction, observation.instruction)
    if has_sessions(dialect):
        message["endpoint"] = "infer"
    if session is not None:
        message[SESSION] = session
    if seed is not None and dialect in ("vllm_omni", "sglang"):
        message["seed"] = seed
    return message


def reset_request(session: str) -> dict[str, Any]:
    """Returns the message by which an episode begins, for servers that are told."""
    return {"endpoint": "reset", SESSION: session}


def check_reset(answer: Any) -> None:
    """Checks what a reset is answered with: the text `reset successful` (RoboArena), or the same as a status (vLLM-Omni).

    Raises:
      BadReply: If it is something else.
    """
    said = answer.get("status") if isinstance(answer, Mapping) else answer
    if not (isinstance(said, str) and said.strip() == "reset successful"):
        raise BadReply(f"the server answers a reset with {_shown(answer)}, not with 'reset successful'")


def read_error(answer: Any) -> str | None:
    """Returns what went wrong at the server where an answer says so: a text, or a map with an error; else None."""
    if isinstance(answer, str):
        return answer.strip() or "an empty text"
    if isinstance(answer, Mapping) and (answer.get("error") is not None or answer.get("type") == "error"):
        return str(answer.get("error") or answer.get("message") or "an error without words")
    return None


def read_actions(answer: Any, called: Names, action: ActionSpec) -> NDArray[np.float32]:
    """Returns the chunk of an answer.

    It may stand under the key of the names (or `action`), be the whole answer, or come as one array for each component of the action. An array may
    have a leading batch of one, and a single action may come without a leading step. Whether numbers are finite is not looked at here.

    Args:
      answer: The message.
      called: How its parts are called.
      action: What the policy sends.

    Returns:
      `(T, D)` float32.

    Raises:
      BadReply: If the answer is an error, or no chunk of these sizes.
    """
    error = read_error(answer)
    if error is not None:
        raise BadReply(f"the server answers with an error: {told(error, keep='end')}")
    if not isinstance(answer, Mapping):
        return _chunk(answer, action.size, "the answer")
    for key in (called.actions, "action"):
        if key in answer and not isinstance(answer[key], Mapping):
            return _chunk(answer[key], action.size, repr(key))
    inner = answer.get(called.actions)
    held: Mapping[str, Any] = inner if isinstance(inner, Mapping) else answer
    missing = [place for place in called.parts.values() if place not in held]
    if missing:
        wanted = f"{called.actions!r}, or {', '.join(map(repr, called.parts.values()))}"
        raise BadReply(f"the answer holds {told_names(map(repr, held))}, and no actions: {wanted} is wanted")
    parts = [_chunk(held[called.parts[c.name]], c.size, repr(called.parts[c.name])) for c in action.components]
    steps = {len(part) for part in parts}
    if len(steps) > 1:
        raise BadReply(f"the components of the answer have different numbers of steps: {', '.join(str(len(part)) for part in parts)}")
    return np.concatenate(parts, axis=1)


def _chunk(value: Any, size: int, what: str) -> NDArray[np.float32]:
    try:
        array = arrays.numbers(value)
    except ValueError as error:
        raise BadReply(f"{what} holds no array: {error}") from error
    if array is None:
        raise BadReply(f"{what} holds {_shown(value)}; numbers are wanted")
    found = array.shape
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1:
        array = array[None] if size == len(array) else array[:, None]
    if array.ndim != 2 or array.shape[1] != size or not 0 < array.shape[0] <= MAX_STEPS:
        raise BadReply(f"{what} has the shape {found}; (T, {size}) with T from 1 to {MAX_STEPS} is wanted")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return array.astype(np.float32)


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, np.ndarray)):
        return f"{type(value).__name__} of {len(value) if isinstance(value, bytes) else value.shape}"
    return f"'{told(value, 80, keep='end')}'" if isinstance(value, str) else f"{type(value).__name__} {told(value, 80)}"
