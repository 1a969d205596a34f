"""``gradloom info``: what is in a model file or in a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from gradloom.cli.images.sources import is_images
from gradloom.cli.options import (
    MODEL_FILE,
    Data,
    Debug,
    EncodingOption,
    HeaderChoice,
    HeaderOption,
    Json,
    KindsOption,
    Quiet,
    header_of,
    kinds_of,
    model_path,
)
from gradloom.cli.render import Screen, listed, number
from gradloom.data.delimited import UTF_8
from gradloom.data.images.folders import files_by_class
from gradloom.data.images.stack import common_kind
from gradloom.data.sources import load
from gradloom.data.summary import ColumnSummary, describe
from gradloom.data.table import Table
from gradloom.errors import GradloomError, ModelFileError
from gradloom.nn import registry
from gradloom.nn.summary import HEAD, layers
from gradloom.train import Preprocessing, read_header
from gradloom.train.description import input_from_json
from gradloom.train.inputs import is_one, one_example


def info(
    what: Data,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    kinds: KindsOption = "",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Describe DATA column by column, or a model file (.safetensors, or the folder of a run)."""
    screen = Screen(as_json, quiet)
    if Path(what).is_dir() and not (Path(what) / MODEL_FILE).exists() and is_images(what):
        _show_classes(Path(what), screen)
        return
    if what.endswith(".safetensors") or Path(what).is_dir():
        _show_model(model_path(Path(what)), screen)
        return
    dataset = load(what, header=header_of(header), encoding=encoding, kinds=kinds_of(kinds))
    if isinstance(dataset, Table):
        _show_table(dataset, screen)
        return
    parts = {"": dataset} | ({"test ": dataset.test} if dataset.test else {})
    shapes = {
        f"{part}{name}": f"{array.dtype} {list(array.shape)}"
        for part, arrays in parts.items()
        for name, array in (("inputs", arrays.inputs), ("targets", arrays.targets))
        if array is not None
    }
    screen.table(dataset.source, ["", "type and shape"], [[name, shape] for name, shape in shapes.items()], texts=2)
    screen.json({"source": dataset.source, "arrays": shapes})


def _show_table(table: Table, screen: Screen) -> None:
    columns = describe(table)
    head = ["column", "kind", "missing", "different", "mean", "std", "least", "greatest", "most frequent"]
    screen.table(f"{table.source}: {table.rows} rows", head, [_cells(column) for column in columns], texts=2)
    screen.json({"source": table.source, "rows": table.rows, "columns": [asdict(column) for column in columns]})


def _cells(column: ColumnSummary) -> list[str]:
    often = "" if column.most_frequent is None else f"{column.most_frequent[:24]} ({column.frequency})"
    figures = (column.mean, column.std, column.minimum, column.maximum)
    shown = ["" if f is None else f if isinstance(f, str) else number(f) for f in figures]
    return [column.name, column.kind, str(column.missing), str(column.distinct), *shown, often]


def _show_classes(folder: Path, screen: Screen) -> None:
    """How many images each class has."""
    members, notes = files_by_class(folder)
    kind = str(common_kind([path for paths in members.values() for path in paths]))
    counts = {name: len(paths) for name, paths in members.items()}
    for sentence in notes:
        screen.note(sentence)
    screen.table(f"{folder}: {kind}", ["class", "images"], [[name, str(count)] for name, count in counts.items()])
    screen.json({"source": str(folder), "pixels": kind, "classes": counts, "notes": list(notes)})


def _show_model(path: Path, screen: Screen) -> None:
    description: dict[str, Any] = read_header(path)
    screen.json(description)
    try:
        facts, table = _facts(description), _layers(description)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        if isinstance(problem, GradloomError):
            problem.within(str(path))
            raise
        raise ModelFileError(
            str(path),
            rule="the description in the header does not describe a model",
            got=f"{type(problem).__name__}: {problem}",
            fix="Use a copy of the file that is whole.",
        ) from None
    screen.table(str(path), ["", "value"], [[name, text] for name, text in facts.items()], texts=2)
    screen.table("", list(HEAD), table, texts=3)


def _facts(description: dict[str, Any]) -> dict[str, str]:
    """What a user wants to know of a model, by name."""
    preprocessing = Preprocessing.from_state(description["preprocessing"] or {})
    target, features, history = preprocessing.target, preprocessing.features, description["history"]
    facts = {"format": str(description["format"])}
    if target is not None:
        facts |= {"target": target.name, "task": target.task}
        if target.classes:
            facts["classes"] = listed(target.classes)
    inputs = input_from_json(description["input"])
    if not is_one(inputs):
        of = inputs if isinstance(inputs, dict) else dict(enumerate(inputs, 1))
        facts["inputs"] = ", ".join(f"{name}: {dtype}{list(shape)}" for name, (dtype, shape) in of.items())
    if preprocessing.images is not None:
        facts["images"] = str(preprocessing.images)
    if features is not None:
        facts["columns"] = listed(tuple(dict.fromkeys(block.column for block in features.blocks)))
    best = "" if history["best_epoch"] is None else f", the weights are those of epoch {history['best_epoch']}"
    return facts | {
        "loss": description["loss"]["type"],
        "optimizer": description["optimizer"]["type"],
        "trained": f"{description['epoch']} epochs, batch size {description['batch_size']}{best}",
        "stopped": str(history["stopped"]),
    }


def _layers(description: dict[str, Any]) -> list[list[str]]:
    """A line for each layer, and the total."""
    example = one_example(input_from_json(description["input"]))
    rows, total, _ = layers(registry.build(description["model"]), example)
    inner = [list(row.cells) for row in rows if row.path]
    return [*inner, ["", "", "", f"{total:,}", f"{sum(row.multiply_adds for row in rows):,}"]]
