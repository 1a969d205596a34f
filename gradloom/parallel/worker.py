"""What a worker process runs: it waits for its master's word, computes its chunks, and says that it is done.

It ends when its master closes the pipe or dies, for then there is nothing more to read.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from multiprocessing.connection import Connection

from gradloom.errors import GradloomError
from gradloom.parallel.memory import Shared
from gradloom.parallel.serialisation import from_bytes, to_bytes
from gradloom.parallel.share import Share, Task

STEP = b"step"
"""The master's word for a step; anything else is a :class:`gradloom.parallel.share.Task` and a range."""
DONE = b""
"""The worker's word for success; anything else is an error."""


def main() -> None:
    """Serve the master at the other end of the pipe whose number is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the master's affair
    pipe, exchange, data = map(int, sys.argv[1:])
    with contextlib.suppress(EOFError, ConnectionError), Connection(pipe) as connection:
        serve(connection, Shared(exchange), Shared(data))


def serve(connection: Connection, exchange: Shared, data: Shared) -> None:
    """Do what the master says until it says nothing more."""
    share: Share | None = None
    while True:
        word = connection.recv_bytes()
        try:
            if word == STEP:
                assert share is not None, "a task comes before steps"
                share()
            else:
                task, first, last = from_bytes(word)
                assert isinstance(task, Task)
                share = Share(task, task.memory(exchange, data), first, last)
        except Exception as problem:
            told = problem if isinstance(problem, GradloomError) else f"{type(problem).__name__}: {problem}"
            connection.send_bytes(to_bytes(told))
        else:
            connection.send_bytes(DONE)
