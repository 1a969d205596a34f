"""Where an epoch's examples come from: all of them in memory, or chunk after chunk of data that do not fit into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gradloom import options, random
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.tensor import Tensor
from gradloom.train.batches import Batches, batches_of, even_share, order_of_epoch, shuffled
from gradloom.train.examples import Examples, as_examples, parts_of

SLICE_BYTES = 64 * 2**20
"""How much of a memory map is read at once; a smaller one is read whole."""
LEAST_ROWS = 1024
"""Slices of a memory map have at least so many rows, so that batches fit into them."""

Check = Callable[[Examples, str], Examples]
"""What is done to every chunk, which has a name for messages: it is checked against the model, and weighted."""


class Stream:
    """Data that do not fit into memory, as chunks; while one chunk is trained on, the next is made on a thread.

    Chunks of equal length are best, a multiple of the batch size long; the last may be shorter.  Each epoch goes
    through the chunks of a sequence in a new order, and through the examples of each chunk in a new order, both
    determined by the seed.  Chunks of an iterator come in its own order.

    Args:
        chunks: a sequence whose items are data sets ``(inputs, targets)`` or ``(inputs, targets, weights)``, or
            functions of no arguments that load one; or a function of no arguments that gives an iterator over such
            items, called once an epoch.
        rows: examples in all, if known; only "auto" batch sizes ask for it.

    Raises:
        OptionError: neither, or ``rows`` is not a number from 1.
        DataError: while training: a chunk cannot be used, or there is none.
    """

    def __init__(self, chunks: Sequence[Any] | Callable[[], Iterable[Any]], *, rows: int | None = None) -> None:
        is_sequence = hasattr(chunks, "__getitem__") and hasattr(chunks, "__len__")
        if not is_sequence and not callable(chunks):
            raise OptionError(
                "Stream",
                rule="chunks are a sequence, or a function that gives an iterator",
                got=type(chunks).__name__,
                fix="An iterator serves one epoch only: pass the function that makes it.",
            )
        self.chunks = chunks
        self.rows = None if rows is None else options.whole("Stream", "rows", rows)

    def items(self, key: Tensor | None, who: str) -> Iterator[tuple[int, Examples]]:
        """Number and content of each chunk, for one epoch.

        Args:
            key: determines the order of a sequence's chunks; None takes them as they come.
            who: for messages.
        """
        chunks = self.chunks
        if isinstance(chunks, Sequence) or hasattr(chunks, "__getitem__"):
            count = len(chunks)  # type: ignore[arg-type]
            order = np.arange(count) if key is None else shuffled(key, count)
            numbered: Iterable[tuple[int, Any]] = ((int(i), chunks[int(i)]) for i in order)  # type: ignore[index]
        else:
            numbered = enumerate(chunks())  # type: ignore[operator]
        found = False
        for number, item in numbered:
            found = True
            data = item() if callable(item) and not hasattr(item, "inputs") else item
            yield number, as_examples(data, f"{who} chunk {number}")
        if not found:
            raise DataError(
                who,
                rule="a stream must give at least one chunk each epoch",
                got="none",
                fix="Pass a function that makes a new iterator at each call, for an iterator ends for good.",
            )


class MappedRows(Sequence[Any]):
    """Arrays on disk as a sequence of slices, each copied into memory when it is asked for.

    Args:
        arrays: of one length; None in place of weights.
    """

    def __init__(self, *arrays: np.ndarray | None) -> None:
        self._arrays = arrays
        present = [a for a in arrays if a is not None]
        self._rows = len(present[0])
        of_a_row = sum(a[:1].nbytes for a in present)
        fitting = max(SLICE_BYTES // max(of_a_row, 1), LEAST_ROWS)
        self._step = 2 ** (fitting.bit_length() - 1)  # a power of two is a multiple of most batch sizes

    def __len__(self) -> int:
        return -(-self._rows // self._step)

    def __getitem__(self, place: Any) -> Any:
        rows = slice(place * self._step, (place + 1) * self._step)
        return tuple(None if a is None else np.array(a[rows]) for a in self._arrays)


@dataclass(frozen=True)
class Portion:
    """Examples that lie in memory together, and an epoch's batches of them.

    Attributes:
        examples: the data.
        batches: rows of ``examples``.
        first: number of the first batch in the epoch.
        usual: batches of a usual portion; the last of a stream may have fewer.
        exact: whether ``examples`` always have this length, so that where all batches are full no program needs to
            know how many of their examples count.
        name: for messages.
    """

    examples: Examples
    batches: Batches
    first: int = 0
    usual: int = 0
    exact: bool = True
    name: str = ""


@dataclass(frozen=True)
class Resident:
    """A data set in memory."""

    examples: Examples

    @property
    def rows(self) -> int:
        """Examples in all."""
        return len(self.examples)

    def sample(self) -> Examples:
        """Examples by which to know their types."""
        return self.examples

    def in_order(self) -> Iterator[Examples]:
        """All examples, part by part."""
        yield self.examples

    def epoch(self, key: Tensor, number: int, size: int, shuffle: bool) -> Iterator[Portion]:
        """The portions of an epoch."""
        batches = batches_of(order_of_epoch(key, number, len(self.examples), shuffle), size)
        yield Portion(self.examples, batches, usual=len(batches))


class Streamed:
    """A stream made ready for a trainer.

    Args:
        stream: the chunks.
        who: for messages.
        check: what is done to every chunk.
    """

    def __init__(self, stream: Stream, who: str, check: Check) -> None:
        self._stream, self._who, self._check = stream, who, check
        self._capacity = 0  # rows of the longest chunk so far: all are filled up to it, so that one program fits all

    @property
    def rows(self) -> int | None:
        """Examples in all, if known."""
        return self._stream.rows

    def sample(self) -> Examples:
        """The first chunk."""
        _, examples = next(self._stream.items(None, self._who))
        return examples

    def in_order(self) -> Iterator[Examples]:
        """All examples, chunk by chunk."""
        for number, examples in self._stream.items(None, self._who):
            yield self._check(examples, f"{self._who} chunk {number}")

    def epoch(self, key: Tensor, number: int, size: int, shuffle: bool) -> Iterator[Portion]:
        """The portions of an epoch: a chunk each."""
        of_epoch = random.fold_in(key, number)
        first = 0
        for chunk, examples in self._stream.items(of_epoch if shuffle else None, self._who):
            name = f"chunk {chunk}"
            checked = self._check(examples, f"{self._who} {name}")
            batches = batches_of(order_of_epoch(of_epoch, chunk + 1, len(checked), shuffle), size)
            self._capacity = max(self._capacity, len(checked))
            usual = -(-self._capacity // size)
            yield Portion(_lengthened(checked, self._capacity), batches, first, usual, exact=False, name=name)
            first += len(batches)


@dataclass(frozen=True)
class Call:
    """What one call of the program of steps takes: some batches of a portion.

    A call takes arrays for the same number of batches each time, so that one program serves all.

    Attributes:
        portion: the examples.
        start: its first batch, as a place among those of the portion.
        turns: how many batches.
        capacity: how many there is room for.
    """

    portion: Portion
    start: int
    turns: int
    capacity: int

    @property
    def rows(self) -> np.ndarray:
        """The examples of each batch, shape (capacity, size); repeated where there is more room."""
        rows = self.portion.batches.rows
        stop = self.start + self.capacity
        return rows[self.start : stop] if stop <= len(rows) else rows[np.arange(self.start, stop) % len(rows)]

    @property
    def limits(self) -> tuple[np.ndarray, ...]:
        """How many steps the program takes, and how many examples of each batch count, as far as it need know."""
        portion = self.portion
        if portion.exact and portion.batches.are_full:
            always_whole = portion.usual % self.capacity == 0 and self.turns == self.capacity
            return () if always_whole else (np.asarray(self.turns),)
        return np.asarray(self.turns), np.resize(self._counts, self.capacity)

    @property
    def _counts(self) -> np.ndarray:
        return self.portion.batches.counts[self.start : self.start + self.turns]

    @property
    def examples(self) -> int:
        """How many examples take part."""
        return int(self._counts.sum())

    @property
    def of_portion(self) -> str:
        """Which part of a stream this is, for messages."""
        return f" in {self.portion.name}" if self.portion.name else ""

    def each_batch(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Inputs, targets and weights of each batch."""
        for rows, count in zip(self.rows, self._counts):
            inputs, targets, weights = self.portion.examples.take(rows)
            yield inputs, targets, np.where(np.arange(len(rows)) < count, weights, np.float32(0))


def calls_of_epoch(portions: Iterator[Portion | None], done: int, most: int) -> Iterator[Call]:
    """The calls of an epoch.

    Args:
        portions: up to the next None, which ends the epoch.
        done: batches that are done already.
        most: how many batches a call may take.
    """
    for portion in iter(partial(next, portions), None):
        count, capacity = len(portion.batches), even_share(portion.usual, most)
        for start in range(max(done - portion.first, 0), count, capacity):
            yield Call(portion, start, min(capacity, count - start), capacity)


Source = Resident | Streamed


def is_stream(data: Any) -> bool:
    """Whether data are to be read chunk by chunk: a stream, or a large memory map."""
    return isinstance(data, Stream) or _large_map(data)


def as_stream(data: Any, who: str) -> Stream:
    """The stream of such data."""
    if isinstance(data, Stream):
        return data
    inputs, targets, weights = parts_of(data, who)
    arrays = [a if a is None or isinstance(a, np.memmap) else np.asarray(a) for a in (inputs, targets, weights)]
    lengths = [len(a) for a in arrays if a is not None]
    if len(set(lengths)) > 1:
        got = ", ".join(map(str, lengths))
        raise ShapeError(who, rule="inputs, targets and weights must have equal lengths", got=got)
    return Stream(MappedRows(*arrays), rows=lengths[0])


def _large_map(data: Any) -> bool:
    parts = (getattr(data, "inputs", None),) if hasattr(data, "inputs") else data
    if not isinstance(parts, (tuple, list)):
        return False
    return any(isinstance(part, np.memmap) and part.nbytes > SLICE_BYTES for part in parts)


def _lengthened(examples: Examples, rows: int) -> Examples:
    """The examples with zeros behind them, which no batch asks for."""
    missing = rows - len(examples)
    if not missing:
        return examples
    arrays = examples.inputs, examples.targets, examples.weights
    return Examples(*(np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]) for a in arrays))
