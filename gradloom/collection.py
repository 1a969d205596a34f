"""Python's garbage collector rests while a graph is traced, transformed and compiled.

The collector walks all objects again and again while their number grows, in search of cycles that nobody can reach.
The nodes of a graph are all reachable until its program is made, so these walks find nothing, and of a deep network
they are a fifth of the time to compile.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator


class _Rest:
    """When the collector rests.  It belongs to the process, not to a thread, so blocks in all threads are counted."""

    def __init__(self) -> None:
        self.blocks = 0
        self.was_on = False
        self.lock = threading.Lock()

    def begin(self) -> None:
        with self.lock:
            if self.blocks == 0:
                self.was_on = gc.isenabled()
                gc.disable()
            self.blocks += 1

    def end(self) -> None:
        with self.lock:
            self.blocks -= 1
            if self.blocks == 0 and self.was_on:
                gc.enable()


_rest = _Rest()


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Nothing is collected inside; after the last such block of all threads the collector is as it was before."""
    _rest.begin()
    try:
        yield
    finally:
        _rest.end()
