"""What demonstrations cost on this machine: how long an episode is played, rendered and written, and how large it is, format by format."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vlagym.benchmark.collecting.options import Attempt, DemoOptions
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.benchmark.speed import BenchOptions
from vlagym.benchmark.suite_files import task_suite
from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError
from vlagym.envs.images import Shrink
from vlagym.results.format import Format

USUAL_STEPS = 150
"""Of an episode whose size is told."""
TASK = "place_on"
_CAMERA_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class DemoSpeed:
    """Processor time of a collection in one process, in ms for each control step of its demonstrations."""

    format: str
    episodes: int
    """That were tried; one before them, in which caches are filled, does not count."""
    kept: int
    steps: int
    """Of those that were kept."""
    played_ms: float
    """Sampling an episode and playing it without cameras, failures included."""
    rendered_ms: float
    written_ms: float
    """Encoding demonstrations and storing them beside the dataset."""
    built_ms: float
    """Making the dataset of them."""
    episode_mb: float
    """Of 150 steps, in the dataset."""

    @property
    def total_ms(self) -> float:
        return self.played_ms + self.rendered_ms + self.written_ms + self.built_ms

    @property
    def share_of_writing(self) -> float:
        """Of the whole time: written and built."""
        return (self.written_ms + self.built_ms) / self.total_ms

    @property
    def episodes_per_minute(self) -> float:
        """Demonstrations that one core makes in a minute."""
        return 60e3 * self.kept / (self.total_ms * self.steps)

    @property
    def played_per_minute(self) -> float:
        """The same without cameras and without writing."""
        return 60e3 * self.kept / (self.played_ms * self.steps)


def formats(wanted: Sequence[str]) -> tuple[str, ...]:
    """Returns the formats that are measured. Raises UnknownName."""
    return tuple(catalog.known("format", name) for name in dict.fromkeys(wanted))


def measure(name: str, options: BenchOptions, advance: Callable[[], None] = lambda: None) -> DemoSpeed:
    """Collects demonstrations in this process into a temporary folder, and counts the processor time of it.

    Args:
      name: Of the format.
      options: Robot, base, tasks, cameras and size; `repeats` episodes of each task are tried.
      advance: Called after each episode.

    Raises:
      VlagymError: If none of them was kept.
      BadData: If the format has no place for such demonstrations.
      MissingPackage: Without what the format needs.
    """
    format_: Format = catalog.load("format", name)
    with TemporaryDirectory(prefix="vlagym-bench-") as folder:
        out = Path(folder) / f"demonstrations{format_.suffix}"
        attempts: list[Attempt] = []
        collection = iter(Collection(_options(name, out, options)))
        ended_s = 0.0
        for attempt in collection:
            attempts.append(attempt)
            advance()
            ended_s = time.process_time()
        built_s = time.process_time() - ended_s
        counted = attempts[1:]
        steps = sum(a.steps for a in counted if a.kept)
        if not steps:
            raise VlagymError(f"{' and '.join(options.tasks)}: {len(attempts)} episodes gave no demonstration ({attempts[-1].how}); raise --repeats")
        all_steps = sum(a.steps for a in attempts if a.kept)
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) if out.is_dir() else out.stat().st_size
    played_s, rendered_s, written_s = (sum(a.times_s[i] for a in counted) for i in range(3))
    return DemoSpeed(
        format=name,
        episodes=len(counted),
        kept=sum(a.kept for a in counted),
        steps=steps,
        played_ms=1e3 * played_s / steps,
        rendered_ms=1e3 * rendered_s / steps,
        written_ms=1e3 * written_s / steps,
        built_ms=1e3 * built_s / all_steps,
        episode_mb=USUAL_STEPS * size / all_steps / 1e6,
    )


def _options(name: str, out: Path, options: BenchOptions) -> DemoOptions:
    suite = task_suite(options.tasks or [TASK], episodes=options.repeats + 1, first_seed=FIRST_DEMO_SEED)
    entries = suite.restrict(robot=options.robot, base=None if options.base == "default" else options.base).check_names().entries
    side = options.side_px
    is_shrunk = _CAMERA_SIZE % side == 0
    return DemoOptions(
        entries=entries,
        out=out,
        images=dict.fromkeys(options.views, Shrink(crop=_CAMERA_SIZE if is_shrunk else side, size=side)),
        image_size=None if is_shrunk else side,
        format=name,
        executor="serial",
        quality=options.quality,
        look=options.look,
        clock=time.process_time,
    )
