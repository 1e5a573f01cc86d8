"""The counter at which a server's clients ask one policy: a slot for each, answers for all who wait in one call, and nothing unchecked."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadPolicyOutput, VlagymError
from vlagym.envs.types import ActionChunk, ActionSpec, ImageComponent, Observation, StateComponent, sha
from vlagym.policies.base import EpisodeContext, Policy, PolicySpec, check_chunks
from vlagym.policies.foreign import told, told_names

_LOG = logging.getLogger(__name__)

TOLD_MAX = 4000
"""Letters of an error of the policy that a client is told at most, and a log."""

Images = Mapping[str, Any]
State = Mapping[str, Any]


class Earlier(NamedTuple):
    """An observation of before, for a policy with a history."""

    images: Images
    state: State


class Counter:
    """Serves one policy to many clients at once, each on a thread of its own. The policy lives on one thread, whichever client asks.

    A client whose request is wrong, or whose chunk is, pays alone. Where a call for several clients raises, nobody can say who is to blame: all
    of them are told, and from then on each of them is asked in a call of its own.
    """

    def __init__(self, policy: Policy, *, max_batch_size: int = 16, max_wait_time: float = 0.0) -> None:
        """Opens the counter. `close` closes it, and leaves the policy open.

        Args:
          policy: Is asked.
          max_batch_size: Clients that are answered in one call at most.
          max_wait_time: How long a call waits for further clients while it could take more, in s. With 0 it takes those who wait already.

        Raises:
          BadData: If the policy cannot be served: it reads the true state, or sends and reads whatever an environment has.
        """
        self.action = servable(policy.spec)
        self.spec = policy.spec
        self.max_batch_size, self.max_wait_time = max_batch_size, max_wait_time
        self._policy = policy
        self._clients: dict[Hashable, _Client] = {}
        self._lock = threading.Lock()
        """Of the list of clients, and of whether the counter is closed."""
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._suspects: set[int] = set()
        """Slots that were in a call for several which raised."""
        self._is_closed = False
        self._under_way: Sequence[_Request] = ()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    def begin(self, client: Hashable, instruction: str | None = None, *, digest: str | None = None) -> None:
        """Begins an episode of a client.

        Args:
          client: Anything that names it: a connection.
          instruction: What it will ask for; None where the protocol says that with the first observation: the episode begins then.
          digest: Of the episode, where the client knows it: seeds what the policy draws. None: it is drawn from the sentence, so that answers do
            not depend on who else is served.

        Raises:
          VlagymError: If the counter is closed. Whatever the policy raises is raised here too.
        """
        found = self._client(client)
        found.instruction, found.digest = None, digest
        if instruction is not None:
            self._serve(_Request(slot=found.slot, begins=self._context(found, instruction)))
            found.instruction = instruction

    def answer(self, client: Hashable, images: Images, state: State, instruction: str, *, past: Sequence[Earlier] = ()) -> ActionChunk:
        """Returns the policy's chunk for what a client sees.

        An episode begins with it where the client is new, or where its sentence is: a sentence is constant within an episode.

        Args:
          client: Who asks.
          images: Stream of the policy's spec -> array `(H, W, 3)`. What the policy does not read is not looked at.
          state: State of the policy's spec -> array `(N,)`.
          instruction: The sentence.
          past: Earlier observations, oldest first, as many as the policy's history wants.

        Raises:
          BadData: If something is missing, or of another size or type than the policy declares.
          BadPolicyOutput: If the policy's chunk is none.
          VlagymError: If the counter is closed. Whatever the policy raises is raised here too.
        """
        if not isinstance(instruction, str) or not instruction:
            raise BadData(f"the policy is told what to do in a sentence, and there is none: the instruction is {told(instruction)}")
        wanted = len(self.spec.history) - 1
        if len(past) != wanted:
            raise BadData(f"the policy reads {wanted} earlier observations besides the present one, and {len(past)} were sent")
        observation = self._observation(images, state, instruction, tuple(self._observation(p.images, p.state, instruction) for p in past))
        found = self._client(client)
        begins = self._context(found, instruction) if found.instruction != instruction else None
        found.instruction = None  # until it has been answered: what raises is begun again
        chunk = self._serve(_Request(slot=found.slot, begins=begins, observation=observation))
        assert chunk is not None
        found.instruction = instruction
        return chunk

    def leave(self, client: Hashable) -> None:
        """Forgets a client. Its slot is given to the next one."""
        with self._lock:
            found = self._clients.pop(client, None)
            if found is not None:
                self._suspects.discard(found.slot)

    def announcement(self) -> dict[str, Any]:
        """Returns the policy's profile as plain data: what a client must know to convert for it."""
        from vlagym.policies.profile import Profile

        plain: dict[str, Any] = Profile.of(self.spec).to_plain()
        return plain

    def close(self) -> None:
        """Turns away who comes, and ends the policy's thread once it has answered who waits."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._requests.put(None)
        self._thread.join()

    # ------------------------------------------------------------------------------------------------------------- the client's side
    def _client(self, client: Hashable) -> _Client:
        with self._lock:
            if client not in self._clients:
                taken = {c.slot for c in self._clients.values()}
                self._clients[client] = _Client(slot=next(slot for slot in range(len(taken) + 1) if slot not in taken))
            return self._clients[client]

    def _context(self, client: _Client, instruction: str) -> EpisodeContext:
        digest = client.digest or sha(f"served: {instruction}".encode())
        return EpisodeContext(slot=client.slot, instruction=instruction, action=self.action, digest=digest)

    def _observation(self, images: Images, state: State, instruction: str, past: tuple[Observation, ...] = ()) -> Observation:
        reads = self.spec.observation
        return Observation(
            images={c.name: _image(c, images) for c in reads.images},
            proprio={c.name: _state(c, state) for c in reads.state},
            instruction=instruction,
            time_s=float("nan"),  # no protocol carries it, and a policy that reads it must not take a guess for it
            past=past,
        )

    def _serve(self, request: _Request) -> ActionChunk | None:
        with self._lock:
            if self._is_closed:
                raise VlagymError("the server is shutting down")
            self._requests.put(request)
        return request.result.result()

    # ------------------------------------------------------------------------------------------------------------- the policy's side
    def _work(self) -> None:
        try:
            self._work_until_closed()
        except BaseException as error:
            _LOG.exception("the policy's thread has ended")
            self._turn_away(error)

    def _turn_away(self, error: BaseException) -> None:
        """Answers everybody that nobody is answered any more."""
        with self._lock:
            self._is_closed = True
        for request in self._under_way:
            if not request.result.done():
                request.result.set_exception(_blamed(error))
        while True:
            try:
                waiting = self._requests.get_nowait()
            except queue.Empty:
                return
            if waiting is not None:
                waiting.result.set_exception(_blamed(error))

    def _work_until_closed(self) -> None:
        is_open = True
        while is_open:
            first = self._requests.get()
            batch = [] if first is None else [first]
            is_open = first is not None and self._gather(batch)
            self._under_way = batch
            self._answer(batch)

    def _gather(self, batch: list[_Request]) -> bool:
        """Takes who waits into the batch; returns whether the counter stays open."""
        until_s = time.monotonic() + self.max_wait_time
        while len(batch) < self.max_batch_size:
            try:
                left_s = until_s - time.monotonic()
                request = self._requests.get(timeout=left_s) if left_s > 0 else self._requests.get_nowait()
            except queue.Empty:
                return True
            if request is None:
                return False
            batch.append(request)
        return True

    def _answer(self, batch: Sequence[_Request]) -> None:
        asked: list[_Request] = []
        for request in batch:
            try:
                if request.begins is not None:
                    self._policy.reset(request.begins)
            except BaseException as error:  # SystemExit, KeyboardInterrupt and CancelledError are raised by policies too
                request.result.set_exception(_blamed(error))
                continue
            if request.observation is None:
                request.result.set_result(None)
            else:
                asked.append(request)
        alone = [request for request in asked if request.slot in self._suspects]
        together = [request for request in asked if request.slot not in self._suspects]
        for some in [together, *([request] for request in alone)]:
            if some:
                self._ask(some)

    def _ask(self, requests: Sequence[_Request]) -> None:
        try:
            chunks = self._policy.act({r.slot: r.observation for r in requests if r.observation is not None})
        except BaseException as error:  # SystemExit, KeyboardInterrupt and CancelledError are raised by policies too
            if len(requests) > 1:
                self._suspects.update(r.slot for r in requests)
            for request in requests:
                request.result.set_exception(_blamed(error))
            return
        for request in requests:
            try:
                check_chunks(chunks, [request.slot], self.action)
                sent = chunks[request.slot]
                if sent.spec != self.action:
                    raise BadPolicyOutput(f"the policy sent a chunk of the spec {sent.spec.name!r}, not of the {self.action.name!r} that it declared")
                request.result.set_result(ActionChunk(values=np.array(sent.values, np.float32), spec=self.action))
            except Exception as error:
                request.result.set_exception(error)


def servable(spec: PolicySpec) -> ActionSpec:
    """Returns the actions of a policy that can be served: one that says by itself what it sends and reads, and reads what a robot could know.

    Raises:
      BadData: If it is another one.
    """
    if spec.privileged:
        raise BadData(f"policy {spec.name!r} reads the true state of the simulation, which no client could send: it is not served")
    if spec.action is None or spec.reads_all_state:
        what = "sends whatever actions" if spec.action is None else "reads whatever state"
        raise BadData(f"policy {spec.name!r} {what} an environment has: a server must say what it is, and this one cannot; it is not served")
    return spec.action


@dataclass(kw_only=True)
class _Client:
    slot: int
    instruction: str | None = None
    """Of the episode that has begun; None where the next answer begins one."""
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Request:
    slot: int
    begins: EpisodeContext | None = None
    observation: Observation | None = None
    result: Future[ActionChunk | None] = field(default_factory=Future)


def _blamed(error: BaseException) -> Exception:
    """Returns an error that a thread may raise without ending: a policy that calls sys.exit, or is cancelled, does not end its server."""
    if isinstance(error, Exception):
        return error
    what = f"called sys.exit({told(error)})" if isinstance(error, SystemExit) else f"raised {type(error).__name__}: {told(error)}"
    return VlagymError(f"the policy {what}")


def _image(wanted: ImageComponent, images: Images) -> NDArray[Any]:
    if wanted.name not in images:
        raise BadData(f"the policy reads the image {wanted.name!r}, which was not sent; there are: {told_names(images, empty='none')}")
    image, shape = np.asarray(images[wanted.name]), (wanted.height, wanted.width, 3)
    is_bytes = wanted.values == "uint8"
    if image.shape != shape or image.dtype.kind not in ("u" if is_bytes else "f") or (is_bytes and image.dtype != np.uint8):
        kind = "uint8" if is_bytes else f"float32 from {'0' if wanted.values == 'unit' else '-1'} to 1"
        raise BadData(f"the image {wanted.name!r} is {image.shape} {image.dtype}; the policy reads {shape} {kind}, {wanted.orientation}")
    return np.ascontiguousarray(image, np.uint8 if is_bytes else np.float32)


def _state(wanted: StateComponent, state: State) -> NDArray[np.float32]:
    if wanted.name not in state:
        raise BadData(f"the policy reads the state {wanted.name!r}, which was not sent; there are: {told_names(state, empty='none')}")
    value = np.asarray(state[wanted.name])
    if value.shape != (wanted.size,) or value.dtype.kind not in "fiu":
        raise BadData(f"the state {wanted.name!r} is {value.shape} {value.dtype}; the policy reads ({wanted.size},) float32")
    out = value.astype(np.float32)
    if not np.isfinite(out).all():
        at = int(np.flatnonzero(~np.isfinite(out))[0])
        raise BadData(f"the state {wanted.name!r} holds {out[at]} at index {at}")
    return out
