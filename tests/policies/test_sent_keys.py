"""No text that is told holds a key that was sent, however it is written there, and whichever way the text is cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from vlagym.envs.errors import BadData
from vlagym.policies import sent_keys
from vlagym.policies.connections.address import read_address
from vlagym.policies.connections.limits import read_secret
from vlagym.policies.foreign import kept, told, told_names
from vlagym.policies.sent_keys import cleaned, cleaned_bytes, remember

KEY = 'sk-Ünsagbar/9 "0123456789"'


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins with no key and leaves none behind."""
    monkeypatch.setattr(sent_keys, "_known", ())
    yield


def test_a_key_is_found_as_it_is_and_as_it_is_written_in_json_in_addresses_and_by_python() -> None:
    remember(KEY)
    in_json = (json.dumps(KEY)[1:-1], json.dumps(KEY, ensure_ascii=False)[1:-1])
    for way in (KEY, repr(KEY)[1:-1], *in_json, quote(KEY), quote(KEY, safe=""), quote_plus(KEY)):
        assert cleaned(f"Bearer {way}.") == "Bearer (the key)."
        assert told(f"Bearer {way}.".encode()) == "Bearer (the key)."


def test_a_key_at_the_place_where_a_text_is_cut_leaves_nothing() -> None:
    remember(KEY)
    for letters in range(280, 320):
        for said in ("x" * letters + KEY, " " * (8 * letters) + KEY, ("x" * letters + KEY).encode()):
            for keep in ("start", "end"):
                assert "sk-" not in told(said, keep=keep) and "789" not in told(said, keep=keep)


def test_a_key_within_other_things_leaves_nothing_either() -> None:
    remember(KEY)
    for length in (0, 100, *range(120, 160), 290, 1000):
        for said in ("x" * length + KEY + "y" * 1000, ("x" * length + KEY).encode(), KeyError("x" * length + KEY)):
            for value in (said, [said], {"detail": said}, {KEY: {"deep": [said]}}):
                assert not any(part in told(value) for part in ("sk-", "agbar", "2345"))
    assert told_names([KEY, "front"]) == "(the key), front"
    assert kept({"said": f"hello {KEY}", KEY: 1}) == {"said": "hello (the key)", "left_out": "(the key)"}


def test_the_longer_of_two_keys_is_looked_for_first_and_one_that_is_a_word_of_three_letters_is_none() -> None:
    for key in ("robot", "robot-arm", "arm"):
        remember(key)
    assert cleaned("robot-arm, robot, arm") == "(the key), (the key), arm"


def test_a_short_key_is_looked_for_as_a_word_and_a_long_one_within_words_too() -> None:
    for key in ("test", "EMPTY", "x9" * 8):
        remember(key)
    said = 'the latest tests of "test", EMPTY_2 and "EMPTY"; nx9x9x9x9x9x9x9x9'
    assert cleaned(said) == 'the latest tests of "(the key)", (the key)_2 and "(the key)"; n(the key)'
    assert cleaned_bytes(b"latest test=test&k\xc3\xa4test") == b"latest (the key)=(the key)&k\xc3\xa4(the key)"


def test_keys_of_variables_and_of_queries_are_known_from_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_KEY", "s3cret")
    assert read_secret("rest", "api_key_env", {"api_key_env": "ROBOT_KEY"}) == "s3cret" and told("s3cret?") == "(the key)?"
    read_address("https://host/v1?api-version=2026-01-01&api_key=abc%2Fdef", ("https",), what="HTTP", write="https://host")
    assert told("no abc/def, no abc%2Fdef, of 2026-01-01") == "no (the key), no (the key), of 2026-01-01"


def test_words_of_an_error_that_has_none_are_told_as_such() -> None:
    class Mute(BadData):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert told(Mute()) == "(no words: its __str__ raised ZeroDivisionError)"
