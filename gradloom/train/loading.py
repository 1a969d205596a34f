"""From a model file to a trainer that can predict, be evaluated, or go on training where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import nn, optim
from gradloom.errors import GradloomError, ModelFileError
from gradloom.executors import DEFAULT
from gradloom.nn.losses import Loss
from gradloom.train import checkpoint
from gradloom.train.history import History
from gradloom.train.preprocessing import Preprocessing
from gradloom.train.trainer import Trainer


def load(
    path: str | Path, *, modules: Sequence[type[nn.Module]] = (), loss: Loss | None = None, executor: str = DEFAULT
) -> Trainer:
    """A trainer from a model file, exactly as it was saved.

    Args:
        path: the model file.
        modules: your own module classes that the model consists of; others than these and the library's are refused.
        loss: your own loss, where the model was trained with one.
        executor: what runs the compiled steps.

    Raises:
        ModelFileError: there is no such file, it is damaged, or it needs a class that is not known.
    """
    description, arrays = checkpoint.read(path)
    who = str(path)
    try:
        run = _trainer(description, modules, loss, executor)
        _restore(run, description, arrays, who)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError) as problem:
        if isinstance(problem, GradloomError):
            raise
        raise ModelFileError(
            who,
            rule="the description in the header does not describe a model",
            got=f"{type(problem).__name__}: {str(problem)[:80]}",
            fix="Save the model again, or use a copy of the file that is whole.",
        ) from None
    return run


def _trainer(
    description: dict[str, Any], modules: Sequence[type[nn.Module]], loss: Loss | None, executor: str
) -> Trainer:
    weights = description["class_weight"]
    preprocessing = description["preprocessing"]
    return Trainer(
        nn.registry.build(description["model"], extra=modules),
        loss if loss is not None else nn.losses.build(description["loss"]),
        optim.build(description["optimizer"]),
        [nn.metrics.build(m) for m in description["metrics"]],
        seed=description["seed"],
        l1=description["l1"],
        l2=description["l2"],
        class_weight={int(k): float(v) for k, v in weights} if isinstance(weights, list) else weights,
        preprocessing=Preprocessing.from_state(preprocessing) if preprocessing else None,
        executor=executor,
    )


def _restore(run: Trainer, description: dict[str, Any], arrays: dict[str, np.ndarray], who: str) -> None:
    """Put tensors, counters and history in place."""
    dtype, shape = description["input"]
    run.input_type = np.dtype(dtype).name, tuple(int(n) for n in shape)
    example = np.broadcast_to(np.zeros((), dtype), (2, *run.input_type[1]))
    run.model.initialize(example, blank=True)
    parameters = checkpoint.nested(run.model.parameters(), arrays, "parameters", who)
    state = checkpoint.nested(run.model.state(), arrays, "state", who)
    if description["has_optimizer_state"]:
        run.optimizer_state = checkpoint.nested(run.optimizer.init(run.model.parameters()), arrays, "optimizer", who)
    run.model.load(parameters, state)
    run.epoch, run.step, run.position = (int(description[name]) for name in ("epoch", "step", "position"))
    run.batch_size = description["batch_size"]
    saved = (name for name in arrays if name.startswith("totals/"))
    run.resume_totals([arrays[name] for name in sorted(saved, key=lambda n: int(n.split("/")[1]))])
    history = description["history"]
    run.history = History(list(history["rows"]), history["best_epoch"], str(history["stopped"]))
