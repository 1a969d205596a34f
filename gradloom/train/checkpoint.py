"""Model files: one safetensors file whose header holds a JSON description.

Loading one runs no code and imports nothing by name: layers, losses and optimisers are looked up in closed tables.
Writing goes to a temporary name in the same folder, is synced to the disk and then takes the file's place in one
step, so whatever happens there is the old file or the new one.

Layout: 8 bytes with the length of the header, the header (JSON: name, type, shape and place of every tensor, and
under ``__metadata__`` the two entries ``gradloom`` and ``checksum``), then the tensors.
See https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as serialize_tensors

from gradloom import tree
from gradloom.errors import ModelFileError
from gradloom.tensor import Tensor, tensor

FORMAT_VERSION = 1
_MOST_HEADER_BYTES = 100_000_000  # the limit of the safetensors format
_REMEDY = "Save the model again, or use a copy of the file that is whole."


def write(path: str | Path, description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a model file, replacing an old one in one step.

    Raises:
        ModelFileError: the folder does not exist or cannot be written, or the disk is full; an old file is kept.
    """
    target = Path(path)
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    text = json.dumps({**description, "format": FORMAT_VERSION}, allow_nan=True)
    metadata = {"gradloom": text, "checksum": _checksum(text, arrays)}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, serialize_tensors(arrays, metadata=metadata))
    except OSError as problem:
        raise ModelFileError(
            str(path),
            rule="the model could not be saved",
            got=problem.strerror or str(problem),
            fix="Free some space or choose another place; an earlier file of this name is unchanged.",
        ) from None


def _replace(target: Path, data: bytes) -> None:
    """Write beside the target, sync, rename, sync the folder."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the description and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_header(path: str | Path) -> dict[str, Any]:
    """The description in a model file, without its tensors.

    Raises:
        ModelFileError: there is no such file, or it is not a whole model file of this library.
    """
    return _description(str(path), _metadata(path))


def _metadata(path: str | Path) -> dict[str, str]:
    """The ``__metadata__`` of the header."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            present = os.fstat(file.fileno()).st_size
            if present < 8 or size > min(_MOST_HEADER_BYTES, present - 8):
                raise ModelFileError(
                    str(path),
                    rule="a model file begins with a header that fits into it",
                    got=f"a file of {present} bytes" + (f" whose header would have {size}" if present >= 8 else ""),
                    fix=_REMEDY,
                )
            header = json.loads(file.read(size))
    except OSError as problem:
        raise ModelFileError(
            str(path), rule="the model file cannot be read", got=problem.strerror or str(problem), fix="Check the path."
        ) from None
    except (ValueError, RecursionError) as problem:
        if isinstance(problem, ModelFileError):
            raise
        raise ModelFileError(
            str(path), rule="the header of a model file is JSON", got=str(problem)[:80], fix=_REMEDY
        ) from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("gradloom"), str):
        raise ModelFileError(
            str(path),
            rule="this is not a model file of gradloom",
            got="a file without gradloom's description in its header",
            fix="Save a model with run.save(path) or gradloom train.",
        )
    return metadata


def _description(who: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        description = json.loads(metadata["gradloom"])
        version = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError(who, rule="the description in the header is damaged", fix=_REMEDY) from None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            who,
            rule=f"this version of gradloom reads model files of format {FORMAT_VERSION}",
            got=f"format {version!r}",
            fix="Use the version of gradloom that wrote the file.",
        )
    return description


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the tensors of a model file.

    Raises:
        ModelFileError: there is no such file, or it is truncated, damaged or not a model file.
    """
    metadata = _metadata(path)
    try:
        arrays = parse_tensors(Path(path).read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelFileError(
            str(path), rule="the tensors of a model file must be whole", got=str(problem), fix=_REMEDY
        ) from None
    if metadata.get("checksum") != _checksum(metadata["gradloom"], arrays):
        raise ModelFileError(
            str(path), rule="the checksum of a model file must match its content", got="another one", fix=_REMEDY
        )
    return _description(str(path), metadata), arrays


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
            raise ModelFileError(
                who, rule=f"the tensor {name} must be {leaf.type} for this model", got=got, fix=_REMEDY
            )
        found.append(tensor(array))
    return tree.unflatten(definition, found)
