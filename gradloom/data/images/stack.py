"""Many images in one array: counted first, then decoded into their places, so that nothing is held twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from gradloom import limits
from gradloom.data.images.decode import SUFFIXES, Kind, kind_of, opened, pixels
from gradloom.errors import DataError

RESIZE = "Say size=(height, width) (or --size HEIGHTxWIDTH) to make all of one size."


class Stack:
    """An array that is filled image by image.

    Args:
        count: how many there will be.
        who: for messages.
    """

    def __init__(self, count: int, who: str) -> None:
        self._count, self._who, self._filled = count, who, 0
        self._array: np.ndarray | None = None
        self._first = Path()

    def add(self, image: np.ndarray, path: Path) -> None:
        """Put an image into the next place.

        Args:
            image: shape (H, W) or (H, W, C).
            path: of its file.

        Raises:
            DataError: it is of another size than the first, or they do not fit into memory together.
        """
        if self._array is None:
            _check_memory(self._count, image, self._who)
            self._array, self._first = np.empty((self._count, *image.shape), image.dtype), path
        if image.shape != self._array.shape[1:]:
            raise DataError(
                str(path),
                rule="all images must have one size",
                got=f"{sides(image.shape)}, and {self._first.name} has {sides(self._array.shape[1:])}",
                fix=RESIZE,
            )
        self._array[self._filled] = image
        self._filled += 1

    def whole(self) -> np.ndarray:
        """All of them, shape (count, H, W, ...)."""
        assert self._array is not None, "a stack has at least one image"
        assert self._filled == self._count, "every place is filled"
        return self._array


def stacked(files: Sequence[Path], kind: Kind, size: tuple[int, int] | None, who: str) -> np.ndarray:
    """The images of files, shape (N, H, W, C).

    Args:
        files: at least one.
        kind: what pixels are to be.
        size: height and width to resize to; None takes images of one size only.
        who: for messages.

    Raises:
        DataError: a file cannot be used; the message names it.
    """
    stack = Stack(len(files), who)
    for path in files:
        with opened(path) as picture:
            stack.add(pixels(picture, kind, size), path)
    return stack.whole()


def common_kind(files: Sequence[Path]) -> Kind:
    """What the pixels of all can be without loss: colour if any is in colour.

    Raises:
        DataError: some have 8 bits and some more, or a file cannot be read.
    """
    kinds = [kind_of(path) for path in files]
    for path, kind in zip(files, kinds):
        if kind.deep != kinds[0].deep:
            raise DataError(
                str(path),
                rule="all images must have the same depth",
                got=f"{kind}, and {files[0].name} is {kinds[0]}",
                fix="Save all with 8 bits, or all with 16.",
            )
    return Kind(max(kind.channels for kind in kinds), kinds[0].deep)


def image_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The image files of a folder in the order of their names, and the names of others; hidden ones are neither.

    Others are files that are no images by their name, and what cannot be read as a file: links to nowhere, pipes.

    Raises:
        DataError: it cannot be listed.
    """
    shown = [path for path in entries(folder) if not path.is_dir()]
    is_image = [path.suffix.lower() in SUFFIXES and path.is_file() for path in shown]
    return list(compress(shown, is_image)), [path.name for path, image in zip(shown, is_image) if not image]


def entries(folder: Path) -> list[Path]:
    """What is in a folder in the order of the names, but for what is hidden (names that begin with a point).

    Raises:
        DataError: there is no such folder, or it may not be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except NotADirectoryError:
        raise DataError(str(folder), rule="a folder of images is needed", got="a file") from None
    except FileNotFoundError:
        raise DataError(str(folder), rule="there is no such folder") from None
    except OSError as error:
        raise DataError(str(folder), rule="the folder cannot be listed", got=str(error.strerror)) from None


def sides(shape: Sequence[int]) -> str:
    """Height and width for messages."""
    return f"{shape[0]} x {shape[1]} (height x width)"


def _check_memory(count: int, image: np.ndarray, who: str) -> None:
    needed, there = count * image.nbytes, limits.memory()
    if needed > there:
        shown = f"{count} images of {sides(image.shape)}, {needed / 2**30:.1f} GiB, where {there / 2**30:.1f} are free"
        fix = "Make them smaller by size= (or --size), or train on a Stream of parts."
        raise DataError(who, rule="images must fit into memory", got=shown, fix=fix)
