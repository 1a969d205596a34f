"""One training step as one pure graph.

Parameters, state, optimiser state, the step number, a batch, a key and the hyperparameters go in; new ones and the
sums of loss and metrics come out.  Nothing that may change between steps is built into the graph, so a schedule, a
new learning rate or another seed compiles nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradloom import functional as gl
from gradloom import nn, random, tree
from gradloom.errors import ShapeError
from gradloom.nn.losses import Loss
from gradloom.nn.metrics import StreamingMetric
from gradloom.optim import Optimizer
from gradloom.tensor import Tensor
from gradloom.transforms import value_and_grad

Tensors = Any  # nested dicts of tensors


@dataclass(frozen=True)
class Batch:
    """Some examples: inputs and targets along their first axes, and a weight for each."""

    inputs: Any
    targets: Any
    weights: Tensor


@dataclass(frozen=True)
class Recipe:
    """What a step is made of, fixed for a whole run.

    Attributes:
        model: the network.
        loss: what is minimised.
        optimizer: how.
        metrics: what else is measured, batch by batch.
    """

    model: nn.Module
    loss: Loss
    optimizer: Optimizer
    metrics: Sequence[StreamingMetric[Any]]

    def hyperparameters(self, l1: float, l2: float) -> dict[str, float]:
        """All numbers that are inputs of the step, by name."""
        return {**self.optimizer.hyperparameters(), "l1": l1, "l2": l2}

    def train(self, carry: Tensors, batch: Any, key: Tensor, hyper: Mapping[str, Any]) -> tuple[Tensors, list[Tensor]]:
        """One update.

        Args:
            carry: dict with ``parameters``, ``state``, ``optimizer`` and ``step`` (an int64 scalar).
            batch: (inputs, targets, weights).
            key: random key of the run; each step folds its number in.
            hyper: see :meth:`hyperparameters`.

        Returns:
            ``(new carry, sums)``; see :meth:`_sums`.
        """
        inputs, targets, weights = batch
        step_key = random.fold_in(key, carry["step"])

        def objective(parameters: Tensors) -> tuple[Tensor, Any]:
            outputs, state = nn.apply(self.model, parameters, carry["state"], inputs, training=True, key=step_key)
            matched = match_targets(outputs, targets)
            loss = self.loss(matched, targets, weights)
            return loss + penalty(parameters, hyper["l1"], hyper["l2"]), (matched, state, loss)

        ahead = self.optimizer.lookahead(carry["parameters"], carry["optimizer"], hyper)
        (_, (outputs, state, loss)), gradients = value_and_grad(objective, has_aux=True)(ahead)
        parameters, optimizer = self.optimizer.update(gradients, carry["optimizer"], carry["parameters"], hyper)
        new = {"parameters": parameters, "state": state, "optimizer": optimizer, "step": carry["step"] + 1}
        return new, self._sums(loss, outputs, targets, weights)

    def measure(self, parameters: Tensors, state: Tensors, batch: Any) -> tuple[Any, list[Tensor]]:
        """The outputs for a batch in predict mode, and the sums of loss and metrics."""
        inputs, targets, weights = batch
        outputs, _ = nn.apply(self.model, parameters, state, inputs)
        matched = match_targets(outputs, targets)
        return matched, self._sums(self.loss(matched, targets, weights), matched, targets, weights)

    def _sums(self, loss: Tensor, outputs: Any, targets: Any, weights: Tensor) -> list[Tensor]:
        """Total weight, weighted sum of the losses, then what each metric adds up."""
        total = gl.sum(weights)
        losses = loss if self.loss.reduction == "sum" else loss * total
        return [total, losses, *(metric.sums(outputs, targets, weights) for metric in self.metrics)]


def penalty(parameters: Tensors, l1: Any, l2: Any) -> Tensor:
    """λ₁ Σ|w| + λ₂ Σw² over weights; vectors (biases, scales) are left out, as is usual (catalogue 136, 138, 142)."""
    total: Any = gl.zeros(())
    for leaf in tree.leaves(parameters):
        if leaf.ndim >= 2:
            first, second = (gl.cast(rate, leaf.dtype) for rate in (l1, l2))
            total = total + first * gl.sum(gl.abs(leaf)) + second * gl.sum(leaf * leaf)
    return total


def match_targets(outputs: Any, targets: Any) -> Any:
    """Outputs of shape (n, 1) for targets of shape (n,) lose their last axis; nothing else is adapted.

    Raises:
        ShapeError: outputs and targets hold different numbers of examples.
    """
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return outputs
    if outputs.shape[:1] != targets.shape[:1]:
        raise ShapeError(
            "train", rule="the model must give one output an example", got=f"{outputs.type} for targets {targets.type}"
        )
    if outputs.shape == (*targets.shape, 1) and targets.dtype.kind == "f":
        return outputs.reshape(*targets.shape)
    return outputs
