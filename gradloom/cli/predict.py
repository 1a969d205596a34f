"""``gradloom predict``: what a saved model says of each row of a data set, or of images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gradloom.cli.answers import as_json as predictions_as_json
from gradloom.cli.answers import lines_of, refuse_overwriting, write_csv, write_csv_file
from gradloom.cli.images.predict import predict_images
from gradloom.cli.images.sources import pipelines
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
from gradloom.cli.render import Screen
from gradloom.cli.tables import as_tables
from gradloom.data.delimited import UTF_8
from gradloom.data.sources import load as load_data
from gradloom.train import load


def predict(
    model: Model,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Where to write to, not the screen: a CSV file; for masks a PNG, or a folder where there are many.",
        ),
    ] = None,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write what MODEL predicts for each row or image of DATA, as CSV: a class with its probabilities, or a number."""
    run, screen = load(model_path(model)), Screen(as_json, quiet)
    refuse_overwriting([] if out is None else [out], [model_path(model), Path(data)])
    if on_images := pipelines(run):
        predict_images(run, *on_images, data, out, screen)
        return
    table, _ = as_tables(load_data(data, header=header_of(header), encoding=encoding))
    found = run.predict_table(table)
    notes = [] if quiet else found.notes
    for sentence in notes:
        print(sentence, file=sys.stderr)  # noqa: T201  standard output is for the predictions
    if out is not None:
        write_csv_file(out, lines_of(found))
        screen.note(f"Written: {out} ({len(found.values)} rows)")
        screen.json({"file": str(out), "rows": len(found.values), "notes": list(found.notes)})
        return
    if not as_json:
        write_csv(sys.stdout, lines_of(found))
    screen.json(predictions_as_json(found))
