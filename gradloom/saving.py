"""Files written whole: whatever happens on the way, there is the old file or the new one.

Contents go to a temporary name in the same folder, are synced to the disk, and then take the file's place in one step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from gradloom.errors import GradloomError, WriteError

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def save(
    path: str | Path,
    contents: bytes | str,
    *,
    who: str | None = None,
    rule: str = "the file cannot be written",
    error: type[GradloomError] = WriteError,
    folders: bool = False,
) -> None:
    """Write a file, replacing an old one in one step.

    A link keeps pointing to the file, and an old file's permissions are kept.

    Args:
        path: where to.
        contents: all of the file; a text is written as UTF-8, names of files by their bytes.
        who: what was asked to write; by default the path, which is otherwise named among what was got.
        rule: what went wrong, or what must hold.
        error: the class of error.
        folders: make folders that do not exist.

    Raises:
        WriteError: or ``error``: it cannot be written or the disk is full; an old file is kept.
    """
    try:
        target = Path(os.path.realpath(path))
        if folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        replace(target, contents.encode(errors="surrogateescape") if isinstance(contents, str) else contents)
    except (OSError, ValueError) as problem:  # a ValueError: a null character in the path
        raise refusal(problem, path, who=who, rule=rule, error=error) from None


def make_folder(path: Path, *, who: str | None = None, error: type[GradloomError] = WriteError) -> Path:
    """A folder that is there from then on, with those above it.

    Args:
        path: the folder.
        who: as for :func:`save`.
        error: the class of error.

    Returns:
        The folder.

    Raises:
        WriteError: or ``error``: something else is in its place or above it, or it may not be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise error(who or "folder", rule="this must be a folder, and it is a file", got=str(path)) from None
    except (OSError, ValueError) as problem:
        raise refusal(problem, path, who=who, rule="the folder cannot be made", error=error) from None
    return path


def refusal(
    problem: OSError | ValueError, path: str | Path, *, who: str | None, rule: str, error: type[GradloomError]
) -> GradloomError:
    """The error for what the system said of a place, with the remedy; arguments as for :func:`save`."""
    number = problem.errno if isinstance(problem, OSError) else None
    told = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
    if number in _FULL:
        fix = "Free some space or choose another place; an earlier file of this name is unchanged."
    elif number == errno.ENOENT:
        fix = "Create its folder first, or choose another place."
    else:
        fix = "Choose another place."
    return error(who or str(path), rule=rule, got=told if who is None else f"{path}: {told}", fix=fix)


def replace(target: Path, contents: bytes) -> None:
    """Write beside the target, sync, rename, sync the folder.

    Raises:
        OSError: that fails; an old file is kept.
    """
    mode = _mode_of(target)
    part = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with open(part, "xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # The file is in place.  Some file systems cannot sync folders; there a power cut may bring the old file back.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mode_of(target: Path) -> int | None:
    """The permissions of the file that is to be replaced; None if there is none.

    Raises:
        OSError: it is no file: a folder, or a device, whose place a file must not take.
    """
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise OSError("there is something else than a file in this place")
    return stat.S_IMODE(found)
