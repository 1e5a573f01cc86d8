"""Everything in one process, one episode after another."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from vlagym.benchmark.executor import Crew, Finished, LocalPort, Player, Schedule
from vlagym.benchmark.rollout import record_of
from vlagym.envs.errors import BadData, PolicyUnreachable


def EXECUTOR(crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
    """Yields jobs as they end. `crew.workers` means nothing here: there is one.

    Raises:
      BadData: If there is a time limit: nobody is there to end a job that does not come back.
    """
    if crew.job_timeout_s is not None:
        raise BadData("the serial executor cannot end an episode that takes too long; leave out the time limit, or take --executor processes")
    port = None if crew.policy is None else LocalPort(crew.policy, reconnect_s=crew.reconnect_s)
    with contextlib.ExitStack() as at_the_end:
        player: Player[Any] | None = None
        while (job := schedule.take()) is not None:
            try:
                player = player or at_the_end.enter_context(contextlib.closing(crew.make()))
            except PolicyUnreachable as error:
                yield Finished(job=job, error=record_of(error), ended_by="policy_error")
                continue
            try:
                finished = Finished(job=job, result=player.play(job, port))
            except Exception as error:
                finished = Finished(job=job, error=record_of(error))
            yield finished
