"""The options that every family of foreign policies takes, and the policy's spec that follows from them and from a profile."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.policies.base import PolicySpec
from vlagym.policies.loading import refuse_options

if TYPE_CHECKING:
    from vlagym.policies.profile import Profile

PROFILES = "policies/profiles"
"""Where the profiles lie that ship with vlagym, below the package."""
ImageValues = Literal["uint8", "unit", "symmetric"]
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class ForeignOptions:
    """What `--policy-option` said, of what all families know."""

    profile: str | None = None
    """A name, or a path that ends in .toml; None: not said."""
    device: str = "cpu"
    """"cpu", "cuda" or "cuda:<number>"."""
    execute_steps: int | None = None
    """Actions of each chunk that are executed; None: as many as the profile or the card says."""
    trust_remote_code: bool = False
    """Whether Python code that lies in a checkpoint may be executed."""


def read_options(family: str, options: Mapping[str, str], known: Sequence[str]) -> ForeignOptions:
    """Reads the options that all families share.

    Args:
      family: The adapter's name, for messages.
      options: All that was said.
      known: What this family knows, of the shared ones ("profile", "device", "execute", "trust_remote_code") and of its own.

    Raises:
      UnknownName: For an option that the family does not know.
      BadData: If one makes no sense.
    """
    refuse_options(family, options, known)
    device = options.get("device", "cpu")
    if device not in ("cpu", "cuda") and not (device.startswith("cuda:") and device[5:].isdecimal()):
        raise BadData(f"the device of {family} is cpu, cuda or cuda:<number>, not {device!r}")
    return ForeignOptions(
        profile=options.get("profile"),
        device=device,
        execute_steps=_execute(family, options.get("execute")),
        trust_remote_code=flag(family, "trust_remote_code", options.get("trust_remote_code", "false")),
    )


def whole(family: str, key: str, text: str, meaning: str) -> int:
    """Returns an option that is a number of something, 1 or more.

    Raises:
      BadData: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise BadData(f"{key} of {family} is {meaning}, a whole number of 1 or more, not {text!r}")
    return int(text)


def _execute(family: str, text: str | None) -> int | None:
    return None if text is None else whole(family, "execute", text, "the number of actions of a chunk that are executed")


def flag(family: str, key: str, text: str) -> bool:
    """Returns an option that is yes or no.

    Raises:
      BadData: If it is neither "true" nor "false".
    """
    if text not in _FLAGS:
        raise BadData(f"{key} of {family} is true or false, not {text!r}")
    return _FLAGS[text]


def profile_of(family: str, said: str | None, declared: str | None = None, *, where: str = "") -> Profile:
    """Returns the profile that was asked for, or else the one that the checkpoint's card or class declares.

    Args:
      family: The adapter's name, for messages.
      said: The option `profile`.
      declared: What is declared beside the checkpoint.
      where: What else could declare it, for the message: "the card", "the class attribute `profile`".

    Raises:
      BadData: If neither says one: which conventions a policy was trained with cannot be guessed.
      UnknownName: If there is none of that name.
    """
    from vlagym.policies.profile import load_profile

    name: object = said or declared
    if name is not None and not isinstance(name, str):
        raise BadData(f"{where or 'the card'} of {family} is {reprlib.repr(name)}; it must be a text: the name of a profile, or the path of a file")
    if name is None:
        there = ", ".join(catalog.toml_names(PROFILES))
        also = f" or in {where}" if where else ""
        raise BadData(
            f"{family} does not know which conventions the policy was trained with, and does not guess: say --policy-option profile=NAME{also}. "
            f"There are: {there}; a file of your own is written as its path, profile=FILE.toml"
        )
    return load_profile(name)


def refuse_normalisation(family: str, profile: Profile) -> None:
    """Raises BadData if a profile asks us to normalise, for a family whose checkpoints hold their own statistics and do it themselves."""
    if profile.normalisation:
        names = ", ".join(sorted(profile.normalisation))
        raise BadData(
            f"the profile {profile.name!r} says how {names} are normalised, and {family} does that itself, as the checkpoint says: done "
            "twice, actions would be wrong. Leave [normalisation] out of the profile"
        )


def refuse_history(family: str, profile: Profile) -> None:
    """Raises BadData if a profile asks for earlier observations, for a family that is shown the present one."""
    if profile.history != (0,):
        raise BadData(
            f"the profile {profile.name!r} wants the observations at the steps {profile.history}, and {family} is shown the present one: a model "
            "that looks back remembers by itself. Leave history out of the profile"
        )


def reading(spec: PolicySpec, *, images: Mapping[str, ImageValues], state: Collection[str]) -> PolicySpec:
    """Returns a spec of a policy that reads only a part of what its profile declares, and images in the values that it wants.

    Args:
      spec: What a profile declares.
      images: Those that are read -> values; the conversion itself is the pipeline's.
      state: The states that are read.
    """
    kept = tuple(dataclasses.replace(i, values=images[i.name]) for i in spec.observation.images if i.name in images)
    felt = tuple(s for s in spec.observation.state if s.name in state)
    return dataclasses.replace(spec, observation=dataclasses.replace(spec.observation, images=kept, state=felt))
