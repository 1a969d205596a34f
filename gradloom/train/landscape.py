"""What kind of place a trained model is at: the curvature of its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from gradloom import nn, optim
from gradloom.ir.graph import Graph
from gradloom.optim import Curvature
from gradloom.tensor import Tensor
from gradloom.train.examples import Examples, as_examples
from gradloom.train.settings import ClassWeight
from gradloom.train.step import Recipe, Tensors
from gradloom.train.targets import in_the_middle, match_targets
from gradloom.train.weighting import with_class_weights


class Landscape(ABC):
    """The part of a trainer that looks at the loss around its parameters."""

    model: nn.Module
    class_weight: ClassWeight
    dtype: str
    executor: str
    l1: float
    l2: float
    _recipe: Recipe

    @abstractmethod
    def _check_data(self, examples: Examples, who: str, graph: Graph | None = None) -> Graph:
        """Refuse examples that do not fit the model."""

    def curvature(
        self,
        data: Any,
        *,
        method: str = "auto",
        tolerance: float = 1e-4,
        probes: int = 4,
        products: int = 80,
        seed: int = 0,
    ) -> Curvature:
        """Whether the parameters are at a minimum, a saddle, or on a plateau of the loss that training lessens.

        That is the loss of all examples at once, penalties and class weights included, in predict mode: without
        dropout, which has no fixed loss.

        Args:
            data: (inputs, targets) or (inputs, targets, weights), in memory.
            method: "full", "lanczos" or "auto", as :func:`gradloom.optim.curvature` takes it, like all that follow.
            tolerance: up to which the largest slope counts as vanished.
            probes: random starts of Lanczos' method.
            products: Hessian-vector products for each.
            seed: of the starts.

        Raises:
            DataError: empty, non-finite or inconsistent data.
            OptionError: the model has no parameters yet, or an option is out of range.
            NonFiniteError: loss, gradient or Hessian are not finite.
        """
        examples = with_class_weights(as_examples(data, "curvature", self.dtype), self.class_weight)
        self._check_data(examples, "curvature")
        state, recipe = self.model.state(), self._recipe
        hyper = recipe.hyperparameters(self.l1, self.l2)

        def loss(parameters: Tensors, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
            outputs, _ = nn.apply(self.model, parameters, state, inputs)
            targets, weights = in_the_middle(outputs, targets, weights)
            found = recipe.loss(match_targets(outputs, targets), targets, weights)
            return found + recipe.regularization.penalty(parameters, hyper, weights)

        return optim.curvature(
            loss,
            self.model.parameters(),
            *examples.arrays,
            method=method,
            tolerance=tolerance,
            probes=probes,
            products=products,
            seed=seed,
            executor=self.executor,
        )
