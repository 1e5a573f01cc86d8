"""What rt1:DIR is told is looked at before tensorflow is: folder, embedding, and a table of sentences. Models are played in tests/foreign."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.policies.families.sentence_embedding import find
from vlagym.policies.loading import load_policy


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadData, match="rt1:DIR"):
        load_policy("rt1")
    with pytest.raises(BadData, match="say --policy-option embedding=DIR"):
        load_policy(f"rt1:{tmp_path}", {"profile": "rt1_google"})
    with pytest.raises(BadData, match="has no saved_model.pb"):
        load_policy(f"rt1:{tmp_path}", {"profile": "rt1_google", "embedding": "x.npz"})
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(BadData, match="does not guess"):
        load_policy(f"rt1:{tmp_path}", {"embedding": "x.npz"})
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingPackage, match="needs tensorflow.*pip install tensorflow-cpu"):
        load_policy(f"rt1:{tmp_path}", {"profile": "rt1_google", "embedding": "x.npz"})


def test_a_table_answers_for_the_sentences_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, sentences=np.array(["go", "stop"]), embeddings=np.arange(6.0).reshape(2, 3))
    embed = find(path, 3)
    assert embed("stop").tolist() == [3, 4, 5]
    with pytest.raises(BadData, match="has no embedding of 'Go'; it has 2 sentences"):
        embed("Go")
    with pytest.raises(BadData, match=r"embeddings of shape \(2, 3\); \(2, 512\) was expected"):
        find(path, 512)


def test_what_embeds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="embeds no sentences"):
        find(tmp_path, 3)
    with pytest.raises(BadData, match="is no table of embeddings"):
        find(tmp_path / "absent.npz", 3)
    np.savez(tmp_path / "objects.npz", sentences=np.array(["go", None], object), embeddings=np.zeros((2, 3)))
    with pytest.raises(BadData, match="is no table of embeddings"):
        find(tmp_path / "objects.npz", 3)
