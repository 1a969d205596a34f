"""How a kernel is shared among threads, as LLVM text.

One thread, the program's caller, walks the program.  It does a small kernel itself.  A large one it posts on the
*board* of its team: the units are cut into pieces, and each thread has a row of them that lie side by side, the same in
every kernel of equal size, so that it finds in its caches what it made itself.  A thread takes one piece after the
other from its own row, then what is left in the others'.  So nobody waits for a thread that sleeps or was sent away:
its pieces are done by those that are there, and it joins in when it comes.  Which thread does a piece makes no
difference to the bits.

A row is one 64-bit word: number of the job, first piece left, end.  A thread takes a piece by exchanging this word for
the next, which fails if anybody else was faster or the job is over.  It reads what the job is before: the board is
written anew only when all pieces are done, so a piece that was taken is one of the job that was read.

Who sees what, word by word:

- *What a job is* (function, buffers, ...) is written plainly, before the row (release) and the gate (sequentially
  consistent) of the same line.  A helper reads it behind an acquiring look at its gate.  A helper that comes late may
  read it while the next job is written; what it read counts only if it then takes a piece.  The exchange releases, so
  these reads come before it; and that it succeeds means that a piece of the job was left, so that nothing had been
  written anew.
- *A row* is taken by an exchange that acquires and releases.  Numbers of jobs come again after 2^32, numbers of pieces
  grow within a job: a word that is the same says the same.
- *Pieces done by helpers* are added (sequentially consistent) behind the work, and awaited by acquiring looks.
  Additions follow each other in one order, so who sees the sum sees what all of them wrote.
- *Who sleeps* at a gate is counted before the system compares the gate's number, and read behind the change of that
  number, all sequentially consistent: either the sleeper is seen and woken, or it sees the new number and stays awake.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.executors.native.denormals import modes
from gradloom.executors.native.gates import GATE_BYTES, gates
from gradloom.executors.native.target import Target

SHARED_FROM = 100_000
"""Elementary operations from which a kernel is shared, one or two microseconds of one thread: posting it and waiting
for the others takes half of one."""

PIECE_BITS = 18
"""A row has a piece more for each 2^18 operations of the kernel, but at most ``PIECES``."""

PIECES = 4

THREADS_WORD, LOOKS_WORD, WAKING_WORD = 0, 1, 2
"""Words of a board that its team sets: the threads of a program, how often they look at a gate closely, and whether
helpers that sleep are woken."""

_OWN_WORDS = 64  # where the caller's own words begin: number of jobs, pieces that helpers have done in all of them
_FIRST = 2 * GATE_BYTES

_LAYOUT = """
; A board has the words that a team sets; then the caller's own; then a gate whose number is that of pieces done by
; helpers.  Then comes for each thread, the caller first, what it has to know of a job, on one cache line: 0 its gate,
; whose number is the job's, 8 its row, 16 function, 24 buffers, 32 fault, 40 units, 48 pieces, 56 modes of arithmetic.
"""

_WORK = """
; Do pieces of a job while there are any; gives how many.
define internal i32 @work(ptr %board, i64 %thread, i32 %job) nounwind noinline {{
entry:
  %threads = load i64, ptr %board, align 8
  %first = getelementptr i8, ptr %board, i64 {_FIRST}
  %distance = mul i64 %thread, {GATE_BYTES}
  %line = getelementptr i8, ptr %first, i64 %distance
  %function.at = getelementptr i8, ptr %line, i64 16
  %buffers.at = getelementptr i8, ptr %line, i64 24
  %fault.at = getelementptr i8, ptr %line, i64 32
  %units.at = getelementptr i8, ptr %line, i64 40
  %pieces.at = getelementptr i8, ptr %line, i64 48
  %function = load ptr, ptr %function.at, align 8
  %buffers = load ptr, ptr %buffers.at, align 8
  %fault = load ptr, ptr %fault.at, align 8
  %units = load i64, ptr %units.at, align 8
  %pieces = load i64, ptr %pieces.at, align 8
  br label %rows
rows:
  %others = phi i64 [ 0, %entry ], [ %further, %exhausted ]
  %before = phi i32 [ 0, %entry ], [ %count, %exhausted ]
  %sum = add i64 %thread, %others
  %beyond = icmp uge i64 %sum, %threads
  %around = select i1 %beyond, i64 %threads, i64 0
  %owner = sub i64 %sum, %around
  %way = mul i64 %owner, {GATE_BYTES}
  %theirs = getelementptr i8, ptr %first, i64 %way
  %row = getelementptr i8, ptr %theirs, i64 8
  br label %look
look:
  %count = phi i32 [ %before, %rows ], [ %count, %take ], [ %another, %piece ]
  %word = load atomic i64, ptr %row acquire, align 8
  %high = lshr i64 %word, 32
  %number = trunc i64 %high to i32
  %middle = lshr i64 %word, 16
  %next = and i64 %middle, 65535
  %end = and i64 %word, 65535
  %current = icmp eq i32 %number, %job
  %left = icmp ult i64 %next, %end
  %open = and i1 %current, %left
  br i1 %open, label %take, label %exhausted
take:
  %later = add i64 %word, 65536
  %exchange = cmpxchg ptr %row, i64 %word, i64 %later acq_rel acquire, align 8
  %taken = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %taken, label %piece, label %look
piece:
  %from = mul i64 %units, %next
  %begin = udiv i64 %from, %pieces
  %to = add i64 %from, %units
  %stop = udiv i64 %to, %pieces
  call void %function(ptr %buffers, ptr %fault, i64 %begin, i64 %stop)
  %another = add i32 %count, 1
  br label %look
exhausted:
  %further = add i64 %others, 1
  %more = icmp ult i64 %further, %threads
  br i1 %more, label %rows, label %over
over:
  ret i32 %count
}}
"""

_SHARE = """
; Post a kernel, do pieces of it, and wait until all are done.  Units of a group share preparations: pieces are whole
; groups, or as few as there are threads.
define internal void @share(
  ptr %board, i64 %work, ptr %function, ptr %buffers, ptr %fault, i64 %units, i64 %groups
) nounwind {{
entry:
  %looks.at = getelementptr i64, ptr %board, i64 1
  %jobs.at = getelementptr i8, ptr %board, i64 {_OWN_WORDS}
  %helped.at = getelementptr i64, ptr %jobs.at, i64 1
  %waking.at = getelementptr i64, ptr %board, i64 2
  %done = getelementptr i8, ptr %board, i64 {GATE_BYTES}
  %lines = getelementptr i8, ptr %board, i64 {_FIRST}
  %threads = load i64, ptr %board, align 8
  %looks = load i64, ptr %looks.at, align 8
  %waking = load i64, ptr %waking.at, align 8
  %silent = icmp eq i64 %waking, 0
  %worth = lshr i64 %work, {PIECE_BITS}
  %some = add i64 %worth, 1
  %limited = icmp ult i64 %some, {PIECES}
  %each = select i1 %limited, i64 %some, i64 {PIECES}
  %enough = icmp uge i64 %groups, %threads
  %parts = select i1 %enough, i64 %groups, i64 %units
  %fine = mul i64 %threads, %each
  %most = select i1 %enough, i64 %fine, i64 %threads
  %few = icmp ult i64 %parts, %most
  %pieces = select i1 %few, i64 %parts, i64 %most
  %jobs = load i64, ptr %jobs.at, align 8
  %another = add i64 %jobs, 1
  store i64 %another, ptr %jobs.at, align 8
  %job = trunc i64 %another to i32
  %named = shl i64 %another, 32
  br label %deal
deal:
  %owner = phi i64 [ 0, %entry ], [ %following, %deal ]
  %begin = phi i64 [ 0, %entry ], [ %end, %deal ]
  %following = add i64 %owner, 1
  %upto = mul i64 %following, %pieces
  %end = udiv i64 %upto, %threads
  %first = shl i64 %begin, 16
  %range = or i64 %first, %end
  %word = or i64 %named, %range
  %distance = mul i64 %owner, {GATE_BYTES}
  %line = getelementptr i8, ptr %lines, i64 %distance
  %row = getelementptr i8, ptr %line, i64 8
  %function.at = getelementptr i8, ptr %line, i64 16
  %buffers.at = getelementptr i8, ptr %line, i64 24
  %fault.at = getelementptr i8, ptr %line, i64 32
  %units.at = getelementptr i8, ptr %line, i64 40
  %pieces.at = getelementptr i8, ptr %line, i64 48
  %modes.at = getelementptr i8, ptr %line, i64 56
  store ptr %function, ptr %function.at, align 8
  store ptr %buffers, ptr %buffers.at, align 8
  store ptr %fault, ptr %fault.at, align 8
  store i64 %units, ptr %units.at, align 8
  store i64 %pieces, ptr %pieces.at, align 8
  {keep}
  store atomic i64 %word, ptr %row release, align 8
  %more = icmp ult i64 %following, %threads
  br i1 %more, label %deal, label %call
call:
  %helper = phi i64 [ 1, %deal ], [ %next, %called ]
  %way = mul i64 %helper, {GATE_BYTES}
  %gate = getelementptr i8, ptr %lines, i64 %way
  store atomic i32 %job, ptr %gate seq_cst, align 4
  br i1 %silent, label %called, label %loud
loud:
  call void @wake(ptr %gate)
  br label %called
called:
  %next = add i64 %helper, 1
  %others = icmp ult i64 %next, %threads
  br i1 %others, label %call, label %begun
begun:
  %own = call i32 @work(ptr %board, i64 0, i32 %job)
  %all = trunc i64 %pieces to i32
  %given = sub i32 %all, %own
  %helped = load i32, ptr %helped.at, align 4
  %wanted = add i32 %helped, %given
  store i32 %wanted, ptr %helped.at, align 4
  br label %check
check:
  %ready = load atomic i32, ptr %done acquire, align 4
  %finished = icmp eq i32 %ready, %wanted
  br i1 %finished, label %over, label %missing
missing:
  call void @wait(ptr %done, i32 %ready, i64 %looks)
  br label %check
over:
  ret void
}}
"""

_SERVE = """
; What a helper does until there is a job without a function.
define void @serve(ptr %board, i64 %thread) nounwind {{
entry:
  %looks.at = getelementptr i64, ptr %board, i64 1
  %done = getelementptr i8, ptr %board, i64 {GATE_BYTES}
  %distance = mul i64 %thread, {GATE_BYTES}
  %place = add i64 %distance, {_FIRST}
  %gate = getelementptr i8, ptr %board, i64 %place
  %function.at = getelementptr i8, ptr %gate, i64 16
  %modes.at = getelementptr i8, ptr %gate, i64 56
  br label %rest
rest:
  %seen = phi i32 [ 0, %entry ], [ %job, %called ], [ %job, %report ]
  %looks = load i64, ptr %looks.at, align 8
  call void @wait(ptr %gate, i32 %seen, i64 %looks)
  %job = load atomic i32, ptr %gate acquire, align 4
  %function = load ptr, ptr %function.at, align 8
  %none = icmp eq ptr %function, null
  br i1 %none, label %leave, label %called
called:
  {take}
  %count = call i32 @work(ptr %board, i64 %thread, i32 %job)
  %nothing = icmp eq i32 %count, 0
  br i1 %nothing, label %rest, label %report
report:
  %1 = atomicrmw add ptr %done, i32 %count seq_cst
  call void @wake(ptr %done)
  br label %rest
leave:
  ret void
}}

; Send all helpers away.
define void @dismiss(ptr %board, i64 %threads) nounwind {{
entry:
  %jobs.at = getelementptr i8, ptr %board, i64 {_OWN_WORDS}
  %lines = getelementptr i8, ptr %board, i64 {_FIRST}
  %jobs = load i64, ptr %jobs.at, align 8
  %another = add i64 %jobs, 1
  %job = trunc i64 %another to i32
  br label %call
call:
  %helper = phi i64 [ 1, %entry ], [ %next, %call ]
  %way = mul i64 %helper, {GATE_BYTES}
  %gate = getelementptr i8, ptr %lines, i64 %way
  %function.at = getelementptr i8, ptr %gate, i64 16
  store ptr null, ptr %function.at, align 8
  store atomic i32 %job, ptr %gate seq_cst, align 4
  call void @wake(ptr %gate)
  %next = add i64 %helper, 1
  %more = icmp ult i64 %next, %threads
  br i1 %more, label %call, label %over
over:
  ret void
}}
"""


def share(target: Target) -> tuple[Sequence[str], str]:
    """Declarations, and the function ``share(board, work, function, buffers, fault, units, groups)``."""
    return _with_work(_SHARE, target)


def serve(target: Target) -> str:
    """A module with the functions ``serve(board, thread)`` and ``dismiss(board, threads)``."""
    declarations, text = _with_work(_SERVE, target)
    return "\n".join([*declarations, text])


def _with_work(text: str, target: Target) -> tuple[Sequence[str], str]:
    declarations, keep, take = modes(target)
    sizes = {"PIECES": PIECES, "PIECE_BITS": PIECE_BITS, "GATE_BYTES": GATE_BYTES}
    sizes |= {"_FIRST": _FIRST, "_OWN_WORDS": _OWN_WORDS}
    return declarations, gates(target) + (_LAYOUT + _WORK + text).format(**sizes, keep=keep, take=take)
