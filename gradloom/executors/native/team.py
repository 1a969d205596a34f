"""The threads that run a program beside its caller.

A worker is a Python thread that stays inside native code, without the interpreter's lock: it waits at a gate of its
own, runs its part of a program, and waits again.  A program's threads wait for each other, so all of them must run at
once: the team works for one caller at a time, and who finds it busy runs the program alone.  The bits are the same.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import lru_cache

from gradloom import limits
from gradloom.executors.native.barrier import GATE_BYTES, SPINS, gates
from gradloom.executors.native.compile import Code, compile_module
from gradloom.executors.native.target import host
from gradloom.executors.native.workspace import address, aligned

# A team's board begins with the six words of a job: function, threads, and the function's other arguments.  The next
# word says how often to look at a gate before sleeping.  Then come the gates: the first counts the workers that are
# done, the others count the jobs of each worker.
_SPINS = 6
_LEAVE = (0, 0, 0, 0, 0)
_CODE = f"""
; The part of thread number %thread.
define internal void @work(ptr %board, i64 %thread) nounwind {{
  %threads.at = getelementptr i64, ptr %board, i64 1
  %table.at = getelementptr i64, ptr %board, i64 2
  %arena.at = getelementptr i64, ptr %board, i64 3
  %state.at = getelementptr i64, ptr %board, i64 4
  %host.at = getelementptr i64, ptr %board, i64 5
  %function = load ptr, ptr %board, align 8
  %threads = load i64, ptr %threads.at, align 8
  %table = load ptr, ptr %table.at, align 8
  %arena = load ptr, ptr %arena.at, align 8
  %state = load ptr, ptr %state.at, align 8
  %host = load ptr, ptr %host.at, align 8
  call void %function(i64 %thread, i64 %threads, ptr %table, ptr %arena, ptr %state, ptr %host)
  ret void
}}

; What a worker does until there is a job without a function.
define void @serve(ptr %board, i64 %thread) nounwind {{
entry:
  %done = getelementptr i8, ptr %board, i64 {GATE_BYTES}
  %distance = mul i64 %thread, {GATE_BYTES}
  %mine = getelementptr i8, ptr %done, i64 %distance
  %spins.at = getelementptr i64, ptr %board, i64 {_SPINS}
  br label %rest
rest:
  %jobs = phi i32 [ 0, %entry ], [ %next, %job ]
  %next = add i32 %jobs, 1
  %spins = load i64, ptr %spins.at, align 8
  call void @wait(ptr %mine, i32 %jobs, i64 %spins)
  %function = load ptr, ptr %board, align 8
  %none = icmp eq ptr %function, null
  br i1 %none, label %leave, label %job
job:
  call void @work(ptr %board, i64 %thread)
  %1 = atomicrmw add ptr %done, i32 1 seq_cst
  call void @wake(ptr %done)
  br label %rest
leave:
  ret void
}}

; Calls the workers from 1 to %threads - 1, does the caller's part, and waits until they are done.
define void @launch(ptr %board, i64 %threads) nounwind {{
entry:
  %done = getelementptr i8, ptr %board, i64 {GATE_BYTES}
  store atomic i32 0, ptr %done seq_cst, align 4
  %function = load ptr, ptr %board, align 8
  %none = icmp eq ptr %function, null
  br label %call
call:
  %thread = phi i64 [ 1, %entry ], [ %following, %call ]
  %distance = mul i64 %thread, {GATE_BYTES}
  %gate = getelementptr i8, ptr %done, i64 %distance
  %1 = atomicrmw add ptr %gate, i32 1 seq_cst
  call void @wake(ptr %gate)
  %following = add i64 %thread, 1
  %more = icmp slt i64 %following, %threads
  br i1 %more, label %call, label %called
called:
  br i1 %none, label %over, label %job
job:
  call void @work(ptr %board, i64 0)
  %spins.at = getelementptr i64, ptr %board, i64 {_SPINS}
  %spins = load i64, ptr %spins.at, align 8
  %workers = trunc i64 %threads to i32
  %wanted = sub i32 %workers, 1
  br label %check
check:
  %ready = load atomic i32, ptr %done acquire, align 4
  %all = icmp eq i32 %ready, %wanted
  br i1 %all, label %over, label %missing
missing:
  call void @wait(ptr %done, i32 %ready, i64 %spins)
  br label %check
over:
  ret void
}}
"""


@lru_cache
def _code() -> Code:
    return compile_module(gates(host()) + _CODE, host())


Job = tuple[int, int, int, int, int]
"""The addresses of a program's function, table, arena, state and host callback (0 is none)."""


class Team:
    """Workers, started when they are first needed.  A process has one team, :data:`TEAM`."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all workers, as a forked process must: it has none of its parent's threads."""
        self._busy = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._board = aligned(0)

    def looks(self, threads: int) -> int:
        """How often so many threads look at a gate before they sleep: not at all if they lack processors."""
        return SPINS if threads <= _processors() else 0

    def run(self, threads: int, job: Job) -> bool:
        """Run a job on so many threads, at least 2, the caller's included.

        Returns:
            False if it was not run, because the team works for another caller or threads cannot be had.
        """
        if not self._busy.acquire(blocking=False):
            return False
        try:
            if threads > len(self._workers) + 1:
                self._gather(threads - 1)
            if threads > len(self._workers) + 1:
                return False
            self._post(threads, job)
            return True
        finally:
            self._busy.release()

    def dismiss(self) -> None:
        """End the workers, unless another thread's program keeps them busy for long."""
        if self._busy.acquire(timeout=1.0):
            self._disband()
            self._busy.release()

    def _gather(self, count: int) -> None:
        """Start so many workers in place of the present ones; there are none afterwards if the system refuses."""
        self._disband()
        self._board = aligned(GATE_BYTES * (count + 2))
        serve, self._launch = _code().function("serve", 2), _code().function("launch", 2)
        try:
            for number in range(1, count + 1):
                worker = threading.Thread(
                    target=serve, args=(address(self._board), number), name=f"gradloom-{number}", daemon=True
                )
                worker.start()
                self._workers.append(worker)
        except RuntimeError:
            self._disband()

    def _disband(self) -> None:
        if self._workers:
            self._post(len(self._workers) + 1, _LEAVE)
        for worker in self._workers:
            worker.join()
        self._workers = []

    def _post(self, threads: int, job: Job) -> None:
        function, *rest = job
        self._board[: _SPINS + 1] = function, threads, *rest, self.looks(threads)
        self._launch(address(self._board), threads)


@lru_cache
def _processors() -> int:
    return limits.processors()


TEAM = Team()
atexit.register(TEAM.dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TEAM.start_anew)
