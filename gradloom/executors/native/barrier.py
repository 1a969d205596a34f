"""How threads wait for each other, as LLVM text: gates, and the barrier between kernels.

A *gate* is two 32-bit words on a cache line of their own: a number that waiting threads watch, and how many of them
sleep.  A thread that waits watches the number closely for some tens of microseconds, which is how far apart the
threads of a balanced kernel are; then it sleeps, so that whatever keeps the others from coming gets the processor.
Linux has calls for this (futex: Franke, Russell, Kirkwood, "Fuss, Futexes and Furwocks", 2002); elsewhere a thread
offers its processor to others for a while, then sleeps for a moment and looks again.
"""

from __future__ import annotations

from gradloom.executors.native.target import Target

SPINS = 1000
"""How often a thread looks at a gate before it sleeps, where every thread has a processor."""

GATE_BYTES = 128
"""From gate to gate: two cache lines, for processors fetch lines in pairs."""

SPINS_SLOT = 33
"""Where a program's state (of 8-byte words) says how often to look; the barrier's counter is word 0, its gate 16."""

_RELAX = {
    "x86": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "arm": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
"""What tells a processor that a thread waits in a loop: declaration and call."""

_WAIT = """
; Returns when the gate's number is no longer %seen.
define internal void @wait(ptr %gate, i32 %seen, i64 %spins) nounwind noinline {{
entry:
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %again ]
  %now = load atomic i32, ptr %gate acquire, align 4
  %same = icmp eq i32 %now, %seen
  br i1 %same, label %still, label %done
still:
  %more = add i64 %looks, 1
  %long = icmp ugt i64 %more, %spins
  br i1 %long, label %sleep, label %again
again:
  {relax}
  br label %look
sleep:
  call void @sleep_at(ptr %gate, i32 %seen)
  %later = load atomic i32, ptr %gate acquire, align 4
  %unchanged = icmp eq i32 %later, %seen
  br i1 %unchanged, label %sleep, label %done
done:
  ret void
}}
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

_POLLING = """
declare i32 @{offer}()
declare {result} @{pause}(i32)

define internal void @sleep_at(ptr %gate, i32 %seen) nounwind noinline {{
entry:
  br label %offer
offer:
  %offers = phi i32 [ 0, %entry ], [ %more, %again ]
  %1 = call i32 @{offer}()
  %now = load atomic i32, ptr %gate acquire, align 4
  %same = icmp eq i32 %now, %seen
  br i1 %same, label %again, label %done
again:
  %more = add i32 %offers, 1
  %long = icmp ugt i32 %more, 100
  br i1 %long, label %pause, label %offer
pause:
  call {result} @{pause}(i32 {moment})
  br label %done
done:
  ret void
}}

define internal void @wake(ptr %gate) nounwind {{
  ret void
}}
"""

_BARRIER = """
; All threads wait here until the last has come.
define internal void @barrier(ptr %state, i64 %threads) nounwind noinline {
entry:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %gate = getelementptr i8, ptr %state, i64 128
  %turn = load atomic i32, ptr %gate acquire, align 4
  %before = atomicrmw add ptr %state, i64 1 acq_rel
  %others = sub i64 %threads, 1
  %last = icmp eq i64 %before, %others
  br i1 %last, label %release, label %wait
release:
  store atomic i64 0, ptr %state monotonic, align 8
  %1 = atomicrmw add ptr %gate, i32 1 seq_cst
  call void @wake(ptr %gate)
  br label %done
wait:
  %place = getelementptr i64, ptr %state, i64 SPINS_SLOT
  %spins = load i64, ptr %place, align 8
  call void @wait(ptr %gate, i32 %turn, i64 %spins)
  br label %done
done:
  ret void
}
""".replace("SPINS_SLOT", str(SPINS_SLOT))


def gates(target: Target) -> str:
    """The functions ``wait(gate, number seen, looks)`` and ``wake(gate)`` for a machine."""
    declaration, relax = _RELAX.get(target.architecture, ("", ""))
    return "\n".join([declaration, _WAIT.format(relax=relax), _sleeping(target)])


def barrier(target: Target) -> str:
    """The function ``barrier(state, threads)``, with the gates it is made of."""
    return gates(target) + _BARRIER


def _sleeping(target: Target) -> str:
    """The functions ``sleep_at(gate, number seen)``, which returns after a moment or when woken, and ``wake``."""
    futex = {"x86": 202, "arm": 98}.get(target.architecture)
    if target.system == "linux" and futex:
        return _FUTEX.format(futex=futex)
    if target.system == "win32":
        return _POLLING.format(offer="SwitchToThread", pause="Sleep", result="void", moment=1)  # milliseconds
    return _POLLING.format(offer="sched_yield", pause="usleep", result="i32", moment=50)  # microseconds
