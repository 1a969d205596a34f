"""LLVM: from the text of a module to code in memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from gradloom.executors.native.target import Target, llvm, machine

HOST = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.POINTER(ctypes.c_void_p))
_ARGUMENTS = (ctypes.c_int64, ctypes.c_int64, *(ctypes.c_void_p,) * 4)


@dataclass(frozen=True)
class Code:
    """A program's machine code; ``engine`` keeps it alive."""

    function: Any
    engine: Any


def compile_module(text: str, target: Target) -> Code:
    """Optimise and load a module whose function ``program`` takes (thread, threads, table, arena, state, host)."""
    binding, generator = llvm(), machine(target)
    module = binding.parse_assembly(text)
    module.verify()
    # The kernels are vectorised already; LLVM's own vectorisers would only cost time.
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = binding.create_pass_builder(generator, options)
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, machine(target))
    engine.finalize_object()
    return Code(ctypes.CFUNCTYPE(None, *_ARGUMENTS)(engine.get_function_address("program")), engine)
