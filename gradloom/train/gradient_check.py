"""The gradient that training follows, held against differences of what training makes smaller.

That is the loss of one batch with its penalties, in a training call (batch normalisation uses the batch's statistics)
with dropout off, for a loss that is drawn anew at every call has no differences.  Everything is computed in float64.

A mistake may hide where all weights are near 0, so check at the first weights and again after some updates.
Source: the notes' rules for checking the gradients of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradloom import options, tree
from gradloom.gradient_check import GradientReport, check_gradients
from gradloom.ir.tensortype import is_float
from gradloom.tensor import Tensor, tensor
from gradloom.train.step import Recipe, Tensors
from gradloom.transforms import jit


def check_trainer(run: Any, data: Any, *, examples: int = 32, after: int = 0, **how: Any) -> GradientReport:
    """Hold the gradient that training follows against differences of the loss; a method of ``Trainer``.

    Args:
        run: the trainer, which stays where it is; its parameters are made if there are none yet.
        data: as ``fit`` takes them.
        examples: how many of them to use, the first.
        after: check at the weights that so many updates on them lead to.
        how: options of ``gl.autodiff.check_gradients``: ``elements``, ``directions``, ``seed``, ``executor``.
    """
    given = run.first_examples(data, examples, "check_gradients")
    return check_model(*given, after=after, **{"executor": run.executor, **how})


def check_model(
    recipe: Recipe,
    carry: Tensors,
    batch: Sequence[np.ndarray],
    key: Tensor,
    hyper: Mapping[str, Any],
    *,
    after: int,
    executor: str,
    **how: Any,
) -> GradientReport:
    """Check the gradient of a recipe's objective.

    Args:
        recipe: model, loss and optimiser.
        carry: where training stands, see :meth:`gradloom.train.step.Recipe.train`.
        batch: inputs, targets and weights.
        key: random key of the run, for the updates.
        hyper: hyperparameters.
        after: how many updates on the batch to make first.
        executor: what runs all of it.
        how: options of :func:`gradloom.gradient_check.check_gradients`.

    Returns:
        A report with a row for each parameter.
    """
    options.whole("check_gradients", "after", after, least=0)
    given = tree.map(tensor, tuple(batch))
    if after:
        update = jit(recipe.train, executor)
        for _ in range(after):
            carry, _ = update(carry, given, key, hyper)
    exact = tree.map(_in_float64, given)

    def objective(parameters: Tensors) -> Tensor:
        return recipe.objective(parameters, carry["state"], exact, hyper, None)[0]

    report = check_gradients(objective, carry["parameters"], executor=executor, **how)
    step = int(carry["step"].numpy())
    rows = [replace(row, name=row.name.removeprefix("parameters.")) for row in report.rows]
    title = f"gradient check of the model after {step} steps, {len(batch[1])} examples"
    return replace(report, rows=rows, title=title)


def _in_float64(x: Tensor) -> Tensor:
    return tensor(x.numpy(), "float64") if is_float(x.dtype) else x
