"""From images to a trained model, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradloom import data
from gradloom.cli.images.networks import batch_size, build_network, check_loss, network_name
from gradloom.cli.images.scores import baseline, rate
from gradloom.cli.images.sources import read_training
from gradloom.cli.job import Result, Telling, asked_of_trainer, finish, fit, shortened
from gradloom.cli.optimizers import build_optimizer
from gradloom.cli.prepare import TEST, TRAINING, VALIDATION, Plan
from gradloom.cli.recipe import RECIPE, Recipe
from gradloom.cli.render import listed
from gradloom.cli.request import TrainOptions
from gradloom.cli.runs import check_folder
from gradloom.cli.schedules import Length
from gradloom.data.encode import Labels
from gradloom.data.images import ImagePipeline, Images
from gradloom.data.splits import PARTS
from gradloom.data.target import TargetPipeline
from gradloom.errors import OptionError
from gradloom.train import Preprocessing, Trainer

EPOCHS = 30
LEARNING_RATE = {"adam": 1e-3, "adamw": 1e-3}
"""Where networks for images want another rate than those for tables."""
_FOR_TABLES = ("target", "task", "hidden", "header", "encoding", "kinds")


def run_image_job(options: TrainOptions, note: Callable[[str], None], *, progress: str) -> Result:
    """Read, train, rate and save.

    Args:
        options: what was asked for.
        note: is told what was found and decided, a sentence at a time.
        progress: how the trainer shows its progress.

    Raises:
        GradloomError: the images or an option cannot be used.
        KeyboardInterrupt: Ctrl-C before there was anything to keep.
    """
    check_folder(options.out)
    _refuse_table_options(options)
    parts, notes = image_parts(options)
    training = parts[TRAINING]
    network = network_name(options.model, training)
    size = batch_size(options.batch_size, training)
    length = Length.of(options.epochs or EPOCHS, len(training), size)
    run = _trainer(options, training, network, length)
    for sentence in (*shortened(notes), f"{_describe(parts)} Network: {network}."):
        note(sentence)
    telling = Telling(note, progress)
    course = fit(run, training, parts.get(VALIDATION), options, length.epochs, size, telling)
    scores = {name: rate(run, part) for name, part in parts.items()}
    last = list(parts)[-1]
    always, rated = baseline(training, parts[last])
    facts = _facts(options, parts, notes) | {"network": network}
    facts |= {RECIPE: Recipe.of(options, arrays_of(parts)).as_json()}
    return finish(options, run, course, scores, (always, last, rated), facts)


def arrays_of(parts: dict[str, Images]) -> dict[str, tuple[np.ndarray, ...]]:
    """Inputs and targets by part, as ``fit`` takes them."""
    return {name: (part.inputs, part.targets) for name, part in parts.items() if part.targets is not None}


def _refuse_table_options(options: TrainOptions) -> None:
    usual = TrainOptions("")
    for name in _FOR_TABLES:
        if getattr(options, name) not in (getattr(usual, name), {}):
            rule = "this is for tables, and the data are images"
            raise OptionError(f"--{name}", rule=rule, got=str(getattr(options, name)), fix="Leave it out.")


def image_parts(options: TrainOptions) -> tuple[dict[str, Images], tuple[str, ...]]:
    """The images of each part, and what is to be said of them."""
    images, held_out = read_training(options.data, options.masks, options.size)
    assert images.targets is not None, "what is read to train on has targets"
    plan = Plan(validation=options.validation, test=0.0 if held_out else options.test)
    labels = None if images.levels else images.targets
    rows = data.split(len(images), plan.fractions(len(images)), stratify=labels, seed=options.seed)
    chosen = zip(PARTS, (rows.train, rows.validation, rows.test))
    parts = {name: images.take(numbers) for name, numbers in chosen if len(numbers)}
    if held_out:
        parts[TEST] = held_out
    about_split = ("The data set brings its own test part.",) if held_out else rows.notes
    return parts, (f"Read: {images.source}.", *images.notes, *about_split)


def _trainer(options: TrainOptions, training: Images, network: str, length: Length) -> Trainer:
    name = "pixel" if training.levels else "class"
    return Trainer(
        build_network(network, training, options.dropout),
        loss=check_loss(options.loss, training),
        optimizer=build_optimizer(options, length, LEARNING_RATE),
        metrics=["accuracy", "mean_iou"] if training.levels else ["accuracy"],
        augment=options.augment,
        **asked_of_trainer(options),
        preprocessing=Preprocessing(
            target=TargetPipeline(name, "multiclass", Labels(training.classes), None, ()),
            images=ImagePipeline.of(training, resized=options.size is not None),
        ),
    )


def _describe(parts: dict[str, Images]) -> str:
    sizes = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    height, width, channels = parts[TRAINING].inputs.shape[1:]
    kind = "grey" if channels == 1 else "colour"
    return f"Images: {sizes}; {height} x {width}, {kind}. Classes: {listed(parts[TRAINING].classes)}."


def _facts(options: TrainOptions, parts: dict[str, Images], notes: tuple[str, ...]) -> dict[str, Any]:
    training = parts[TRAINING]
    return {
        "data": options.data,
        "masks": None if options.masks is None else str(options.masks),
        "task": "segmentation" if training.levels else "classification",
        "classes": list(training.classes),
        "image": list(training.inputs.shape[1:]),
        "rows": {name: len(part) for name, part in parts.items()},
        "notes": list(notes),
    }
