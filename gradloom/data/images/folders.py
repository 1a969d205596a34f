"""Folders of images, a folder for each class: ``flowers/rose/1.png``, ``flowers/violet/1.png``, ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradloom.data.images.collection import Images
from gradloom.data.images.decode import Kind, Size, both_sides
from gradloom.data.images.stack import common_kind, entries, image_files, stacked
from gradloom.errors import DataError, nearest_hint

_LAYOUT = "Make a folder for each class, with its images in it: flowers/rose/1.png, flowers/violet/1.png, ..."


def image_folder(
    folder: str | Path,
    *,
    size: Size | None = None,
    kind: Kind | None = None,
    classes: Sequence[str] | None = None,
) -> Images:
    """The images of a folder that has a folder for each class.

    Hidden files take no part, nor do files that are no images, folders in those of the classes, and images beside
    these; the notes count all but hidden ones.

    Args:
        folder: which holds the folders.
        size: height and width, or one number for both, to resize all images to; without, all must have one size.
        kind: what pixels are to be; what the files have if None, colour where any is in colour.
        classes: their names in the order of the labels; the names of the folders in order if None.

    Returns:
        Images with labels, classes after each other.

    Raises:
        DataError: a file cannot be used, a folder is empty, there are fewer than two, or one is of no known class.
        MissingPackageError: Pillow is not installed.
        OptionError: size is none.
    """
    root = Path(folder)
    target = None if size is None else both_sides("image_folder", size)
    members, notes = files_by_class(root)
    names = list(members) if classes is None else list(classes)
    if classes is None and len(names) < 2:
        raise DataError(
            str(root), rule="at least two classes are needed, a folder each", got=f"one, {names[0]!r}", fix=_LAYOUT
        )
    for name in members:
        if name not in names:
            raise DataError(
                str(root / name),
                rule="every folder must be of a class that the model knows",
                got=repr(name),
                fix=nearest_hint(name, names),
            )
    files = [path for paths in members.values() for path in paths]
    inputs = stacked(files, kind or common_kind(files), target, str(root))
    labels = np.repeat([names.index(name) for name in members], [len(paths) for paths in members.values()])
    relative = tuple(path.relative_to(root).as_posix() for path in files)
    return Images(inputs, labels.astype(np.int64), tuple(names), str(root), relative, notes=notes)


def files_by_class(root: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """The image files of each class, and what takes no part, a sentence each.

    Args:
        root: the folder that holds the folders.

    Raises:
        DataError: there are no folders, or one of them is without images.
    """
    folders = [path for path in entries(root) if path.is_dir()]
    loose, _ = image_files(root)
    if not folders:
        got = f"{len(loose)} images and no folder" if loose else "a folder without folders"
        fix = (
            f"{_LAYOUT} For a class for each pixel add a folder of masks: --masks, or mask_folder."
            if loose
            else _LAYOUT
        )
        raise DataError(str(root), rule="images are sorted by class into folders", got=got, fix=fix)
    members, others, deeper = {}, [], []
    for path in folders:
        images, rest = image_files(path)
        if not images:
            inner = [inside.name for inside in entries(path) if inside.is_dir()]
            held = f"folders such as {inner[0]}" if inner else f"files such as {rest[0]}" if rest else "nothing"
            fix = f"Name that folder itself, {path}." if inner else "Put images there, or take the folder away."
            raise DataError(str(path), rule="the folder of a class must hold images", got=held, fix=fix)
        members[path.name] = images
        others += [f"{path.name}/{name}" for name in rest]
        deeper += [f"{path.name}/{inside.name}" for inside in entries(path) if inside.is_dir()]
    notes = []
    if others:
        notes.append(f"Files that are no images and take no part: {len(others)}, such as {others[0]}.")
    if deeper:
        notes.append(f"Folders inside those of the classes, which take no part: {len(deeper)}, such as {deeper[0]}.")
    if loose:
        notes.append(f"Images beside the folders of the classes, which take no part: {len(loose)}.")
    return members, tuple(notes)
