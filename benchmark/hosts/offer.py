"""What a foreign harness is offered: episodes of a suite, and the conventions in which its policy reads and sends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlagym.benchmark import station
from vlagym.benchmark.episode import WorldOptions
from vlagym.benchmark.runner import RunOptions
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import load_suite, task_suite
from vlagym.envs.errors import BadData
from vlagym.policies.base import PolicySpec
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import Profile, load_profile, profile_names

OF_POLICY = "policy:"
"""Before the name of a policy of ours, where a profile is wanted: what that one declares."""


@dataclass(frozen=True, kw_only=True)
class How:
    """How episodes are rendered, guarded and stored."""

    quality: str = "fast"
    look: str = "auto"
    safety: str = "off"

    def world(self, policy: PolicySpec) -> WorldOptions:
        """Returns how the world is made for a policy."""
        return WorldOptions(quality=self.quality, look=self.look, render=bool(policy.observation.images))

    def run(self, policy: PolicySpec, suite: Suite, *, out: Path | None, resume: Path | None = None) -> RunOptions:
        """Returns what is asked of a run that a loop outside steps."""
        return RunOptions(
            policy=policy.name,
            suite=suite,
            quality=self.quality,
            look=self.look,
            safety=self.safety,
            out=out,
            resume=resume,
            retry_errors=resume is not None,
            command=tuple(sys.argv),
        )


def suite_of(name: str | None, tasks: Sequence[str] | str | None, **changes: Any) -> Suite:
    """Returns the suite of a name, or one of some tasks, changed as `vlagym run` changes it.

    Args:
      name: Of a suite or its file; None: the tasks alone, in their training distribution.
      tasks: Only these; one, several, or several in one word with commas between them. None: all of the suite.
      changes: As `Suite.restrict`, and "season". Those that are None change nothing.

    Raises:
      UnknownName: If a name does not exist.
      BadData: If neither suite nor tasks are given, or a change makes no sense.
    """
    words = tasks.split(",") if isinstance(tasks, str) else list(tasks or ())
    season = changes.pop("season", None)
    said = {key: value for key, value in changes.items() if value is not None}
    if name is None and not words:
        raise BadData("say which episodes are played: a suite, or a task")
    if name is None:
        suite = task_suite(words, episodes=said.get("episodes", 10))
    else:
        suite = load_suite(name)
    if season is not None:
        suite = suite.in_season(season)
    return suite.restrict(tasks=words, **said).check()


def profile_of(said: str | Mapping[str, Any] | None, host: str) -> Profile:
    """Returns the profile of the policy behind a harness.

    Args:
      said: Name of a profile, file that ends in .toml, `policy:` and a policy of ours, or the tables of a profile.
      host: Name of the harness.

    Raises:
      BadData: If there is none: harnesses do not tell what a policy reads and sends.
      UnknownName: If there is no such profile or policy.
      BadSpec: If the policy declares no conventions of its own.
    """
    if said is None:
        raise BadData(
            f"{host} does not tell what its policy reads and sends, and a guess would be a silent 0 %: give profile=NAME, FILE.toml, or "
            f"{OF_POLICY}NAME for what a policy of vlagym declares. Profiles: {', '.join(profile_names())}"
        )
    if isinstance(said, Mapping):
        return Profile.from_plain(dict(said))
    if said.startswith(OF_POLICY):
        with contextlib.closing(load_policy(said.removeprefix(OF_POLICY))) as policy:
            return Profile.of(policy.spec)
    return load_profile(said)


def refuse_elsewhere(policy: PolicySpec, suite: Suite) -> None:
    """Refuses episodes at another station than that of the policy's profile.

    Raises:
      ConventionMismatch: As `vlagym.benchmark.station.refuse_elsewhere`. A harness cannot insist, for nothing would say so afterwards.
    """
    way_out = "to measure how it does elsewhere all the same, give a profile of your own that names no rig"
    station.refuse_elsewhere(policy, suite.entries, option="rig=", way_out=way_out)


def policy_of(profile: Profile, name: str, host: Mapping[str, Any]) -> PolicySpec:
    """Returns what the policy behind a harness declares: it is shown every step of its own, and answers with one action.

    Whoever plays chunks or remembers observations there does it unseen.

    Args:
      profile: Its conventions.
      name: What the run calls it.
      host: What the header says of the harness.
    """
    card = {"about": "a policy in another harness, whose loop steps the episodes", "profile": profile.name, **host}
    spec = profile.spec(name, card=card, chunk_steps=1, execute_steps=1, runs_in_worker=False)
    return replace(spec, history=(0,))
