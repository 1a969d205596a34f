"""How threads share a kernel: every unit is done once, whoever comes, whoever does not."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import gradloom as gl
from gradloom.executors.native.compile import Code, compile_module
from gradloom.executors.native.gates import GATE_BYTES
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.sharing import PIECES, SHARED_FROM, THREADS_WORD, share
from gradloom.executors.native.target import host
from gradloom.executors.native.team import Team
from gradloom.executors.native.workspace import address, aligned

COUNTING = """
; A kernel that counts how often each of its units is done, and its calls at their first units.
define void @count(ptr %buffers, ptr %fault, i64 %begin, i64 %end) {
entry:
  %calls.at = getelementptr i64, ptr %fault, i64 %begin
  %calls = load i64, ptr %calls.at
  %called = add i64 %calls, 1
  store i64 %called, ptr %calls.at
  %some = icmp slt i64 %begin, %end
  br i1 %some, label %unit, label %over
unit:
  %i = phi i64 [ %begin, %entry ], [ %next, %unit ]
  %at = getelementptr i64, ptr %buffers, i64 %i
  %before = load i64, ptr %at
  %after = add i64 %before, 1
  store i64 %after, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %unit, label %over
over:
  ret void
}

define void @post(ptr %board, i64 %work, ptr %counts, ptr %calls, i64 %units, i64 %groups) {
  call void @share(ptr %board, i64 %work, ptr @count, ptr %counts, ptr %calls, i64 %units, i64 %groups)
  ret void
}
"""
LARGE = 2**40
"""Operations of a kernel that is cut as finely as any."""


@pytest.fixture(scope="module")
def code() -> Code:
    declarations, text = share(host())
    return compile_module("\n".join([*declarations, text, COUNTING]), host())


def post(code: Code, board: int, units: int, groups: int, work: int = LARGE) -> tuple[np.ndarray, int]:
    """How often each unit of a kernel was done, and in how many pieces."""
    counts, calls = np.zeros(units, np.int64), np.zeros(units, np.int64)
    code.function("post", 6)(board, work, address(counts), address(calls), units, groups)
    return counts, int(calls.sum())


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_a_caller_does_not_wait_for_threads_that_do_not_come(code: Code, threads: int):
    board = aligned(GATE_BYTES * (threads + 2))
    board[THREADS_WORD] = threads
    for units in (1, 2, 7, 100):
        counts, pieces = post(code, address(board), units, units)
        assert (counts == 1).all()
        assert pieces == min(units, PIECES * threads)


@pytest.mark.parametrize(
    ("units", "groups", "work", "pieces"),
    [
        (64, 64, LARGE, 2 * PIECES),
        (64, 64, SHARED_FROM, 2),  # a small kernel has a piece for each thread
        (64, 4, LARGE, 4),  # whole groups, where there are enough
        (64, 1, LARGE, 2),  # as few pieces as there are threads, where there are not
        (1, 1, LARGE, 1),
    ],
)
def test_into_how_many_pieces_a_kernel_is_cut(code: Code, units: int, groups: int, work: int, pieces: int):
    board = aligned(GATE_BYTES * 4)
    board[THREADS_WORD] = 2
    counts, found = post(code, address(board), units, groups, work)
    assert (counts == 1).all()
    assert found == pieces


@pytest.mark.parametrize("threads", [2, 3, 5, 16])
def test_every_unit_is_done_once(code: Code, threads: int):
    """Small kernels by the hundred, on more threads than processors too, after a pause and for helpers left asleep."""
    team, rng = Team(), np.random.default_rng(threads)
    try:
        for turn in range(1500):
            if turn % 300 == 0:
                time.sleep(0.002)  # until helpers sleep
            units = int(rng.integers(1, 60))
            board = team.enter(threads, waking=turn % 3 > 0)
            counts, _ = post(code, board, units, int(rng.integers(0, units + 1)))
            team.leave()
            assert (counts == 1).all()
    finally:
        team.dismiss()


def test_helpers_that_nobody_calls_sleep():
    program = NativeProgram(gl.trace(lambda x: gl.sum(gl.exp(x)), gl.zeros((1000, 300))))
    program.threads = 3
    program([np.zeros((1000, 300), np.float32)])
    time.sleep(0.01)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1


def test_helpers_compute_in_the_caller_s_modes():
    """A program that takes denormal numbers for 0 and one that does not, in turn on the same threads."""
    x = np.full((64, 4096), 1e-39, np.float32)
    graph = gl.trace(lambda x: gl.exp(x) * 0 + x * 1.5, gl.tensor(x))
    for flush in (True, False, True):
        program = NativeProgram(graph, flush_denormals=flush)
        program.threads, program.shared_from = 3, 1
        for _ in range(5):
            (found,) = program([x])
            assert (found == (0 if flush else x * np.float32(1.5))).all()


def test_a_team_is_there_again_after_an_interruption_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while helpers are started: those that were are sent away, and the next caller gets a new team."""
    team, started, begin = Team(), [], threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if len(started) == 1:
            raise KeyboardInterrupt
        started.append(thread)
        begin(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            team.enter(4, waking=True)
    assert not started[0].is_alive()
    assert team.enter(3, waking=True)
    team.leave()
    team.dismiss()
