"""``gradloom doctor``: what ails a run, and what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from gradloom.cli.images.sources import pipelines
from gradloom.cli.options import MODEL_FILE, Debug, Json, Quiet, model_path
from gradloom.cli.prepare import TEST, TRAINING, VALIDATION, Part, Plan, require_finite, rows_of
from gradloom.cli.render import Screen, number
from gradloom.cli.tables import as_tables
from gradloom.data.delimited import UTF_8
from gradloom.data.sources import load as load_data
from gradloom.data.splits import PARTS, split
from gradloom.data.target import TargetPipeline
from gradloom.errors import DataError, ModelFileError, OptionError
from gradloom.train import Diagnosis, Trainer, diagnose, load

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
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the picture of each finding there, as SVG.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find out what ails RUN: data, network, learning rate, bias and variance; root causes come first."""
    screen, trainer = Screen(as_json, quiet), load(model_path(run))
    asked = _Asked.read(run, data)
    parts, notes = _parts(trainer, asked)
    for sentence in notes:
        screen.note(sentence)
    given = {name: (part.inputs, part.targets) for name, part in parts.items()}
    found = diagnose(
        trainer,
        given[TRAINING],
        validation=given.get(VALIDATION),
        test=given.get(TEST),
        optimal_error=optimal_error,
        experiments=not no_experiments,
    )
    written = _write_pictures(found, pictures)
    _show(found, screen)
    if written:
        screen.note(f"Pictures: {', '.join(map(str, written))}.")
    screen.json({**found.to_dict(), "pictures": [str(path) for path in written]})


@dataclass(frozen=True)
class _Asked:
    """What is known of how the run was made.

    Attributes:
        data: the data set.
        options: those of ``train`` that say how it was read and divided; None where only a model file is left.
        rows: of each part, as the run wrote them.
    """

    data: str
    options: dict[str, Any] | None
    rows: dict[str, int]

    @classmethod
    def read(cls, run: Path, data: str | None) -> _Asked:
        figures = (run if run.is_dir() else run.parent) / "metrics.json"
        known: dict[str, Any] = {}
        if figures.exists() and (run.is_dir() or run.name == MODEL_FILE):
            try:
                known = json.loads(figures.read_text(encoding="utf-8"))
                options, rows = known["recipe"]["options"], known["rows"]
                return cls(data or known["data"], options, rows)
            except (ValueError, KeyError, TypeError) as problem:
                raise ModelFileError(
                    str(figures),
                    rule="it must say how the run was made",
                    got=f"{type(problem).__name__}: {problem}",
                    fix="Train again, or name the model file in another folder and --data.",
                ) from None
        if data is None:
            rule = "a model file does not say what it was trained on"
            raise OptionError("--data", rule=rule, got="none", fix="Add --data FILE, or name the folder of the run.")
        return cls(data, None, {})


def _parts(run: Trainer, asked: _Asked) -> tuple[dict[str, Part], tuple[str, ...]]:
    """The rows of each part, as the network takes them, and what is to be said of them."""
    made = run.preprocessing
    if pipelines(run) is not None or made is None or made.features is None or made.target is None:
        raise OptionError(
            "doctor",
            rule="the model must have been trained from a table",
            got="images" if made is not None and made.images is not None else "no preprocessing",
            fix="Call train.diagnose(run, data) from Python.",
        )
    how = asked.options or {}
    reading = {"header": how.get("header", "auto"), "encoding": how.get("encoding", UTF_8), "kinds": how.get("kinds")}
    table, held_out = as_tables(load_data(asked.data, **reading))
    name = made.target.name
    require_finite(table)
    known = table.take(TargetPipeline.present(table[name]))
    if asked.options is None:
        return {TRAINING: rows_of(known, made.features, made.target)}, (
            "All rows are taken for rows of training: how they were divided stands in the folder of a run only.",
        )
    plan = Plan(validation=how.get("validation"), test=0.0 if held_out else how.get("test"), seed=how.get("seed", 0))
    labels = None if made.target.task == "regression" else made.target.encode(known[name])
    rows = split(known.rows, plan.fractions(known.rows), stratify=labels, seed=plan.seed)
    tables = dict(zip(PARTS, (known.take(rows.train), known.take(rows.validation), known.take(rows.test))))
    if held_out is not None:
        tables[TEST] = held_out.take(TargetPipeline.present(held_out[name]))
    tables = {part: chosen for part, chosen in tables.items() if chosen.rows}
    counts = {part: chosen.rows for part, chosen in tables.items()}
    if counts != asked.rows:
        raise DataError(
            asked.data,
            rule="the data must be those of the run",
            got=f"{counts} rows, and {asked.rows} then",
            fix="Name them by --data, or train again.",
        )
    return {part: rows_of(chosen, made.features, made.target) for part, chosen in tables.items()}, ()


def _write_pictures(found: Diagnosis, folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for finding in found.findings:
        if finding.picture is not None:
            path = folder / f"{finding.name}.svg"
            path.write_text(finding.to_svg() + "\n", encoding="utf-8")
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
