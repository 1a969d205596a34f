"""How threads wait for each other, as LLVM text.

A *gate* is two 32-bit words on a cache line of their own: a number that waiting threads watch, and how many of them
sleep.  A thread that waits watches the number closely for some tens of microseconds, which is how far apart the
threads of a balanced kernel are.  Then it offers its processor to others between two looks, for the half millisecond
that may pass between calls of programs one after the other: waking a thread that sleeps takes as long or longer.  Then
it sleeps.  Linux has calls for this (futex: Franke, Russell, Kirkwood, "Fuss, Futexes and Furwocks", 2002); elsewhere a
thread sleeps for a moment and looks again.
"""

from __future__ import annotations

from gradloom.executors.native.target import Target

LOOKS = 2000
"""How often a thread looks at a gate closely, where every thread has a processor, and how often again between offers of
its processor.  On the machines that this was measured on the first takes 20 microseconds, the second 500."""

GATE_BYTES = 128
"""From gate to gate: two cache lines, for processors fetch lines in pairs."""

_RELAX = {
    "x86": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "arm": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
"""What tells a processor that a thread waits in a loop: declaration and call."""

_WAIT = """
; Returns when the gate's number is no longer %seen.
define internal void @wait(ptr %gate, i32 %seen, i64 %looks) nounwind noinline {{
entry:
  %both = shl i64 %looks, 1
  br label %look
look:
  %looked = phi i64 [ 0, %entry ], [ %more, %relax ], [ %more, %offer ]
  %now = load atomic i32, ptr %gate acquire, align 4
  %same = icmp eq i32 %now, %seen
  br i1 %same, label %still, label %done
still:
  %more = add i64 %looked, 1
  %close = icmp ule i64 %more, %looks
  br i1 %close, label %relax, label %long
relax:
  {relax}
  br label %look
long:
  %awake = icmp ule i64 %more, %both
  br i1 %awake, label %offer, label %sleep
offer:
  %1 = call i32 @{offer}()
  br label %look
sleep:
  call void @sleep_at(ptr %gate, i32 %seen)
  %later = load atomic i32, ptr %gate acquire, align 4
  %unchanged = icmp eq i32 %later, %seen
  br i1 %unchanged, label %sleep, label %done
done:
  ret void
}}

declare i32 @{offer}()
"""

_FUTEX = """
declare i64 @syscall(i64, ...)

; The system lets the thread sleep only if the number is still %seen when it looks, so no waking is lost.
define internal void @sleep_at(ptr %gate, i32 %seen) nounwind noinline {{
  %sleepers = getelementptr i8, ptr %gate, i64 4
  %1 = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %2 = call i64 (i64, ...) @syscall(i64 {futex}, ptr %gate, i32 128, i32 %seen, ptr null)
  %3 = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  ret void
}}

; To be called after the gate's number has changed.
define internal void @wake(ptr %gate) nounwind {{
  %sleepers = getelementptr i8, ptr %gate, i64 4
  %count = load atomic i32, ptr %sleepers seq_cst, align 4
  %none = icmp eq i32 %count, 0
  br i1 %none, label %done, label %sleeping
sleeping:
  %1 = call i64 (i64, ...) @syscall(i64 {futex}, ptr %gate, i32 129, i32 2147483647)
  br label %done
done:
  ret void
}}
"""

_PAUSING = """
declare {result} @{pause}(i32)

define internal void @sleep_at(ptr %gate, i32 %seen) nounwind noinline {{
  call {result} @{pause}(i32 {moment})
  ret void
}}

define internal void @wake(ptr %gate) nounwind {{
  ret void
}}
"""


def gates(target: Target) -> str:
    """The functions ``wait(gate, number seen, looks)`` and ``wake(gate)`` for a machine."""
    declaration, relax = _RELAX.get(target.architecture, ("", ""))
    offer = "SwitchToThread" if target.system == "win32" else "sched_yield"
    return "\n".join([declaration, _WAIT.format(relax=relax, offer=offer), _sleeping(target)])


def _sleeping(target: Target) -> str:
    """The functions ``sleep_at(gate, number seen)``, which returns after a moment or when woken, and ``wake``."""
    futex = {"x86": 202, "arm": 98}.get(target.architecture)
    if target.system == "linux" and futex:
        return _FUTEX.format(futex=futex)
    if target.system == "win32":
        return _PAUSING.format(pause="Sleep", result="void", moment=1)  # milliseconds
    return _PAUSING.format(pause="usleep", result="i32", moment=50)  # microseconds
