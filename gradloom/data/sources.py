"""Reading a data set from whatever the user has: one function, which looks at what it is given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradloom.data.arrays import Arrays, arrays_from_mapping
from gradloom.data.binary import read_idx, read_npy, read_npz, read_parquet
from gradloom.data.bundled import BUNDLED, load_bundled
from gradloom.data.delimited import UTF_8, Header, read_delimited
from gradloom.data.files import files_in, folder_error
from gradloom.data.frames import is_frame, table_from_columns, table_from_frame, table_from_matrix
from gradloom.data.table import Kind, Table
from gradloom.errors import DataError, OptionError, nearest_hint

Kinds = Mapping[str, Kind] | None

_DELIMITED = (".csv", ".tsv", ".txt", ".data")
_ARRAY_READERS: Mapping[str, Callable[[Path], np.ndarray | Arrays]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".idx": read_idx,
}
_SUFFIXES = (*_DELIMITED, ".parquet", *_ARRAY_READERS)
_IDX_NAME = re.compile(r"[-.]idx\d-ubyte$")


def load(source: object, *, header: Header = "auto", kinds: Kinds = None, encoding: str = UTF_8) -> Table | Arrays:
    """A data set from a file, from a name, or from memory.

    Args:
        source: one of

            - the path of a file: delimited text (``.csv``, ``.tsv``, ``.txt``, ``.data``), ``.parquet``,
              ``.npy``, ``.npz`` or idx (``train-images-idx3-ubyte``); each may be gzipped (``.csv.gz``);
            - the name of a set that comes with scikit-learn: ``digits``, ``iris``, ``wine``,
              ``breast_cancer``, ``diabetes`` (write ``./iris`` for a file of that name);
            - a DataFrame of pandas or polars;
            - a dict of arrays: one-dimensional ones are columns, others are ``x``, ``y``, ... as in an
              ``.npz``;
            - an array: a two-dimensional one is a table with columns ``column_1``, ...; any other is samples.
        header: for delimited text, whether its first line names the columns.
        kinds: for tables, the kinds of columns where the inferred one is wrong: ``{"Pclass": "category"}``.
        encoding: for delimited text, how characters were written as bytes.

    Returns:
        A table of named columns, or arrays of samples.

    Raises:
        DataError: the source cannot be read or makes no data set.
        OptionError: an option that this source has no use for.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
        MissingPackageError: the source needs a package that is not installed.
    """
    if isinstance(source, str | os.PathLike):
        loaded = _load_named(os.fspath(source), header, kinds, encoding)
    else:
        _refuse_text_options(header, encoding, type(source).__name__)
        loaded = _load_from_memory(source, kinds)
    if kinds and isinstance(loaded, Arrays):
        raise _useless("kinds", "tables", loaded.source)
    return loaded


def _load_named(name: str, header: Header, kinds: Kinds, encoding: str) -> Table | Arrays:
    path = Path(name)
    suffix = path.with_suffix("").suffix.lower() if path.suffix == ".gz" else path.suffix.lower()
    if suffix in _DELIMITED:
        return read_delimited(path, header=header, kinds=kinds, encoding=encoding)
    _refuse_text_options(header, encoding, name)
    if name in BUNDLED:
        return load_bundled(name, kinds=kinds)
    if _IDX_NAME.search(name.removesuffix(".gz")):
        return read_idx(path)
    if suffix == ".parquet":
        return read_parquet(path, kinds=kinds)
    if suffix in _ARRAY_READERS:
        loaded = _ARRAY_READERS[suffix](path)
        return loaded if isinstance(loaded, Arrays) else _from_array(loaded, name, kinds)
    raise _unreadable(path)


def _load_from_memory(source: Any, kinds: Kinds) -> Table | Arrays:
    if is_frame(source):
        return table_from_frame(source, source="DataFrame", kinds=kinds)
    if isinstance(source, Mapping):
        if any(np.ndim(value) > 1 for value in source.values() if isinstance(value, np.ndarray)):
            return arrays_from_mapping({k: np.asarray(v) for k, v in source.items()}, source="dict")
        return table_from_columns(source, source="dict", kinds=kinds)
    if isinstance(source, np.ndarray):
        return _from_array(source, "array", kinds)
    raise DataError(
        "load",
        rule="a data set is read from a path, a name, a DataFrame, a dict of arrays or an array",
        got=type(source).__name__,
        fix="Collect a LazyFrame, turn a list into an array with np.asarray.",
    )


def _from_array(array: np.ndarray, source: str, kinds: Kinds) -> Table | Arrays:
    if array.ndim == 2:
        return table_from_matrix(array, source=source, kinds=kinds)
    return Arrays(array, source=source)


def _unreadable(path: Path) -> DataError:
    """The error for a path whose name tells no format: is it a wrong name, or a wrong file?"""
    if path.is_dir():
        return folder_error(path)
    if path.exists():
        return DataError(
            str(path),
            rule=f"the suffix must tell the format: {', '.join(_SUFFIXES)}, each also with .gz",
            got=repr(path.suffix) if path.suffix else "no suffix",
            fix="Convert the file, or name it after what it holds.",
        )
    return DataError(
        str(path),
        rule="there is neither a file nor a bundled data set of this name",
        fix=nearest_hint(path.name, [*BUNDLED, *files_in(path.parent)]),
    )


def _refuse_text_options(header: Header, encoding: str, source: str) -> None:
    for option, said in (("header", header != "auto"), ("encoding", encoding != UTF_8)):
        if said:
            raise _useless(option, "delimited text", source)


def _useless(option: str, use: str, source: str) -> OptionError:
    return OptionError("load", rule=f"{option} is only for {use}", got=f"{option} for {source}", fix="Leave it out.")
