"""Where a run writes: a folder of its own, and the files in it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from gradloom import saving
from gradloom.cli.options import MODEL_FILE
from gradloom.errors import OptionError
from gradloom.train import Trainer

RUNS = Path("runs")
METRICS_FILE = "metrics.json"


def check_folder(asked: Path | None) -> None:
    """Refuse a folder that cannot be one, before any time is spent on training.

    Raises:
        OptionError: ``asked`` or a folder on the way to it is a file.
    """
    for place in (asked, *asked.parents) if asked else ():
        if place.exists() and not place.is_dir():
            raise OptionError("--out", rule="this must be a folder, and it is a file", got=str(place))


def make_folder(asked: Path | None, data: str) -> Path:
    """The folder of a run: the one asked for, else a new one, ``runs/titanic-001``.

    Args:
        asked: what ``--out`` says.
        data: the name of the data set.

    Raises:
        OptionError: a folder cannot be made there.
    """
    if asked is not None:
        return saving.make_folder(asked, who="--out", error=OptionError)
    saving.make_folder(RUNS, who="--out", error=OptionError)
    name = Path(data).name.split(".")[0] or "data"
    for number in count(1):
        folder = RUNS / f"{name}-{number:03}"
        try:
            folder.mkdir()  # one step: of two runs at once, only one gets this number
        except FileExistsError:
            continue
        return folder
    raise AssertionError("there is always a next number")


def write_run(folder: Path, run: Trainer, metrics: dict[str, Any]) -> tuple[Path, ...]:
    """Write the model, its history and its figures.

    Args:
        folder: where to.
        run: the trained model.
        metrics: ready for JSON.

    Returns:
        The files.
    """
    model, table, history, figures = (
        folder / name for name in (MODEL_FILE, "history.csv", "history.json", METRICS_FILE)
    )
    run.save(model)
    run.history.write_csv(table)
    run.history.write_json(history)
    saving.save(figures, json.dumps(metrics, indent=1) + "\n")
    return model, table, history, figures
