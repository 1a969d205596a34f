"""The only reader of the environment.

===================  =========================================================================================
``GRADLOOM_THREADS``  threads of a compiled program; default: the processors that this process may use
``GRADLOOM_CPU``      a lesser processor that native code is made for: avx2 or sse2 (for tests)
``GRADLOOM_CACHE``    folder of compiled programs, or ``off``, and of downloads; default: ``gradloom`` in the user's
                      cache folder
``GRADLOOM_DATA``     folder that is looked at first for data sets
===================  =========================================================================================
"""

from __future__ import annotations

import os
from pathlib import Path

from gradloom import limits
from gradloom.errors import OptionError

MOST_THREADS = 4096
"""More than any machine has processors; numbers of pieces of work have 16 bits."""


def threads() -> int:
    """Number of threads a compiled program uses."""
    asked = os.environ.get("GRADLOOM_THREADS")
    if asked is None:
        return limits.processors()
    if not (asked.isascii() and asked.isdigit()) or not 1 <= int(asked) <= MOST_THREADS:
        rule = f"the number of threads is a whole number from 1 to {MOST_THREADS}"
        raise OptionError("GRADLOOM_THREADS", rule=rule, got=repr(asked))
    return int(asked)


def for_a_process(threads: int) -> dict[str, str]:
    """The environment of a process that is to use so many threads."""
    return {**os.environ, "GRADLOOM_THREADS": str(threads)}


def data_folder() -> Path | None:
    """Folder that is looked at first for data sets, or None when it is not set."""
    asked = os.environ.get("GRADLOOM_DATA")
    return _expanded("GRADLOOM_DATA", asked) if asked else None


def download_folder() -> Path:
    """Folder that data sets are downloaded into, also where compiled programs are not kept.

    Raises:
        OptionError: the user has no home, and no other place is named.
    """
    folder = cache_folder() or _usual_cache()
    if folder is None:
        fix = "Set XDG_CACHE_HOME to a folder that you may write to."
        raise OptionError(
            "downloads", rule="the folder that they go into must be known; this user has no home", fix=fix
        )
    return folder / "data"


def cpu() -> str | None:
    """The lesser processor that code is made for instead of this one, or None."""
    return os.environ.get("GRADLOOM_CPU") or None


def cache_folder() -> Path | None:
    """Folder of compiled programs, or None where they are not kept."""
    asked = os.environ.get("GRADLOOM_CACHE")
    if asked == "off":
        return None
    if asked:
        return _expanded("GRADLOOM_CACHE", asked)
    return _usual_cache()


def _usual_cache() -> Path | None:
    """The user's cache folder; None for a user without a home, as in some containers."""
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base else _home()
    return home and home / "gradloom"


def _home() -> Path | None:
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def _expanded(variable: str, asked: str) -> Path:
    try:
        return Path(asked).expanduser()
    except RuntimeError:
        rule = "a folder that begins with ~ is in the home of a user who has one"
        raise OptionError(variable, rule=rule, got=repr(asked), fix="Write the whole path.") from None
