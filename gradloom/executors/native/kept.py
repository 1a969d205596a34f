"""Outlines of programs on disk, so that a graph is planned once and not once a process.

An entry lies beside the code of the kernels and is as safe (see cache.py).  It is named by all that a plan depends on:
the graph, the machine, the compiler's source, the versions of LLVM and NumPy (which computes constants).
"""

from __future__ import annotations

import numpy as np

from gradloom import config
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.compile import Code, Written, key_of, known
from gradloom.executors.native.digest import digest
from gradloom.executors.native.outline import Outline
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Graph


def find(key: str | None, target: Target) -> tuple[Outline, list[Code]] | None:
    """A program's outline and all of its code, if nothing of it is missing."""
    data = ObjectCache(config.cache_folder()).find(key) if key else None
    if data is None:
        return None
    outline = Outline.from_bytes(data)
    codes = known(outline.keys, target)
    return None if codes is None else (outline, codes)


def keep(key: str | None, outline: Outline) -> None:
    """Write an outline for the processes that come."""
    if key and outline.can_be_kept:
        ObjectCache(config.cache_folder()).keep(key, outline.to_bytes())


def name_of(graph: Graph, target: Target, *, flush: bool) -> str | None:
    """The name of a graph's outline; None where it has none or nothing is kept."""
    what = digest(graph) if config.cache_folder() is not None else None
    return what and key_of(Written(f"outline {what} {flush} {np.__version__}"), target)
