"""Films and strips for the pages of a leaderboard: of each policy some episodes, failures first, each beside its unvaried twin."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from vlagym.benchmark.episode import MakeWorld, make_world
from vlagym.benchmark.replay import film
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import EpisodeResult
from vlagym.results.salvage import read_run
from vlagym.results.site import Media, standing
from vlagym.results.store import Store

Suffix = Literal[".mp4", ".png"]
"""A film, or a strip of frames, which is smaller and can be printed."""

_T = TypeVar("_T")


class Chosen(NamedTuple):
    """An episode to be shown."""

    run: Path
    digest: str


class Rendered(NamedTuple):
    """What was rendered, and what could not be."""

    media: Media
    complaints: tuple[str, ...]


def render(
    runs: Sequence[Path],
    count: int,
    into: Path,
    *,
    suffix: Suffix = ".mp4",
    quality: str = "fast",
    stands: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    make_world: MakeWorld = make_world,
) -> Rendered:
    """Renders episodes of some runs for `vlagym.results.site.build`.

    An episode that does not run the same again on this machine is left out and told: a film of something else than what was scored would lie. So is
    a damaged run; what is wrong with it is for `build` to tell, and so is one without a header, which no page shows.

    Args:
      runs: Run folders.
      count: Episodes of each policy; their twins come on top.
      into: Folder for the files.
      suffix: What is rendered.
      quality: Of the images.
      stands: A site whose films need not be made again: those of an episode as it was played, of this suffix and quality, that are there whole. They
        are handed on as they are.
      tell: Is called with how many are done and how many there are to be made, after each.
      make_world: Builds the world.

    Raises:
      BadData: If the count is negative.
    """
    stores: dict[Path, Store] = {}
    files: dict[tuple[Path, str], Path] = {}
    complaints: list[str] = []
    for path in runs:
        try:
            stores[path] = Store.open(path)
        except BadData:  # the site shows what can be read of it, and says what cannot; what is simulated must be whole
            if read_run(path).run is not None:
                complaints.append(f"no episode of {path.name} is filmed, for the run is damaged")
    how = f"front camera, quality {quality}"
    before = standing.read(stands) if stands is not None else None
    to_make: list[Chosen] = []
    for path, digest in choose(stores, count):
        store = stores[path]
        whole = None if before is None else before.made(store.result(digest), str(store.header.policy.get("name")), suffix=suffix, how=how)
        if whole is None:
            to_make.append(Chosen(path, digest))
        else:
            files[path, digest] = whole
    for done, (path, digest) in enumerate(to_make, start=1):
        out = into / str(runs.index(path)) / f"{digest}{suffix}"
        try:
            film(stores[path], digest, out, quality=quality, make_world=make_world)
        except VlagymError as error:
            complaints.append(f"{path.name}: episode {digest[:12]} has no film: {error}")
        else:
            files[path, digest] = out
        tell(done, len(to_make))
    return Rendered(Media(files=files, how=how), tuple(complaints))


def choose(stores: dict[Path, Store], count: int) -> list[Chosen]:
    """Returns the episodes to be shown of each policy, and after each one its twin, none of them twice.

    Failures come first, the varied ones before the others, and every suite, task and failure mode before any has a second one; successes fill
    what is left. Episodes without a trace cannot be simulated again, and errored ones ended where nobody knows why: neither is shown.

    Raises:
      BadData: If the count is negative.
    """
    if count < 0:
        raise BadData(f"{count} episodes of each policy cannot be shown; it must be 0 or more")
    of_policy: dict[str, list[Path]] = defaultdict(list)
    for path, store in stores.items():
        of_policy[str(store.header.policy.get("name"))].append(path)
    chosen: dict[Chosen, None] = {}
    for paths in of_policy.values():
        shown = [(p, r) for p in paths for r in stores[p].results() if r.outcome != "error" and stores[p].has_trace(r.digest)]
        shown.sort(key=lambda episode: episode[1].base is None)  # there is something to compare the varied ones with
        failed, succeeded = ([x for x in shown if x[1].outcome == outcome] for outcome in ("failure", "success"))
        for path, result in itertools.islice(itertools.chain(_in_turns(failed, _kind), _in_turns(succeeded, _kind)), count):
            chosen[Chosen(path, result.digest)] = None
            if (twin := _twin(result, path, paths, stores)) is not None:
                chosen[twin] = None
    return list(chosen)


def _kind(episode: tuple[Path, EpisodeResult]) -> Hashable:
    path, result = episode
    return path, result.task, result.failure_mode


def _twin(result: EpisodeResult, path: Path, paths: Sequence[Path], stores: dict[Path, Store]) -> Chosen | None:
    """Returns the twin of an episode in its own run, or in another one of the policy."""
    if result.base is None:
        return None
    return next((Chosen(p, result.base) for p in (path, *paths) if stores[p].has_trace(result.base)), None)


def _in_turns(items: Iterable[_T], kind: Callable[[_T], Hashable]) -> Iterator[_T]:
    """Yields the first item of each kind, then the second of each, and so on."""
    kinds: dict[Hashable, list[_T]] = defaultdict(list)
    for item in items:
        kinds[kind(item)].append(item)
    for row in itertools.zip_longest(*kinds.values()):
        yield from (item for item in row if item is not None)
