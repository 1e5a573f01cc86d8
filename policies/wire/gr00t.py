"""The messages of NVIDIA Isaac-GR00T's inference service: msgpack maps with an endpoint, arrays as files of numpy.

A request is `{"endpoint": name, "data"?: map, "api_token"?: token}`; an answer is what the endpoint returns, or `{"error": text}`. What data and
answers look like has changed with the releases; see `vlagym.policies.wire.gr00t_modality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply
from vlagym.envs.types import Observation
from vlagym.policies.foreign import told, told_names
from vlagym.policies.wire.gr00t_modality import FLAT, PREFIXES, Dialect, Keys, Piece, bare

ENDPOINT_PROFILE = "vlagym"
"""Endpoint at which a server of ours says its profile; others answer that it is unknown."""
_MAX_STEPS = 1024
"""Of a chunk: the longest of a published checkpoint has 50."""


def call(endpoint: str, data: Mapping[str, Any] | None = None, token: str | None = None) -> dict[str, Any]:
    """Returns a request."""
    message: dict[str, Any] = {"endpoint": endpoint}
    if data is not None:
        message["data"] = data
    if token is not None:
        message["api_token"] = token
    return message


def check_answer(answer: Any, endpoint: str, url: str) -> Any:
    """Returns the answer of an endpoint.

    Raises:
      BadReply: If it is an error.
    """
    if isinstance(answer, Mapping) and set(map(str, answer)) == {"error"}:
        said = told(answer["error"], keep="end")
        hint = " (option api_token_env=NAME of an environment variable that holds the token)" if "API token" in said else ""
        raise BadReply(f"{url} answers {endpoint} with an error: {said or 'one without words'}{hint}")
    return answer


# ------------------------------------------------------------------------------------------------------------------------- questions
def request(observations: Sequence[Observation], keys: Keys, history: Sequence[int], dialect: Dialect) -> dict[str, Any]:
    """Returns the data of `get_action` for several observations at once.

    Args:
      observations: One for each row of the batch.
      keys: What is called how.
      history: Which observations each of them holds: those of its past and itself.
      dialect: Of the server.
    """
    video = {key: np.stack([_frames(o, name, keys.video_steps, history) for o in observations]) for name, key in keys.video.items()}
    state: dict[str, NDArray[np.float32]] = {}
    for name, pieces in keys.state.items():
        rows = np.stack([_vectors(o, name, keys.state_steps, history) for o in observations])
        ends = np.cumsum([piece.size for piece in pieces])[:-1]
        state |= {piece.key: np.ascontiguousarray(part) for piece, part in zip(pieces, np.split(rows, ends, axis=-1), strict=True)}
    said = [o.instruction for o in observations]
    if dialect not in FLAT:
        return {"observation": {"video": video, "state": state, "language": {keys.language: [[s] for s in said]}}, "options": None}
    flat = {f"video.{k}": v for k, v in video.items()} | {f"state.{k}": v for k, v in state.items()} | {keys.language: said}
    return flat if dialect == "n1.5" else {"observation": flat, "options": None}


class Row(NamedTuple):
    """What a server reads of one row of a batch."""

    video: Mapping[str, NDArray[Any]]
    """Key -> `(T, H, W, 3)`."""
    state: Mapping[str, NDArray[Any]]
    """Key -> `(T, D)`."""
    instruction: str


class Asked(NamedTuple):
    """The data of a `get_action`."""

    rows: tuple[Row, ...]
    is_batched: bool
    """Without it, there is one row, and N1.5 squeezes what it answers."""


def read_request(data: Any, dialect: Dialect, language: str) -> Asked:
    """Reads the data of `get_action`, as a server.

    Args:
      data: What came.
      dialect: Of the server.
      language: Key of the sentence.

    Raises:
      BadData: If it is not what this dialect says. Sizes of images and state are the reader's to check.
    """
    if not isinstance(data, Mapping):
        raise BadData(f"the data of get_action is {type(data).__name__}; a map is wanted")
    if dialect != "n1.5":
        data = data.get("observation")
        if not isinstance(data, Mapping):
            raise BadData("get_action wants data with an observation: {'observation': {...}, 'options': None}")
    if dialect in FLAT:
        video, state = ({k.removeprefix(p): v for k, v in data.items() if isinstance(k, str) and k.startswith(p)} for p in PREFIXES[:2])
        said = data.get(language)
    else:
        video, state, words = (data.get(name, {}) for name in ("video", "state", "language"))
        said = words.get(language) if isinstance(words, Mapping) else None
    for name, found in (("video", video), ("state", state)):
        wrong = [k for k, v in found.items() if not isinstance(v, np.ndarray)] if isinstance(found, Mapping) else [name]
        if wrong:
            raise BadData(f"{name} {wrong[0]!r} is no array")
    sizes = {5 if kind == "video" else 3: values for kind, values in (("video", video), ("state", state))}
    is_batched = all(v.ndim == ndim for ndim, values in sizes.items() for v in values.values())
    if not is_batched and not (dialect == "n1.5" and all(v.ndim == ndim - 1 for ndim, values in sizes.items() for v in values.values())):
        shapes = ", ".join(f"{k} {v.shape}" for values in sizes.values() for k, v in values.items())
        raise BadData(f"videos are (B, T, H, W, 3) and states (B, T, D), and these came: {shapes}")
    if not is_batched:
        video, state = ({k: v[None] for k, v in values.items()} for values in (video, state))
    sentences = _sentences(said, language)
    lengths = {len(v) for v in (*video.values(), *state.values())} | {len(sentences)}
    if len(lengths) != 1:
        raise BadData(f"the parts of a batch have different lengths: {', '.join(map(str, sorted(lengths)))}")
    rows = (Row({k: v[i] for k, v in video.items()}, {k: v[i] for k, v in state.items()}, sentences[i]) for i in range(len(sentences)))
    return Asked(tuple(rows), is_batched)


def _sentences(said: Any, language: str) -> list[str]:
    found = [said] if isinstance(said, str) else said
    if isinstance(found, np.ndarray):
        found = found.tolist()
    if not isinstance(found, list) or not found:
        raise BadData(f"there is no sentence under {language!r}")
    words = [w[-1] if isinstance(w, list) and w else w for w in found]
    if not all(isinstance(w, str) for w in words):
        raise BadData(f"what stands under {language!r} are no sentences")
    return words


# --------------------------------------------------------------------------------------------------------------------------- answers
def answer(values: NDArray[np.float32], keys: Keys, asked: Asked, dialect: Dialect) -> Any:
    """Returns what a server of the dialect answers to `get_action`.

    Args:
      values: `(B, T, D)`.
      keys: How the actions are cut up.
      asked: What is answered.
      dialect: Of the server.
    """
    ends = np.cumsum([piece.size for piece in keys.action])[:-1]
    parts = [np.ascontiguousarray(part, np.float32) for part in np.split(values, ends, axis=-1)]
    prefix = "action." if dialect in FLAT else ""
    named = {prefix + piece.key: part if asked.is_batched else np.squeeze(part) for piece, part in zip(keys.action, parts, strict=True)}
    return named if dialect == "n1.5" else [named, {}]


def read_actions(said: Any, keys: Keys, rows: int) -> NDArray[np.float32]:
    """Returns the actions of an answer, of whichever dialect. Whether numbers are finite is not looked at here.

    Dimensions of one may be missing, for N1.5 squeezes what it sends.

    Args:
      said: The answer.
      keys: How they are called, and how many numbers each key holds.
      rows: Observations that were sent.

    Returns:
      `(rows, T, D)` float32.

    Raises:
      BadReply: If keys are missing, or hold something of another size.
    """
    found = said[0] if isinstance(said, (list, tuple)) and said else said
    if not isinstance(found, Mapping):
        raise BadReply(f"get_action is answered with {type(said).__name__}; a map of actions is wanted, or a pair of that and infos")
    sent = {bare(str(k)): v for k, v in found.items()}
    missing = [piece.key for piece in keys.action if piece.key not in sent]
    if missing:
        raise BadReply(f"get_action is answered with {told_names(found)}; there is no {', '.join(missing)}")
    parts = [_part(sent[piece.key], piece, rows) for piece in keys.action]
    lengths = {part.shape[1] for part in parts}
    if len(lengths) != 1:
        told = ", ".join(f"{piece.key} {part.shape[1]}" for piece, part in zip(keys.action, parts, strict=True))
        raise BadReply(f"the keys of an answer hold different numbers of actions: {told}")
    return np.concatenate(parts, axis=-1)


def _part(value: Any, piece: Piece, rows: int) -> NDArray[np.float32]:
    array = np.asarray(value) if isinstance(value, (np.ndarray, float, int)) else None
    if array is None or array.dtype.kind not in "fiu":
        raise BadReply(f"action {piece.key!r} is {type(value).__name__}; an array of numbers is wanted")
    steps, rest = divmod(array.size, rows * piece.size)
    whole = (rows, steps, piece.size)
    if rest or not 0 < steps <= _MAX_STEPS or [n for n in array.shape if n != 1] != [n for n in whole if n != 1]:
        raise BadReply(f"action {piece.key!r} has the shape {array.shape}; ({rows}, T, {piece.size}) with T from 1 to {_MAX_STEPS} is wanted")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return array.reshape(whole).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------------- helpers
def _frames(observation: Observation, name: str, steps: Sequence[int], history: Sequence[int]) -> NDArray[Any]:
    return np.stack([o.images[name] for o in _moments(observation, steps, history)])


def _vectors(observation: Observation, name: str, steps: Sequence[int], history: Sequence[int]) -> NDArray[np.float32]:
    return np.stack([np.asarray(o.proprio[name], np.float32) for o in _moments(observation, steps, history)])


def _moments(observation: Observation, steps: Sequence[int], history: Sequence[int]) -> list[Observation]:
    held = dict(zip(history, (*observation.past, observation), strict=True))
    return [held[step] for step in steps]
