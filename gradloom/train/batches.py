"""Mini-batches: their size, the order of the examples, and which examples go together."""

from __future__ import annotations

from dataclasses import dataclass

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


def shuffled(key: Tensor, rows: int) -> np.ndarray:
    """The numbers 0 to rows - 1 in the order of ``random.permutation(key, rows)``.

    Sorting pairs (random word, number) as single 64-bit words gives the order of a stable sort of the random words
    at a tenth of its cost, for NumPy sorts whole words with vector instructions.
    """
    words = random.bits(key, (rows,)).numpy().astype(np.uint64)
    pairs = (words << np.uint64(32)) | np.arange(rows, dtype=np.uint64)
    pairs.sort()
    return (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def order_of_epoch(key: Tensor, epoch: int, rows: int, shuffle: bool) -> np.ndarray:
    """The order of the examples in an epoch, determined by key and epoch alone."""
    return shuffled(random.fold_in(key, epoch), rows) if shuffle else np.arange(rows)


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch, all of one size so that one program serves them all.

    Attributes:
        rows: the examples of each batch, shape (batches, size).
        counts: how many of a batch count, the first ones; shape (batches,).
    """

    rows: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def are_full(self) -> bool:
        """Whether every example of every batch counts."""
        return bool(self.counts[-1] == self.rows.shape[1])


def batches_of(order: np.ndarray, size: int) -> Batches:
    """An order of examples cut into batches.

    Examples that are left over are filled up with the first of the order, which take part with weight 0: loss,
    gradient and metrics are those of the examples left over, and what looks at the whole batch (the statistics of
    batch normalisation) sees a batch of the usual size.

    Args:
        order: the examples.
        size: of a batch.
    """
    count = -(-len(order) // size)
    missing = count * size - len(order)
    counts = np.full(count, size)
    counts[-1] -= missing
    return Batches(np.concatenate([order, np.resize(order, missing)]).reshape(count, size), counts)


def even_share(count: int, most: int) -> int:
    """How many batches a call takes where ``count`` are divided as evenly as can be into calls of at most ``most``."""
    return -(-count // -(-count // most))
