"""The ISBI 2012 challenge: membranes of cells in electron micrographs."""

from __future__ import annotations

from dataclasses import replace

from gradloom import options
from gradloom.data.images.collection import Images
from gradloom.data.images.download import local
from gradloom.data.images.masks import mask_folder
from gradloom.data.images.stack import common_kind, image_files, stacked
from gradloom.errors import DataError

_FOLDER = "isbi2012-membrane"


def isbi(split: str = "train") -> Images:
    """Slices of a fly's nerve cord, 512 by 512, grey: 30 with a class for each pixel, 30 without.

    They are read from ``isbi2012-membrane/train/image``, ``.../train/label`` and ``.../test`` in ``GRADLOOM_DATA``, an
    image file a slice.  There is no published checksum of these files, so they are not downloaded.

    Args:
        split: "train", or "test", whose targets were never published.

    Returns:
        Images of shape (30, 512, 512, 1), uint8; targets of shape (30, 512, 512), 0 for a membrane (black in the
        files) and 1 for the inside of a cell, or None.

    Raises:
        DataError: the files are not there or are damaged.
        OptionError: there is no such split.

    Source: Arganda-Carreras and others, "Crowdsourcing the creation of image segmentation algorithms for
    connectomics" (2015).
    """
    options.choice("isbi", "split", split, ("train", "test"))
    root = local((_FOLDER,))
    if root is None:
        raise DataError(
            "isbi",
            rule=f"there is no folder {_FOLDER} in GRADLOOM_DATA",
            fix=f"Save the slices as {_FOLDER}/train/image/0.png, .../train/label/0.png, ... "
            "and set GRADLOOM_DATA to the folder around it.",
        )
    if split == "train":
        return replace(mask_folder(root / "train/image", root / "train/label"), classes=("membrane", "inside"))
    files, _ = image_files(root / "test")
    inputs = stacked(files, common_kind(files), None, str(root / "test"))
    return Images(inputs, None, ("membrane", "inside"), str(root / "test"), tuple(path.name for path in files))
