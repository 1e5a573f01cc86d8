"""Episodes that somebody else's loop steps. Inside is the only loop, on a thread of its own that hands over at each step of the policy."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import Connections, MakeWorld, WorldOptions, make_world, play_episode
from vlagym.benchmark.rollout import Playable
from vlagym.benchmark.runner import RunOptions, session
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.safety import Mode
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeResult, EpisodeSpec, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.conventions import agreed_action

_JOIN_S = 60.0
"""How long the end of the thread is waited for: it finishes the control step that it is in."""

_NAME = "episodes"
"""Of the threads."""
_TURN = threading.Lock()
"""Held by the thread that works: the GL context of a process is one, and whoever waits for the outside gives it away."""

Play = Callable[[EpisodeSpec], EpisodeResult]


class Abandoned(VlagymError):
    """The loop outside left an episode before its end."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where episodes are played, opened and closed on the thread."""

    play: Play
    """Plays an episode to its end, asking the policy that the stage was opened with."""
    owed: frozenset[str] | None = None
    """Digests of those that may be played; None: any."""
    path: Path | None = None
    """The run folder, where there is one."""


Open = Callable[["Seat"], AbstractContextManager[Stage]]
"""Opens a stage for the policy in the seat."""


class Seat:
    """The policy of a loop outside: hands over what it is shown, and waits for the answer. Lives on the thread of the episodes."""

    def __init__(self, spec: PolicySpec) -> None:
        """Makes a seat.

        Args:
          spec: What whoever sits outside reads and sends.
        """
        self.spec = spec
        self.calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        """From outside."""
        self.told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
        """To the outside; one for each call, and one more when the thread ends."""
        self.world: Playable | None = None
        """That in which the present episode is played."""
        self._agreed: ActionSpec | None = None

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode."""
        self._agreed = agreed_action(self.spec, context.action)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Hands the observation over and returns the answer.

        Raises:
          Abandoned: If that is the answer.
        """
        ((slot, seen),) = observations.items()
        assert self._agreed is not None
        call = self.hand_over(_Told(seen=seen))
        if call.leaves is not None:
            raise Abandoned(call.leaves)
        return {slot: ActionChunk(values=call.actions, spec=self._agreed)}  # whatever they are: whoever asked looks at them

    def close(self) -> None:
        """Does nothing: whoever sits outside is not ours to close."""

    def hand_over(self, told: _Told) -> _Call:
        """Tells the outside, waits for a call that goes on with the episodes, and serves those that only look."""
        while True:
            _release()
            _TURN.release()
            try:
                self.told.put(told)
                call = self.calls.get()
            finally:
                _TURN.acquire()
            if call.look is None:
                return call
            try:
                told = _Told(value=None if self.world is None else call.look(self.world))
            except Exception as error:
                told = _Told(error=error)

    def keep(self, make: MakeWorld) -> MakeWorld:
        """Returns what makes worlds as `make` does, and keeps the last one to be looked at."""

        def made(options: WorldOptions) -> Any:
            world = make(options)
            self.world = world
            return world

        return made


class _Call(NamedTuple):
    """What the loop outside wants. One of the fields is there; none: the end."""

    begins: EpisodeSpec | None = None
    actions: Any = None
    leaves: str | None = None
    look: Callable[[Any], Any] | None = None


class _Told(NamedTuple):
    """What came of it."""

    seen: Observation | None = None
    result: EpisodeResult | None = None
    stage: Stage | None = None
    value: Any = None
    error: BaseException | None = None
    is_last: bool = False
    """Nothing comes after it."""


class DrivenEpisode:
    """An episode under way: holds what its policy is shown, takes its answer, and has a result once it is over."""

    def __init__(self, driven: DrivenEpisodes, spec: EpisodeSpec) -> None:
        """Use `DrivenEpisodes.begin`."""
        self.spec = spec
        self.observation: Observation | None = None
        """The last one that the policy was shown, as it declares it; None where the episode ended before there was one."""
        self.result: EpisodeResult | None = None
        """None while it goes on."""
        self.steps = 0
        """Answers that were taken; each is a step of the policy, which may last for several of the environment."""
        self._driven = driven

    @property
    def is_over(self) -> bool:
        return self.result is not None

    def step(self, actions: NDArray[Any]) -> None:
        """Executes the policy's answer until it is asked again or the episode is over.

        An answer that is none, or is refused by the environment, ends the episode with an error, as it does in a run.

        Args:
          actions: `(T, D)` in the policy's convention; `(D,)` is a chunk of one.

        Raises:
          VlagymError: If the episode is over.
        """
        if self.is_over:
            raise VlagymError(f"the episode {self.spec.digest()[:12]} is over; begin another one")
        self.steps += 1
        values = np.asarray(actions)
        values = values[None] if values.ndim == 1 else values
        self._take(self._driven._ask(_Call(actions=values.astype(np.float32) if values.dtype.kind in "fiu" else values)))

    def abandon(self, why: str) -> None:
        """Ends the episode before its time: it becomes an error that says why. Harmless when it is over."""
        if not self.is_over:
            self._take(self._driven._ask(_Call(leaves=why)))

    def _take(self, told: _Told) -> None:
        self.observation = told.seen or self.observation
        self.result = told.result


class DrivenEpisodes:
    """Plays one episode after another for a loop outside.

    World, renderer and rollout live on one thread from beginning to end. The caller's thread waits while that one works, and that one while the
    caller does; of several such threads of a process one works at a time, for they share its GL context. Whatever goes wrong there is raised here;
    where this object is forgotten or the process ends, the episode under way is abandoned and everything is closed.
    """

    def __init__(self, policy: PolicySpec, opens: Open) -> None:
        """Starts the thread and opens the stage.

        Args:
          policy: What the loop outside reads and sends.
          opens: Opens the stage; called on the thread, as is its end.

        Raises:
          VlagymError: Whatever opening the stage raises.
        """
        self._seat = Seat(policy)
        self._episode: DrivenEpisode | None = None
        self._thread = threading.Thread(target=_work, args=(self._seat, opens), name=_NAME, daemon=True)
        _release()
        self._thread.start()
        self._end = weakref.finalize(self, _end, self._seat, self._thread)
        stage = self._wait().stage
        assert stage is not None
        self.path, self._owed = stage.path, stage.owed

    @property
    def owed(self) -> frozenset[str] | None:
        """Digests of the episodes that may still be begun; None: any, as often as one likes."""
        return self._owed

    def begin(self, spec: EpisodeSpec) -> DrivenEpisode:
        """Begins an episode; one that is under way is abandoned.

        Raises:
          BadData: If it is stored already, or is none of the run's.
        """
        self.leave("another episode was begun")
        digest = spec.digest()
        if self._owed is not None:
            if digest not in self._owed:
                what = f"{spec.task} seed {spec.seed} ({digest[:12]})"
                raise BadData(f"{what} is no episode that the run in {self.path} still owes: each is played once. Begin another run, elsewhere")
            self._owed -= {digest}
        episode = DrivenEpisode(self, spec)
        self._episode = episode
        episode._take(self._ask(_Call(begins=spec)))
        return episode

    def leave(self, why: str) -> None:
        """Abandons the episode that is under way, if there is one."""
        if self._episode is not None:
            self._episode.abandon(f"{why} after {self._episode.steps} steps of this one")
            self._episode = None

    def look(self, at: Callable[[Any], Any]) -> Any:
        """Returns what a function finds in the present world; None where there is none. The function is called on the thread.

        It must change nothing.
        """
        return self._ask(_Call(look=at)).value

    def close(self) -> None:
        """Abandons the episode that is under way and ends the thread. Harmless when that was done before.

        Raises:
          VlagymError: If the stage cannot be closed.
        """
        if not self._end.detach():
            return
        told = _end(self._seat, self._thread)
        if told is not None and told.error is not None:
            raise told.error

    def _ask(self, call: _Call) -> _Told:
        if not self._end.alive:
            raise VlagymError("these episodes were closed")
        _release()  # the caller may have rendered itself
        self._seat.calls.put(call)
        return self._wait()

    def _wait(self) -> _Told:
        told = self._seat.told.get()
        if told.is_last:
            self._end.detach()
        if told.error is not None:
            raise told.error
        return told


def stored(options: RunOptions, episodes: Sequence[EpisodeSpec]) -> Open:
    """Returns a stage that writes a run folder as `vlagym run` does: header, ledger, traces and certificates.

    The run has ended when all its episodes are stored; else it can be resumed.

    Args:
      options: How. What concerns workers, retries and the policy is said here.
      episodes: All that the run is to hold.
    """

    @contextlib.contextmanager
    def opens(seat: Seat) -> Iterator[Stage]:
        reporter = _Reporter()
        wanted = dataclasses.replace(
            options,
            executor="serial",
            workers=None,
            retries=0,
            stop_after_errors=0,
            load=lambda: seat,
            make_world=seat.keep(options.make_world),
        )
        with session(wanted, episodes, reporter) as under_way:

            def play(spec: EpisodeSpec) -> EpisodeResult:
                under_way.play([spec.digest()])
                return reporter.last[spec.digest()]

            yield Stage(play=play, owed=frozenset(under_way.owed), path=under_way.path)
            if not under_way.owed:
                under_way.finish()

    return opens


def unstored(world: WorldOptions, *, safety: Mode = "off", make: MakeWorld = make_world) -> Open:
    """Returns a stage that plays episodes and keeps nothing of them.

    Args:
      world: How it is rendered.
      safety: Of the safety filter.
      make: Builds the world.
    """

    @contextlib.contextmanager
    def opens(seat: Seat) -> Iterator[Stage]:
        connections = Connections(seat.spec)
        with contextlib.closing(seat.keep(make)(world)) as played_in:

            def play(spec: EpisodeSpec) -> EpisodeResult:
                return play_episode(played_in, spec, seat, connections=connections, safety=safety).result

            yield Stage(play=play)

    return opens


class _Reporter:
    def __init__(self) -> None:
        self.last: dict[str, EpisodeResult] = {}

    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None:
        self.last[result.digest] = result


def _release() -> None:
    """Gives the GL context away, where this process has one."""
    cameras = sys.modules.get("vlagym.envs.cameras")
    if cameras is not None:
        cameras.release()


def _work(seat: Seat, opens: Open) -> None:
    """The thread: whatever happens, the outside is told."""
    last = _Told(is_last=True)
    with _TURN:
        try:
            with opens(seat) as stage:
                told = _Told(stage=stage)
                while (spec := seat.hand_over(told).begins) is not None:
                    told = _Told(result=stage.play(spec))
        except BaseException as error:
            last = _Told(error=error, is_last=True)
        _release()
    seat.told.put(last)


def _end(seat: Seat, thread: threading.Thread) -> _Told | None:
    """Abandons what is under way and ends the thread; returns the last that it told."""
    _release()
    seat.calls.put(_Call(leaves="the loop outside ended"))
    seat.calls.put(_Call())
    if threading.current_thread().name == _NAME:
        return None  # what is forgotten may be found out on any thread, on one that has the turn too: it must not wait
    thread.join(_JOIN_S)
    told: _Told | None = None
    while not seat.told.empty():
        told = seat.told.get()
    return told
