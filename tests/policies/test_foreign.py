"""What servers say reaches errors, cards and logs short, on one line, printable, and without what looks like a secret."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vlagym.policies import foreign
from vlagym.policies.foreign import kept, looks_secret, told, told_names, without_query


def test_a_text_is_one_line_of_a_stated_length() -> None:
    assert told("Traceback:\n  it\tbroke\r\n ") == "Traceback: it broke"
    assert told("x" * 5_000_000) == "x" * 300 + " …"
    assert told("first " * 10_000 + "KeyError: 'image'", 20, keep="end") == "… st KeyError: 'image'"
    assert told(b"it \xff broke") == "it � broke" and told(b"x" * 5000, 10) == "x" * 10 + " …"
    assert told("") == "" and told(KeyError("image")) == "'image'"


def test_what_cannot_be_printed_is_escaped() -> None:
    assert told("\x1b[31mred \x1b]0;pwn\x07") == r"\x1b[31mred \x1b]0;pwn\x07"
    assert told("a\u202eb\ud800c\u0085d\0") == r"a\u202eb\ud800c d\x00"
    assert told("Grüße, 猫, ½ °") == "Grüße, 猫, ½ °"


def test_other_things_are_told_by_what_they_look_like() -> None:
    assert told([True, 1.5, "x"]) == "[True, 1.5, 'x']" and told(None) == "None"
    for huge in ([0] * 10**6, {k: k for k in range(10**5)}, np.zeros(10**6), "y" * 10**6, [["z" * 10**6] * 9] * 9):
        assert len(told(huge)) <= 302


def test_names_are_told_up_to_a_number_and_a_length() -> None:
    assert told_names(["front", "wrist"]) == "front, wrist" and told_names([]) == "nothing"
    said = told_names(f"{k:05}" * 1000 for k in range(100_000))
    assert len(said) < 600 and said.endswith(" and 99992 more")


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("openpi:ws://h:1/?api_key=k", "openpi:ws://h:1/"),
        ("rest:https://h/act?token=s&model=m#f?x", "rest:https://h/act?model=m"),
        ("chat:http://h/v1?model=gpt-5&api_key=k", "chat:http://h/v1?model=gpt-5"),
        ("--policy=ws://user:pw@h:1/x and ws://@h", "--policy=ws://h:1/x and ws://h"),
        ("ws://user:p@w@h", "ws://h"),
        ("sent to 'http://h/a?b=c'd' now", "sent to 'http://h/a now"),
        ("minivla:runs/why?=1", "minivla:runs/why?=1"),
        ("gr00t:tcp://h:5555", "gr00t:tcp://h:5555"),
    ],
)
def test_an_address_is_told_without_its_query(address: str, left: str) -> None:
    assert without_query(address) == left and foreign.has_query(address) == (left != address)


@pytest.mark.parametrize("name", ["token", "api_key", "apiKey", "APIKEY", "X-Auth-Token", "password", "hf_key", "key", "clientSecret", "Cookie"])
def test_a_name_that_speaks_of_a_secret_is_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["image_keys", "tokenizer", "max_tokens", "unnorm_key", "monkey", "keyboard", "action_dim", "author"])
def test_a_name_that_speaks_of_none_is_kept(name: str) -> None:
    assert not looks_secret(name)


def test_a_card_keeps_a_description_but_for_its_secrets() -> None:
    said = {"model": "pi0", "fps": 20, "share": 0.5, "pose": [0, -1.5], "on": True, "none": None, "auth": {"user": "x"}, "api": {"token": "sk-1"}}
    card = kept(said)
    assert card.pop("left_out") == "auth, token"
    assert card == {"model": "pi0", "fps": 20, "share": 0.5, "pose": [0, -1.5], "on": True, "none": None, "api": {}}


def test_a_card_is_bounded_printable_and_json() -> None:
    deep: list[object] = []
    for _ in range(1000):
        deep = [deep]
    said = {
        "big": "x" * 20_000_000,
        "\x1b[31m": "\x1b]0;pwn\ud800",
        "nan": float("nan"),
        "huge": 10**400,
        "array": np.zeros(3),
        "deep": deep,
        "long": list(range(10**6)),
        "see": "https://host/x?token=1",
        **{f"n{k}": "y" * 300 for k in range(1000)},
    }
    card = kept(said)
    assert len(json.dumps(card, allow_nan=False).encode()) < 3 * foreign.KEPT_MAX
    assert card["big"] == "x" * 300 + " …" and card[r"\x1b[31m"] == r"\x1b]0;pwn\ud800"
    assert card["nan"] == "nan" and card["array"] == "(ndarray)" and card["see"] == "https://host/x"
    assert card["long"][-1] == "(and 999936 more)" and "more" in card["left_out"]
