"""Compiled programs on disk, so that a graph is compiled once and not once a process.

An entry is named by the SHA-256 of everything that the code depends on (the module's text, the processor, LLVM and
gradloom) and begins with the SHA-256 of its code.  Entries are written to a temporary name and renamed, so a reader
sees a whole one or none; one whose code does not match its checksum is thrown away and made again, never run.  When
the folder grows past its bound the entries that were not used for longest go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

MOST_BYTES = 256 * 2**20
_DIGEST = 32


class ObjectCache:
    """Object code by key, in a folder.

    Args:
        folder: where entries lie; None keeps nothing.
        most_bytes: the folder's bound.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The code of a key, made and kept if it is not there.  A folder that cannot be written is no error."""
        name = hashlib.sha256(key.encode()).hexdigest()
        found = self._read(name)
        if found is None:
            found = make()
            with contextlib.suppress(OSError):
                self._write(name, found)
        return found

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.o"

    def _read(self, name: str) -> bytes | None:
        path = self._path(name)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        code = data[_DIGEST:]
        if len(data) <= _DIGEST or hashlib.sha256(code).digest() != data[:_DIGEST]:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now
        return code

    def _write(self, name: str, code: bytes) -> None:
        path = self._path(name)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._shrink(path.parent)

    def _shrink(self, folder: Path) -> None:
        """Remove the entries that were not used for longest until the rest is within the bound."""
        entries = []
        for path in folder.glob("*.o"):
            with contextlib.suppress(OSError):  # another process may have removed it
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
