"""Processes that train one network: they add up vectors in a file that all of them have mapped into memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vlagym.envs.errors import VlagymError


class WorkerDied(VlagymError):
    """A training process ended before the others did."""


class Work(Protocol):
    """What every process does; a function of a module, so that another process can find it."""

    def __call__(self, team: Team, /, *args: Any) -> None: ...


class Team:
    """One member's view of all processes; it is handed to each of them."""

    def __init__(self, rank: int, size: int, file: Path | None = None, barrier: Barrier | None = None) -> None:
        """Makes a member.

        Args:
          rank: 0 … size - 1.
          size: Processes.
          file: Where vectors are exchanged; not needed alone.
          barrier: Of all processes; not needed alone.
        """
        self.rank, self.size = rank, size
        self._file, self._barrier = file, barrier
        self._shared: np.memmap[Any, np.dtype[np.float32]] | None = None
        self._turn = 0

    def add_up(self, vector: Tensor) -> None:
        """Replaces the vector, float32 on the CPU and equally long everywhere, by its sum over all processes.

        Every process adds in the same order, so that all get the same bits.

        Raises:
          WorkerDied: If another process has ended.
        """
        if self._barrier is None or self._file is None:
            return
        if self._shared is None:
            # Two turns: a process may write the next vector while another still reads this one.
            shape = (2, self.size, vector.numel())
            if self.rank == 0:
                np.memmap(self._file, np.float32, "w+", shape=shape).flush()
            self._wait()
            self._shared = np.memmap(self._file, np.float32, "r+", shape=shape)
        slots = torch.from_numpy(self._shared[self._turn])
        self._turn = 1 - self._turn
        slots[self.rank].copy_(vector)
        self._wait()
        torch.sum(slots, dim=0, out=vector)

    def _wait(self) -> None:
        assert self._barrier is not None
        try:
            self._barrier.wait()
        except threading.BrokenBarrierError:
            raise WorkerDied(
                f"another of {self.size} training processes has ended (its own error stands above). "
                "Start again with --resume; where memory ran out, with fewer --workers"
            ) from None


@contextmanager
def team(size: int, file: Path, work: Work, args: tuple[Any, ...]) -> Iterator[Team]:
    """Starts the other processes, each of which does `work(team, *args)`, and gives this one its own place among them.

    Args:
      size: Processes, this one included.
      file: Where vectors are exchanged; removed at the end.
      work: What the others do.
      args: For them; must travel by pickle.
    """
    if size == 1:
        yield Team(0, 1)
        return
    context = get_context("spawn")
    barrier = context.Barrier(size)
    members = [
        context.Process(target=_join, args=(work, Team(rank, size, file, barrier), args), daemon=True, name=f"train-{rank}")
        for rank in range(1, size)
    ]
    for member in members:
        member.start()
    over = threading.Event()
    threading.Thread(target=_break_when_one_dies, args=(members, barrier, over), daemon=True).start()
    try:
        yield Team(0, size, file, barrier)
        for member in members:
            member.join()
    finally:
        over.set()
        for member in members:
            member.terminate()
            member.join()
        file.unlink(missing_ok=True)


def _join(work: Work, team: Team, args: tuple[Any, ...]) -> None:
    import os
    import signal

    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:

        def leave_with_parent() -> None:
            connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=leave_with_parent, daemon=True).start()
    work(team, *args)


def _break_when_one_dies(members: list[SpawnProcess], barrier: Barrier, over: threading.Event) -> None:
    running = list(members)
    while running and not over.is_set():
        connection.wait([m.sentinel for m in running], timeout=1.0)
        # Asked once: a process may end between two looks at it.
        codes = [m.exitcode for m in running]
        if any(codes) and not over.is_set():
            barrier.abort()
            return
        running = [m for m, code in zip(running, codes, strict=True) if code is None]
