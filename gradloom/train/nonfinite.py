"""Training that no longer computes numbers: noticed after a call, and traced back to where it began."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradloom import tree
from gradloom.debug import search
from gradloom.errors import NonFiniteError
from gradloom.tensor import tensor
from gradloom.tracing import Arguments, graph_and_results
from gradloom.train.source import Call
from gradloom.train.step import Place, Recipe

_REMEDY = "Lower the learning rate, clip gradients (clip_norm=1.0, or --clip-norm 1), or scale the inputs."
_HINT = " Trainer(debug_nans=True) names the layer and the primitive where it began."


Search = Callable[[Place, Call], str]
"""Where it began, for the steps of a call that began at a place."""


def check_numbers(
    before: Place, after: Place, losses: np.ndarray, call: Call, epoch: str, began: Search | None
) -> None:
    """See that the loss of every step of a call is finite; with ``began`` the weights too.

    Args:
        before: where the call began.
        after: where it ended.
        losses: of its steps.
        call: what it took.
        epoch: for the message, what follows the number of the batch.
        began: looks for the origin, if that is asked for.

    Raises:
        NonFiniteError: they are not.
    """
    if not np.isfinite(after.loss):
        first = before.batches + int(np.argmin(np.isfinite(losses))) + 1
        raise _divergence("the loss", f"batch {first}{epoch}", began(before, call) if began else "")
    if began is not None and not _weights_are_finite(after):
        raise _divergence("every weight", f"batch {after.batches}{epoch}", began(before, call))


def check_weights(place: Place, when: str) -> None:
    """See that every weight is finite.

    Raises:
        NonFiniteError: one is not.
    """
    if not _weights_are_finite(place):
        raise _divergence("every weight", when)


def _weights_are_finite(place: Place) -> bool:
    return all(np.isfinite(leaf.numpy()).all() for leaf in tree.leaves(place.carry["parameters"]))


def _divergence(what: str, when: str, found: str = "") -> NonFiniteError:
    got = f"NaN or infinity in {when}" + (f"; it began with {found}" if found else "")
    return NonFiniteError("fit", rule=f"{what} must stay finite", got=got, fix=_REMEDY + ("" if found else _HINT))


def where_it_began(recipe: Recipe, place: Place, call: Call, key: Any, hyper: Mapping[str, Any]) -> str:
    """Run a call's steps again, node by node on NumPy, until one makes something that is not finite.

    Args:
        recipe: of the steps.
        place: before the call.
        call: what it took.
        key: as the call took it.
        hyper: likewise.

    Returns:
        The step, the batch, the layer and the primitive, as a clause.
    """
    carry = place.carry
    for offset, batch in enumerate(call.each_batch()):
        arguments = Arguments("fit", (carry, tuple(map(tensor, batch)), key, hyper))
        graph, results = graph_and_results(recipe.train, arguments)
        report, found = search(graph, [x.value for x in arguments.nodes])
        if report:
            step = int(carry["step"].numpy()) + 1
            return f"{report} (step {step}, batch {place.batches + offset + 1}{call.of_portion})"
        carry, _ = results.rebuilt([tensor(a).node for a in found])
    return "something that is finite where NumPy computes it"
