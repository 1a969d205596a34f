"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 by 32, in each of the forms that they are passed around in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gradloom import options
from gradloom.data.images import archives
from gradloom.data.images.collection import Images
from gradloom.data.images.decode import Kind, opened, pixels
from gradloom.data.images.download import Remote, fetched, local
from gradloom.data.images.pickles import read_pickle
from gradloom.data.images.stack import Stack
from gradloom.errors import DataError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
_PLACES = ("https://www.cs.toronto.edu/~kriz/",)
_BINARY_10 = Remote("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530", _PLACES)
_BINARY_100 = Remote("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8", _PLACES)
_FORMS_10 = ("cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar-10-python.tar.gz", "cifar-10-batches-py")
_FORMS_100 = ("cifar-100-binary.tar.gz", "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-python")
_CLASSES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Contents = dict[str, bytes]


def cifar10(split: str = "train", *, variant: str = "original") -> Images:
    """Ten classes of things and animals, 50,000 images to train on and 10,000 to test.

    They are looked for in ``GRADLOOM_DATA``, there or in its folder ``cifar10``: the binary or the Python version, as
    archive or unpacked.  Else the binary version is downloaded.  Pickles of the Python version are read, not run.

    Args:
        split: "train" or "test".
        variant: "original", or "jpeg" for images that were stored with loss, in ``GRADLOOM_DATA`` as
            ``cifar10-jpeg/cifar10-jpeg.tar.gz``; expect a lower accuracy on them.

    Returns:
        Images of shape (N, 32, 32, 3), uint8, and labels; ``source`` says which file was read.

    Raises:
        DataError: the files are damaged or cannot be had.
        MissingPackageError: they must be downloaded, and pooch is not installed; or Pillow for JPEG.
        OptionError: there is no such split or variant.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """
    options.choice("cifar10", "split", split, ("train", "test"))
    if options.choice("cifar10", "variant", variant, ("original", "jpeg")) == "jpeg":
        return _from_jpeg(split)
    wanted = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}[split]
    path = _place(_FORMS_10, "cifar10") or fetched(_BINARY_10, "cifar10")
    inputs, labels = _read(path, wanted, before=1, label="labels")
    return _checked(inputs, labels, _CLASSES_10, path)


def cifar100(split: str = "train", *, labels: str = "fine") -> Images:
    """A hundred classes in twenty groups, 50,000 images to train on and 10,000 to test.

    Args:
        split: "train" or "test".
        labels: "fine", the classes, or "coarse", the groups.

    Returns:
        As :func:`cifar10`.

    Raises:
        DataError, MissingPackageError, OptionError: as :func:`cifar10`.

    Source: Krizhevsky (2009).
    """
    options.choice("cifar100", "split", split, ("train", "test"))
    options.choice("cifar100", "labels", labels, ("fine", "coarse"))
    path = _place(_FORMS_100, "cifar100") or fetched(_BINARY_100, "cifar100")
    inputs, found = _read(path, (split,), before=2, label=f"{labels}_labels")
    return _checked(inputs, found, _names(path, labels), path)


def _place(forms: tuple[str, ...], folder: str) -> Path | None:
    return local(name for form in forms for name in (form, f"{folder}/{form}"))


def _read(path: Path, wanted: tuple[str, ...], *, before: int, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of some batches.

    Args:
        path: archive or folder, of the binary or the Python version.
        wanted: names of the batches.
        before: bytes of labels in front of each image in the binary version; the last of them is the fine one.
        label: name of the labels in the Python version.
    """
    names = {f"{name}{end}": name for name in wanted for end in ("", ".bin")}
    contents = archives.members(path, lambda name: name in names)
    if len(contents) < len(wanted):
        rule = f"the files {', '.join(wanted)} must be there"
        raise DataError(str(path), rule=rule, got=", ".join(sorted(contents)), fix="Fetch the set again.")
    parts = []
    for name in sorted(contents):
        who = f"{path}, {name}"
        binary = name.endswith(".bin")
        parts.append(
            _binary(contents[name], who, before, coarse="coarse" in label)
            if binary
            else _python(contents[name], who, label)
        )
    planes, labels = (np.concatenate(part) for part in zip(*parts))
    # Stored channel by channel; what follows wants the channels of a pixel together.
    inputs = np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return inputs, labels.astype(np.int64)


def _binary(raw: bytes, who: str, before: int, *, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    rows, left = divmod(len(raw), before + PIXELS)
    if left or not rows:
        raise DataError(
            who,
            rule=f"a batch consists of rows of {before + PIXELS} bytes",
            got=f"{len(raw)} bytes",
            fix="The file is damaged or cut short: fetch it again.",
        )
    table = np.frombuffer(raw, np.uint8).reshape(rows, before + PIXELS)
    return table[:, before:], table[:, 0 if coarse else before - 1]


def _python(raw: bytes, who: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    found = read_pickle(raw, who)
    planes, labels = (found.get("data"), found.get(label)) if isinstance(found, dict) else (None, None)
    if isinstance(planes, np.ndarray) and planes.shape[1:] == (PIXELS,) and isinstance(labels, list):
        fine = len(labels) == len(planes) and all(type(label) is int and 0 <= label < 256 for label in labels)
        if fine:
            return planes, np.array(labels, np.uint8)
    raise DataError(who, rule=f"a batch has 'data', rows of {PIXELS} bytes, and as many {label!r}", got="another")


def _names(path: Path, labels: str) -> tuple[str, ...]:
    """Names of the classes of CIFAR-100, which the set brings with it."""
    text, pickled = f"{labels}_label_names.txt", "meta"
    contents = archives.members(path, lambda name: name in (text, pickled))
    if text in contents:
        return tuple(contents[text].decode("ascii", "replace").split())
    names: Any = read_pickle(contents[pickled], f"{path}, {pickled}")
    found = names.get(f"{labels}_label_names", []) if isinstance(names, dict) else []
    return tuple(map(str, found))


def _checked(inputs: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], path: Path) -> Images:
    if labels.max() >= len(classes):
        rule = f"labels go from 0 to {len(classes) - 1}, for there are {len(classes)} names of classes"
        raise DataError(str(path), rule=rule, got=str(labels.max()), fix="Fetch the set again.")
    return Images(inputs, labels, classes, str(path))


def _from_jpeg(split: str) -> Images:
    """The images of ``.../train/frog/0001.jpg``, ... in an archive or a folder, sorted by class and name."""
    path = local(("cifar10-jpeg/cifar10-jpeg.tar.gz", "cifar10-jpeg.tar.gz", "cifar10-jpeg"))
    if path is None:
        raise DataError(
            "cifar10",
            rule="the variant jpeg is read from GRADLOOM_DATA only, and there is none there",
            fix="Use variant='original'.",
        )
    contents = archives.paths(path, _of_split(split))
    if not contents:
        raise DataError(str(path), rule=f"there must be images {split}/CLASS/NAME.jpg", got="none")
    order = sorted(contents, key=lambda name: PurePosixPath(name).parts[-2:])
    stack = Stack(len(order), str(path))
    for name in order:
        with opened(path / name, contents[name]) as picture:
            stack.add(pixels(picture, Kind(3)), path / name)
    labels = np.array([_CLASSES_10.index(PurePosixPath(name).parts[-2]) for name in order], np.int64)
    note = "Stored as JPEG, with loss: expect a lower accuracy than on the original CIFAR-10."
    return Images(stack.whole(), labels, _CLASSES_10, f"{path}, {split}", notes=(note,))


def _of_split(split: str) -> Callable[[PurePosixPath], bool]:
    def wanted(path: PurePosixPath) -> bool:
        return path.suffix == ".jpg" and path.parts[-3:-2] == (split,) and path.parts[-2] in _CLASSES_10

    return wanted
