"""Pickles read as plain data: what Python itself reads, and nothing that runs."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom.data.images.pickles import read_pickle
from gradloom.errors import DataError


def text(value: str) -> bytes:
    """A string of Python 2."""
    return b"U" + bytes([len(value)]) + value.encode("latin-1")


def array(values: np.ndarray) -> bytes:
    """An array of bytes as Python 2 and its NumPy wrote it."""
    shape = b"".join(b"M" + struct.pack("<H", n) for n in values.shape)
    empty = b"cnumpy.core.multiarray\n_reconstruct\nq\x08(cnumpy\nndarray\nq\x09K\x00\x85" + text("b") + b"tRq\x0a"
    dtype = b"cnumpy\ndtype\nq\x0b" + text("u1") + b"K\x00K\x01\x87Rq\x0c"
    state = b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"T" + struct.pack("<i", values.size) + values.tobytes()
    return empty + b"(K\x01(" + shape + b"t" + dtype + state + b"\x89" + content + b"tb"


def batch(values: np.ndarray, labels: list[int], name: str = "labels") -> bytes:
    """A batch of CIFAR."""
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    items = text("batch_label") + text("training batch 1 of 5") + text(name) + b"]q\x05(" + numbers + b"e"
    return b"\x80\x02}q\x01(" + items + text("data") + array(values) + b"u."


def test_a_batch_is_what_python_reads():
    values = np.arange(24, dtype=np.uint8).reshape(2, 12)
    raw = batch(values, [3, 250])
    # Python's own reader, which runs pickles, is the judge of what was written here.
    truth = pickle.loads(raw, encoding="latin1")
    found = read_pickle(raw, "batch")
    assert found.keys() == truth.keys()
    assert found["labels"] == truth["labels"] == [3, 250]
    assert np.array_equal(found["data"], truth["data"])
    assert np.array_equal(found["data"], values)


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.one_of(
            st.lists(st.integers(-(2**31), 2**31 - 1) | st.text(max_size=5)), st.none(), st.booleans(), st.text()
        ),
    )
)
def test_plain_data_of_protocol_2_come_back(value: dict[str, Any]):
    assert read_pickle(pickle.dumps(value, protocol=2), "data") == value


class _Runs:
    def __reduce__(self) -> Any:
        return print, ("this must not be seen",)


HOSTILE = {
    "a function": (pickle.dumps(_Runs(), protocol=2), "the name __builtin__.print"),
    "the system": (b"\x80\x02cos\nsystem\nU\x04exit\x85R.", "the name os.system"),
    "a class": (b"\x80\x02csubprocess\nPopen\n.", "the name subprocess.Popen"),
    "a newer protocol": (pickle.dumps({"a": 1}, protocol=4), "protocol 4"),
    "an instance": (b"(ios\nsystem\n.", "instruction b'i'"),
    "a persistent object": (b"Pname\n.", "instruction b'P'"),
    "a call of the type of arrays": (b"\x80\x02cnumpy\nndarray\nK\x04\x85R.", "a call of ndarray"),
    "a type of objects": (b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.", "a call of dtype"),
    "a state of a dict": (b"\x80\x02}}b.", "a state of dict"),
    "keys that are numbers": (pickle.dumps({1: 2}, protocol=2), "a dict whose keys are not texts"),
    "a name alone": (b"\x80\x02cnumpy\nndarray\n.", "an array without content"),
    "lists of lists": (pickle.dumps([[1]], protocol=2), "a list of something else"),
    "a far place of the memo": (b"\x80\x02]r\xff\xff\xff\xff.", "place 4294967295"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_run_is_refused(name: str, capsys: pytest.CaptureFixture[str]):
    raw, got = HOSTILE[name]
    with pytest.raises(DataError) as caught:
        read_pickle(raw, "batch")
    assert str(caught.value).startswith("batch: a pickle is read only where it holds plain data")
    assert got in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_pickle_cut_short_is_refused(cut: int):
    raw = batch(np.zeros((1, 6), np.uint8), [1])
    with pytest.raises(DataError, match="the pickle is damaged or cut short"):
        read_pickle(raw[:-cut], "batch")


@given(st.binary(max_size=60))
def test_noise_is_refused_or_plain(raw: bytes):
    try:
        found = read_pickle(b"\x80\x02" + raw, "noise")
    except DataError:
        return
    assert isinstance(found, (dict, list, tuple, str, int, type(None), np.ndarray))


def test_what_a_memo_nests_again_and_again_is_refused_at_once():
    """Sixty dicts, each with the one before under two keys: walked, they are 2^60."""
    raw = b"\x80\x02}q\x00"
    for place in range(60):
        raw += (
            b"}(" + text("a") + b"h" + bytes([place]) + text("b") + b"h" + bytes([place]) + b"uq" + bytes([place + 1])
        )
    with pytest.raises(DataError, match="a dict where plain data are wanted"):
        read_pickle(raw + b".", "batch")
