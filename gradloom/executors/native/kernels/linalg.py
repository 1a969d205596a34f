"""Triangular systems, Cholesky factors and general linear systems, a matrix at a time.

All three spend their time in one loop: a tile of ``rows`` x ``vectors`` sums Σ c[r, t] · x[t, j] over the rows t that
are known already, with the tile in registers.  What is left of each step concerns a few rows alone.

- **Triangular systems** are solved by substitution, a tile of rows at a time; columns go in strips as wide as a tile.
- **Cholesky** finds U = Lᵀ row after row: a tile of its rows is a triangular system whose coefficients are the rows of
  U above it.
- **Linear systems** are factored as P A = L U, a panel of columns at a time with the largest element of the column as
  pivot; then two triangular systems are solved.

Matrices that are factored lie in working memory, with rows and columns of the identity added up to a whole number of
tiles.  Source: Golub and Van Loan, "Matrix Computations" (2013), sections 3.1, 3.4 and 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gradloom.executors.native.blocks import BlockWriter
from gradloom.executors.native.builder import Function, Index, Value, vector
from gradloom.executors.native.kernel import Kernel
from gradloom.executors.native.kernels.elementwise import Row, widths
from gradloom.executors.native.kernels.whole import (
    Array,
    array,
    ascending,
    core_of,
    each,
    local_array,
    units_for,
    unravelled,
)
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.records import dataclass

Tile = list[list[Value]]  # rows of vectors


@dataclass(frozen=True)
class _Tiles:
    """How matrices are cut: tiles of ``rows`` x ``vectors`` of ``lanes`` elements."""

    rows: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.lanes

    def padded(self, n: int) -> int:
        """The number of rows and columns of a square matrix in whole tiles."""
        return -(-n // self.width) * self.width

    def narrowed(self, lanes: int) -> _Tiles:
        """One vector of so many lanes."""
        return _Tiles(self.rows, 1, lanes)


def _tiles(columns: int, itemsize: int, target: Target) -> _Tiles:
    """Tiles for matrices of so many columns: two vectors wide, with as many rows as fit into the registers."""
    lanes = min(target.lanes(itemsize), 1 << (columns - 1).bit_length())
    vectors = 2 if columns > lanes else 1
    return _Tiles(max(1, min(target.registers // 4, vectors * lanes)), vectors, lanes)


def _sizes(node: Node) -> tuple[int, int, int]:
    """Rows, columns and number of the matrices that a node gives."""
    *batch, rows, columns = node.shape
    return rows, columns, math.prod(batch)


def _matrices(writer: BlockWriter, node: Node) -> Array:
    """A buffer as one row of matrices."""
    whole, sizes = array(writer, node), node.shape[-2:]
    return replace(whole, strides=(math.prod(sizes), sizes[1], 1))


def operations(node: Node) -> int:
    """Rough number of elementary operations."""
    n, columns, batch = _sizes(node)
    work = {"cholesky": n**3 // 3, "solve": 2 * n**3 // 3 + 2 * n**2 * columns}
    return batch * work.get(node.op.name, n**2 * columns)


# The loop and the few rows ------------------------------------------------------------------------------------------


def _products(b: Function, coefficients: Array, known: Array, count: Index, rows: int, tiles: _Tiles) -> Tile:
    """Σ coefficients[r, t] · known[t, j] over t < count, for a tile."""
    kind = vector(known.element, tiles.lanes)
    start = [b.const(kind, 0)] * (rows * tiles.vectors)
    t, sums, finish = b.loop_carrying(0, count, 1, start)
    loaded = [known.load(t, v * tiles.lanes, lanes=tiles.lanes) for v in range(tiles.vectors)]
    following = []
    for r in range(rows):
        c = b.splat(coefficients.load(r, t), tiles.lanes)
        row = sums[r * tiles.vectors : (r + 1) * tiles.vectors]
        following += [b.intrinsic("fmuladd", c, x, total) for x, total in zip(loaded, row)]
    sums = finish(following)
    return [sums[r * tiles.vectors : (r + 1) * tiles.vectors] for r in range(rows)]


def _less(b: Function, right: Array, sums: Tile, lanes: int) -> Tile:
    """The right-hand side without what is known of it."""
    return [[b.sub(right.load(r, v * lanes, lanes=lanes), x) for v, x in enumerate(row)] for r, row in enumerate(sums)]


def _solved(b: Function, coefficients: Array, right: Tile, lanes: int, *, unit: bool) -> Tile:
    """The rows of a tile by substitution; ``unit``: the diagonal of the coefficients is one."""
    found: Tile = []
    for r, row in enumerate(right):
        for s, earlier in enumerate(found):
            c = b.splat(coefficients.load(r, s), lanes)
            row = [b.sub(x, b.mul(c, y)) for x, y in zip(row, earlier)]
        if not unit:
            pivot = b.splat(coefficients.load(r, r), lanes)
            row = [b.binary("fdiv", x, pivot) for x in row]
        found.append(row)
    return found


def _put(array: Array, values: Tile, lanes: int) -> None:
    for r, row in enumerate(values):
        for v, x in enumerate(row):
            array.store(x, r, v * lanes)


# Triangular systems -------------------------------------------------------------------------------------------------


def _substitute(
    b: Function, coefficients: Array, right: Array, found: Array, n: int, tiles: _Tiles, *, unit: bool = False
) -> None:
    """Solve a lower triangular system of ``n`` rows for one strip of columns; ``right`` may be ``found``."""

    def rows(first: Index, count: int) -> None:
        sums = _products(b, coefficients.at(first, 0), found, first, count, tiles)
        values = _less(b, right.at(first, 0), sums, tiles.lanes)
        solved = _solved(b, coefficients.at(first, first), values, tiles.lanes, unit=unit)
        _put(found.at(first, 0), solved, tiles.lanes)

    full = n // tiles.rows * tiles.rows
    if full:
        with b.loop(0, full, tiles.rows) as first:
            rows(first, tiles.rows)
    if n > full:
        rows(full, n - full)


def _rest(columns: int, tiles: _Tiles) -> list[tuple[int, _Tiles]]:
    """The strips behind the last full one: where they begin, and their width."""
    start, found = columns // tiles.width * tiles.width, []
    for lanes in [tiles.lanes] * ((columns - start) // tiles.lanes) + widths(columns % tiles.lanes, tiles.lanes):
        found.append((start, tiles.narrowed(lanes)))
        start += lanes
    return found


def _each_strip(b: Function, columns: int, tiles: _Tiles, body: Callable[[Index, _Tiles], None]) -> None:
    """Call ``body(first column, tiles)`` for strips that cover all columns."""
    if columns >= tiles.width:
        with b.loop(0, columns // tiles.width * tiles.width, tiles.width) as column:
            body(column, tiles)
    for column, narrow in _rest(columns, tiles):
        body(column, narrow)


def write_triangular_solve(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are strips of columns."""
    node, b = core_of(kernel), writer.b
    a, right, found = (_matrices(writer, x) for x in (*node.inputs, node))
    n, columns, batch = _sizes(node)
    tiles = _tiles(columns, node.dtype.itemsize, target)
    full = columns // tiles.width
    strips = -(-columns // tiles.width)

    def strip(matrix: Index, column: Index, tiles: _Tiles) -> None:
        whole, given, solution = a.item(matrix), right.item(matrix), found.item(matrix)
        lower = node.attrs["lower"] != node.attrs["transposed"]
        if node.attrs["transposed"]:
            whole = whole.turned()
        given, solution = given.at(0, column), solution.at(0, column)
        if not lower:  # an upper triangle read from its end is a lower one
            whole, given, solution = whole.backwards(n, n), given.backwards(n), solution.backwards(n)
        _substitute(b, whole, given, solution, n, tiles)

    with b.loop(b.param("begin"), b.param("end")) as unit:
        matrix, number = unravelled(b, unit, (batch, strips))
        with b.when(b.compare("slt", b.index(number), b.index(full))):
            strip(matrix, b.imul(number, tiles.width), tiles)
        if strips > full:
            with b.when(b.compare("eq", b.index(number), b.index(full))):
                for column, narrow in _rest(columns, tiles):
                    strip(matrix, column, narrow)
    return batch * strips


# Working memory -----------------------------------------------------------------------------------------------------


def _memory(node: Node, target: Target) -> tuple[_Tiles, int]:
    """Tiles for the matrix that is factored, and the bytes that it takes."""
    size = node.dtype.itemsize
    tiles = _tiles(node.shape[-2], size, target)
    return tiles, tiles.padded(node.shape[-2]) ** 2 * size


def scratch(node: Node, target: Target) -> int:
    """Bytes to work with."""
    memory = _memory(node, target)[1]
    return memory * units_for(_sizes(node)[2], memory)


def _bordered(b: Function, work: Array, element: Callable[[Index, Index], Value], n: int, size: int) -> None:
    """Fill a square of ``size`` with n x n elements and, behind them, the identity."""
    zero, one = b.const(work.element, 0), b.const(work.element, 1)
    with b.loop(0, n) as i:
        with b.loop(0, n) as j:
            work.store(element(i, j), i, j)
        with b.loop(n, size) as j:
            work.store(zero, i, j)
    with b.loop(n, size) as i, b.loop(0, size) as j:
        work.store(b.select(b.compare("eq", i, j), one, zero), i, j)


# Cholesky -----------------------------------------------------------------------------------------------------------


def write_cholesky(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are groups of matrices."""
    node, b = core_of(kernel), writer.b
    a, factor = _matrices(writer, node.inputs[0]), _matrices(writer, node)
    n, _, batch = _sizes(node)
    tiles, memory = _memory(node, target)
    size, units = tiles.padded(n), units_for(batch, memory)
    refused = local_array(b, "i64", 8, 1)
    with each(b, batch, units) as (matrix, unit):
        given, lower = a.item(matrix), factor.item(matrix)
        work = Array(b, writer.working_memory(unit, memory), a.element, a.itemsize, (size, 1))
        half = b.const(a.element, 0.5)
        _bordered(b, work, lambda i, j: b.mul(b.add(given.load(i, j), given.load(j, i)), half), n, size)
        refused.store(b.const("i64", 0))
        with b.loop(0, size, tiles.rows) as first:
            _factor_rows(b, work, first, size, tiles, refused)
        bad, zero = b.compare("ne", refused.load(), b.const("i64", 0)), b.const(a.element, 0)
        nan = b.const(a.element, math.nan)
        with b.loop(0, n) as i, b.loop(0, n) as j:
            found = b.select(b.compare("sle", j, i), work.load(j, i), zero)
            lower.store(b.select(bad, nan, found), i, j)
    return units


def _factor_rows(b: Function, work: Array, first: Value, size: int, tiles: _Tiles, refused: Array) -> None:
    """A tile of rows of U, where those above are known: U above diagonal block · U = S - Σ Uᵀ U."""
    rows, lanes = tiles.rows, tiles.lanes
    above = work.at(0, first).turned()
    diagonal_strip = b.index(b.imul(b.idiv(first, tiles.width), tiles.width))

    def remaining(column: Index) -> Tile:
        sums = _products(b, above, work.at(0, column), first, rows, tiles)
        return _less(b, work.at(first, column), sums, lanes)

    block = local_array(b, work.element, work.itemsize, rows, tiles.width)
    _put(block, remaining(diagonal_strip), lanes)
    inside = b.sub(first, diagonal_strip)
    factor = local_array(b, work.element, work.itemsize, rows, rows)
    _factor_block(b, block.at(0, inside), factor, rows, refused)
    with b.loop(diagonal_strip, size, tiles.width) as column:
        _put(work.at(first, column), _solved(b, factor, remaining(column), lanes, unit=False), lanes)
    for r in range(rows):  # for x / √x may differ from √x in the last place
        work.at(first, first).store(factor.load(r, r), r, r)


def _factor_block(b: Function, block: Array, factor: Array, rows: int, refused: Array) -> None:
    """The lower factor of a few rows, element by element; a pivot that is not positive refuses the matrix."""
    found: dict[tuple[int, int], Value] = {}
    for r in range(rows):
        for c in range(r + 1):
            x = block.load(c, r)
            for t in range(c):
                x = b.sub(x, b.mul(found[r, t], found[c, t]))
            if c == r:
                with b.when(b.compare("ole", x, b.const(x.type, 0))):
                    refused.store(b.const("i64", 1))
                x = b.intrinsic("sqrt", x)
            else:
                x = b.binary("fdiv", x, found[c, c])
            found[r, c] = x
            factor.store(x, r, c)


# General linear systems ---------------------------------------------------------------------------------------------


def write_solve(writer: BlockWriter, kernel: Kernel, target: Target) -> int:
    """Write the function's body; units are groups of systems."""
    node, b = core_of(kernel), writer.b
    a, right, result = (_matrices(writer, x) for x in (*node.inputs, node))
    n, columns, batch = _sizes(node)
    tiles, memory = _memory(node, target)
    size, units = tiles.padded(n), units_for(batch, memory)
    lanes, singular = target.lanes(a.itemsize), local_array(b, "i64", 8, 1)
    with each(b, batch, units) as (matrix, unit):
        given, wanted, found = a.item(matrix), right.item(matrix), result.item(matrix)
        given = given.turned() if node.attrs["transposed"] else given
        work = Array(b, writer.working_memory(unit, memory), a.element, a.itemsize, (size, 1))
        _bordered(b, work, given.load, n, size)
        with b.loop(0, n) as i:
            Row(b, lanes).cover(0, columns, lambda j, count, i=i: found.store(wanted.load(i, j, lanes=count), i, j))
        singular.store(b.const("i64", 0))
        with b.loop(0, size, tiles.width) as first:
            with b.loop(0, tiles.width) as k:
                pivot = _pivot(b, work, b.add(first, k), size, singular)
                for rows, width in ((work, size), (found, columns)):
                    _exchange(rows, b.add(first, k), pivot, Row(b, lanes), width)
                _eliminate(b, work, first, k, size, tiles)
            _update(b, work, first, size, tiles)
        strips = _tiles(columns, node.dtype.itemsize, target)
        _each_strip(b, columns, strips, lambda column, cut: _both_triangles(b, work, found.at(0, column), n, cut))
        with b.when(b.compare("ne", singular.load(), b.const("i64", 0))), b.loop(0, n) as i, b.loop(0, columns) as j:
            found.store(b.const(a.element, math.nan), i, j)
    return units


def _pivot(b: Function, work: Array, k: Value, size: int, singular: Array) -> Value:
    """The row of the largest element of column k, from the diagonal down; notes where that is zero."""
    below = b.index(b.iadd(k, 1))
    i, (largest, row), finish = b.loop_carrying(below, size, 1, [b.intrinsic("fabs", work.load(k, k)), k])
    x = b.intrinsic("fabs", work.load(i, k))
    larger = b.compare("ogt", x, largest)
    largest, row = finish([b.select(larger, x, largest), b.select(larger, i, row)])
    with b.when(b.compare("oeq", largest, b.const(largest.type, 0))):
        singular.store(b.const("i64", 1))
    return row


def _exchange(matrix: Array, i: Value, j: Value, row: Row, width: int) -> None:
    """Two rows in each other's place."""

    def exchange(column: Index, lanes: int) -> None:
        upper, lower = matrix.load(i, column, lanes=lanes), matrix.load(j, column, lanes=lanes)
        matrix.store(lower, i, column)
        matrix.store(upper, j, column)

    with row.b.when(row.b.compare("ne", i, j)):
        row.cover(0, width, exchange)


def _eliminate(b: Function, work: Array, first: Value, k: Value, size: int, tiles: _Tiles) -> None:
    """Column ``first`` + k of L, and what it takes from the panel's columns behind it, in the rows below."""
    place, lanes = b.add(first, k), tiles.lanes
    panel = work.at(0, first)
    pivot = work.load(place, place)
    numbers = [ascending(b, "i64", lanes, v * lanes) for v in range(tiles.vectors)]
    here = b.splat(k, lanes)
    zero = b.const(vector(work.element, lanes), 0)
    behind = [
        b.select(b.compare("sgt", number, here), panel.load(place, v * lanes, lanes=lanes), zero)
        for v, number in enumerate(numbers)
    ]
    own = [b.compare("eq", number, here) for number in numbers]
    with b.loop(b.index(b.iadd(place, 1)), size) as i:
        factor = b.splat(b.binary("fdiv", work.load(i, place), pivot), lanes)
        for v, x in enumerate(behind):
            less = b.sub(panel.load(i, v * lanes, lanes=lanes), b.mul(factor, x))
            panel.store(b.select(own[v], factor, less), i, v * lanes)


def _update(b: Function, work: Array, first: Value, size: int, tiles: _Tiles) -> None:
    """What a factored panel takes from the columns behind it: a triangular system above, products below."""
    behind = b.index(b.iadd(first, tiles.width))
    with b.loop(behind, size, tiles.width) as column:
        known = work.at(first, column)
        _substitute(b, work.at(first, first), known, known, tiles.width, tiles, unit=True)
        with b.loop(behind, size, tiles.rows) as i:
            rest = work.at(i, column)
            sums = _products(b, work.at(i, first), known, tiles.width, tiles.rows, tiles)
            _put(rest, _less(b, rest, sums, tiles.lanes), tiles.lanes)


def _both_triangles(b: Function, work: Array, found: Array, n: int, tiles: _Tiles) -> None:
    """L, then U, whose end is its beginning."""
    _substitute(b, work, found, found, n, tiles, unit=True)
    found = found.backwards(n)
    _substitute(b, work.backwards(n, n), found, found, n, tiles)
