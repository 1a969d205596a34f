"""Images whose every pixel has a class, told by a mask: an image of the same name in another folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradloom.data.images.collection import Images
from gradloom.data.images.decode import Kind, Picture, Size, both_sides, opened, pixels
from gradloom.data.images.stack import Stack, common_kind, image_files, sides
from gradloom.errors import DataError

MOST_LEVELS = 256
_LEVELS = "Draw every class with a value of its own, such as 0 and 255."


def mask_folder(
    folder: str | Path,
    masks: str | Path,
    *,
    size: Size | None = None,
    kind: Kind | None = None,
    levels: Sequence[int] | None = None,
) -> Images:
    """Images with a mask each.

    The different values of all masks are the classes, in order: 0 and 255, or 0, 1, 2, ...  A mask with a palette has
    the numbers of its colours as values.

    Args:
        folder: of the images.
        masks: folder of the masks; each is named as its image, but for the suffix.
        size: height and width, or one number for both, to resize all to; a pixel of a resized mask has the value of
            the nearest pixel.
        kind: what the pixels of images are to be; what the files have if None.
        levels: the values of the classes in the order of the labels; those that occur if None.

    Returns:
        Images whose targets are a class for each pixel; the names of the classes are the values.

    Raises:
        DataError: a file cannot be used, an image has no mask or one of another size, or a mask has an unknown value.
        MissingPackageError: Pillow is not installed.
        OptionError: size is none.
    """
    root, target = Path(folder), None if size is None else both_sides("mask_folder", size)
    files, others = image_files(root)
    if not files:
        got = f"files such as {others[0]}" if others else "none"
        raise DataError(str(root), rule="the folder must hold images", got=got)
    mask_of, notes = _pairs(files, Path(masks))
    kind = kind or common_kind(files)
    images, labels, values = Stack(len(files), str(root)), Stack(len(files), str(masks)), _Levels(levels)
    for path in files:
        with opened(path) as picture, opened(mask_of[path]) as mask:
            if mask.size != picture.size:
                raise DataError(
                    str(mask.path),
                    rule="a mask must have the size of its image",
                    got=f"{sides(mask.size)}, and {path.name} has {sides(picture.size)}",
                    fix="Save the mask again from the image as it is; resizing comes after, by size= (or --size).",
                )
            images.add(pixels(picture, kind, target), path)
            labels.add(values.labels(_mask_values(mask, target), mask.path), mask.path)
    found, order = values.in_order()
    if len(found) < 2:
        raise DataError(
            str(masks), rule="masks must have at least two different values", got=f"only {found[0]}", fix=_LEVELS
        )
    names = tuple(map(str, found))
    relative = tuple(path.name for path in files)
    return Images(images.whole(), order[labels.whole()], names, str(root), relative, tuple(found), notes)


def _pairs(files: Sequence[Path], folder: Path) -> tuple[dict[Path, Path], tuple[str, ...]]:
    """The mask of each image, and what takes no part."""
    masks, _ = image_files(folder)
    by_name = _by_stem(masks)
    images = _by_stem(files)
    missing = [path for stem, path in images.items() if stem not in by_name]
    if missing:
        stem = missing[0].stem
        alike = next((m.name for m in masks if m.stem.startswith(stem) and m.stem not in images), "")
        raise DataError(
            str(folder),
            rule="every image needs a mask of the same name",
            got=f"none for {missing[0].name} ({len(missing)} of {len(files)} images)",
            fix=f"Rename {alike}, if it is that." if alike else f"Add {stem}.png, or take the image away.",
        )
    spare = len(masks) - len(files)
    return (
        {path: by_name[path.stem] for path in files},
        (f"Masks without an image, which take no part: {spare}.",) if spare else (),
    )


def _by_stem(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        other = found.setdefault(path.stem, path)
        if other is not path:
            raise DataError(
                str(path),
                rule="names must differ in more than the suffix, for they tell which mask belongs to which image",
                got=f"{other.name} and {path.name}",
                fix="Rename one of them.",
            )
    return found


def _mask_values(mask: Picture, size: tuple[int, int] | None) -> np.ndarray:
    """The value of each pixel, shape (H, W)."""
    image, path = mask.image, mask.path
    if mask.format in ("JPEG", "MPO"):
        raise DataError(
            str(path), rule="masks must be stored without loss", got="JPEG, which changes values", fix="Use PNG."
        )
    if image.mode != "P" and mask.kind.channels == 3:
        image = _grey_of_equal_channels(mask)
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    if size is not None:
        image = image.resize(size[::-1], resample=0)  # the nearest pixel, in every version of Pillow
    values = np.asarray(image)
    if values.min() < 0 or values.max() >= 2**16 or (values != np.rint(values)).any():
        raise DataError(
            str(path),
            rule="values of a mask are whole numbers from 0 to 65535",
            got=f"{values.min():g} to {values.max():g}",
        )
    return values.astype(np.uint16)


def _grey_of_equal_channels(mask: Picture) -> Any:
    channels = np.asarray(mask.image.convert("RGB"))
    if (channels != channels[:, :, :1]).any():
        raise DataError(
            str(mask.path),
            rule="a mask has one value a pixel: grey or of a palette",
            got="colours",
            fix="Give every class a grey value or a number of a palette.",
        )
    return mask.image.convert("L")


class _Levels:
    """The values of masks, numbered as they are met.

    Args:
        known: all that there may be, in the order of the labels; None takes them as they come.
    """

    def __init__(self, known: Sequence[int] | None) -> None:
        self._fixed = known is not None
        self._found = [] if known is None else list(known)

    def labels(self, values: np.ndarray, path: Path) -> np.ndarray:
        """Numbers of the values of a mask, uint8."""
        table = np.zeros(2**16, np.uint8)
        present = np.unique(values).tolist()
        new = [value for value in present if value not in self._found]
        if new and self._fixed:
            raise DataError(
                str(path),
                rule=f"a mask may have the values {', '.join(map(str, self._found))}, those of training",
                got=str(new[0]),
            )
        if len(self._found) + len(new) > MOST_LEVELS:
            raise DataError(
                str(path),
                rule=f"masks have at most {MOST_LEVELS} different values, one for each class",
                got=f"{len(self._found) + len(new)} of them so far",
                fix="A mask holds numbers of classes, not a picture.",
            )
        self._found += new
        table[self._found] = np.arange(len(self._found))
        return table[values]

    def in_order(self) -> tuple[list[int], np.ndarray]:
        """All values, in order unless the order was given, and what each number becomes by that."""
        places = np.arange(len(self._found)) if self._fixed else np.argsort(np.argsort(self._found))
        found = self._found if self._fixed else sorted(self._found)
        return found, places.astype(np.uint8)
