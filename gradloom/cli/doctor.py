"""``gradloom doctor``: what ails a run, and what to do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from gradloom import saving
from gradloom.cli.options import Debug, Json, Quiet, model_path
from gradloom.cli.origin import GIVEN, Parts, given_data, of_training, read_figures
from gradloom.cli.prepare import TEST, TRAINING, VALIDATION
from gradloom.cli.render import Screen, number
from gradloom.data.delimited import UTF_8
from gradloom.errors import OptionError
from gradloom.train import Diagnosis, diagnose, load
from gradloom.train.diagnosis.diagnose import BUDGET

_WIDTH = 100


def doctor(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run, or a model file.")
    ],
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="What it was trained on; for a folder of a run it is known.")
    ] = None,
    optimal_error: Annotated[
        float, typer.Option(metavar="X", help="The error of the best that can be hoped for, from 0 to 1.")
    ] = 0.0,
    no_experiments: Annotated[
        bool, typer.Option("--no-experiments", help="Make no short trainings, though there is trouble to explain.")
    ] = False,
    budget: Annotated[float, typer.Option(metavar="SECONDS", help="What all of it may take.")] = BUDGET,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the picture of each finding there, as SVG.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find out what ails RUN: data, network, learning rate, bias and variance; root causes come first."""
    screen, trainer = Screen(as_json, quiet), load(model_path(run))
    given, notes = _of_run(run, data)
    for sentence in notes:
        screen.note(sentence)
    found = diagnose(
        trainer,
        given[TRAINING],
        validation=given.get(VALIDATION),
        test=given.get(TEST),
        optimal_error=optimal_error,
        experiments=not no_experiments,
        budget=_seconds(budget),
    )
    written = _write_pictures(found, pictures)
    _show(found, screen)
    if written:
        screen.note(f"Pictures: {', '.join(map(str, written))}.")
    screen.json({**found.to_dict(), "pictures": [str(path) for path in written]})


def _seconds(asked: float) -> float:
    if not 0 <= asked < math.inf:
        fix = "Use --no-experiments for none."
        raise OptionError("--budget", rule="this is a number of seconds from 0", got=str(asked), fix=fix)
    return asked


def _of_run(run: Path, data: str | None) -> tuple[Parts, tuple[str, ...]]:
    """The parts that a run was trained and rated on, and what is to be said of them.

    Raises:
        OptionError: that is not known, or they are no longer the same.
    """
    _, recipe = read_figures(run)
    if recipe is None and data is not None:
        given, _, notes = given_data(load(model_path(run)), data, None, "auto", UTF_8)
        rows = "All examples are taken for those of training: how they were divided stands in the folder of a run only."
        return {TRAINING: given[GIVEN]}, (*notes, rows)
    if recipe is not None and data is not None:
        recipe = replace(recipe, options=replace(recipe.options, data=data))
    parts, _, notes = of_training(recipe)
    if not parts:
        raise OptionError("--data", rule="a run is examined with the data it was trained on", got=" ".join(notes))
    return parts, notes


def _write_pictures(found: Diagnosis, folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    saving.make_folder(folder, who="--pictures", error=OptionError)
    written = []
    for finding in found.findings:
        if finding.picture is not None:
            path = folder / f"{finding.name}.svg"
            saving.save(path, finding.to_svg() + "\n")
            written.append(path)
    return written


def _show(found: Diagnosis, screen: Screen) -> None:
    screen.result(found.verdict)
    screen.table("", ["part", "error"], [[name, number(error)] for name, error in found.errors.items()])
    if found.is_healthy:
        screen.result("Nothing needs to be done.")
    for finding in found.findings:
        lines = [("measured", finding.measured), ("why", finding.why), ("what to do", finding.what_to_do)]
        if finding.follows_from:
            lines.append(("follows from", ", ".join(name.replace("_", " ") for name in finding.follows_from)))
        screen.result(f"\n{finding.severity}: {finding.title}")
        for title, text in lines:
            screen.result(fill(text, _WIDTH, initial_indent=f"  {title:<13}", subsequent_indent=" " * 15))
    if found.left_out:
        screen.result("")
    for sentence in found.left_out:
        screen.result(fill(sentence, _WIDTH, subsequent_indent="  "))
