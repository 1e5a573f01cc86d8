"""A profile: what a family of checkpoints reads and sends, said in data. One TOML file each; users write their own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec, UnknownName, unknown_name
from vlagym.envs.types import ActionSpec, ObservationSpec, from_plain, sha, to_plain
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.contradictions import contradictions
from vlagym.policies.profile_bounds import check_bounds

FOLDER = "policies/profiles"
RIGS = "benchmark/rigs"
"""Where the rigs lie that ship with vlagym, below the package."""
_PROSE = ("name", "about", "sources", "gaps")
"""What a profile says and no number depends on."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Conventions of a policy: everything that `connect` compares, and what things are called on a wire. A value."""

    YOUNGER: ClassVar = ("about", "sources", "gaps", "rig", "normalisation", "chunk_steps", "execute_steps", "history", "sticky_steps", "clip",
                         "wire")  # fmt: skip
    """Are written only where they say something."""

    name: str
    about: str = ""
    """What it is of, in a sentence."""
    sources: tuple[str, ...] = ()
    """Where its numbers are from."""
    gaps: tuple[str, ...] = ()
    """What of it cannot be had here, or is not known, each in a sentence."""
    rig: str | None = None
    """The rig whose episodes look and move as those that it was trained on: a name, or the path of a file, in a profile's file seen from there.
    None: there is none, and a policy of this profile plays anywhere."""
    action: ActionSpec
    """What it sends, after whatever it un-normalises itself."""
    observation: ObservationSpec
    """What it reads, at the rate at which it acts."""
    normalisation: Mapping[str, Normalisation] = field(default_factory=dict)
    """Component or state -> statistics, where the side that calls the policy has to scale. Mostly empty: servers do it themselves."""
    chunk_steps: int = 1
    execute_steps: int = 1
    history: tuple[int, ...] = (0,)
    sticky_steps: int = 0
    clip: bool = False
    """The last five: as in `vlagym.policies.base.PolicySpec`."""
    wire: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Protocol or dialect -> our name of an image, a state, "instruction", "actions" or "action.<component>" -> its place in a message. A protocol
    that is absent calls things in its own usual way, which its adapter says."""

    def __post_init__(self) -> None:
        """Looks whether it can be.

        Raises:
          BadData: If a policy that declares this could not be connected to any environment; it says all that cannot be.
          UnknownName: If it is of a rig that does not exist.
        """
        if self.rig is not None and not self.rig.endswith(".toml") and self.rig not in catalog.toml_names(RIGS):
            advice = f"The profile {self.name!r} names it; one of your own is written as the path of its .toml file."
            raise unknown_name("rig", self.rig, catalog.toml_names(RIGS), advice)
        impossible = contradictions(replace(self.spec(self.name, execute_steps=1, chunk_steps=1), chunk_steps=self.chunk_steps,
                                            execute_steps=self.execute_steps))  # fmt: skip
        if impossible:
            raise BadData(f"the profile {self.name!r} {'; it '.join(impossible)}")

    def spec(
        self,
        name: str,
        *,
        card: Mapping[str, Any] | None = None,
        execute_steps: int | None = None,
        chunk_steps: int | None = None,
        runs_in_worker: bool = True,
    ) -> PolicySpec:
        """Returns what a policy of this profile declares.

        Args:
          name: Of the policy.
          card: What the run header says of it.
          execute_steps: Actions of a chunk that are executed; None: as the profile says, or the whole chunk where that is shorter.
          chunk_steps: Actions of a chunk; None: as the profile says.
          runs_in_worker: Whether each worker loads it for itself.

        Raises:
          BadData: If more actions are to be executed than a chunk has.
        """
        chunk = self.chunk_steps if chunk_steps is None else chunk_steps
        execute = min(self.execute_steps, chunk) if execute_steps is None else execute_steps
        if not 1 <= execute <= chunk:
            raise BadData(f"{execute} actions of each chunk are to be executed, and a chunk of {name!r} has {chunk}: say execute = 1 to {chunk}")
        return PolicySpec(
            name=name,
            action=self.action,
            observation=self.observation,
            chunk_steps=chunk,
            execute_steps=execute,
            runs_in_worker=runs_in_worker,
            card=dict(card or {}),
            normalisation=dict(self.normalisation),
            clip=self.clip,
            sticky_steps=self.sticky_steps,
            history=self.history,
            profile=self.name,
            profile_digest=self.digest(),
            rig=self.rig,
        )

    def digest(self) -> str:
        """Returns what tells it from others: all that it says but its name and its prose, what things are called on each wire included."""
        said = {key: value for key, value in self.to_plain().items() if key not in _PROSE}
        return sha(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())  # also of one that cannot be, which is refused later

    @classmethod
    def of(cls, spec: PolicySpec) -> Profile:
        """Returns the profile of a policy of ours, for others that are to call it.

        Raises:
          BadSpec: If it has none: it takes whatever actions the environment has, or reads the true state.
        """
        if spec.action is None or spec.privileged or spec.reads_all_state:
            why = "reads the true state" if spec.privileged else "takes whatever actions the environment has"
            raise BadSpec(f"policy {spec.name!r} {why}: it has no conventions of its own that could be told to others")
        return cls(
            name=spec.profile or spec.name,
            about=f"what {spec.name} reads and sends",
            rig=Path(spec.rig).name if spec.rig else None,  # where a file lies on this machine is nobody else's business
            action=spec.action,
            observation=spec.observation,
            normalisation=dict(spec.normalisation),
            chunk_steps=spec.chunk_steps,
            execute_steps=spec.execute_steps,
            history=spec.history,
            sticky_steps=spec.sticky_steps,
            clip=spec.clip,
        )

    def to_plain(self) -> dict[str, Any]:
        """Returns it as plain data, ready for JSON or a wire."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_plain(cls, data: Any, where: str = "profile") -> Profile:
        """Returns a profile from TOML's tables or from what `to_plain` made of one.

        `observation.rate_hz` may be left out, which is the rate of the actions, and so may its images or its state.

        Args:
          data: Tables.
          where: What it is called in errors.

        Raises:
          BadData: If a key is missing, unknown or of another type, numbers contradict each other, or it is larger than a profile may be.
          BadSpec: If statistics cannot be.
          UnknownName: If it is of a rig that does not exist.
        """
        check_bounds(data, where)
        return from_plain(cls, _completed(data), where)


def _completed(data: Any) -> Any:
    """Returns the tables with what an observation may leave out."""
    if not isinstance(data, Mapping) or not isinstance(data.get("observation"), Mapping) or not isinstance(data.get("action"), Mapping):
        return data
    usual = {"images": [], "state": [], "rate_hz": data["action"].get("rate_hz")}
    return {**data, "observation": {**usual, **data["observation"]}}


def profile_names() -> list[str]:
    """Returns the names of all profiles, sorted."""
    return catalog.toml_names(FOLDER)


def load_profile(name_or_path: str) -> Profile:
    """Returns the profile of that name from policies/profiles, or from a file if the name ends in .toml.

    Raises:
      UnknownName: If there is none.
      BadData: If its file does not hold what it should.
    """
    if name_or_path.endswith(".toml"):
        return read_profile(Path(name_or_path))
    if name_or_path not in profile_names():
        raise unknown_name("profile", name_or_path, profile_names(), "One of your own is written as the path of its .toml file.")
    return read_profile(Path(__file__).parent / "profiles" / f"{name_or_path}.toml")


def read_profile(path: Path) -> Profile:
    """Reads a profile's file.

    Raises:
      BadData: If it is absent, no TOML, lacks a key, has one that is unknown or of another type, or bears another name than its file.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"the profile {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not TOML: {error}") from error
    try:
        profile = Profile.from_plain(data, "profile")
    except (BadData, BadSpec, UnknownName) as error:
        raise BadData(f"{path}: {error}") from error
    if profile.name != path.stem:
        raise BadData(f"{path} calls its profile {profile.name!r}; a profile bears the name of its file, {path.stem!r}")
    if profile.rig is None or not profile.rig.endswith(".toml"):
        return profile
    rig = path.parent / profile.rig
    if not rig.is_file():
        raise BadData(f"{path} names the rig {profile.rig!r}, and there is no file {rig}; a rig that ships is written without .toml")
    return replace(profile, rig=str(rig))
