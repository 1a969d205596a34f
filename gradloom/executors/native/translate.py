"""LLVM's code generator on several threads at once.

llvmlite lets one thread at a time into LLVM, for its users may share modules.  Here nothing is shared: each text is
read into a context of its own and each thread has a code generator, as LLVM asks of programs with threads.  So the
call that takes nearly all of the time goes past llvmlite's lock, straight to the library; the GIL is free meanwhile.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from gradloom.executors.native.machine import llvm

_OBJECT = 1
"""Object code is asked for, not assembly."""


def translate(text: str, generator: Any) -> bytes:
    """The object code of a module's text, by a code generator that no other thread uses.

    Raises:
        RuntimeError: LLVM refuses the text.
    """
    binding = llvm()
    with binding.create_context() as context, binding.parse_assembly(text, context) as module:
        module.verify()
        # The kernels are written as they should run: vectorised, with their addresses shared and their loops in place.
        # LLVM's optimiser would take twice the time of its code generator and change the speed by a few percent.
        return _emitted(generator, module)


def _emitted(generator: Any, module: Any) -> bytes:
    """What llvmlite's ``emit_object`` does, without its lock."""
    library, problem = _library(), ctypes.c_char_p()
    buffer = library.LLVMPY_TargetMachineEmitToMemory(generator, module, _OBJECT, ctypes.byref(problem))
    if not buffer:
        raise RuntimeError((problem.value or b"no message").decode(errors="replace"))
    try:
        return ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


@lru_cache
def _library() -> ctypes.CDLL:
    """The library that llvmlite has loaded, by a handle whose calls take no lock."""
    library, pointer = ctypes.CDLL(llvm().ffi.lib._name), ctypes.c_void_p
    for name, result, arguments in (
        ("LLVMPY_TargetMachineEmitToMemory", pointer, (pointer, pointer, ctypes.c_int, pointer)),
        ("LLVMPY_GetBufferStart", pointer, (pointer,)),
        ("LLVMPY_GetBufferSize", ctypes.c_size_t, (pointer,)),
        ("LLVMPY_DisposeMemoryBuffer", None, (pointer,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
