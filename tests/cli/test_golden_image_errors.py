"""Every sort of mistake with images, and word for word what the user is told, as in test_golden_errors.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from picture_files import cells, save, shapes

FAILURE, USAGE = 1, 2
Change = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A command on ``shapes``, ``cells`` and ``masks`` after a change, its exit code, and what it says."""

    change: Change
    words: str
    code: int
    message: str


def nothing(folder: Path) -> None:
    """The folders as they are."""


def cut(name: str, count: int) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-count])


def image(name: str, *shape: int) -> Change:
    return lambda folder: save(folder / name, np.zeros(shape, np.uint8))


def deep(name: str, *shape: int) -> Change:
    return lambda folder: save(folder / name, np.zeros(shape, np.uint16))


def flat(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        save(path, np.zeros((16, 16), np.uint8))


SHAPES, CELLS = "train shapes", "train cells --masks masks"
LAYOUT = "Make a folder for each class, with its images in it: flowers/rose/1.png, flowers/violet/1.png, ..."

CASES = {
    "dropout of a network without": Case(
        nothing, f"{SHAPES} --dropout 0.1", USAGE,
        "--dropout: resnet20 has no dropout; got 0.1. Leave --dropout out, or use --model smallcnn, alexnet, wrn16-4, "
        "wrn28-10.",
    ),
    "image cut short": Case(
        cut("shapes/bars/03.png", 60), SHAPES, FAILURE,
        "shapes/bars/03.png: the image is damaged or cut short; got image file is truncated. Fetch or save it again, "
        "or take it out of the folder.",
    ),
    "no image": Case(
        lambda f: (f / "shapes/bars/03.png").write_text("hello"), SHAPES, FAILURE,
        "shapes/bars/03.png: this is no image of a format that is known; got a file that begins as none. Fetch or save "
        "it again, or take it out of the folder.",
    ),
    "mixed sizes": Case(
        image("shapes/bars/03.png", 9, 7, 3), SHAPES, FAILURE,
        "shapes/bars/03.png: all images must have one size; got 9 x 7 (height x width), and 00.png has 8 x 8 (height x "
        "width). Say size=(height, width) (or --size HEIGHTxWIDTH) to make all of one size.",
    ),
    "mixed depths": Case(
        deep("cells/3.png", 16, 16), CELLS, FAILURE,
        "cells/3.png: all images must have the same depth; got grey of more than 8 bits, and 0.png is grey of 8 bits. "
        "Save all with 8 bits, or all with 16.",
    ),
    "transparent": Case(
        image("shapes/bars/03.png", 8, 8, 4), SHAPES, FAILURE,
        "shapes/bars/03.png: pixels must not be transparent, for what lies behind them is not known; got an image of "
        "mode RGBA with transparent pixels. Put it on a background of your choice first.",
    ),
    "empty class": Case(
        lambda f: (f / "shapes/dots").mkdir(), SHAPES, FAILURE,
        "shapes/dots: the folder of a class must hold images; got nothing. Put images there, or take the folder away.",
    ),
    "class of hidden files": Case(
        lambda f: (f / "shapes/dots").mkdir() or (f / "shapes/dots/.a.png").write_text(""), SHAPES, FAILURE,
        "shapes/dots: the folder of a class must hold images; got nothing. Put images there, or take the folder away.",
    ),
    "class of other files": Case(
        lambda f: (f / "shapes/dots").mkdir() or (f / "shapes/dots/a.txt").write_text(""), SHAPES, FAILURE,
        "shapes/dots: the folder of a class must hold images; got files such as a.txt. Put images there, or take the "
        "folder away.",
    ),
    "folders one deeper": Case(
        lambda f: shutil.copytree(f / "shapes", f / "sets/train"), "train sets", FAILURE,
        "sets/train: the folder of a class must hold images; got folders such as bands. Name that folder itself, "
        "sets/train.",
    ),
    "one class": Case(
        lambda f: shutil.rmtree(f / "shapes/bars"), SHAPES, FAILURE,
        f"shapes: at least two classes are needed, a folder each; got one, 'bands'. {LAYOUT}",
    ),
    "no classes": Case(
        nothing, "train cells", FAILURE,
        f"cells: images are sorted by class into folders; got 10 images and no folder. {LAYOUT} For a class for each "
        "pixel add a folder of masks: --masks, or mask_folder.",
    ),
    "no such folder": Case(
        nothing, "train nowhere --masks masks", FAILURE, "nowhere: there is no such folder",
    ),
    "no such masks": Case(
        nothing, "train cells --masks nowhere", FAILURE, "nowhere: there is no such folder",
    ),
    "masks with longer names": Case(
        lambda f: (f / "masks/3.png").rename(f / "masks/3_mask.png"), CELLS, FAILURE,
        "masks: every image needs a mask of the same name; got none for 3.png (1 of 10 images). Rename 3_mask.png, "
        "if it is that.",
    ),
    "missing mask": Case(
        lambda f: (f / "masks/3.png").unlink(), CELLS, FAILURE,
        "masks: every image needs a mask of the same name; got none for 3.png (1 of 10 images). Add 3.png, or take the "
        "image away.",
    ),
    "mask of another size": Case(
        image("masks/3.png", 16, 15), CELLS, FAILURE,
        "masks/3.png: a mask must have the size of its image; got 16 x 15 (height x width), and 3.png has 16 x 16 "
        "(height x width). Save the mask again from the image as it is; resizing comes after, by size= (or --size).",
    ),
    "masks of one value": Case(
        flat, CELLS, FAILURE,
        "masks: masks must have at least two different values; got only 0. Draw every class with a value of its own, "
        "such as 0 and 255.",
    ),
    "images smaller than a network's reduction": Case(
        nothing, f"{SHAPES} --model lenet5", FAILURE,
        "shapes: lenet5 does not take images of 8 x 8 (height x width); got in Sequential > layers.2 (Conv): the "
        "window must fit into the padded input. Say --size 16x16, or choose another --model.",
    ),
    "sides that do not halve": Case(
        nothing, "train cells --masks masks --size 20", FAILURE,
        "cells: unet does not take images of 20 x 20 (height x width); got in Sequential > layers.6 (Join) > body "
        "(Sequential) > layers.7 (Join) > body (Sequential) > layers.7 (Join): the body must give the sizes of its "
        "input. Say --size 32x32, or choose another --model.",
    ),
    "unknown network": Case(
        nothing, f"{SHAPES} --model resnet19", USAGE,
        "--model: no network for images has this name; got 'resnet19'. Did you mean 'resnet18'? Known: alexnet, auto, "
        "lenet5, resnet110, resnet18, resnet20, resnet32, resnet34, resnet44, resnet50, resnet56, smallcnn, wrn16-4, "
        "wrn28-10.",
    ),
    "network for masks without masks": Case(
        nothing, f"{SHAPES} --model unet", USAGE,
        "--model: unet is for a class for each pixel; got images without masks. Add --masks, or use --model resnet20.",
    ),
    "network for classes with masks": Case(
        nothing, f"{CELLS} --model resnet20", USAGE,
        "--model: resnet20 is for one class for each image; got images with masks. Leave --masks out, or use --model "
        "unet.",
    ),
    "loss of tables": Case(
        nothing, f"{SHAPES} --loss squared_error", USAGE,
        "--loss: no loss for images without masks has this name; got 'squared_error'. Known: cross_entropy, focal.",
    ),
    "loss of masks": Case(
        nothing, f"{SHAPES} --loss dice", USAGE,
        "--loss: no loss for images without masks has this name; got 'dice'. Known: cross_entropy, focal.",
    ),
    "size that is none": Case(
        nothing, f"{SHAPES} --size 8by8", USAGE,
        "--size: a size is one whole number from 1, or height x width; got '8by8'. Example: 96x128.",
    ),
    "option of tables": Case(
        nothing, f"{SHAPES} --target y", USAGE,
        "--target: this is for tables, and the data are images; got y. Leave it out.",
    ),
    "option of images": Case(
        lambda f: (f / "a.csv").write_text("x,y\n1,2\n"), "train a.csv --target y --size 8", USAGE,
        "--size: this is for images, and the data are no folder of images; got a.csv. Leave it out, or name a folder "
        "of images.",
    ),
    "size of a public set": Case(
        nothing, "train mnist --size 8", USAGE,
        "--size: this is for folders of images; got mnist. Leave it out.",
    ),
}  # fmt: skip

MODEL_CASES = {
    "image of another size": Case(
        image("large.png", 9, 8, 3), "predict CLASSIFIER large.png", FAILURE,
        "large.png: images must have the size of those that the model was trained on; got 9 x 8 (height x width), not "
        "8 x 8. Resize them first; a model that was trained with --size does it by itself.",
    ),
    "image of another depth": Case(
        deep("deep.png", 8, 8), "predict CLASSIFIER deep.png", FAILURE,
        "deep.png: all images must be of one kind, as those that a model was trained on; got grey of more than 8 bits, "
        "not colour of 8 bits. Convert it, or keep images of different kinds apart.",
    ),
    "colour for a grey model": Case(
        image("colour.png", 16, 16, 3), "predict SEGMENTER colour.png -o a.png", FAILURE,
        "colour.png: all images must be of one kind, as those that a model was trained on; got colour of 8 bits, not "
        "grey of 8 bits. Convert it, or keep images of different kinds apart.",
    ),
    "no images to predict on": Case(
        lambda f: (f / "none").mkdir(), "predict CLASSIFIER none", FAILURE,
        "none: the folder must hold images; got none",
    ),
    "a mask as JPEG": Case(
        nothing, "predict SEGMENTER cells/0.png -o a.jpg", USAGE,
        "-o: a mask is written as PNG, which keeps its values; got a.jpg. Write a.png.",
    ),
    "many masks in one file": Case(
        nothing, "predict SEGMENTER cells -o a.png", USAGE,
        "-o: masks of several images go into a folder; got a.png for 10 images. Name a folder.",
    ),
    "a mask into nowhere": Case(
        nothing, "predict SEGMENTER cells/0.png -o nowhere/a.png", USAGE,
        "-o: masks must go to a place that can be written; got nowhere/a.png: No such file or directory. Create its "
        "folder first, or choose another place.",
    ),
    "a class that training lacked": Case(
        lambda f: (f / "shapes/bars").rename(f / "shapes/bar"), "evaluate CLASSIFIER shapes", FAILURE,
        "shapes/bar: every folder must be of a class that the model knows; got 'bar'. Did you mean 'bars'? Known: "
        "bands, bars.",
    ),
    "masks for a model of classes": Case(
        nothing, "evaluate CLASSIFIER cells --masks masks", USAGE,
        "--masks: a model that says a class for each pixel is compared with masks, and no other is; got masks. Leave "
        "--masks out.",
    ),
    "no masks for a model of pixels": Case(
        nothing, "evaluate SEGMENTER cells", USAGE,
        "--masks: a model that says a class for each pixel is compared with masks, and no other is; got none. Add "
        "--masks FOLDER.",
    ),
    "a mask with another value": Case(
        lambda f: save(f / "masks/3.png", np.full((16, 16), 7, np.uint8)), "evaluate SEGMENTER cells --masks masks",
        FAILURE,
        "masks/3.png: a mask may have the values 0, 255, those of training; got 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_training_on_images(name: str, cli, tmp_path: Path):
    _must_fail(CASES[name], CASES[name].words, cli, tmp_path)


@pytest.mark.parametrize("name", MODEL_CASES)
def test_using_a_model_of_images(name: str, cli, tmp_path: Path, classifier: Path, segmenter: Path):
    words = MODEL_CASES[name].words.replace("CLASSIFIER", str(classifier)).replace("SEGMENTER", str(segmenter))
    _must_fail(MODEL_CASES[name], words, cli, tmp_path)


def _must_fail(case: Case, words: str, cli, folder: Path) -> None:
    shapes(folder)
    cells(folder)
    case.change(folder)
    outcome = cli(*words.split())
    told = [line for line in outcome.err.splitlines() if not line.startswith(("epoch", "stopped"))]
    assert told == [f"gradloom: {case.message}"]
    assert outcome.code == case.code
    assert not (folder / "runs").exists()
