"""One training step as one pure graph.

Parameters, state, optimiser state, the step number, a batch, a key and the hyperparameters go in; new ones and the
sums of loss and metrics come out.  Nothing that may change between steps is built into the graph, so a schedule, a
new learning rate or another seed compiles nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from gradloom import functional as gl
from gradloom import nn, random, tree
from gradloom.data.augment.base import Augmentation
from gradloom.data.augment.mixture import Mixture
from gradloom.ir.graph import scope
from gradloom.nn.losses import BinaryCrossEntropy, Loss
from gradloom.nn.metrics import StreamingMetric
from gradloom.nn.module import Watch
from gradloom.nn.pairs import map_means
from gradloom.optim import Optimizer
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train import augmenting
from gradloom.train.precision import in_floats
from gradloom.train.regularising import Regularization
from gradloom.train.source import Cut
from gradloom.train.targets import in_the_middle, match_targets
from gradloom.transforms import scan

Tensors = Any  # nested dicts of tensors


@dataclass(frozen=True)
class Place:
    """Where training stands: behind some batches of an epoch.

    It is replaced as a whole by the next one, so Ctrl-C never finds half of a step.

    Attributes:
        carry: what goes from step to step as arrays, see :meth:`Recipe.train`.
        batches: how many of the epoch are done.
        totals: the sums over these batches, see :meth:`Recipe.train`; empty before the first.
    """

    carry: Sequence[np.ndarray]
    batches: int = 0
    totals: tuple[np.ndarray, ...] = ()

    def after(self, carry: Sequence[np.ndarray], sums: Sequence[np.ndarray]) -> Place:
        """The place behind some batches more, whose sums are stacked.

        They are added up in float64, one after the other, so how many come together changes nothing.
        """
        rows = [s.astype(np.float64) for s in sums]
        started = [np.concatenate([t[np.newaxis], r]) for t, r in zip(self.totals, rows)] if self.totals else rows
        totals = tuple(np.add.accumulate(values)[-1] for values in started)
        return Place(carry, self.batches + len(rows[0]), totals)

    @property
    def loss(self) -> float:
        """The mean loss of the examples so far."""
        return mean_loss(self.totals)


def mean_loss(totals: Sequence[np.ndarray]) -> float:
    """Weighted sum of the losses over total weight; 0 where all weights are 0."""
    weight, losses = (float(total) for total in totals[:2])
    return losses / weight if weight else 0.0


@dataclass(frozen=True)
class Recipe:
    """What a step is made of, fixed for a whole run.

    Attributes:
        model: the network.
        loss: what is minimised.
        optimizer: how.
        metrics: what else is measured, batch by batch.
        augment: how the images of a batch are changed, if at all.
        precision: the type in which the model computes while training; its parameters and the loss stay what they are.
            None for that of the parameters.
        regularization: what keeps the parameters simple.
    """

    model: nn.Module
    loss: Loss
    optimizer: Optimizer
    metrics: Sequence[StreamingMetric[Any]]
    augment: Augmentation | None = None
    precision: str | None = None
    regularization: Regularization = field(default_factory=Regularization)

    def __post_init__(self) -> None:
        self.regularization.check(self.optimizer)

    def hyperparameters(self, l1: float, l2: float) -> dict[str, float]:
        """All numbers that are inputs of the step, by name."""
        return {**self.optimizer.hyperparameters(), **self.regularization.hyperparameters(l1, l2)}

    def objective(
        self,
        parameters: Tensors,
        state: Tensors,
        batch: Any,
        hyper: Mapping[str, Any],
        key: Tensor | None,
        mixture: Mixture | None = None,
        watch: Watch | None = None,
    ) -> tuple[Tensor, Any]:
        """What a step makes smaller: the loss of a batch and the penalties.

        Args:
            parameters: to differentiate by.
            state: of the model before the step.
            batch: (inputs, targets, weights).
            hyper: see :meth:`hyperparameters`.
            key: for random layers; without one they are off.
            mixture: how the examples were mixed, if they were.
            watch: is told of every call of a module, see :func:`gradloom.nn.apply`.

        Returns:
            ``(objective, (outputs, new state, loss))``.
        """
        inputs, targets, weights = batch
        drop = key is not None
        how: Any = {"training": True, "key": key, "drop": drop, "watch": watch}
        outputs, new_state = self._outputs(parameters, state, inputs, **how)
        targets, weights = in_the_middle(outputs, targets, weights)
        matched = match_targets(outputs, targets)
        with scope("loss"):
            wanted = targets if mixture is None else augmenting.mixed(matched, targets, mixture)
            loss = self.loss(matched, wanted, weights)
        with scope("penalty"):
            total = loss + self.regularization.penalty(parameters, hyper, weights)
        return total, (outputs, new_state, loss)

    def _outputs(self, parameters: Tensors, state: Tensors, inputs: Any, **call: Any) -> tuple[Any, Tensors]:
        """Outputs, in the type of the parameters, and the new state.

        A cast of a parameter hands its derivative back in the parameter's own type.
        """
        if self.precision is None:
            return nn.apply(self.model, parameters, state, inputs, **call)
        narrow = [in_floats(values, self.precision) for values in (parameters, inputs)]
        outputs, new_state = nn.apply(self.model, narrow[0], state, narrow[1], floats=self.precision, **call)
        return in_floats(outputs, "float32"), new_state

    def train(
        self,
        carry: Tensors,
        batch: Any,
        key: Tensor,
        hyper: Mapping[str, Any],
        rows: Any = None,
        origin: Any = augmenting.START,
    ) -> tuple[Tensors, list[Tensor]]:
        """One update.

        Args:
            carry: dict with ``parameters``, ``state``, ``optimizer`` and ``step`` (an int64 scalar).
            batch: (inputs, targets, weights).
            key: random key of the run; each step folds its number in.
            hyper: see :meth:`hyperparameters`.
            rows: the numbers of the examples, by which they are augmented; by default their places in the batch.
            origin: the numbers of the epoch, and of the chunk that they count in.

        Returns:
            ``(new carry, sums)``: total weight, weighted sum of the losses (without penalties), and what each metric
            adds up, all measured with the parameters before the update.
        """
        mixture = None
        if self.augment is not None:
            batch, mixture = augmenting.changed(self.augment, batch, augmenting.key_of(key, origin), rows)
        _, targets, weights = batch
        step_key = random.fold_in(key, carry["step"])

        def objective(parameters: Tensors) -> tuple[Tensor, Any]:
            return self.objective(parameters, carry["state"], batch, hyper, step_key, mixture)

        parameters, optimizer, aux = self.optimizer.step(objective, carry["parameters"], carry["optimizer"], hyper)
        parameters = self.regularization.moved(parameters, self.optimizer, optimizer, hyper, weights)
        outputs, state, loss = aux
        new = {"parameters": parameters, "state": state, "optimizer": optimizer, "step": carry["step"] + 1}
        with scope("metrics"):
            return new, self.sums(loss, outputs, targets, weights)

    def train_many(
        self,
        carry: Tensors,
        data: Any,
        rows: Any,
        key: Tensor,
        hyper: Mapping[str, Any],
        *limits: Any,
        origin: Any = augmenting.START,
    ) -> tuple[Tensors, list[Tensor]]:
        """Several updates as one loop of the graph, each on its rows of the whole data set.

        Args:
            carry: as :meth:`train` takes it.
            data: (inputs, targets, weights) of all examples.
            rows: the examples of each batch, shape (steps, batch).
            key: as :meth:`train` takes it.
            hyper: as :meth:`train` takes it.
            limits: nothing, or how many of the steps are taken, and then how many examples of each batch count,
                shape (steps,); those behind them have weight 0.
            origin: as :meth:`train` takes it.

        Returns:
            ``(carry after the last step, sums)``, the sums of all steps stacked along their first axes.
        """
        turns, counts = (*limits, None, None)[:2]

        def step(carry: Tensors, chosen: Any) -> tuple[Tensors, list[Tensor]]:
            taken, count = chosen if isinstance(chosen, tuple) else (chosen, None)
            inputs, targets, weights = tree.map(lambda whole: gl.take(whole, taken), data)
            if count is not None:
                places = gl.arange(weights.shape[0]).reshape(-1, *[1] * (weights.ndim - 1))
                weights = gl.where(places < count, weights, 0.0)
            return self.train(carry, (inputs, targets, weights), key, hyper, taken, origin)

        return scan(step, carry, rows if counts is None else (rows, counts), turns=turns)

    def train_call(
        self, carry: Tensors, data: Any, cut: Cut | None, given: Any, key: Tensor, hyper: Mapping[str, Any]
    ) -> tuple[Tensors, list[Tensor]]:
        """The updates of one call of a trainer's program, which shuffles for itself.

        Args:
            carry: as :meth:`train` takes it.
            data: as :meth:`train_many` takes it.
            cut: how the program takes its batches out of the data; None where their rows are given.
            given: see :attr:`gradloom.train.source.Call.given`.
            key: as :meth:`train` takes it.
            hyper: as :meth:`train` takes it.

        Returns:
            As :meth:`train_many`.
        """
        origin, *places = given
        rows, *limits = places if cut is None else cut.chosen(*places)
        return self.train_many(carry, data, rows, key, hyper, *limits, origin=origin)

    def measure(self, parameters: Tensors, state: Tensors, batch: Any) -> tuple[Any, list[Tensor]]:
        """The outputs for a batch in predict mode, and the sums of loss and metrics."""
        inputs, targets, weights = batch
        outputs, _ = nn.apply(self.model, parameters, state, inputs)
        targets, weights = in_the_middle(outputs, targets, weights)
        matched = match_targets(outputs, targets)
        return matched, self.sums(self.loss(matched, targets, weights), outputs, targets, weights)

    def finish(self, totals: Sequence[np.ndarray]) -> dict[str, Any]:
        """Loss (the mean by example) and metrics, by name, from their sums."""
        finished = {metric.name: metric.finish(total) for metric, total in zip(self.metrics, totals[2:])}
        return {"loss": mean_loss(totals), **finished}

    def sums(self, loss: Tensor, outputs: Any, targets: Any, weights: Tensor) -> list[Tensor]:
        """Total weight, weighted sum of the losses, and what each metric adds up."""
        targets, weights = in_the_middle(outputs, targets, weights)
        total = gl.sum(map_means(weights))
        losses = loss if self.loss.reduction == "sum" else loss * total
        scores = logits_of(outputs, self.loss)
        matched = match_targets(scores, targets)
        given = [scores if metric.of_classes else matched for metric in self.metrics]
        return [total, losses, *(m.sums(out, targets, weights) for m, out in zip(self.metrics, given))]


def gives_probabilities(loss: Loss) -> bool:
    """Whether the model that this loss trains gives probabilities rather than logits."""
    return isinstance(loss, BinaryCrossEntropy) and not loss.from_logits


def logits_of(outputs: Any, loss: Loss) -> Any:
    """Outputs as metrics take them: log(p / (1 - p)) of probabilities p, anything else as it is."""
    return gl.log(outputs) - gl.log1p(-outputs) if gives_probabilities(loss) else outputs
