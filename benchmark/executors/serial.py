"""Everything in one process, one episode after another."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from vlagym.benchmark.executor import Crew, Finished, LocalPort, Schedule
from vlagym.benchmark.rollout import record_of


def EXECUTOR(crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
    """Yields jobs as they end. `crew.workers` means nothing here: there is one."""
    port = None if crew.policy is None else LocalPort(crew.policy)
    with contextlib.closing(crew.make()) as player:
        while (job := schedule.take()) is not None:
            try:
                finished = Finished(job=job, result=player.play(job, port))
            except Exception as error:
                finished = Finished(job=job, error=record_of(error))
            yield finished
