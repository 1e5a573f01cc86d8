"""Whatever stands in a chat completion can be kept and sent back, and what is left out of it is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlagym.policies.wire.openai_chat import Reply, read_reply
from vlagym.policies.wire.spoken import OTHERS_MAX


def reply(**message: Any) -> Reply:
    """Returns what is read of an answer with this message."""
    return read_reply(json.dumps({"choices": [{"message": {"role": "assistant", **message}}]}).encode())


@pytest.mark.parametrize(
    "ids",
    [
        ["call_1", "call_1"],
        ["call_1", None],
        [None, "call_0"],
        ["call_2", "call_1", None],
        ["x", "x", "x", "call_1"],
        [None] * 3,
        [7, 7],
        ["a" * 900, "a" * 901],
    ],
)
def test_no_two_calls_have_the_same_id_whatever_the_model_calls_them(ids: list[Any]) -> None:
    found = reply(tool_calls=[{"id": one, "function": {"name": "look", "arguments": "{}"}} for one in ids])
    names = [call.id for call in found.calls]
    assert len(set(names)) == len(ids) and all(names)
    assert [call["id"] for call in found.message["tool_calls"]] == names
    assert (str(ids[0]) if ids[0] is not None else "call_0").startswith(names[0]), "the first that says an id keeps it"


def test_what_has_no_room_beside_the_text_is_said() -> None:
    letters = "字" * 20_000
    found = reply(content="Yes.", reasoning_content=letters)
    assert (found.message["reasoning_content"], found.left_out) == (letters, ()), "room is counted in letters, not in those of JSON"

    found = reply(content="Yes.", reasoning="r" * (OTHERS_MAX + 9), reasoning_details=["d" * 70_000], kept=1)
    assert found.message["reasoning"].startswith("r" * 60_000) and "reasoning_details" not in found.message and "kept" not in found.message
    assert [words.partition(" of ")[0] for words in found.left_out] == ["reasoning", "reasoning_details", "kept"]
    assert "was cut after" in found.left_out[0] and "of 70004 characters was left out" in found.left_out[1]
    assert len(json.dumps(found.message)) < OTHERS_MAX + 1_000


def test_of_many_fields_without_room_a_few_are_named() -> None:
    found = reply(content="Yes.", first="f" * OTHERS_MAX, **{f"more_{i}": "m" * 80 for i in range(500)})
    assert len(found.left_out) == 9 and found.left_out[-1].endswith("more fields were left out")
