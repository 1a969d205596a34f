"""The scales of what the first layer with weights is given: features of other sizes, single huge values.

The curvature of the loss by the weights of a linear layer is that of X'X, so its condition number, the ratio of the
greatest and the least eigenvalue, says how elongated the valley is that gradient descent goes down: it needs about
that many steps (catalogue 185).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, WARNING, Finding

LARGE, SMALL = 30.0, 0.01
RATIO = 100.0
OUTLYING = 100.0
_MOST_COLUMNS = 512


def scales(case: Case) -> Iterator[Finding]:
    """``outliers``, ``unscaled_inputs``, ``constant_features``, ``equal_features``."""
    x = case.entering
    if not x.size:
        return
    huge = _outliers(x)
    if huge.any():
        yield _about_outliers(case, x, huge)
    sizes = np.sqrt(np.mean(np.square(x), axis=0))
    varies = x.std(0) > 1e-9 * np.maximum(sizes, 1e-30)
    if varies.any():
        yield from _about_scales(case, x[:, varies], sizes[varies], huge[varies])
    if not varies.all() and varies.any():
        yield Finding(
            "constant_features",
            NOTE,
            f"{int((~varies).sum())} of {len(varies)} inputs of the first layer are the same in all examples.",
            "They tell nothing, and their weights stay where the initialiser or a penalty puts them.",
            "Leave them out, unless new data will vary there.",
        )
    equal = _equal_columns(x[:, varies])
    if equal:
        yield Finding(
            "equal_features",
            NOTE,
            f"{equal} inputs of the first layer are copies of others.",
            "The condition number of the inputs is infinite: their weights are determined only together.",
            "Leave the copies out, or put a small l2 on the weights.",
        )


def condition_number(x: np.ndarray) -> float:
    """Of the second moments X'X / n, by a singular value decomposition; columns that are combinations are left out."""
    values = np.linalg.svd(x[:, :_MOST_COLUMNS] / np.sqrt(len(x)), compute_uv=False)
    kept = values[values > values.max(initial=0) * 1e-6]
    return float((kept.max() / kept.min()) ** 2) if kept.size else 1.0


def _outliers(x: np.ndarray) -> np.ndarray:
    """The columns of which a few values are far greater than nine of ten."""
    size = np.abs(x - np.median(x, axis=0))
    known = np.where(size > 0, size, np.nan)
    usual = np.full(x.shape[1], np.inf)
    is_known = (~np.isnan(known)).sum(0) >= 10
    usual[is_known] = np.nanpercentile(known[:, is_known], 90, axis=0)
    return size.max(0) > OUTLYING * usual


def _about_outliers(case: Case, x: np.ndarray, huge: np.ndarray) -> Finding:
    worst = int(np.argmax(np.where(huge, np.abs(x).max(0), -1)))
    column = np.abs(x[:, worst])
    bars = {f"{share}%": float(np.percentile(column, share)) for share in (50, 90, 99, 99.9, 100)}
    return Finding(
        "outliers",
        SERIOUS if case.is_ill else WARNING,
        f"In {int(huge.sum())} of {len(huge)} inputs single values are more than {OUTLYING:.0f} times as far from the "
        f"median as nine of ten; the farthest is {column.max():.3g} in input {worst}, where the median is "
        f"{np.median(column):.3g}.",
        "Such rows rule gradients, statistics and scales: a step for one of them undoes those for all others.",
        "Look at these rows: wrong units, sentinels such as -999999, or typing errors? Correct or drop them, or clip "
        "the column; then scale again.",
        Chart(f"Sizes in input {worst}, by percentile", "share of the rows", "|x|", bars=bars, log_y=True),
    )


def _about_scales(case: Case, x: np.ndarray, sizes: np.ndarray, huge: np.ndarray) -> Iterator[Finding]:
    largest, middle, least = float(sizes.max()), float(np.median(sizes)), float(sizes.min())
    is_off = largest > LARGE or largest < SMALL
    is_uneven = largest / max(least, 1e-30) > RATIO and largest > 1 and middle > 0 and largest / middle > 10
    if not is_off and not is_uneven:
        return
    standard = (x - x.mean(0)) / x.std(0)
    before, after = condition_number(x), condition_number(standard)
    order = np.argsort(-sizes)[:12]
    yield Finding(
        "unscaled_inputs",
        (WARNING if huge.any() else SERIOUS) if case.is_ill else NOTE,
        f"The inputs of the first layer have sizes (root mean square) from {least:.3g} to {largest:.3g}. The condition "
        f"number of their second moments is {before:.2g}; standardised it would be {after:.2g}.",
        "Large inputs saturate units or let gradients explode, and where features differ in size no learning rate fits "
        "all: gradient descent needs about as many steps as the condition number.",
        "Standardise the inputs by the mean and deviation of the training part (data.pipeline, nn.Normalize), or begin "
        "with nn.BatchNorm().",
        Chart(
            "Sizes of the inputs",
            "input",
            "root mean square",
            bars={f"{i}": float(sizes[i]) for i in order},
            log_y=True,
            limit=1.0,
        ),
    )


def _equal_columns(x: np.ndarray) -> int:
    """How many columns are copies of one before them."""
    return x.shape[1] - len({column.tobytes() for column in x[:1000].T})
