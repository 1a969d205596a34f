"""The threads that help a program's caller.

A helper is a Python thread that stays inside native code, without the interpreter's lock: it waits at a gate of its
own until a kernel is posted on the team's board (see sharing.py), does pieces of it, and waits again.  The team works
for one caller at a time, and who finds it busy runs the program alone.  The bits are the same.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from functools import lru_cache

import numpy as np

from gradloom import limits
from gradloom.executors.native.compile import Code, compile_module
from gradloom.executors.native.gates import GATE_BYTES, LOOKS
from gradloom.executors.native.sharing import THREADS_WORD, WAKING_WORD, serve
from gradloom.executors.native.target import host
from gradloom.executors.native.workspace import address, aligned

_SOON = 4e-4
"""Seconds from call to call in which it pays to wake helpers for short programs: there will be more calls, for which
they are still awake (see gates.py).  Farther apart each call would have to wake them anew."""


@lru_cache
def _code() -> Code:
    return compile_module(serve(host()), host())


class Team:
    """Helpers, started when they are first needed.  A process has one team, :data:`TEAM`."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all helpers, as a forked process must: it has none of its parent's threads."""
        self._busy = threading.Lock()
        self._helpers: list[threading.Thread] = []
        self._set_up(aligned(0))
        self._left = -math.inf

    def enter(self, threads: int, *, waking: bool) -> int:
        """Let threads share the caller's kernels until :meth:`leave`.

        Args:
            threads: how many, at least 2, the caller's included.
            waking: whether helpers that sleep are woken, though the last call was long ago.

        Returns:
            The address of their board; 0 if the team works for another caller or threads cannot be had.
        """
        if not self._busy.acquire(blocking=False):
            return 0
        try:
            if threads > len(self._helpers) + 1:
                self._gather(threads - 1)
        except BaseException:  # Ctrl-C while helpers are started
            self._busy.release()
            raise
        if threads > len(self._helpers) + 1:
            self._busy.release()
            return 0
        waking = waking or time.perf_counter() - self._left < _SOON
        said = threads, LOOKS if threads <= _processors() else 0, int(waking)
        if said != self._said:  # what is written to an array in vain takes a microsecond
            self._board[THREADS_WORD : WAKING_WORD + 1] = self._said = said
        return self._place

    def leave(self) -> None:
        """Let the next caller have the team."""
        self._left = time.perf_counter()
        self._busy.release()

    def dismiss(self) -> None:
        """End the helpers, unless another thread's program keeps them busy for long."""
        if self._busy.acquire(timeout=1.0):
            self._disband()
            self._busy.release()

    def _gather(self, count: int) -> None:
        """Start so many helpers in place of the present ones; there are none afterwards if the system refuses."""
        self._disband()
        self._set_up(aligned(GATE_BYTES * (count + 3)))
        function = _code().function("serve", 2)

        def run(board: np.ndarray, number: int) -> None:  # which keeps the board for as long as a helper looks at it
            function(address(board), number)

        try:
            for number in range(1, count + 1):
                helper = threading.Thread(
                    target=run, args=(self._board, number), name=f"gradloom-{number}", daemon=True
                )
                self._helpers.append(helper)
                helper.start()
        except RuntimeError:
            self._disband()
        except BaseException:
            self._disband()
            raise

    def _set_up(self, board: np.ndarray) -> None:
        self._board, self._place = board, address(board)
        self._said: tuple[int, ...] = ()

    def _disband(self) -> None:
        """Send all helpers away, also one that was about to start: it finds its dismissal on the board."""
        helpers, self._helpers = self._helpers, []
        if helpers:
            _code().function("dismiss", 2)(self._place, len(helpers) + 1)
        for helper in helpers:
            if helper.ident is not None:
                helper.join()


@lru_cache
def _processors() -> int:
    return limits.processors()


TEAM = Team()
atexit.register(TEAM.dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TEAM.start_anew)
