"""``gradloom report``: everything about a run on one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gradloom import saving
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
from gradloom.cli.origin import Parts, given_data, of_training, read_figures
from gradloom.cli.prepare import TEST, TRAINING, VALIDATION
from gradloom.cli.recipe import Recipe
from gradloom.cli.render import Screen
from gradloom.data.delimited import UTF_8
from gradloom.data.table import Table
from gradloom.errors import OptionError
from gradloom.report import Origin, page
from gradloom.train import Diagnosis, Trainer, diagnose, load

PAGE_FILE = "report.html"


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
    """Write a page about RUN: findings, curves, metrics with intervals, mistakes, the model, its command."""
    screen = Screen(as_json, quiet)
    trainer = load(model_path(run))
    figures, recipe = read_figures(run)
    if data is not None:
        parts, table, notes = given_data(trainer, data, masks, header_of(header), encoding)
    elif masks is not None:
        raise OptionError("--masks", rule="masks belong to images that --data names", got=str(masks))
    else:
        parts, table, notes = of_training(recipe)
    origin = _origin(figures, recipe, table, notes)
    for sentence in notes:
        screen.note(sentence)
    made = page(trainer, parts, title=_title(run, recipe), findings=_diagnosed(trainer, parts), origin=origin)
    place = out or (run / PAGE_FILE if run.is_dir() else run.with_suffix(".html"))
    rule = "the page must go to a file that can be written"
    saving.save(place, made.html, who="-o", rule=rule, error=OptionError)
    screen.result(f"Written: {place}")
    scores = {s.name: {"value": s.value, "low": s.interval[0], "high": s.interval[1]} for s in made.scores}
    screen.json({"file": str(place), "part": list(parts)[-1] if parts else None, "metrics": scores})


def _diagnosed(trainer: Trainer, parts: Parts) -> Diagnosis | None:
    """What the doctor says without trying anything out, where the training part is at hand."""
    if TRAINING not in parts:
        return None
    validation, test = parts.get(VALIDATION), parts.get(TEST)
    return diagnose(trainer, parts[TRAINING], validation=validation, test=test, experiments=False)


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
