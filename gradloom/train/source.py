"""Where an epoch's examples come from: all of them in memory, or chunk after chunk of data that do not fit into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradloom import functional as gl
from gradloom import options, random, tree
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.ahead import ahead
from gradloom.train.batches import Batches, even_share
from gradloom.train.examples import Examples, as_examples, first_weights, parts_of
from gradloom.train.inputs import Inputs, are_several, checked_inputs
from gradloom.train.shuffling import shuffled

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

    def items(self, key: Tensor | None, who: str, dtype: str) -> Iterator[tuple[int, Examples]]:
        """Number and content of each chunk, for one epoch.

        Args:
            key: determines the order of a sequence's chunks; None takes them as they come.
            who: for messages.
            dtype: of floats.
        """
        chunks = self.chunks
        if isinstance(chunks, Sequence) or hasattr(chunks, "__getitem__"):
            count = len(chunks)  # type: ignore[arg-type]
            order = np.arange(count) if key is None else shuffled(key, count, np.arange(count)).numpy()
            numbered: Iterable[tuple[int, Any]] = ((int(i), chunks[int(i)]) for i in order)  # type: ignore[index]
        else:
            numbered = enumerate(chunks())  # type: ignore[operator]
        found = False
        for number, item in numbered:
            found = True
            data = item() if callable(item) and not hasattr(item, "inputs") else item
            yield number, as_examples(data, f"{who} chunk {number}", dtype)
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
        arrays: inputs, targets and weights, of one length; None in place of weights.
    """

    def __init__(self, *arrays: Any) -> None:
        self._arrays = arrays
        present = tree.leaves(arrays)
        self._rows = len(present[0])
        of_a_row = sum(a[:1].nbytes for a in present)
        fitting = max(SLICE_BYTES // max(of_a_row, 1), LEAST_ROWS)
        self._step = 2 ** (fitting.bit_length() - 1)  # a power of two is a multiple of most batch sizes

    def __len__(self) -> int:
        return -(-self._rows // self._step)

    def __getitem__(self, place: Any) -> Any:
        rows = slice(place * self._step, (place + 1) * self._step)
        return tree.map(lambda a: np.array(a[rows]), self._arrays)


@dataclass(frozen=True)
class Order:
    """The order of the examples in an epoch.

    Attributes:
        key: of the orders of a run.
        epoch: the number that is folded into the key.
        shuffle: whether it is random at all.
    """

    key: Tensor
    epoch: int
    shuffle: bool

    @property
    def drawn(self) -> Tensor | None:
        """The key that determines a random order."""
        return random.fold_in(self.key, self.epoch) if self.shuffle else None


@dataclass(frozen=True)
class Portion:
    """Examples that lie in memory together, and an epoch's batches of them.

    Attributes:
        examples: the data.
        batches: of ``examples``.
        order: in which they are taken.
        rows: those of all batches, where the program cannot be made for the number of examples; else it works them
            out for itself.
        origin: the numbers of the epoch and of the chunk, by which examples are augmented.
        first: number of the first batch in the epoch.
        usual: batches of a usual portion; the last of a stream may have fewer.
        name: for messages.
    """

    examples: Examples
    batches: Batches
    order: Order
    rows: np.ndarray | None = None
    origin: tuple[int, int] = (0, 0)
    first: int = 0
    usual: int = 0
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
        batches = Batches(len(self.examples), size)
        yield Portion(self.examples, batches, Order(key, number, shuffle), origin=(number, 0), usual=len(batches))


class Streamed:
    """A stream made ready for a trainer.

    Args:
        stream: the chunks.
        who: for messages.
        dtype: of floats.
        check: what is done to every chunk.
    """

    def __init__(self, stream: Stream, who: str, dtype: str, check: Check) -> None:
        self._stream, self._who, self._dtype, self._check = stream, who, dtype, check
        self._capacity = 0  # rows of the longest chunk so far: all are filled up to it, so that one program fits all

    @property
    def rows(self) -> int | None:
        """Examples in all, if known."""
        return self._stream.rows

    def sample(self) -> Examples:
        """The first chunk."""
        _, examples = next(self._items(None))
        return examples

    def in_order(self) -> Iterator[Examples]:
        """All examples, chunk by chunk."""
        for number, examples in self._items(None):
            yield self._check(examples, f"{self._who} chunk {number}")

    def epoch(self, key: Tensor, number: int, size: int, shuffle: bool) -> Iterator[Portion]:
        """The portions of an epoch: a chunk each."""
        of_epoch = random.fold_in(key, number)
        first = 0
        for chunk, examples in self._items(of_epoch if shuffle else None):
            name = f"chunk {chunk}"
            checked = self._check(examples, f"{self._who} {name}")
            batches, order = Batches(len(checked), size), Order(of_epoch, chunk + 1, shuffle)
            rows = batches.rows(order.drawn, 0, len(batches)).numpy()
            self._capacity = max(self._capacity, len(checked))
            usual = -(-self._capacity // size)
            whole = _lengthened(checked, self._capacity)
            yield Portion(whole, batches, order, rows, (number, chunk), first, usual, name)
            first += len(batches)

    def _items(self, key: Tensor | None) -> Iterator[tuple[int, Examples]]:
        return self._stream.items(key, self._who, self._dtype)


@dataclass(frozen=True)
class Cut:
    """How a program takes its batches out of a data set by itself; it is made for these numbers.

    Attributes:
        batches: of an epoch.
        capacity: how many a call has room for.
    """

    batches: Batches
    capacity: int

    def chosen(self, key: Tensor, epoch: Tensor, shuffle: Tensor, first: Tensor, turns: Tensor) -> tuple[Tensor, ...]:
        """The rows of a call's batches and its limits, as ``Recipe.train_many`` takes them, from what ``Call.given``
        says."""
        in_order, mixed = (self.batches.rows(k, first, self.capacity) for k in (None, random.fold_in(key, epoch)))
        counts = () if self.batches.are_full else (self.batches.counts(first, self.capacity),)
        return gl.where(shuffle, mixed, in_order), turns, *counts


@dataclass(frozen=True)
class Call:
    """What one call of the program of steps takes: some batches of a portion.

    A call has room for the same number of batches each time, so that one program serves all.

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
    def cut(self) -> Cut | None:
        """How the program takes its batches; None where it is told their rows."""
        return Cut(self.portion.batches, self.capacity) if self.portion.rows is None else None

    @property
    def given(self) -> tuple[np.ndarray, ...]:
        """What the program is told about its batches: the origin of the examples, and what ``Cut.chosen`` takes, or
        the rows and limits themselves."""
        order, rows = self.portion.order, self.portion.rows
        if rows is None:
            numbers = order.epoch, order.shuffle, self.start, self.turns
            return self.origin, order.key.numpy(), *map(np.asarray, numbers)
        stop = self.start + self.capacity
        taken = rows[self.start : stop] if stop <= len(rows) else rows[np.arange(self.start, stop) % len(rows)]
        return (
            self.origin,
            taken,
            np.asarray(self.turns),
            self.portion.batches.counts(self.start, self.capacity).numpy(),
        )

    @property
    def rows(self) -> np.ndarray:
        """The examples of each of its batches, shape (turns, size)."""
        known, order = self.portion.rows, self.portion.order
        if known is not None:
            return known[self.start : self.start + self.turns]
        return self.portion.batches.rows(order.drawn, self.start, self.turns).numpy()

    @property
    def origin(self) -> np.ndarray:
        """Where the examples come from, as the program is told."""
        return np.asarray(self.portion.origin, np.uint32)

    @property
    def examples(self) -> int:
        """How many examples take part."""
        first, size = self.start, self.portion.batches.size
        return min((first + self.turns) * size, self.portion.batches.examples) - first * size

    @property
    def of_portion(self) -> str:
        """Which part of a stream this is, for messages."""
        return f" in {self.portion.name}" if self.portion.name else ""

    def each_batch(self) -> Iterator[tuple[np.ndarray, tuple[Inputs, np.ndarray, np.ndarray]]]:
        """The rows of each batch, and its inputs, targets and weights."""
        counts = self.portion.batches.counts(self.start, self.turns).numpy()
        for rows, count in zip(self.rows, counts):
            inputs, targets, weights = self.portion.examples.take(rows)
            yield rows, (inputs, targets, first_weights(weights, count))


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


@contextlib.contextmanager
def portions_of(
    source: Source, key: Tensor, epochs: Sequence[int], size: int | None, shuffle: bool
) -> Iterator[Iterator[Portion | None]]:
    """The portions of some epochs in batches of a size, those of a stream made ahead; None ends an epoch."""
    assert size is not None, "the batch size is chosen before"

    def coming() -> Iterator[Portion | None]:
        for epoch in epochs:
            yield from source.epoch(key, epoch, size, shuffle)
            yield None

    with ahead(coming()) if isinstance(source, Streamed) else contextlib.nullcontext(coming()) as portions:
        yield portions


def is_stream(data: Any) -> bool:
    """Whether data are to be read chunk by chunk: a stream, or a large memory map."""
    return isinstance(data, Stream) or _large_map(data)


def as_stream(data: Any, who: str) -> Stream:
    """The stream of such data."""
    if isinstance(data, Stream):
        return data
    inputs, targets, weights = parts_of(data, who)
    inputs = checked_inputs(inputs, f"{who} inputs", lambda array, _: _mapped(array))
    arrays = inputs, *(None if a is None else _mapped(a) for a in (targets, weights))
    lengths = [len(a) for a in tree.leaves(arrays)]
    if len(set(lengths)) > 1:
        got = ", ".join(map(str, lengths))
        raise ShapeError(who, rule="inputs, targets and weights must have equal lengths", got=got)
    return Stream(MappedRows(*arrays), rows=lengths[0])


def _mapped(array: Any) -> np.ndarray:
    """An array; a memory map stays one."""
    return array if isinstance(array, np.memmap) else np.asarray(array)


def _large_map(data: Any) -> bool:
    parts = (getattr(data, "inputs", None),) if hasattr(data, "inputs") else data
    if not isinstance(parts, (tuple, list)):
        return False
    arrays = [*(tree.leaves(parts[0]) if are_several(parts[0]) else parts[:1]), *parts[1:]]
    return any(isinstance(array, np.memmap) and array.nbytes > SLICE_BYTES for array in arrays)


def _lengthened(examples: Examples, rows: int) -> Examples:
    """The examples with zeros behind them, which no batch asks for."""
    missing = rows - len(examples)
    if not missing:
        return examples
    arrays = examples.inputs, examples.targets, examples.weights
    return Examples(*tree.map(lambda a: np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]), arrays))
