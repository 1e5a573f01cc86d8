"""A policy behind HTTP acts; one that goes wrong costs an episode, says why, and is asked again in the next."""

from __future__ import annotations

import contextlib
import http.server
import json
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import echo_profile
import numpy as np
import pytest
from raw_server import RawServer, Talk, http_answer, http_answers
from served import ACTION, Echo, context, observation

from vlagym.envs.errors import BadData, BadPolicyOutput, BadReply, ConventionMismatch, NotReset, PolicyTimeout, PolicyUnreachable, UnknownName
from vlagym.policies.base import Policy, check_chunks
from vlagym.policies.loading import load_policy
from vlagym.policies.serving.rest import SERVER
from vlagym.policies.wire import arrays

NOT_FOUND = http_answer(b'{"detail":"Not Found"}', "404 Not Found")
"""What OpenVLA's and OFT's servers answer where ours announce themselves."""
NOT_POST = http_answer(b'{"detail":"Method Not Allowed"}', "405 Method Not Allowed")
"""And what they answer who does not POST to /act."""
ROWS = [np.arange(7) / 10, np.arange(7) / 20, np.zeros(7), np.ones(7)]
GOOD = http_answer(arrays.to_json(ROWS).encode())
QUICK = {"timeout": "0.4", "first_timeout": "0.4", "connect_timeout": "2"}
Load = Callable[..., Policy]


def foreign(*answers: bytes) -> Talk:
    """Returns a server that is not ours: it has nothing at /vlagym, and gives these answers to what is asked of it."""
    left = list(answers)

    def talk(server: RawServer, line: socket.socket) -> None:
        while server.read_http(line) is not None:
            if server.requests[-1].startswith(b"GET"):
                line.sendall(NOT_POST if server.requests[-1].startswith(b"GET /act ") else NOT_FOUND)
                continue
            answer = left.pop(0)
            if not answer:
                return
            line.sendall(answer)

    return talk


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Returns what loads the policy behind a server that says nothing of itself, with a profile that fits it."""
    with contextlib.ExitStack() as stack:

        def make(port: int, **options: str) -> Policy:
            given = {"profile": echo_profile.write(tmp_path, execute=int(options.pop("executes", "3"))), **QUICK, **options}
            policy = load_policy(f"rest:http://127.0.0.1:{port}/act", given)
            stack.callback(policy.close)
            policy.reset(context())
            return policy

        yield make


# ------------------------------------------------------------------------------------------------------------------- what goes well
def test_a_served_policy_answers_as_in_process() -> None:
    alone, behind = Echo(), Echo()
    with SERVER(behind, "127.0.0.1", 0) as server, contextlib.closing(load_policy(f"rest:{server.url}")) as policy:
        for one in (alone, policy):
            one.reset(context())
        for x in (0.1, 0.5):
            wanted, found = (one.act({0: observation(x=x)})[0].values for one in (alone, policy))
            assert np.array_equal(found[:, :6], wanted[:, :6]), "all but the draw of the episode, whose seed the protocol does not carry"
    assert (policy.spec.action, policy.spec.observation, policy.spec.execute_steps) == (alone.spec.action, alone.spec.observation, 3)
    assert policy.spec.runs_in_worker and policy.spec.card["dialect"] == "oft" and policy.spec.profile == "echo"


def test_a_server_of_oft_is_asked_with_the_profile_that_is_named(load: Load) -> None:
    with RawServer(foreign(GOOD, GOOD)) as server:
        policy = load(server.port, unnorm_key="libero_spatial", execute="2")
        found = policy.act({0: observation()})[0]
        assert np.array_equal(found.values, np.array(ROWS, np.float32)) and found.spec == ACTION and policy.spec.execute_steps == 2
        sent = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
    assert list(sent) == ["full_image", "wrist_image", "state", "instruction", "unnorm_key"] and sent["unnorm_key"] == "libero_spatial"
    assert sent["full_image"]["dtype"] == "|u1" and sent["full_image"]["shape"] == [12, 16, 3] and sent["state"]["shape"] == [4]
    assert policy.spec.card["unnorm_key"] == "libero_spatial" and policy.spec.card["url"].endswith("/act")


def test_a_server_of_openvla_gives_one_action(tmp_path: Path) -> None:
    with RawServer(foreign(http_answer(arrays.to_json(ROWS[0]).encode()))) as server:
        options = {"profile": echo_profile.write(tmp_path, state=False, images=1, execute=1), **QUICK}
        with contextlib.closing(load_policy(f"rest:http://127.0.0.1:{server.port}", options)) as policy:
            policy.reset(context())
            assert np.array_equal(policy.act({0: observation()})[0].values, np.array(ROWS[:1], np.float32))
            assert policy.spec.card["dialect"] == "openvla" and server.requests[-1].startswith(b"POST /act ")
            assert list(json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])) == ["image", "instruction"]


def test_json_within_json_is_sent_where_it_is_asked_for(load: Load) -> None:
    with RawServer(foreign(http_answer(json.dumps(arrays.to_json(ROWS)).encode()))) as server:
        policy = load(server.port, encoded="true")
        assert np.array_equal(policy.act({0: observation()})[0].values, np.array(ROWS, np.float32))
        sent = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
    assert list(sent) == ["encoded"] and "full_image" in json.loads(sent["encoded"])


def test_a_key_is_sent_from_the_variable_that_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_KEY", "s3cret")
    with RawServer(foreign(GOOD)) as server:
        policy = load(server.port, api_key_env="ROBOT_KEY")
        policy.act({0: observation()})
        assert all(b"Authorization: Bearer s3cret" in r for r in server.requests) and "s3cret" not in str(policy.spec.card)


# ------------------------------------------------------------------------------------------------------------------- what goes wrong
NAN = http_answer(arrays.to_json([np.full(7, np.nan), *ROWS]).encode())
HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n" + b"x" * 1000
BIG_NPY = http_answer(json.dumps([{"__numpy__": "AAAA", "dtype": "<f8", "shape": [10**10]}]).encode())
OBJECTS = http_answer(json.dumps({"__numpy__": "gASVAAAA", "dtype": "|O", "shape": [7]}).encode())


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        pytest.param(http_answer(b'"error"'), BadReply, r'answers with the word "error": something failed inside it', id="200 with error"),
        pytest.param(http_answer(b"Traceback (most recent call last): boom"), BadReply, "what are no actions .*: Traceback .*boom", id="text"),
        pytest.param(http_answer(b'"a text"'), BadReply, "answers with the text 'a text', not with actions", id="text in JSON"),
        pytest.param(http_answer(b"[0.1, 0.2]"), BadReply, r"actions of the shape \(2,\)", id="wrong length"),
        pytest.param(http_answer(arrays.to_json(ROWS[:2]).encode()), BadReply, "sent 2 actions, and 3 are executed", id="a short chunk"),
        pytest.param(HUGE, BadReply, "announces an answer of 10737418240 bytes, and 67108864 are allowed", id="10 GB"),
        pytest.param(BIG_NPY, BadReply, r"declares \(10000000000,\) of float64, which are 80000000000 bytes, and brings 3", id="80 GB in a header"),
        pytest.param(OBJECTS, BadReply, "nothing is unpickled", id="an array of pickles"),
        pytest.param(http_answer(pickle.dumps(ROWS)), BadReply, "what are no actions", id="a pickle"),
        pytest.param(b"", PolicyUnreachable, "closed the connection before its answer was whole", id="drops"),
        pytest.param(http_answer(b'{"detail":"x"}', "422 Unprocessable"), BadReply, 'refuses the request with HTTP 422: {"detail":"x"}', id="422"),
        pytest.param(http_answer(b"<h1>oh</h1>", "500 Internal Server Error"), BadReply, "failed with HTTP 500: <h1>oh</h1>", id="500"),
        pytest.param(http_answer(b"model is loading", "503 X"), PolicyUnreachable, "HTTP 503, as a server that loads its model, .*loading", id="503"),
        pytest.param(http_answer(b"", "502 Bad Gateway"), PolicyUnreachable, "HTTP 502, .*or a proxy whose server is away: nothing", id="502"),
        pytest.param(http_answer(b"", "504 Gateway Timeout"), PolicyUnreachable, "HTTP 504, .*or a proxy whose server is away: nothing", id="504"),
        pytest.param(NOT_FOUND, BadReply, "answers with HTTP 404: there is nothing to ask at this path", id="404"),
        pytest.param(http_answer(b"", "401 Unauthorized"), PolicyUnreachable, "HTTP 401 and wants a key: say api_key_env=NAME", id="401"),
        pytest.param(http_answer(b"", "307 Temporary Redirect"), BadReply, "refuses the request with HTTP 307: nothing", id="307"),
    ],
)
def test_what_is_no_answer_costs_the_episode_and_not_the_next_one(answer: bytes, error: type[Exception], words: str, load: Load) -> None:
    with RawServer(foreign(answer, GOOD)) as server:
        policy = load(server.port)
        with pytest.raises(error, match=words):
            policy.act({0: observation()})
        policy.reset(context())
        assert np.array_equal(policy.act({0: observation()})[0].values, np.array(ROWS, np.float32)), "the connection was made anew"
        assert server.num_connections == 2


def test_actions_that_are_not_finite_are_found_by_the_desk(load: Load) -> None:
    with RawServer(foreign(NAN)) as server:
        chunks = load(server.port).act({0: observation()})
    with pytest.raises(BadPolicyOutput, match="the policy sent nan in step 0, component 0"):
        check_chunks(chunks, [0], ACTION)


def test_an_answer_that_never_comes_is_not_waited_for(load: Load) -> None:
    def hangs(server: RawServer, line: socket.socket) -> None:
        while (body := server.read_http(line)) is not None:
            if body and server.num_connections == 1:
                server.is_over.wait(60)
                return
            line.sendall(GOOD if body else NOT_POST)

    with RawServer(hangs) as server:
        policy, began_s = load(server.port), time.monotonic()
        with pytest.raises(PolicyTimeout, match="did not answer within 0.4 s; the option timeout=S or first_timeout=S waits longer"):
            policy.act({0: observation()})
        assert time.monotonic() - began_s < 30
        assert np.array_equal(policy.act({0: observation()})[0].values, np.array(ROWS, np.float32))


def test_a_proxy_whose_server_is_away_is_no_server_without_an_announcement(load: Load) -> None:
    with RawServer(http_answers(http_answer(b"bad gateway", "502 Bad Gateway"))) as server:
        with pytest.raises(PolicyUnreachable, match=r"/vlagym answers with HTTP 502, .*bad gateway"):
            load(server.port)


def test_a_server_that_was_away_may_take_as_long_for_its_first_answer_as_when_it_was_new(load: Load) -> None:
    """While it loads, what stands before it says 503; then it compiles, for longer than any later answer takes."""
    left = [GOOD, http_answer(b"", "503 Service Unavailable"), GOOD]

    def compiles(server: RawServer, line: socket.socket) -> None:
        while (body := server.read_http(line)) is not None:
            if body and len(left) == 1:
                server.is_over.wait(0.8)
            line.sendall(left.pop(0) if body else NOT_POST)

    with RawServer(compiles) as server:
        policy = load(server.port, timeout="0.4", first_timeout="9")
        policy.act({0: observation()})
        with pytest.raises(PolicyUnreachable, match="HTTP 503"):
            policy.act({0: observation()})
        assert np.array_equal(policy.act({0: observation()})[0].values, np.array(ROWS, np.float32))


def test_a_server_that_is_not_up_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]
    with pytest.raises(PolicyUnreachable, match=f"nobody takes a connection at http://127.0.0.1:{port}.*start the server first") as caught:
        load_policy(f"rest:http://127.0.0.1:{port}/act", {"profile": echo_profile.write(tmp_path)})
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_of_itself_wants_a_profile() -> None:
    with RawServer(foreign()) as server, pytest.raises(BadData, match=r"does not say what it reads and sends.*rest.*profile=NAME\|FILE.toml.*libero"):
        load_policy(f"rest:http://127.0.0.1:{server.port}/act", QUICK)


def test_a_profile_that_the_server_contradicts_is_refused(tmp_path: Path) -> None:
    with SERVER(Echo(), "127.0.0.1", 0) as server, pytest.raises(ConventionMismatch, match="announces the profile 'echo', and .* says otherwise: "):
        load_policy(f"rest:{server.url}", {"profile": echo_profile.write(tmp_path, state=False)})


@pytest.mark.parametrize("said", [b'{"profile": 3}', b'{"profile": {"name": "x"}, "dialect": "oft"}'])
def test_an_announcement_that_is_none_is_told(said: bytes) -> None:
    with RawServer(http_answers(http_answer(said))) as server, pytest.raises(BadReply, match="announces what is no profile"):
        load_policy(f"rest:http://127.0.0.1:{server.port}/act", QUICK)


def test_a_port_that_speaks_websocket_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    from vlagym.policies.serving.openpi import SERVER as openpi

    with openpi(Echo(), "127.0.0.1", 0) as server, pytest.raises(BadReply, match=r"speaks WebSocket .*is it the right port\? Such servers are openpi:ws"):
        load_policy(f"rest:{server.url.replace('ws:', 'http:')}", {"profile": echo_profile.write(tmp_path), **QUICK})


def test_a_path_at_which_there_is_nothing_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    wrong = r"/nope answers with HTTP 404: there is nothing at this path; is it the right port\? OpenVLA's and OFT's path is /act"
    with SERVER(Echo(), "127.0.0.1", 0) as ours, pytest.raises(BadReply, match=wrong):
        load_policy(f"rest:{ours.url.replace('/act', '/nope')}", QUICK)
    with RawServer(foreign()) as theirs, pytest.raises(BadReply, match=wrong):
        load_policy(f"rest:http://127.0.0.1:{theirs.port}/nope?key=1", {"profile": echo_profile.write(tmp_path), **QUICK})


def test_a_server_of_files_is_suspected_when_it_is_loaded_and_told_with_the_first_request(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        policy = load(server.server_port)
        assert "answers a GET with HTTP 404: if the first episodes are errors, is it the right port and path?" in caplog.text
        with pytest.raises(BadReply, match=r"failed with HTTP 501: .*; is it the right port\?$"):
            policy.act({0: observation()})
        server.shutdown()


@pytest.mark.parametrize("said", [b"<html>welcome</html>", b"[1]", b'{"hello": 1}'])
def test_a_server_that_answers_whatever_it_is_asked_announces_nothing(said: bytes) -> None:
    with RawServer(http_answers(http_answer(said))) as server, pytest.raises(BadData, match="does not say what it reads and sends"):
        load_policy(f"rest:http://127.0.0.1:{server.port}/act", QUICK)


@pytest.mark.parametrize(
    ("argument", "options", "error", "words"),
    [
        ("rest", {}, BadData, "rest is the address of a server too: write rest:http://host:8000/act"),
        ("rest:host:8000", {}, BadData, "'host:8000' is no address of HTTP: write http://host:port"),
        ("rest:http://h:1", {"dialekt": "oft"}, UnknownName, "no option of policy 'rest' is called 'dialekt'. Did you mean dialect?"),
        ("rest:http://h:1", {"dialect": "ofd"}, UnknownName, "no dialect of rest is called 'ofd'. Did you mean oft"),
        ("rest:http://h:1", {"encoded": "yes"}, BadData, "encoded of rest is true or false, not 'yes'"),
        ("rest:http://h:1", {"timeout": "soon"}, BadData, "timeout of rest is a number of seconds above 0"),
        ("rest:http://h:1", {"execute": "0"}, BadData, "execute of rest is the number of actions of a chunk"),
        ("rest:http://h:1", {"api_key_env": "NO_SUCH_VARIABLE"}, BadData, "'NO_SUCH_VARIABLE' does not exist"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_contacted(argument: str, options: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load_policy(argument, options)


def test_a_profile_with_a_history_does_not_fit() -> None:
    with SERVER(Echo(), "127.0.0.1", 0) as server:
        announced: dict[str, Any] = json.loads(server.announcement())
    announced["profile"]["history"] = [-1, 0]
    with RawServer(http_answers(http_answer(json.dumps(announced).encode()))) as raw:
        with pytest.raises(BadData, match=r"sends one observation at a time, and the profile 'echo' wants those at the steps \(-1, 0\)"):
            load_policy(f"rest:http://127.0.0.1:{raw.port}/act", QUICK)


def test_an_episode_that_was_not_begun_is_told(load: Load) -> None:
    with RawServer(foreign(GOOD)) as server, pytest.raises(NotReset, match="slot 3 was asked for actions before it was told its episode"):
        load(server.port).act({0: observation(), 3: observation()})


# -------------------------------------------------------------------------------------------------------------------- GR00T by HTTP
def test_the_http_server_of_gr00t_is_asked_with_the_keys_of_the_profile(tmp_path: Path) -> None:
    said = {"action.xyz": np.full((4, 3), 0.25), "action.turn": np.zeros((4, 3)), "action.gripper": np.ones(4)}
    table = '[wire.gr00t]\nfront = "image"\nwrist = "wrist_image"\nactions = "xyz:3,turn:3,gripper:1"\ngripper_opening_m = "gripper"'
    options = {"profile": echo_profile.write(tmp_path, table), "dialect": "gr00t", **QUICK}
    with RawServer(foreign(http_answer(arrays.to_json(said).encode()))) as server:
        with contextlib.closing(load_policy(f"rest:http://127.0.0.1:{server.port}/act", options)) as policy:
            policy.reset(context())
            found = policy.act({0: observation()})[0].values
        sent = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])["observation"]
    assert found.shape == (4, 7) and found[0].tolist() == [0.25] * 3 + [0] * 3 + [1]
    assert list(sent) == ["video.image", "video.wrist_image", "state.ee_pos_base_m", "state.gripper", "annotation.human.action.task_description"]
    assert sent["video.image"]["shape"] == [1, 1, 12, 16, 3] and sent["annotation.human.action.task_description"] == ["lift the cube"]


def test_an_unnorm_key_is_refused_for_gr00t(tmp_path: Path) -> None:
    options = {"profile": echo_profile.write(tmp_path), "dialect": "gr00t", "unnorm_key": "bridge_orig", **QUICK}
    with RawServer(foreign()) as server, pytest.raises(BadData, match="GR00T's servers have no unnorm_key: leave the option out"):
        load_policy(f"rest:http://127.0.0.1:{server.port}/act", options)
