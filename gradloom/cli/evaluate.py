"""``gradloom evaluate``: how good a saved model is on rows or images whose targets are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from gradloom.cli.images.evaluate import evaluate_images
from gradloom.cli.images.sources import pipelines
from gradloom.cli.options import (
    Data,
    Debug,
    EncodingOption,
    HeaderChoice,
    HeaderOption,
    Json,
    MasksOption,
    Model,
    Quiet,
    header_of,
    model_path,
)
from gradloom.cli.prepare import Part, require_finite, rows_of
from gradloom.cli.render import Screen, number
from gradloom.cli.scores import Scores, rate
from gradloom.cli.tables import as_tables
from gradloom.data.arrays import Arrays
from gradloom.data.delimited import UTF_8
from gradloom.data.sources import load as load_data
from gradloom.data.table import Table
from gradloom.data.target import TargetPipeline
from gradloom.errors import DataError, OptionError, UnknownNameError
from gradloom.train import Preprocessing, load


def evaluate(
    model: Model,
    data: Data,
    target: Annotated[
        str | None, typer.Option(metavar="COL", help="The column with the truth; the one of training if not said.")
    ] = None,
    masks: MasksOption = None,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare what MODEL predicts for each row or image of DATA with the truth there."""
    run, screen = load(model_path(model)), Screen(as_json, quiet)
    if on_images := pipelines(run):
        images, notes, scores = evaluate_images(run, *on_images, data, masks)
        _show(f"{images} images of {data}", {"images": images}, scores, notes, screen)
        return
    if masks is not None:
        raise OptionError("--masks", rule="this is for models of images", got=str(masks), fix="Leave it out.")
    dataset = load_data(data, header=header_of(header), encoding=encoding)
    part, pipeline, notes = rows_with_truth(run.preprocessing, dataset, target)
    scores = rate(run, part, pipeline)
    _show(f"{len(part.truth)} rows of {data}", {"rows": len(part.truth)}, scores, notes, screen)


def _show(title: str, counts: dict[str, int], scores: Scores, notes: tuple[str, ...], screen: Screen) -> None:
    for sentence in notes:
        screen.note(sentence)
    screen.table(title, ["", "value"], [[name.replace("_", " "), number(value)] for name, value in scores.items()])
    screen.json({**counts, "metrics": scores, "notes": list(notes)})


def rows_with_truth(
    preprocessing: Preprocessing | None, dataset: Table | Arrays, target: str | None
) -> tuple[Part, TargetPipeline, tuple[str, ...]]:
    """The rows whose target is known, as the model takes them, its target pipeline, and what is to be said."""
    if preprocessing is None or preprocessing.features is None or preprocessing.target is None:
        raise OptionError("evaluate", rule="the model must have been trained from a table", got="no preprocessing")
    features, pipeline = preprocessing.features, preprocessing.target
    whole, held_out = as_tables(dataset)
    table = _with_target(held_out or whole, target, pipeline.name)
    require_finite(table)
    known = TargetPipeline.present(table[pipeline.name])
    if not known.any():
        raise DataError(table.source, rule="at least one row needs a target", got="only missing cells")
    gone = int((~known).sum())
    notes = (f"Rows without {pipeline.name!r}, which take no part: {gone}.",) if gone else ()
    table = table.take(known)
    try:
        return rows_of(table, features, pipeline), pipeline, notes + features.unused(table)
    except UnknownNameError as error:  # a class that training did not have: the data's fault, not the command's
        raise DataError(f"{table.source}, {error.who}", rule=error.rule, got=error.got, fix=error.fix) from None


def _with_target(table: Table, asked: str | None, name: str) -> Table:
    """The table, with the column ``asked`` under the name of the target in training."""
    if asked is None or asked == name:
        table[name]  # its own error proposes the nearest name
        return table
    column = replace(table[asked], name=name)
    return replace(table, columns={**table.drop([asked, name]).columns, name: column})
