"""Which runs may be counted together: those that agree in everything that a number depends on. All others have rows of their own that say why."""

from __future__ import annotations

import itertools
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, RunHeader, canonical_json, sha, to_plain
from vlagym.results.schema import RUN_SCHEMA
from vlagym.results.store import Store

METRICS = "vlagym metrics"
"""Key of `RunHeader.packages` that holds the version of the metrics' definitions; headers from before there was one are of version 1."""

ADDRESSES = "addresses"
"""Key of `RunHeader.policy` of runs that went on with a server at another address than that of the policy's name: all others, in order."""
ANY_RIG = "any_rig"
"""Key of `RunHeader.policy` of runs whose policy was made for the rig of the key "rig", and was played elsewhere because that was asked for."""

_PACKAGES_THAT_SCORE = ("vlagym", "mujoco")
_PACKAGES_OF_TWO_HANDS = ("mink", "daqp")
PACKAGES_OF_IMAGES = ("pillow", "scipy")
"""What blurs and compresses images on their way to the policy. A header names them only where some episode of the run does that to its images."""
_SOFTWARE_RENDERERS = ("llvmpipe", "softpipe", "swrast", "swr", "lavapipe", "osmesa")
_VENDORS = ("nvidia", "amd", "radeon", "intel", "apple", "mali", "adreno", "virgl")
_SHOWN_DIFFERENCES = 3
_AXES = "axes"
_SCHEMA = "schema"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as a table sees it."""

    name: str
    """Of its folder."""
    header: RunHeader
    results: Sequence[EpisodeResult]
    """One an episode."""
    verified: str = ""
    """Of a published run how many of its episodes were confirmed, "6 of 6"; empty where nobody verified it."""

    @staticmethod
    def load(path: Path | str) -> Run:
        """Reads a run folder.

        Raises:
          BadData: If there is none, or it is damaged.
        """
        store = Store.open(path)
        return Run(name=store.path.resolve().name, header=store.header, results=store.results())


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Runs whose episodes are counted together: a row of the table."""

    policy: str
    suite: str
    runs: tuple[Run, ...]
    differs: str
    """What sets it apart from the other rows of its policy or of its suite, in words; empty where nothing does."""

    @property
    def label(self) -> str:
        """The policy, and what it differs in where another row bears the same name."""
        return f"{self.policy} ({self.differs})" if self.differs else self.policy

    @property
    def is_privileged(self) -> bool:
        """Whether the policy reads the true state of the scene."""
        return bool(self.runs[0].header.policy.get("privileged"))

    def results(self) -> list[EpisodeResult]:
        """Returns the episodes of all its runs."""
        return [result for run in self.runs for result in run.results]


def pools(runs: Sequence[Run]) -> list[Pool]:
    """Returns the sets of runs whose episodes may be counted together.

    Runs are put together if they agree in policy (options, card and declared conventions included), suite (name, version, digest, season, weights
    of the cost), quality, robot looks and bases, safety filter, the kind of renderer where the policy reads pixels, schema, the metrics' definitions
    and the packages that a score depends on, and share no episode. Where rows of one policy and suite differ in any of this, or rows of
    one suite in anything but the
    policy, `differs` says in what: nothing that is unlike stands in one column silently. A run that another vlagym wrote says so alone: those of this
    one are what is expected.

    Raises:
      BadData: If a header has no name of a policy or suite.
    """
    alike: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        alike[canonical_json(identity(run.header))].append(run)
    found: list[_Set] = []
    for members in alike.values():
        flat = _flat(identity(members[0].header))
        names = _name(members[0].header, "policy"), _name(members[0].header, "suite")
        if _share_an_episode(members):
            found += [_Set(*names, {**flat, "run": run.name}, (run,)) for run in members]
        else:
            found.append(_Set(*names, flat, tuple(members)))
    found = _told_by_axes(found)
    of_row, of_suite = _grouped(found, lambda s: (s.policy, s.suite)), _grouped(found, lambda s: s.suite)
    out: list[Pool] = []
    for same in of_row.values():
        within = _different(same)
        across = [path for path in _different(of_suite[same[0].suite], known_only=True) if path.split(".")[0] not in ("policy", "run")]
        for one in same:
            paths = sorted({*within, *(path for path in across if one.identity.get(path) is not None)})
            paths = [path for path in paths if path != _SCHEMA or one.identity[_SCHEMA] != RUN_SCHEMA]
            out.append(Pool(policy=one.policy, suite=one.suite, runs=one.runs, differs=_in_words(one.identity, paths)))
    return out


def identity(header: RunHeader) -> dict[str, Any]:
    """Returns all that two runs must share for their episodes to be counted together, as JSON could hold it.

    What the machine is, when the run was and how many episodes were scheduled are not in it, nor where a server was to which the run moved. Of what
    the policy declares about its numbers there are digests: a header that says nothing of a part is alike to those that say nothing of it either,
    as those from before it was written.
    """
    plain: dict[str, Any] = to_plain(
        {
            "policy": {**{k: v for k, v in header.policy.items() if k != ADDRESSES}, **_conventions(header)},
            "suite": {**{k: header.suite[k] for k in ("name", "version", "digest", "season") if k in header.suite}, "cost": _weights(header)},
            "quality": header.quality,
            "look": header.robot_looks,
            "base": {robot: ", ".join(bases) for robot, bases in header.robot_bases.items()},
            "safety": header.safety.get("mode"),
            "safety_limits": {robot: sha(canonical_json(limits).encode()) for robot, limits in header.safety.get("limits", {}).items()},
            "renderer": renderer_class(header.gl_renderer) if reads_pixels(header) else None,
            "schema": header.schema,
            "metrics": header.packages.get(METRICS, "1"),
            "package": {k: header.packages.get(k) for k in packages_that_score(header)},
        }
    )
    return plain


def _conventions(header: RunHeader) -> dict[str, dict[str, str]]:
    """Returns a digest of each part of what the policy declares: its actions, its observations, and what else it says of them."""
    declared = header.conventions.get("policy")
    if not isinstance(declared, Mapping):
        return {}
    return {"conventions": {part: sha(canonical_json(to_plain(said)).encode()) for part, said in declared.items()}}


def _weights(header: RunHeader) -> str:
    """Returns how the suite of a run weighs the cost, in one text: without weights of its own it does so as the house does, which is a way, too."""
    weights = header.suite.get("cost") or {}
    return ", ".join(f"{measure}={weight:g}" for measure, weight in sorted(weights.items())) or "as the house"


def packages_that_score(header: RunHeader) -> tuple[str, ...]:
    """Returns the packages whose version can change a number of a run; they are part of what a row stands for.

    Two hands are moved and legs are balanced by libraries of their own, between the action and the motors; images are blurred and compressed by
    others, between the camera and the policy.
    """
    environments = header.conventions.get("environments", ())
    commanded = {part["name"] for e in environments for part in e["action"]["components"]}
    has_two_hands = any(name.startswith("left_") for name in commanded)
    of_images = [name for name in PACKAGES_OF_IMAGES if name in header.packages]
    return (*_PACKAGES_THAT_SCORE, *(_PACKAGES_OF_TWO_HANDS if has_two_hands else ()), *of_images)


def reads_pixels(header: RunHeader) -> bool:
    """Returns whether the policy of a run declares that it reads images."""
    policy = header.conventions.get("policy")
    observation = policy.get("observation") if isinstance(policy, Mapping) else None
    return bool(observation.get("images")) if isinstance(observation, Mapping) else False


def renderer_class(gl_renderer: str | None) -> str | None:
    """Returns the kind of a renderer: the software that draws, or the vendor of the card; its own name where neither is known.

    Images of one kind agree to a grey value or two; versions of drivers and widths of vector registers, which the full name holds, do not matter
    more than that.
    """
    if gl_renderer is None:
        return None
    words = gl_renderer.lower()
    return next((kind for kind in (*_SOFTWARE_RENDERERS, *_VENDORS) if kind in words), gl_renderer)


# --------------------------------------------------------------------------------------------------------------------- what differs
class _Set(NamedTuple):
    policy: str
    suite: str
    identity: Mapping[str, Any]
    runs: tuple[Run, ...]


def _grouped(sets: Iterable[_Set], key: Any) -> dict[Any, list[_Set]]:
    groups: dict[Any, list[_Set]] = defaultdict(list)
    for one in sets:
        groups[key(one)].append(one)
    return groups


def _different(sets: Sequence[_Set], *, known_only: bool = False) -> list[str]:
    """Returns the paths at which identities differ; with `known_only` a path that one of them lacks counts for nothing."""
    paths = sorted({path for one in sets for path in one.identity})
    found = []
    for path in paths:
        values = [one.identity.get(path) for one in sets]
        if len({canonical_json(v) for v in values if v is not None or not known_only}) > 1:
            found.append(path)
    return found


def _told_by_axes(sets: Sequence[_Set]) -> list[_Set]:
    """Returns the sets with the axes along which all their episodes were varied in place of the digest, where their suites differ in nothing else."""
    out: list[_Set] = []
    for of in _grouped(sets, lambda s: s.suite).values():
        kinds = {one.identity.get("suite.digest"): _axes_and_rest(one.runs[0].header) for one in of}
        told = [kind for kind in kinds.values() if kind is not None]
        is_told = len(told) == len(kinds) == len({axes for axes, _ in told}) > 1 and len({rest for _, rest in told}) == 1
        for one in of:
            kind = kinds[one.identity.get("suite.digest")]
            if is_told and kind is not None:
                one = one._replace(identity={**{k: v for k, v in one.identity.items() if k != "suite.digest"}, _AXES: kind[0]})
            out.append(one)
    return out


def _axes_and_rest(header: RunHeader) -> tuple[str, str] | None:
    """Returns the axes that all entries of a suite bear, in words, and all else that the entries say; None where the header does not say it."""
    entries = header.suite.get("entry")
    if not isinstance(entries, Sequence) or not entries or not all(isinstance(e, Mapping) and isinstance(e.get("axes"), Sequence) for e in entries):
        return None
    axes = {" + ".join(sorted(text if "=" in text else f"{text}=1" for text in entry["axes"])) or "unvaried" for entry in entries}
    rest = canonical_json([{k: v for k, v in entry.items() if k != "axes"} for entry in entries])
    return (axes.pop(), rest) if len(axes) == 1 else None


def _name(header: RunHeader, part: Literal["policy", "suite"]) -> str:
    name = getattr(header, part).get("name")
    if not isinstance(name, str):
        raise BadData(f"the header of a run started {header.started} has no {part} name")
    return name


def _share_an_episode(runs: Sequence[Run]) -> bool:
    return any({r.digest for r in a.results} & {r.digest for r in b.results} for a, b in itertools.combinations(runs, 2))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested tables as one: {"policy.options.horizon": 8}."""
    out: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            out.update(_flat(inner, f"{path}."))
        else:
            out[path] = inner
    return out


def _in_words(identity: Mapping[str, Any], different: Sequence[str]) -> str:
    """Returns the differences in words, at most three of them."""
    words = []
    # First who wrote it, on which all else rests; then what it has, then what it lacks.
    different = sorted(different, key=lambda path: (path != _SCHEMA, identity.get(path) is None and not _is_fixed_base(path, identity)))
    for path in different[:_SHOWN_DIFFERENCES]:
        value = identity.get(path)
        if _is_fixed_base(path, identity):
            value = "fixed"
        if path in (_AXES, _SCHEMA):
            words.append(str(value) if path == _AXES else _of_schema(value))
            continue
        text = value if isinstance(value, str) else "none" if value is None else canonical_json(value)
        words.append(f"{path}={shortened(text)}")
    if len(different) > _SHOWN_DIFFERENCES:
        words.append(f"{len(different) - _SHOWN_DIFFERENCES} more")
    return ", ".join(words)


def shortened(text: str) -> str:
    """Returns the beginning of a long text, and its end too unless it is a digest: seasons of one label, and paths, differ there."""
    if len(text) <= 24:
        return text
    return f"{text[:12]}…" if set(text) <= set(string.hexdigits) else f"{text[:12]}…{text[-8:]}"


def _of_schema(schema: object) -> str:
    """Returns who wrote a run whose schema is not the one that this version writes."""
    if not isinstance(schema, int):
        return f"written with an unknown schema ({canonical_json(schema)})"
    age = "newer" if schema > RUN_SCHEMA else "older"
    return f"written by {'a' if age == 'newer' else 'an'} {age} vlagym (schema {schema})"


def _is_fixed_base(path: str, identity: Mapping[str, Any]) -> bool:
    """Returns whether a path is the base of a robot that stood on fixed ones only: headers name the others."""
    return path.startswith("base.") and path not in identity and path.replace("base.", "look.", 1) in identity
