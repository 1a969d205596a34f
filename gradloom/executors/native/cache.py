"""Compiled code on disk, so that a kernel is compiled once and not once a process.

An entry is named by a digest of everything that its code depends on.  It begins with the SHA-256 of its name and its
code, so one that was cut off, altered or put in another's place is thrown away and made again, never run.  A checksum
is no signature: what another user wrote, into a folder that both may write to, is not run either.  Entries are
written to a temporary name and renamed, so a reader sees a whole one or none, however many processes write it.  When
the folder grows past its bound the entries that were not used for longest go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

MOST_BYTES = 256 * 2**20
_DIGEST = 32
_UNWATCHED = 1 / 64
"""The share of its bound that a process writes to a folder before it looks at its size again."""

_written: dict[Path, int] = {}
"""Bytes written to each folder since its size was looked at."""


class ObjectCache:
    """Object code by key, in a folder.  A folder that cannot be read or written is an empty one.

    Args:
        folder: where entries lie; None keeps nothing.
        most_bytes: the folder's bound.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes

    def find(self, key: str) -> bytes | None:
        """The code of a key (letters and digits), if it is there."""
        if self.folder is None:
            return None
        path = self.folder / f"{key}.o"
        try:
            data = self._read(path)
        except OSError:
            return None
        code = data[_DIGEST:]
        good = data[:_DIGEST] == _checksum(key, code)
        with contextlib.suppress(OSError):  # the folder may be for reading alone
            os.utime(path) if good else path.unlink()  # used now
        return code if good else None

    def _read(self, path: Path) -> bytes:
        """The bytes of a file; none of what else lies in its place, is too large, or is of another user's making."""
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size > self.most_bytes or not _trusted(status):
                return b""
            return file.read()

    def keep(self, key: str, code: bytes) -> None:
        """Write the code of a key."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(suffix=".part", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_checksum(key, code) + code)
                os.replace(temporary, self.folder / f"{key}.o")
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._watch(self.folder, _DIGEST + len(code))

    def _watch(self, folder: Path, size: int) -> None:
        """Look at the folder's size at a process's first entry, and then each time that it has written much."""
        first = folder not in _written
        _written[folder] = _written.get(folder, 0) + size
        if first or _written[folder] > self.most_bytes * _UNWATCHED:
            _written[folder] = 0
            self._shrink(folder)

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


def _trusted(status: os.stat_result) -> bool:
    """Whether a file was made by this user or the system's: its code will run with this user's rights."""
    return not hasattr(os, "geteuid") or status.st_uid in (os.geteuid(), 0)


def _checksum(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + code).digest()
