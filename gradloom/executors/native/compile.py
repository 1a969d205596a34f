"""LLVM: from the text of a module to code in memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from gradloom import config
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.target import Target, llvm, machine

HOST = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.POINTER(ctypes.c_void_p))
_ARGUMENTS = (ctypes.c_int64, ctypes.c_int64, *(ctypes.c_void_p,) * 4)
_FORMAT = "1"  # to be raised when the same text shall give other code

compiled = 0
"""How many modules LLVM has compiled in this process; entries found in the cache do not count."""


@dataclass(frozen=True)
class Code:
    """A program's machine code; ``engine`` keeps it alive."""

    function: Any
    engine: Any


def compile_module(text: str, target: Target) -> Code:
    """Code for a module whose function ``program`` takes (thread, threads, table, arena, state, host)."""
    binding = llvm()
    version = ".".join(map(str, binding.llvm_version_info))
    key = "\n".join((_FORMAT, version, target.cpu, target.features, text))
    code = ObjectCache(config.cache_folder()).get(key, lambda: _object_code(text, target))
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine(target))
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Code(ctypes.CFUNCTYPE(None, *_ARGUMENTS)(engine.get_function_address("program")), engine)


def _object_code(text: str, target: Target) -> bytes:
    """Translate a module."""
    global compiled
    compiled += 1
    binding, generator = llvm(), machine(target)
    module = binding.parse_assembly(text)
    module.verify()
    # The kernels are written as they should run: vectorised, with their addresses shared and their loops in place.
    # LLVM's optimiser would take twice the time of its code generator and change the speed by a few percent.
    return generator.emit_object(module)
