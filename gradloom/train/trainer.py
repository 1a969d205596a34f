"""The trainer: fit, evaluate, predict, save.

It hands batches to one compiled program, many at a time (train/step.py), and does everything else between calls:
order, progress, validation, callbacks, checkpoints.  All randomness comes from counters, so the run is determined by
its seed and can be continued exactly from any batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import nn, optim, options, tree
from gradloom.data import augment as augmentation
from gradloom.data.augment.base import Augmentation
from gradloom.errors import OptionError, ShapeError, WorkerError
from gradloom.executors import DEFAULT
from gradloom.ir.graph import Graph
from gradloom.nn.losses import Loss
from gradloom.nn.metrics import Metric, StreamingMetric
from gradloom.nn.regularizers import Regularizer
from gradloom.optim import Optimizer
from gradloom.tensor import Tensor, tensor
from gradloom.train import augmenting, inspecting, regularising, settings
from gradloom.train import checkpoint as checkpoint_file
from gradloom.train.batches import check_goes_on, choose_batch_size
from gradloom.train.callbacks import Callback, Checkpoint
from gradloom.train.description import described
from gradloom.train.examples import Examples, as_examples, hold_out
from gradloom.train.gradient_check import check_trainer
from gradloom.train.history import History, reason_of
from gradloom.train.inputs import InputType, check_inputs, stand_ins, type_of
from gradloom.train.landscape import Landscape
from gradloom.train.mapreduce import MapReduce, MapReduceSteps
from gradloom.train.measuring import Forward, Measure
from gradloom.train.nonfinite import check_numbers, check_weights, where_it_began
from gradloom.train.online import Learning
from gradloom.train.pace import steps_a_call
from gradloom.train.precision import FLOATS, check_precision, in_floats
from gradloom.train.predicting import Predicting
from gradloom.train.preprocessing import Preprocessing
from gradloom.train.progress import Progress
from gradloom.train.sampling import WeightedSampling, sampled
from gradloom.train.settings import ClassWeight
from gradloom.train.source import Portion, Resident, Source, Streamed, as_stream, calls_of_epoch, is_stream, portions_of
from gradloom.train.step import Place, Recipe
from gradloom.train.steps import Steps
from gradloom.train.targets import check_targets
from gradloom.train.trainable import check_trainable
from gradloom.train.weighting import refuse_balanced_stream, with_class_weights
from gradloom.transforms import jit

_FIXED = ("model", "loss", "metrics", "augment", "executor", "dtype", "precision")
"""What the compiled steps are made for."""
_ORDER, _DRAWS, _HOLD_OUT = 1, 2, 3  # what the random key of a run is used for


class Trainer(Landscape, Predicting, Learning):
    """A model with all that is needed to train it.

    Args:
        model: the network; its parameters are made at the first ``fit``.
        loss: a loss or its name.
        optimizer: how the parameters move; Adam with its defaults if None.
        metrics: metrics or their names.
        seed: determines initial parameters, order, dropout; the same seed gives the same weights.
        l1: λ of λ Σ|w| added to the loss (weights, not biases).
        l2: λ of λ Σw², likewise.
        regularizers: other penalties, projections and proximal steps, such as ``nn.regularizers.MaxNorm(3)``.
        class_weight: "balanced" or a weight for each class label.
        preprocessing: what made the inputs from a table; saved with the model.
        augment: how images are changed at random in every epoch of training, an augmentation or the name of a preset:
            "photo", "digits" or "microscopy"; see docs/augmentation.md.
        dtype: the type of all floats, of data, parameters and state: "float32" or "float64".
        precision: "bfloat16" to compute the model in that while training, with parameters, optimiser, statistics and
            loss in float32; None to compute in ``dtype``.
        executor: what runs the compiled steps.
        debug_nans: check the weights after every call too, and where a number is no longer finite find the layer and
            the primitive where that began (see docs/training.md); the error says it.

    Raises:
        OptionError: an option out of range.
        UnknownNameError: no loss, metric, augmentation or executor has this name; the message proposes the nearest.

    Attributes:
        history: the course of training so far.
        epoch: epochs trained so far.
        step: updates made so far.
        position: batches done of an epoch that was interrupted; ``fit`` goes on behind them.
        totals: sums of loss and metrics over these batches.
        batch_size: of the last ``fit``.
        rows: examples of the last ``fit``; None for a stream that does not know.
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
        regularizers: Sequence[Regularizer] = (),
        class_weight: ClassWeight = None,
        preprocessing: Preprocessing | None = None,
        augment: str | Augmentation | None = None,
        dtype: str = "float32",
        precision: str | None = None,
        executor: str = DEFAULT,
        debug_nans: bool = False,
    ) -> None:
        self.model = settings.of_kind(model, nn.Module, "model", "a Module, such as nn.Sequential(nn.Dense(10))")
        chosen = settings.optimizer(optim.Adam() if optimizer is None else optimizer)
        self.loss = nn.losses.get(loss)
        self.metrics = settings.metrics(metrics)
        self.seed = options.whole("Trainer", "seed", seed, least=0)
        self.l1, self.l2 = l1, l2
        settings.check_class_weight(class_weight)
        self.class_weight, self.preprocessing, self.executor = class_weight, preprocessing, executor
        self.augment = None if augment is None else augmentation.get(augment)
        self.dtype = options.choice("Trainer", "dtype", dtype, FLOATS)
        self.precision = check_precision(precision, dtype)
        self.history = History()
        self.epoch = self.step = self.position = 0
        self.totals: tuple[np.ndarray, ...] = ()
        self.batch_size: int | None = None
        self.rows: int | None = None
        self.input_type: InputType | None = None
        self.optimizer_state: Any = None
        self.debug_nans = options.flag("Trainer", "debug_nans", debug_nans)
        self._stop = ""
        streaming = [m for m in self.metrics if isinstance(m, StreamingMetric)]
        simple = regularising.regularization(regularizers)
        self._recipe = Recipe(model, self.loss, chosen, streaming, self.augment, self.precision, simple)
        self._compiled = jit(self._recipe.train_call, executor, flush_denormals=True)
        self._measure = Measure(self._recipe, self.metrics, executor)
        self._forward = Forward(model, executor)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and name in vars(self):
            settings.refuse_to_change(name)
        super().__setattr__(name, value)

    @property
    def optimizer(self) -> Optimizer:
        """How the parameters move.  Another may be assigned; it takes over the state of one that keeps the same."""
        return self._recipe.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        before, self._recipe = self._recipe.optimizer, replace(self._recipe, optimizer=settings.optimizer(optimizer))
        if not settings.differ_in_numbers_alone(before, optimizer):
            self._compiled = jit(self._recipe.train_call, self.executor, flush_denormals=True)
        if self.optimizer_state is not None:
            fresh = optimizer.init(self.model.parameters())
            is_kept = type(before) is type(optimizer) and tree.alike(fresh, self.optimizer_state)
            self.optimizer_state = self.optimizer_state if is_kept else fresh

    regularizers, l1, l2, penalty = regularising.OF_A_TRAINER

    # Training ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        *,
        validation: Any = None,
        epochs: int = 10,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        sampling: str | WeightedSampling | None = None,
        callbacks: Sequence[Callback] = (),
        progress: str = "auto",
        checkpoint: str | Path | None = None,
        workers: int | MapReduce | None = None,
    ) -> History:
        """Train for so many epochs more; an epoch that was interrupted is finished first and counts as one.

        Loss and metrics of the training data are measured while training, before each update and with dropout on;
        penalties are not part of the loss that is shown.

        Args:
            train: (inputs, targets) or (inputs, targets, weights), or an object with these attributes; or a ``Stream``
                of such.  Several inputs are a dict or a tuple of arrays.  A large memory map is read slice by slice.
            validation: the same, measured after each epoch; or the share of ``train``, between 0 and 1, that is
                held out at random for it.
            epochs: how often to go through the data.
            batch_size: examples an update, or "auto" (see train/batches.py; all of them for second-order methods).
            shuffle: take the examples in a new order each epoch.
            sampling: "weights" or a ``WeightedSampling`` draws each example as often as its weight says, instead of
                multiplying its loss.
            callbacks: what to do between epochs, e.g. ``EarlyStopping(patience=5)``.
            progress: "auto", "bar", "lines" or "silent".
            checkpoint: a model file that is replaced after each epoch.
            workers: processes that share each batch; whatever their number, 1 too, the weights are the same to the
                bit (train/mapreduce.py).  None trains here, on batches that are not cut.

        Returns:
            The history, also kept as ``self.history``.

        Raises:
            DataError: empty, non-finite or inconsistent data.
            ShapeError: lengths differ, or the data do not fit the model.
            OptionError: an option out of range.
            NonFiniteError: the loss or the weights became NaN or infinite; the weights are those before that epoch,
                or the best where early stopping kept them.
            WorkerError: a worker process died; as after Ctrl-C, ``fit`` goes on from there.
            KeyboardInterrupt: Ctrl-C.  The weights are those after the last whole batch, or the best; ``save`` and
                ``fit`` go on from there.
        """
        options.whole("fit", "epochs", epochs)
        source, held_out = self._sources(train, validation)
        source = sampled(source, sampling)
        self._prepare(source, held_out, batch_size)
        shown = Progress(progress, self.epoch + epochs)
        hooks = [*callbacks, *([Checkpoint(checkpoint)] if checkpoint is not None else [])]
        self._stop, self.history.best_epoch = "", None
        for hook in hooks:
            hook.on_start(self)
        with contextlib.ExitStack() as ending:  # whatever ends training, every hook is told
            ending.callback(lambda: shown.end(self.history.stopped))
            for hook in reversed(hooks):
                ending.callback(hook.on_end, self)
            steps = self._steps() if workers is None else ending.enter_context(self._map_reduce(workers))
            ending.callback(self._catch_up, steps)
            try:
                numbers = range(self.epoch, self.epoch + epochs)
                with portions_of(source, self._key(_ORDER), numbers, self.batch_size, shuffle) as portions:
                    for _ in range(epochs):
                        row = self._run_epoch(steps, portions, held_out, shown)
                        due = [hook for hook in hooks if hook.is_due()]
                        if due:
                            self._catch_up(steps)
                        for hook in due:
                            hook.on_epoch(self, row)
                        if due:
                            steps.renew(self._compiled, self.snapshot(), self._hyperparameters())
                        if self._stop:
                            break
                self.history.stopped = self._stop or f"{self.epoch} epochs are done"
            except BaseException as problem:
                self.history.stopped = reason_of(problem)
                raise
        return self.history

    def stop(self, reason: str) -> None:
        """End training after this epoch; for callbacks.

        Args:
            reason: goes into the history, e.g. "val_loss has not improved for 5 epochs".
        """
        self._stop = reason

    def falls(self, column: str) -> bool:
        """Whether a column of the history should fall (losses, errors) rather than rise."""
        name = column.removeprefix("val_")
        return all(not m.higher_is_better for m in self.metrics if m.name == name)

    def snapshot(self) -> dict[str, Any]:
        """All that training changes, between two epochs; for :meth:`restore`."""
        return {
            "parameters": self.model.parameters(),
            "state": self.model.state(),
            "optimizer": self.optimizer_state,
            "step": tensor(self.step),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot; training then goes on from there with the next epoch."""
        self._adopt(snapshot, 0, ())

    def _sources(self, train: Any, validation: Any) -> tuple[Source, Source | None]:
        """The examples to train on, weighted by their classes, and those to validate on."""
        if not isinstance(validation, (int, float)):
            held_out = None if validation is None else self._source(validation, "validation")
            return self._source(train, "fit", self.class_weight), held_out
        if is_stream(train):
            raise OptionError(
                "fit",
                rule="a share can be held out only of data in memory",
                got=f"validation {validation} of a stream",
                fix="Pass the data to validate on themselves.",
            )
        kept, held = hold_out(as_examples(train, "fit", self.dtype), validation, self._key(_HOLD_OUT))
        return Resident(with_class_weights(kept, self.class_weight)), Resident(held)

    def _source(self, data: Any, who: str, class_weight: ClassWeight = None) -> Source:
        """Examples, or chunks that are checked and weighted as they come."""
        if not is_stream(data):
            return Resident(with_class_weights(as_examples(data, who, self.dtype), class_weight))
        refuse_balanced_stream(class_weight)
        graph: Graph | None = None

        def check(examples: Examples, name: str) -> Examples:
            nonlocal graph
            graph = self._check_data(examples, name, graph)
            return with_class_weights(examples, class_weight)

        return Streamed(as_stream(data, who), who, self.dtype, check)

    def _prepare(self, source: Source, held_out: Source | None, batch_size: int | str) -> None:
        """Make parameters and optimiser state, unless they exist, and see that the data fit the model."""
        sample = source.sample()
        augmenting.check(self.augment, sample)
        if self.position:
            check_goes_on(batch_size, source.rows, self.batch_size, self.rows)
        else:
            asked = len(sample) if batch_size == "auto" and self.optimizer.wants_all_examples else batch_size
            self.batch_size, self.rows = choose_batch_size(asked, len(sample), source.rows), source.rows
        assert self.batch_size is not None, "a position counts batches"
        self._batches = -(-self.rows // self.batch_size) if self.rows else None
        if self.input_type is None:
            kind = type_of(sample.inputs)
            self.model.initialize(stand_ins(kind), seed=self.seed)
            self.model.load(*(in_floats(part, self.dtype) for part in (self.model.parameters(), self.model.state())))
            check_trainable(self.model, stand_ins(kind))
            self.input_type = kind
        if self.optimizer_state is None:
            self.optimizer_state = self.optimizer.init(self.model.parameters())
        forward = self._check_data(sample, "fit")
        parameters = sum(leaf.size for leaf in tree.leaves(self.model.parameters()))
        self._most_steps = steps_a_call(self.executor, forward, 2, parameters, self.batch_size)
        if held_out is not None:
            held = held_out.sample()
            self._check_data(held, "validation")
            if held.targets.shape[1:] != sample.targets.shape[1:]:
                raise ShapeError(
                    "validation",
                    rule="validation targets must be shaped as those of training",
                    got=f"{held.targets.shape[1:]} and {sample.targets.shape[1:]} an example",
                )

    def _check_data(self, examples: Examples, who: str, graph: Graph | None = None) -> Graph:
        """Refuse what the compiled steps could only stumble over; gives the model's graph for two examples."""
        check_inputs(examples.inputs, self.input_type, who)
        if graph is None:
            graph = self._forward.graph(type_of(examples.inputs))
        outputs = graph.output_types
        if len(outputs) == 1:
            check_targets(examples.targets, outputs[0], self.loss, who)
        return graph

    def _run_epoch(
        self, steps: Steps, portions: Iterator[Portion | None], held_out: Source | None, shown: Progress
    ) -> dict[str, float]:
        """Train for an epoch, or the rest of one that was interrupted, measure it, and note its row of the history."""
        totals = self._run_batches(steps, portions, shown)
        measured = self._recipe.finish(totals)
        if held_out is not None:
            self._catch_up(steps)
            measured |= {f"val_{name}": value for name, value in self._measure(held_out.in_order()).items()}
        row: dict[str, float] = {"epoch": self.epoch + 1}
        row |= {name: float(value) for name, value in measured.items() if isinstance(value, (int, float))}
        self.history.rows.append(row)
        self.epoch, self.position, self.totals = self.epoch + 1, 0, ()
        shown.epoch(row)
        return row

    def _run_batches(self, steps: Steps, portions: Iterator[Portion | None], shown: Progress) -> tuple[np.ndarray, ...]:
        """Go through the data once, from the position on; the sums of loss and metrics."""
        start = steps.flat(self.snapshot()) if steps.ahead is None else steps.ahead
        place = Place(start, self.position, self.totals)
        epoch = f"{f' of {self._batches}' if self._batches else ''} of epoch {self.epoch + 1}"
        shown.begin(self.epoch + 1, self._batches)
        try:
            for call in calls_of_epoch(portions, place.batches, self._most_steps):
                carry, sums = steps(place.carry, call)
                hunt = partial(where_it_began, self._recipe, steps, place, call) if self.debug_nans else None
                check_numbers(sums[1], place, epoch, hunt)
                if hunt:
                    check_weights(steps.weights(carry), f"batch {place.batches + call.turns}{epoch}", hunt)
                place = place.after(carry, sums)
                self.history.note(sums)
                shown.batch(place.batches, call.examples, place.loss)
        except (KeyboardInterrupt, WorkerError):
            self._adopt(steps.nested(place.carry), place.batches, place.totals)
            steps.ahead = None
            raise
        check_weights(steps.weights(place.carry), "the last batch" + epoch)
        steps.ahead, self.position, self.totals = place.carry, place.batches, place.totals
        return place.totals

    def _steps(self) -> Steps:
        return Steps(*self._steps_take())

    def _map_reduce(self, workers: int | MapReduce) -> MapReduceSteps:
        assert self.batch_size is not None, "it is chosen before"
        how, given = MapReduce.of(workers), self._steps_take()
        how.warn(self._recipe, given[1], self.input_type, self.batch_size)
        return MapReduceSteps(how, lambda: self._recipe, self.batch_size, self.executor, *given)

    def _steps_take(self) -> tuple[Any, ...]:
        return self._compiled, self.snapshot(), *self._numbers_of_run()

    def _numbers_of_run(self) -> tuple[Tensor, dict[str, Any]]:
        return self._key(_DRAWS), self._hyperparameters()

    def _catch_up(self, steps: Steps) -> None:
        """Let the trainer have what the last epoch led to, for whoever looks at it now."""
        if steps.ahead is not None:
            carry, steps.ahead = steps.nested(steps.ahead), None
            self._adopt(carry, self.position, self.totals)

    def _key(self, use: int) -> Any:
        """The random key for one use of randomness in the run."""
        return settings.key_of_run(self.seed, use)

    def _hyperparameters(self) -> dict[str, Any]:
        """The numbers of the recipe in float64, so that none loses digits on its way into the step."""
        numbers = self._recipe.hyperparameters(self.l1, self.l2)
        return {name: tensor(value, "float64") for name, value in numbers.items()}

    def _adopt(self, carry: dict[str, Any], batches: int, totals: tuple[np.ndarray, ...]) -> None:
        """Make the result of some steps the trainer's own."""
        self.model.load(carry["parameters"], carry["state"])
        self.optimizer_state, self.step = carry["optimizer"], int(carry["step"].numpy())
        self.position, self.totals = batches, totals

    # Looking inside ---------------------------------------------------------------------------------------------

    graph, explain, profile = inspecting.graph, inspecting.explain, inspecting.profile

    def first_steps(self, train: Any, batch_size: int | str) -> tuple[Recipe, Sequence[Any]]:
        """What the first call of an epoch computes, and the arguments that ``Recipe.train_call`` takes."""
        source, _ = self._sources(train, None)
        self._prepare(source, None, batch_size)
        with portions_of(source, self._key(_ORDER), [self.epoch], self.batch_size, shuffle=True) as portions:
            call = next(calls_of_epoch(portions, self.position, self._most_steps))
        return self._recipe, self._steps().arguments(self.snapshot(), call)

    # Measuring --------------------------------------------------------------------------------------------------

    def evaluate(self, data: Any) -> dict[str, Any]:
        """Loss and metrics on a data set, by name, in predict mode.

        Args:
            data: (inputs, targets) or (inputs, targets, weights), or a ``Stream`` of such.

        Returns:
            ``loss``, the mean by example, and each metric.

        Raises:
            DataError: empty, non-finite or inconsistent data, or other inputs than the model was trained on.
            OptionError: the model has no parameters yet.
        """
        source = self._source(data, "evaluate")
        self._check_data(source.sample(), "evaluate")
        return self._measure(source.in_order())

    check_gradients = check_trainer

    def first_examples(self, data: Any, count: int, who: str) -> tuple[Any, ...]:
        """The recipe, where training stands, the first examples, the key and the numbers of steps on them."""
        source = self._source(data, who, self.class_weight)
        if self.input_type is None:
            self._prepare(source, None, "auto")
        sample = source.sample()
        self._check_data(sample, who)
        batch = sample.take(np.arange(min(count, len(sample))))
        return self._recipe, self.snapshot(), batch, self._key(_DRAWS), self._hyperparameters()

    # Keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model file: weights, description, preprocessing, optimiser state, counters, history.

        The file is replaced in one step.  See train/checkpoint.py.

        Args:
            path: where to; folders that do not exist are made.

        Raises:
            ModelFileError: it cannot be written; an earlier file is unchanged.
            OptionError: the model has no parameters yet, or an option of it cannot be written, e.g. a function.
        """
        if self.input_type is None:
            raise OptionError(
                "save",
                rule="the model must be trained first",
                got="a model without parameters",
                fix="Call fit before.",
            )
        checkpoint_file.write(path, described(self), self.tensors())

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the model file holds in tensors, by name, such as ``parameters/layers.0/weight``."""
        return {
            **checkpoint_file.flat(self.model.parameters(), "parameters"),
            **checkpoint_file.flat(self.model.state(), "state"),
            **checkpoint_file.flat(self.optimizer_state, "optimizer"),
            **{f"totals/{i}": total for i, total in enumerate(self.totals)},
        }
