"""Event files: checksums and bytes by hand, and read back by a small reader of its own."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradloom import nn, train
from gradloom.errors import OptionError
from gradloom.train.event_file import crc32c, record, scalars_event, version_event


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_those_of_the_standard(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_an_event_by_hand() -> None:
    """Field 1, 8 bytes; field 2, a varint; field 5, a message with a value of tag "a" and 0.5."""
    expected = "09 000000000000f83f  10 ac02  2a 0a  0a 08  0a 01 61  15 0000003f"
    assert scalars_event(1.5, 300, {"a": 0.5}) == bytes.fromhex(expected.replace(" ", ""))
    assert version_event(1.5) == bytes.fromhex("09000000000000f83f1a0d") + b"brain.Event:2"


def test_a_record_that_tensorflow_wrote() -> None:
    """The first record of an event file: its length, 24, with the masked checksum that TensorFlow writes for it."""
    assert record(bytes(24))[:12].hex() == "1800000000000000a37f4b22"


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def fields(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            kind, size = {1: ("<d", 8), 5: ("<f", 4)}[key & 7]
            value, at = struct.unpack(kind, data[at : at + size])[0], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def events(folder: Path) -> list[dict[int, list[Any]]]:
    (file,) = folder.iterdir()
    assert ".tfevents." in file.name
    data, found = file.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        found.append(fields(data[12 : 12 + size]))
        assert record(data[12 : 12 + size]) == data[: 16 + size]
        data = data[16 + size :]
    return found


def test_a_run_leaves_its_history(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 2)).astype(np.float32), rng.integers(0, 2, 30)
    run = train.Trainer(nn.Dense(2), metrics=["accuracy"], executor="reference")
    hooks = [train.TensorBoard(tmp_path / "board")]
    history = run.fit((x, y), validation=0.3, epochs=3, callbacks=hooks, progress="silent")
    for part, before in (("train", ""), ("validation", "val_")):
        first, *epochs = events(tmp_path / "board" / part)
        assert first[3] == [b"brain.Event:2"]
        assert [event[2] for event in epochs] == [[1], [2], [3]]
        for event, row in zip(epochs, history.rows):
            values = [fields(value) for value in fields(event[5][0])[1]]
            found = {value[1][0].decode(): value[2][0] for value in values}
            assert found == pytest.approx({name: row[f"{before}{name}"] for name in ("loss", "accuracy")})


def test_a_second_training_has_files_of_its_own(tmp_path: Path) -> None:
    run = train.Trainer(nn.Dense(2), executor="reference")
    for _ in range(2):
        run.fit(
            (np.ones((4, 1)), np.zeros(4, int)), callbacks=[train.TensorBoard(tmp_path)], progress="silent", epochs=1
        )
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert not (tmp_path / "validation").exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    run = train.Trainer(nn.Dense(2), executor="reference")
    with pytest.raises(OptionError, match="the folder must be one that can be written to"):
        run.fit(
            (np.ones((4, 1)), np.zeros(4, int)), callbacks=[train.TensorBoard(tmp_path / "taken")], progress="silent"
        )
