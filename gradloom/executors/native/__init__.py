"""The native executor: a graph compiled to machine code by LLVM.

The files in the order in which a graph becomes a program: ``layout`` (operands in the order kernels want), ``fuse``
(which nodes share a loop; ``loops`` says what a loop nest is), ``memory`` (where buffers lie), ``kernels/`` (one file a
family, written with ``builder``, ``blocks``, ``scalars`` and ``vectormath``), ``module`` (the program that calls them),
``barrier`` (how its threads wait), ``compile`` (LLVM), ``program`` (the call, with a ``workspace`` and a ``team``).
"""
