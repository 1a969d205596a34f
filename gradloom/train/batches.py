"""Mini-batches: their size, the order of the examples, and which examples go together."""

from __future__ import annotations

from typing import Any

from gradloom import functional as gl
from gradloom import options
from gradloom.errors import OptionError
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.shuffling import shuffled


def choose_batch_size(asked: int | str, present: int, known: int | None = None) -> int:
    """The batch size: a number, or "auto".

    Auto follows the notes (catalogue 105: powers of two between 64 and 512 where there is much data) but keeps at
    least about 20 updates an epoch, for below 2,000 examples full-batch descent, their advice, needs far more epochs.

    Args:
        asked: by the user.
        present: examples that lie in memory together.
        known: examples in all, if known.

    Raises:
        OptionError: not a number from 1 to the number of examples in memory.
    """
    if isinstance(asked, str):
        options.choice("fit", "batch_size", asked, ("auto",))
        size = 8
        while size < 512 and (known or present) // (2 * size) >= 20:
            size *= 2
        return min(size, present)
    size = options.whole("fit", "batch_size", asked)
    if size > present:
        raise OptionError(
            "fit",
            rule="a batch must not be larger than the data",
            got=f"batch_size {size} for {present} examples",
            fix=f"Use at most {present}, or 'auto'.",
        )
    return size


def check_goes_on(asked: int | str, rows: int | None, size: int | None, before: int | None) -> None:
    """An epoch that was interrupted keeps its batch size and its data.

    Args:
        asked: the batch size that the user wants now; "auto" keeps it.
        rows: examples now.
        size: batch size of the epoch.
        before: examples of the epoch.

    Raises:
        OptionError: something else is asked for.
    """
    wanted = size if asked == "auto" else asked
    if (wanted, rows) != (size, before):
        raise OptionError(
            "fit",
            rule="an interrupted epoch must go on with its data and its batch size",
            got=f"{rows} examples in batches of {wanted} after {before} in batches of {size}",
            fix="Fit with the same data first, then with the others.",
        )


@dataclass(frozen=True)
class Batches:
    """An epoch's examples in batches of one size, so that one program serves them all.

    Examples that are left over are filled up with the first of the epoch's order, which take part with weight 0: loss,
    gradient and metrics are those of the examples left over, and what looks at the whole batch (the statistics of
    batch normalisation) sees a batch of the usual size.

    Attributes:
        examples: how many there are.
        size: of a batch.
    """

    examples: int
    size: int

    def __len__(self) -> int:
        return -(-self.examples // self.size)

    @property
    def are_full(self) -> bool:
        """Whether every example of every batch counts."""
        return self.examples % self.size == 0

    def rows(self, key: Tensor | None, first: Any, count: int) -> Tensor:
        """The examples of some batches, shape (count, size).

        Args:
            key: determines the order of the epoch; None is the order in which they lie.
            first: number of the first batch.
            count: how many batches; behind the last one the first ones come again.
        """
        numbers = (first + gl.arange(count)) % len(self)
        places = numbers.reshape(count, 1) * self.size + gl.arange(self.size) % self.examples
        places = gl.where(places < self.examples, places, places - self.examples)
        return places if key is None else shuffled(key, self.examples, places)

    def counts(self, first: Any, count: int) -> Tensor:
        """How many examples of each of some batches count, the first ones of each; shape (count,)."""
        return gl.clip(self.examples - (first + gl.arange(count)) * self.size, 0, self.size)


def even_share(count: int, most: int) -> int:
    """How many batches a call takes where ``count`` are divided as evenly as can be into calls of at most ``most``."""
    return -(-count // -(-count // most))
