"""Loops, branches and regions: primitives whose attributes are graphs.

A transformation must be applied to the graphs inside as well, so these primitives carry a
:class:`~gradloom.ops.control.nested.Nested` record, whose rules are handed the transformation itself.  A graph inside
never refers to values outside it: what it uses of them is passed as an operand.
"""

from gradloom.ops.control.branching import cond
from gradloom.ops.control.nested import Batching, Forward, MaybeNodes, Nested, Results, Transposition, results
from gradloom.ops.control.regions import checkpoint
from gradloom.ops.control.scanning import scan, turns_of
from gradloom.ops.control.whiles import while_loop

__all__ = [
    "Batching",
    "Forward",
    "MaybeNodes",
    "Nested",
    "Results",
    "Transposition",
    "checkpoint",
    "cond",
    "results",
    "scan",
    "turns_of",
    "while_loop",
]
