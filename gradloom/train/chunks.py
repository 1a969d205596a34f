"""A training step cut into chunks: the gradient of each, their sum, and one update with it.

Map: each chunk of a batch gives the gradient of its share of the loss, as Σ w l over the chunk by Σ w over the whole
batch, so that the chunks' gradients add up to that of the batch.  Reduce: penalties are added and the optimiser moves
the parameters, once.  The notes call it map-reduce (catalogue 218).

What looks at more than one example sees a chunk: batch normalisation takes the statistics of each chunk (ghost batch
normalisation: Hoffer, Hubara and Soudry, 2017) and its running statistics are the mean of those that the chunks lead
to; examples are mixed with others of their chunk.  Dropout's masks follow from step and chunk, augmentation from epoch
and example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gradloom import functional as gl
from gradloom import random, tree
from gradloom.errors import OptionError
from gradloom.nn.pairs import map_means
from gradloom.optim.base import FirstOrder
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train import augmenting
from gradloom.train.regularising import Regularization
from gradloom.train.step import Recipe, Tensors
from gradloom.train.targets import in_the_middle
from gradloom.transforms import grad, value_and_grad


@dataclass(frozen=True)
class ChunkedRecipe:
    """A recipe whose batches are cut.

    Attributes:
        recipe: what a step is made of.
        chunks: into how many parts a batch is cut.
    """

    recipe: Recipe
    chunks: int

    @property
    def _without_penalties(self) -> Recipe:
        """The recipe for a chunk, for penalties belong to the batch."""
        return replace(self.recipe, regularization=Regularization())

    def check(self, state: Tensors) -> None:
        """Refuse what cannot be done chunk by chunk.

        Raises:
            OptionError: the optimiser asks for more than one gradient a step, or the model has state that has no mean.
        """
        optimizer = self.recipe.optimizer
        if not isinstance(optimizer, FirstOrder) or type(optimizer).step is not FirstOrder.step:
            raise OptionError(
                "fit",
                rule="workers give one gradient a step, which an optimiser of first order needs",
                got=type(optimizer).__name__,
                fix="Train in one process, or with another optimiser.",
            )
        whole = [leaf.dtype.name for leaf in tree.leaves(state) if not leaf.type.is_float]
        if whole:
            raise OptionError(
                "fit",
                rule="with workers the state of a model is the mean over chunks, so it must be of floats",
                got=f"state of {whole[0]}",
                fix="Train in one process.",
            )

    def map(
        self,
        parameters: Tensors,
        state: Tensors,
        rows: Any,
        place: Any,
        origin: Any,
        key: Tensor,
        data: Any,
        chunk: Any,
    ) -> tuple[Tensors, Tensors, list[Tensor]]:
        """What a chunk of a batch adds to the step.

        Args:
            parameters: where the gradient is taken.
            state: of the model before the step.
            rows: the examples of the batch, filled up to a multiple of the chunks.
            place: how many of them count, and the number of the step.
            origin: see :meth:`Recipe.train`.
            key: random key of the run.
            data: (inputs, targets, weights) of all examples.
            chunk: which one.

        Returns:
            ``(gradients, state, sums)``; the gradients and the sums of all chunks add up to those of the batch, the
            state is to be averaged.
        """
        size = rows.shape[0] // self.chunks
        inputs, targets, weights = data
        counted = gl.arange(rows.shape[0]).reshape(-1, *[1] * (weights.ndim - 1)) < place[0]
        of_batch = gl.where(counted, gl.take(weights, rows), 0.0)
        places = chunk * size + gl.arange(size)
        chosen = gl.take(rows, places)
        taken = tree.map(lambda whole: gl.take(whole, chosen), (inputs, targets))
        batch: Any = *taken, gl.take(of_batch, places)
        mixture, augment = None, self.recipe.augment
        if augment is not None:
            batch, mixture = augmenting.changed(augment, batch, augmenting.key_of(key, origin), chosen)
        of_chunk = random.fold_in(random.fold_in(key, place[1]), chunk)

        def objective(parameters: Tensors) -> tuple[Tensor, Any]:
            _, aux = self._without_penalties.objective(parameters, state, batch, {}, of_chunk, mixture)
            share = self._share(*(in_the_middle(aux[0], batch[1], each)[1] for each in (batch[2], of_batch)))
            return aux[2] * gl.cast(share, aux[2].dtype), aux

        (_, (outputs, new_state, loss)), gradients = value_and_grad(objective, has_aux=True)(parameters)
        sums = self.recipe.sums(loss, outputs, *batch[1:])
        return gradients, new_state, [gl.cast(s, "float64") for s in sums]

    def _share(self, weights: Tensor, of_batch: Tensor) -> Tensor:
        """What part of the batch's loss is the chunk's."""
        if self.recipe.loss.reduction == "sum":
            return gl.ones((), of_batch.dtype)
        whole = gl.sum(map_means(of_batch))
        return gl.sum(map_means(weights)) / gl.where(whole > 0, whole, 1)

    def reduce(
        self, gradients: Tensors, state: Tensors, total: Tensor, hyper: Mapping[str, Any], carry: Tensors
    ) -> Tensors:
        """The update, from the sums over the chunks.

        Args:
            gradients: without penalties.
            state: the sum of the chunks' states.
            total: the weight of the batch.
            hyper: see :meth:`Recipe.hyperparameters`.
            carry: see :meth:`Recipe.train`.

        Returns:
            The new carry.
        """
        optimizer: Any = self.recipe.optimizer
        regularization, parameters = self.recipe.regularization, carry["parameters"]
        dtype = tree.leaves(parameters)[0].dtype if tree.leaves(parameters) else total.dtype
        weights = gl.cast(total, dtype).reshape(1)  # regularisers ask for their sum alone
        at = self.lookahead(hyper, parameters, carry["optimizer"])
        of_penalty = grad(lambda p: regularization.penalty(p, hyper, weights))(at)
        whole = tree.map(lambda g, p: g + p, gradients, of_penalty)
        parameters, moved = optimizer.update(whole, carry["optimizer"], parameters, hyper)
        parameters = regularization.moved(parameters, optimizer, moved, hyper, weights)
        mean = tree.map(lambda s: s / self.chunks, state)
        return {"parameters": parameters, "state": mean, "optimizer": moved, "step": carry["step"] + 1}

    def lookahead(self, hyper: Mapping[str, Any], parameters: Tensors, optimizer: Tensors) -> Tensors:
        """Where the gradient of a step is taken."""
        first_order: Any = self.recipe.optimizer
        return first_order.lookahead(parameters, optimizer, hyper)

    @property
    def looks_ahead(self) -> bool:
        """Whether that is anywhere but at the parameters."""
        first_order: Any = self.recipe.optimizer
        return first_order.looks_ahead
