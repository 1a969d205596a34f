"""Work that is done ahead: the next item of an iterator is made on a thread while this one is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """The items in order, each made while the one before it is used; an error in making one is raised in its place.

    NumPy and compiled programs let go of the interpreter while they compute, so both threads run at once.  At most
    one item is made that nobody takes.
    """
    supply = iter(items)
    done = object()
    with ThreadPoolExecutor(1, thread_name_prefix="gradloom-ahead") as pool:

        def delivered() -> Iterator[T]:
            coming = pool.submit(next, supply, done)
            while (item := coming.result()) is not done:
                coming = pool.submit(next, supply, done)
                yield item  # type: ignore[misc]

        yield delivered()
