"""The main job: from a data set to a trained model, and what is to be said about it."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import nn
from gradloom.cli.networks import build_network, choose_loss, wants_softmax
from gradloom.cli.optimizers import build_optimizer
from gradloom.cli.options import MODEL_FILE
from gradloom.cli.prepare import TRAINING, VALIDATION, Plan, Prepared, prepare
from gradloom.cli.recipe import RECIPE, Recipe
from gradloom.cli.request import TrainOptions
from gradloom.cli.runs import check_folder, make_folder, write_run
from gradloom.cli.schedules import Length
from gradloom.cli.scores import Baseline, Scores, rate
from gradloom.cli.tables import as_tables, holds_whole_numbers
from gradloom.data.sources import load
from gradloom.errors import OptionError, unknown_name
from gradloom.records import dataclass
from gradloom.train import Callback, EarlyStopping, MapReduce, Preprocessing, TensorBoard, Trainer
from gradloom.train.precision import PRECISIONS

EPOCHS, EPOCHS_WITHOUT_VALIDATION = 200, 30
PATIENCE = 15
BALANCED = "balanced"
TENSORBOARD = "tensorboard"
MOST_ALIKE = 4
_NAMES_AND_FIGURES = re.compile(r"'[^']*'|[0-9][0-9.]*")


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        scores: for each part its figures.
        baseline: what a trivial predictor gets on the last of the parts.
        baseline_name: what that predictor says.
        files: where everything was written.
        interrupted: whether Ctrl-C ended training.
        summary: all of it, ready for JSON.
    """

    scores: dict[str, Scores]
    baseline: Scores
    baseline_name: str
    files: tuple[Path, ...]
    interrupted: bool
    summary: dict[str, Any]


def run_job(options: TrainOptions, note: Callable[[str], None], *, progress: str) -> Result:
    """Prepare, train, rate and save.

    Args:
        options: what was asked for.
        note: is told what was found and decided, a sentence at a time.
        progress: how the trainer shows its progress.

    Raises:
        GradloomError: the data or an option cannot be used.
        KeyboardInterrupt: Ctrl-C before there was anything to keep.
    """
    check_folder(options.out)
    _refuse_image_options(options)
    prepared = prepare_table(options)
    for sentence in shortened(prepared.notes):
        note(sentence)
    training, validation = prepared.parts[TRAINING], prepared.parts.get(VALIDATION)
    epochs = options.epochs or (EPOCHS if validation else EPOCHS_WITHOUT_VALIDATION)
    run = _trainer(options, prepared, Length.of(epochs, len(training.truth), options.batch_size))
    note(_describe(prepared, run))
    course = fit(run, training, validation, options, epochs, options.batch_size, Telling(note, progress))
    scores = {name: rate(run, part, prepared.target) for name, part in prepared.parts.items()}
    baseline = Baseline.fit(training.truth, prepared.target)
    last = list(prepared.parts)[-1]
    rated = baseline.rate(prepared.parts[last].truth)
    facts = _facts(options, prepared) | {RECIPE: Recipe.of(options, arrays_of(prepared)).as_json()}
    return finish(options, run, course, scores, (baseline.name, last, rated), facts)


def arrays_of(prepared: Prepared) -> dict[str, tuple[np.ndarray, ...]]:
    """Inputs and targets by part, as ``fit`` takes them."""
    return {name: (part.inputs, part.targets) for name, part in prepared.parts.items()}


def _refuse_image_options(options: TrainOptions) -> None:
    for name in ("masks", "size", "augment"):
        if getattr(options, name) is not None:
            rule = "this is for images, and the data are no folder of images"
            raise OptionError(f"--{name}", rule=rule, got=options.data, fix="Leave it out, or name a folder of images.")


def prepare_table(options: TrainOptions) -> Prepared:
    """The parts of a data set, the same for the same options."""
    dataset = load(options.data, header=options.header, kinds=options.kinds, encoding=options.encoding)
    table, held_out = as_tables(dataset)
    plan = Plan(
        target=options.target,
        task=options.task,
        validation=options.validation,
        test=options.test,
        seed=options.seed,
        softmax=wants_softmax(options.loss),
        # Pixels that are almost always 0 would become huge if each were divided by its deviation.
        numeric="minmax" if holds_whole_numbers(dataset) else "standardize",
    )
    return prepare(table, plan, held_out)


def _trainer(options: TrainOptions, prepared: Prepared, length: Length) -> Trainer:
    classes = prepared.target.task != "regression"
    if options.class_weight and not classes:
        raise OptionError("--class-weight", rule="numbers have no classes to weight", got="a regression task")
    return Trainer(
        build_network(options.model, options.hidden, prepared, options.dropout),
        loss=choose_loss(options.loss, prepared.target.task),
        optimizer=build_optimizer(options, length),
        metrics=["accuracy"] if classes else [],
        preprocessing=Preprocessing(features=prepared.features, target=prepared.target),
        **asked_of_trainer(options),
    )


def asked_of_trainer(options: TrainOptions) -> dict[str, Any]:
    """What the trainer takes as it was asked for, of tables and of images.

    Raises:
        OptionError: the largest norm is out of range.
        UnknownNameError: classes cannot be weighted in this way, or there is no such precision.
    """
    if options.class_weight not in (None, BALANCED):
        raise unknown_name("--class-weight", "way to weight classes", options.class_weight, (BALANCED,))
    if options.precision not in PRECISIONS:
        raise unknown_name("--precision", "precision", options.precision, filter(None, PRECISIONS))
    if options.max_norm is not None and not 0 < options.max_norm < math.inf:
        fix = "Use a number from 2 to 4, or leave it out."
        raise OptionError("--max-norm", rule="a norm is a finite number above 0", got=str(options.max_norm), fix=fix)
    return {
        "seed": options.seed,
        "l1": options.l1,
        "l2": options.l2,
        "regularizers": [] if options.max_norm is None else [nn.regularizers.MaxNorm(options.max_norm)],
        "class_weight": options.class_weight,
        "precision": options.precision,
        "debug_nans": options.debug_nans,
        "executor": options.executor,
    }


def shortened(notes: Sequence[str]) -> list[str]:
    """The sentences; of many that differ in names and figures alone the first, and how many more there are."""
    groups: dict[str, list[str]] = {}
    for note in notes:
        groups.setdefault(_NAMES_AND_FIGURES.sub("", note), []).append(note)
    shown: list[str] = []
    for alike in groups.values():
        many = len(alike) > MOST_ALIKE
        shown += [f"{alike[0]} Likewise {len(alike) - 1} more columns."] if many else alike
    return shown


@dataclass(frozen=True)
class Telling:
    """How a run tells of itself.

    Attributes:
        note: is told what was found and decided, a sentence at a time.
        progress: how the trainer shows its progress.
    """

    note: Callable[[str], None]
    progress: str

    @contextmanager
    def warnings(self) -> Iterator[None]:
        """Warnings of the trainer become notes."""
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = lambda message, *_, **__: self.note(str(message))
            yield


@dataclass(frozen=True)
class Course:
    """How training went.

    Attributes:
        seconds: the time it took.
        interrupted: whether Ctrl-C ended it when there already was a model to keep.
        folder: of the run, where something was written to it while training.
    """

    seconds: float
    interrupted: bool
    folder: Path | None


def fit(
    run: Trainer,
    training: Any,
    validation: Any,
    options: TrainOptions,
    epochs: int,
    batch_size: int | str,
    telling: Telling,
) -> Course:
    """Train, and stop early where there is a validation part.

    Args:
        run: the trainer.
        training: the data set to train on.
        validation: to stop by, or None.
        options: what was asked for.
        epochs: at most.
        batch_size: of the updates.
        telling: where progress and warnings go.

    Raises:
        OptionError: patience without a validation part, or workers that the run cannot have.
        KeyboardInterrupt: Ctrl-C before there was anything to keep.
    """
    crew = None if options.workers is None else MapReduce(options.workers)
    hooks = _stopping(options.patience, validation is not None)
    folder = make_folder(options.out, options.data) if options.tensorboard or options.checkpoint else None
    hooks += [TensorBoard(folder / TENSORBOARD)] if folder and options.tensorboard else []
    started, interrupted = time.perf_counter(), False
    try:
        with telling.warnings():
            run.fit(
                training,
                validation=validation,
                epochs=epochs,
                batch_size=batch_size,
                callbacks=hooks,
                progress=telling.progress,
                checkpoint=folder / MODEL_FILE if folder and options.checkpoint else None,
                workers=crew,
            )
    except KeyboardInterrupt:
        if not run.history.rows:
            raise
        interrupted = True
    return Course(round(time.perf_counter() - started, 3), interrupted, folder)


def _stopping(patience: int | None, is_validated: bool) -> list[Callback]:
    """What ends training early.

    Raises:
        OptionError: patience without a validation part, or less than none.
    """
    if patience is not None and patience < 0:
        raise OptionError("--patience", rule="this is a whole number of epochs, or 0 to go on", got=str(patience))
    if patience and not is_validated:
        rule = "training is stopped by the validation part, and there is none"
        raise OptionError("--patience", rule=rule, got=str(patience), fix="Add --validation 0.2, or leave it out.")
    return [EarlyStopping(PATIENCE if patience is None else patience)] if is_validated and patience != 0 else []


def finish(
    options: TrainOptions,
    run: Trainer,
    course: Course,
    scores: dict[str, Scores],
    baseline: tuple[str, str, Scores],
    facts: dict[str, Any],
) -> Result:
    """Write everything, and sum it up.

    Args:
        options: what was asked for.
        run: the trained model.
        course: of its training.
        scores: for each part its figures.
        baseline: what it says, on which part, and its figures there.
        facts: of the data, ready for JSON.
    """
    name, part, rated = baseline
    summary = facts | {
        "seed": options.seed,
        "epochs": run.epoch,
        "best_epoch": run.history.best_epoch,
        "stopped": run.history.stopped,
        "metrics": scores,
        "baseline": {"name": name, "part": part, **rated},
        "seconds": course.seconds,
        "interrupted": course.interrupted,
    }
    files = write_run(course.folder or make_folder(options.out, options.data), run, summary)
    summary["files"] = [str(file) for file in files]
    return Result(scores, rated, f"{name} ({part})", files, course.interrupted, summary)


def _describe(prepared: Prepared, run: Trainer) -> str:
    sizes = ", ".join(f"{len(part.truth)} {name}" for name, part in prepared.parts.items())
    features = str(prepared.parts[TRAINING].inputs.shape[1])
    widths = [str(layer.units) for _, layer in run.model.children() if isinstance(layer, nn.Dense)]
    return f"Rows: {sizes}. Network: {' > '.join([features, *widths])}."


def _facts(options: TrainOptions, prepared: Prepared) -> dict[str, Any]:
    return {
        "data": options.data,
        "target": prepared.target.name,
        "task": prepared.target.task,
        "classes": list(prepared.target.classes),
        "rows": {name: len(part.truth) for name, part in prepared.parts.items()},
        "notes": list(prepared.notes),
    }
