"""What a server of the openpi family says of itself in its first frame, beside what a profile says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlagym.envs.errors import BadReply
from vlagym.envs.types import ActionSpec, ObservationSpec
from vlagym.policies.foreign import NAME_MAX, told, told_names
from vlagym.policies.wire.names import Names
from vlagym.policies.wire.openpi import MAX_STEPS, Dialect, has_sessions

_CAMERAS_MAX = 16
_ACTION_SPACES: Mapping[str, str] = {
    "joint_position": "joint_position",
    "joint_velocity": "joint_velocity",
    "cartesian_position": "position",
    "cartesian_velocity": "delta_position",
}
"""`action_space` of RoboArena -> the convention that some component of the action must have."""


def horizon(metadata: Mapping[str, Any]) -> int | None:
    """Returns the number of actions in a chunk, where the server says it.

    Raises:
      BadReply: If that is more than any policy sends.
    """
    said = metadata.get("action_horizon", _table(metadata, "output").get("action_horizon"))
    if not isinstance(said, int) or isinstance(said, bool) or said <= 0:
        return None
    if said > MAX_STEPS:
        raise BadReply(f"the server says that its chunks have {told(said, 20)} actions; at most {MAX_STEPS} are read")
    return said


def complaints(metadata: Mapping[str, Any], dialect: Dialect, called: Names, action: ActionSpec, observation: ObservationSpec) -> Iterator[str]:
    """Yields what of a server's own description a profile does not fit.

    Args:
      metadata: The first frame.
      dialect: Of the server.
      called: How the profile's parts are called there.
      action: What the profile says that it sends.
      observation: What the profile says that it reads.
    """
    if has_sessions(dialect):
        yield from _of_policy_server(metadata, called, action, observation)
    elif dialect == "sglang":
        yield from _of_sglang(metadata, called, action, observation)


def _of_policy_server(metadata: Mapping[str, Any], called: Names, action: ActionSpec, observation: ObservationSpec) -> Iterator[str]:
    places = set(called.images.values())
    sides = ("left", "right") if metadata.get("needs_stereo_camera") is True else ("left",)
    count = metadata.get("n_external_cameras")
    count = count if isinstance(count, int) else 0
    if count > _CAMERAS_MAX:
        yield f"the server wants {told(count, 20)} external cameras; at most {_CAMERAS_MAX} are sent"
    wanted = [f"observation/exterior_image_{i}" for i in range(min(count, _CAMERAS_MAX))]
    wanted += ["observation/wrist_image"] if metadata.get("needs_wrist_camera") is True else []
    for place in (f"{name}_{side}" for name in wanted for side in sides):
        if place not in places:
            yield f"the server wants the image {place!r}, and the profile sends {', '.join(sorted(places)) or 'none'}"
    size = metadata.get("image_resolution")
    if isinstance(size, (list, tuple)) and len(size) == 2:
        for image in observation.images:
            if [image.height, image.width] != list(size):
                wanted_size = f"{told(size[1], 20)} x {told(size[0], 20)}"
                yield f"the server wants images of {wanted_size}, and {image.name!r} of the profile has {image.width} x {image.height}"
    space = metadata.get("action_space")
    if isinstance(space, str):
        wanted_convention = _ACTION_SPACES.get(space)
        conventions = [c.convention for c in action.components]
        if wanted_convention is None:
            yield f"the server acts in the space '{told(space, NAME_MAX)}', which is not known here; known are {', '.join(_ACTION_SPACES)}"
        elif wanted_convention not in conventions:
            yield f"the server acts in the space '{told(space, NAME_MAX)}', and the profile in {', '.join(conventions)}"
    keys = metadata.get("action_keys")
    if isinstance(keys, (list, tuple)) and called.actions not in keys:
        missing = [part for part in called.parts.values() if part not in keys]
        if missing:
            yield f"the server sends the actions {told_names(keys)}, and the profile wants {', '.join(missing)}"
    elif isinstance(metadata.get("action_dim"), int) and metadata["action_dim"] != action.size:
        yield f"the server sends {told(metadata['action_dim'], 20)} numbers an action, and the profile has {action.size}"


def _of_sglang(metadata: Mapping[str, Any], called: Names, action: ActionSpec, observation: ObservationSpec) -> Iterator[str]:
    reads, sends = _table(metadata, "input"), _table(metadata, "output")
    places = set(called.images.values())
    keys = reads.get("image_keys")
    for key in keys[:_CAMERAS_MAX] if isinstance(keys, (list, tuple)) else ():
        if not {str(key), f"observation.images.{key}"} & places:
            yield f"the server wants the image '{told(str(key), NAME_MAX)}', and the profile sends {', '.join(sorted(places)) or 'none'}"
    size = sum(s.size for s in observation.state)
    if list(called.state.values()) != ["observation.state"]:
        yield f"the server wants one state at 'observation.state', and the profile sends {', '.join(called.state.values()) or 'none'}"
    if isinstance(reads.get("state_dim"), int) and reads["state_dim"] != size:
        yield f"the server wants a state of {told(reads['state_dim'], 20)} numbers, and the profile sends {size}"
    if isinstance(sends.get("action_dim"), int) and sends["action_dim"] != action.size:
        yield f"the server sends {told(sends['action_dim'], 20)} numbers an action, and the profile has {action.size}"


def _table(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = metadata.get(name)
    return found if isinstance(found, Mapping) else {}
