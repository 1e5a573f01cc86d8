"""A run goes on with its server at another address, which the header notes, where all else that is known of the server is the same."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.header import differences
from vlagym.benchmark.relocation import address_of, noted
from vlagym.envs.types import RunHeader
from vlagym.results.pooling import identity


def header(traces: ModuleType, name: str = "openpi:ws://node7:8000/", **card: Any) -> RunHeader:
    said = {"url": name.partition(":")[2], "profile": "libero", "server": {"model": "pi0"}} | card
    made: RunHeader = traces.make_header()
    return replace(made, policy={**made.policy, "name": name, "card": said})


def test_host_and_port_may_change_and_nothing_else(traces: ModuleType) -> None:
    begun = header(traces)
    assert differences(begun, header(traces, "openpi:ws://node9:8123/")) == []
    others: dict[str, dict[str, object]] = {
        "openpi:ws://node9:8123/other": {},
        "openpi:wss://node9:8123/": {},
        "vla_eval:ws://node9:8123/": {},
        "openpi:ws://node9:8124/": {"server": {"model": "pi05"}},
        "openpi:ws://node9:8125/": {"url": "ws://elsewhere:1/"},
    }
    for name, card in others.items():
        assert any(line.startswith("policy.name was") for line in differences(begun, header(traces, name, **card))) or card, name
        assert differences(begun, header(traces, name, **card)), name
    longer = replace(header(traces, "openpi:ws://node9:8123/"), quality="high")
    assert differences(begun, longer) == ["quality was 'fast' and is 'high'"]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("rest:http://h1/act", "rest:http://h2/act", True),
        ("rest:https://gpu.example/act", "rest:https://gpu.example:8443/act", True),
        ("rest:https://gpu.example:8443/act", "rest:https://gpu.example/act", True),
        ("openpi:ws://[::1]:80", "openpi:ws://act", True),
        ("rest:http://act/act", "rest:http://h2/act", True),
        ("lerobot_grpc:h1:80", "lerobot_grpc:h2:81", True),
        ("rest:http://h1/act", "rest:https://h1/act", False),
        ("rest:http://h1/act", "rest:http://h1/acts", False),
        ("lerobot:/data/a:1/x", "lerobot:/data/b:2/x", False),
    ],
)
def test_an_address_needs_no_port_to_move_and_keeps_its_scheme(traces: ModuleType, first: str, second: str, is_same: bool) -> None:
    assert (differences(header(traces, first), header(traces, second)) == []) is is_same


def test_what_a_server_says_of_its_place_process_and_start_may_change_with_it(traces: ModuleType) -> None:
    began = {"model": "pi0", "host": "node7", "Start-Time": "10:00", "run": {"pid": 3, "job_id": "77", "seed": 1}}
    moved = {"model": "pi0", "host": "node9", "Start-Time": "11:00", "run": {"pid": 4, "job_id": "78", "seed": 1}}
    begun = header(traces, server=began)
    for name in ("openpi:ws://node7:8000/", "openpi:ws://node9:8123/"):
        assert differences(begun, header(traces, name, server=moved)) == []
        assert differences(begun, header(traces, name, server=moved | {"model": "pi05"})), "it is another model"
        assert differences(begun, header(traces, name, server=moved | {"run": {"pid": 4, "job_id": "78", "seed": 2}}))
        assert differences(begun, header(traces, name, server={k: v for k, v in moved.items() if k != "host"})), "it says less of itself"


def test_a_policy_that_is_no_server_does_not_move(traces: ModuleType) -> None:
    first, second = (replace(h, policy={**h.policy, "card": {}}) for h in (header(traces, "python:a:8000"), header(traces, "python:b:8001")))
    assert differences(first, second) == ["policy.name was 'python:a:8000' and is 'python:b:8001'"]


def test_the_header_lists_the_addresses_and_the_run_keeps_its_row(traces: ModuleType) -> None:
    begun = header(traces)
    assert noted(begun, begun) is begun and address_of(begun) == "openpi:ws://node7:8000/"
    second = noted(begun, header(traces, "openpi:ws://node9:8123/"))
    third = noted(second, header(traces, "openpi:ws://node7:9000/"))
    assert third.policy["addresses"] == ["openpi:ws://node9:8123/", "openpi:ws://node7:9000/"] and third.policy["name"] == begun.policy["name"]
    assert address_of(third) == "openpi:ws://node7:9000/" and noted(third, header(traces, "openpi:ws://node7:9000/")) is third
    assert differences(third, header(traces, "openpi:ws://node1:1/")) == [], "it may move again"
    assert identity(third) == identity(begun)
