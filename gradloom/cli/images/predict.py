"""What a model says of images: classes as CSV, or masks as PNG."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import saving
from gradloom.cli.answers import as_json, lines_of, refuse_overwriting, write_csv, write_csv_file
from gradloom.cli.images.sources import files_of
from gradloom.cli.render import Screen
from gradloom.data.images import ImagePipeline
from gradloom.data.images.encode import write_mask
from gradloom.data.target import TargetPipeline
from gradloom.errors import OptionError
from gradloom.train import Predictions, Trainer, predict_tiles, tile_overlap
from gradloom.train.preprocessing import predictions


def predict_images(
    run: Trainer, pipeline: ImagePipeline, target: TargetPipeline, source: str, out: Path | None, screen: Screen
) -> None:
    """Predict on an image, or on all of a folder, and write it to the screen or to where it was asked to go.

    Args:
        run: a model that was trained on images.
        pipeline: how it reads them.
        target: how it names classes.
        source: file or folder.
        out: a CSV file; for a class for each pixel, a PNG or a folder for several; None for the screen.
        screen: where notes, and without ``out`` predictions, go.

    Raises:
        DataError: an image cannot be used.
        OptionError: ``out`` cannot be written.
    """
    files = files_of(source)
    names = [path.name if len(files) == 1 else path.relative_to(source).as_posix() for path in files]
    if not pipeline.segments:
        outputs = run.predict(pipeline.read_all(files, source))
        _write_classes(predictions(outputs, target, ()), names, out, screen)
        return
    places = [] if out is None else _places(files, names, out)
    overlap = cache(lambda: tile_overlap(run))  # measured once, and only if an image needs tiles
    shares = [_segment(run, pipeline, path, place, overlap) for path, place in itertools.zip_longest(files, places)]
    _write_shares(shares, names, pipeline, places, screen)


def _segment(
    run: Trainer, pipeline: ImagePipeline, path: Path, place: Path | None, overlap: Callable[[], int]
) -> list[float]:
    """Write the mask of an image, if it has a place, and tell which share of it each class has."""
    image, size = pipeline.read(path)
    fits = pipeline.fits(image)
    outputs = run.predict(image[np.newaxis])[0] if fits else predict_tiles(run, image, overlap=overlap(), batch=1)
    labels = outputs.argmax(axis=-1)
    if place is not None:
        write_mask(place, np.array(pipeline.levels)[labels], size)
    return [float((labels == label).mean()) for label in range(len(pipeline.levels))]


def _places(files: list[Path], names: list[str], out: Path) -> list[Path]:
    """Where the mask of each image goes: named as the image is, in folders that are named as the images' are.

    Raises:
        OptionError: masks of several images would go into one file, or into the place of an image.
    """
    if len(files) == 1 and not out.is_dir():
        return [out]
    if (out.exists() and not out.is_dir()) or out.suffix.lower() == ".png":
        rule = "masks of several images go into a folder"
        raise OptionError("-o", rule=rule, got=f"{out} for {len(files)} images", fix="Name a folder.")
    places = [(out / name).with_suffix(".png") for name in names]
    first: dict[Path, str] = {}
    for place, name in zip(places, names):
        if first.setdefault(place, name) != name:
            rule = "names must differ in more than the suffix, for masks are named as their images"
            raise OptionError("-o", rule=rule, got=f"{first[place]} and {name}", fix="Rename one of them.")
    refuse_overwriting(places, files)
    for folder in dict.fromkeys(place.parent for place in places):
        saving.make_folder(folder, who="-o", error=OptionError)
    return places


def _write_classes(found: Predictions, names: list[str], out: Path | None, screen: Screen) -> None:
    if out is not None:
        write_csv_file(out, lines_of(found, names))
        screen.note(f"Written: {out} ({len(names)} images)")
        screen.json({"file": str(out), "images": len(names)})
        return
    if not screen.as_json:
        write_csv(sys.stdout, lines_of(found, names))
    screen.json(as_json(found, names))


def _write_shares(
    shares: list[list[float]], names: list[str], pipeline: ImagePipeline, places: list[Path], screen: Screen
) -> None:
    """Which masks were written; without any, the share of pixels that each class has."""
    if places:
        shown = str(places[0]) if len(places) == 1 else f"{os.path.commonpath(places)} ({len(places)} masks)"
        screen.note(f"Written: {shown}")
    elif not screen.as_json:
        head = ["file", *(f"share {level}" for level in pipeline.levels)]
        rows = ([name, *(f"{share:.6f}" for share in row)] for name, row in zip(names, shares))
        write_csv(sys.stdout, [head, *rows])
    found: dict[str, Any] = {"files": names, "values": list(pipeline.levels), "shares": shares}
    screen.json(found | ({"masks": list(map(str, places))} if places else {}))
