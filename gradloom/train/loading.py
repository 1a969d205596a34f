"""From a model file to a trainer that can predict, be evaluated, or go on training where it stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import executors, nn, optim
from gradloom.data import augment as augmentation
from gradloom.data.augment import Augmentation
from gradloom.errors import GradloomError, ModelFileError
from gradloom.nn.losses import Loss
from gradloom.nn.metrics import Metric, StreamingMetric
from gradloom.nn.regularizers import Regularizer
from gradloom.optim import Optimizer
from gradloom.train import checkpoint
from gradloom.train.description import REMEDY, input_from_json
from gradloom.train.history import History
from gradloom.train.inputs import stand_ins
from gradloom.train.precision import in_floats
from gradloom.train.preprocessing import Preprocessing
from gradloom.train.trainer import Trainer

# What constructors may raise for options that no one checked.
_DAMAGE = (
    *(GradloomError, LookupError, TypeError, ValueError, AttributeError),
    *(ArithmeticError, MemoryError, RuntimeError),
)


def load(
    path: str | Path,
    *,
    modules: Sequence[type[nn.Module]] = (),
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    metrics: Sequence[Metric] | None = None,
    augment: Augmentation | None = None,
    regularizers: Sequence[Regularizer] | None = None,
    executor: str = executors.DEFAULT,
) -> Trainer:
    """A trainer from a model file, exactly as it was saved.

    Args:
        path: the model file.
        modules: your own module classes that the model consists of; others than these and the library's are refused.
        loss: your own loss, where the model was trained with one.
        optimizer: your own optimiser, likewise.
        metrics: your own metrics, likewise, in place of all in the file.
        augment: your own augmentation, likewise.
        regularizers: your own regularisers, likewise, in place of all in the file.
        executor: what runs the compiled steps.

    Raises:
        ModelFileError: there is no such file, it is damaged, or it needs a class that is not known.
        UnknownNameError: there is no such executor.
    """
    executors.get(executor)  # an unknown name is the caller's mistake, not the file's
    description, arrays = checkpoint.read(path)
    with _refusing_damage(str(path)):
        run = Trainer(
            nn.registry.build(description["model"], extra=modules),
            nn.losses.build(description["loss"]) if loss is None else loss,
            optim.build(description["optimizer"]) if optimizer is None else optimizer,
            [nn.metrics.build(m) for m in description["metrics"]] if metrics is None else metrics,
            augment=_augmentation(description) if augment is None else augment,
            regularizers=_regularizers(description) if regularizers is None else regularizers,
            executor=executor,
            **_settings(description),
        )
        _restore(run, description, arrays, str(path))
    return run


@contextlib.contextmanager
def _refusing_damage(who: str) -> Iterator[None]:
    """Let whatever a damaged description makes others raise become an error of the file."""
    try:
        yield
    except ModelFileError as error:
        if error.who != who:
            error.within(who)
        error.fix = error.fix or REMEDY
        raise
    except _DAMAGE as problem:
        raise ModelFileError(
            who,
            rule="the description in the header does not describe a model",
            got=f"{type(problem).__name__}: {str(problem)[:200].rstrip('.')}",
            fix=REMEDY,
        ) from None


def _augmentation(description: dict[str, Any]) -> Augmentation | None:
    """How the images of training were changed."""
    described = description["augment"]
    return None if described is None else augmentation.build(described)


def _regularizers(description: dict[str, Any]) -> list[Regularizer]:
    """What kept the parameters simple."""
    return [nn.regularizers.build(r) for r in description["regularizers"]]


def _settings(description: dict[str, Any]) -> dict[str, Any]:
    """The trainer's plain options."""
    weights, preprocessing = description["class_weight"], description["preprocessing"]
    return {
        **{name: description[name] for name in ("seed", "l1", "l2", "dtype", "precision")},
        "class_weight": dict(weights) if isinstance(weights, list) else weights,
        "preprocessing": None if preprocessing is None else Preprocessing.from_state(preprocessing),
    }


def _restore(run: Trainer, description: dict[str, Any], arrays: dict[str, np.ndarray], who: str) -> None:
    """Put tensors, counters and history in place."""
    run.input_type = input_from_json(description["input"])
    run.model.initialize(stand_ins(run.input_type), blank=True)
    parameters, state = (
        checkpoint.nested(in_floats(blank, run.dtype), arrays, name, who)
        for name, blank in (("parameters", run.model.parameters()), ("state", run.model.state()))
    )
    run.model.load(parameters, state)
    run.optimizer_state = checkpoint.nested(run.optimizer.init(parameters), arrays, "optimizer", who)
    run.epoch, run.step, run.position = (description[name] for name in ("epoch", "step", "position"))
    run.batch_size, run.rows = description["batch_size"], description["rows"]
    run.totals = _totals(run, arrays)
    history = description["history"]
    run.history = History(history["rows"], history["best_epoch"], history["stopped"])
    spare = sorted(set(arrays) - set(run.tensors()))
    if spare:
        raise ModelFileError(
            who, rule="every tensor must belong to what is described", got=", ".join(spare)[:100], fix=REMEDY
        )


def _totals(run: Trainer, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The sums over the batches done of an interrupted epoch: weight, loss, and one for each streaming metric."""
    if not run.position:
        return ()
    streaming = sum(isinstance(metric, StreamingMetric) for metric in run.metrics)
    return tuple(arrays[f"totals/{i}"] for i in range(2 + streaming))
