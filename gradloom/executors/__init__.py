"""From graph to program.  :func:`get` finds an executor by name."""

from __future__ import annotations

from gradloom.errors import unknown_name
from gradloom.executors.base import Executor
from gradloom.executors.native.executor import NativeExecutor
from gradloom.executors.reference import ReferenceExecutor

_EXECUTORS: dict[str, Executor] = {executor.name: executor for executor in (ReferenceExecutor(), NativeExecutor())}

DEFAULT = "native"


def get(name: str) -> Executor:
    """The executor of this name.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in _EXECUTORS:
        raise unknown_name("executor", "executor", name, _EXECUTORS)
    return _EXECUTORS[name]
