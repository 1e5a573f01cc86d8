"""openpi's own client, from PyPI, is answered by our server. It pins numpy below 2, so it runs in an environment of its own.

To make that environment, and to run this (the client imports typing_extensions and does not require it):

    python -m venv openpi
    openpi/bin/pip install openpi-client==0.1.2 typing_extensions
    VLAGYM_OPENPI_PYTHON=openpi/bin/python pytest tests/foreign/test_openpi_client.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import served

from vlagym.envs.types import sha
from vlagym.policies.serving.openpi import SERVER

PYTHON = "VLAGYM_OPENPI_PYTHON"
"""The variable that holds the interpreter of that environment."""
CLIENT = """
import json, sys
import numpy as np
from openpi_client import action_chunk_broker, image_tools, websocket_client_policy

host, port, front, wrist = sys.argv[1], int(sys.argv[2]), *(np.array(json.loads(text), np.uint8) for text in sys.argv[3:5])
policy = websocket_client_policy.WebsocketClientPolicy(host, port)
observation = {
    "observation/front": image_tools.convert_to_uint8(front),
    "observation/wrist": wrist,
    "observation/ee_pos_base_m": np.array([0.1, 0.2, 0.3]),
    "observation/gripper_opening_m": np.array([0.04]),
    "prompt": "lift the cube",
}
whole = [policy.infer(observation) for _ in range(2)]
broker = action_chunk_broker.ActionChunkBroker(policy, action_horizon=3)
single = [np.asarray(broker.infer(observation)["actions"]).tolist() for _ in range(4)]
try:
    policy.infer({"prompt": "lift the cube"})
    error = ""
except RuntimeError as raised:
    error = str(raised)
print(json.dumps({
    "metadata": sorted(policy.get_server_metadata()), "keys": [sorted(w) for w in whole], "dtype": str(whole[0]["actions"].dtype),
    "chunks": [w["actions"].tolist() for w in whole], "single": single, "error": error,
}))
"""


@pytest.mark.foreign
def test_openpis_own_client_gets_what_the_policy_says(tmp_path: Path) -> None:
    if PYTHON not in os.environ:
        pytest.skip(f"{PYTHON} names no interpreter with openpi-client; the top of this file says how to make one")
    (tmp_path / "client.py").write_text(CLIENT)
    with SERVER(served.Echo(), "127.0.0.1", 0) as server:
        host, port = server.url.removeprefix("ws://").split(":")
        images = [json.dumps(image.tolist()) for image in served.frames().values()]
        command = [os.environ[PYTHON], str(tmp_path / "client.py"), host, port, *images]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    policy = served.Echo()
    policy.reset(served.context(digest=sha(b"served: lift the cube")))
    expected = [policy.act({0: served.observation()})[0].values for _ in range(4)]
    assert told["metadata"] == ["vlagym"] and told["keys"] == [["actions", "policy_timing", "server_timing"]] * 2
    assert told["dtype"] == "float32" and np.array_equal(np.array(told["chunks"], np.float32), np.stack(expected[:2]))
    assert np.array_equal(np.array(told["single"], np.float32), [*expected[2][:3], expected[3][0]]), "its broker plays three actions of a chunk"
    assert "the policy reads the image 'front', which was not sent" in told["error"]
