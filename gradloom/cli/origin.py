"""What a run was trained on, read again from what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gradloom.cli.evaluate import rows_with_truth
from gradloom.cli.images.job import arrays_of as arrays_of_images
from gradloom.cli.images.job import image_parts
from gradloom.cli.images.sources import is_images, pipelines, read_known
from gradloom.cli.job import arrays_of, prepare_table
from gradloom.cli.recipe import RECIPE, REMEDY, Recipe, fingerprints
from gradloom.cli.runs import METRICS_FILE
from gradloom.cli.tables import as_tables
from gradloom.data.delimited import Header
from gradloom.data.sources import load as load_data
from gradloom.data.table import Table
from gradloom.errors import GradloomError, ModelFileError, OptionError
from gradloom.train import Trainer

GIVEN = "given data"

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


def of_training(recipe: Recipe | None) -> Found:
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


def given_data(trainer: Trainer, data: str, masks: Path | None, header: Header, encoding: str) -> Found:
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
