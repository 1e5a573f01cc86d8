"""Whatever a policy raises and a client says is told by our servers short and printable, and nobody is kept waiting for what never comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import zmq
from served import OBSERVATION, Echo, context, observation

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadReply, PolicyUnreachable, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.loading import load_policy
from vlagym.policies.serving import gr00t
from vlagym.policies.serving.counter import Counter
from vlagym.policies.serving.host import check_host, reached_at
from vlagym.policies.wire import arrays

PROTOCOLS = ("openpi", "vla_eval", "rest", "gr00t")
LIMITS = {"timeout": "20", "first_timeout": "20"}


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


RAISED: Mapping[str, BaseException] = {
    "surrogate": ValueError("half \ud800 of \x1b[31ma letter\x07"),
    "endless": ValueError("L" * 5_000_000),
    "mute": Mute(),
    "cancelled": asyncio.CancelledError("gone"),
    "interrupted": KeyboardInterrupt("mine"),
    "exit": SystemExit("\udfff"),
}


class Raising(Echo):
    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        for seen in observations.values():
            if seen.instruction in RAISED:
                raise RAISED[seen.instruction]
        return super().act(observations)


@pytest.fixture(params=PROTOCOLS)
def served(request: pytest.FixtureRequest) -> Iterator[str]:
    """Returns the policy above as a client writes it."""
    with catalog.load("protocol", request.param)(Raising(), "127.0.0.1", 0) as server:
        yield f"{request.param}:{server.url}"


def test_no_error_of_a_policy_costs_a_server_its_voice(served: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), contextlib.closing(load_policy(served, LIMITS)) as policy:
        for sentence in RAISED:
            policy.reset(context(instruction=sentence))
            with pytest.raises(BadReply) as caught:
                policy.act({0: observation(sentence)})
            assert len(str(caught.value)) < 700 and str(caught.value).isprintable()
        policy.reset(context())
        assert policy.act({0: observation()})[0].values.shape == (4, 7)
    said = [record.getMessage() for record in caplog.records]
    assert all(len(line) < 5000 and line.isprintable() for line in said)
    assert served.startswith("vla_eval") or any(r"\ud800 of \x1b[31ma letter\x07" in line for line in said)


def test_what_a_client_says_comes_back_short_and_stands_in_the_log_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with gr00t.SERVER(Echo(), "127.0.0.1", 0) as server, zmq.Context() as zmq_context, caplog.at_level(logging.WARNING):
        plug = zmq_context.socket(zmq.REQ)
        plug.linger, plug.rcvtimeo = 0, 20_000
        plug.connect(server.url)
        for endpoint in ("\x1b[31mred\nFAKE LINE", "e" * 5_000_000):
            plug.send(arrays.pack({"endpoint": endpoint}, "gr00t"))
            assert len(plug.recv()) < 200
        plug.close()
    assert len(caplog.messages) == 2 and all(len(m) < 200 and m.isprintable() for m in caplog.messages)
    assert r"Unknown endpoint: \x1b[31mred FAKE LINE" in caplog.messages[0]


def test_a_gr00t_server_whose_thread_ends_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(who: bytes, message: bytes) -> bytes:
        raise RuntimeError("a mistake of ours")

    with gr00t.SERVER(Echo(), "127.0.0.1", 0) as server:
        monkeypatch.setattr(server, "_answer", breaks)
        with pytest.raises(PolicyUnreachable):
            load_policy(f"gr00t:{server.url}", LIMITS)
        with pytest.raises(RuntimeError, match="the server ends, for its thread did: RuntimeError: a mistake of ours"):
            server.serve_forever()


def test_clients_of_a_counter_whose_thread_ends_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(Echo())

    def breaks(batch: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(counter, "_answer", breaks)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        counter.begin("client", "lift the cube")
    with pytest.raises(VlagymError, match="the server is shutting down"):
        counter.begin("client", "lift the cube")
    counter.close()


@pytest.mark.parametrize("protocol", ("openpi", "vla_eval", "gr00t"))
def test_a_policy_that_reads_no_image_is_played_as_it_announces_itself(protocol: str) -> None:
    class Blind(Echo):
        def _one(self, slot: int, o: Observation) -> ActionChunk:
            assert not o.images
            return super()._one(slot, replace(o, images=observation().images))

    with catalog.load("protocol", protocol)(Blind(observation=replace(OBSERVATION, images=())), "127.0.0.1", 0) as server:
        with contextlib.closing(load_policy(f"{protocol}:{server.url}", LIMITS)) as policy:
            policy.reset(context())
            assert policy.act({0: replace(observation(), images={})})[0].values.shape == (4, 7)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", ["", " ", "a\nb"])
def test_no_server_listens_at_a_host_that_is_none(protocol: str, host: str) -> None:
    with pytest.raises(BadData, match="is no host to listen at: say 127.0.0.1 for this machine alone, or 0.0.0.0 for whoever reaches it"):
        catalog.load("protocol", protocol)(Echo(), host, 0)


def test_whoever_listens_everywhere_is_reached_at_home() -> None:
    check_host("0.0.0.0")
    assert reached_at("ws://0.0.0.0:8000") == "ws://127.0.0.1:8000" and reached_at("http://[::]:80/act") == "http://[::1]:80/act"
    assert reached_at("tcp://*:5555") == reached_at("tcp://0:5555") == "tcp://127.0.0.1:5555"
    assert reached_at("tcp://10.0.0.0:5555") == "tcp://10.0.0.0:5555"
