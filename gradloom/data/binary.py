"""Binary files of numbers: NumPy's ``.npy`` and ``.npz``, MNIST's idx, and Parquet."""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gradloom.data.arrays import Arrays, arrays_from_mapping
from gradloom.data.files import read_bytes
from gradloom.data.frames import table_from_frame
from gradloom.data.table import Kind, Table
from gradloom.errors import DataError, MissingPackageError

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"
_PARQUET_MAGIC = b"PAR1"

# The third byte of an idx file tells its data type; numbers are big-endian.
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IDX_MAX_AXES = 32  # as many as NumPy has had in all its versions
_IDX_IMAGES = re.compile(r"images([-.])idx\d")


def read_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file.

    Raises:
        DataError: the file is no ``.npy``, is damaged, or holds Python objects.
    """
    return _npy_array(read_bytes(path), str(path))


def read_npz(path: Path) -> Arrays:
    """The arrays ``x`` and ``y`` (or ``x_train``, ``y_train``, ``x_test``, ``y_test``) of an ``.npz`` file.

    Raises:
        DataError: the file is no ``.npz``, is damaged, holds Python objects, or has other keys.
    """
    source = str(path)
    raw = read_bytes(path)
    if not raw.startswith(_ZIP_MAGIC):
        raise _not_of_format(source, ".npz", raw)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = {n.removesuffix(".npy"): archive.read(n) for n in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise _damaged(source, error) from None
    return arrays_from_mapping(
        {name: _npy_array(member, f"{source}[{name!r}]") for name, member in members.items()}, source=source
    )


def read_idx(path: Path) -> Arrays:
    """The images of an idx file with the labels of the file beside it, gzipped or not.

    Args:
        path: for ``train-images-idx3-ubyte.gz`` the labels are taken from ``train-labels-idx1-ubyte.gz`` (or
            the same without ``.gz``) in the same folder, where there is one.

    Returns:
        inputs of the shape and data type that the file states: (N, 28, 28) and uint8 for MNIST.

    Raises:
        DataError: the file is no idx file or is damaged, or there are not as many labels as images.

    Source: http://yann.lecun.com/exdb/mnist/ ("the IDX file format").
    """
    labels = _labels_beside(path)
    targets = None if labels is None else _idx_array(read_bytes(labels), str(labels))
    return Arrays(_idx_array(read_bytes(path), str(path)), targets, source=str(path))


def read_parquet(path: Path, *, kinds: Mapping[str, Kind] | None = None) -> Table:
    """The table of a Parquet file.

    Args:
        path: the file.
        kinds: kinds of columns that the user has said; the others are inferred.

    Raises:
        DataError: the file is no Parquet file or is damaged, or a column is not of the kind asked for.
        MissingPackageError: polars is not installed.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    try:
        import polars  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "read_parquet", rule="Parquet files need polars", fix="Run: pip install 'gradloom[cli]'."
        ) from None
    source = str(path)
    raw = read_bytes(path)
    if not raw.startswith(_PARQUET_MAGIC):
        raise _not_of_format(source, ".parquet", raw)
    try:
        frame = polars.read_parquet(io.BytesIO(raw))
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise _damaged(source, error) from None
    return table_from_frame(frame, source=source, kinds=kinds)


def _npy_array(raw: bytes, source: str) -> np.ndarray:
    if not raw.startswith(_NPY_MAGIC):
        raise _not_of_format(source, ".npy", raw)
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False)
    except Exception as error:  # NumPy lets its parser's errors through: TokenError, SyntaxError, MemoryError, ...
        if "Object arrays" in str(error):
            raise DataError(
                source,
                rule="arrays of Python objects are not read: they are pickles, which can run any code",
                fix="Save the array with a plain data type: np.save(file, array.astype(np.float32)).",
            ) from None
        raise _damaged(source, error) from None


def _idx_array(raw: bytes, source: str) -> np.ndarray:
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES or not 0 < raw[3] <= _IDX_MAX_AXES:
        raise _not_of_format(source, "idx", raw)
    dtype = np.dtype(_IDX_TYPES[raw[2]])
    start = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4))
    stated = start + dtype.itemsize * math.prod(shape)
    if len(raw) != stated or 0 in shape:
        raise DataError(
            source,
            rule=f"an idx file of shape {shape} and type {dtype.name} must have {stated} bytes, and some data",
            got=f"{len(raw)} bytes",
            fix="The file is damaged or cut short: fetch it again.",
        )
    values = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def _labels_beside(images: Path) -> Path | None:
    name = _IDX_IMAGES.sub(r"labels\1idx1", images.name)
    if name == images.name:
        return None
    bare = name.removesuffix(".gz")
    candidates = (images.with_name(name), images.with_name(bare), images.with_name(f"{bare}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def _not_of_format(source: str, name: str, raw: bytes) -> DataError:
    return DataError(
        source,
        rule=f"the file does not begin as one of format {name} must",
        got=f"the bytes {raw[:8]!r}" if raw else "an empty file",
        fix="Check what it really holds and give it the suffix of that format.",
    )


def _damaged(source: str, error: BaseException) -> DataError:
    return DataError(
        source,
        rule="the file is damaged or cut short",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        fix="Fetch or save it again.",
    )
