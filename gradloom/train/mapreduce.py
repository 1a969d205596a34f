"""Data-parallel training over processes on one machine: the bits do not depend on how many there are.

A batch is cut into a fixed number of chunks (train/chunks.py).  Workers compute the gradients of theirs and add them
up in a fixed tree (parallel/share.py), the master adds what is left, moves the parameters and writes them where all
see them.  Data, parameters and gradients lie in memory that the processes share.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from itertools import compress
from typing import Any, Self

import numpy as np

from gradloom import executors, options, parallel, tree
from gradloom.compiling import Compiled
from gradloom.errors import GradloomError, OptionError
from gradloom.executors.base import Program
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.advice import Advice, Machine, Work, advise
from gradloom.train.chunks import ChunkedRecipe
from gradloom.train.examples import Examples
from gradloom.train.inputs import stand_ins
from gradloom.train.pace import operations
from gradloom.train.source import Call
from gradloom.train.step import Recipe, Tensors
from gradloom.train.steps import Arrays, Steps
from gradloom.transforms import jit, trace

CHUNKS = 8
"""Enough for the cores of a small machine, and few enough that a chunk is worth a call."""


@dataclass(frozen=True)
class MapReduce:
    """How a batch is divided among processes.

    Args:
        workers: processes that compute gradients; with 1 the caller's own does, chunk by chunk.
        chunks: parts that a batch is cut into.  They determine the bits, the workers do not.
        advise: whether to warn where the cost model says that workers will not help.

    Raises:
        OptionError: a number is not from 1, or there are more workers than chunks.
    """

    workers: int = 1
    chunks: int = CHUNKS
    advise: bool = True

    def __post_init__(self) -> None:
        options.whole("MapReduce", "workers", self.workers)
        options.whole("MapReduce", "chunks", self.chunks)
        options.flag("MapReduce", "advise", self.advise)
        _check_workers(self.workers, self.chunks)

    def advice(self, trainer: Any, data: Any, batch_size: int | str = "auto", machine: Machine | None = None) -> Advice:
        """Whether the workers will help, from the operations and bytes of a step (train/advice.py).

        Args:
            trainer: what is to train.
            data: as ``fit`` takes them.
            batch_size: likewise.
            machine: what it would run on; by default this one, which is measured.
        """
        recipe, (carry, *_) = trainer.first_steps(data, batch_size)
        return self._advice(recipe, carry, trainer.input_type, trainer.batch_size, machine)

    def warn(self, recipe: Recipe, carry: Tensors, input_type: Any, size: int) -> None:
        """Say it if they will not."""
        if self.advise and self.workers > 1:
            advice = self._advice(recipe, carry, input_type, size, None)
            if not advice.helps:
                warnings.warn(f"fit: workers={self.workers} will not help: {advice}.", RuntimeWarning, stacklevel=4)

    def _advice(self, recipe: Recipe, carry: Tensors, input_type: Any, size: int, machine: Machine | None) -> Advice:
        parameters, optimizer = (_bytes(carry[name]) for name in ("parameters", "optimizer"))
        forward = trace(recipe.model, stand_ins(input_type))
        work = Work(3 * operations(forward) * size / 2, parameters, optimizer)
        known = Machine.measured(8 * parameters) if machine is None else machine
        return advise(work, self.workers, min(self.chunks, size), known)

    @staticmethod
    def of(asked: int | MapReduce) -> MapReduce:
        """What ``fit`` was given."""
        return asked if isinstance(asked, MapReduce) else MapReduce(options.whole("fit", "workers", asked))


def _bytes(values: Tensors) -> int:
    return sum(leaf.numpy().nbytes for leaf in tree.leaves(values))


def _check_workers(workers: int, chunks: int) -> None:
    if workers > chunks:
        raise OptionError(
            "MapReduce",
            rule="each worker needs a chunk of the batch",
            got=f"{workers} workers for {chunks} chunks",
            fix="Use fewer workers, more chunks, or larger batches.",
        )


class MapReduceSteps(Steps):
    """Steps whose gradients are computed in chunks, by worker processes if there are any.

    Use it as a context: on leaving, the workers end.

    Args:
        how: workers and chunks.
        recipe: gives what a step is made of, which a callback may exchange.
        size: of a batch.
        executor: the name of what runs the programs.
        given: what :class:`Steps` takes.

    Raises:
        OptionError: the recipe cannot be divided, or the batch not among so many.
    """

    def __init__(self, how: MapReduce, recipe: Callable[[], Recipe], size: int, executor: str, *given: Any) -> None:
        super().__init__(*given)
        chunks = min(how.chunks, size)
        _check_workers(how.workers, chunks)
        self._workers, self._executor = how.workers, executor
        self._recipe, self._chunks = recipe, chunks
        self._size, self._length = size, -(-size // chunks) * chunks
        self._left_over = parallel.left_over(chunks, how.workers)
        self._kinds: list[parallel.Kind] | None = None
        self._examples: Examples | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ending:
            self._exchange, self._data = (ending.enter_context(contextlib.closing(parallel.Shared())) for _ in range(2))
            self._crew = parallel.Workers(self._workers if self._workers > 1 else 0, self._exchange, self._data)
            ending.enter_context(self._crew)
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def __call__(self, carry: Arrays, call: Call) -> tuple[Arrays, Arrays]:
        """Take the steps of a call; gives the new carry, and the sums of each step."""
        portion = call.portion
        if portion.examples is not self._examples:
            self._share(carry, portion.examples)
        counts = portion.batches.counts(call.start, call.turns).numpy()
        sums = []
        for chosen, count in zip(call.rows, counts):
            self._write(carry, chosen, count, call.origin)
            self._compute()
            sums.append([s.copy() for s in self._sums])
            carry = self._update([*self.numbers[1:], *carry])
        return carry, [np.stack(each) for each in zip(*sums)]

    def renew(self, compiled: Compiled, carry: Tensors, hyper: Mapping[str, Tensor]) -> None:
        """Go on with what a callback may have changed; another optimiser makes other programs."""
        if compiled is not self._compiled:
            self._examples = self._kinds = None
        super().renew(compiled, carry, hyper)

    def _share(self, carry: Arrays, examples: Examples) -> None:
        """Put examples where all processes see them; where their kinds are new, a program is made for them."""
        kinds = parallel.kinds_of(examples.leaves)
        if kinds != self._kinds:
            self._begin(self.nested(carry), examples)
            self._kinds = kinds
        for shared, array in zip(self._memory.data, examples.leaves):
            np.copyto(shared, array)
        self._examples = examples

    def _begin(self, carry: Tensors, examples: Examples) -> None:
        """Make the program of a chunk and that of the update, and let the workers have theirs."""
        parameters, state = carry["parameters"], carry["state"]
        chunked = ChunkedRecipe(self._recipe(), self._chunks)
        chunked.check(state)
        place = [np.zeros(self._length, np.int64), np.zeros(2, np.int64), np.zeros(2, np.uint32), self.key]
        try:
            graph = trace(chunked.map, parameters, state, *place, examples.arrays, np.asarray(0))
        except GradloomError as error:
            cut = f"Workers cut this batch of {self._size} into {self._chunks} chunks"
            error.add_note(f"{cut}; see train.MapReduce(chunks=...).")
            raise
        common, slot = graph.input_types[: -len(examples.leaves) - 1], graph.output_types
        task = parallel.Task(
            graph,
            self._executor,
            [(t.shape, t.dtype) for t in common],
            parallel.kinds_of(examples.leaves),
            [(t.shape, t.dtype) for t in slot],
            self._chunks,
        )
        self._memory = task.memory(self._exchange, self._data)
        if self._workers > 1:
            self._crew.begin(task)
            self._compute = self._by_workers
        else:
            self._compute = parallel.Share(task, self._memory, 0, task.chunks)
        self._make_update(chunked, carry)

    def _make_update(self, chunked: ChunkedRecipe, carry: Tensors) -> None:
        """The program of the update, and what tells where the gradient is taken, if that is not at the parameters."""
        parameters, state, optimizer = (carry[name] for name in ("parameters", "state", "optimizer"))
        moved = len(tree.leaves((parameters, state)))
        found = self._memory.slots[0]
        self._sums = found[moved:]
        reduce = jit(chunked.reduce, self._executor, flush_denormals=True)
        prepared = reduce.prepare(parameters, state, self._sums[0], self.hyper, carry)  # gradients are like parameters
        self._update = prepared.program.bound(found[: moved + 1])
        self._lookahead: Program | None = None
        if chunked.looks_ahead:
            lookahead = trace(chunked.lookahead, self.hyper, parameters, optimizer)
            self._lookahead = executors.get(self._executor).compile(lookahead, flush_denormals=True)

    def _by_workers(self) -> None:
        """Let the workers compute, and add up what they leave."""
        self._crew.step()
        self._memory.add(self._left_over)

    def _write(self, carry: Arrays, rows: np.ndarray, count: np.integer, origin: np.ndarray) -> None:
        """What every process must know of a step."""
        part = {name: list(compress(carry, where)) for name, where in self._parts.items()}
        at = part["parameters"]
        if self._lookahead is not None:
            at = self._lookahead([*self.numbers[1:], *at, *part["optimizer"]])
        (step,) = part["step"]
        filled = np.resize(rows, self._length)
        place = np.array([count, step])
        for shared, array in zip(self._memory.common, [*at, *part["state"], filled, place, origin, self.numbers[0]]):
            np.copyto(shared, array)
