"""The trainer: fit, evaluate, predict, save.

It hands every batch to one compiled step (train/step.py) and does everything else between steps: order, progress,
validation, callbacks, checkpoints.  All randomness comes from counters, so the run is determined by its seed and
can be continued exactly from any epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import nn, optim, random
from gradloom.data.table import Table
from gradloom.errors import DataError, NonFiniteError, OptionError
from gradloom.executors import DEFAULT
from gradloom.nn.losses import Loss
from gradloom.nn.metrics import Metric, StreamingMetric, WholeSetMetric
from gradloom.optim import Optimizer
from gradloom.tensor import tensor
from gradloom.train import checkpoint as checkpoint_file
from gradloom.train.batches import (
    ClassWeight,
    Examples,
    as_examples,
    as_inputs,
    choose_batch_size,
    order_of_epoch,
    row_groups,
)
from gradloom.train.callbacks import Callback, Checkpoint
from gradloom.train.history import History
from gradloom.train.preprocessing import Predictions, Preprocessing, probabilities_of
from gradloom.train.progress import Progress
from gradloom.train.step import Recipe
from gradloom.transforms import jit

EVALUATION_BATCH = 1024


class Trainer:
    """A model with all that is needed to train it.

    Args:
        model: the network; its parameters are made at the first ``fit``.
        loss: a loss or its name.
        optimizer: how the parameters move; Adam with its defaults if None.
        metrics: metrics or their names.
        seed: determines initial parameters, order, dropout; the same seed gives the same weights.
        l1: λ of λ Σ|w| added to the loss (weights, not biases).
        l2: λ of λ Σw², likewise.
        class_weight: "balanced" or a weight for each class label.
        preprocessing: what made the inputs from a table; saved with the model.
        executor: what runs the compiled step.

    Attributes:
        history: the course of training so far.
        epoch: epochs trained so far.
        step: updates made so far.
        position: batches done of an epoch that was interrupted; ``fit`` goes on behind them.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str | Loss = "cross_entropy",
        optimizer: Optimizer | None = None,
        metrics: Sequence[str | Metric] = (),
        *,
        seed: int = 0,
        l1: float = 0.0,
        l2: float = 0.0,
        class_weight: ClassWeight = None,
        preprocessing: Preprocessing | None = None,
        executor: str = DEFAULT,
    ) -> None:
        for name, value in (("l1", l1), ("l2", l2)):
            if not value >= 0:
                raise OptionError("Trainer", rule=f"{name} must not be negative", got=str(value))
        self.model, self.seed, self.l1, self.l2 = model, seed, float(l1), float(l2)
        self.loss = nn.losses.get(loss) if isinstance(loss, str) else loss
        self.optimizer = optimizer or optim.Adam()
        self.metrics = [nn.metrics.get(m) if isinstance(m, str) else m for m in metrics]
        self.class_weight, self.preprocessing, self.executor = class_weight, preprocessing, executor
        self.history = History()
        self.epoch = self.step = self.position = 0
        self.batch_size: int | None = None
        self.input_type: tuple[str, tuple[int, ...]] | None = None
        self.optimizer_state: Any = None
        self._stop = ""
        self._totals: list[np.ndarray] = []
        streaming = [m for m in self.metrics if isinstance(m, StreamingMetric)]
        self._recipe = Recipe(model, self.loss, self.optimizer, streaming)
        self._train_step: Callable[..., Any] = jit(self._recipe.train, executor)
        self._measure_step: Callable[..., Any] = jit(self._recipe.measure, executor)
        self._forward: Callable[..., Any] = jit(lambda p, s, x: nn.apply(model, p, s, x)[0], executor)

    # Training ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        *,
        validation: Any = None,
        epochs: int = 10,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        callbacks: Sequence[Callback] = (),
        progress: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> History:
        """Train for so many epochs more.

        Args:
            train: (inputs, targets) or (inputs, targets, weights), or an object with these attributes.
            validation: the same, measured after each epoch.
            epochs: how often to go through the data.
            batch_size: examples an update, or "auto" (see train/batches.py).
            shuffle: take the examples in a new order each epoch.
            callbacks: what to do between epochs, e.g. ``EarlyStopping(patience=5)``.
            progress: "auto", "bar", "lines" or "silent".
            checkpoint: a model file that is replaced after each epoch.

        Returns:
            The history, also kept as ``self.history``.

        Raises:
            DataError: empty, non-finite or inconsistent data.
            OptionError: an option out of range.
            NonFiniteError: the loss became NaN or infinite; the weights are those before that epoch, or the best
                where early stopping kept them.
        """
        if not isinstance(epochs, int) or epochs < 1:
            raise OptionError("fit", rule="epochs is a whole number from 1", got=repr(epochs))
        examples = as_examples(train, "fit", class_weight=self.class_weight)
        held_out = None if validation is None else as_examples(validation, "validation")
        size = choose_batch_size(batch_size, len(examples))
        if self.position and size != self.batch_size:
            raise OptionError(
                "fit",
                rule="an interrupted epoch must go on with its batch size",
                got=f"{size} after {self.batch_size}",
            )
        self.batch_size = size
        self._prepare(examples.inputs)
        shown = Progress(progress, self.epoch + epochs)
        hooks = [*callbacks, *([Checkpoint(checkpoint)] if checkpoint is not None else [])]
        self._stop = ""
        for hook in hooks:
            hook.on_start(self)
        try:
            for _ in range(epochs):
                row = self._run_epoch(examples, size, shuffle, shown)
                if held_out is not None:
                    row.update({f"val_{name}": value for name, value in self._measured(held_out).items()})
                row = {name: float(value) for name, value in row.items() if isinstance(value, (int, float))}
                self.history.rows.append(row)
                shown.epoch(row)
                for hook in hooks:
                    hook.on_epoch(self, row)
                if self._stop:
                    break
        finally:
            for hook in hooks:
                hook.on_end(self)
            self.history.stopped = self._stop or f"{self.epoch} epochs are done"
            shown.end(self.history.stopped)
        return self.history

    def stop(self, reason: str) -> None:
        """End training after this epoch; for callbacks."""
        self._stop = reason

    def falls(self, column: str) -> bool:
        """Whether a column of the history should fall (losses, errors) rather than rise."""
        name = column.removeprefix("val_")
        return all(not m.higher_is_better for m in self.metrics if m.name == name)

    def _prepare(self, inputs: np.ndarray) -> None:
        """Make parameters and optimiser state for inputs of this type, unless they exist."""
        if self.input_type is None:
            example = np.broadcast_to(np.zeros((), inputs.dtype), (2, *inputs.shape[1:]))
            self.model.initialize(example, seed=self.seed)
            self.input_type = inputs.dtype.name, inputs.shape[1:]
        self._check_inputs(inputs, "fit")
        if self.optimizer_state is None:
            self.optimizer_state = self.optimizer.init(self.model.parameters())

    def _check_inputs(self, inputs: np.ndarray, who: str) -> None:
        if self.input_type is None:
            raise OptionError(who, rule="the model must be trained or loaded first", got="a model without parameters")
        if inputs.shape[1:] != self.input_type[1]:
            raise DataError(
                who,
                rule="each example must have the shape that the model was trained on",
                got=f"{inputs.shape[1:]} and {self.input_type[1]}",
            )

    def _run_epoch(self, examples: Examples, size: int, shuffle: bool, shown: Progress) -> dict[str, Any]:
        """Go through the data once, or through the rest of an epoch that was interrupted."""
        base = random.key(self.seed)
        order = order_of_epoch(random.fold_in(base, 1), self.epoch, len(examples), shuffle)
        key, hyper = random.fold_in(base, 2), self._hyperparameters()
        batches = -(-len(order) // size)
        carry, totals, done, steps = self._carry(), self._totals, self.position, self.step
        shown.begin()
        try:
            for rows in row_groups(order, size, first=done):
                carry, sums = self._train_step(carry, examples.take(rows), key, hyper)
                values = [s.numpy().astype(np.float64) for s in sums]
                if not np.isfinite(values[1]):
                    raise self._diverged(done + 1, batches)
                totals = [a + b for a, b in zip(totals, values)] if totals else values
                done, steps = done + 1, steps + 1
                shown.batch(
                    self.epoch + 1, done, batches, (done - self.position) * size, values[1] / max(values[0], 1e-30)
                )
        except KeyboardInterrupt:
            self._adopt(carry, steps, done, totals)
            raise
        self._adopt(carry, steps, 0, [])
        self.epoch += 1
        return {"epoch": self.epoch, **self._finished(totals)}

    def _hyperparameters(self) -> dict[str, Any]:
        """The numbers of the recipe in float64, so that none loses digits on its way into the step."""
        numbers = self._recipe.hyperparameters(self.l1, self.l2)
        return {name: tensor(value, "float64") for name, value in numbers.items()}

    def _carry(self) -> dict[str, Any]:
        """What goes through the steps of an epoch."""
        return {
            "parameters": self.model.parameters(),
            "state": self.model.state(),
            "optimizer": self.optimizer_state,
            "step": tensor(self.step),
        }

    def _adopt(self, carry: dict[str, Any], step: int, position: int, totals: list[np.ndarray]) -> None:
        """Make the result of some steps the trainer's own."""
        self.model.load(carry["parameters"], carry["state"])
        self.optimizer_state, self.step, self.position, self._totals = carry["optimizer"], step, position, totals

    def _diverged(self, batch: int, batches: int) -> NonFiniteError:
        return NonFiniteError(
            "fit",
            rule="the loss must stay finite",
            got=f"NaN or infinity in batch {batch} of {batches} of epoch {self.epoch + 1}",
            fix="Lower the learning rate, clip gradients (clip_norm=1.0), or scale the inputs.",
        )

    def resume_totals(self, totals: list[np.ndarray]) -> None:
        """Sums of loss and metrics over the batches done of an interrupted epoch; for train/loading.py."""
        self._totals = totals

    # Measuring --------------------------------------------------------------------------------------------------

    def evaluate(self, data: Any) -> dict[str, Any]:
        """Loss and metrics on a data set.

        Args:
            data: (inputs, targets) or (inputs, targets, weights).
        """
        examples = as_examples(data, "evaluate")
        self._check_inputs(examples.inputs, "evaluate")
        return self._measured(examples)

    def _measured(self, examples: Examples) -> dict[str, Any]:
        parameters, state = self.model.parameters(), self.model.state()
        totals: list[np.ndarray] | None = None
        outputs = []
        for rows in row_groups(np.arange(len(examples)), EVALUATION_BATCH):
            found, sums = self._measure_step(parameters, state, examples.take(rows))
            values = [s.numpy().astype(np.float64) for s in sums]
            totals = values if totals is None else [a + b for a, b in zip(totals, values)]
            outputs.append(found.numpy())
        assert totals is not None
        row = self._finished(totals)
        whole = [m for m in self.metrics if isinstance(m, WholeSetMetric)]
        if whole:
            joined = np.concatenate(outputs)
            row.update({m.name: m.compute(joined, examples.targets, examples.weights) for m in whole})
        return row

    def _finished(self, totals: list[np.ndarray]) -> dict[str, Any]:
        """Loss (the mean by example) and streaming metrics from their sums."""
        weight, loss, *sums = totals
        row: dict[str, Any] = {"loss": float(loss / max(float(weight), 1e-30))}
        for metric, value in zip(self._recipe.metrics, sums):
            row[metric.name] = metric.finish(value)
        return row

    # Using ------------------------------------------------------------------------------------------------------

    def predict(self, inputs: Any) -> np.ndarray:
        """The model's outputs (logits or values) for inputs (n, ...), in predict mode."""
        x = as_inputs(inputs, "predict")
        self._check_inputs(x, "predict")
        parameters, state = self.model.parameters(), self.model.state()
        groups = row_groups(np.arange(len(x)), EVALUATION_BATCH)
        return np.concatenate([self._forward(parameters, state, x[rows]).numpy() for rows in groups])

    def predict_table(self, table: Table) -> Predictions:
        """Predictions for the rows of a table, in the target's own terms.

        Raises:
            OptionError: the model was not trained from a table.
            DataError: columns are missing, or cells are not what they were in training.
        """
        if self.preprocessing is None or self.preprocessing.features is None or self.preprocessing.target is None:
            raise OptionError("predict", rule="the model must have been trained from a table", got="no preprocessing")
        features, target = self.preprocessing.features, self.preprocessing.target
        outputs = self.predict(features.transform(table))
        notes = features.unused(table)
        if target.task == "regression":
            return Predictions(target.decode(outputs), None, (), notes)
        probabilities = probabilities_of(outputs)
        return Predictions(target.decode(probabilities.argmax(axis=1)), probabilities, target.classes, notes)

    def save(self, path: str | Path) -> None:
        """Write the model file: weights, description, preprocessing, optimiser state, counters, history.

        The file is replaced in one step.  See train/checkpoint.py.

        Raises:
            ModelFileError: it cannot be written; an earlier file is unchanged.
        """
        if self.input_type is None:
            raise OptionError("save", rule="the model must be trained first", got="a model without parameters")
        tensors = {
            **checkpoint_file.flat(self.model.parameters(), "parameters"),
            **checkpoint_file.flat(self.model.state(), "state"),
            **checkpoint_file.flat(self.optimizer_state or {}, "optimizer"),
            **checkpoint_file.flat({str(i): tensor(t) for i, t in enumerate(self._totals)}, "totals"),
        }
        checkpoint_file.write(path, self._description(), tensors)

    def _description(self) -> dict[str, Any]:
        """What the header of the model file says; train/loading.py reads it."""
        assert self.input_type is not None
        return {
            "model": nn.registry.describe(self.model),
            "loss": nn.losses.describe(self.loss),
            "optimizer": optim.describe(self.optimizer),
            "metrics": [nn.metrics.describe(m) for m in self.metrics],
            "seed": self.seed,
            "l1": self.l1,
            "l2": self.l2,
            "class_weight": self.class_weight
            if isinstance(self.class_weight, (str, type(None)))
            else list(self.class_weight.items()),
            "preprocessing": self.preprocessing.state() if self.preprocessing else None,
            "input": [self.input_type[0], list(self.input_type[1])],
            "has_optimizer_state": self.optimizer_state is not None,
            "epoch": self.epoch,
            "step": self.step,
            "position": self.position,
            "batch_size": self.batch_size,
            "history": self.history.as_json(),
        }
