"""Chunks are divided among workers, and their sums do not depend on how."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradloom as gl
from gradloom.errors import IndexRangeError, WorkerError
from gradloom.parallel import Share, Shared, Task, Workers, left_over, merges, shares
from gradloom.transforms import trace

VALUES = np.array([1, 1e8, -1e8, 0.5, 3e-9, -1e4, 7, 1e-3], np.float32)  # whose sum depends on the order


def task(length: int = len(VALUES)) -> Task:
    data = [((length,), np.dtype(np.float32))]
    graph = trace(lambda scale, x, i: gl.take(x, i) * scale, np.float32(1), VALUES[:length], np.asarray(0))
    return Task(graph, "reference", [((), np.dtype(np.float32))], data, [((), np.dtype(np.float32))], len(VALUES))


@given(st.integers(1, 40))
def test_the_tree_adds_every_chunk_once(chunks: int):
    slots = [{i} for i in range(chunks)]
    for first, middle, last in merges(0, chunks):
        assert first < middle < last
        assert not slots[first] & slots[middle]
        slots[first] |= slots[middle]
        assert slots[first] == set(range(first, last))
    assert slots[0] == set(range(chunks))


@given(st.integers(1, 40), st.data())
def test_shares_are_even_and_what_is_left_crosses_them(chunks: int, data: st.DataObject):
    workers = data.draw(st.integers(1, chunks))
    ranges = shares(chunks, workers)
    assert [i for a, b in ranges for i in range(a, b)] == list(range(chunks))
    assert max(b - a for a, b in ranges) - min(b - a for a, b in ranges) <= 1
    owner = {i: w for w, (a, b) in enumerate(ranges) for i in range(a, b)}
    assert {m for m in merges(0, chunks) if owner[m[0]] != owner[m[2] - 1]} == set(left_over(chunks, workers))


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_the_bits_do_not_depend_on_who_adds(parts: int):
    exchange, data = Shared(), Shared()
    memory = task().memory(exchange, data)
    memory.common[0][...] = 2
    memory.data[0][...] = VALUES
    for first, last in reversed(shares(len(VALUES), parts)):
        Share(task(), memory, first, last)()
    memory.add(left_over(len(VALUES), parts))
    a, b, c, d, e, f, g, h = VALUES * np.float32(2)
    assert memory.slots[0][0] == ((a + b) + (c + d)) + ((e + f) + (g + h))


def test_workers_compute_fail_by_name_and_end():
    exchange, data = Shared(), Shared()
    with Workers(2, exchange, data) as workers:
        workers.begin(task())
        memory = task().memory(exchange, data)
        memory.common[0][...], memory.data[0][...] = 1, VALUES
        workers.step()
        assert memory.slots[4][0] == (VALUES[4] + VALUES[5]) + (VALUES[6] + VALUES[7])
        workers.begin(task(length=6))
        with pytest.raises(IndexRangeError) as found:  # two chunks have no value
            workers.step()
        assert found.value.__notes__ == ["This was in worker 2 of 2."]
        workers._workers[1].process.kill()
        with pytest.raises(WorkerError, match=r"worker 2 of 2: .* its end by SIGKILL"):
            workers.begin(task())
    assert [w.process.poll() for w in workers._workers] == [0, -9]


def test_a_worker_that_ends_by_a_signal_without_a_name_is_told_as_such():
    with Workers(1, Shared(), Shared()) as workers:
        workers._workers[0].process.send_signal(40)
        with pytest.raises(WorkerError, match="its end by signal 40"):
            workers.begin(task())
