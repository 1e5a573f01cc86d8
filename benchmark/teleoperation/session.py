"""Playing, from one episode to the next: shown, played, asked about, saved. The one loop is that of every other episode; a person is its policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.collecting.tape import Tape
from vlagym.benchmark.episode import Connections
from vlagym.benchmark.header import now
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Rollout, Step, Watch
from vlagym.benchmark.teleoperation.driver import SPEC, Driver, Pausing
from vlagym.benchmark.teleoperation.inputs import Order
from vlagym.benchmark.teleoperation.pace import Pace
from vlagym.benchmark.teleoperation.played import Played, PlayOptions
from vlagym.benchmark.teleoperation.seat import Seat
from vlagym.benchmark.teleoperation.shelf import Shelf, Tried
from vlagym.benchmark.teleoperation.steering import Steering, limbs
from vlagym.benchmark.teleoperation.views import Views
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, Divergence, VlagymError
from vlagym.policies.chunking import Chunking
from vlagym.results.demonstration import Demonstration

Phase = Literal["ready", "playing", "paused", "ended", "saving", "finishing", "finished"]

_WHOLE_FAILURES = ("horizon", "wrong_goal", "wrong_order", "fall")
"""Ends of failures that can be kept: they run the same again. What was given up in the middle does not end by itself."""
_LOOK_S = 0.25
_FLUSH_S = 0.5
"""So that the page hears of the end before the server ends."""
_HOW: Mapping[str, str] = {
    "goal": "Done: the goal is reached.",
    "wrong_goal": "Another goal of the scene was reached, not the one that was asked for.",
    "wrong_order": "A step came true before its turn.",
    "horizon": "The time is over.",
    "fall": "The robot fell.",
    "divergence": "The simulation became unstable.",
    "given up": "Given up.",
    "left": "Nobody was there any more: the episode was not kept.",
}


class Session:
    """Plays episode after episode with whoever has the seat. Lives on one thread, as the world does."""

    def __init__(self, shelf: Shelf, seat: Seat, world: Any, options: DemoOptions, play: PlayOptions, say: Callable[[str], None]) -> None:
        """Begins with nothing shown.

        Args:
          shelf: Gives the episodes and takes what is saved; it is open.
          seat: Of the player.
          world: `vlagym.envs.world.World`; it is left open.
          options: What is recorded.
          play: How it is played.
          say: Tells whoever started it what was saved.
        """
        self._shelf, self._seat, self._world, self._options, self._play, self._say = shelf, seat, world, options, play, say
        self._views = Views(world, tuple(options.images), play.view_size)
        self._connections = Connections(SPEC)
        self._episode = 0
        """Number of the present try; orders and inputs that bear another one are about what is over."""
        self._drawn = shelf.first
        self._note = ""

    def run(self) -> None:
        """Plays until the player has finished the dataset.

        Raises:
          VlagymError: If no episode can be drawn any more, or the world fails to start one.
        """
        starts_at_once = False
        while True:
            order = "start" if starts_at_once else self._ready()
            starts_at_once = False
            if order == "finish":
                if self._finish():
                    return
            elif order == "another":
                self._another()
            else:
                starts_at_once = self._round()

    # ----------------------------------------------------------------------------------------------------------------- phases
    def _ready(self) -> Order:
        """Shows the episode that is next and waits until something is to be done. A seed that does not even settle is passed over."""
        self._episode += 1
        while True:
            try:
                self._world.start(self._drawn.spec)
                break
            except Divergence as error:
                how = f"{type(error).__name__}: {error}"
                self._say(f"{self._drawn.spec.task} seed {self._drawn.seed}: {how}")
                self._shelf.drop(Tried(drawn=self._drawn, how=how, steps=0, spent_s=0.0))
                self._another(keeps_note=True)
        self._seat.show(self._views.take())
        return self._asked("ready", ("start", "another", *(("finish",) if self._shelf.num_saved else ())))

    def _round(self) -> bool:
        """Plays the present episode and asks what becomes of it; returns whether it is played again at once."""
        self._episode += 1
        self._note = ""
        tried = self._played()
        how, is_success = tried.how, tried.rollout.ended_by == "goal"
        if how in ("begun again", "changed", "left"):
            self._drop(tried, how)
            self._note = _HOW.get(how, "")
            if how == "left":
                self._say(f"{self._drawn.spec.task} seed {self._drawn.seed}: {_HOW['left']}")
            if how == "changed":
                self._another()
            return how == "begun again"
        error = tried.rollout.error
        told = _HOW.get(how) or (f"The episode ended by an error: {error.type}: {error.message}" if error else how)
        is_whole = is_success or (self._options.keep_failures and how in _WHOLE_FAILURES)
        can: tuple[Order, ...] = ("save", "discard", "again") if is_whole and tried.labels else ("again", "another")
        made: Demonstration | None = None
        rendered_s = 0.0
        while True:
            order = self._asked("ended", can, outcome="success" if is_success else "failure", how=told)
            if order != "save":
                break
            try:
                self._tell("saving", (), outcome="success" if is_success else "failure", how=told)
                if made is None:
                    began_s = time.perf_counter()
                    made = tried.demonstration(self._options, self._shelf.info, self._play)
                    rendered_s = time.perf_counter() - began_s
                num_bytes = self._shelf.save(replace(tried.tried, rendered_s=rendered_s), made)
            except (VlagymError, OSError) as failed:
                self._note = f"It could not be saved: {failed}"
                self._say(self._note)
                continue
            self._note = f"Saved: {len(tried.labels)} steps, {num_bytes / 1e6:.2f} MB."
            self._say(f"{self._drawn.spec.task} seed {self._drawn.seed}: saved, {len(tried.labels)} steps, {num_bytes / 1e6:.2f} MB")
            self._another(keeps_note=True)
            return False
        self._drop(tried, f"{how}, discarded" if is_whole else how)
        if order == "again":
            return True
        self._another()
        return False

    def _finish(self) -> bool:
        """Makes the dataset whole; returns whether it could be."""
        self._tell("finishing", ())
        try:
            self._shelf.finish()
        except (VlagymError, OSError) as failed:
            raise BadData(f"the dataset could not be finished: {failed}. The same command goes on with it, and --finish finishes it") from failed
        self._tell("finished", ())
        time.sleep(_FLUSH_S)
        return True

    def _another(self, *, keeps_note: bool = False) -> None:
        self._note = self._note if keeps_note else ""
        self._drawn = self._shelf.draw(self._drawn.seed + 1)

    def _drop(self, tried: Played, how: str) -> None:
        self._shelf.drop(replace(tried.tried, how=how))

    def _asked(self, phase: Phase, can: tuple[Order, ...], **more: Any) -> Order:
        """Shows a phase and returns what is ordered of that which can be done."""
        self._seat.forget_orders()
        self._tell(phase, can, **more)
        while True:
            ordered = self._seat.order(_LOOK_S)
            if ordered is not None and ordered.order in can and ordered.episode == self._episode:
                return ordered.order

    # ---------------------------------------------------------------------------------------------------------------- playing
    def _played(self) -> Played:
        spec = self._drawn.spec
        pace = self._play.pace(spec.control.rate_hz)
        phase: Phase = "playing"

        def paused(why: Pausing | None) -> None:
            nonlocal phase
            phase = "playing" if why is None else "paused"
            self._tell(phase, _PLAYING if why is None else _PAUSED, why=why or "", **at)

        steering = Steering(spec, self._play.speeds)
        driver = Driver(self._episode, spec.control, self._seat, steering, pace, wait_s=self._play.wait_s, tell=paused)
        pipeline = self._connections.of(spec, self._world)
        tape = Tape(self._world, tells_commands=True)
        rollout = Rollout(tape, spec, driver.decide, pipeline=pipeline, chunking=Chunking(mode="receding"), watch=Watch(cameras=()))
        recorder = Recorder(spec, self._options.images, self._options.frame_stride, is_live=False)
        tried = Played(drawn=self._drawn, driver=driver, rollout=rollout, recorder=recorder, tape=tape, pace=pace, began=now())
        at: dict[str, Any] = {"step": 0}
        self._seat.forget_orders()
        self._tell(phase, _PLAYING, **at)
        for step in rollout:
            recorder.add(step)
            tried.labels.append(step.action)
            at = _told(step, pace, driver)
            self._tell(phase, _PLAYING, **at)
            shown = self._views.take_if_time(pace.spare_s(), driver.large)
            if shown:
                self._seat.show(shown)
        if tried.labels and rollout.ended_by != "divergence":
            self._seat.show(self._views.take())
        return tried

    # ---------------------------------------------------------------------------------------------------------------- telling
    def _tell(self, phase: Phase, can: tuple[Order, ...], **more: Any) -> None:
        head = {"type": "state", "phase": phase, "episode": self._episode, "can": list(can), "saved": self._shelf.num_saved, "note": self._note}
        self._seat.tell({**head, **self._about(), **more})

    def _about(self) -> dict[str, Any]:
        """Returns what the page is told of the present episode and of how it is played."""
        spec, options, play = self._drawn.spec, self._options, self._play
        return {
            "task": spec.task,
            "robot": spec.robot,
            "seed": self._drawn.seed,
            "instruction": spec.instruction,
            "horizon_steps": spec.horizon_steps,
            "rate_hz": spec.control.rate_hz,
            "cameras": list(options.images),
            "fixed": [c.name for c in spec.scene.cameras if c.parent == "world"],
            "limbs": list(limbs(spec)),
            "hands": list(catalog.load("robot", spec.robot).sides),
            "base": spec.robot_base,
            "speeds": [play.speeds.slow_m_s, play.speeds.fast_m_s],
            "wait_s": play.wait_s,
            "out": str(options.out),
            "format": options.format,
        }


_PLAYING: tuple[Order, ...] = ("pause", "again", "another", "give_up")
_PAUSED: tuple[Order, ...] = ("resume", "again", "another", "give_up")


def _told(step: Step, pace: Pace, driver: Driver) -> dict[str, Any]:
    """Returns what the player is told of a step."""
    return {
        "step": step.index + 1,
        "pace_hz": round(pace.rate_hz, 1),
        "late_steps": pace.late_steps,
        "held_steps": driver.held_steps,
        "goal_met": [bool(met) for met in step.facts.goal_met],
    }
