"""How activations and gradients change from layer to layer (catalogue 179, 216), and how large the updates are.

With weights of the right variance each layer keeps the variance of what goes through it; a factor that is a little
above or below 1 in each layer is huge or tiny after many: activations explode, gradients vanish.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, Finding
from gradloom.train.diagnosis.probe import Measured, Weights

EXPLODES = 100.0
VANISHES = 1e-3
UPDATE = 0.1
"""Beyond these there is something to say; an update is usually about a thousandth of the weights."""


def flow(case: Case) -> Iterator[Finding]:
    """``exploding_signal``, ``vanishing_signal``, ``vanishing_gradient``, at the start if known; ``large_updates``."""
    first = case.layers_at_start
    measured = case.layers_now if first is None else first
    when = "" if first is None else " at the first weights"
    yield from _signal(case, measured, when)
    yield from _vanishing(case, measured, when)
    yield from _updates(case)


def by_layer(title: str, values: Mapping[str, float], *, log: bool = False, limit: float | None = None) -> Chart:
    """Bars, one a layer."""
    return Chart(
        title,
        "layer, from input to output",
        "",
        bars={path.removesuffix("/weight"): value for path, value in values.items()},
        log_y=log,
        limit=limit,
    )


def _signal(case: Case, measured: Measured, when: str) -> Iterator[Finding]:
    sizes = {layer.path: math.hypot(layer.mean, layer.std) for layer in measured.weighted}
    if len(sizes) < 3:
        return
    first, *_, last = sizes.values()
    greatest = max(sizes.values()) if all(map(math.isfinite, sizes.values())) else math.inf
    grows = greatest > EXPLODES * max(first, 1e-30)
    if not grows and last * EXPLODES >= first:
        return
    end = greatest if grows else last
    factor = (end / first) ** (1 / (len(sizes) - 1)) if first > 0 else math.inf
    yield Finding(
        "exploding_signal" if grows else "vanishing_signal",
        SERIOUS if case.has_bias else NOTE,
        f"The size of what comes out of a layer goes from {first:.3g} to {end:.3g} over {len(sizes)} layers with "
        f"weights{when}, by a factor of {factor:.2g} a layer; the initialisation rules keep it near 1.",
        "Gradients grow by the same factor on their way back, so a step is far too large for the first layers."
        if grows
        else "What arrives at the output hardly depends on the input, and gradients shrink by the same factor.",
        "Begin with weights whose variance is 2/fan_in for ReLU (init='he_normal') or 1/fan_in for tanh; put "
        "nn.BatchNorm() or nn.LayerNorm() between layers" + ("; bound the gradient by clip_norm." if grows else "."),
        by_layer("Size of what layers give", sizes, log=True),
    )


def _vanishing(case: Case, measured: Measured, when: str) -> Iterator[Finding]:
    gradients = {w.path: _relative(w.gradient, w) for w in measured.weights}
    if len(gradients) < 4:
        return
    first, *_, last = gradients.values()
    if not (math.isfinite(first) and math.isfinite(last)) or first >= VANISHES * last:
        return
    yield Finding(
        "vanishing_gradient",
        SERIOUS if case.has_bias else NOTE,
        f"The gradient, relative to the weights, is {first:.2g} in the first layer and {last:.2g} in the last{when}: a "
        f"factor of {(first / last) ** (1 / (len(gradients) - 1)) if first > 0 else 0:.2g} a layer.",
        "The first layers hardly learn, and what they do not pass on the later ones cannot use.",
        "Use ReLU in place of sigmoid and tanh with weights by the rule of He, residual connections, or normalisation "
        "between layers; or fewer layers.",
        by_layer("Gradient relative to the weights", gradients, log=True),
    )


def _updates(case: Case) -> Iterator[Finding]:
    updates = {w.path: _relative(w.update, w) for w in case.layers_now.weights}
    large = {path: ratio for path, ratio in updates.items() if ratio > UPDATE}
    if not large:
        return
    worst = max(large, key=lambda path: large[path])
    yield Finding(
        "large_updates",
        NOTE,
        f"The next step changes the weights of {worst} by {large[worst]:.0%} of their size.",
        "Usual steps change weights by about a thousandth; large ones forget what was learned.",
        "Lower the learning rate, or let it fall by a schedule.",
        by_layer("Update relative to the weights", updates, log=True, limit=UPDATE),
    )


def _relative(part: float, weights: Weights) -> float:
    return part / weights.size if weights.size > 0 else math.nan
