"""Training that no longer computes numbers: noticed after a call, and traced back to where it began."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom import tree
from gradloom.debug import search
from gradloom.errors import NonFiniteError
from gradloom.ir.graph import constant
from gradloom.tensor import tensor
from gradloom.tracing import Arguments, graph_and_results
from gradloom.train.examples import are_finite
from gradloom.train.source import Call
from gradloom.train.step import Place, Recipe
from gradloom.train.steps import Steps

_REMEDY = "Lower the learning rate, clip gradients (clip_norm=1.0, or --clip-norm 1), or scale the inputs."
_HINT = " Trainer(debug_nans=True) names the layer and the primitive where it began."


def check_numbers(losses: np.ndarray, before: Place, epoch: str, hunt: Callable[[], str] | None) -> None:
    """See that the loss of every step of a call is finite.

    Args:
        losses: of its steps.
        before: where the call began.
        epoch: for the message, what follows the number of the batch.
        hunt: finds where it began, if that is asked for.

    Raises:
        NonFiniteError: it is not.
    """
    if not are_finite(losses):
        place = int(np.argmin(np.isfinite(losses)))
        raise _divergence("the loss", f"batch {before.batches + place + 1}{epoch}", hunt)


def check_loss(loss: np.ndarray, when: str) -> None:
    """See that the loss of one update is finite.

    Args:
        loss: a number.
        when: which update, for the message.

    Raises:
        NonFiniteError: it is not.
    """
    if not np.isfinite(loss):
        raise _divergence("the loss", when, None)


def check_weights(weights: Sequence[np.ndarray], when: str, hunt: Callable[[], str] | None = None) -> None:
    """See that every weight is finite.

    Args:
        weights: all that is trained.
        when: batch and epoch, for the message.
        hunt: as :func:`check_numbers` takes it.

    Raises:
        NonFiniteError: one is not.
    """
    if not all(map(are_finite, weights)):
        raise _divergence("every weight", when, hunt)


def _divergence(what: str, when: str, hunt: Callable[[], str] | None) -> NonFiniteError:
    began = f"; it began with {hunt()}" if hunt else ""
    fix = _REMEDY + ("" if hunt else _HINT)
    return NonFiniteError("fit", rule=f"{what} must stay finite", got=f"NaN or infinity in {when}{began}", fix=fix)


def where_it_began(recipe: Recipe, steps: Steps, before: Place, call: Call) -> str:
    """Run a call's steps again, node by node on NumPy, until one makes something that is not finite.

    Args:
        recipe: of the steps.
        steps: what was called.
        before: where the call began.
        call: what it took.

    Returns:
        The step, the batch, the layer and the primitive, as a clause.
    """
    carry = steps.nested(before.carry)
    for offset, (rows, batch) in enumerate(call.each_batch()):
        given = carry, tree.map(tensor, batch), steps.key, steps.hyper, tensor(rows), tensor(call.origin)
        arguments = Arguments("fit", given)
        graph, results = graph_and_results(recipe.train, arguments)
        report, found = search(graph, [x.value for x in arguments.nodes])
        if report:
            step = int(carry["step"].numpy()) + 1
            return f"{report} (step {step}, batch {before.batches + offset + 1}{call.of_portion})"
        carry, _ = results.rebuilt([constant(a) for a in found])
    return "something that is finite where NumPy computes it"
