"""Files of public sets: from the user's folder of data, from earlier downloads, or from the network.

A download is compared with a checksum that is written here, and only then gets its name; whatever goes wrong before
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gradloom import config
from gradloom.errors import DataError, MissingPackageError
from gradloom.records import dataclass

_CHUNK = 2**18


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        name: of the file.
        checksum: such as ``md5:0123...``, as it was published.
        places: addresses of folders that hold it, the first to be tried first; each ends in a slash.
    """

    name: str
    checksum: str
    places: tuple[str, ...]


def local(names: Iterable[str]) -> Path | None:
    """The first of some files or folders that is in the folder ``GRADLOOM_DATA``; None where none is.

    Args:
        names: relative to that folder.
    """
    root = config.data_folder()
    return next((root / name for name in names if (root / name).exists()), None) if root else None


def fetched(remote: Remote, folder: str) -> Path:
    """A file that is in the folder of downloads from then on.

    Args:
        remote: what to get, unless it is there already.
        folder: name of the folder for the set.

    Raises:
        DataError: it cannot be had from any of its places, or is not what it should be.
        MissingPackageError: pooch is not installed.
    """
    try:
        import pooch  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            remote.name, rule="downloads need pooch", fix="Run: pip install 'gradloom[images]', or set GRADLOOM_DATA."
        ) from None
    where = config.download_folder() / folder
    problems = []
    for place in remote.places:
        try:
            loader: Any = pooch.HTTPDownloader(chunk_size=_CHUNK)
            found = pooch.retrieve(place + remote.name, remote.checksum, remote.name, where, downloader=loader)
            return Path(found)
        except Exception as error:  # of requests, urllib3, sockets, the disk, or a wrong checksum
            if _is_of_the_disk(error):
                raise _unwritable(where, error) from None
            problems.append(f"{place}: {_said(error)}")
    raise DataError(
        remote.name,
        rule="the file cannot be downloaded",
        got="; ".join(problems),
        fix=f"Try again later, or put the file into {folder}/ in a folder of yours and set GRADLOOM_DATA to that.",
    )


def _unwritable(where: Path, error: Any) -> DataError:
    return DataError(
        str(where),
        rule="the download cannot be written",
        got=error.strerror or str(error),
        fix="Make room, or let XDG_CACHE_HOME or GRADLOOM_CACHE name another place. Nothing was left behind.",
    )


def _is_of_the_disk(error: Exception) -> bool:
    """Whether the system refused a file; errors of requests are of OSError too, but not Python's own."""
    return type(error).__module__ == "builtins" and isinstance(error, OSError) and not _is_of_the_network(error)


def _is_of_the_network(error: OSError) -> bool:
    return isinstance(error, (ConnectionError, TimeoutError))


def _said(error: Exception) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, ValueError) and "does not match" in str(error):
        return "what came has another checksum"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}, {text[:120]}{'...' if len(text) > 120 else ''}"
