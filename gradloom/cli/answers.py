"""Predictions as CSV and JSON, for rows of a table and for images."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from gradloom import saving
from gradloom.drawing.chart import finite
from gradloom.errors import OptionError
from gradloom.train import Predictions

Lines = Iterable[Sequence[Any]]


def lines_of(found: Predictions, files: Sequence[str] = ()) -> Lines:
    """Header and rows; numbers with the digits that float32 outputs have.

    Args:
        found: the predictions.
        files: names of the images, where it was images.
    """
    yield [*(["file"] if files else []), "prediction", *(f"probability {name}" for name in found.classes)]
    likely = np.empty((len(found.values), 0)) if found.probabilities is None else found.probabilities
    for i, (value, row) in enumerate(zip(found.values, likely)):
        said = value if isinstance(value, str) else f"{value:.7g}"
        yield [*files[i : i + 1], said, *(f"{p:.6f}" for p in row)]


def refuse_overwriting(places: Iterable[Path], read: Iterable[Path]) -> None:
    """Keep what is read: no answer goes into its place, by whatever path or link.

    Raises:
        OptionError: one would.
    """
    kept = {os.path.realpath(path) for path in read}
    for place in places:
        if os.path.realpath(place) in kept:
            rule = "predictions must not take the place of what is read"
            raise OptionError("-o", rule=rule, got=str(place), fix="Choose another place.")


def write_csv(stream: TextIO, lines: Lines) -> None:
    """Lines of cells onto a stream."""
    csv.writer(stream, lineterminator="\n").writerows(lines)


def write_csv_file(path: Path, lines: Lines) -> None:
    """All of the file or nothing: an old one stays until the new one is whole.

    Raises:
        OptionError: the file cannot be written there.
    """
    text = io.StringIO()
    write_csv(text, lines)
    rule = "predictions must go to a file that can be written"
    saving.save(path, text.getvalue(), who="-o", rule=rule, error=OptionError)


def as_json(found: Predictions, files: Sequence[str] = ()) -> dict[str, Any]:
    """The same, ready for JSON."""
    return finite(
        {
            **({"files": list(files)} if files else {}),
            "predictions": found.values.tolist(),
            "classes": list(found.classes),
            "probabilities": None if found.probabilities is None else found.probabilities.tolist(),
            "notes": list(found.notes),
        }
    )
