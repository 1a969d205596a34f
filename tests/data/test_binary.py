"""Binary files: round trips through the writers of the formats, and every refusal to the letter."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradloom.data.binary import read_idx, read_npy, read_npz, read_parquet
from gradloom.errors import DataError, GradloomError

MNIST = Path(__file__).resolve().parents[2] / "../shared/data/mnist"


def idx(array: np.ndarray, code: int) -> bytes:
    """An idx file by its specification: magic, big-endian sizes, big-endian data."""
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def refusal(read, path: Path) -> str:
    """The message with which the reader refuses the file, without the file's folder."""
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "")


# npy and npz ---------------------------------------------------------------------------------------------


@given(hnp.arrays(hnp.floating_dtypes() | hnp.integer_dtypes() | hnp.boolean_dtypes(), hnp.array_shapes()))
def test_npy_round_trip(tmp_path_factory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    path.write_bytes(npy(array))
    read = read_npy(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["x", "X"])
def test_npz(tmp_path: Path, save, name: str) -> None:
    x, y = np.arange(24.0).reshape(2, 3, 4), np.array([0, 1])
    save(tmp_path / "a.npz", **{name: x, "y": y})
    arrays = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(arrays.inputs, x)
    np.testing.assert_array_equal(arrays.targets, y)
    assert arrays.test is None


def test_npz_with_a_test_part(tmp_path: Path) -> None:
    parts = {"x_train": np.ones((3, 2)), "y_train": np.ones(3), "x_test": np.zeros((2, 2)), "y_test": np.zeros(2)}
    np.savez(tmp_path / "a.npz", **parts)
    arrays = read_npz(tmp_path / "a.npz")
    assert arrays.inputs.shape == (3, 2)
    assert arrays.test is not None
    np.testing.assert_array_equal(arrays.test.inputs, parts["x_test"])
    np.testing.assert_array_equal(arrays.test.targets, parts["y_test"])


def test_npz_without_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)))
    assert read_npz(tmp_path / "a.npz").targets is None


def test_npz_with_other_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.ones((3, 2)), labels=np.ones(3))
    assert refusal(read_npz, tmp_path / "a.npz") == (
        "a.npz: the arrays must be called x and y, or x_train, y_train, x_test and y_test; "
        "got keys images, labels. Save them under these names: np.savez(file, x=inputs, y=targets)."
    )


def test_npz_of_different_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.ones(4))
    assert refusal(read_npz, tmp_path / "a.npz") == (
        "a.npz: inputs and targets must have the same number of samples; got inputs (3, 2) and targets (4,)"
    )


def test_npz_without_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((0, 2)))
    assert refusal(read_npz, tmp_path / "a.npz") == (
        "a.npz: inputs need at least one sample along their first axis; got shape (0, 2)"
    )


def test_npz_of_objects_runs_no_pickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, []], dtype=object))
    assert refusal(read_npz, tmp_path / "a.npz") == (
        "a.npz['x']: arrays of Python objects are not read: they are pickles, which can run any code. "
        "Save the array with a plain data type: np.save(file, array.astype(np.float32))."
    )


def test_npy_of_objects_runs_no_pickle(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, []], dtype=object))
    assert refusal(read_npy, tmp_path / "a.npy") == (
        "a.npy: arrays of Python objects are not read: they are pickles, which can run any code. "
        "Save the array with a plain data type: np.save(file, array.astype(np.float32))."
    )


@pytest.mark.parametrize(
    ("read", "name", "format_name"),
    [
        (read_npy, "a.npy", ".npy"),
        (read_npz, "a.npz", ".npz"),
        (read_parquet, "a.parquet", ".parquet"),
        (read_idx, "a.idx", "idx"),
    ],
)
def test_a_file_that_is_something_else(tmp_path: Path, read, name: str, format_name: str) -> None:
    (tmp_path / name).write_bytes(b"hello, world")
    assert refusal(read, tmp_path / name) == (
        f"{name}: the file does not begin as one of format {format_name} must; got the bytes b'hello, w'. "
        "Check what it really holds and give it the suffix of that format."
    )
    (tmp_path / name).write_bytes(b"")
    assert refusal(read, tmp_path / name) == (
        f"{name}: the file does not begin as one of format {format_name} must; got an empty file. "
        "Check what it really holds and give it the suffix of that format."
    )


@given(st.data())
def test_damaged_files_give_an_array_or_our_error(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    array = np.arange(6.0).reshape(2, 3)
    np.savez_compressed(folder / "whole.npz", x=array)
    formats = {
        read_npy: npy(array),
        read_npz: (folder / "whole.npz").read_bytes(),
        read_idx: idx(array, 0x0E),
    }
    read = data.draw(st.sampled_from(sorted(formats, key=str)))
    raw = bytearray(formats[read])
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "a.bin"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        read(path)
        refusal = None
    except GradloomError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(str(path))


@pytest.mark.parametrize(
    "head",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, ), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), \0",
        "(" * 100,
    ],
    ids=["a shape beyond all memory", "a NUL", "open brackets"],
)
def test_hostile_npy_headers(tmp_path: Path, head: str) -> None:
    head = head.ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    assert refusal(read_npy, tmp_path / "a.npy").startswith("a.npy: the file is damaged or cut short; got ")


# idx -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_idx_types(tmp_path: Path, code: int, dtype: str) -> None:
    array = np.arange(-5, 7).reshape(2, 3, 2).astype(dtype)
    (tmp_path / "a.idx").write_bytes(idx(array, code))
    arrays = read_idx(tmp_path / "a.idx")
    assert arrays.inputs.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(arrays.inputs, array)
    assert arrays.targets is None


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
    ],
)
def test_idx_labels_beside_the_images(tmp_path: Path, images: str, labels: str) -> None:
    x, y = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([7, 8, 9], dtype=np.uint8)
    for name, array in ((images, x), (labels, y)):
        raw = idx(array, 0x08)
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    arrays = read_idx(tmp_path / images)
    np.testing.assert_array_equal(arrays.inputs, x)
    np.testing.assert_array_equal(arrays.targets, y)


def test_idx_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.idx").write_bytes(idx(np.zeros((3, 2, 2), np.uint8), 0x08)[:-1])
    assert refusal(read_idx, tmp_path / "a.idx") == (
        "a.idx: an idx file of shape (3, 2, 2) and type uint8 must have 28 bytes, and some data; got 27 bytes. "
        "The file is damaged or cut short: fetch it again."
    )


@pytest.mark.parametrize("shape", [(0,), (0, 2**32 - 1, 2**32 - 1, 2**32 - 1), (1,) * 33])
def test_idx_of_hostile_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    (tmp_path / "a.idx").write_bytes(head + b"\5" * (0 not in shape))
    assert refusal(read_idx, tmp_path / "a.idx").startswith("a.idx: ")


def test_idx_with_other_labels(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((3, 2, 2), np.uint8), 0x08))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8), 0x08))
    assert refusal(read_idx, tmp_path / "train-images-idx3-ubyte") == (
        "train-images-idx3-ubyte: inputs and targets must have the same number of samples; "
        "got inputs (3, 2, 2) and targets (4,)"
    )


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST of ../shared/data is not here")
def test_mnist() -> None:
    test = read_idx(MNIST / "t10k-images-idx3-ubyte.gz")
    assert (test.inputs.shape, test.inputs.dtype) == ((10000, 28, 28), np.uint8)
    # The published class counts of the test set.
    assert np.bincount(test.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# Parquet -------------------------------------------------------------------------------------------------


def test_parquet_round_trip(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.DataFrame({"n": [1, None, 3], "s": ["a", None, "b"]}).write_parquet(tmp_path / "a.parquet")
    table = read_parquet(tmp_path / "a.parquet", kinds={"s": "text"})
    np.testing.assert_array_equal(table["n"].values, [1, np.nan, 3])
    assert (table["s"].kind, table["s"].values.tolist()) == ("text", ["a", None, "b"])


def test_parquet_cut_short(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    path = tmp_path / "a.parquet"
    polars.DataFrame({"n": [1, 2]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert refusal(read_parquet, path).startswith("a.parquet: the file is damaged or cut short; got ")
