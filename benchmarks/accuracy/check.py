"""Whether both libraries compute the same thing: the same first parameters, and one update without augmentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.accuracy import gradloom, pytorch, sets
from benchmarks.accuracy.recipes import Recipe

TOLERANCE = 5e-3
"""Of the norms, in float32: where two pixels are nearly equal, rounding decides which of them pooling takes."""


def compare(name: str, recipe: Recipe) -> None:
    """Print how far apart the losses of a batch are, and the updates of plain gradients that follow from them.

    Adam's first update only has the gradient's signs, so SGD takes its place.  It is the first of ten updates, for
    the learning rate's sake.

    Raises:
        SystemExit: they are further apart than rounding is.
    """
    method, rate = ("sgd", 0.01) if recipe.method == "adam" else (recipe.method, recipe.rate)
    alone = replace(recipe, augment="", epochs=10, rows=recipe.batch, method=method, rate=rate)
    first, second, _ = sets.load(alone)
    first = sets.Part(first.inputs[: recipe.batch], first.targets[: recipe.batch])
    ours, theirs = (system.Run(alone, first, 0) for system in (gradloom, pytorch))
    ours.trainer.model.initialize(first.inputs[:1])
    before = [run.parameters() for run in (ours, theirs)]
    losses = [run.epoch(shuffle=False) for run in (ours, theirs)]
    moved = [_minus(run.parameters(), old) for run, old in zip((ours, theirs), before)]
    found = {
        "first parameters": _apart(*before),
        "loss": abs(losses[0] - losses[1]) / losses[1],
        "update": _apart(*moved),
        "scores after it": _apart(*([run.predict(second.inputs[:64])] for run in (ours, theirs))),
    }
    print(f"{name}: " + ", ".join(f"{what} {apart:.1e}" for what, apart in found.items()))
    if max(found.values()) > TOLERANCE:
        raise SystemExit(f"{name}: the libraries disagree")


def _apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The distance of all arrays together, in the norm of theirs."""
    away, size = (np.sqrt(sum(np.sum(np.float64(a) ** 2) for a in arrays)) for arrays in (_minus(ours, theirs), theirs))
    return float(away / size)


def _minus(ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[np.ndarray]:
    return [a - b for a, b in zip(ours, theirs, strict=True)]
