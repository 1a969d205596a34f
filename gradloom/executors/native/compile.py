"""LLVM: from the text of a module to code in memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from gradloom.executors.native.target import Target, machine

HOST = ctypes.CFUNCTYPE(None, ctypes.c_int64)
_ARGUMENTS = (ctypes.c_int64, ctypes.c_int64, *(ctypes.c_void_p,) * 4)


@dataclass(frozen=True)
class Code:
    """A program's machine code; ``engine`` keeps it alive."""

    function: Any
    engine: Any


def compile_module(text: str, target: Target) -> Code:
    """Optimise and load a module whose function ``program`` takes (thread, threads, table, arena, state, host)."""
    module = llvm.parse_assembly(text)
    module.verify()
    generator = machine(target)
    # The kernels are vectorised already; LLVM's own vectorisers would only cost time.
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    llvm.create_pass_builder(generator, options).getModulePassManager().run(
        module, llvm.create_pass_builder(generator, options)
    )
    engine = llvm.create_mcjit_compiler(module, machine(target))
    engine.finalize_object()
    address = engine.get_function_address("program")
    return Code(ctypes.CFUNCTYPE(None, *_ARGUMENTS)(address), engine)
