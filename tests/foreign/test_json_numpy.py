"""The real json-numpy, FastAPI, uvicorn and requests, which OpenVLA's and OFT's servers and clients are made of, ask our server and are asked by us.

They are no requirement of ours. To run this, make an environment that has them too, and run it there:

    python -m venv foreign
    foreign/bin/pip install -e '.[test]' json-numpy fastapi uvicorn requests
    foreign/bin/python -m pytest -m foreign tests/foreign/test_json_numpy.py

The models are ours: of OpenVLA's and OFT's own code nothing is here, only what they answer, as documented in `vlagym.policies.wire.rest`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import echo_profile
import numpy as np
import pytest
from served import Echo, context, frames, observation, state

from vlagym.envs.errors import BadReply
from vlagym.policies.loading import load_policy
from vlagym.policies.serving.rest import SERVER

pytestmark = pytest.mark.foreign

_WHY = "needs json-numpy, fastapi, uvicorn and requests in the same environment; the docstring of this file says how to make one"
json_numpy = pytest.importorskip("json_numpy", reason=_WHY)
fastapi = pytest.importorskip("fastapi", reason=_WHY)
uvicorn = pytest.importorskip("uvicorn", reason=_WHY)
requests = pytest.importorskip("requests", reason=_WHY)

LIMIT_S = 20.0
Predict = Callable[[dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets json write arrays, as json_numpy.patch does, for as long as a test lasts."""
    for name in ("dumps", "loads", "dump", "load"):
        monkeypatch.setattr(json, name, getattr(json, name))
    json_numpy.patch()


@contextlib.contextmanager
def foreign(predict: Predict, **settings: Any) -> Iterator[str]:
    """Serves as OpenVLA and OFT do: whatever is raised is status 200 and the word "error"; JSON within JSON is answered alike."""
    app = fastapi.FastAPI()

    def act(payload: dict[str, Any]) -> Any:
        try:
            if is_encoded := "encoded" in payload:
                payload = json.loads(payload["encoded"])
            said = predict(payload)
            return fastapi.responses.JSONResponse(json.dumps(said) if is_encoded else said)
        except Exception:
            return "error"

    app.post("/act")(act)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + LIMIT_S
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/act"
    finally:
        server.should_exit = True
        thread.join(timeout=LIMIT_S)


def rows(payload: dict[str, Any]) -> list[Any]:
    """Four actions that tell what came: the mean of the image, the state, the length of the sentence."""
    assert payload["full_image"].dtype == np.uint8 and payload["wrist_image"].shape == (8, 8, 3)
    told = np.array([payload["full_image"].mean() / 255, *payload["state"], len(payload["instruction"]) / 100, 0.0])
    return [told + 0.01 * k for k in range(4)]


@pytest.mark.parametrize("encoded", ["false", "true"])
def test_our_adapter_asks_a_server_of_oft(encoded: str, tmp_path: Path) -> None:
    with foreign(rows) as url:
        with contextlib.closing(load_policy(f"rest:{url}", {"profile": echo_profile.write(tmp_path), "encoded": encoded})) as policy:
            policy.reset(context())
            found = policy.act({0: observation(level=50, x=0.25)})[0].values
    wanted = [50 / 255, 0.25, 0.2, 0.3, 0.04, 0.13, 0.0]
    assert found.shape == (4, 7) and np.allclose(found[0], wanted, atol=1e-6) and np.allclose(found[3], np.add(wanted, 0.03), atol=1e-6)


def test_our_adapter_asks_a_server_of_openvla(tmp_path: Path) -> None:
    def one(payload: dict[str, Any]) -> Any:
        return np.full(7, payload["image"].mean() / 255)

    with foreign(one) as url:
        options = {"profile": echo_profile.write(tmp_path, state=False, images=1, execute=1)}
        with contextlib.closing(load_policy(f"rest:{url}", options)) as policy:
            policy.reset(context())
            assert np.allclose(policy.act({0: observation(level=50)})[0].values, [[50 / 255] * 7])


def test_our_adapter_sees_through_status_200(tmp_path: Path) -> None:
    def breaks(payload: dict[str, Any]) -> Any:
        raise AssertionError("no such unnorm_key")

    with foreign(breaks) as url, contextlib.closing(load_policy(f"rest:{url}", {"profile": echo_profile.write(tmp_path)})) as policy:
        policy.reset(context())
        with pytest.raises(BadReply, match='answers with the word "error": something failed inside it'):
            policy.act({0: observation()})


def test_a_simulation_may_take_longer_than_uvicorn_keeps_a_connection(tmp_path: Path) -> None:
    options = {"profile": echo_profile.write(tmp_path)}
    with foreign(rows, timeout_keep_alive=1) as url, contextlib.closing(load_policy(f"rest:{url}", options)) as policy:
        policy.reset(context())
        for pause_s in (0.0, 0.9, 1.0, 1.1, 1.5, 2.5):
            time.sleep(pause_s)
            assert policy.act({0: observation()})[0].values.shape == (4, 7)


@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_client_of_oft_asks_our_server(is_encoded: bool) -> None:
    vectors = state()
    payload: dict[str, Any] = {
        "full_image": frames(50)["front"],
        "wrist_image": frames(50)["wrist"],
        "state": np.concatenate([vectors["ee_pos_base_m"], vectors["gripper_opening_m"]]),
        "instruction": "lift the cube",
    }
    alone = Echo()
    alone.reset(context())
    wanted = alone.act({0: observation(level=50)})[0].values
    with SERVER(Echo(), "127.0.0.1", 0) as server:
        said = requests.post(server.url, json={"encoded": json.dumps(payload)} if is_encoded else payload, timeout=LIMIT_S).json()
        said = json.loads(said) if is_encoded else said
        broken = requests.post(server.url, json=payload | {"state": vectors["ee_pos_base_m"]}, timeout=LIMIT_S)
    assert isinstance(said, list) and np.array_equal(np.array(said, np.float32)[:, :6], wanted[:, :6])
    assert (broken.status_code, broken.json()) == (200, "error")
