"""The garbage collector rests inside a block; what compiled functions give needs none."""

from __future__ import annotations

import gc
import threading
import weakref
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


def test_results_of_a_compiled_function_are_freed_at_once():
    """Nothing holds them in a circle: their memory serves the next call, which else would have to get new pages."""
    f = gl.jit(lambda x: {"a": [x + 1, (x * 2,)], "b": None})
    x = gl.zeros(3)
    f(x)
    gc.collect()
    gc.disable()
    held = [weakref.ref(leaf.numpy()) for leaf in gl.tree.leaves(f(x))]
    assert len(held) == 2
    assert [r() for r in held] == [None, None]
