"""Folders of classes and folders of masks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import random_pixels, save
from PIL import Image

from gradloom import data, limits
from gradloom.data.images import stack
from gradloom.errors import DataError


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Two classes of three and two images."""
    for name, count in (("violet", 2), ("rose", 3)):
        for i in range(count):
            save(tmp_path / f"flowers/{name}/{i}.png", random_pixels(4, 5, 3, seed=i + 10 * count))
    return tmp_path / "flowers"


@pytest.fixture
def cells(tmp_path: Path) -> tuple[Path, Path]:
    """Four images whose masks have the values 3, 200 and, in one, 7."""
    for i in range(4):
        save(tmp_path / f"cells/{i}.png", random_pixels(6, 8, seed=i))
        mask = np.where(random_pixels(6, 8, seed=i) > 99, 200, 3).astype(np.uint8)
        mask[0, 0] = 7 if i == 2 else mask[0, 0]
        save(tmp_path / f"masks/{i}.png", mask)
    return tmp_path / "cells", tmp_path / "masks"


def test_labels_follow_the_names_of_the_folders_in_order(flowers: Path):
    found = data.image_folder(flowers)
    assert found.classes == ("rose", "violet")
    assert found.targets is not None
    assert found.targets.tolist() == [0, 0, 0, 1, 1]
    assert found.targets.dtype == np.int64
    assert found.names == ("rose/0.png", "rose/1.png", "rose/2.png", "violet/0.png", "violet/1.png")
    assert found.inputs.shape == (5, 4, 5, 3)
    assert np.array_equal(found.inputs[4], random_pixels(4, 5, 3, seed=21))


def test_what_takes_no_part_is_counted_unless_it_is_hidden(flowers: Path):
    save(flowers / "loose.png", random_pixels(4, 5, 3))
    (flowers / "rose/Thumbs.db").write_bytes(b"x")
    (flowers / "rose/.hidden.png").write_bytes(b"x")
    (flowers / ".git").mkdir()
    (flowers / "rose/nowhere.png").symlink_to("gone.png")
    save(flowers / "violet/wild/1.png", random_pixels(4, 5, 3))
    found = data.image_folder(flowers)
    assert len(found) == 5
    assert found.notes == (
        "Files that are no images and take no part: 2, such as rose/Thumbs.db.",
        "Folders inside those of the classes, which take no part: 1, such as violet/wild.",
        "Images beside the folders of the classes, which take no part: 1.",
    )


def test_colour_wins_over_grey(flowers: Path):
    grey = random_pixels(4, 5, seed=3)
    save(flowers / "rose/0.png", grey)
    assert np.array_equal(data.image_folder(flowers).inputs[0], np.repeat(grey[..., np.newaxis], 3, 2))


def test_mixed_sizes_name_the_file_and_size_makes_them_one(flowers: Path):
    save(flowers / "violet/1.png", random_pixels(9, 7, 3))
    with pytest.raises(DataError) as caught:
        data.image_folder(flowers)
    assert str(caught.value) == (
        f"{flowers}/violet/1.png: all images must have one size; got 9 x 7 (height x width), and 0.png has 4 x 5 "
        "(height x width). Say size=(height, width) (or --size HEIGHTxWIDTH) to make all of one size."
    )
    assert data.image_folder(flowers, size=(6, 3)).inputs.shape == (5, 6, 3, 3)


def test_images_larger_than_memory_are_refused_before_they_are_decoded(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "memory", lambda: 4 * 5 * 3 * 5 - 1.0)
    with pytest.raises(DataError, match="images must fit into memory; got 5 images of 4 x 5"):
        data.image_folder(flowers)


def test_each_image_is_decoded_into_its_place(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[tuple[int, ...]] = []
    real = np.empty
    monkeypatch.setattr(stack.np, "empty", lambda shape, dtype: made.append(shape) or real(shape, dtype))
    data.image_folder(flowers)
    assert made == [(5, 4, 5, 3)]


def test_known_classes_keep_their_labels(flowers: Path):
    shutil.rmtree(flowers / "rose")
    found = data.image_folder(flowers, classes=("daisy", "rose", "violet"))
    assert found.targets is not None
    assert found.targets.tolist() == [2, 2]
    with pytest.raises(DataError, match=r"every folder must be of a class that the model knows; got 'violet'"):
        data.image_folder(flowers, classes=("rose", "viola"))


def test_statistics_are_those_of_all_pixels(flowers: Path):
    found = data.image_folder(flowers)
    mean, deviation = found.statistics()
    assert mean == pytest.approx(found.inputs.mean(axis=(0, 1, 2), dtype=np.longdouble), rel=1e-14)
    assert deviation == pytest.approx(found.inputs.std(axis=(0, 1, 2), dtype=np.longdouble), rel=1e-12)
    still = data.Images(np.full((2, 3, 3, 1), 7, np.uint8), None, (), "still")
    assert still.statistics() == ((7.0,), (1.0,))


def test_masks_belong_to_images_of_the_same_name_and_their_values_are_classes(cells: tuple[Path, Path]):
    found = data.mask_folder(*cells)
    assert found.classes == ("3", "7", "200")
    assert found.levels == (3, 7, 200)
    assert found.targets is not None
    assert found.targets.shape == (4, 6, 8)
    assert found.targets.dtype == np.uint8
    assert np.array_equal(found.targets[1], np.where(random_pixels(6, 8, seed=1) > 99, 2, 0))
    assert found.targets[2, 0, 0] == 1


def test_the_values_of_a_palette_are_its_numbers(cells: tuple[Path, Path]):
    numbers = np.array([[0, 1, 2, 1] * 2] * 6, np.uint8)
    for path in cells[1].iterdir():
        image = Image.fromarray(numbers).convert("P")
        image.putdata(numbers.ravel().tolist())
        image.putpalette([9, 9, 9, 255, 0, 0, 9, 9, 9])
        image.save(path)
    found = data.mask_folder(*cells)
    assert found.levels == (0, 1, 2)
    assert found.targets is not None
    assert np.array_equal(found.targets[0], numbers)


def test_masks_of_sixteen_bits_and_of_equal_colours(cells: tuple[Path, Path]):
    for path in cells[1].iterdir():
        save(path, np.full((6, 8), 300, np.uint16))
    save(cells[1] / "0.png", np.zeros((6, 8), np.uint16))
    assert data.mask_folder(*cells).levels == (0, 300)
    for path in cells[1].iterdir():
        save(path, np.zeros((6, 8, 3), np.uint8))
    save(cells[1] / "0.png", np.full((6, 8, 3), 255, np.uint8))
    assert data.mask_folder(*cells).levels == (0, 255)


def test_resized_masks_get_no_new_values(cells: tuple[Path, Path]):
    found = data.mask_folder(*cells, size=(3, 11))
    assert found.inputs.shape == (4, 3, 11, 1)
    assert found.targets is not None
    assert found.targets.shape == (4, 3, 11)
    assert set(found.levels) <= {3, 7, 200}


def test_spare_masks_are_counted(cells: tuple[Path, Path]):
    save(cells[1] / "other.png", np.zeros((6, 8), np.uint8))
    assert data.mask_folder(*cells).notes == ("Masks without an image, which take no part: 1.",)


def test_known_values_keep_their_labels(cells: tuple[Path, Path]):
    found = data.mask_folder(*cells, levels=(200, 7, 3))
    assert found.targets is not None
    assert np.array_equal(found.targets[1], np.where(random_pixels(6, 8, seed=1) > 99, 0, 2))
    with pytest.raises(DataError, match=r"2\.png: a mask may have the values 3, 200, those of training; got 7"):
        data.mask_folder(*cells, levels=(3, 200))


MASKS = {
    "a mask of another size": (
        "2.png", np.zeros((6, 9), np.uint8), {},
        "2.png: a mask must have the size of its image; got 6 x 9 (height x width), and 2.png has 6 x 8 (height x "
        "width). Save the mask again from the image as it is; resizing comes after, by size= (or --size).",
    ),
    "a mask in colours": (
        "1.png", random_pixels(6, 8, 3), {},
        "1.png: a mask has one value a pixel: grey or of a palette; got colours. Give every class a grey value or a "
        "number of a palette.",
    ),
    "a mask with loss": (
        "0.png", random_pixels(6, 8), {"format": "JPEG"},
        "0.png: masks must be stored without loss; got JPEG, which changes values. Use PNG.",
    ),
    "a picture for a mask": (
        "0.png", np.arange(300, dtype=np.uint16).reshape(15, 20), {},
        "0.png: masks have at most 256 different values, one for each class; got 300 of them so far. A mask holds "
        "numbers of classes, not a picture.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_are_refused(cells: tuple[Path, Path], name: str):
    file, pixels, options, message = MASKS[name]
    save(cells[1] / file, pixels, **options)
    if name == "a picture for a mask":
        save(cells[0] / file, random_pixels(*pixels.shape))
    with pytest.raises(DataError) as caught:
        data.mask_folder(*cells)
    assert str(caught.value) == f"{cells[1]}/{message}"


def test_a_missing_mask_and_two_images_of_one_name(cells: tuple[Path, Path]):
    (cells[1] / "2.png").unlink()
    with pytest.raises(DataError, match=r"every image needs a mask of the same name; got none for 2\.png \(1 of 4"):
        data.mask_folder(*cells)
    save(cells[0] / "1.bmp", random_pixels(6, 8))
    with pytest.raises(DataError, match=r"names must differ in more than the suffix.*got 1\.bmp and 1\.png"):
        data.mask_folder(*cells)
