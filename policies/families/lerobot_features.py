"""Which image and state of a profile feeds which feature of a LeRobot checkpoint. Names and sizes only: nothing of lerobot is needed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData
from vlagym.envs.types import ImageComponent, ObservationSpec, StateComponent

IMAGES, STATE, ACTION = "observation.images.", "observation.state", "action"
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")


class Feature(NamedTuple):
    """What a checkpoint says of one of its inputs or outputs."""

    kind: str
    """VISUAL, STATE, ENV, ACTION …"""
    shape: tuple[int, ...]
    """Of an image (3, height, width)."""


class Feeding(NamedTuple):
    """What is read of the environment for a checkpoint."""

    observation: ObservationSpec
    """Images of the sizes that the checkpoint declares, with values from 0 to 1, and states, all by the profile's names."""
    keys: Mapping[str, str]
    """Image or state of the profile -> key of the checkpoint."""


def parse_keys(text: str) -> dict[str, str]:
    """Reads the option `keys`: NAME=KEY,NAME=KEY.

    Raises:
      BadData: If a pair has no equals sign, or a name stands there twice.
    """
    keys: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, key = (part.strip() for part in pair.partition("="))
        if not name or not equals or not key:
            raise BadData(f"keys of lerobot is written NAME=KEY,NAME=KEY, with names of the profile and keys of the checkpoint, not {pair!r}")
        if name in keys:
            raise BadData(f"keys of lerobot names {name!r} twice")
        keys[name] = key
    return keys


def feed(
    inputs: Mapping[str, Feature], profile: ObservationSpec, said: Mapping[str, str], *, who: str, may_be_absent: Sequence[str] = ()
) -> Feeding:
    """Decides what feeds each input of a checkpoint.

    A name of the profile goes to the key that was said for it; else to the key that bears its name (`observation.images.NAME`,
    `observation.NAME`, or NAME itself); else, where the checkpoint has a single image or a single state and so has the profile, to that one.

    Args:
      inputs: The checkpoint's input features.
      profile: What the profile declares.
      said: Name of the profile -> key of the checkpoint, of the option `keys` and of the profile's table [wire.lerobot].
      who: The checkpoint, for messages.
      may_be_absent: Inputs that the checkpoint itself fills in.

    Raises:
      BadData: If an input is fed by nothing or by two, has another size, or is of a kind that nothing here feeds.
    """
    images = {i.name: i for i in profile.images}
    states = {s.name: s for s in profile.state}
    unknown = [name for name in said if name not in images and name not in states]
    if unknown:
        raise BadData(f"{who}: keys names {unknown[0]!r}, which the profile does not have; it has {', '.join([*images, *states]) or 'nothing'}")
    strange = [key for key in said.values() if key not in inputs]
    if strange:
        raise BadData(f"{who}: keys names {strange[0]!r}, which the checkpoint does not read; it reads {', '.join(inputs)}")
    keys = dict(said)
    for kind, names, usual in (("VISUAL", images, IMAGES), ("STATE", states, "observation.")):
        there = [key for key, feature in inputs.items() if feature.kind == kind and key not in keys.values() and key not in may_be_absent]
        for name in [n for n in names if n not in keys]:
            same = [key for key in there if key in (usual + name, name)]
            only = there if len(there) == 1 and len(names) == 1 else []
            keys |= {name: key for key in (same or only)[:1]}
    fed = list(keys.values())
    for key, feature in inputs.items():
        if feature.kind not in ("VISUAL", "STATE"):
            raise BadData(f"{who} reads {key!r}, a feature of kind {feature.kind}: nothing here sends such a thing")
        if fed.count(key) > 1:
            both = " and ".join(name for name, where in keys.items() if where == key)
            raise BadData(f"{who}: {both} are both sent as {key!r}")
        if key not in fed and key not in may_be_absent:
            have = ", ".join(images if feature.kind == "VISUAL" else states) or "none"
            raise BadData(
                f"{who} reads {key!r}, and it is not said what of the profile feeds it ({'images' if feature.kind == 'VISUAL' else 'states'} there: "
                f"{have}): say --policy-option keys=NAME={key}, or write it into the profile under [wire.lerobot]"
            )
    shown = tuple(_image(images[name], inputs[key], key, who) for name, key in keys.items() if name in images)
    felt = tuple(_state(states[name], inputs[key], key, who) for name, key in keys.items() if name in states)
    return Feeding(dataclasses.replace(profile, images=shown, state=felt), keys)


def refuse_foreign_steps(folder: Path) -> None:
    """Looks through the processors of a checkpoint before anything of them is built.

    A step is either one that lerobot has registered, or a class that is imported by the name that stands in the file: then the checkpoint says
    what code runs, and it is refused unless that code is lerobot's own.

    Raises:
      BadData: If a file is missing, no JSON, or holds such a step.
    """
    for name in PROCESSORS:
        path = folder / name
        if not path.is_file():
            raise BadData(
                f"{folder} has no {name}: it is older than LeRobot's processors, and its statistics lie in the weights. Convert it first: "
                f"python -m lerobot.processor.migrate_policy_normalization --pretrained-path {folder}"
            )
        for step in _steps(path):
            named = str(step.get("class", ""))
            if "registry_name" not in step and not named.startswith("lerobot."):
                raise BadData(
                    f"{path} names the class {named or '(none)'!r}, which is none of lerobot's: loading it would run code of the checkpoint's "
                    "choice. If you trust it, say --policy-option trust_remote_code=true"
                )


def _steps(path: Path) -> list[dict[str, Any]]:
    try:
        steps: Any = json.loads(path.read_text(encoding="utf-8"))["steps"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} is no processor of LeRobot: {type(error).__name__} {error}") from error
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise BadData(f"{path} is no processor of LeRobot: its steps are no list of tables")
    return steps


def _image(mine: ImageComponent, feature: Feature, key: str, who: str) -> ImageComponent:
    """Returns the profile's image in the size that the checkpoint declares."""
    if len(feature.shape) != 3 or feature.shape[0] != 3:
        raise BadData(f"{who} reads {key!r} of shape {feature.shape}; an image is (3, height, width)")
    _, height, width = feature.shape
    if (mine.height, mine.width) != (height, width) and (mine.fit == "exact" or mine.crop is not None):
        raise BadData(
            f"{who} reads {key!r} in {width} x {height} and the profile's image {mine.name!r} is {mine.width} x {mine.height}: how it comes to that "
            'size decides what the model sees. Say in a profile of your own: fit = "stretch" or fit = "pad"'
        )
    return dataclasses.replace(mine, width=width, height=height, values="unit")


def _state(mine: StateComponent, feature: Feature, key: str, who: str) -> StateComponent:
    if feature.shape != (mine.size,):
        raise BadData(f"{who} reads {key!r} of shape {feature.shape} and the profile's state {mine.name!r} has {mine.size} numbers")
    return mine
