"""Numbers too small for a full mantissa, which processors compute a hundred times more slowly, taken for 0.

Training makes them without end: the first moment of Adam decays by a factor where a gradient stays 0, until rounding
keeps it at the least number above 0; gradients through long loops vanish.  A program may switch them off for as long
as it runs, on each of its threads.
"""

from __future__ import annotations

from collections.abc import Callable

from gradloom.executors.native.builder import Function
from gradloom.executors.native.target import Target

_X86_FLUSH = 0x8040  # of the register MXCSR: results that are denormal become 0, and operands are taken for 0
_ARM_FLUSH = 1 << 24  # of the register FPCR: both

_X86_DECLARATIONS = ("declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)")
_ARM_DECLARATIONS = ("declare i64 @llvm.aarch64.get.fpcr()", "declare void @llvm.aarch64.set.fpcr(i64)")


def flush_denormals(function: Function, target: Target) -> Callable[[], None]:
    """Let a function compute with 0 in place of denormal numbers; what is returned writes the way back."""
    if target.architecture == "arm":
        return _set_arm(function)
    if target.architecture == "x86":
        return _set_x86(function)
    return lambda: None


def _set_x86(function: Function) -> Callable[[], None]:
    for declaration in _X86_DECLARATIONS:
        function.declare(declaration)
    before, now = function.local("i32", 4), function.local("i32", 4)
    function.do(f"call void @llvm.x86.sse.stmxcsr(ptr {before.text})")
    changed = function.emit("i32", f"or i32 {function.load(before, 'i32', 4).text}, {_X86_FLUSH}")
    function.store(changed, now, 4)
    function.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {now.text})")
    return lambda: function.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {before.text})")


def _set_arm(function: Function) -> Callable[[], None]:
    for declaration in _ARM_DECLARATIONS:
        function.declare(declaration)
    before = function.emit("i64", "call i64 @llvm.aarch64.get.fpcr()")
    changed = function.emit("i64", f"or i64 {before.text}, {_ARM_FLUSH}")
    function.do(f"call void @llvm.aarch64.set.fpcr(i64 {changed.text})")
    return lambda: function.do(f"call void @llvm.aarch64.set.fpcr(i64 {before.text})")


def modes(target: Target) -> tuple[tuple[str, ...], str, str]:
    """Declarations, and code that keeps a thread's modes of arithmetic at ``%modes.at`` or takes them from there."""
    if target.architecture == "x86":
        keep, take = (f"call void @llvm.x86.sse.{word}(ptr %modes.at)" for word in ("stmxcsr", "ldmxcsr"))
        return _X86_DECLARATIONS, keep, take
    if target.architecture == "arm":
        keep = "%modes = call i64 @llvm.aarch64.get.fpcr()\n  store i64 %modes, ptr %modes.at, align 8"
        take = "%modes = load i64, ptr %modes.at, align 8\n  call void @llvm.aarch64.set.fpcr(i64 %modes)"
        return _ARM_DECLARATIONS, keep, take
    return (), "", ""
