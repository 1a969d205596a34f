"""Separate the base of a scatter from its updates.

Adding at positions is done in the memory of the result.  Its base is copied there by a plain loop first, on all
threads; where the result is written in place of a carried base (plan.py) nothing is copied, and only the rows whose
positions occur are touched.  Before → after:

    scatter_add(base, i, u)   →   result = base;   result[i] += u
"""

from __future__ import annotations

from gradloom.executors.native.kernel import SCATTERS, Kernel, Region
from gradloom.executors.native.loops import Affine, Block, contiguous


def separate_bases(kernels: list[Kernel]) -> list[Kernel]:
    """The kernels with a copy in front of each scatter that needs one."""
    separated: list[Kernel] = []
    for kernel in kernels:
        if kernel.core is not None and kernel.core.op in SCATTERS and kernel.block.code:
            base, node = kernel.core.inputs[0], kernel.core
            whole = Region(node, base, 0.0, Affine(0, contiguous(node.shape)))
            separated.append(Kernel(kernel.shape, region=whole, block=kernel.block, stores=kernel.stores[:1]))
            drop_base(kernel)
        separated.append(kernel)
    return separated


def drop_base(kernel: Kernel) -> None:
    """Leave only the updates of a scatter: its result holds the base already."""
    kernel.block, kernel.stores = Block(), kernel.stores[1:]
