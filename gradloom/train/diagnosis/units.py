"""Units that do not take part: ReLUs that are 0 for every example, sigmoids and tanhs at the ends of their range.

Catalogue 59: a large step can push a ReLU to where it never fires again.
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
    for name, find, limit, tell in (
        ("dead_units", dead, DEAD, _dead),
        ("saturated_units", saturated, SATURATED, _full),
    ):
        now = find(case.layers_now)
        start = {} if case.layers_at_start is None else find(case.layers_at_start)
        if max(start.values(), default=0) > limit:
            yield tell(case, f"{name}_at_start", start, " at the first weights")
        elif max(now.values(), default=0) > limit:
            yield tell(case, name, now, "")


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


def _dead(case: Case, name: str, shares: dict[str, float], when: str) -> Finding:
    worst = max(shares, key=lambda path: shares[path])
    cause = (
        "Begin with biases at 0 and weights by the rule of He (init='he_normal'); scale the inputs."
        if when
        else "Lower the learning rate and train anew, for a dead unit does not come back; or use leaky_relu or elu."
    )
    return Finding(
        name,
        _severity(case, shares[worst]),
        f"In layer {worst} {shares[worst]:.0%} of the ReLUs are 0 for all {len(case.sample[0])} examples of a "
        f"sample{when}.",
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
