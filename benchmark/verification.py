"""What `vlagym verify` and `vlagym publish` share: a run is verified before the eyes of whoever waits, and what was not checked is put into words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console

if TYPE_CHECKING:
    from vlagym.benchmark.suite import Suite
    from vlagym.benchmark.verdict import Verdict
    from vlagym.benchmark.verify import Checked
    from vlagym.envs.types import EpisodeSpec, RunHeader

_SHOWN = 6
"""Differences of one episode that are printed."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A run that was verified to the end."""

    checked: Checked
    verdicts: Sequence[Verdict]
    header: RunHeader

    @property
    def bad(self) -> list[Verdict]:
        """Episodes that differ."""
        return [v for v in self.verdicts if v.differences]

    @property
    def errored(self) -> list[Verdict]:
        """Episodes that ended in an error, as far as nothing contradicts them: nobody can confirm that."""
        return [v for v in self.verdicts if v.result.outcome == "error" and not v.differences and not v.error]

    @property
    def unplayed(self) -> list[Verdict]:
        """Episodes that could not be simulated on this machine, as far as nothing contradicts them: they are neither confirmed nor refuted."""
        return [v for v in self.verdicts if v.error and not v.differences]

    @property
    def num_confirmed(self) -> int:
        return sum(v.is_confirmed for v in self.verdicts)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Measures of the ledger that no metric at hand gives."""
        return tuple(sorted({name for v in self.verdicts for name in v.unchecked}))

    @property
    def lacking(self) -> tuple[str, ...]:
        """What was simulated and what the run, which is older, holds of no episode."""
        return tuple(sorted({name for v in self.verdicts for name in v.lacking}))

    @property
    def self_reported(self) -> tuple[str, ...]:
        """Measures that are what the run states: those of latency, of how often the policy was asked, and what the policy says of itself."""
        from vlagym.benchmark import cadence
        from vlagym.benchmark.scoring import LATENCY, STATED
        from vlagym.benchmark.verify import chunking_of

        names = {name for v in self.verdicts for name in v.result.measures}
        stated = () if cadence.is_decided(chunking_of(self.header)) else cadence.MEASURES
        return tuple(sorted(name for name in names if name.startswith((LATENCY, STATED)) or name in stated))

    @property
    def told(self) -> str:
        """How many episodes were confirmed, and what of them."""
        from vlagym.benchmark.scoring import LATENCY, STATED

        names = self.self_reported
        asked = ["how often the policy was asked"] if any(not name.startswith((LATENCY, STATED)) for name in names) else []
        said = ["what the policy says of itself"] if any(name.startswith(STATED) for name in names) else []
        but = " and ".join(["latency", *asked, *said])
        return f"{self.num_confirmed} of {self.checked.total} episodes confirmed: actions, states and every measure but {but}"

    def notes(self) -> list[str]:
        """Returns, in sentences, all that was not checked."""
        from vlagym.results import spl

        out = []
        if self.lacking:
            names = ", ".join(self.lacking)
            out.append(f"the run holds no {names}: it is older than they are. Measure it anew: vlagym score {self.checked.run} --write")
        for name in self.unchecked:
            why = "it follows from a reference run" if name in spl.OF else "no metric at hand gives it; name yours with --metric MODULE:ATTRIBUTE"
            out.append(f"not checked: the measure {name!r}, for {why}")
        return [*out, *(f"not checked: {sentence}" for sentence in self.checked.reservations)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is verified, and how."""
    parser.add_argument("--metric", action="append", default=[], metavar="MODULE:ATTRIBUTE", help="a metric of your own, besides ours; repeatable")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 simulates in this process")


def verified(run: Path, options: argparse.Namespace, *, sample: int | None = None, seed: int = 0) -> Verification:
    """Verifies a run, says how far it is, and prints what differs as it is found.

    Args:
      run: Its folder.
      options: Those of `add_options`.
      sample: How many episodes are simulated; None: all.
      seed: Of the draw of a sample.

    Raises:
      BadData: As `benchmark.verify.verify`.
      UnknownName: Likewise.
    """
    from vlagym.benchmark.header import usable_cores
    from vlagym.benchmark.runner import expand
    from vlagym.benchmark.verify import verify
    from vlagym.envs import backend
    from vlagym.results.store import Store

    backend.choose()
    workers = usable_cores() if options.workers is None else options.workers

    def sampled(suite: Suite) -> Sequence[EpisodeSpec]:
        with console.Progress(suite.num_episodes, f"sampling {suite.name}") as progress:
            return expand(suite, workers, progress.advance)

    executor = "serial" if workers == 1 else "processes"
    checked = verify(run, sample=sample, seed=seed, workers=workers, executor=executor, metrics=options.metric, expand=sampled)
    for difference in checked.differences:
        console.note(f"the run as a whole: {difference.what}: {difference.how}")
    verdicts: list[Verdict] = []
    with console.Progress(checked.total, "verify") as progress:
        for verdict in checked.verdicts:
            verdicts.append(verdict)
            if verdict.differences:
                console.note(_say(verdict))
            if verdict.error:
                console.note(f"{_name(verdict)} could not be simulated here: {verdict.error}")
            progress.advance()
    return Verification(checked=checked, verdicts=verdicts, header=Store.open(run).header)


def _name(verdict: Verdict) -> str:
    return f"{verdict.result.task} seed {verdict.result.seed} (episode {verdict.result.digest})"


def _say(verdict: Verdict) -> str:
    lines = [f"{_name(verdict)} differs:"]
    lines += [f"  {d.what}: {d.how}" for d in verdict.differences[:_SHOWN]]
    if len(verdict.differences) > _SHOWN:
        lines.append(f"  and {len(verdict.differences) - _SHOWN} more: {', '.join(d.what for d in verdict.differences[_SHOWN:])}")
    if verdict.found_outcome is not None:
        stored = verdict.result.outcome
        lines.append(f"  the outcome is {'the same' if verdict.found_outcome == stored else verdict.found_outcome + ' and not ' + stored}")
    return "\n".join(lines)
