"""Where played episodes are kept: seeds of the training split, one after another, and a dataset of any format that the saved ones go into."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NamedTuple

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.demonstrator import size_of
from vlagym.benchmark.collecting.disk import SPARE_BYTES
from vlagym.benchmark.collecting.ledger import fingerprint, read_list, write_line
from vlagym.benchmark.collecting.options import Attempt, DemoOptions, check, held_out
from vlagym.benchmark.header import packages_of_datasets
from vlagym.envs import arithmetic, catalog
from vlagym.envs.catalogues import CORE
from vlagym.envs.errors import BadData, Unsatisfiable, VlagymError
from vlagym.envs.split import digest as split_digest
from vlagym.envs.types import EpisodeSpec, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import DatasetWriter, Format

_MOST_SEEDS = 50
"""Seeds that are tried for an episode."""
_ONLY = 0
"""Number of the entry that is played."""


class Drawn(NamedTuple):
    """An episode that may be played."""

    seed: int
    spec: EpisodeSpec


class _Unfinished(VlagymError):
    """The dataset is left to be gone on with."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of an episode that was played, as the list beside the dataset tells it."""

    drawn: Drawn
    how: str
    steps: int
    spent_s: float
    """Wall time that it took to play, without pauses."""
    rendered_s: float = 0.0
    """Wall time that it took to render what is stored."""


class Shelf:
    """Draws episodes, and keeps those that are saved. Use it in a `with` statement; the dataset is made whole by `finish` alone.

    The list of what was tried lies beside the dataset and has the form of that of `vlagym demo`: what was played before is not drawn again.
    """

    def __init__(self, options: DemoOptions, horizon_factor: float = 1.0) -> None:
        """Looks at what is allowed, and at what is there already.

        Args:
          options: Of one entry, whose first seed is the first that is drawn.
          horizon_factor: How many times as long as usual an episode may last: people are slower than experts.

        Raises:
          BadData: If what is held out for tests would be played, the seeds are those of suites or seasons, or the list beside the dataset belongs
            to other options.
        """
        check(options)
        if not 0.1 <= horizon_factor <= 100.0:
            raise BadData(f"an episode lasts 0.1 to 100 times as long as usual, not {horizon_factor:g} times")
        self._options, self._horizon_factor = options, horizon_factor
        self._entry = options.entries[_ONLY]
        self._format: Format = catalog.load("format", options.format)
        self._list = options.out.with_name(options.out.name + ".attempts.jsonl")
        self._has_list = self._list.exists()
        self._tried = {attempt.seed for attempt in read_list(self._list, options, split_digest())}
        self._stack = contextlib.ExitStack()
        self._writer: DatasetWriter | None = None
        self._info: DatasetInfo | None = None
        self._lines: Any = None
        self._first: Drawn | None = None
        self.num_played = 0
        """Episodes that were played since it was opened."""

    def __enter__(self) -> Shelf:
        """Opens the dataset, or goes on with it.

        Raises:
          BadData: If there is no episode to play, no room on the disk, the dataset is whole or held by another process, or cannot be written.
        """
        self._first = self.draw(self._entry.first_seed)
        options = self._options
        self._info = _info(options, self._first.spec)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        if (free := options.free_bytes(options.out.parent)) < SPARE_BYTES:
            raise BadData(f"{options.out.parent} has {free / 1e6:.0f} MB free, and {SPARE_BYTES / 1e6:.0f} MB are needed to begin with: make room")
        with contextlib.ExitStack() as stack:
            self._writer = stack.enter_context(self._format.write(options.out, self._info))
            self._lines = stack.enter_context(self._list.open("a", encoding="utf-8"))
            if not self._list.stat().st_size:
                write_line(self._lines, fingerprint(options, split_digest()))
            if self._first.spec.digest() in self._writer.digests:  # its line was lost
                self._first = self.draw(self._first.seed + 1)
            self._stack = stack.pop_all()
        return self

    @property
    def info(self) -> DatasetInfo:
        """What holds for all demonstrations."""
        assert self._info is not None
        return self._info

    @property
    def first(self) -> Drawn:
        """The first episode that was not played yet."""
        assert self._first is not None
        return self._first

    @property
    def num_saved(self) -> int:
        """Demonstrations of the dataset, those of earlier times included."""
        return 0 if self._writer is None else len(self._writer.digests)

    def draw(self, seed: int) -> Drawn:
        """Returns the episode of the first seed from this one on that was not played and gives one.

        Raises:
          Unsatisfiable: If many seeds in a row give none.
          BadData: If the episode holds what is kept for tests.
        """
        options, last = self._options, ""
        stored = () if self._writer is None else self._writer.digests
        for _ in range(_MOST_SEEDS):
            while seed in self._tried:
                seed += 1
            check(replace(options, entries=(replace(self._entry, first_seed=seed),)))
            try:
                spec = self._entry.sample(seed, options.sample)
            except Unsatisfiable as error:
                last, seed = str(error), seed + 1
                continue
            spec = replace(spec, horizon_s=round(spec.horizon_s * self._horizon_factor, 3))
            unseen = () if options.allow_unseen else options.find_unseen(spec, places=self._entry.catalogue != CORE)
            if unseen:
                what = f"the episode of {spec.task} with seed {seed} holds what is kept for tests: {', '.join(unseen)}"
                raise BadData(f"{what}. It is played only with --allow-unseen")
            if spec.digest() not in stored:
                return Drawn(seed, spec)
            seed += 1
        raise Unsatisfiable(f"{_MOST_SEEDS} seeds of {self._entry.task} up to {seed - 1} gave no episode that was not played yet. {last}".rstrip())

    def save(self, tried: Tried, demonstration: Demonstration) -> int:
        """Stores a demonstration; when this returns, a kill no longer loses it.

        Returns:
          Its size in bytes.

        Raises:
          BadData: If it does not fit the dataset or the format, or the disk is full. It can be saved again, once there is room.
        """
        assert self._writer is not None
        began_s, num_bytes = time.perf_counter(), 0
        if demonstration.digest not in self._writer.digests:
            part = self._format.store(self._options.out, self.info, demonstration)
            num_bytes = size_of(part.path)
            self._writer.take(part)
        self._put_down(tried, kept=True, num_bytes=num_bytes, stored_s=time.perf_counter() - began_s)
        return num_bytes

    def drop(self, tried: Tried) -> None:
        """Puts down that an episode was played and not kept."""
        self._put_down(tried, kept=False)

    def finish(self) -> None:
        """Makes the dataset whole and gives it its name.

        Raises:
          BadData: If nothing was saved, or it cannot be made; what was saved is kept beside it.
        """
        assert self._writer is not None
        if not self.num_saved:
            raise BadData("nothing was saved, so there is no dataset to finish")
        self._writer.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_idle = not self._has_list and not self._tried
        left = error or _Unfinished("left to be gone on with")  # what leaves a writer so is kept, and not made whole
        self._stack.__exit__(type(left), left, left.__traceback__)
        if is_idle:
            self._list.unlink(missing_ok=True)

    def _put_down(self, tried: Tried, *, kept: bool, num_bytes: int = 0, stored_s: float = 0.0) -> None:
        spec = tried.drawn.spec
        attempt = Attempt(
            task=spec.task,
            seed=tried.drawn.seed,
            entry=_ONLY,
            digest=spec.digest(),
            kept=kept,
            how=tried.how,
            steps=tried.steps,
            instruction=spec.instruction,
            num_bytes=num_bytes,
            times_s=(round(tried.spent_s, 4), round(tried.rendered_s, 4), round(stored_s, 4)),
        )
        try:
            write_line(self._lines, to_plain(attempt))
        except OSError as error:
            raise BadData(f"{self._list} cannot be written: {error.strerror}") from error
        self._tried.add(tried.drawn.seed)
        self.num_played += 1


def _info(options: DemoOptions, spec: EpisodeSpec) -> DatasetInfo:
    return DatasetInfo(
        action=spec.control,
        images={camera: ImagePreprocessing(crop=s.crop, size=s.size) for camera, s in options.images.items()},
        provenance={
            "command": list(options.command),
            "packages": packages_of_datasets(),
            "arithmetic": arithmetic.told(),
            "held_out": held_out(options.entries),
            **fingerprint(options, split_digest()),
        },
        robot=spec.robot,
        state=options.state,
        depth=tuple(options.images) if options.depth else (),
        commands=motion.conventions(spec) if options.commands else {},
    )
