"""LLVM: from the text of a module to code in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradloom import config
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.target import Target, llvm, machine

_FORMAT = "2"  # to be raised when the same text shall give other code

compiled = 0
"""How many modules LLVM has compiled in this process; entries found in the cache do not count."""


@dataclass(frozen=True)
class Code:
    """Machine code in memory, which lives as long as ``engine``."""

    engine: Any

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self.engine.get_function_address(name)

    def function(self, name: str, arguments: int) -> Callable[..., None]:
        """A function of so many integers and addresses, to be called from Python; the caller keeps this object."""
        return ctypes.CFUNCTYPE(None, *(ctypes.c_int64,) * arguments)(self.address(name))


def compile_module(text: str, target: Target) -> Code:
    """Code for a module's text.

    Raises:
        RuntimeError: LLVM refuses the text.
    """
    binding = llvm()
    version = ".".join(map(str, binding.llvm_version_info))
    key = "\n".join((_FORMAT, version, target.cpu, target.features, target.triple, text))
    code = ObjectCache(config.cache_folder()).get(key, lambda: _object_code(text, target))
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine(target))
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Code(engine)


def check(text: str) -> None:
    """Let LLVM read and verify a module's text.

    Raises:
        RuntimeError: LLVM refuses the text.
    """
    llvm().parse_assembly(text).verify()


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
