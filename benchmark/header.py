"""What a run says about itself: packages, machine, renderer, policy, suite and the conventions between them."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from vlagym.benchmark import relocation
from vlagym.benchmark.metric import METRICS_VERSION
from vlagym.benchmark.suite import Suite, digest_of
from vlagym.benchmark.suite_files import rigs_of, suite_to_plain
from vlagym.envs import arithmetic, backend
from vlagym.envs.safety import Mode
from vlagym.envs.safety_limits import limits_of
from vlagym.envs.types import EpisodeSpec, RunHeader, SensorSpec, canonical_json, sha, to_plain
from vlagym.policies.base import PolicySpec
from vlagym.policies.chunking import Chunking
from vlagym.policies.conventions import Pipeline
from vlagym.policies.foreign import has_query, without_query
from vlagym.results.pooling import ANY_RIG, METRICS, PACKAGES_OF_IMAGES, packages_that_score
from vlagym.results.schema import RUN_SCHEMA

_SELDOM = ("normalisation", "clip", "sticky_steps", "history")
"""What few policies declare of their conventions besides action and observation."""
_OTHERS = ("vlagym", "mujoco", "numpy", "gymnasium", "gymnasium-robotics", "mujoco-menagerie", "torch", "dm_control", "mink", "daqp")
_PACKAGES = (*_OTHERS, *PACKAGES_OF_IMAGES)
"""Those whose version may matter to whoever repeats a run; absent ones are left out."""
_OF_DATASETS = ("av", "pyarrow", "h5py", "pillow", "isal")
"""Those that write datasets."""
QUERY_LEFT_OUT = "query_left_out"
"""Key of a header's policy whose address has a query, which may hold a key and is stored nowhere: it has to be said again to go on."""


def packages() -> dict[str, str]:
    """Returns the installed versions. Imports none of them."""
    import vlagym

    return {"python": platform.python_version(), "vlagym": vlagym.__version__} | _versions(_PACKAGES)


def packages_of_datasets() -> dict[str, str]:
    """Returns the installed versions, and those of what writes datasets. Imports none of them."""
    return packages() | _versions(_OF_DATASETS)


def _versions(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, str]:
    """Returns what the machine is, and which arithmetic this process uses; nothing that names its owner."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "processor": _processor(),
        "cores": str(usable_cores()),
        "memory_gb": _memory_gb(),
        "arithmetic": arithmetic.told(),
    }


def usable_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def now() -> str:
    """Returns the present moment, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_header(
    *,
    suite: Suite,
    episodes: Sequence[EpisodeSpec],
    policy: PolicySpec,
    policy_text: str,
    policy_options: Mapping[str, str],
    chunking: Chunking,
    pipelines: Mapping[str, Pipeline],
    looks: Mapping[str, str],
    quality: str,
    gl_renderer: str | None,
    shuffle: int | None,
    retries: int,
    command: Sequence[str],
    safety: Mode = "off",
    is_elsewhere: bool = False,
) -> RunHeader:
    """Returns the header of a run that begins now.

    Args:
      suite: What was expanded.
      episodes: What it expanded to.
      policy: What the policy declares.
      policy_text: How it was written.
      policy_options: Its options.
      chunking: How its chunks are played.
      pipelines: The conversions, one for each environment that differs.
      looks: Robot -> look.
      quality: Of the images.
      gl_renderer: What the GL driver calls itself; None where nothing is rendered.
      shuffle: Seed of the order of the episodes; None: the suite's order.
      retries: Further attempts of an episode that ended in an error.
      command: The words of the command line.
      safety: Mode of the safety filter.
      is_elsewhere: Whether episodes are made at another station than the policy's own, which was asked for.
    """
    seeds = [e.seed for e in episodes]
    return RunHeader(
        schema=RUN_SCHEMA,
        suite={
            **suite_to_plain(suite),
            "digest": digest_of(episodes),
            "episodes": len(episodes),
            **({"rigs": rigs} if (rigs := rigs_of(suite)) else {}),
        },
        policy={
            "name": without_query(policy_text),
            "options": {name: without_query(value) for name, value in policy_options.items()},
            **({QUERY_LEFT_OUT: True} if has_query(policy_text) else {}),
            "card": to_plain(policy.card),
            "privileged": policy.privileged,
            "chunking": str(chunking),
            "retries": retries,
            **({} if policy.profile is None else {"profile": {"name": policy.profile, "digest": _digest_of_profile(policy)}}),
            **({} if policy.rig is None else {"rig": policy.rig}),
            **({ANY_RIG: True} if is_elsewhere else {}),
        },
        robot_looks=dict(looks),
        quality=quality,
        conventions={
            "policy": _conventions_of(policy),
            "environments": [{"action": to_plain(p.environment), "pipeline": p.describe()} for p in pipelines.values()],
        },
        seeds={"first": min(seeds), "last": max(seeds), **({} if shuffle is None else {"shuffle": shuffle})},
        packages={**_packages_of(episodes, pipelines.values()), METRICS: str(METRICS_VERSION)},
        gl_renderer=gl_renderer,
        machine={**machine(), **({} if gl_renderer is None else {"gl_backend": backend.wanted()})},
        command=tuple(map(without_query, command)),
        started=now(),
        robot_bases=bases_of(episodes),
        safety=_safety(episodes, safety),
    )


def _digest_of_profile(policy: PolicySpec) -> str:
    """Returns what tells two profiles of one name apart: a file may have been changed between two runs.

    It is of what the policy declares, and of all that the profile itself says: what things are called on a wire is no part of a declaration.
    """
    said = (policy.action, policy.observation, policy.normalisation, policy.clip, policy.sticky_steps, policy.history, policy.profile_digest)
    return sha(canonical_json([to_plain(part) for part in said]).encode())


def _conventions_of(policy: PolicySpec) -> dict[str, Any]:
    """Returns what a policy declares of its conventions: action and observation, and the rest where it is not as of most policies.

    Headers from before the rest was written say nothing of it, and neither do those of policies that declare nothing else: they are alike.
    """
    plain = PolicySpec(name="plain", action=None, observation=policy.observation)
    rest = {name: getattr(policy, name) for name in _SELDOM if getattr(policy, name) != getattr(plain, name)}
    return {"action": to_plain(policy.action), "observation": to_plain(policy.observation), **to_plain(rest)}


def _packages_of(episodes: Sequence[EpisodeSpec], pipelines: Iterable[Pipeline]) -> dict[str, str]:
    """Returns the installed versions, without those that do something to images only, where nothing is done to images.

    Sensors that err blur and compress them; a policy may read them in a size of its own.
    """
    is_sensing = any(episode.sensing != SensorSpec() for episode in episodes)
    of_images = PACKAGES_OF_IMAGES if is_sensing else ("pillow",) if any(p.is_resampled for p in pipelines) else ()
    return {name: version for name, version in packages().items() if name in of_images or name not in PACKAGES_OF_IMAGES}


def bases_of(episodes: Sequence[EpisodeSpec]) -> dict[str, list[str]]:
    """Returns `RunHeader.robot_bases` of some episodes."""
    bases: dict[str, set[str]] = {}
    for episode in episodes:
        bases.setdefault(episode.robot, set()).add(episode.robot_base)
    return {robot: sorted(found) for robot, found in sorted(bases.items()) if found != {"fixed"}}


def _safety(episodes: Sequence[EpisodeSpec], mode: Mode) -> dict[str, Any]:
    if mode == "off":
        return {"mode": mode}
    limits = {robot: to_plain(limits_of(robot)) for robot in sorted({e.robot for e in episodes})}
    return {"mode": mode, "limits": {robot: {k: v for k, v in of.items() if k != "why" and v is not None} for robot, of in limits.items()}}


DECISIVE = ("suite", "policy", "quality", "robot_looks", "robot_bases", "safety", "gl_renderer", "conventions")
"""Fields of a header that must agree for a run to be resumed, besides the packages that a score depends on."""


def differences(before: RunHeader, after: RunHeader) -> list[str]:
    """Returns, in words, what of all that numbers depend on differs between two headers.

    Where a server stands is nothing of that: its host and port may differ where all else that is known of it is the same.
    """
    before, after = relocation.at_home(before, before), relocation.at_home(after, before)
    pairs: list[tuple[str, Any, Any]] = [(name, to_plain(getattr(before, name)), to_plain(getattr(after, name))) for name in DECISIVE]
    pairs += [(f"packages.{name}", before.packages.get(name), after.packages.get(name)) for name in packages_that_score(after)]
    pairs.append((f"packages.{METRICS}", before.packages.get(METRICS, "1"), after.packages.get(METRICS, "1")))
    return [line for name, a, b in pairs for line in _differences(name, a, b)]


def _differences(path: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = list(dict.fromkeys([*before, *after]))
        return [line for key in keys for line in _differences(f"{path}.{key}", before.get(key), after.get(key))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for i, (a, b) in enumerate(zip(before, after, strict=True)) for line in _differences(f"{path}[{i}]", a, b)]
    return [] if before == after else [f"{path} was {before!r} and is {after!r}"]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    except OSError:  # not Linux
        return platform.processor()


def _memory_gb() -> str:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f}"
