"""The seat of the one player, between the threads of connections and that of the episode: what was asked last, and what is to be shown."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vlagym.benchmark.teleoperation.inputs import Input, Ordered

SILENT_S = 3.0
"""A player of whom nothing was heard for so long is away: a page that is open sends its input several times a second."""
_AHEAD = 2
"""Pictures that may be under way to a page which has not shown them yet: more would only make them late."""
_MOST_ORDERS = 16
"""Orders that wait; what comes on top is dropped."""


class Heard(NamedTuple):
    """The last input, and how long ago it came."""

    input: Input | None
    age_s: float


class Player:
    """Whoever has the seat, as the thread that sends to them sees it."""

    def __init__(self, change: threading.Condition, state: str | None, pictures: Mapping[int, bytes], number: int) -> None:
        self.change, self.state = change, state
        self.pictures, self.number = dict(pictures), number
        """By the number of the camera, those that were not sent yet, and the number of the newest."""
        self.seen = 0
        """Number of the last pictures that the page has shown."""
        self.is_gone = False
        self._under_way: deque[int] = deque()

    def outbox(self, timeout_s: float) -> list[str | bytes] | None:
        """Returns what is to be sent now: the newest state, the newest pictures; nothing after the timeout; None once the seat was left."""
        with self.change:
            self.change.wait_for(self._is_ready, timeout_s)
            if self.is_gone:
                return None
            out: list[str | bytes] = [] if self.state is None else [self.state]
            self.state = None
            if self._has_pictures():
                self._under_way.append(self.number)
                out += [bytes([camera]) + self.number.to_bytes(4, "big") + jpeg for camera, jpeg in sorted(self.pictures.items())]
                self.pictures.clear()
            return out

    def _is_ready(self) -> bool:
        return self.is_gone or self.state is not None or self._has_pictures()

    def _has_pictures(self) -> bool:
        while self._under_way and self._under_way[0] <= self.seen:
            self._under_way.popleft()
        return bool(self.pictures) and len(self._under_way) < _AHEAD


class Seat:
    """One player at a time. Who is away gives the seat to whoever comes next."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._change = threading.Condition()
        self._player: Player | None = None
        self._input: Input | None = None
        self._heard_s = -1e9
        self._orders: deque[Ordered] = deque(maxlen=_MOST_ORDERS)
        self._state: str | None = None
        self._pictures: dict[int, bytes] = {}
        self._number = 0
        self._came = 0

    # ----------------------------------------------------------------------------------------------- for the threads of connections
    def sit(self) -> Player | None:
        """Takes the seat; None if somebody has it who is not away."""
        with self._change:
            if self._player is not None:
                if self._now() - self._heard_s < SILENT_S:
                    return None
                self._player.is_gone = True
            self._player = Player(self._change, self._state, self._pictures, self._number)
            self._input, self._heard_s = None, self._now()
            self._came += 1
            self._change.notify_all()
            return self._player

    def hear(self, player: Player, message: Input | Ordered) -> None:
        """Takes note of a message; of one who has lost the seat, nothing counts."""
        with self._change:
            if self._player is not player:
                return
            self._heard_s = self._now()
            if isinstance(message, Ordered):
                self._orders.append(message)
            else:
                self._input = message
                player.seen = max(player.seen, message.seen)
            self._change.notify_all()

    def leave(self, player: Player) -> None:
        """Gives the seat up; harmless for one who has lost it."""
        with self._change:
            player.is_gone = True
            if self._player is player:
                self._player, self._input = None, None
                self._heard_s = min(self._heard_s, self._now())
            self._change.notify_all()

    # ------------------------------------------------------------------------------------------------- for the thread of the episode
    def heard(self) -> Heard:
        """Returns the last input of whoever has the seat."""
        with self._change:
            return Heard(self._input, self._now() - self._heard_s)

    def is_away(self) -> bool:
        """Returns whether nobody has the seat, or nothing was heard of them for a while."""
        with self._change:
            return self._player is None or self._now() - self._heard_s >= SILENT_S

    @property
    def came(self) -> int:
        """How often somebody took the seat."""
        with self._change:
            return self._came

    def order(self, timeout_s: float) -> Ordered | None:
        """Returns the next order; None if there is none in that time."""
        with self._change:
            self._change.wait_for(lambda: bool(self._orders), timeout_s)
            return self._orders.popleft() if self._orders else None

    def forget_orders(self) -> None:
        """Drops the orders that wait: they were about what is over."""
        with self._change:
            self._orders.clear()

    def tell(self, state: Mapping[str, Any]) -> None:
        """Shows a state, in the place of the last one."""
        text = json.dumps(state, ensure_ascii=False)
        with self._change:
            self._state = text
            if self._player is not None:
                self._player.state = text
            self._change.notify_all()

    def show(self, jpegs: Mapping[int, bytes]) -> None:
        """Shows pictures, in the place of the last ones of the same cameras.

        Args:
          jpegs: By the number of the camera.
        """
        with self._change:
            self._number += 1
            self._pictures.update(jpegs)
            if self._player is not None:
                self._player.pictures.update(jpegs)
                self._player.number = self._number
            self._change.notify_all()
