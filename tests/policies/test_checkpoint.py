"""A checkpoint comes back as it was stored, or is refused in one line that says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.policies import checkpoint

TENSORS: dict[str, np.ndarray[Any, Any]] = {"a.weight": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.ones(4, np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "it", "toy", {"note": "é"}, TENSORS)
    return tmp_path / "it"


def edit_card(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    path.write_text(json.dumps(card), encoding="utf-8")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(BadData, match=match) as error:
        checkpoint.load(folder, "toy")
    assert "\n" not in str(error.value)


def test_what_was_saved_comes_back(folder: Path) -> None:
    card, tensors, digest = checkpoint.load(folder, "toy")
    assert card == {"note": "é"} and len(digest) == 32
    assert set(tensors) == set(TENSORS)
    assert all(np.array_equal(tensors[n], TENSORS[n]) and tensors[n].dtype == TENSORS[n].dtype for n in TENSORS)


def test_the_same_weights_have_the_same_digest_wherever_they_lie(tmp_path: Path) -> None:
    first = checkpoint.save(tmp_path / "1", "toy", {}, TENSORS)
    second = checkpoint.save(tmp_path / "2", "toy", {"other": 1}, dict(reversed(TENSORS.items())))
    assert first == second


def test_saving_again_replaces_and_leaves_nothing_unfinished(folder: Path) -> None:
    checkpoint.save(folder, "toy", {"note": "new"}, {"b": np.zeros(2)})
    assert checkpoint.load(folder, "toy").card == {"note": "new"}
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.safetensors"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "gone", r"no checkpoint lies at .*gone: it would be a folder with card.json and model.safetensors")


def test_a_folder_of_something_else_is_named_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "episodes.jsonl").touch()
    refused(tmp_path, r"is no checkpoint: it has no card.json \(it holds episodes.jsonl\)")


def test_missing_weights_are_missed(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "holds card.json but no model.safetensors; copy both")


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    refused(folder, r"model.safetensors has \d+ bytes, its card says \d+: it is truncated; copy it again")


def test_weights_that_are_too_long_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    refused(folder, "it is not the file that the card was written with")


def test_one_changed_byte_is_found(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refused(folder, r"has the digest \w+…, its card says \w+…: it is corrupt or of another training")


def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_digest(folder: Path) -> None:
    import hashlib

    data = b"this is a pickle, honestly"
    (folder / "model.safetensors").write_bytes(data)
    edit_card(folder, lambda card: card["weights"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    refused(folder, "is no safetensors file: ")


def test_a_card_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "card.json").write_text('{"schema": 1,', encoding="utf-8")
    refused(folder, r"card.json is not JSON: .*line 1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(schema=9), "has schema 9; this version of vlagym reads 1"),
        (lambda card: card.update(model="other"), "is of a 'other', not of a 'toy'"),
        (lambda card: card.pop("model"), "lacks the key 'model'"),
        (lambda card: card.pop("weights"), "lacks the key 'weights'"),
        (lambda card: card["weights"].pop("sha256"), "lacks weights.sha256, or it is not str"),
    ],
)
def test_a_card_of_another_kind_is_refused(folder: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit_card(folder, change)
    refused(folder, message)


def test_weights_that_are_not_numbers_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the tensor 'a' holds NaN or infinity"):
        checkpoint.save(tmp_path, "toy", {}, {"a": np.array([1.0, np.inf])})
    assert not list(tmp_path.iterdir())


def test_a_card_cannot_claim_the_keys_of_the_frame(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the key 'weights' of a card is written by vlagym itself"):
        checkpoint.save(tmp_path, "toy", {"weights": 1}, TENSORS)


def test_tensors_that_do_not_fit_an_architecture_are_named() -> None:
    checkpoint.match(TENSORS, {"a.weight": (2, 3), "b": (4,)}, "it")
    with pytest.raises(BadData, match=r"it lacks c; has unknown b; a.weight is \(2, 3\), not \(3, 3\)"):
        checkpoint.match(TENSORS, {"a.weight": (3, 3), "c": (1,)}, "model.safetensors")
    with pytest.raises(BadData, match="lacks p0, p1, p2 and 7 more"):
        checkpoint.match({}, {f"p{i}": (1,) for i in range(10)}, "model.safetensors")
