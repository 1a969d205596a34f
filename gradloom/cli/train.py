"""``gradloom train``: train a network on a data set and save it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradloom import executors
from gradloom.cli.images.job import EPOCHS as EPOCHS_ON_IMAGES
from gradloom.cli.images.job import run_image_job
from gradloom.cli.images.networks import CLASSIFIERS, SEGMENTERS, USUAL, USUAL_WITH_MASKS
from gradloom.cli.images.sources import is_images
from gradloom.cli.job import BALANCED, EPOCHS, EPOCHS_WITHOUT_VALIDATION, PATIENCE, Result, run_job
from gradloom.cli.networks import DROPOUT, HIDDEN, MODELS, TASKS_OF_LOSS
from gradloom.cli.optimizers import OPTIMIZERS
from gradloom.cli.options import (
    Data,
    Debug,
    EncodingOption,
    HeaderChoice,
    HeaderOption,
    Json,
    KindsOption,
    MasksOption,
    Quiet,
    TaskChoice,
    header_of,
    kinds_of,
    size_of,
    task_of,
    widths_of,
)
from gradloom.cli.render import Screen, number
from gradloom.cli.request import TrainOptions
from gradloom.cli.schedules import SCHEDULES
from gradloom.data.augment import PRESETS
from gradloom.data.delimited import UTF_8
from gradloom.errors import OptionError

INTERRUPTED = 130
_MODEL_HELP = (
    f"{', '.join(MODELS)}; auto is mlp. For images: {', '.join(CLASSIFIERS)}; with masks: {', '.join(SEGMENTERS)}; "
    f"auto is {USUAL}, with masks {USUAL_WITH_MASKS}."
)
_SHARE_HELP = "Share of the rows for {}; by default 0.2, less in data of more than 10,000 rows."


def train(
    data: Data,
    target: Annotated[str | None, typer.Option(metavar="COL", help="The column to predict.")] = None,
    task: Annotated[TaskChoice, typer.Option(help="What to predict; auto finds it from the column.")] = TaskChoice.AUTO,
    model: Annotated[str, typer.Option(help=_MODEL_HELP)] = "auto",
    hidden: Annotated[
        str | None,
        typer.Option(metavar="N,N", help=f"Hidden units; by default {','.join(map(str, HIDDEN))}."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help=f"At most so many passes over the data; by default {EPOCHS}, stopped early by the validation part, or "
            f"{EPOCHS_WITHOUT_VALIDATION} without one; {EPOCHS_ON_IMAGES} for images."
        ),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; by default the optimizer's.")] = None,
    batch_size: Annotated[str, typer.Option(metavar="N|auto", help="Rows an update.")] = "auto",
    optimizer: Annotated[str, typer.Option(help=f"{', '.join(OPTIMIZERS)}.")] = "adam",
    loss: Annotated[str | None, typer.Option(help=f"{', '.join(TASKS_OF_LOSS)}; by default the task's.")] = None,
    validation: Annotated[float | None, typer.Option(help=_SHARE_HELP.format("validation"))] = None,
    test: Annotated[float | None, typer.Option(help=_SHARE_HELP.format("the test"))] = None,
    seed: Annotated[int, typer.Option(help="Determines the split, the first weights, the order.")] = 0,
    l1: Annotated[float, typer.Option(help="λ of λ Σ|w| added to the loss.")] = 0.0,
    l2: Annotated[float, typer.Option(help="λ of λ Σw² added to the loss.")] = 0.0,
    weight_decay: Annotated[
        float | None, typer.Option(help="λ of λw added to the gradient, or with adamw to the update; by default none.")
    ] = None,
    max_norm: Annotated[float | None, typer.Option(help="Largest norm of the weights of each unit.")] = None,
    dropout: Annotated[
        float | None, typer.Option(help=f"Share of units dropped; by default {DROPOUT}, of images the network's.")
    ] = None,
    class_weight: Annotated[
        str | None, typer.Option(metavar=BALANCED, help="Let all classes weigh the same together.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"How the rate goes over the epochs: {', '.join(SCHEDULES)}.")
    ] = None,
    warmup: Annotated[int | None, typer.Option(metavar="N", help="Epochs in which the rate rises from 0.")] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Largest norm of all gradients together; by default there is no bound.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help=f"Stop after so many epochs without a better val_loss; {PATIENCE} if not said, 0 never."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share each batch; the weights are the same for any.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="bfloat16", help="Compute the network in this while training.")
    ] = None,
    debug_nans: Annotated[
        bool, typer.Option("--debug-nans", help="Name the layer in which numbers stop being finite.")
    ] = False,
    executor: Annotated[
        str, typer.Option(help="What runs the steps: native, compiled with LLVM, or reference (NumPy).")
    ] = executors.DEFAULT,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; by default runs/NAME-001.")
    ] = None,
    masks: MasksOption = None,
    size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Of images: resize all to so many pixels, height x width.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Change images at random while training: {', '.join(PRESETS)}."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files into the folder tensorboard of the run.")
    ] = False,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Write the model file after each epoch, not only at the end.")
    ] = False,
    header: HeaderOption = HeaderChoice.AUTO,
    encoding: EncodingOption = UTF_8,
    kinds: KindsOption = "",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network on DATA, rate it on rows or images it has not seen, and save it with its preprocessing."""
    screen = Screen(as_json, quiet)
    options = TrainOptions(
        data=data,
        target=target,
        task=task_of(task),
        model=model,
        hidden=None if hidden is None else widths_of(hidden),
        epochs=_positive("--epochs", epochs),
        learning_rate=lr,
        batch_size=_batch_size(batch_size),
        optimizer=optimizer,
        loss=loss,
        validation=validation,
        test=test,
        seed=_seed(seed),
        l1=l1,
        l2=l2,
        weight_decay=weight_decay,
        max_norm=max_norm,
        dropout=dropout,
        class_weight=class_weight,
        schedule=schedule,
        warmup=warmup,
        clip_norm=clip_norm,
        patience=patience,
        workers=_positive("--workers", workers),
        precision=precision,
        debug_nans=debug_nans,
        executor=executor,
        out=out,
        header=header_of(header),
        encoding=encoding,
        kinds=dict(kinds_of(kinds)),
        masks=masks,
        size=None if size is None else size_of(size),
        augment=augment,
        tensorboard=tensorboard,
        checkpoint=checkpoint,
    )
    job = run_image_job if masks is not None or is_images(data) else run_job
    result = job(options, screen.note, progress="silent" if quiet else "auto")
    show(result, screen)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)


def show(result: Result, screen: Screen) -> None:
    """The table of figures, and where everything is."""
    parts = list(result.scores)
    rows = [
        [metric.replace("_", " "), *(number(result.scores[part][metric]) for part in parts), number(value)]
        for metric, value in result.baseline.items()
    ]
    screen.table("Result", ["", *parts, "baseline"], rows)
    screen.result(f"Baseline: {result.baseline_name}.")
    if result.interrupted:
        screen.result("Interrupted: this is the best model so far.")
    screen.result(f"Written: {', '.join(map(str, result.files))}")
    screen.json(result.summary)


def _positive(option: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise OptionError(option, rule="this is a whole number from 1", got=str(value))
    return value


def _seed(value: int) -> int:
    if not 0 <= value < 2**64:
        raise OptionError("--seed", rule="a seed is a whole number from 0 to 2^64 - 1", got=str(value))
    return value


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise OptionError("--batch-size", rule="this is a whole number from 1, or auto", got=repr(text))
    return int(text)
