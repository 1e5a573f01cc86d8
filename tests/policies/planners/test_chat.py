"""Planners by chat: a scripted model behind a real server solves episodes in each manner, and whatever it answers is taken as it should be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Raw, Script, completion, error, images, texts

from vlagym.benchmark.episode import Played, RunnableWorld, WorldOptions, make_world, play_episode
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.errors import BadData, BadReply, NotReset, PolicyUnreachable, UnknownName, VlagymError
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.loading import load_policy
from vlagym.policies.planners.grounding import Grounding
from vlagym.policies.wire import openai_chat


@pytest.fixture(scope="module")
def world() -> Iterator[RunnableWorld]:
    made = make_world(WorldOptions())
    yield made
    made.close()


@pytest.fixture(scope="module")
def drawer() -> EpisodeSpec:
    return load_suite("smoke").restrict(tasks=("open_drawer",), episodes=1).expand(workers=1)[0]


@pytest.fixture(scope="module")
def placing() -> EpisodeSpec:
    return load_suite("smoke").restrict(tasks=("place_on",), episodes=1).expand(workers=1)[0]


def played(
    world: RunnableWorld, spec: EpisodeSpec, script: Script, options: Mapping[str, str] | None = None, **server: Any
) -> tuple[Played, ChatServer]:
    """Returns an episode that a scripted model has planned, and its server."""
    with ChatServer(script, **server) as chat:
        policy = load_policy(f"chat:{chat.url}?model=fake-vlm", options)
        try:
            return play_episode(world, spec, policy), chat
        finally:
            policy.close()


def turns(request: dict[str, Any]) -> int:
    """Returns how often the model has answered before."""
    return sum(message["role"] == "assistant" for message in request["messages"])


def told_names(request: dict[str, Any]) -> list[str]:
    """Returns the names that the prompt tells."""
    line = next(line for line in texts(request["messages"][0]).splitlines() if line.startswith("The things of the scene are called: "))
    return line.removeprefix("The things of the scene are called: ").partition(". You")[0].split(", ")


def meant(request: dict[str, Any], ending: str = "") -> str:
    """Returns the name of the prompt whose words stand in the task: what a model with eyes for words alone would pick."""
    task = texts(next(m for m in request["messages"] if m["role"] == "user")).casefold()
    return max((n for n in told_names(request) if n.endswith(ending)), key=lambda n: sum(w in task for w in n.replace("/", "_").split("_")))


# ----------------------------------------------------------------------------------------------------------------------------- solved
def test_tool_calls_by_name_solve_an_episode_and_all_of_it_is_recorded(world: RunnableWorld, drawer: EpisodeSpec) -> None:
    def script(request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [("open", {"target": meant(request, "/drawer")})] if turns(request) == 0 else [("done", {})]

    one, chat = played(world, drawer, script, {"names": "true"})
    assert one.result.outcome == "success"
    stated = {name: value for name, value in one.result.measures.items() if name.startswith("stated_")}
    assert stated == {
        "stated_plan_valid": 1.0,
        "stated_plan_executable": 1.0,
        "stated_model_calls": 1.0,
        "stated_prompt_tokens": 100.0,
        "stated_completion_tokens": 10.0,
    }
    first = chat.requests[0]
    assert first["model"] == "fake-vlm" and first["temperature"] == 0.0 and first["seed"] == int(drawer.digest()[:7], 16)
    assert first["max_tokens"] == 1024 and first["tools"][0]["function"]["name"] == "pick"
    assert drawer.instruction in texts(first["messages"][1]) and len(images(first["messages"][1])) == 1
    assert [entry.get("role") or entry.get("event", "about")[:6] for entry in one.said] == ["about", "system", "user", "assistant"]
    kept = json.dumps(one.said)
    assert "base64" not in kept and '"sha256"' in kept and len(kept) < 8000


def test_pixels_alone_solve_an_episode_in_the_model_s_own_names(world: RunnableWorld, placing: EpisodeSpec) -> None:
    thing, place = placing.goal[0].args
    world.start(placing)
    seen = world.observe(("front",), privileged=True)
    assert seen.privileged is not None
    here = {name: np.array(seen.privileged.props[name].pos_world) + [0.0, 0.0, 0.01] for name in (thing, place)}
    ground = Grounding(placing)
    pixels = {name: [round(v) for v in ground.pixel_of("front", here[name], seen, 256, 256)] for name in here}

    def script(request: dict[str, Any]) -> str:
        assert thing not in json.dumps(request), "a planner is not told what it could not see"
        return (
            f"```python\ngoal = locate({pixels[place][0]}, {pixels[place][1]})\n"
            f"if pick(({pixels[thing][0]}, {pixels[thing][1]})):\n    place('on', goal)\ndone()\n```"
        )

    one, chat = played(world, placing, script, {"manner": "program"})
    assert one.result.outcome == "success" and len(chat.requests) == 1
    assert "tools" not in chat.requests[0]
    skill = next(entry for entry in one.said if entry.get("event") == "skill")
    assert skill["call"] == "pick" and skill["meant"] == {"object": thing} and skill["came_of_it"] == "done"


def test_a_plan_in_words_solves_an_episode_after_it_was_written_wrong(world: RunnableWorld, drawer: EpisodeSpec) -> None:
    def script(request: dict[str, Any]) -> str:
        if turns(request) == 0:
            return "1. yank the drawer"
        assert "That is no plan: step 1: 'yank the drawer' begins with no skill" in texts(request["messages"][-1])
        return f"1. open {meant(request, '/drawer')}\nDONE"

    one, chat = played(world, drawer, script, {"manner": "text", "names": "true"})
    assert one.result.outcome == "success" and len(chat.requests) == 2
    assert one.result.measures["stated_plan_valid"] == 0.5


# ------------------------------------------------------------------------------------------------------------------------ conversations
class Short:
    """A planner that is asked without a world: it stands before one observation, which does not change."""

    def __init__(self, world: RunnableWorld, spec: EpisodeSpec) -> None:
        from vlagym.policies.base import EpisodeContext

        world.start(spec)
        self.seen = world.observe(("front",), privileged=True)
        self.context = EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec)

    def said(
        self, script: Script, options: Mapping[str, str] | None = None, steps: int = 1, **server: Any
    ) -> tuple[list[Any], dict[str, Any], ChatServer]:
        """Returns the transcript and the last counts of a few steps, and the server."""
        with ChatServer(script, **server) as chat:
            policy = load_policy(f"chat:{chat.url}", options)
            said: list[Any] = []
            measures: dict[str, Any] = {}
            try:
                policy.reset(self.context)
                for _ in range(steps):
                    notes = policy.act({0: self.seen})[0].notes
                    if notes is not None:
                        said += notes.said
                        measures = dict(notes.measures)
            finally:
                policy.close()
        return said, measures, chat


@pytest.fixture(scope="module")
def short(world: RunnableWorld, drawer: EpisodeSpec) -> Short:
    return Short(world, drawer)


def in_turn(*answers: Any) -> Script:
    """Returns a script that gives one answer after another, the last one again and again."""
    return lambda request: answers[min(turns(request), len(answers) - 1)]


def test_every_call_is_answered_also_bad_ones_and_the_image_follows(short: Short) -> None:
    bad = {"id": "a", "type": "function", "function": {"name": "pick", "arguments": "{object: can"}}
    unknown = {"id": "b", "type": "function", "function": {"name": "fly", "arguments": "{}"}}
    said, measures, chat = short.said(
        in_turn({"role": "assistant", "content": None, "tool_calls": [bad, unknown]}, [("pick", {"object_xy": [9999, 0]})], [("done", {})])
    )
    second = chat.requests[1]["messages"]
    assert [m["role"] for m in second] == ["system", "user", "assistant", "tool", "tool", "user"]
    read = {**bad, "function": {"name": "pick", "arguments": "{}"}}
    assert second[2] == {"role": "assistant", "content": None, "tool_calls": [read, unknown]}, "servers that read it once more can"
    assert any("the arguments of the call a were no JSON object: {object: can" in str(entry.get("left_out")) for entry in said)
    assert second[3] == {"role": "tool", "tool_call_id": "a", "content": "error: the arguments are no JSON (JSONDecodeError)"}
    assert second[4]["content"] == "not done: the call before it failed" and len(images(second[5])) == 1
    assert "error: (9999, 0) is not within the image, which is 256 pixels wide and 256 high" in json.dumps(chat.requests[2])
    assert measures["plan_valid"] == pytest.approx(1 / 3) and measures["plan_executable"] == 0.0
    assert said[-1]["event"] == "the plan is at its end"


def test_servers_that_say_less_or_otherwise_are_understood(short: Short) -> None:
    row = {"function": {"name": "done", "arguments": {"summary": "nothing to do"}}}  # no id, no type, arguments as an object
    said, measures, chat = short.said(in_turn("", {"content": "", "tool_calls": [row]}), usage=False)
    assert len(chat.requests) == 2 and measures["prompt_tokens"] is None and measures["model_calls"] == 2.0
    parts = [{"type": "text", "text": 'So:\n```json\n{"tool": "done", "arguments": {}}\n```'}]
    said, measures, chat = short.said(in_turn({"role": "assistant", "content": parts}))
    assert len(chat.requests) == 1 and said[-1]["event"] == "the plan is at its end"


def test_a_server_without_tools_is_asked_for_json(short: Short) -> None:
    call = 'I will open it.\n```json\n{"tool": "open", "arguments": {"target_xy": [0, 999]}}\n```'
    said, measures, chat = short.said(in_turn(call, '{"name": "done"}'), {"calls": "json"})
    assert "tools" not in chat.requests[0] and "Answer with one JSON object" in texts(chat.requests[0]["messages"][0])
    assert chat.requests[1]["messages"][-1]["role"] == "user" and "is not within the image" in texts(chat.requests[1]["messages"][-1])
    assert measures["plan_executable"] == 0.0


def test_a_model_that_says_nothing_useful_is_given_up_and_the_arm_stands_still(short: Short) -> None:
    for manner in ("tools", "text", "program"):
        said, measures, chat = short.said(lambda request: "I am only a language model.", {"manner": manner}, steps=3)
        assert len(chat.requests) == 3 and measures["plan_valid"] == 0.0
        assert any("given up" in str(entry.get("event")) for entry in said)


def test_calls_of_the_model_are_bounded(short: Short) -> None:
    said, measures, chat = short.said(lambda request: [("pick", {"object_xy": [0, 9999]})], {"max_calls": "4"})
    assert len(chat.requests) == 4 and measures["model_calls"] == 4.0 and measures["plan_valid"] == 1.0
    assert any("asked 4 times" in str(entry.get("event")) for entry in said)


def completion_of(message: str) -> Raw:
    """Returns a completion around a message that is written as it is, with what Python would not write."""
    usage = '{"prompt_tokens": 1%s, "completion_tokens": NaN}' % ("0" * 400)
    body = '{"choices": [{"message": %s, "finish_reason": "stop"}], "usage": %s}' % (message, usage)
    return Raw(200, body.encode())


def call_of(arguments: str) -> str:
    function = '{"name": "pick", "arguments": %s}' % json.dumps(arguments)
    return '{"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": %s}]}' % function


NONSENSE = {
    "a pixel of 400 digits": call_of('{"object": "x", "object_xy": [1%s, 5]}' % ("0" * 400)),
    "half a character": '{"role": "assistant", "content": "I \\ud800 think"}',
    "half a character in a name": call_of('{"object": "\\ud83d"}'),
    "half a character in a program": '{"role": "assistant", "content": "```\\npick(\\"\\\\ud83d\\")\\n```"}',
    "numbers that are none in a field nobody knows": '{"role": "assistant", "content": "x", "logprob": NaN, "score": [1e999, -Infinity]}',
    "lists without an end": call_of("[" * 100_000),
    "a field of many letters": '{"role": "assistant", "content": "x", "reasoning": "%s", "other": [%s]}' % ("r" * 300_000, "1," * 90_000 + "1"),
    "a text of many letters": '{"role": "assistant", "content": "%s"}' % ("A" * 2_000_000),
    "a thousand calls": '{"tool_calls": [%s]}' % ",".join('{"id": "c", "function": {"name": "pi ck", "arguments": "{}"}}' for _ in range(1000)),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_of_a_model_is_its_failure_and_kept_within_bounds(what: str, short: Short) -> None:
    manner = "program" if "program" in what else "tools"
    said, measures, chat = short.said(lambda request: completion_of(NONSENSE[what]), {"manner": manner, "max_calls": "3"})
    assert len(chat.requests) == 3 and measures["plan_valid"] in (0.0, 1.0) and measures["prompt_tokens"] is None
    kept = json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    assert len(kept) < 3 * 300_000 and len(json.dumps(chat.requests[2])) < 2_000_000
    if what == "a thousand calls":
        assert "1000 calls were made at once; those after the first 32 were not heard" in kept.decode()


def test_only_the_last_images_are_sent_again(short: Short) -> None:
    _, _, chat = short.said(lambda request: [("pick", {"object_xy": [0, 9999]})], {"max_calls": "5"})
    shown = [len(images(m)) for m in chat.requests[-1]["messages"] if m["role"] == "user"]
    assert shown == [0, 0, 0, 1, 1]


def test_a_program_that_breaks_the_rules_is_told_so_and_does_nothing(short: Short) -> None:
    said, measures, chat = short.said(in_turn("```python\nimport os\n```", "x = 10 ** 10 ** 10", "done()"), {"manner": "program"})
    assert "The program was stopped: line 1: an import is not allowed here. Nothing was done." in texts(chat.requests[1]["messages"][-1])
    assert "a power is not allowed" in texts(chat.requests[2]["messages"][-1])
    assert measures["plan_valid"] == 0.0


def test_what_makes_no_sense_in_the_scene_is_told_without_names_that_it_could_not_see(short: Short, drawer: EpisodeSpec) -> None:
    put = [("place", {"relation": "at", "target_xy": [128, 200]})]
    said, measures, chat = short.said(in_turn(put, [("open", {"target": "lid"})], [("done", {})]))
    assert "the hand holds nothing: pick something first" in json.dumps(chat.requests[1]["messages"])
    assert "nothing was called 'lid' yet. Say its pixel too" in json.dumps(chat.requests[2]["messages"])
    told = json.dumps(chat.requests)
    names = [f.name for f in drawer.scene.fixtures] + [p.name for p in drawer.scene.props]
    assert not [name for name in names if name in told]


def test_a_new_episode_begins_with_an_empty_conversation(short: Short) -> None:
    with ChatServer(lambda request: [("done", {})]) as chat:
        policy = load_policy(f"chat:{chat.url}")
        for _ in range(2):
            policy.reset(short.context)
            policy.act({0: short.seen})
        with pytest.raises(NotReset, match="slot 3 was asked for actions before it was told its episode"):
            policy.act({3: short.seen})
        policy.close()
    assert [len(request["messages"]) for request in chat.requests] == [2, 2]


# ------------------------------------------------------------------------------------------------------------------------------ servers
def test_a_busy_server_is_asked_again_and_for_ever_it_is_not(short: Short) -> None:
    answers = iter([Raw(429, b'{"error": {"message": "slow down"}}', (("Retry-After", "0"),)), Raw(503, b"busy", (("Retry-After", "0"),))])
    said, _, chat = short.said(lambda request: next(answers, "done"), {"manner": "text"})
    assert len(chat.requests) == 3 and said[-1]["event"] == "the plan is at its end"
    with pytest.raises(PolicyUnreachable, match=r"answers with HTTP 429, asked 3 times: slow down"):
        short.said(lambda request: Raw(429, b'{"error": {"message": "slow down"}}', (("Retry-After", "0"),)), {"retries": "2"})
    with pytest.raises(PolicyUnreachable, match=r"HTTP 429 and wants to be left alone for 3600 s"):
        short.said(lambda request: Raw(429, b"{}", (("Retry-After", "3600"),)))


def test_a_server_says_under_which_name_it_wants_the_largest_number_of_tokens(short: Short) -> None:
    def script(request: dict[str, Any]) -> Any:
        if "max_tokens" in request:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens")
        return [("done", {})]

    _, _, chat = short.said(script)
    assert len(chat.requests) == 2 and chat.requests[1]["max_completion_tokens"] == 1024 and "max_tokens" not in chat.requests[1]


@pytest.mark.parametrize(
    ("answer", "raised", "why"),
    [
        (error(400, "no such model", "model"), BadReply, "HTTP 400: no such model . invalid_request_error . model"),
        (Raw(200, b'{"error": {"message": "out of memory"}}'), BadReply, "answers with an error: out of memory"),
        (Raw(200, b"Internal error"), BadReply, "answers with what is no JSON: Internal error"),
        (Raw(200, b"[1, 2]"), BadReply, "answers with .1, 2., which is no chat completion"),
        (Raw(200, b'{"choices": []}'), BadReply, "without choices.0..message"),
        (Raw(200, b"[" * 100_000), BadReply, "no JSON"),
        (Raw(500, b"Traceback (most recent call last)"), PolicyUnreachable, "HTTP 500: Traceback"),
        (Raw(200, b"{}" + b" " * 3_000_000), BadReply, "and 1048576 are allowed: the option max_mib=N allows more"),
    ],
)
def test_an_answer_that_is_none_ends_the_episode_with_the_reason(short: Short, answer: Raw, raised: type[VlagymError], why: str) -> None:
    with pytest.raises(raised, match=why):
        short.said(lambda request: answer, {"retries": "0", "max_mib": "1"})


def test_a_server_that_never_answers_or_hangs_up_costs_the_episode_and_the_next_one_goes_on(short: Short) -> None:
    from raw_server import RawServer

    def talk(server: RawServer, line: Any) -> None:
        while True:
            request = server.read_http(line)
            if request is None:
                return
            count = len(server.requests)
            body = json.dumps(completion([("done", {})])).encode() if count > 3 else b'{"data": [{"id": "m"}]}'
            if count == 2:
                server.is_over.wait(5)  # never answers
                return
            if count == 3:
                return  # hangs up
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with RawServer(talk) as server:
        policy = load_policy(f"chat:http://127.0.0.1:{server.port}", {"timeout": "0.3", "first_timeout": "0.3"})
        for why in ("did not answer within 0.3 s", "closed the connection before its answer was whole"):
            policy.reset(short.context)
            with pytest.raises(PolicyUnreachable, match=why):
                policy.act({0: short.seen})
        policy.reset(short.context)
        assert policy.act({0: short.seen})[0].values.shape == (1, 7)
        policy.close()


# ------------------------------------------------------------------------------------------------------------------------------- options
def test_a_server_that_is_not_up_is_one_line() -> None:
    with pytest.raises(PolicyUnreachable, match="nobody takes a connection at http://127.0.0.1:9"):
        load_policy("chat:http://127.0.0.1:9/v1?model=m", {"connect_timeout": "2"})


def test_the_model_may_be_left_out_where_there_is_but_one() -> None:
    with ChatServer(lambda request: "") as chat:
        policy = load_policy(f"chat:{chat.url}")
        assert policy.spec.card["model"] == "fake-vlm" and policy.spec.privileged
        assert policy.spec.card["low_level"] == "privileged skills; what is tested is the plan"
    with ChatServer(lambda request: "", models=("a", "b")) as chat, pytest.raises(BadData, match=r"say which model of .*There are: a, b"):
        load_policy(f"chat:{chat.url}")


def test_a_key_comes_from_the_environment_and_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch, short: Short) -> None:
    monkeypatch.setenv("PLANNER_KEY", "sk-secret-123")
    said, _, chat = short.said(lambda request: [("done", {})], {"api_key_env": "PLANNER_KEY"}, key="sk-secret-123")
    assert chat.headers[0]["authorization"] == "Bearer sk-secret-123" and "sk-secret" not in json.dumps(said)
    with ChatServer(lambda request: "", key="another") as chat:
        with pytest.raises(PolicyUnreachable, match=r"HTTP 401: Incorrect API key provided: Bearer \(the key\).*api_key_env=NAME") as caught:
            load_policy(f"chat:{chat.url}", {"api_key_env": "PLANNER_KEY"})
        assert "sk-secret" not in str(caught.value)
        with pytest.raises(BadData, match="'NO_SUCH_KEY' does not exist"):
            load_policy(f"chat:{chat.url}", {"api_key_env": "NO_SUCH_KEY"})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadData, match="'OPENAI_API_KEY' does not exist"):
        load_policy("chat:https://api.openai.com/v1?model=m")


@pytest.mark.parametrize(
    ("options", "raised", "why"),
    [
        ({"manner": "poem"}, UnknownName, "no manner of planning is called 'poem'. There are: program, text, tools"),
        ({"calls": "xml"}, UnknownName, "no way of calling is called 'xml'"),
        ({"calls": "json", "manner": "text"}, BadData, "manner=text calls no tools at all"),
        ({"names": "yes"}, BadData, "names of chat is true or false, not 'yes'"),
        ({"cameras": "front,front"}, BadData, "cameras of chat are names with commas"),
        ({"size": "9"}, BadData, "size of chat is a whole number from 16 to 2048"),
        ({"temperature": "hot"}, BadData, "temperature of chat is a number from 0 to 2, or none"),
        ({"max_calls": "0"}, BadData, "max_calls of chat is a whole number from 1"),
        ({"seed": "-1"}, BadData, "seed of chat is a whole number from 0"),
        ({"speed": "1"}, UnknownName, "no option of policy 'chat' is called 'speed'"),
    ],
)
def test_an_option_that_is_none_is_refused_before_anybody_is_asked(options: dict[str, str], raised: type[VlagymError], why: str) -> None:
    with pytest.raises(raised, match=why):
        load_policy("chat:http://127.0.0.1:9/v1?model=m", options)


def test_an_image_is_sent_as_a_lossless_file() -> None:
    imageio = pytest.importorskip("imageio.v3")
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    url = openai_chat.image_part(image)["image_url"]["url"]
    assert (imageio.imread(base64.b64decode(url.partition(",")[2]), extension=".png") == image).all()


