"""What GR00T's inference servers say of themselves, and what is called how between them and us.

Nothing says which release speaks, but the shape of what `get_modality_config` answers:

n1.5: as_json is a string. Observations are flat (`video.<key>`, `state.<key>`, `annotation.…`), answers flat too (`action.<key>`).
n1.6: as_json is a map. Observations are `{"observation": {"video", "state", "language"}, "options": None}`, answers a pair of actions and infos.
n1.7: as n1.6, but for the name of the envelope and arrays as msgpack-numpy writes them (known from other clients alone).
n1.6_sim: n1.6 behind its own wrapper for simulations, which takes and gives flat maps; it cannot be told from n1.6 by asking.

Sources: Isaac-GR00T 4af2b62 (N1.5), gr00t/eval/service.py; e29d8fc (N1.6), gr00t/policy/server_client.py and gr00t_policy.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, unknown_name
from vlagym.policies.base import PolicySpec
from vlagym.policies.foreign import NAME_MAX, told, told_names

Dialect = Literal["n1.5", "n1.6", "n1.6_sim", "n1.7"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

LANGUAGE = "annotation.human.action.task_description"
"""Key of the sentence where a server names none."""
_CLASSES = ("__ModalityConfig_class__", "__ModalityConfig__")
FLAT = ("n1.5", "n1.6_sim")
PREFIXES = ("video.", "state.", "action.")
_MODALITIES_MAX, _STEPS_MAX, _KEYS_MAX, _LETTERS_MAX = 16, 1024, 64, 128
"""What a server may say of itself. GR00T's releases have 4 modalities of at most 16 steps and 10 keys."""
_PIECE = re.compile(r"(?P<key>[^:,\s]+)(:(?P<size>[1-9][0-9]{0,3}))?")


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One kind of data that a server reads or sends."""

    steps: tuple[int, ...]
    """Which observations or actions, counted in its own steps from the present one."""
    keys: tuple[str, ...]
    """Without the prefixes (`video.` …) that N1.5 gives them, except those of the sentence."""


class Served(NamedTuple):
    """What `get_modality_config` says."""

    dialect: Dialect
    modalities: Mapping[str, Modality]
    """video, state, action, language, as far as the server has them."""


class Piece(NamedTuple):
    """A key and how many numbers stand under it."""

    key: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What is called how, and how vectors are cut up."""

    video: Mapping[str, str]
    """Stream of the policy -> key."""
    state: Mapping[str, tuple[Piece, ...]]
    """State of the policy -> the pieces that it is cut into, in order."""
    action: tuple[Piece, ...]
    """Pieces that the policy's action is put together of, in order."""
    language: str
    video_steps: tuple[int, ...] = (0,)
    state_steps: tuple[int, ...] = (0,)


def check_dialect(name: str) -> Dialect:
    """Returns the dialect of that name.

    Raises:
      UnknownName: If there is none.
    """
    for dialect in DIALECTS:
        if name == dialect:
            return dialect
    raise unknown_name("dialect of gr00t", name, DIALECTS)


def read_modalities(answer: Any) -> Served:
    """Reads what `get_modality_config` answers.

    Raises:
      BadReply: If it is none of the known shapes.
    """
    if not isinstance(answer, Mapping) or not answer:
        raise BadReply(f"get_modality_config is answered with {type(answer).__name__}; a map of modalities is wanted")
    modalities: dict[str, Modality] = {}
    dialect: Dialect = "n1.6"
    for name, value in answer.items():
        found = [c for c in _CLASSES if isinstance(value, Mapping) and value.get(c)]
        if not found:
            continue
        assert isinstance(value, Mapping)
        inner = value.get("as_json", value.get("as_dict"))
        if isinstance(inner, str):
            dialect, inner = "n1.5", _json(inner)
        elif found[0] == _CLASSES[1]:
            dialect = "n1.7"
        if len(modalities) >= _MODALITIES_MAX:
            raise BadReply(f"get_modality_config is answered with more than {_MODALITIES_MAX} modalities")
        steps, keys = (inner.get(k) for k in ("delta_indices", "modality_keys")) if isinstance(inner, Mapping) else (None, None)
        are_steps = isinstance(steps, list) and len(steps) <= _STEPS_MAX and all(type(i) is int and abs(i) <= _STEPS_MAX for i in steps)
        are_keys = isinstance(keys, list) and len(keys) <= _KEYS_MAX and all(isinstance(k, str) and _is_key(k) for k in keys)
        if not are_steps or not are_keys:
            limits = f"at most {_STEPS_MAX} and {_KEYS_MAX} of them, keys of at most {_LETTERS_MAX} letters"
            what = f"says of '{told(str(name), NAME_MAX)}' neither delta_indices nor modality_keys ({limits}): {told(inner, 120)}"
            raise BadReply(f"get_modality_config {what}")
        modalities[str(name)] = Modality(steps=tuple(steps or ()), keys=tuple(bare(k) for k in keys or ()))
    if not modalities:
        raise BadReply(f"get_modality_config is answered with {told_names(answer)}, of which none is a modality: a map with {_CLASSES[0]}")
    return Served(dialect, modalities)


def _is_key(text: str) -> bool:
    return len(text) <= _LETTERS_MAX and text.isprintable()


def modality_answer(modalities: Mapping[str, Modality], dialect: Dialect) -> dict[str, Any]:
    """Returns what a server of the dialect answers to `get_modality_config`, byte for byte."""
    return {name: _modality(name, m, dialect) for name, m in modalities.items()}


def _modality(name: str, modality: Modality, dialect: Dialect) -> dict[str, Any]:
    steps = list(modality.steps)
    if dialect == "n1.5":
        keys = list(modality.keys) if name == "language" else [f"{name}.{key}" for key in modality.keys]
        text = json.dumps({"delta_indices": steps, "modality_keys": keys}, separators=(",", ":"))
        return {_CLASSES[0]: True, "as_json": text}
    inner = {"delta_indices": steps, "modality_keys": list(modality.keys), "sin_cos_embedding_keys": None, "mean_std_embedding_keys": None}
    return {_CLASSES[0]: True, "as_json": inner | {"action_configs": None}}


def keys_of(spec: PolicySpec, table: Mapping[str, str] | None, served: Mapping[str, Modality] | None, where: str) -> Keys:
    """Returns what is called how between a policy's declaration and a server, and checks that neither wants something that the other does not have.

    Without a table, streams, state and components of the action have the keys of the same names. A table names them: `image = "image"`, and for a
    vector that the server cuts up, its pieces and their sizes in order, `state = "x:1,y:1,z:1,roll:1,pitch:1,yaw:1,gripper:2"`. "actions" is the
    same for the whole action, "instruction" the key of the sentence.

    Args:
      spec: What the policy declares.
      table: What its profile says of this protocol; None: nothing.
      served: What the server says of itself; None: nobody knows.
      where: What the table is called in errors.

    Raises:
      UnknownName: If the table names something that the policy neither reads nor sends.
      BadData: If the table's pieces are none, or have other sizes than the policy.
      ConventionMismatch: If the server wants or sends other things. The message holds both sides.
    """
    assert spec.action is not None
    said = dict(table or {})
    known = [*(i.name for i in spec.observation.images), *(s.name for s in spec.observation.state), "actions", "instruction"]
    for name in said:
        if name not in known:
            raise unknown_name("part of an observation or action", name, known, f"It stands in {where}.")
    video = {i.name: bare(said.get(i.name, i.name)) for i in spec.observation.images}
    state = {s.name: _pieces(said.get(s.name, s.name), s.size, s.name, where) for s in spec.observation.state}
    action: tuple[Piece, ...] = tuple(Piece(c.name, c.size) for c in spec.action.components)
    if "actions" in said:
        action = _pieces(said["actions"], spec.action.size, "actions", where)
    language = said.get("instruction", LANGUAGE)
    if served is None:
        return Keys(video=video, state=state, action=action, language=language, video_steps=tuple(spec.history), state_steps=tuple(spec.history))
    words = served.get("language")
    if words is not None and words.keys and "instruction" not in said:
        language = words.keys[0]
    ours = {"video": list(video.values()), "state": [p.key for pieces in state.values() for p in pieces], "action": [p.key for p in action]}
    wrong = list(_differences(ours, served, spec))
    if wrong:
        hint = f'say in {where} what is called how, for instance: image = "image", state = "x:1,y:1,gripper:2", actions = "x:1,y:1,gripper:1"'
        raise ConventionMismatch("the server and the profile do not fit:\n" + "\n".join(f"- {w}" for w in wrong) + f"\n{hint}")
    steps = {name: served[name].steps if name in served else (0,) for name in ("video", "state")}
    return Keys(video=video, state=state, action=action, language=language, video_steps=steps["video"], state_steps=steps["state"])


def _differences(ours: Mapping[str, Sequence[str]], served: Mapping[str, Modality], spec: PolicySpec) -> list[str]:
    wrong: list[str] = []
    for name, verb in (("video", "reads"), ("state", "reads"), ("action", "sends")):
        theirs = served[name].keys if name in served else ()
        if name == "action" and name not in served:
            continue
        if sorted(ours[name]) != sorted(theirs):
            wrong.append(f"{name}: the server {verb} {', '.join(theirs) or 'none'}; the profile has {', '.join(ours[name]) or 'none'}")
        if name != "action" and name in served and not set(served[name].steps) <= set(spec.history):
            wrong.append(f"{name}: the server reads the observations {list(served[name].steps)}; the profile's history is {list(spec.history)}")
    read = {step for name in ("video", "state") if name in served for step in served[name].steps}
    if set(spec.history) - read - {0}:
        wrong.append(f"the profile's history is {list(spec.history)}; the server reads the observations {sorted(read)}")
    return wrong


def _pieces(text: str, size: int, name: str, where: str) -> tuple[Piece, ...]:
    """Reads `x:1,y:1,gripper:2`; a single key without a size holds all."""
    found = [_PIECE.fullmatch(part.strip()) for part in text.split(",")]
    pieces = [Piece(bare(m["key"]), int(m["size"] or size)) for m in found if m is not None]
    are_whole = len(pieces) == len(found) and (len(pieces) == 1 or all(m is not None and m["size"] for m in found))
    if not are_whole or sum(piece.size for piece in pieces) != size or len({piece.key for piece in pieces}) != len(pieces):
        raise BadData(f"{where} cuts {name!r}, which has {size} numbers, into {text!r}: write KEY:SIZE,KEY:SIZE,… with sizes that add up to {size}")
    return tuple(pieces)


def bare(key: str) -> str:
    """Returns a key without the prefix that N1.5 gives it."""
    for prefix in PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadReply(f"get_modality_config holds what is no JSON: {told(error)}") from error
