"""A server of chat completions: asked again where it is busy, within bounds, and told of in errors without its key."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from vlagym.envs.errors import BadReply, PolicyUnreachable
from vlagym.policies.connections.http import Answer, HttpConnection, read_url
from vlagym.policies.connections.limits import Limits
from vlagym.policies.sent_keys import remember
from vlagym.policies.wire import openai_chat
from vlagym.policies.wire.openai_chat import Asking, MaxTokensField, Reply

_WAIT_S = (0.5, 8.0)
"""The first wait before a request is repeated, doubled each time, and the longest."""
_ASKED_WAIT_MAX_S = 60.0
"""A server that wants to be left alone for longer has no quota left."""
_SECRET = (401, 403)


class Endpoint:
    """One server. Every request stands alone, so that one that it was too busy for is sent again."""

    def __init__(self, url: str, *, limits: Limits, key: str | None = None, retries: int = 4) -> None:
        """Reads the address; nothing is contacted.

        Args:
          url: http(s)://host:port, with or without the path: without one it is /v1.
          limits: How long it waits and how much it takes.
          key: Sent as `Authorization: Bearer`. No text that is told holds it.
          retries: How often a request is sent again that the server was too busy for, or failed at.

        Raises:
          BadData: If it is no address.
        """
        if key is not None:
            remember(key)
        parts = read_url(url)
        path = parts.path.rstrip("/").removesuffix("/chat/completions")
        self._root = path or "/v1"
        self._query = f"?{parts.query}" if parts.query else ""
        self._retries = retries
        self._http = HttpConnection(url, limits=limits, headers={} if key is None else {"Authorization": f"Bearer {key}"})
        self._field: MaxTokensField | None = None
        """Under which name this server wants the largest number of tokens, once it has said so."""

    @property
    def address(self) -> str:
        """Where requests go to."""
        return f"{self._http.base}{self._root}/chat/completions"

    def models(self) -> list[str]:
        """Returns the models that the server lists, none where it does not: not every server has such a list.

        Raises:
          PolicyUnreachable: If nobody is there, or it wants a key.
        """
        answer = self._http.ask("GET", f"{self._root}/models{self._query}")
        if answer.status in _SECRET:
            self._refuse(answer)
        return openai_chat.read_models(answer.body) if answer.status == 200 else []

    def complete(self, asking: Asking, messages: Sequence[Mapping[str, Any]]) -> Reply:
        """Returns what the model answers.

        Raises:
          PolicyUnreachable: If nobody answers in time, the server stays too busy, or it wants a key.
          BadReply: If it refuses the request, or answers with something else than a chat completion.
        """
        tries = 0
        while True:
            wanted = asking if self._field is None else dataclasses.replace(asking, max_tokens_field=self._field)
            answer = self._http.ask("POST", f"{self._root}/chat/completions{self._query}", openai_chat.request(wanted, messages))
            if answer.status == 200:
                try:
                    return openai_chat.read_reply(answer.body)
                except BadReply as error:
                    raise BadReply(f"{self.address}: {error}") from None
            other = openai_chat.wants_other_field(answer.status, openai_chat.read_error(answer.body), wanted.max_tokens_field)
            if other is not None and self._field is None:
                self._field = other
                continue
            if answer.status not in openai_chat.RETRIED or tries >= self._retries:
                self._refuse(answer, tries)
            self._wait(answer, tries)
            tries += 1

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def _wait(self, answer: Answer, tries: int) -> None:
        asked = openai_chat.retry_after_s(answer.retry_after)
        if asked is not None and asked > _ASKED_WAIT_MAX_S:
            self._refuse(answer, tries, f" and wants to be left alone for {asked:g} s")
        time.sleep(min(_WAIT_S[0] * 2**tries, _WAIT_S[1]) if asked is None else asked)

    def _refuse(self, answer: Answer, tries: int = 0, more: str = "") -> NoReturn:
        said = openai_chat.read_error(answer.body)
        self.close()
        times = f", asked {tries + 1} times" if tries else ""
        told = f"{self.address} answers with HTTP {answer.status}{more}{times}: {said}"
        if answer.status in _SECRET:
            raise PolicyUnreachable(f"{told}. A key lies in an environment variable: say api_key_env=NAME")
        if answer.status in openai_chat.RETRIED:
            raise PolicyUnreachable(told)
        raise BadReply(told)
