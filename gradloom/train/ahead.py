"""Work that is done ahead: the next item of an iterator is made on a thread while this one is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """The items in order, each made while the one before it is used; an error in making one is raised in its place.

    NumPy and compiled programs let go of the interpreter while they compute, so both threads run at once.  At most
    one item is made that nobody takes.
    """
    supply, done = iter(items), object()
    wanted: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def make() -> None:
        while wanted.get():
            try:
                made.put((next(supply, done), None))
            except BaseException as problem:
                made.put((done, problem))

    def delivered() -> Iterator[T]:
        wanted.put(True)
        while True:
            item, problem = made.get()
            if problem is not None:
                raise problem
            if item is done:
                return
            wanted.put(True)
            yield item

    thread = Thread(target=make, name="gradloom-ahead")
    thread.start()
    try:
        yield delivered()
    finally:
        wanted.put(False)
        thread.join()
