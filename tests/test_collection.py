"""The garbage collector rests inside a block, and is afterwards as it was before."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

import gradloom as gl
from gradloom.collection import paused


@pytest.fixture(autouse=True)
def _collector_on() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_on else gc.disable)()


def test_rests_until_the_outermost_block_ends():
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_stays_off_where_it_was_off():
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()


def test_is_on_again_after_an_error():
    with pytest.raises(ZeroDivisionError), paused():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_rests_until_the_last_thread_is_done():
    inside, finish = threading.Event(), threading.Event()

    def other() -> None:
        with paused():
            inside.set()
            finish.wait()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    with paused():
        pass
    assert not gc.isenabled()
    finish.set()
    thread.join()
    assert gc.isenabled()


def test_rests_while_a_function_is_traced():
    seen = []

    def f(x: gl.Tensor) -> gl.Tensor:
        seen.append(gc.isenabled())
        return x + 1

    gl.jit(f)(gl.ones(3))
    assert seen == [False]
    assert gc.isenabled()
