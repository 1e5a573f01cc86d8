"""Two policies played side by side on one suite, until it is known which is better or that it does not matter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vlagym.benchmark import journal
from vlagym.benchmark.episode import MakeWorld, make_world
from vlagym.benchmark.header import usable_cores
from vlagym.benchmark.journal import FILE, Journal
from vlagym.benchmark.runner import Reporter, RunOptions, Session, session
from vlagym.benchmark.suite import Suite, digest_of
from vlagym.benchmark.suite_files import suite_from_plain, suite_to_plain
from vlagym.envs.errors import BadData, RunStopped
from vlagym.envs.types import EpisodeSpec, canonical_json, stream
from vlagym.policies.foreign import has_query, without_query
from vlagym.results.comparison import looked_at, shared
from vlagym.results.sequential import Decision, SequentialComparison, State
from vlagym.results.store import HEADER

Ending = Literal["decided", "limit", "suite"]
"""decided: the answer is known. limit: as many episodes were played as were allowed. suite: all were played."""

_BLOCK_MIN = 8


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of the two policies."""

    policy: str
    """As `vlagym run --policy` takes it."""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a comparison asks. It is fixed before the first look: who changed it after looking would get what they want to see."""

    first: Contender
    second: Contender
    suite: Suite
    difference: float | None = None
    """The smallest difference of success that matters; None: only which of the two is better can be decided."""
    alpha: float = 0.05
    order_seed: int | None = None
    """Of the order in which scenes are played and looked at. None: the order follows from the episodes and the two policies, so that nobody can try
    several: of 400 pairs of equal policies, 23 % show a difference in at least one of ten orders."""
    retries: int = 0
    """Further attempts of an episode that ends in an error, and the time it is given: after a look, either would turn stored outcomes into others."""
    episode_timeout_s: float | None = None
    quality: str = "fast"
    look: str = "auto"
    safety: str = "off"

    def __post_init__(self) -> None:
        SequentialComparison(alpha=self.alpha, difference=self.difference)  # refuses what is no alpha or no difference
        if self.order_seed is not None and self.order_seed < 0:
            raise BadData(f"the seed of the order is 0 or more, not {self.order_seed}")

        asking = [c.policy for c in (self.first, self.second) if has_query(c.policy)]
        if asking:
            raise BadData(
                f"the address of {without_query(asking[0])} has a query, which may hold a key, and a comparison writes down what it compares: "
                "leave it out; keys lie in environment variables (option api_key_env)"
            )

    def plain(self) -> dict[str, Any]:
        """Returns it as JSON holds it."""
        contenders = {which: {"policy": c.policy, "options": dict(c.options)} for which, c in (("first", self.first), ("second", self.second))}
        rest = {name: getattr(self, name) for name in _PLAIN}
        return {**contenders, **rest, "suite": suite_to_plain(self.suite)}

    @staticmethod
    def from_plain(data: Any, where: str) -> Design:
        """Reads what `plain` returned.

        Raises:
          BadData: If it is something else.
        """
        try:
            first, second = (Contender(policy=str(data[w]["policy"]), options=dict(data[w]["options"])) for w in ("first", "second"))
            rest = {name: data[name] for name in _PLAIN}
            suite = suite_from_plain(data["suite"], f"{where} suite")
        except (KeyError, TypeError, ValueError) as error:
            raise BadData(f"{where} does not hold the design of a comparison: {type(error).__name__} {error}") from error
        return Design(first=first, second=second, suite=suite, **rest)


_PLAIN = ("difference", "alpha", "order_seed", "retries", "episode_timeout_s", "quality", "look", "safety")


@dataclass(frozen=True, kw_only=True)
class Means:
    """How it is played. Nothing of it changes the answer, so it may be other when a comparison is resumed."""

    executor: str = "processes"
    workers: int | None = None
    max_episodes: int | None = None
    """Of each policy, those included that were stored before; None: all of the suite."""
    look_every: int | None = None
    """Episodes of each policy between two looks, at least; None: 8, or two for each worker."""
    command: tuple[str, ...] = ()
    make_world: MakeWorld = make_world

    def __post_init__(self) -> None:
        for what, value in (("largest number of episodes", self.max_episodes), ("number of episodes between two looks", self.look_every)):
            if value is not None and value < 1:
                raise BadData(f"the {what} is 1 or more, not {value}")


class Verdict(NamedTuple):
    """What came of a comparison."""

    path: Path
    first: Path
    second: Path
    """The two run folders: ordinary ones, that can be resumed, verified and put into tables."""
    ending: Ending
    decided: Decision | None
    """What is known, whether errors are set aside or count as failures; None: not decided."""
    state: State
    """Errors set aside."""
    state_if_failures: State
    order: list[str]
    """Scenes in the order in which they were looked at."""
    num_played: int
    """Episodes that are stored of each policy; of the one that has fewer."""
    num_episodes: int
    """Of the suite."""
    num_before: int
    """Episodes of num_played that were stored when this call began."""


Looked = Callable[[State, int], None]
"""Is told what a look told, and after how many episodes of each policy."""


def load_design(path: Path) -> Design:
    """Returns the design of a comparison that was begun.

    Raises:
      BadData: If there is none in the folder.
    """
    return Design.from_plain(journal.read(path)["design"], str(path / FILE))


def drive(
    design: Design,
    means: Means,
    path: Path,
    episodes: Callable[[], Sequence[EpisodeSpec]],
    reporters: tuple[Reporter, Reporter],
    looked: Looked = lambda state, played: None,
) -> Verdict:
    """Plays both policies on the same scenes in an order that nobody chooses, looks after each block, stops when the answer is known.

    Interrupted at any moment, or stopped by a limit, it goes on when it is called again with the same design and folder: the order of the looks is
    the same however often that happens, and a decision that has fallen stays.

    Args:
      design: What is asked.
      means: How it is played.
      path: Folder of the comparison; where it holds one already, that goes on.
      episodes: Expands the suite; called once, after the first policy is loaded.
      reporters: Are told how the two runs go on.
      looked: Is told what each look told.

    Raises:
      BadData: If the folder holds a comparison of another design.
      VlagymError: As `runner.run`.
    """
    folders = [path / f"{which}-{_word(c.policy)}" for which, c in (("first", design.first), ("second", design.second))]
    told = Journal(path, design.plain(), [folder.name for folder in folders])
    expanded: list[EpisodeSpec] = []

    def once() -> Sequence[EpisodeSpec]:
        expanded.extend([] if expanded else episodes())
        return expanded

    with contextlib.ExitStack() as stack:
        options = [_run_options(design, c, means, folder) for c, folder in zip((design.first, design.second), folders, strict=True)]
        both = [stack.enter_context(session(o, once, r)) for o, r in zip(options, reporters, strict=True)]
        scenes = _scenes(expanded, design)
        told.begin(digest_of(expanded))
        num_before = _num_played(both)
        verdict = _look(both, scenes, design)
        for block in _blocks(scenes, means):
            if verdict.decided is not None:
                break
            for one in both:
                _play(one, block, path)
            verdict = _look(both, scenes, design)
            told.add(verdict.state, _num_played(both), verdict.order)
            looked(verdict.state, _num_played(both))
        num_played = _num_played(both)
        if num_played == len(expanded):
            for one in both:
                one.finish()
    ending: Ending = "decided" if verdict.decided else "suite" if num_played == len(expanded) else "limit"
    look = (verdict.decided, verdict.state, verdict.if_failures, verdict.order)
    return Verdict(path, folders[0], folders[1], ending, *look, num_played, len(expanded), num_before)


# ------------------------------------------------------------------------------------------------------------------------- looks
class _Look(NamedTuple):
    state: State
    if_failures: State
    order: list[str]

    @property
    def decided(self) -> Decision | None:
        """What holds whether errors are set aside or count as failures."""
        return self.state.decided if self.state.decided == self.if_failures.decided else None


def _look(both: Sequence[Session], scenes: Mapping[str, Sequence[str]], design: Design) -> _Look:
    """Returns what the scenes tell that both have played to the end, up to the first that they have not."""
    first, second = (one.results() for one in both)
    found = shared(first, second)
    played = {s.first.digest for s in found}
    order: list[str] = []
    for scene, digests in scenes.items():
        if not played.issuperset(digests):
            break
        order.append(scene)
    states = [looked_at(found, alpha=design.alpha, difference=design.difference, order=order, errors_fail=fail) for fail in (False, True)]
    return _Look(states[0], states[1], order)


def _scenes(specs: Sequence[EpisodeSpec], design: Design) -> dict[str, list[str]]:
    """Returns scene -> digests of its episodes, scenes in the order of the looks."""
    scenes: dict[str, list[str]] = {}
    for spec in specs:
        digest = spec.digest()
        scenes.setdefault(spec.base or digest, []).append(digest)
    names = sorted(scenes)
    if design.order_seed is None:
        policies = sorted(canonical_json({"policy": c.policy, "options": dict(c.options)}) for c in (design.first, design.second))
        rng = stream(0, "comparison", digest_of(specs), *policies)
    else:
        rng = stream(design.order_seed, "comparison")
    return {names[i]: scenes[names[i]] for i in rng.permutation(len(names))}


def _blocks(scenes: Mapping[str, Sequence[str]], means: Means) -> Iterator[list[str]]:
    """Yields the digests to play until the next look: whole scenes, as many as the limit allows."""
    at_least = means.look_every or max(_BLOCK_MIN, 2 * (means.workers or usable_cores()))
    block: list[str] = []
    total = 0
    for digests in scenes.values():
        total += len(digests)
        if means.max_episodes is not None and total > means.max_episodes:
            break
        block += digests
        if len(block) >= at_least:
            yield block
            block = []
    if block:
        yield block


def _play(one: Session, block: Sequence[str], path: Path) -> None:
    try:
        one.play(block)
    except RunStopped as stopped:  # its run is a part of the comparison, which alone knows the order of the scenes
        raise RunStopped(stopped.what, ledger=stopped.ledger, go_on=f"vlagym compare --resume {path}") from stopped


def _num_played(both: Sequence[Session]) -> int:
    return min(len(one.results()) for one in both)


def _run_options(design: Design, contender: Contender, means: Means, folder: Path) -> RunOptions:
    is_begun = (folder / HEADER).exists()
    return RunOptions(
        policy=contender.policy,
        policy_options=contender.options,
        suite=design.suite,
        executor=means.executor,
        workers=means.workers,
        quality=design.quality,
        look=design.look,
        safety=design.safety,
        retries=design.retries,
        episode_timeout_s=design.episode_timeout_s,
        out=None if is_begun else folder,
        resume=folder if is_begun else None,
        command=means.command,
        make_world=means.make_world,
    )


def _word(policy: str) -> str:
    return "".join(c if c.isalnum() or c in "._+-" else "_" for c in policy).strip("_")[:60]
