"""Image files as arrays: what is kept to the bit, and what is refused."""

from __future__ import annotations

import builtins
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import random_pixels, save, truncate
from PIL import EpsImagePlugin, Image

from gradloom import data
from gradloom.errors import DataError, MissingPackageError, OptionError

GREY, COLOUR, DEEP = random_pixels(5, 7), random_pixels(5, 7, 3), random_pixels(5, 7, dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_files_without_loss_come_back_to_the_bit(tmp_path: Path, suffix: str, pixels: np.ndarray):
    found = data.read_image(save(tmp_path / f"a{suffix}", pixels))
    assert found.dtype == np.uint8
    assert found.shape == (5, 7, 3 if pixels.ndim == 3 else 1)
    assert np.array_equal(found, pixels.reshape(found.shape))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str):
    found = data.read_image(save(tmp_path / f"a{suffix}", DEEP))
    assert found.dtype == np.float32
    assert np.array_equal(found[..., 0].astype(np.uint16), DEEP)


def test_big_endian_sixteen_bits_are_kept(tmp_path: Path):
    content = b"P5 7 5 65535\n" + DEEP.astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(content)
    assert np.array_equal(data.read_image(tmp_path / "a.pgm")[..., 0].astype(np.uint16), DEEP)


def test_floats_are_kept_and_must_be_finite(tmp_path: Path):
    floats = np.linspace(-2.5, 1e6, 35, dtype=np.float32).reshape(5, 7)
    assert np.array_equal(data.read_image(save(tmp_path / "a.tif", floats))[..., 0], floats)
    floats[2, 3] = np.nan
    with pytest.raises(DataError, match=r"b\.tif: values must be finite and within 2\^24.*; got NaN or infinity"):
        data.read_image(save(tmp_path / "b.tif", floats))


def test_a_palette_becomes_its_colours(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "L").convert("P")
    image.putdata([0, 1, 2, 1])
    image.putpalette([10, 20, 30, 255, 0, 0, 0, 0, 200])
    image.save(tmp_path / "a.png")
    assert data.read_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255, 0, 0]], [[0, 0, 200], [255, 0, 0]]]


def test_one_bit_becomes_black_and_white(tmp_path: Path):
    bits = np.array([[True, False], [False, True]])
    assert data.read_image(save(tmp_path / "a.png", bits))[..., 0].tolist() == [[255, 0], [0, 255]]


def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(tmp_path: Path):
    opaque = np.dstack([COLOUR, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(data.read_image(save(tmp_path / "a.png", opaque)), COLOUR)
    opaque[1, 1, 3] = 254
    with pytest.raises(DataError, match=r"b\.png: pixels must not be transparent.*background"):
        data.read_image(save(tmp_path / "b.png", opaque))


def test_a_transparent_colour_of_a_palette_is_refused(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.save(tmp_path / "a.png", transparency=0)
    with pytest.raises(DataError, match="transparent"):
        data.read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)), (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)), (8, np.rot90),
    ],
)  # fmt: skip
def test_the_orientation_of_a_photograph_is_obeyed(tmp_path: Path, orientation: int, turned):
    # Blocks of 16 by 16 in grey, so that JPEG changes next to nothing.
    blocks = np.kron(np.array([[20, 90, 160], [60, 130, 220]], np.uint8), np.ones((16, 16), np.uint8))[..., np.newaxis]
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = data.read_image(save(tmp_path / "a.jpg", blocks[..., 0], quality=95, exif=exif))
    assert found.shape == turned(blocks).shape
    assert np.abs(found.astype(int) - turned(blocks)).max() <= 3


def test_grey_becomes_colour_when_asked_but_colour_never_grey(tmp_path: Path):
    grey = save(tmp_path / "a.png", GREY)
    assert np.array_equal(data.read_image(grey, channels=3), np.repeat(GREY[..., np.newaxis], 3, 2))
    with pytest.raises(DataError, match=r"b\.png: all images must be of one kind.*got colour of 8 bits, not grey"):
        data.read_image(save(tmp_path / "b.png", COLOUR), channels=1)


def test_resizing_averages_what_falls_together(tmp_path: Path):
    quarters = np.kron(np.array([[0, 100], [200, 40]], np.uint8), np.ones((4, 4), np.uint8))
    found = data.read_image(save(tmp_path / "a.png", quarters), size=1)
    assert found.shape == (1, 1, 1)
    assert abs(int(found[0, 0, 0]) - 85) <= 1
    assert data.read_image(tmp_path / "a.png", size=(3, 5)).shape == (3, 5, 1)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def test_colour_of_sixteen_bits_is_refused_rather_than_halved(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(_png(2, 1, 16, 2, b"\0" + bytes(12)))
    with pytest.raises(DataError, match=r"a\.png: images of 16 bits are read in grey only"):
        data.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_000, 60_000], ids=["warned of", "refused by Pillow"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int):
    (tmp_path / "a.png").write_bytes(_png(side, side, 1, 0, bytes(100)))
    with pytest.raises(DataError, match=r"a\.png: an image may have at most 89,478,485 pixels"):
        data.read_image(tmp_path / "a.png")


def test_several_frames_are_refused(tmp_path: Path):
    first, second = (Image.fromarray(random_pixels(4, 4, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    with pytest.raises(DataError, match=r"a\.gif: a file must hold one image; got 2 frames"):
        data.read_image(tmp_path / "a.gif")


def test_of_a_phones_photograph_the_first_picture_is_read(tmp_path: Path):
    first, second = (Image.new("RGB", (9, 5), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    found = data.read_image(tmp_path / "a.jpg")
    assert found.shape == (5, 9, 3)
    assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 3


def test_no_program_is_run_for_what_an_image_claims_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pillow hands PostScript to Ghostscript, whatever the name of the file."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("a program was run"))
    head = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 5\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_text(head)
    with pytest.raises(DataError, match=r"a\.png: this is no image of a format that is known"):
        data.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("size", [10_000, (1, 2**40)])
def test_sizes_that_fill_the_memory_are_refused(tmp_path: Path, size: Any):
    path = save(tmp_path / "a.png", GREY)
    with pytest.raises(OptionError, match=r"read_image: an image may have at most 89,478,485 pixels"):
        data.read_image(path, size=size)


def test_inks_are_refused(tmp_path: Path):
    Image.new("CMYK", (4, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: images are grey, of a palette, or RGB; got mode CMYK"):
        data.read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_file_cut_short_is_named(tmp_path: Path, suffix: str):
    path = save(tmp_path / f"a{suffix}", random_pixels(40, 40, 3))
    truncate(path, 400)
    with pytest.raises(DataError, match=rf"a\{suffix}: (the image is damaged or cut short|this is no image)"):
        data.read_image(path)


@pytest.mark.parametrize("content", [b"", b"GIF", b"hello" * 100, bytes(1000)])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: this is no image of a format that is known"):
        data.read_image(tmp_path / "a.png")


def test_a_file_that_is_not_there_has_its_neighbour_named(tmp_path: Path):
    save(tmp_path / "rose.png", GREY)
    with pytest.raises(DataError, match=r"there is no such file. Did you mean 'rose.png'\?"):
        data.read_image(tmp_path / "roze.png")


@pytest.mark.parametrize("size", [0, (3, -1), (1, 2, 3), (2.0, 3)])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size):
    with pytest.raises(OptionError, match="size is one whole number from 1, or height and width"):
        data.read_image(tmp_path / "a.png", size=size)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest):
        if name == "PIL":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    path = save(tmp_path / "a.png", GREY)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"image files need Pillow. Run: pip install 'gradloom\[images\]'"):
        data.read_image(path)
