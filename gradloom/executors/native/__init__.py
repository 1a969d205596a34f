"""The native executor: a graph compiled to machine code by LLVM.

The files in the order in which a graph becomes a program: ``simplify`` (fewer nodes, by the rules of ``algebra``),
``widen`` (bfloat16 computed in float32), ``layout`` (operands in the order kernels want), ``narrow`` (bfloat16 read in
pairs, ``dots``), ``fuse`` (which nodes share a loop; ``loops`` says what a loop nest is, ``kernel`` what a kernel),
``bases``, ``split``, ``pack`` and ``rows`` (kernels cut and joined), ``plan`` (loops, branches, memory), ``kernels/``
(one file a family, written with ``builder``, ``blocks``, ``scalars`` and ``vectormath``), ``module`` (the program that
makes the ``calls``), ``sharing`` and ``gates`` (how threads share a kernel, how they wait), ``compile`` and
``translate`` (LLVM), ``program`` (the call, with a ``workspace``, ``signals`` and a ``team``).  ``planning`` goes
through all of this; what a call needs of it is the ``outline``, which is ``kept`` on disk under the ``digest`` of the
graph.
"""
