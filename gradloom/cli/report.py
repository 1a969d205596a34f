"""``gradloom report``: everything about a run on one HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gradloom.cli.evaluate import rows_with_truth
from gradloom.cli.images.job import arrays_of as arrays_of_images
from gradloom.cli.images.job import image_parts
from gradloom.cli.images.sources import is_images, pipelines, read_known
from gradloom.cli.job import arrays_of, prepare_table
from gradloom.cli.options import (
    Debug,
    EncodingOption,
    HeaderChoice,
    HeaderOption,
    Json,
    MasksOption,
    Quiet,
    header_of,
    model_path,
)
from gradloom.cli.prepare import TEST, TRAINING, VALIDATION
from gradloom.cli.recipe import RECIPE, REMEDY, Recipe, fingerprints
from gradloom.cli.render import Screen
from gradloom.cli.runs import METRICS_FILE
from gradloom.cli.tables import as_tables
from gradloom.data.delimited import UTF_8, Header
from gradloom.data.sources import load as load_data
from gradloom.data.table import Table
from gradloom.errors import GradloomError, ModelFileError, OptionError
from gradloom.report import Origin, Page, page
from gradloom.train import Diagnosis, Trainer, diagnose, load

PAGE_FILE = "report.html"
GIVEN = "given data"


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help=f"The page; by default RUN/{PAGE_FILE}.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Rate the model on these rows or images, not on the run's own test part."),
    ] = None,
    masks: MasksOption = None,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a page about RUN: curves, metrics with intervals, mistakes, calibration, the model, its command."""
    screen = Screen(as_json, quiet)
    trainer = load(model_path(run))
    figures, recipe = read_figures(run)
    if data is not None:
        parts, table, notes = _given(trainer, data, masks, header_of(header), encoding)
    elif masks is not None:
        raise OptionError("--masks", rule="masks belong to images that --data names", got=str(masks))
    else:
        parts, table, notes = _of_training(recipe)
    origin = _origin(figures, recipe, table, notes)
    for sentence in notes:
        screen.note(sentence)
    made = page(trainer, parts, title=_title(run, recipe), findings=_diagnosed(trainer, parts), origin=origin)
    place = out or (run / PAGE_FILE if run.is_dir() else run.with_suffix(".html"))
    _write(made, place)
    screen.result(f"Written: {place}")
    scores = {s.name: {"value": s.value, "low": s.interval[0], "high": s.interval[1]} for s in made.scores}
    screen.json({"file": str(place), "part": list(parts)[-1] if parts else None, "metrics": scores})


Parts = dict[str, tuple[np.ndarray, ...]]
Found = tuple[Parts, Table | None, tuple[str, ...]]


def read_figures(run: Path) -> tuple[dict[str, Any], Recipe | None]:
    """What ``train`` wrote of a run beside the model, and how it was made; nothing where that was not written.

    Raises:
        ModelFileError: the file is damaged.
    """
    file = run / METRICS_FILE
    if not run.is_dir() or not file.exists():
        return {}, None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError, OSError) as problem:
        raise ModelFileError(
            str(file), rule="the figures of a run are a JSON object", got=str(problem)[:80], fix=REMEDY
        ) from None
    return found, Recipe.from_json(found[RECIPE], str(file)) if RECIPE in found else None


def _of_training(recipe: Recipe | None) -> Found:
    """The parts of the training, read again; none, and a sentence why, where that is not possible."""
    if recipe is None:
        return {}, None, ("The run does not say which data it was trained on. Name some with --data.",)
    options, table = recipe.options, None
    try:
        if options.masks is not None or is_images(options.data):
            parts = arrays_of_images(image_parts(options)[0])
        else:
            dataset = load_data(options.data, header=options.header, kinds=options.kinds, encoding=options.encoding)
            table, _ = as_tables(dataset)
            parts = arrays_of(prepare_table(options))
    except GradloomError as problem:
        return {}, None, (f"The data of the training cannot be read ({problem}). Name some with --data.",)
    if fingerprints(parts) != dict(recipe.data):
        return {}, None, (f"{options.data} is no longer what the model was trained on. Name other data with --data.",)
    return parts, table, ()


def _diagnosed(trainer: Trainer, parts: Parts) -> Diagnosis | None:
    """What the doctor says without trying anything out, of models of tables whose training part is at hand."""
    if TRAINING not in parts or pipelines(trainer) is not None:
        return None
    known = {"validation": parts.get(VALIDATION), "test": parts.get(TEST)}
    return diagnose(trainer, parts[TRAINING], **known, experiments=False)


def _given(trainer: Trainer, data: str, masks: Path | None, header: Header, encoding: str) -> Found:
    """The rows or images that were named."""
    if on_images := pipelines(trainer):
        images = read_known(data, masks, on_images[0], on_images[1].classes)
        assert images.targets is not None, "what is read to rate on has targets"
        return {GIVEN: (images.inputs, images.targets)}, None, images.notes
    if masks is not None:
        raise OptionError("--masks", rule="this is for models of images", got=str(masks), fix="Leave it out.")
    dataset = load_data(data, header=header, encoding=encoding)
    part, _, notes = rows_with_truth(trainer.preprocessing, dataset, None)
    return {GIVEN: (part.inputs, part.targets)}, as_tables(dataset)[0], notes


def _origin(figures: dict[str, Any], recipe: Recipe | None, table: Table | None, notes: tuple[str, ...]) -> Origin:
    """What is known of a run beside its model; what the file of figures does not hold soundly is left out."""
    scores, sizes, trivial = (figures.get(name) for name in ("metrics", "rows", "baseline"))
    shown = {str(part): _numbers(row) for part, row in scores.items()} if isinstance(scores, dict) else {}
    if isinstance(trivial, dict):
        shown["baseline"] = _numbers(trivial)
    return Origin(
        settings={} if recipe is None else recipe.settings(),
        environment=None if recipe is None else recipe.environment,
        command="" if recipe is None else recipe.command(),
        figures={part: row for part, row in shown.items() if row},
        sizes={str(k): v for k, v in sizes.items() if type(v) is int} if isinstance(sizes, dict) else {},
        table=table,
        notes=notes,
    )


def _numbers(row: Any) -> dict[str, float]:
    return {str(k): v for k, v in row.items() if type(v) in (int, float)} if isinstance(row, dict) else {}


def _title(run: Path, recipe: Recipe | None) -> str:
    """The data and what is predicted, or the name of the run."""
    if recipe is None:
        return run.resolve().name
    name = Path(recipe.options.data).name
    return name if recipe.options.target is None else f"{name}: {recipe.options.target}"


def _write(made: Page, place: Path) -> None:
    try:
        made.save(place)
    except OSError as error:
        raise OptionError(
            "-o",
            rule="the page must go to a file that can be written",
            got=f"{place}: {error.strerror}",
            fix="Create its folder first, or choose another place.",
        ) from None
