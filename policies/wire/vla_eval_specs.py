"""What vla-eval's benchmarks and servers say of themselves when they greet each other, in our words: formats of actions and observations.

The original compares them too, and goes on with a warning where they differ. Here whatever differs is a complaint that ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from vlagym.envs.errors import BadReply
from vlagym.envs.types import ActionComponent, ActionSpec, ObservationSpec, StateComponent
from vlagym.policies.conversions import grippers, rotations
from vlagym.policies.foreign import NAME_MAX, told

RAW = "raw"
"""A format that says nothing."""
_IMAGE = "rgb_hwc_uint8"
_LANGUAGE = "language"
_GRIPPERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gripper_closed_positive": ("binary_close_positive",),
        "gripper_open_positive": ("binary_close_negative",),
        "gripper_closed_unit": ("binary_close_01", "continuous_01"),
        "gripper_open_unit": ("continuous_01",),
    }
)
"""Convention -> formats that may mean it, the one that we say first. `continuous_01` does not tell which of its ends is open."""
_ROTATIONS = frozenset(("axis_angle", "euler_xyz", "quaternion_xyzw", "rot6d_interleaved"))
_UNFOLLOWED = frozenset(("seed", "env_seed", "max_steps", "max_episode_steps", "success_mode", "deterministic_episodes", "num_steps_wait"))
"""What a server may ask of a benchmark that changes nothing of what is sent. Here the episode says all of that."""
_PARTS_MAX = 64
"""Of what a server says of itself."""
_LONG_WAY = ("axis_angle_positive_w", "axis_angle_positive_x")
"""Forms of a state's orientation that robosuite's formula writes, whose angle goes up to 2 pi."""

Role = Literal["position", "rotation", "gripper"]


class Wishes(NamedTuple):
    """What is sent to a server, of all that a profile declares."""

    num_images: int
    """From the first."""
    has_state: bool
    unfollowed: dict[str, Any]
    """What it asked for that has no meaning here, for the run header."""
    unsaid: tuple[str, ...]
    """What it did not tell, so that nobody could compare it."""


def action_spec(action: ActionSpec) -> dict[str, Any]:
    """Returns how vla-eval declares an action: each component by its role, or the whole vector as raw where it has no words for one of them."""
    plain: dict[str, Any] = {}
    for component in action.components:
        role, formats = _role(component.convention), _formats(component.convention)
        if role is None or not formats or role in plain:
            return {"actions": {"name": "actions", "dims": action.size, "format": RAW}}
        bounds = [min(component.low), max(component.high)]
        plain[role] = {"name": role, "dims": component.size, "format": formats[0], "range": bounds}
    return plain


def observation_spec(observation: ObservationSpec) -> dict[str, Any]:
    """Returns how vla-eval declares what a policy reads."""
    plain: dict[str, Any] = {}
    for index, image in enumerate(observation.images):
        key = "image" if index == 0 else "wrist_image" if index == 1 else image.name
        plain[key] = {"name": "image", "dims": 0, "format": _IMAGE if image.values == "uint8" else RAW, "description": image.name}
    plain["language"] = {"name": "language", "dims": 0, "format": _LANGUAGE}
    if observation.state:
        layout = ", ".join(f"{c.name}[{c.size}]" for c in observation.state)
        size = sum(c.size for c in observation.state)
        plain["state"] = {"name": "state", "dims": size, "format": state_format(observation.state), "description": layout}
    return plain


def observation_params(observation: ObservationSpec) -> dict[str, bool]:
    """Returns what a benchmark of vla-eval is asked to send for a policy."""
    params = {"send_state": bool(observation.state), "send_wrist_image": len(observation.images) > 1}
    return {name: True for name, is_wanted in params.items() if is_wanted}


def state_format(state: tuple[StateComponent, ...]) -> str:
    """Returns vla-eval's word for a state vector, `raw` where it has none."""
    if len(state) != 1:
        return RAW
    parts = state[0].parts
    if not parts:
        return "joint_positions" if state[0].name.endswith("joint_pos_rad") else RAW
    if len(parts) == 1 and parts[0].array.endswith("joint_pos_rad") and parts[0].form == "as_is":
        return "joint_positions"
    if len(parts) != 3 or parts[0].size != 3 or "pos" not in parts[0].array or "gripper" not in parts[2].array:
        return RAW
    middle = {"quaternion_xyzw": "quat4", "euler_xyz": "euler3"}.get(parts[1].form)
    if parts[1].form == "axis_angle" or parts[1].form in _LONG_WAY:
        middle = "axisangle3"
    return RAW if middle is None else f"eef_pos3_{middle}_gripper{parts[2].size}"


def compared(hello: Mapping[str, Any], action: ActionSpec, observation: ObservationSpec) -> tuple[Wishes, list[str]]:
    """Compares what a server says of itself with what is declared of it.

    Args:
      hello: The payload of its hello.
      action: What it is declared to send.
      observation: What it is declared to read.

    Returns:
      What to send it, and a complaint for each part that does not fit.

    Raises:
      BadReply: If it describes more than any policy has.
    """
    said_action, said_observation, params = (_map(hello, key) for key in ("action_spec", "observation_spec", "observation_params"))
    unsaid: list[str] = []
    complaints = [*_about_action(said_action, action, unsaid)]
    images = [key for key, spec in said_observation.items() if _word(spec, "format") == _IMAGE]
    is_silent = not said_observation and not params
    least = 2 if params.get("send_wrist_image") else min(1, len(observation.images))  # vla-eval always sends one, and needs no server to declare it
    num_images = len(observation.images) if is_silent else max(len(images), least)
    has_state = bool(observation.state) if is_silent else bool(params.get("send_state")) or "state" in said_observation
    if is_silent:
        unsaid.append("observations")
    if num_images > len(observation.images):
        complaints.append(f"images: it reads {num_images}, and the profile declares {len(observation.images)}")
    if has_state and not observation.state:
        complaints.append("state: it reads state, and the profile declares none")
    complaints += _about_observation(said_observation, observation, has_state, unsaid)
    complaints += _about_params(params, action, observation, has_state)
    unfollowed = {key: value for key, value in params.items() if key in _UNFOLLOWED}
    return Wishes(min(num_images, len(observation.images)), has_state, unfollowed, tuple(unsaid)), complaints


# --------------------------------------------------------------------------------------------------------------------------- parts
def _about_action(said: Mapping[str, Any], action: ActionSpec, unsaid: list[str]) -> Iterator[str]:
    named = {c.name: c for c in action.components}
    roles: dict[Role, list[ActionComponent]] = {}
    for component in action.components:
        if (role := _role(component.convention)) is not None:
            roles.setdefault(role, []).append(component)
    told: set[str] = set()
    for key, spec in said.items():
        dims, word = _dims(spec), _word(spec, "format")
        if key == "actions":
            if dims and dims != action.size:
                yield f"actions: it sends {dims} numbers, and the profile declares {action.size}"
            if word != RAW:
                yield f"actions: it sends the format {word!r}, which has no meaning here"
            continue
        of_role = next((mine for role, mine in roles.items() if role == key), [])
        ours = named.get(key) or (of_role[0] if len(of_role) == 1 else None)
        if ours is None:
            yield f"action {key}: it sends {word!r}, and the profile declares no such component; it has {', '.join(named)}"
            continue
        told.add(ours.name)
        formats = _formats(ours.convention)
        if dims and dims != ours.size:
            yield f"action {key}: it sends {dims} numbers, and the profile declares {ours.size}"
        if word == RAW:
            unsaid.append(f"action {key}")
        elif word not in formats:
            yield f"action {key}: it sends {word!r}, and the profile declares {ours.convention!r}" + (f", which is {formats[0]!r}" if formats else "")
    unsaid += [f"action {c.name}" for c in action.components if c.name not in told and c.convention != "ignored"]


def _about_observation(said: Mapping[str, Any], observation: ObservationSpec, has_state: bool, unsaid: list[str]) -> Iterator[str]:
    for image in observation.images:
        if image.values != "uint8":
            yield f"image {image.name}: the profile declares values that are {image.values}, and this protocol carries uint8"
    for key, spec in said.items():
        word, dims = _word(spec, "format"), _dims(spec)
        if word in (_IMAGE, _LANGUAGE):
            continue
        if key != "state":
            yield f"observation {key}: it reads the format {word!r}, which has no meaning here"
            continue
        size = sum(c.size for c in observation.state)
        ours = state_format(observation.state)
        if has_state and dims and observation.state and dims != size:
            yield f"state: it reads {dims} numbers, and the profile declares {size}"
        if RAW in (word, ours):
            unsaid.append("state")
        elif word != ours:
            yield f"state: it reads {word!r}, and the profile declares {ours!r}"


def _about_params(params: Mapping[str, Any], action: ActionSpec, observation: ObservationSpec, has_state: bool) -> Iterator[str]:
    forms = [part.form for c in observation.state for part in c.parts if part.form.startswith("axis_angle")]
    for key, value in params.items():
        if key in ("send_state", "send_wrist_image") or key in _UNFOLLOWED:
            continue
        if key == "quat_no_antipodal":
            if has_state and forms and (forms[0] in _LONG_WAY) != bool(value):
                wanted = "of up to 2 pi, by robosuite's formula" if value else "of at most pi"
                yield f"state: it reads an axis-angle {wanted}, and the profile declares {forms[0]!r}"
        elif key == "absolute_action":
            is_absolute = any(c.convention == "position" for c in action.components)
            if bool(value) != is_absolute:
                yield f"action position: it sends {'absolute' if value else 'relative'} ones, and the profile declares the other"
        elif value:
            yield f"{key}: it asks for {key}={told(value, NAME_MAX)}, which is not known here"


def _role(convention: str) -> Role | None:
    if convention in ("delta_position", "position"):
        return "position"
    if convention.removeprefix("delta_") in rotations.SIZES:
        return "rotation"
    return "gripper" if convention in grippers.CONVENTIONS else None


def _formats(convention: str) -> tuple[str, ...]:
    """Returns the formats that may mean a convention, the one that we say first; none where vla-eval has no word for it."""
    if convention in ("delta_position", "position"):
        return ("delta_xyz",) if convention == "delta_position" else ("absolute_xyz",)
    form = convention.removeprefix("delta_")
    form = "axis_angle" if form in _LONG_WAY else form
    return (form,) if form in _ROTATIONS else _GRIPPERS.get(convention.removesuffix("_binary"), ())


def _map(hello: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = hello.get(key)
    if isinstance(found, Mapping) and len(found) > _PARTS_MAX:
        raise BadReply(f"its hello describes {len(found)} parts as {key}; at most {_PARTS_MAX} are read")
    return {told(str(k), NAME_MAX): v for k, v in found.items()} if isinstance(found, Mapping) else {}


def _word(spec: Any, key: str) -> str:
    found = spec.get(key) if isinstance(spec, Mapping) else None
    return told(found, NAME_MAX) if isinstance(found, str) else RAW


def _dims(spec: Any) -> int:
    found = spec.get("dims") if isinstance(spec, Mapping) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
