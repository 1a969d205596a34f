"""Units that do not take part: ReLUs that are 0 for every example, sigmoids and tanhs at the ends of their range.

Catalogue 59: a large step can push a ReLU to where it never fires again.  What is 0 for all of a sample may still stand
for something rare, so where a layer looks dead all examples are asked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, WARNING, Finding
from gradloom.train.diagnosis.flow import by_layer
from gradloom.train.diagnosis.probe import Measured

DEAD = 0.4
SATURATED = 0.5
"""Above such a share of the units of a layer there is something to say."""


def units(case: Case) -> Iterator[Finding]:
    """``dead_units`` and ``saturated_units``, with ``_at_start`` where the first weights were so already."""
    yield from _dead_units(case)
    now = saturated(case.layers_now)
    start = {} if case.layers_at_start is None else saturated(case.layers_at_start)
    if max(start.values(), default=0) > SATURATED:
        yield _full(case, "saturated_units_at_start", start, " at the first weights")
    elif max(now.values(), default=0) > SATURATED:
        yield _full(case, "saturated_units", now, "")


def _dead_units(case: Case) -> Iterator[Finding]:
    """The layers where too many units are dead, at the first weights or else now."""
    for name, carry, measured, when in (
        ("dead_units_at_start", case.start, case.layers_at_start, " at the first weights"),
        ("dead_units", case.now, case.layers_now, ""),
    ):
        if carry is None or measured is None or max(dead(measured).values(), default=0) <= DEAD:
            continue
        active, examples = case.ever_active(carry, DEAD)
        shares = {path: float(np.mean(~units)) for path, units in active.items()}
        if max(shares.values()) > DEAD:
            yield _dead(case, name, shares, examples, when)
            return


def dead(measured: Measured) -> dict[str, float]:
    """By layer of ReLUs, the share of units that are above 0 at no example."""
    return {x.path: float(np.mean(x.alive == 0)) for x in measured.layers if x.alive is not None}


def saturated(measured: Measured) -> dict[str, float]:
    """By layer of sigmoids or tanhs, how often its units are at the ends of their range."""
    return {x.path: float(np.mean(x.saturated)) for x in measured.layers if x.saturated is not None}


def _severity(case: Case, share: float) -> str:
    if not case.has_bias:
        return NOTE
    return SERIOUS if share > 0.8 or case.has_failed else WARNING


def _dead(case: Case, name: str, shares: dict[str, float], examples: int, when: str) -> Finding:
    worst = max(shares, key=lambda path: shares[path])
    cause = (
        "Begin with biases at 0 and weights by the rule of He (init='he_normal'); scale the inputs."
        if when
        else "Lower the learning rate and train anew, for a dead unit does not come back; or use leaky_relu or elu."
    )
    if not case.has_bias:
        cause = f"Nothing need be done: the training error is low without them. If it was to be lower still: {cause}"
    return Finding(
        name,
        _severity(case, shares[worst]),
        f"In layer {worst} {shares[worst]:.0%} of the ReLUs are 0 for all of {examples} training examples{when}.",
        "Such a unit has a gradient of 0 and learns nothing: the network is smaller than it looks.",
        cause,
        by_layer("Share of dead units", shares, limit=DEAD),
    )


def _full(case: Case, name: str, shares: dict[str, float], when: str) -> Finding:
    worst = max(shares, key=lambda path: shares[path])
    return Finding(
        name,
        _severity(case, 1.0 if shares[worst] > 0.7 else 0.0),
        f"The units of layer {worst} are at the ends of their range in {shares[worst]:.0%} of all cases{when}.",
        "There the derivative is almost 0, so whatever lies below learns slowly or not at all.",
        "Scale the inputs, begin with smaller weights (init='glorot_uniform'), normalise between layers, or use ReLU.",
        by_layer("Share at the ends of the range", shares, limit=SATURATED),
    )
