"""Image files as arrays, without loss: 8 bits a pixel as uint8, more as float32 with the file's own values.

Whatever cannot be kept as it is (transparency, 16 bits in colour, several frames, inks) is refused, never silently
made into something else.  A photograph is turned as its EXIF orientation says.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gradloom.data.files import read_bytes
from gradloom.errors import DataError, GradloomError, MissingPackageError, OptionError
from gradloom.records import dataclass

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What files may be, whatever their names say.  Pillow knows more, and runs programs for some, such as PostScript."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm")
"""How names of image files end."""

MOST_PIXELS = 2**30 // 12
"""Of an image that is made by resizing; Pillow has the same bound for those that are read."""

Size = int | tuple[int, int]

_GREY, _DEEP, _COLOUR = ("1", "L", "LA"), ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"), ("P", "PA", "RGB", "RGBA")
_EXACT = 2**24
"""Up to here float32 holds every whole number."""


@dataclass(frozen=True)
class Kind:
    """What pixels are.

    Attributes:
        channels: 1 for grey, 3 for colour.
        deep: whether a pixel has more than 8 bits, and becomes a float32.
    """

    channels: int
    deep: bool = False

    def __str__(self) -> str:
        return f"{'grey' if self.channels == 1 else 'colour'} of {'more than 8' if self.deep else '8'} bits"


@dataclass(frozen=True)
class Picture:
    """An open image, turned upright and checked, for :func:`pixels`.

    Attributes:
        image: of Pillow.
        kind: what its pixels are.
        path: of the file.
        format: of the file, such as ``PNG``.
    """

    image: Any
    kind: Kind
    path: Path
    format: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.height, self.image.width


def read_image(path: str | Path, *, channels: int | None = None, size: Size | None = None) -> np.ndarray:
    """An image file as an array.

    Args:
        path: PNG, JPEG, TIFF or another format that Pillow reads.
        channels: 1 or 3; grey images can be made into three equal channels, but colour not into grey.
        size: height and width, or one number for both, to resize to (the sides' ratio is not kept).

    Returns:
        Shape (H, W, channels), uint8; float32 with the values of the file where pixels have more than 8 bits.

    Raises:
        DataError: the file cannot be read, is too large, or holds what would be lost.
        MissingPackageError: Pillow is not installed.
        OptionError: channels or size are none.
    """
    target = None if size is None else both_sides("read_image", size)
    if channels not in (None, 1, 3):
        raise OptionError("read_image", rule="channels is 1 or 3", got=repr(channels))
    with opened(Path(path)) as picture:
        return pixels(picture, Kind(channels or picture.kind.channels, picture.kind.deep), target)


def both_sides(who: str, size: Size) -> tuple[int, int]:
    """Height and width.

    Raises:
        OptionError: they are not two whole numbers from 1, or too many pixels.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    fix = "Write size=64 or size=(48, 64)."
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise OptionError(who, rule="size is one whole number from 1, or height and width", got=repr(size), fix=fix)
    if sides[0] * sides[1] > MOST_PIXELS:
        raise OptionError(who, rule=f"an image may have at most {MOST_PIXELS:,} pixels", got=f"{size!r}", fix=fix)
    return sides


def kind_of(path: Path) -> Kind:
    """What the pixels of a file are, from its header alone."""
    with _header(path, path) as image:
        return _kind(image, path)


@contextlib.contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Picture]:
    """An image, decoded and upright.

    Args:
        path: of the file.
        content: what is in it, where it lies in an archive.

    Raises:
        DataError: see :func:`read_image`.
    """
    raw = read_bytes(path) if content is None else content
    with _header(io.BytesIO(raw), path) as image:
        kind = _kind(image, path)
        _refuse_frames(image, path)
        image.load()
        if _lets_through(image):
            raise DataError(
                str(path),
                rule="pixels must not be transparent, for what lies behind them is not known",
                got=f"an image of mode {image.mode} with transparent pixels",
                fix="Put it on a background of your choice first.",
            )
        from PIL import ImageOps  # noqa: PLC0415

        yield Picture(ImageOps.exif_transpose(image), kind, path, image.format)


def pixels(picture: Picture, kind: Kind, size: tuple[int, int] | None = None) -> np.ndarray:
    """The array of an image, shape (H, W, channels).

    Args:
        picture: the image.
        kind: what its pixels are to be; colour where it is grey repeats the channel.
        size: height and width to resize to, bilinear and with the average of all pixels that fall together.

    Raises:
        DataError: the image is of another kind.
    """
    if picture.kind.deep != kind.deep or picture.kind.channels > kind.channels:
        raise DataError(
            str(picture.path),
            rule="all images must be of one kind, as those that a model was trained on",
            got=f"{picture.kind}, not {kind}",
            fix="Convert it, or keep images of different kinds apart.",
        )
    image = picture.image.convert("F" if kind.deep else "L" if kind.channels == 1 else "RGB")
    if size is not None and size != picture.size:
        image = image.resize(size[::-1], resample=pillow().Resampling.BILINEAR)
    array = np.asarray(image)
    if array.ndim == 3:
        return array
    if kind.deep:
        _refuse_inexact(array, picture.path)
    return np.repeat(array[:, :, np.newaxis], kind.channels, axis=2)


@contextlib.contextmanager
def _header(file: Any, path: Path) -> Iterator[Any]:
    """The image of a file of which only the header is read; whatever then goes wrong is an error of the file."""
    library = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about oddities in metadata
            warnings.simplefilter("error", library.DecompressionBombWarning)
            with library.open(file, formats=FORMATS) as image:
                yield image
    except (GradloomError, MemoryError):
        raise
    except (library.DecompressionBombError, library.DecompressionBombWarning):
        raise DataError(
            str(path),
            rule=f"an image may have at most {library.MAX_IMAGE_PIXELS:,} pixels",
            got="more in its header: a mistake, or a file made to fill the memory",
            fix="Cut a large image into tiles first.",
        ) from None
    except FileNotFoundError:
        read_bytes(path)  # its own error names the nearest file
        raise
    except Exception as error:  # Pillow lets its parsers' errors through: SyntaxError, struct.error, KeyError, ...
        said = str(error).split(" <")[0] or type(error).__name__
        is_image = not isinstance(error, library.UnidentifiedImageError)
        raise DataError(
            str(path),
            rule="the image is damaged or cut short" if is_image else "this is no image of a format that is known",
            got=said if is_image else "a file that begins as none",
            fix="Fetch or save it again, or take it out of the folder.",
        ) from None


def _kind(image: Any, path: Path) -> Kind:
    depths = [str(tile[3]) for tile in image.tile if len(tile) > 3]
    if image.mode in _DEEP:
        return Kind(1, deep=True)
    if any(";16" in depth for depth in depths):
        raise DataError(
            str(path),
            rule="images of 16 bits are read in grey only, for colours would lose half of their bits",
            got=f"mode {image.mode} of 16 bits",
            fix="Save the channels as grey images, or all of it with 8 bits.",
        )
    if image.mode in _GREY:
        return Kind(1)
    if image.mode in _COLOUR:
        return Kind(3)
    raise DataError(
        str(path),
        rule="images are grey, of a palette, or RGB",
        got=f"mode {image.mode}",
        fix="Convert it to RGB with a program that knows its inks.",
    )


def _refuse_frames(image: Any, path: Path) -> None:
    # Cameras put previews and depth behind a photograph (MPO); the first is the one that every viewer shows.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(
            str(path), rule="a file must hold one image", got=f"{frames} frames", fix="Save each as a file of its own."
        )


def _refuse_inexact(array: np.ndarray, path: Path) -> None:
    if not np.isfinite(array).all() or np.abs(array).max() > _EXACT:
        raise DataError(
            str(path),
            rule="values must be finite and within 2^24, up to where float32 is exact",
            got="NaN or infinity" if not np.isfinite(array).all() else f"{np.abs(array).max():g}",
            fix="Scale them first.",
        )


def _lets_through(image: Any) -> bool:
    if image.mode in _DEEP:
        return "transparency" in image.info
    if "A" not in image.mode and "transparency" not in image.info:
        return False
    return image.convert("RGBA").getextrema()[3][0] < 255


def pillow() -> Any:
    """Pillow's module ``Image``.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "read_image", rule="image files need Pillow", fix="Run: pip install 'gradloom[images]'."
        ) from None
    return Image
