"""Chat completions as OpenAI's API has them, and as the many servers that speak it do: requests are written strictly, answers read liberally."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply
from vlagym.policies.foreign import told
from vlagym.policies.wire import spoken
from vlagym.policies.wire.structure import MAX_ITEMS

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]
RETRIED = (408, 409, 429, 500, 502, 503, 504, 529)
"""Statuses after which it is worth asking again: too busy, or failed this once."""
_TOLD, _NAME_MAX = 300, 200
"""Characters of an answer that an error repeats."""
_OBJECTS = 200
"""Braces at which a JSON object is looked for in a text."""
_ID_MAX, _FINISH_MAX = 100, 40
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


class ToolCall(NamedTuple):
    """A tool that the model calls."""

    id: str
    name: str
    arguments: str
    """A JSON object as text; may be no JSON at all, or cut."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model answered."""

    content: str
    """Empty where there is none."""
    calls: tuple[ToolCall, ...]
    finish: str | None
    """stop, length, tool_calls, content_filter; None where the server does not say."""
    prompt_tokens: int | None
    completion_tokens: int | None
    """None where the server does not count."""
    message: Mapping[str, Any]
    """Of the assistant, to be sent back with the next request."""
    left_out: tuple[str, ...] = ()
    """What was said and is not in it, each in a few words, for the transcript."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What every request of an episode has in common."""

    model: str
    temperature: float | None = 0.0
    """None: is not sent."""
    seed: int | None = None
    max_tokens: int = 1024
    max_tokens_field: MaxTokensField = "max_tokens"
    tools: tuple[Mapping[str, Any], ...] = ()
    """None of them: the request says nothing of tools."""


# ----------------------------------------------------------------------------------------------------------------------------- requests
def request(asking: Asking, messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Returns the body of a request."""
    body: dict[str, Any] = {"model": asking.model, "messages": list(messages), asking.max_tokens_field: asking.max_tokens}
    if asking.temperature is not None:
        body["temperature"] = asking.temperature
    if asking.seed is not None:
        body["seed"] = asking.seed
    if asking.tools:
        body |= {"tools": list(asking.tools), "tool_choice": "auto", "parallel_tool_calls": False}
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def tool(name: str, about: str, properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    """Returns a tool as a request declares it; `properties` are JSON schemas by the names of its arguments."""
    schema = {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


def text_part(text: str) -> dict[str, Any]:
    """Returns a piece of text of a message."""
    return {"type": "text", "text": text}


def image_part(image: NDArray[np.uint8]) -> dict[str, Any]:
    """Returns an image `(H, W, 3)` uint8 of a message, as a lossless PNG."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"}}


def png(image: NDArray[np.uint8]) -> bytes:
    """Returns an image as a PNG file.

    Args:
      image: (H, W, 3) uint8, RGB.

    Raises:
      BadData: If it is something else.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise BadData(f"an image of a chat is (H, W, 3) uint8, not {image.shape} {image.dtype}")
    height, width = image.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, width * 3)], axis=1)  # filter 0 before each row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------------------------------------ answers
def read_reply(body: bytes) -> Reply:
    """Reads the answer to a request.

    Missing counts of tokens, an empty or missing text, text in parts, calls without an id, and arguments that are an object instead of the text of
    one are taken as they come. What a model said is bounded and put into words that can be written, as `vlagym.policies.wire.spoken` has it.

    Raises:
      BadReply: If it is no JSON, an error, or holds no message.
    """
    data = _json(body)
    if not isinstance(data, dict):
        raise BadReply(f"the server answers with {_short(body)}, which is no chat completion")
    if data.get("error"):
        raise BadReply(f"the server answers with an error: {read_error(body)}")
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise BadReply(f"the server answers without choices[0].message: {_short(body)}")
    rows = message.get("tool_calls")
    calls = _calls(rows)
    content = spoken.cut(_text(message.get("content")) or _text(message.get("refusal")), spoken.TEXT_MAX)
    echo, no_room = _echo(message, content, calls)
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    finish = choice.get("finish_reason") if isinstance(choice, dict) else None
    return Reply(
        content=content,
        calls=calls,
        finish=finish[:_FINISH_MAX] if isinstance(finish, str) else None,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        message=echo,
        left_out=(*_left_out(rows, calls), *no_room),
    )


def read_error(body: bytes) -> str:
    """Returns what the body of an error says, in one line."""
    try:
        data = _json(body)
    except BadReply:
        return _short(body) or "nothing"
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict) and error.get("message"):
        words = [str(error[key]) for key in ("message", "type", "param", "code") if error.get(key)]
        return _short(" | ".join(words).encode())
    return _short(str(error).encode()) if isinstance(error, str) else _short(body)


def wants_other_field(status: int, error: str, field: MaxTokensField) -> MaxTokensField | None:
    """Returns under which name a server wants the largest number of tokens, where it refused a request because of the one that was used."""
    other: MaxTokensField = "max_completion_tokens" if field == "max_tokens" else "max_tokens"
    return other if status in (400, 422) and field in error.replace(other, "") else None


def read_models(body: bytes) -> list[str]:
    """Returns the models that a server lists at /models; none where the answer is of another form. What cannot be a name is left out."""
    try:
        data = _json(body)
    except BadReply:
        return []
    rows = data.get("data") if isinstance(data, dict) else None
    names = [str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id")] if isinstance(rows, list) else []
    return [name for name in names if len(name) <= _NAME_MAX and name.isprintable()]


def retry_after_s(text: str | None) -> float | None:
    """Returns the seconds that a header Retry-After asks to wait; None where there is none, or it is a date."""
    try:
        seconds = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e6 else None


def first_object(text: str) -> dict[str, Any] | None:
    """Returns the first JSON object of a text: in a fenced block where there is one, else wherever it stands; None where there is none."""
    fenced = text.split("```")[1::2]
    for part in [*(block.removeprefix("json").strip() for block in fenced), text]:
        at = -1
        for _ in range(_OBJECTS):
            at = part.find("{", at + 1)
            if at < 0:
                break
            try:
                _, end = json.JSONDecoder().raw_decode(part, at)
                found = spoken.loads(part[at:end])
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    return None


def read_arguments(text: str) -> dict[str, Any]:
    """Returns the arguments of a tool call; an empty text is none.

    Raises:
      BadReply: If it is no JSON object: the model is told so.
    """
    if not text.strip():
        return {}
    try:
        found = spoken.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the arguments are no JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise BadReply("the arguments are no JSON object")
    return found


def without_images(message: Mapping[str, Any], digest: Any) -> dict[str, Any]:
    """Returns a message as it is kept: `digest(bytes)` of each image in its place, named sha256."""
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    parts = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "image_url":
            data = base64.b64decode(str(part["image_url"]["url"]).partition(",")[2])
            parts.append({"type": "image", "sha256": digest(data)})
        else:
            parts.append(part)
    return {**message, "content": parts}


def _calls(rows: Any) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for i, row in enumerate(rows[: spoken.CALLS_MAX] if isinstance(rows, list) else []):
        function = row.get("function") if isinstance(row, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            continue
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = "" if arguments is None else json.dumps(arguments)
        taken = {call.id for call in calls}
        ids = (str(row.get("id") or "")[:_ID_MAX], *(f"call_{n}" for n in range(i, i + spoken.CALLS_MAX + 1)))
        name = next(one for one in ids if one and one not in taken)
        calls.append(ToolCall(id=name, name=function["name"][:_NAME_MAX], arguments=spoken.cut(arguments, spoken.ARGUMENTS_MAX)))
    return tuple(calls)


def _echo(message: Mapping[str, Any], content: str, calls: tuple[ToolCall, ...]) -> tuple[dict[str, Any], list[str]]:
    """Returns the message as it came, and for what of it there was no room. What servers refuse to read back is put right: calls without an id, or
    with one that another has, and none at all; names and arguments that are none, for many servers read them once more."""
    echo, no_room = spoken.bounded({key: value for key, value in message.items() if key not in ("role", "content", "tool_calls")})
    said = message.get("content")
    echo |= {"role": "assistant", "content": said if said is None and calls else content}
    if calls:
        echo["tool_calls"] = [{"id": c.id, "type": "function", "function": {"name": _name(c), "arguments": _arguments(c)}} for c in calls]
    return echo, no_room


def _name(call: ToolCall) -> str:
    return _NO_NAME.sub("_", call.name)[:64] or "none"


def _arguments(call: ToolCall) -> str:
    try:
        read_arguments(call.arguments)
    except BadReply:
        return "{}"
    return call.arguments


def _left_out(rows: Any, calls: Sequence[ToolCall]) -> Iterator[str]:
    """Yields what the echo does not say of the calls."""
    for call in calls:
        if _name(call) != call.name:
            yield f"the call {call.id} was of {told(call.name)!r}"
        if _arguments(call) != call.arguments:
            yield f"the arguments of the call {call.id} were no JSON object: {told(call.arguments, _TOLD)}"
    if isinstance(rows, list) and len(rows) > spoken.CALLS_MAX:
        yield f"{len(rows)} calls were made at once; those after the first {spoken.CALLS_MAX} were not heard"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _json(body: bytes) -> Any:
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_ITEMS:  # a list that is empty takes 20 times as much memory as its letters
        raise BadReply(f"the server answers with JSON of more than {MAX_ITEMS} values, which is no chat completion")
    try:
        return spoken.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the server answers with what is no JSON: {_short(body) or 'nothing'}") from error


def _short(body: bytes) -> str:
    return told(body, _TOLD)
