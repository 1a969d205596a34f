"""Which programs have helpers, and which wake them: by operations; a product of one row has as many as one of four."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import config
from gradloom.executors.native import program as programs
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.team import TEAM


def product(m: int, k: int, n: int) -> NativeProgram:
    return NativeProgram(gl.trace(gl.matmul, gl.zeros((m, k)), gl.zeros((k, n))))


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "threads", lambda: 2)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("m", "k", "n", "threads"),
    [(1, 512, 256, 1), (1, 1024, 1024, 2), (3, 1024, 1024, 2), (64, 64, 64, 1), (128, 128, 128, 2)],
)
def test_programs_of_few_operations_run_on_one_thread(m: int, k: int, n: int, threads: int):
    assert product(m, k, n).threads == threads


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("rows", "waking"), [(96, False), (256, True)])
def test_long_programs_wake_helpers(rows: int, waking: bool, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(programs, "TEAM", Spy(asked))
    program = product(rows, 128, 128)
    x, y = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((rows, 128), (128, 128)))
    assert program.threads == 2
    np.testing.assert_allclose(program([x, y])[0], x @ y, rtol=1e-4, atol=1e-4)
    assert asked == [(2, waking)]


class Spy:
    """The team, and what it was asked for."""

    def __init__(self, asked: list[tuple[int, bool]]) -> None:
        self._asked = asked

    def enter(self, threads: int, *, waking: bool) -> int:
        self._asked.append((threads, waking))
        return TEAM.enter(threads, waking=waking)

    def leave(self) -> None:
        TEAM.leave()


@pytest.mark.usefixtures("two_threads")
def test_a_call_without_helpers_follows_one_with_them():
    """The workspace that both use does not remember the board of the one before."""
    program = product(128, 128, 128)
    x = np.random.default_rng(1).standard_normal((128, 128)).astype(np.float32)
    together = program([x, x])[0]
    assert TEAM._busy.acquire(blocking=False)  # another caller's program runs
    try:
        alone = program([x, x])[0]
    finally:
        TEAM._busy.release()
    assert (alone == together).all()
    program.threads = 1
    assert (program([x, x])[0] == together).all()
