"""``gradloom predict``: what a saved model says of each row of a data set."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import typer

from gradloom.cli.options import (
    Data,
    Debug,
    EncodingOption,
    HeaderChoice,
    HeaderOption,
    Json,
    Model,
    Quiet,
    header_of,
    model_path,
)
from gradloom.cli.render import Screen, finite
from gradloom.cli.tables import as_tables
from gradloom.data.delimited import UTF_8
from gradloom.data.sources import load as load_data
from gradloom.errors import OptionError
from gradloom.train import Predictions, load


def predict(
    model: Model,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT.csv", help="File to write to, not the screen.")
    ] = None,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write what MODEL predicts for each row of DATA, as CSV: a class with its probabilities, or a number."""
    run = load(model_path(model))
    table, _ = as_tables(load_data(data, header=header_of(header), encoding=encoding))
    found = run.predict_table(table)
    notes = [] if quiet else found.notes
    for sentence in notes:
        print(sentence, file=sys.stderr)  # noqa: T201  standard output is for the predictions
    if out is not None:
        _write_file(out, found)
        Screen(as_json, quiet).note(f"Written: {out} ({len(found.values)} rows)")
    elif not as_json:
        _write_csv(sys.stdout, found)
    Screen(as_json).json(_as_json(found, out))


def _lines(found: Predictions) -> Iterable[Sequence[Any]]:
    """Header and rows; numbers with the digits that float32 outputs have."""
    yield ["prediction", *(f"probability {name}" for name in found.classes)]
    likely = np.empty((len(found.values), 0)) if found.probabilities is None else found.probabilities
    for value, row in zip(found.values, likely):
        said = value if isinstance(value, str) else f"{value:.7g}"
        yield [said, *(f"{p:.6f}" for p in row)]


def _write_csv(stream: TextIO, found: Predictions) -> None:
    csv.writer(stream, lineterminator="\n").writerows(_lines(found))


def _write_file(path: Path, found: Predictions) -> None:
    """All of the file or nothing: an old one stays until the new one is whole.

    Raises:
        OptionError: the file cannot be written there.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "w", newline="", encoding="utf-8") as stream:
            _write_csv(stream, found)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OptionError(
            "-o",
            rule="predictions must go to a file that can be written",
            got=f"{path}: {error.strerror}",
            fix="Create its folder first, or choose another place.",
        ) from None


def _as_json(found: Predictions, out: Path | None) -> dict[str, Any]:
    if out is not None:
        return {"file": str(out), "rows": len(found.values), "notes": list(found.notes)}
    return finite(
        {
            "predictions": found.values.tolist(),
            "classes": list(found.classes),
            "probabilities": None if found.probabilities is None else found.probabilities.tolist(),
            "notes": list(found.notes),
        }
    )
