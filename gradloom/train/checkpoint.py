"""Model files: one safetensors file whose header holds a JSON description.

Loading one runs no code and imports nothing by name: layers, losses and optimisers are looked up in closed tables.
Whatever happens while one is written, there is the old file or the new one (see ``gradloom/saving.py``).

Layout: 8 bytes with the length of the header, the header (JSON: name, type, shape and place of every tensor, and
under ``__metadata__`` the two entries ``gradloom`` and ``checksum``), then the tensors.
See https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialize_tensors

from gradloom import saving, tree
from gradloom.data.files import neighbours
from gradloom.errors import ModelFileError
from gradloom.ir.tensortype import as_dtype
from gradloom.tensor import Tensor, tensor
from gradloom.train.description import REMEDY, check

FORMAT_VERSION = 1
_TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U32": "uint32",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}
_MOST_HEADER_BYTES = 100_000_000  # the limit of the safetensors format


def write(path: str | Path, description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a model file, replacing an old one in one step.

    A link keeps pointing to the file, and an old file's permissions are kept.

    Args:
        path: where to; folders that do not exist are made.
        description: what JSON can hold.
        tensors: by name.

    Raises:
        ModelFileError: the file cannot be written or the disk is full; an old file is kept.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    text = json.dumps({**description, "format": FORMAT_VERSION})
    metadata = {"gradloom": text, "checksum": _checksum(text, arrays)}
    contents = serialize_tensors(arrays, metadata=metadata)
    saving.save(path, contents, rule="the model could not be saved", error=ModelFileError, folders=True)


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the description and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_header(path: str | Path) -> dict[str, Any]:
    """The description in a model file, without its tensors.

    Args:
        path: the model file.

    Returns:
        The fields of train/description.py.

    Raises:
        ModelFileError: there is no such file, or it does not begin like a model file of this library.
    """
    with _opened(path) as file:
        return _description(str(path), _metadata(str(path), file))


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the tensors of a model file.

    Args:
        path: the model file.

    Raises:
        ModelFileError: there is no such file, or it is truncated, damaged or not a model file.
    """
    who = str(path)
    with _opened(path) as file:  # once, so that all comes from one file even if another replaces it meanwhile
        metadata = _metadata(who, file)
        file.seek(0)
        data = file.read()
    try:
        arrays = {name: _array(told) for name, told in deserialize(data)}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise _damaged(who, "the tensors of a model file must be whole", str(problem)) from None
    if metadata.get("checksum") != _checksum(metadata["gradloom"], arrays):
        raise _damaged(who, "the checksum of a model file must match its content", "another one")
    return _description(who, metadata), arrays


def _array(told: Mapping[str, Any]) -> np.ndarray:
    """A tensor of a file; safetensors' own reader for NumPy does not know bfloat16."""
    return np.frombuffer(told["data"], as_dtype(_TYPES[told["dtype"]])).reshape(told["shape"])


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    try:
        if "\0" in str(path):
            raise OSError("a path without null characters is needed")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise ModelFileError(str(path), rule="there is no such model file", fix=neighbours(Path(path))) from None
    except OSError as problem:
        raise ModelFileError(
            str(path), rule="the model file cannot be read", got=problem.strerror or str(problem), fix="Check the path."
        ) from None


def _metadata(who: str, file: BinaryIO) -> dict[str, str]:
    """The ``__metadata__`` of the header."""
    size = int.from_bytes(file.read(8), "little")
    present = os.fstat(file.fileno()).st_size
    if present < 8 or size > min(_MOST_HEADER_BYTES, present - 8):
        told = f"a file of {present} bytes" + (f" whose header would have {size}" if present >= 8 else "")
        raise _damaged(who, "a model file begins with a header that fits into it", told)
    try:
        header = json.loads(file.read(size))
    except (ValueError, RecursionError) as problem:
        raise _damaged(who, "the header of a model file is JSON", str(problem)[:80]) from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("gradloom"), str):
        raise ModelFileError(
            who,
            rule="this is not a model file of gradloom",
            got="a file without gradloom's description in its header",
            fix="Save a model with run.save(path) or gradloom train.",
        )
    return metadata


def _description(who: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The description, of this version and with all its fields."""
    try:
        description = json.loads(metadata["gradloom"])
        version = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise _damaged(who, "the description in the header is JSON with its format", str(problem)[:80]) from None
    if type(version) is not int or version != FORMAT_VERSION:
        raise ModelFileError(
            who,
            rule=f"this version of gradloom reads model files of format {FORMAT_VERSION}",
            got=f"format {version!r}"[:80],
            fix="Use the version of gradloom that wrote the file.",
        )
    check(description, who)
    return description


def _damaged(who: str, rule: str, got: str) -> ModelFileError:
    return ModelFileError(who, rule=rule, got=got, fix=REMEDY)


def flat(values: Any, prefix: str) -> dict[str, np.ndarray]:
    """Nested tensors as arrays under names like ``prefix/hidden/weight``."""
    leaves, definition = tree.flatten(values)
    names = ("/".join((prefix, *path)) for path in tree.paths(definition))
    return {name: leaf.numpy() for name, leaf in zip(names, leaves)}


def nested(like: Any, arrays: Mapping[str, np.ndarray], prefix: str, who: str) -> Any:
    """Arrays under such names as tensors nested like ``like``, whose shapes and types they must have.

    Raises:
        ModelFileError: a tensor is missing, or has another shape or type.
    """
    leaves, definition = tree.flatten(like)
    found: list[Tensor] = []
    for leaf, path in zip(leaves, tree.paths(definition)):
        name = "/".join((prefix, *path))
        array = arrays.get(name)
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            got = "none" if array is None else f"{array.dtype}{list(array.shape)}"
            raise ModelFileError(who, rule=f"the tensor {name} must be {leaf.type} for this model", got=got, fix=REMEDY)
        found.append(tensor(array))
    return tree.unflatten(definition, found)
