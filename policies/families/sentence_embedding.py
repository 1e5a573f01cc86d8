"""Sentences as vectors, for policies that were trained on the embedding of another model: computed by it, or looked up in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage

Embed = Callable[[str], NDArray[np.float32]]
"""A sentence -> its vector `(n,)`."""


def find(path: Path, size: int) -> Embed:
    """Returns what embeds sentences.

    Args:
      path: The folder of a SavedModel that maps `(B,)` strings to `(B, size)`, as the Universal Sentence Encoder does (RT-1 was trained with
        "universal-sentence-encoder-large/5"); or an .npz file with `sentences` (N,) and `embeddings` (N, size), in which a sentence is looked up.
      size: Numbers of a vector.

    Raises:
      BadData: If it is neither, or its vectors have another size.
      MissingPackage: Without tensorflow, for a SavedModel.
    """
    return _table(path, size) if path.suffix == ".npz" else _model(path, size)


def _table(path: Path, size: int) -> Embed:
    try:
        with np.load(path, allow_pickle=False) as stored:
            sentences, vectors = [str(s) for s in stored["sentences"]], np.array(stored["embeddings"], np.float32)
    except (OSError, KeyError, ValueError) as error:
        raise BadData(f"{path} is no table of embeddings: it is an .npz file with `sentences` and `embeddings` ({error})") from error
    if vectors.shape != (len(sentences), size):
        raise BadData(f"{path} holds {len(sentences)} sentences and embeddings of shape {vectors.shape}; ({len(sentences)}, {size}) was expected")
    known = dict(zip(sentences, vectors, strict=True))

    def embed(sentence: str) -> NDArray[np.float32]:
        if sentence not in known:
            raise BadData(f"{path} has no embedding of {sentence!r}; it has {len(known)} sentences. `vlagym show SUITE` prints those of a suite")
        return np.array(known[sentence])

    return embed


def _model(path: Path, size: int) -> Embed:
    if not (path / "saved_model.pb").is_file():
        raise BadData(f"{path} embeds no sentences: name the folder of a SavedModel (with saved_model.pb), or an .npz file")
    try:
        import tensorflow
    except ImportError as missing:
        raise MissingPackage("a SavedModel that embeds sentences needs tensorflow: pip install tensorflow-cpu") from missing
    library: Any = tensorflow
    model = library.saved_model.load(str(path))

    def embed(sentence: str) -> NDArray[np.float32]:
        answer: Any = model(library.constant([sentence]))
        vector = np.array(answer["outputs"] if isinstance(answer, dict) else answer, np.float32)
        if vector.shape != (1, size):
            raise BadData(f"{path} embeds a sentence as {vector.shape}; (1, {size}) was expected")
        return np.array(vector[0])

    return embed
