"""Serves a policy as NVIDIA Isaac-GR00T's inference service does: ZeroMQ, msgpack, the envelope of N1.6 or that of N1.5."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage, VlagymError
from vlagym.policies.base import Policy
from vlagym.policies.foreign import NAME_MAX, told
from vlagym.policies.serving.counter import TOLD_MAX, Counter, Earlier
from vlagym.policies.serving.host import address, check_host
from vlagym.policies.wire import arrays, gr00t
from vlagym.policies.wire.gr00t_modality import LANGUAGE, Dialect, Modality, keys_of, modality_answer

_LOG = logging.getLogger(__name__)
_LOOK_MS = 50
_CLIENTS_MAX = 1024
"""Rows of batches of all connections that are remembered. ZeroMQ does not say when one has ended, so the one that asked longest ago is forgotten."""


class SERVER:
    """Rows of a batch are episodes of their own: one begins where a row is new, or its sentence is.

    A client that is vlagym too says which slot each row is of, and when an episode begins. `kill`, which ends the original, is refused.
    """

    def __init__(self, policy: Policy, host: str, port: int, *, dialect: Dialect = "n1.6") -> None:
        """Makes a server that does not listen yet.

        Args:
          policy: Is served; it is not closed.
          host: Address to listen at.
          port: Port; 0: any that is free.
          dialect: n1.6, n1.6_sim or n1.5.

        Raises:
          BadData: If the policy cannot be served, or the host is none.
        """
        check_host(host)
        self._counter = Counter(policy)
        spec, self._dialect = policy.spec, dialect
        self._keys = keys_of(spec, None, None, f"policy {spec.name!r}")
        self._modalities = {
            "video": Modality(steps=tuple(spec.history), keys=tuple(self._keys.video.values())),
            "state": Modality(steps=tuple(spec.history), keys=tuple(p.key for pieces in self._keys.state.values() for p in pieces)),
            "action": Modality(steps=tuple(range(spec.chunk_steps)), keys=tuple(p.key for p in self._keys.action)),
            "language": Modality(steps=(0,), keys=(LANGUAGE,)),
        }
        self._endpoints: Mapping[str, Callable[[bytes, Any], Any]] = {
            "ping": lambda who, data: {"status": "ok", "message": "Server is running"},
            "get_modality_config": lambda who, data: modality_answer({n: m for n, m in self._modalities.items() if m.keys}, dialect),
            "get_action": self._act,
            "reset": self._reset,
            gr00t.ENDPOINT_PROFILE: lambda who, data: self._counter.announcement(),
        }
        self._host, self._port = host, port
        self._recent: OrderedDict[Hashable, None] = OrderedDict()
        self._socket: Any = None
        self._context: Any = None
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._is_over = threading.Event()
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return address("tcp", self._host, self._port)

    def __enter__(self) -> SERVER:
        """Begins to listen.

        Raises:
          BadData: If the address cannot be listened at.
          MissingPackage: Without pyzmq and msgpack.
        """
        try:
            import msgpack  # noqa: F401
            import zmq
        except ImportError as missing:
            raise MissingPackage("serving GR00T's protocol needs pyzmq and msgpack: pip install 'vlagym[gr00t]'") from missing
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, arrays.MAX_BYTES)
        try:
            if self._port:
                self._socket.bind(self.url)
            else:
                self._port = self._socket.bind_to_random_port(self.url.rpartition(":")[0])
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise BadData(f"nobody can listen at {self.url} ({error}): choose another port with --port, or 0 for any that is free") from error
        self._pool = ThreadPoolExecutor(max_workers=self._counter.max_batch_size, thread_name_prefix="row")
        self._thread = threading.Thread(target=self._listen, name="listens", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._is_over.set()
        self._counter.close()
        if self._thread is not None and self._pool is not None:
            self._thread.join()
            self._pool.shutdown()
            self._context.destroy(linger=0)

    def serve_forever(self) -> None:
        """Waits until it is interrupted.

        Raises:
          RuntimeError: If nobody is answered any more, for a mistake of ours: a server that takes connections and says nothing would be waited for.
        """
        while not self._is_over.wait(0.5):
            pass
        if self._failure is not None:
            raise RuntimeError(f"the server ends, for its thread did: {type(self._failure).__name__}: {told(self._failure)}") from self._failure

    def _listen(self) -> None:
        try:
            while not self._is_over.is_set():
                if self._socket.poll(_LOOK_MS):
                    self._take()
        except BaseException as error:
            self._failure = error
            _LOG.exception("nobody is answered any more")
        finally:
            self._socket.close()  # who asks is not left to wait for a thread that has ended
            self._is_over.set()

    def _take(self) -> None:
        """Answers one request."""
        who, *frames = self._socket.recv_multipart()
        if len(frames) == 2 and not frames[0]:  # else it is no REQ that asks, and waits for no answer
            self._socket.send_multipart([who, b"", self._answer(who, frames[1])])

    def _answer(self, who: bytes, message: bytes) -> bytes:
        """Returns the answer to a request; whatever goes wrong is one too."""
        try:
            asked = arrays.unpack(message)
            if not isinstance(asked, Mapping):
                raise BadData(f"a request is a map with an endpoint, not {type(asked).__name__}")
            endpoint = asked.get("endpoint", "get_action")
            if not isinstance(endpoint, str) or endpoint not in self._endpoints:
                raise BadData(f"Unknown endpoint: {told(endpoint, NAME_MAX)}")
            return arrays.pack(self._endpoints[endpoint](who, asked.get("data")), "gr00t")
        except Exception as error:  # of the policy, or of what was sent
            said = told(error, TOLD_MAX) or type(error).__name__
            _LOG.warning("a request was answered with an error: %s: %s", type(error).__name__, said)
            return arrays.pack({"error": said}, "gr00t")

    def _reset(self, who: bytes, data: Any) -> dict[str, Any]:
        """Begins an episode of one slot where a client of ours says which, and else those of all rows of a connection."""
        options = data.get("options") if isinstance(data, Mapping) else None
        slot = options.get("slot") if isinstance(options, Mapping) else None
        if isinstance(options, Mapping) and isinstance(slot, int) and isinstance(options.get("digest"), str):
            self._counter.begin(self._known((who, slot)), digest=options["digest"])
        else:
            for client in [c for c in self._recent if isinstance(c, tuple) and c[0] == who]:
                self._counter.leave(client)
                del self._recent[client]
        return {}

    def _act(self, who: bytes, data: Any) -> Any:
        assert self._pool is not None
        asked = gr00t.read_request(data, self._dialect, LANGUAGE)
        options = data.get("options") if self._dialect != "n1.5" else None
        slots = options.get("slots") if isinstance(options, Mapping) else list(range(len(asked.rows)))
        if not isinstance(slots, list) or len(slots) != len(asked.rows) or len(set(slots)) != len(slots):
            raise BadData(f"slots names one slot for each of {len(asked.rows)} rows, not {told(slots)}")
        clients = [self._known((who, slot)) for slot in slots]
        chunks = list(self._pool.map(self._chunk, clients, asked.rows))
        if len({len(c) for c in chunks}) > 1:
            raise VlagymError("the policy answered rows of one batch with chunks of different lengths, which this protocol cannot carry")
        return gr00t.answer(np.stack(chunks), self._keys, asked, self._dialect)

    def _chunk(self, client: Hashable, row: gr00t.Row) -> NDArray[np.float32]:
        moments = [self._moment(row, i) for i in range(len(self._counter.spec.history))]
        present = moments[-1]
        return self._counter.answer(client, present.images, present.state, row.instruction, past=moments[:-1]).values

    def _moment(self, row: gr00t.Row, step: int) -> Earlier:
        """Returns one of the observations that a row holds, under the names of the policy's spec."""
        length = len(self._counter.spec.history)
        wrong = [f"{key} {len(v)}" for key, v in (*row.video.items(), *row.state.items()) if len(v) != length]
        if wrong:
            raise BadData(f"the policy reads {length} observations at a time, and these came: {', '.join(wrong)}")
        images = {name: row.video[key][step] for name, key in self._keys.video.items() if key in row.video}
        state = {name: row.state[pieces[0].key][step] for name, pieces in self._keys.state.items() if pieces[0].key in row.state}
        return Earlier(images, state)

    def _known(self, client: Hashable) -> Hashable:
        """Remembers that a client asks, and forgets who has not for long."""
        self._recent[client] = None
        self._recent.move_to_end(client)
        while len(self._recent) > _CLIENTS_MAX:
            self._counter.leave(self._recent.popitem(last=False)[0])
        return client
