"""Adding at positions, against NumPy's ``add.at``: order, threads, and rows that are updated in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from running import compiled, run

import gradloom as gl
from gradloom.errors import IndexRangeError
from gradloom.executors.native.program import NativeProgram
from gradloom.ops import index
from gradloom.tensor import Tensor


def scatter_add(base: Tensor, positions: Tensor, updates: Tensor) -> Tensor:
    """``updates`` added to the rows of ``base`` at ``positions``."""
    return Tensor(index.scatter_add(base.node, positions.node, updates.node, axis=0))


def gradient_of_take(axis: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda table, positions, updates: gl.vjp(lambda t: gl.take(t, positions, axis=axis), table)[1](updates)


@pytest.mark.parametrize(
    ("table", "axis", "positions"),
    [
        ((500, 64), 0, (400,)),  # few: one unit
        ((50, 300), 0, (20, 20)),  # parts of rows
        ((50, 70), 0, (400,)),  # the last part is wider
        ((50, 3), 0, (9000,)),  # narrow rows: units share the positions
        ((50,), 0, (20_000,)),
        ((50, 1), 0, (20_000,)),
        ((5, 50, 7), 1, (2000,)),  # a loop in front
        ((5, 50), 1, (2000,)),
    ],
)
def test_the_gradient_of_taking_adds_at_positions(table: tuple[int, ...], axis: int, positions: tuple[int, ...]):
    rng = np.random.default_rng(0)
    x, i = rng.normal(size=table), rng.integers(0, table[axis], positions)
    u = rng.normal(size=(*table[:axis], *positions, *table[axis + 1 :]))
    wanted = np.zeros(table)
    np.add.at(wanted, (*[slice(None)] * axis, i), u)
    np.testing.assert_allclose(run(gradient_of_take(axis), x, i, u)[0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("table", "axis", "count"), [((50, 40), 0, 600), ((50, 40), 1, 600), ((50,), 0, 20_000)])
def test_the_gradient_of_taking_along_an_axis(table: tuple[int, ...], axis: int, count: int):
    rng = np.random.default_rng(1)
    shape = tuple(count if a == axis else n for a, n in enumerate(table))
    x, i, u = rng.normal(size=table), rng.integers(0, table[axis], shape), rng.normal(size=shape)
    wanted, at = np.zeros(table), list(np.indices(shape))
    at[axis] = i
    np.add.at(wanted, tuple(at), u)
    (got,) = run(lambda x, i, u: gl.vjp(lambda x: gl.take_along_axis(x, i, axis), x)[1](u), x, i, u)
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_equal_positions_add_up_in_the_order_of_the_updates():
    """1e8 + 1 - 1e8 is 0 in float32 in one order and 1 in others."""
    u = np.resize(np.array([1e8, 1, -1e8], np.float32), (3 * 6000,))[:, None] * np.ones((1, 2), np.float32)
    (got,) = run(scatter_add, np.zeros((2, 2), np.float32), np.zeros(len(u), int), u)
    np.testing.assert_array_equal(got, np.zeros((2, 2)))


def embedding_steps(table: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Turns that pull some rows of a table towards 1, with the sum of these rows before."""

    def step(table: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        taken = gl.take(table, rows, axis=0)
        return scatter_add(table, rows, -0.1 * (taken - 1)), gl.sum(taken)

    return gl.scan(step, table, rows)


def loop_body(program: NativeProgram) -> list[str]:
    """The kernels of the one loop of a program."""
    ((body,),) = program.plan.inner.values()
    return [str(kernel) for kernel in body.kernels]


def test_updating_rows_of_a_carried_table_touches_these_rows_alone():
    rng = np.random.default_rng(2)
    table, rows = rng.normal(size=(300, 64)), rng.integers(0, 300, (6, 40))
    program = compiled(embedding_steps, table, rows)
    assert "1 carried values in place, 0 copied" in program.explain()
    assert not any(kernel.startswith("copy") for kernel in loop_body(program))
    got, sums = run(program, table, rows)
    wanted = []
    for i in rows:
        wanted.append(table[i].sum())
        u = -0.1 * (table[i] - 1)
        np.add.at(table, i, u)
    np.testing.assert_allclose(got, table, rtol=1e-12)
    np.testing.assert_allclose(sums, wanted, rtol=1e-11)


def test_a_table_that_is_read_afterwards_is_copied():
    rng = np.random.default_rng(3)
    table, rows = rng.normal(size=(30, 8)), rng.integers(0, 30, (4, 9))

    def step(t: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        changed = scatter_add(t, i, gl.ones((9, 8), dtype="float64"))
        return changed, gl.sum(changed * t)

    got, sums = run(lambda t, rows: gl.scan(step, t, rows), table, rows)
    wanted = []
    for i in rows:
        before = table.copy()
        np.add.at(table, i, 1.0)
        wanted.append(np.sum(before * table))
    np.testing.assert_allclose(got, table, rtol=1e-12)
    np.testing.assert_allclose(sums, wanted, rtol=1e-12)


@pytest.mark.parametrize("wrong", [-1, 50, 2**40])
@pytest.mark.parametrize("shape", [(50, 64), (50,)])
def test_a_position_outside_raises_and_writes_nothing_outside(shape: tuple[int, ...], wrong: int):
    positions = np.resize(np.arange(50), 20_000)
    positions[777] = wrong
    program = compiled(scatter_add, np.zeros(shape), positions, np.ones((20_000, *shape[1:])))
    with pytest.raises(IndexRangeError):
        program([np.zeros(shape), positions, np.ones((20_000, *shape[1:]))])
