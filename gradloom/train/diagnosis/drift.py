"""Whether training, validation and test data come from one distribution (catalogue 190).

Each column of one part is held against the same of another by the two-sample test of Kolmogorov and Smirnov: the
statistic is D, the greatest distance of their distribution functions, and its distribution that of the limit, with
Stephens' correction for small samples.  The level is divided by the number of columns (Bonferroni).  Of images the
columns are pixels, and the brightness and contrast of the whole, in which a little more light shows far sooner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import SERIOUS, WARNING, Finding
from gradloom.train.diagnosis.images import are_images, light, place

LEVEL = 1e-4
LEAST_DISTANCE = 0.15
"""Smaller distances are real in large data, but do little harm."""
_MOST_ROWS, _MOST_COLUMNS = 5000, 1024


def drift(case: Case) -> Iterator[Finding]:
    """``shifted_test`` where validation and test differ, ``shifted_validation`` where training and validation do."""
    pairs = [("shifted_test", "validation", "test"), ("shifted_validation", "training", "validation")]
    if "validation" not in case.parts:
        pairs = [("shifted_test", "training", "test")]
    for name, first, second in pairs:
        if second in case.parts:
            yield from _compare(case, name, first, second)


def _compare(case: Case, name: str, first: str, second: str) -> Iterator[Finding]:
    distances, chances = _by_column(case, first, second)
    tested = np.array(list(chances.values())) * len(chances)
    shifted = (tested < LEVEL) & (np.array(list(distances.values())) > LEAST_DISTANCE)
    if not shifted.any():
        return
    largest = sorted(distances, key=lambda column: -distances[column])
    worst = largest[0]
    is_test = second == "test"
    yield Finding(
        name,
        SERIOUS if is_test or case.has_variance else WARNING,
        f"{int(shifted.sum())} of {len(shifted)} columns are distributed otherwise in the {second} part than in the "
        f"{first} part; most of all {worst}, by a distance of {distances[worst]:.2f} between the distribution "
        f"functions (p = {chances[worst]:.1g}).",
        "A model is chosen for data like those that it was rated on; on others its error is another."
        if is_test
        else "Training data may differ from those of use, but then an error on new data is no sign of over-fitting.",
        "Draw validation and test from the same source, the one that the network is for; shuffle before splitting."
        if is_test
        else "Find out where the parts come from; hold out a share of the training data as well, and compare with it.",
        Chart("Distance of the distributions", "column", "D", bars={c: distances[c] for c in largest[:12]}),
    )


def _by_column(case: Case, first: str, second: str) -> tuple[dict[str, float], dict[str, float]]:
    parts = [case.parts[name] for name in (first, second)]
    draw = np.random.default_rng(0)
    taken = [np.sort(draw.permutation(len(part))[:_MOST_ROWS]) for part in parts]
    matrices = [part.inputs[rows].reshape(len(rows), -1) for part, rows in zip(parts, taken)]
    columns = np.linspace(0, matrices[0].shape[1] - 1, min(matrices[0].shape[1], _MOST_COLUMNS)).astype(int)
    distances, chances = {}, {}
    for column in columns:
        label = place(int(column), parts[0].inputs.shape[1:])
        distances[label], chances[label] = two_sample(*(matrix[:, column] for matrix in matrices))
    if are_images(parts[0].inputs):
        lights = [light(part.inputs[rows]) for part, rows in zip(parts, taken)]
        for label in lights[0]:
            distances[label], chances[label] = two_sample(*(found[label] for found in lights))
    labels = [case.labels(name) for name in (first, second)]
    if all(len(found) == len(part) for found, part in zip(labels, parts)):
        distances["target"], chances["target"] = two_sample(*labels)
    return distances, chances


def two_sample(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The test of Kolmogorov and Smirnov: D and the probability of one as great if both are drawn alike.

    P(D) = Q((√n + 0.12 + 0.11/√n) D) with n = |x||y| / (|x| + |y|) and Q(λ) = 2 Σ (-1)^(k-1) exp(-2k²λ²).
    For values that occur often, P is too great, never too small.

    Args:
        x: a sample, shape (n,).
        y: another.

    Source: Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and related statistics" (1970).
    """
    everything = np.concatenate([x, y])
    below = [np.searchsorted(np.sort(sample), everything, side="right") / len(sample) for sample in (x, y)]
    distance = float(np.abs(below[0] - below[1]).max())
    root = math.sqrt(len(x) * len(y) / (len(x) + len(y)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.3:  # the series converges slowly there, and its sum is 1
        return distance, 1.0
    terms = [(-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)]
    return distance, min(max(2 * math.fsum(terms), 0.0), 1.0)
