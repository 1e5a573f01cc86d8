"""A server of chat completions whose model is a script: it reads each request, checks it as strict servers do, and answers what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """An answer that is no completion."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Script = Callable[[dict[str, Any]], "str | list[tuple[str, dict[str, Any]]] | dict[str, Any] | Raw"]
"""Request -> a text, tool calls as (name, arguments), a whole message, or bytes."""


class ChatServer:
    """Listens on a free port of this machine while it is entered."""

    def __init__(self, script: Script, *, models: Sequence[str] = ("fake-vlm",), usage: bool = True, key: str | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
                    self._send(error(401, f"Incorrect API key provided: {self.headers.get('Authorization', '')}"))
                elif self.path.startswith("/v1/models"):
                    self._send(Raw(200, json.dumps({"object": "list", "data": [{"id": m} for m in models]}).encode()))
                else:
                    self._send(error(404, "no such path"))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(body)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                wrong = complaint(body)
                if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
                    self._send(error(401, f"Incorrect API key provided: {self.headers.get('Authorization', '')}"))
                elif self.path.split("?")[0] != "/v1/chat/completions" or wrong:
                    self._send(error(400, wrong or "no such path"))
                else:
                    answer = script(body)
                    self._send(answer if isinstance(answer, Raw) else Raw(200, json.dumps(completion(answer, usage=usage)).encode()))

            def _send(self, raw: Raw) -> None:
                self.send_response(raw.status)
                for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(raw.body))), *raw.headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw.body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def completion(answer: str | list[tuple[str, dict[str, Any]]] | dict[str, Any], *, usage: bool = True) -> dict[str, Any]:
    """Returns a chat completion around what the script says."""
    if isinstance(answer, dict):
        message = answer
    elif isinstance(answer, str):
        message = {"role": "assistant", "content": answer}
    else:
        rows = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for i, (name, arguments) in enumerate(answer)
        ]
        message = {"role": "assistant", "content": None, "tool_calls": rows}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    body: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "model": "fake-vlm", "choices": [{"index": 0, "message": message}]}
    body["choices"][0]["finish_reason"] = finish
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return body


def error(status: int, message: str, param: str | None = None) -> Raw:
    """Returns an error as such servers tell it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    return Raw(status, json.dumps(body).encode())


def complaint(body: dict[str, Any]) -> str | None:
    """Returns what a strict server finds wrong with a request: calls without an answer, answers without a call, tools of an impossible form."""
    asked: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in asked or not isinstance(message["content"], str):
                return f"the tool message {message} answers no call, or not in text"
            asked.remove(message["tool_call_id"])
            continue
        if asked:
            return f"the calls {asked} have no answer"
        if message["role"] == "assistant":
            asked = [call["id"] for call in message.get("tool_calls") or ()]
            if not asked and not isinstance(message.get("content"), (str, list)):
                return "an assistant message without content and calls"
        elif message["role"] not in ("system", "user"):
            return f"the role {message['role']!r}"
    if asked:
        return f"the calls {asked} have no answer"
    return None


def texts(message: dict[str, Any]) -> str:
    """Returns the text of a message."""
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or ())


def images(message: dict[str, Any]) -> list[str]:
    """Returns the image URLs of a message."""
    content = message["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"] if isinstance(content, list) else []
