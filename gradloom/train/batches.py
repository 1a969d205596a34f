"""Mini-batches: their size, the order of the examples, and which examples go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom import options, random
from gradloom.errors import OptionError
from gradloom.tensor import Tensor


def choose_batch_size(asked: int | str, rows: int) -> int:
    """The batch size: a number, or "auto".

    Auto follows the notes (catalogue 105: powers of two between 64 and 512 where there is much data) but keeps at
    least about 20 updates an epoch, for below 2,000 examples full-batch descent, their advice, needs far more epochs.

    Raises:
        OptionError: not a number from 1 to the number of rows.
    """
    if isinstance(asked, str):
        options.choice("fit", "batch_size", asked, ("auto",))
        size = 8
        while size < 512 and rows // (2 * size) >= 20:
            size *= 2
        return min(size, rows)
    size = options.whole("fit", "batch_size", asked)
    if size > rows:
        raise OptionError(
            "fit",
            rule="a batch must not be larger than the data",
            got=f"batch_size {size} for {rows} examples",
            fix=f"Use at most {rows}, or 'auto'.",
        )
    return size


def order_of_epoch(key: Tensor, epoch: int, rows: int, shuffle: bool) -> np.ndarray:
    """The order of the examples in an epoch, determined by key and epoch alone."""
    if not shuffle:
        return np.arange(rows)
    return random.permutation(random.fold_in(key, epoch), rows).numpy()


def row_groups(order: np.ndarray, size: int) -> list[np.ndarray]:
    """The rows of each batch.

    The last batch may be smaller, but a single example left over joins the batch before: alone it would have no
    variance to normalise by, and its noisy update would count as much as that of a whole batch.
    """
    starts = list(range(0, len(order), size))
    if size > 1 and len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts[1:])


def grouped(batches: Sequence[np.ndarray], most: int) -> list[list[np.ndarray]]:
    """Batches that one call of a program takes together: equally many of equal size, the rest one by one.

    Args:
        batches: the rows of each batch, in order.
        most: how many a call may take.
    """
    full = sum(len(rows) == len(batches[0]) for rows in batches)
    calls = max(1, -(-full // most))
    together = full // calls
    stops = together * calls
    groups = [list(batches[i : i + together]) for i in range(0, stops, together)] if together > 1 else []
    return groups + [[rows] for rows in batches[stops if groups else 0 :]]
