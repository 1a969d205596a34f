"""Opening a file that a user named: whole contents as bytes, or an error that says what to do."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from gradloom import limits
from gradloom.errors import DataError, nearest_hint

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 2**20


def read_bytes(path: Path) -> bytes:
    """The contents of a file, un-gzipped if it is gzipped (told by its first bytes, not by its name).

    Args:
        path: the file.

    Raises:
        DataError: there is no such file, it is a folder, it may not be read, or its gzip stream is damaged or holds
            more than fits into memory.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(str(path), rule="there is no such file", fix=neighbours(path)) from None
    except IsADirectoryError:
        raise folder_error(path) from None
    except PermissionError:
        raise DataError(
            str(path),
            rule="this file may not be read",
            fix="Ask its owner for permission, or copy it to where you may read.",
        ) from None
    except OSError as error:
        raise DataError(str(path), rule="the file cannot be read", got=str(error)) from None
    return _unzipped(raw, path) if raw.startswith(_GZIP_MAGIC) else raw


def folder_error(path: Path) -> DataError:
    """The error for a folder given where a file is needed; it names files to take instead."""
    files = sorted(files_in(path))[:10]
    fix = f"Name one of its files: {', '.join(files)}." if files else "It holds no files."
    return DataError(str(path), rule="a data set is read from a file, and this is a folder", fix=fix)


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder; none where there is no such folder or it may not be listed."""
    try:
        return [entry.name for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        return []


def neighbours(path: Path) -> str:
    """The remedy for a file that does not exist: the nearest name in its folder, or that there is no such folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    files = files_in(folder)
    return nearest_hint(path.name, files) if files else f"The folder {folder} holds no files."


def _unzipped(raw: bytes, path: Path) -> bytes:
    """The contents of a gzip stream, of which a few bytes may stand for gigabytes."""
    room, found = limits.memory(), bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            while len(found) <= room and (piece := stream.read(_PIECE)):
                found += piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            str(path),
            rule="the gzip stream is damaged or cut short",
            got=str(error),
            fix="Fetch the file again.",
        ) from None
    if len(found) > room:
        raise DataError(
            str(path),
            rule="the contents must fit into memory",
            got=f"more than {room / 2**30:.1f} GiB from {len(raw):,} bytes",
            fix="Unpack the file, and read it in parts.",
        )
    return bytes(found)
