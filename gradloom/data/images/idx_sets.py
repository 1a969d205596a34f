"""MNIST and Fashion-MNIST: 70,000 grey images of 28 by 28 in ten classes, in files of the format idx."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gradloom import options
from gradloom.data.binary import read_idx
from gradloom.data.images.collection import Images
from gradloom.data.images.download import Remote, fetched, local
from gradloom.errors import DataError

_DIGITS = tuple("0123456789")
_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_PREFIX = {"train": "train", "test": "t10k"}
_CHECKSUMS = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}
_PLACES = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}


def mnist(split: str = "train") -> Images:
    """Handwritten digits: 60,000 to train on, 10,000 to test, 28 by 28, grey.

    They are looked for in the folder ``mnist`` of ``GRADLOOM_DATA``, else downloaded.

    Args:
        split: "train" or "test".

    Returns:
        Images of shape (N, 28, 28, 1), uint8, and labels; ``source`` says which file was read.

    Raises:
        DataError: the files are damaged or cannot be had.
        MissingPackageError: they must be downloaded, and pooch is not installed.
        OptionError: there is no such split.

    Source: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/
    """
    return _read("mnist", split, _DIGITS)


def fashion_mnist(split: str = "train") -> Images:
    """Photographs of clothes in the form of MNIST.

    They are looked for in the folder ``fashion-mnist`` of ``GRADLOOM_DATA``, else downloaded.

    Args:
        split: "train" (60,000) or "test" (10,000).

    Returns:
        Images of shape (N, 28, 28, 1), uint8, and labels.

    Raises:
        DataError, MissingPackageError, OptionError: as :func:`mnist`.

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST" (2017).
    """
    return _read("fashion-mnist", split, _CLOTHES)


def _read(folder: str, split: str, classes: tuple[str, ...]) -> Images:
    prefix = _PREFIX[options.choice(folder, "split", split, tuple(_PREFIX))]
    name = f"{prefix}-images-idx3-ubyte"
    path = local(f"{folder}/{name}{suffix}" for suffix in ("", ".gz")) or _downloaded(folder, prefix)
    arrays = read_idx(path)
    labels = arrays.targets
    if labels is None:
        rule = "the labels must lie beside the images"
        raise DataError(str(path), rule=rule, got=f"no {prefix}-labels-idx1-ubyte or its .gz")
    if arrays.inputs.ndim != 3 or arrays.inputs.dtype != np.uint8 or labels.ndim != 1 or labels.max() >= len(classes):
        raise DataError(
            str(path),
            rule="images of bytes in three axes, and labels from 0 to 9, are needed",
            got=f"{arrays.inputs.dtype} of shape {arrays.inputs.shape}, labels of shape {labels.shape}",
        )
    return Images(arrays.inputs[..., np.newaxis], labels.astype(np.int64), classes, str(path))


def _downloaded(folder: str, prefix: str) -> Path:
    """The file of the images, with that of the labels beside it."""
    images, _ = (
        fetched(Remote(name, f"md5:{checksum}", _PLACES[folder]), folder)
        for name, checksum in _CHECKSUMS[folder].items()
        if name.startswith(prefix)
    )
    return images
