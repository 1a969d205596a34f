"""Which data sets are images, and how the commands read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gradloom import data
from gradloom.data.images import ImagePipeline, Images
from gradloom.data.images.decode import SUFFIXES
from gradloom.data.images.stack import entries, image_files
from gradloom.data.target import TargetPipeline
from gradloom.errors import DataError, OptionError
from gradloom.train import Trainer

NAMED: dict[str, Callable[[str], Images]] = {
    "mnist": data.mnist,
    "fashion_mnist": data.fashion_mnist,
    "cifar10": data.cifar10,
    "cifar10-jpeg": partial(data.cifar10, variant="jpeg"),
    "cifar100": data.cifar100,
    "isbi": data.isbi,
}
"""Public sets by name; each is called with the part, "train" or "test"."""


def is_images(source: str) -> bool:
    """Whether a data set is images: the name of a set, an image file, or a folder with images or nothing but folders.

    Args:
        source: what the user named.
    """
    path = Path(source)
    if source in NAMED or path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_dir():
        return False
    inside = entries(path)
    images, others = image_files(path)
    folders = [entry for entry in inside if entry.is_dir()]
    return bool(images or (folders and not others) or any(image_files(folder)[0] for folder in folders))


def read_training(source: str, masks: Path | None, size: tuple[int, int] | None) -> tuple[Images, Images | None]:
    """A training set, and its test part where the set itself has one whose targets are known.

    Args:
        source: name of a set, or a folder.
        masks: folder of masks, for a class for each pixel.
        size: height and width to resize to.

    Raises:
        DataError: the images cannot be used.
        OptionError: masks or a size for a set that has its own.
    """
    if source in NAMED:
        for option, said in (("--masks", masks), ("--size", size)):
            if said is not None:
                raise OptionError(option, rule="this is for folders of images", got=source, fix="Leave it out.")
        test = NAMED[source]("test")
        return NAMED[source]("train"), test if test.targets is not None else None
    if masks is not None:
        return data.mask_folder(source, masks, size=size), None
    return data.image_folder(source, size=size), None


def read_known(source: str, masks: Path | None, pipeline: ImagePipeline, classes: tuple[str, ...]) -> Images:
    """Images with their targets, as a model takes them.

    Args:
        source: name of a set, of which the test part is taken, or a folder.
        masks: folder of masks.
        pipeline: of the model.
        classes: likewise.

    Raises:
        DataError: the images cannot be used.
        OptionError: masks are missing, or there is no use for them.
    """
    if source in NAMED:
        return _of_classes(NAMED[source]("test" if source != "isbi" else "train"), classes)
    if pipeline.segments != (masks is not None):
        rule = "a model that says a class for each pixel is compared with masks, and no other is"
        fix = "Add --masks FOLDER." if pipeline.segments else "Leave --masks out."
        raise OptionError("--masks", rule=rule, got="none" if masks is None else str(masks), fix=fix)
    if masks is not None:
        return data.mask_folder(source, masks, size=pipeline.size, kind=pipeline.pixel, levels=pipeline.levels)
    return data.image_folder(source, size=pipeline.size, kind=pipeline.pixel, classes=classes)


def _of_classes(images: Images, classes: tuple[str, ...]) -> Images:
    if images.classes != classes:
        raise DataError(
            images.source,
            rule="the classes must be those that the model knows",
            got=f"{', '.join(images.classes[:3])}, ... and a model of {', '.join(classes[:3])}, ...",
        )
    return images


def pipelines(run: Trainer) -> tuple[ImagePipeline, TargetPipeline] | None:
    """How a model reads images and names classes; None where it was not trained on images by these commands."""
    made = run.preprocessing
    if made is None or made.images is None or made.target is None or made.target.labels is None:
        return None
    return made.images, made.target


def files_of(source: str) -> list[Path]:
    """The image files to predict on: one, those of a folder, or those of the folders in it.

    Raises:
        DataError: there is none.
    """
    path = Path(source)
    if not path.is_dir():
        return [path]
    images, others = image_files(path)
    if not images:
        images = [file for folder in entries(path) if folder.is_dir() for file in image_files(folder)[0]]
    if not images:
        got = f"files such as {others[0]}" if others else "none"
        raise DataError(str(path), rule="the folder must hold images", got=got)
    return images
