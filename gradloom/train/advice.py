"""Whether workers will help: a step's time in one process and among several, from what it computes and moves.

A single process already uses every processor, through the threads of the compiled program.  Workers save what those
threads wait for each other, and pay for it: each chunk makes a gradient as large as that of the whole batch, which is
copied and added up, and every step begins and ends with a message.  So they help where a step is long and the model
small, as in convolutional networks, or where programs run on one thread (``GRADLOOM_THREADS=1``); not for small steps,
nor for wide dense layers.
"""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache

from gradloom import config, limits
from gradloom.records import dataclass

_REACHED = 0.5
"""The share of the processor's peak that kernels reach in the mean."""
_UNSHARED = 0.1
"""The part of a step's computing that its threads do not share: small kernels, and waiting for each other."""
_STEP = 20e-6
"""Seconds that a step of one process costs however small it is."""
_CALL = 40e-6
"""Seconds that a chunk costs beside its computing."""
_TURNS = 50


@dataclass(frozen=True)
class Machine:
    """What a machine can do.

    Attributes:
        processors: that this process may use.
        flops: operations a second of a thread, at its peak.
        bandwidth: bytes a second that all threads together move.
        message: seconds from a message to a sleeping process until it runs.
    """

    processors: int
    flops: float
    bandwidth: float
    message: float

    @staticmethod
    @lru_cache
    def measured(size: int = 2**26) -> Machine:
        """This machine, measured in some tenths of a second, once a process.

        Args:
            size: bytes that a step moves; few lie in caches, which are faster.
        """
        from gradloom.executors.native import peak  # noqa: PLC0415

        processors = limits.processors()
        return Machine(processors, peak.peak_flops(1), peak.bandwidth_for(size, processors), _message_seconds())


@dataclass(frozen=True)
class Work:
    """What a training step takes.

    Attributes:
        operations: additions and multiplications, forward and backward.
        parameters: their bytes, which are those of a gradient.
        optimizer: bytes of what the optimiser keeps.
    """

    operations: float
    parameters: float
    optimizer: float


@dataclass(frozen=True)
class Advice:
    """What the cost model says of workers; prints as a sentence.

    Attributes:
        workers: how many.
        alone: seconds of a step in one process.
        computing: seconds in which the worker with the most chunks computes them.
        exchanging: seconds for messages, sums over workers, the update, and handing out the parameters.
        gradients: bytes of a gradient.
    """

    workers: int
    alone: float
    computing: float
    exchanging: float
    gradients: float

    @property
    def helps(self) -> bool:
        """Whether a step is quicker among the workers."""
        return self.computing + self.exchanging < self.alone

    def __str__(self) -> str:
        together = f"{_milliseconds(self.computing)} and exchanging {self.gradients / 1e6:.2g} MB of gradients"
        verdict = f"{self.workers} workers are faster" if self.helps else "one process is faster"
        return (
            f"a step takes about {_milliseconds(self.alone)} in one process; computing among {self.workers} workers "
            f"takes {together} {_milliseconds(self.exchanging)}: {verdict}"
        )


def advise(work: Work, workers: int, chunks: int, machine: Machine, threads: int | None = None) -> Advice:
    """Estimate a step.

    Args:
        work: what a step takes.
        workers: processes.
        chunks: parts of a batch.
        machine: what it runs on.
        threads: of a program in one process; those of the settings by default.  Workers share them.
    """
    all_threads = config.threads() if threads is None else threads
    gradient, update = work.parameters, 3 * work.parameters + 2 * work.optimizer

    def computing(operations: float, threads: int) -> float:
        running = min(threads, machine.processors)
        return operations / (machine.flops * _REACHED) * (_UNSHARED + (1 - _UNSHARED) / running)

    def moving(moved: float) -> float:
        return moved / machine.bandwidth

    # Weights are read forward and backward, their gradient is written.
    alone = _STEP + computing(work.operations, all_threads) + moving(3 * gradient + update)
    crowd = max(1.0, workers / machine.processors)
    # A chunk moves as much, and its gradient is copied and added to another.
    chunk = crowd * (computing(work.operations / chunks, max(1, all_threads // workers)) + _CALL)
    chunk += min(workers, chunks) * moving(8 * gradient)
    exchange = 3 * (workers - 1) * gradient + update + 2 * gradient
    exchanging = moving(exchange) + _CALL + (2 * workers * machine.message if workers > 1 else 0)
    return Advice(workers, alone, -(-chunks // workers) * chunk, exchanging, gradient)


def _message_seconds() -> float:
    """The time from a write to a pipe until a thread that waits for it has answered, halved."""
    (there, to), (back, answer) = os.pipe(), os.pipe()

    def serve() -> None:
        while os.read(there, 1) == b"1":
            os.write(answer, b"1")

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        start = time.perf_counter()
        for _ in range(_TURNS):
            os.write(to, b"1")
            os.read(back, 1)
        return (time.perf_counter() - start) / (2 * _TURNS)
    finally:
        os.write(to, b"0")
        server.join()
        for file in (there, to, back, answer):
            os.close(file)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms"
