"""TFRecord files: records one after the other, each with its length and two checksums.

A record is  length u64 | masked CRC-32C of those 8 bytes u32 | payload | masked CRC-32C of the payload u32,  all little-endian
(TensorFlow, tensorflow/core/lib/io/record_writer.h). The checksum runs over many stretches of the payload at once, and joins them afterwards: a
checksum is linear, so that of two stretches is that of the first, moved along by the length of the second, xor that of the second. It takes 3 ms of
processor time a megabyte (measured); byte for byte in Python it takes 140.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData

Table = NDArray[np.uint32]

_POLYNOMIAL = np.uint32(0x82F63B78)
"""Castagnoli's, bits reversed."""
_MASK_DELTA = 0xA282EAD8
"""TensorFlow, tensorflow/core/lib/hash/crc32c.h."""
_HEADER, _FOOTER = 12, 4
_STRETCH = 256
"""Bytes of a stretch; a power of two."""
_BLOCK = 4096 * _STRETCH
"""Bytes whose stretches are looked at together: their 16 kB of registers stay in the nearest cache."""


class Place(NamedTuple):
    """Where the payload of a record lies in its file."""

    offset: int
    length: int


def framed(chunks: Sequence[bytes]) -> list[bytes]:
    """Returns a record around a payload, in the pieces in which it may be written.

    Args:
      chunks: The payload, in pieces.
    """
    payload = b"".join(chunks)
    length = struct.pack("<Q", len(payload))
    return [length, struct.pack("<I", _masked(crc32c(length))), payload, struct.pack("<I", _masked(crc32c(payload)))]


def places(path: Path) -> list[Place]:
    """Returns where the records of a file lie. Of each only its length is read.

    Raises:
      BadData: If the file is missing, cut off, or no TFRecord file.
    """
    found: list[Place] = []
    try:
        with path.open("rb") as file:
            size, at = path.stat().st_size, 0
            while at < size:
                file.seek(at)
                head = file.read(_HEADER)
                whole = len(head) == _HEADER and struct.unpack("<I", head[8:])[0] == _masked(crc32c(head[:8]))
                length = struct.unpack("<Q", head[:8])[0] if whole else 0
                if not whole or at + _HEADER + length + _FOOTER > size:
                    raise BadData(
                        f"{path} is cut off or damaged after {len(found)} records, at byte {at} of {size}: copy it once more from where it came"
                    )
                found.append(Place(at + _HEADER, length))
                at += _HEADER + length + _FOOTER
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error}") from error
    return found


def payload(file: BinaryIO, place: Place, where: str) -> bytes:
    """Reads the payload of a record.

    Args:
      file: The open file.
      place: Of the record.
      where: Its name, for the error.

    Raises:
      BadData: If it is not what was written.
    """
    file.seek(place.offset)
    data = file.read(place.length + _FOOTER)
    if len(data) != place.length + _FOOTER or struct.unpack("<I", data[-_FOOTER:])[0] != _masked(crc32c(memoryview(data)[:-_FOOTER])):
        raise BadData(f"{where} is damaged: its checksum is another one. Copy its file once more from where it came")
    return data[:-_FOOTER]


def crc32c(data: bytes | memoryview) -> int:
    """Returns the CRC-32C of some bytes, as RFC 3720 has it: that of b"123456789" is 0xE3069283."""
    found = np.frombuffer(data, np.uint8)
    first = (len(found) - 1) % _BLOCK + 1 if len(found) else 0
    begin = found[:first].copy()
    if first < 4:
        register = 0xFFFFFFFF
        for byte in begin.tolist():
            register = (register >> 8) ^ int(_byte_table()[(register ^ byte) & 0xFF])
    else:
        begin[:4] ^= 0xFF  # the same as a register of ones at the start
        register = _block(begin)
    for at in range(first, len(found), _BLOCK):
        register = int(_moved(_shift(_BLOCK), np.array([register], np.uint32))[0]) ^ _block(found[at : at + _BLOCK])
    return register ^ 0xFFFFFFFF


# -------------------------------------------------------------------------------------------------------------------------- checksum
def _masked(crc: int) -> int:
    """Returns the checksum in the form in which it is stored."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _block(data: NDArray[np.uint8]) -> int:
    """Returns the register after at most _BLOCK bytes, begun with zeros."""
    lanes = 1 << max(0, (len(data) - 1) // _STRETCH).bit_length()
    if len(data) < lanes * _STRETCH:  # zeros before the data leave a register of zeros as it is
        data = np.concatenate([np.zeros(lanes * _STRETCH - len(data), np.uint8), data])
    words = np.ascontiguousarray(data.reshape(lanes, _STRETCH).view("<u2").T)
    table, registers = _word_table(), np.zeros(lanes, np.uint32)
    for row in words:
        registers = (registers >> np.uint32(16)) ^ table.take((registers ^ row) & np.uint32(0xFFFF))
    length = _STRETCH
    while len(registers) > 1:
        registers = _moved(_shift(length), registers[0::2]) ^ registers[1::2]
        length *= 2
    return int(registers[0])


@functools.cache
def _byte_table() -> Table:
    """Returns what becomes of each register below 256 when 8 zero bits follow."""
    table: Table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), _POLYNOMIAL, np.uint32(0))
    return table


@functools.cache
def _word_table() -> Table:
    """Returns what becomes of each register below 65,536 when 16 zero bits follow."""
    return _next_byte(_next_byte(np.arange(65536, dtype=np.uint32)))


def _next_byte(registers: Table) -> Table:
    return np.asarray((registers >> np.uint32(8)) ^ _byte_table()[registers & np.uint32(0xFF)])


@functools.cache
def _shift(length: int) -> Table:
    """Returns the operator that moves a register along by a number of zero bytes, a power of two: `(4, 256)`, for each byte of the register."""
    bits = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    images = _next_byte(bits) if length == 1 else _moved(_shift(length // 2), _moved(_shift(length // 2), bits))
    chosen = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return np.stack([np.bitwise_xor.reduce(chosen.astype(np.uint32) * images[8 * i : 8 * i + 8], axis=1) for i in range(4)])


def _moved(operator: Table, registers: Table) -> Table:
    moved = np.zeros_like(registers)
    for i in range(4):
        moved ^= operator[i][(registers >> np.uint32(8 * i)) & np.uint32(0xFF)]
    return moved
