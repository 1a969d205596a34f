"""The files of a set, from an archive as it was downloaded or from the folder that it was unpacked into.

Archives are read into memory and never unpacked onto the disk, so no name in them can lead anywhere.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from gradloom import limits
from gradloom.data.files import read_bytes
from gradloom.errors import DataError


def members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The contents of files by their names without folders.

    Args:
        path: a ``.tar.gz``, or a folder.
        wanted: whether the file of this name is needed.

    Raises:
        DataError: the archive is damaged.
    """
    found = {PurePosixPath(name).name: content for name, content in paths(path, lambda p: wanted(p.name)).items()}
    if not found:
        raise DataError(str(path), rule="the archive does not hold the files of the set", fix="Fetch it again.")
    return found


def paths(path: Path, wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    """The contents of files by their whole names in the archive or the folder.

    Args:
        path: a ``.tar.gz``, or a folder.
        wanted: whether the file of this name is needed.

    Raises:
        DataError: the archive is damaged, or holds more than fits into memory.
    """
    if path.is_dir():
        inside = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
        return {name: read_bytes(file) for name, file in inside.items() if wanted(PurePosixPath(name))}
    found, room = {}, limits.memory()
    try:
        with tarfile.open(path, "r|gz") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isfile() and wanted(PurePosixPath(entry.name)) else None
                if content is not None:
                    room -= entry.size
                    _refuse_too_much(room, entry, path)
                    found[entry.name] = content.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(
            str(path),
            rule="the archive is damaged or cut short",
            got=str(error) or type(error).__name__,
            fix="Fetch it again.",
        ) from None
    return found


def _refuse_too_much(room: float, entry: tarfile.TarInfo, path: Path) -> None:
    """A few bytes of an archive may stand for gigabytes: a file is read only where its size has room."""
    if room < 0:
        raise DataError(
            str(path),
            rule="the files of the set must fit into memory",
            got=f"{entry.name} of {entry.size:,} bytes, {-room:,.0f} too many",
            fix="If the archive is what it should be, unpack it, and read it in parts.",
        )
