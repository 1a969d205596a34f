"""The questions that are asked, one file each.

A part has a ``TITLE``, a ``NOTE`` on what is in the figures, ``measure(rounds)``, ``show(found)`` for the tables and
``goals(found)``.
"""

from __future__ import annotations

from types import ModuleType

from benchmarks.parts import (
    compiling,
    convolutions,
    derivatives,
    disk,
    fit,
    matmul,
    memory,
    predict,
    startup,
    steps,
    sweep,
    vision,
    workers,
)

PARTS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        *(steps, sweep, vision, matmul, convolutions, fit, workers),
        *(predict, derivatives, startup, compiling, memory, disk),
    )
}
"""By name, in the order of RESULTS.md."""
