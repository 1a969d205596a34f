"""Event files as TensorBoard reads them: records with checksums, each an ``Event`` in the encoding of protocol buffers.

A record (TFRecord) is its length (uint64), the masked CRC-32C of these 8 bytes (uint32), the data, and their masked
CRC-32C; all little-endian.  Of the messages a few fields are written, here with their numbers:

    Event: wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5 (Summary)
    Summary: value = 1 (Value, repeated)
    Value: tag = 1 (string), simple_value = 2 (float)

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, event.proto and summary.proto of TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

VERSION = "brain.Event:2"
"""What the first event of a file says, by which readers know the format."""

_DOUBLE, _BYTES, _FLOAT, _VARINT = 1, 2, 5, 0
"""Types of fields on the wire: 8 bytes, bytes with their length, 4 bytes, a whole number."""


def _crc_table() -> tuple[int, ...]:
    """CRC-32C of every byte, for the polynomial of Castagnoli (reversed 0x82F63B78)."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Data with its length and checksums."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    """The checksum, turned and moved, so that a checksum of data that holds checksums stays a good one."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def version_event(time: float) -> bytes:
    """The event that a file begins with.

    Args:
        time: seconds since 1970.
    """
    return _field(1, _DOUBLE, struct.pack("<d", time)) + _text(3, VERSION)


def scalars_event(time: float, step: int, values: Mapping[str, float]) -> bytes:
    """The event of some numbers.

    Args:
        time: seconds since 1970.
        step: which step, or epoch, they are of.
        values: by tag.
    """
    summary = b"".join(
        _message(1, _text(1, tag) + _field(2, _FLOAT, struct.pack("<f", value))) for tag, value in values.items()
    )
    return _field(1, _DOUBLE, struct.pack("<d", time)) + _field(2, _VARINT, _varint(step)) + _message(5, summary)


def _field(number: int, kind: int, content: bytes) -> bytes:
    return _varint(number << 3 | kind) + content


def _message(number: int, content: bytes) -> bytes:
    return _field(number, _BYTES, _varint(len(content)) + content)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _varint(value: int) -> bytes:
    """A whole number from 0 in groups of 7 bits, the lowest first; all but the last have the eighth bit set."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
