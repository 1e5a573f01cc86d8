"""The format of a schema of RLDS: a folder as TFDS lays it out.

    <name>/1.0.0/dataset_info.json                        the files, and how many episodes each holds
                 features.json                            the kind of each value
                 <name>-train.tfrecord-00000-of-00004 …   an Example for each episode, in the order in which they were taken
                 vlagym/                                  what RLDS has no place for (`_sidecar`); actions/<digest>.npy where the schema tells others

A schema says which columns a demonstration has besides its images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlagym.results.demonstration import Demonstration
from vlagym.results.format import FIELDS, Format
from vlagym.results.formats._rlds_features import FEATURES
from vlagym.results.formats._rlds_reader import Reader, has_schema
from vlagym.results.formats._rlds_schema import Schema
from vlagym.results.formats._rlds_view import View
from vlagym.results.formats._rlds_writer import Writer, store
from vlagym.results.formats._sidecar import in_memory


def make_format(schema: Schema) -> Format:
    """Returns the format of a schema."""

    def read(path: Path) -> Iterator[Demonstration]:
        with Reader(path, schema) as reader:
            for index in range(len(reader)):
                yield in_memory(reader[index])

    return Format(
        suffix="",
        write=lambda path, info: Writer(path, info, schema),
        open=lambda path: Reader(path, schema),
        read=read,
        store=lambda path, info, demonstration: store(path, info, demonstration, schema),
        holds=frozenset(FIELDS) - {"frame_stride"},
        images="jpeg",
        recognises=lambda path: has_schema(path, schema),
        known_by=(FEATURES, f"*/{FEATURES}"),
        view=lambda path: View(path, schema),
    )
