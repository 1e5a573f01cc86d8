"""A conversation with a model about one episode: what was said, what it cost, how much of it was well formed and could be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlagym.envs.types import Observation, PolicyNotes, sha
from vlagym.policies.wire import openai_chat, spoken
from vlagym.policies.wire.openai_chat import Asking, Reply

Complete = Callable[[Asking, Sequence[Mapping[str, Any]]], Reply]
"""Asks a model."""
_IMAGES_KEPT = 2
"""Messages with images that a model is sent again; older ones lose theirs, or each call would cost more than the one before."""
MEASURES = ("plan_valid", "plan_executable", "model_calls", "prompt_tokens", "completion_tokens")
"""What is said of a conversation, in this order."""


@dataclass
class Tally:
    """Counts of one episode."""

    well_formed: int = 0
    """Steps that the model asked for by the grammar."""
    malformed: int = 0
    """Steps, or whole answers, that are none."""
    begun: int = 0
    """Steps that were to be carried out."""
    failed: int = 0
    """Those of them that could not be, or were given up."""
    calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    """None once a server has not counted."""

    def add_failure(self) -> None:
        """Counts a step that could not even be begun."""
        self.begun += 1
        self.failed += 1

    def measures(self) -> dict[str, float | None]:
        """Returns `MEASURES`: the share of the steps that are well formed; of those that were begun, the share that has not failed; then counts."""
        steps = self.well_formed + self.malformed
        values = (
            self.well_formed / steps if steps else None,
            1.0 - self.failed / self.begun if self.begun else None,
            float(self.calls),
            None if self.prompt_tokens is None else float(self.prompt_tokens),
            None if self.completion_tokens is None else float(self.completion_tokens),
        )
        return dict(zip(MEASURES, values, strict=True))


class Talk:
    """The messages of one episode. A new episode has a new talk: nothing is remembered."""

    def __init__(self, complete: Complete, asking: Asking, cameras: Sequence[str], *, calls_max: int) -> None:
        """Begins an empty conversation.

        Args:
          complete: Asks the model.
          asking: What every request says.
          cameras: Whose images are shown, in this order.
          calls_max: Of the model; afterwards there are no more answers.
        """
        self._complete, self._asking, self._cameras, self._calls_max = complete, asking, tuple(cameras), calls_max
        self._messages: list[dict[str, Any]] = []
        self._said: list[Mapping[str, Any]] = []
        self._is_changed = True
        self.tally = Tally()
        self.seen: Observation | None = None
        """What the environment shows now."""
        self._note({"model": asking.model, "temperature": asking.temperature, "seed": asking.seed, "calls_max": calls_max})

    # ---------------------------------------------------------------------------------------------------------------------- speaking
    def system(self, text: str) -> None:
        """Says how things are."""
        self._say({"role": "system", "content": text})

    def user(self, text: str) -> None:
        """Says something, and shows the images of now."""
        text = spoken.cut(spoken.well_formed(text), spoken.TEXT_MAX)  # it may repeat what a model said
        assert self.seen is not None, "there is something to see whenever a planner is asked"
        parts = [openai_chat.text_part(text)]
        for camera in self._cameras:
            image = self.seen.images[camera]
            height, width = image.shape[:2]
            parts += [openai_chat.text_part(f"{camera} camera, {width} x {height} pixels:"), openai_chat.image_part(image)]
        self._say({"role": "user", "content": parts})

    def tool(self, call_id: str, text: str) -> None:
        """Answers a tool call; in text only, as servers want it."""
        self._say({"role": "tool", "tool_call_id": call_id, "content": spoken.cut(spoken.well_formed(text), spoken.ARGUMENTS_MAX)})

    def ask(self) -> Reply | None:
        """Returns what the model says next; None where it has been asked often enough.

        Raises:
          PolicyUnreachable: If it does not answer.
          BadReply: If what it answers is no reply.
        """
        if self.tally.calls >= self._calls_max:
            self._note({"event": f"the model has been asked {self._calls_max} times, which is all that it may be"})
            return None
        self.tally.calls += 1
        reply = self._complete(self._asking, self._forgetful())
        self.tally.prompt_tokens = _sum(self.tally.prompt_tokens, reply.prompt_tokens)
        self.tally.completion_tokens = _sum(self.tally.completion_tokens, reply.completion_tokens)
        self._messages.append(dict(reply.message))
        counts = {"finish": reply.finish, "prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
        self._note({**reply.message, **counts, **({"left_out": list(reply.left_out)} if reply.left_out else {})})
        return reply

    # ----------------------------------------------------------------------------------------------------------------------- keeping
    def event(self, text: str, **more: Any) -> None:
        """Keeps what happened besides what was said."""
        self._note(spoken.plain({"event": text, **more}))

    def notes(self) -> PolicyNotes | None:
        """Returns the counts, and what was said since this was asked for the last time; None where nothing has changed."""
        if not self._is_changed:
            return None
        notes = PolicyNotes(measures=self.tally.measures(), said=tuple(self._said))
        self._said, self._is_changed = [], False
        return notes

    def _say(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._note(openai_chat.without_images(message, sha))

    def _note(self, entry: Mapping[str, Any]) -> None:
        self._is_changed = True
        self._said.append(entry if self.seen is None else {"time_s": round(self.seen.time_s, 3), **entry})

    def _forgetful(self) -> list[Mapping[str, Any]]:
        """Returns the messages without the images of all but the last of them that have some."""
        with_images = [i for i, m in enumerate(self._messages) if m["role"] == "user" and isinstance(m["content"], list)]
        old = set(with_images[:-_IMAGES_KEPT])
        out: list[Mapping[str, Any]] = []
        for i, message in enumerate(self._messages):
            if i in old:
                texts = [part for part in message["content"] if part["type"] == "text"]
                out.append({**message, "content": [*texts, openai_chat.text_part("(these images are no longer shown)")]})
            else:
                out.append(message)
        return out


def _sum(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
