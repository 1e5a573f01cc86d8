"""An episode that a person has played: all that was noted on the way, and the demonstration that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.collecting.pictures import pictures
from vlagym.benchmark.collecting.sentences import paraphrases
from vlagym.benchmark.collecting.tape import Tape
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.teleoperation.driver import Driver
from vlagym.benchmark.teleoperation.pace import Pace, RealTime
from vlagym.benchmark.teleoperation.shelf import Drawn, Tried
from vlagym.benchmark.teleoperation.steering import Speeds
from vlagym.results.demonstration import DatasetInfo, Demonstration


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """How it is played; what is recorded stands in the `DemoOptions`."""

    speeds: Speeds = field(default_factory=Speeds)
    view_size: int = 384
    """Height and width in pixels of what the player sees of each camera."""
    wait_s: float = 60.0
    """How long a player whose page was closed in the middle of an episode is waited for."""
    horizon_factor: float = 1.0
    operator: str = ""
    """Who plays, as the demonstrations say it; "": nobody says."""
    pace: Callable[[float], Pace] = RealTime
    """Makes the pace of a control rate in Hz."""


@dataclass(kw_only=True)
class Played:
    """An episode that was played, and all that was noted on the way."""

    drawn: Drawn
    driver: Driver
    rollout: Rollout
    recorder: Recorder
    tape: Tape
    pace: Pace
    began: str
    labels: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def how(self) -> str:
        return self.driver.end or str(self.rollout.ended_by)

    @property
    def tried(self) -> Tried:
        clock_s = self.driver.clock_s
        return Tried(drawn=self.drawn, how=self.how, steps=len(self.labels), spent_s=clock_s[-1] if clock_s else 0.0)

    def demonstration(self, options: DemoOptions, info: DatasetInfo, play: PlayOptions) -> Demonstration:
        """Returns it as a demonstration; its images are rendered for that, after which the episode cannot go on.

        Args:
          options: What is recorded.
          info: Of the dataset.
          play: How it was played.
        """
        spec, trace = self.drawn.spec, self.rollout.trace()
        assert trace is not None
        steps = len(self.labels)
        seen = pictures(self.tape, trace, options.images, options.frame_stride, image_size=options.image_size, depth=options.depth)
        commanded = self.tape.commanded
        return self.recorder.demonstration(
            seen,
            is_success=self.rollout.ended_by == "goal",
            commands={
                name: motion.told(spec, to, np.stack(self.labels), commanded[:steps], commanded[1 : steps + 1])
                for name, to in info.commands.items()
            },
            paraphrases=paraphrases(spec, options.paraphrases),
            certificate=self.rollout.certificate(),
            extra={
                "teleoperation": {
                    "by": "human",
                    "operator": play.operator,
                    "through": "browser",
                    "devices": dict(self.driver.devices),
                    "began": self.began,
                    "clock_s": self.driver.clock_s,
                    "paused_s": round(self.driver.paused_s, 3),
                    "late_steps": self.pace.late_steps,
                    "held_steps": self.driver.held_steps,
                    "slow_m_s": play.speeds.slow_m_s,
                    "fast_m_s": play.speeds.fast_m_s,
                    "horizon_factor": play.horizon_factor,
                }
            },
        )
