"""How a convolution is cut: a row of results into register tiles, and what of the kernel each tile meets.

A tile is some neighbouring results of a row by a few vectors of channels.  Its sums stay in registers while kernel
positions and input channels pass by.  Near the ends of a row some results of a tile have nothing at some positions of
the kernel, for these lie in the padding.  Which ones is known when the code is written, so a tile at an end is code of
its own that leaves them out, and no tile computes with padding or asks where it is.

The input's gradient of a convolution with stride s is s convolutions without one, along each axis: results whose
distance is a multiple of s meet the same positions of the kernel, every s-th (Dumoulin and Visin, 2016, section 4.6).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from gradloom.records import dataclass

LATENCY = 4  # cycles from a multiply-add to the next that needs its sum; two begin in each
MOST_ROWS = 16  # of a tile: more only make more code
WIDTHS = (8, 6, 4, 3, 2, 1)  # of tiles, in vectors
TURN = 3  # instructions of a turn of the inner loop that compute nothing
UNEVEN = 1.15  # times as many cycles where panels of a kernel are not all alike, and so lie apart
STREAM = 2.4  # cycles in which the cache behind the nearest one gives a vector
ISSUE = 0.1  # cycles lost for each instruction, for never do four begin in every cycle
ROW_CYCLES = 1.0  # for each window, that a tile of a gradient takes to go from row to row
WORTH = 0.9  # of the cycles of results that lie apart, which bundles may take
MOST_HELD = 7  # taps whose vectors may stay in registers
SERVED = 2  # taps that an element should serve for that
PASSING = 2  # registers for what meets these vectors
ENOUGH_ROWS = 4  # of a depthwise tile that holds them
FEW_VECTORS = 2  # of a gradient's tile; more windows are written one after the other then
LINE_CYCLES = 0.3  # for each window and input channel, whose cache lines other tiles have pushed out meanwhile


@dataclass(frozen=True)
class Line:
    """A row of results, each of which holds at tap t the element stride · v + step · t + offset of a row of the source.

    Attributes:
        count: number of results v.
        taps: number of taps, the positions of the kernel that these results meet.
        stride: how far a result's elements lie from those of the one before.
        step: from tap to tap, positive.
        offset: element of the first tap of the first result.
        size: elements of the source's row; others are padding.
        first_tap: the kernel's position of tap 0.
        tap_step: from tap to tap in the kernel.
        first_result: where in its row result 0 lies.
        result_step: from result to result in the row.
    """

    count: int
    taps: int
    stride: int
    step: int
    offset: int
    size: int
    first_tap: int = 0
    tap_step: int = 1
    first_result: int = 0
    result_step: int = 1

    def element(self, v: int, t: int) -> int:
        """The element that result v holds at tap t."""
        return self.stride * v + self.step * t + self.offset

    def inside(self, t: int) -> tuple[int, int]:
        """The results first ≤ v < last that hold an element of the row at tap t, and not padding."""
        first = -(-max(0, -self.element(0, t)) // self.stride)
        last = max(0, self.size - 1 - self.element(0, t) + self.stride) // self.stride
        return first, max(first, min(last, self.count))


def forward_line(size: int, window: int, stride: int, low: int, dilation: int, count: int) -> Line:
    """The row of a convolution's results."""
    return Line(count, window, stride, dilation, -low, size)


def backward_lines(size: int, window: int, stride: int, low: int, dilation: int, count: int) -> list[Line]:
    """The rows of the gradient of a convolution's input, over the kernel from its last position to its first.

    Element u is reached at position p by window (u + low - dilation · (window - 1 - p)) / stride, if that is whole.
    """
    found, common = [], math.gcd(stride, dilation)
    for first in range(min(stride, size)):
        start = first + low - dilation * (window - 1)
        taps = [p for p in range(window) if (start + dilation * p) % stride == 0]
        p = taps[0] if taps else 0
        found.append(
            Line(
                *(-(-(size - first) // stride), len(taps), 1, dilation // common),
                *((start + dilation * p) // stride, count, p, stride // common, first, stride),
            )
        )
    return found


@dataclass(frozen=True)
class Span:
    """Taps first ≤ t < last, which the results ``rows`` of a tile meet."""

    first: int
    last: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class Run:
    """Tiles of one kind side by side: ``count`` of them from result ``start`` on, ``height`` results in each."""

    start: int
    height: int
    count: int
    spans: tuple[Span, ...]


def runs(line: Line, most: int) -> Iterator[Run]:
    """Cut a row into tiles of at most so many results; neighbours that meet the same taps are one run."""
    starts = [0]
    for height in heights(line.count, most):
        starts.append(starts[-1] + height)
    tiles = [(start, stop - start, _spans(line, start, stop)) for start, stop in pairwise(starts)]
    for (height, spans), same in groupby(tiles, key=lambda tile: tile[1:]):
        first, *others = same
        yield Run(first[0], height, 1 + len(others), spans)


def _spans(line: Line, start: int, stop: int) -> tuple[Span, ...]:
    """What the results start ≤ v < stop meet; taps that the same of them meet are one span."""
    met = []
    for t in range(line.taps):
        first, last = line.inside(t)
        first, last = max(first, start) - start, min(last, stop) - start
        met.append((first, last) if first < last else None)
    found = []
    for rows, taps in groupby(range(line.taps), key=lambda t: met[t]):
        if rows is not None:
            first, *others = taps
            found.append(Span(first, first + 1 + len(others), rows))
    return tuple(found)


@dataclass(frozen=True)
class Stretch:
    """Windows start ≤ q < stop of a row, which hold elements of the row at the taps first ≤ t < last alone."""

    start: int
    stop: int
    first: int
    last: int


def stretches(line: Line, taps: tuple[int, int]) -> Iterator[Stretch]:
    """The windows of a row by those of some taps at which they hold elements."""
    ranges = [(t, *line.inside(t)) for t in range(*taps)]

    def held(q: int) -> list[int]:
        return [t for t, first, last in ranges if first <= q < last]

    for met, same in groupby(range(line.count), key=held):
        first, *others = same
        if met:
            yield Stretch(first, first + 1 + len(others), met[0], met[-1] + 1)


def heights(count: int, most: int) -> list[int]:
    """Heights of the fewest tiles that cover ``count``; they differ by 1 at most."""
    tiles = -(-count // most)
    return [count // tiles + (i < count % tiles) for i in range(tiles)]


class TileShape(NamedTuple):
    """Most rows and vectors of a tile of results.

    Attributes:
        rows: neighbours in a row.
        vectors: of channels, of each.
        held: whether a row of the kernel's taps stays in registers, so that an element is loaded once for all of them.
    """

    rows: int
    vectors: int
    held: bool


def tile_shape(
    count: int, across: int, registers: int, taps: int = 1, stride: int = 1, *, by_vectors: bool = False
) -> TileShape:
    """The tile for ``count`` results and ``across`` vectors of channels.

    Rows · vectors sums, the vectors of one tap or of all that are ``held``, and a repeated element must fit the
    registers.  Of the shapes that do, the one is taken that has the fewest cycles, then the one that loads its vectors
    least often.

    Args:
        count: number of rows.
        across: number of vectors.
        registers: of the machine.
        taps: of a row of the kernel that may be held.
        stride: from the first element of a result to that of the next.
        by_vectors: each row brings vectors of its own, and not a repeated element (depthwise convolution).
    """

    def cost(shape: TileShape) -> tuple[float, int]:
        tiles, v = heights(count, shape.rows), shape.vectors
        widths = [v] * (across // v) + [across % v] * bool(across % v)
        cycles = sum(cycles_of(h, w, held=shape.held) for h in tiles for w in widths)
        return cycles * (UNEVEN if across % v else 1), len(tiles) * across

    def cycles_of(rows: int, v: int, *, held: bool) -> float:
        each = v if by_vectors else 1
        if held:
            return _cycles(rows, v, each * min(stride * (rows - 1) + taps, rows * taps), STREAM, taps)
        return taps * _cycles(rows, v, each * rows, STREAM)

    widths = [v for v in WIDTHS if v <= across]
    shapes = [TileShape(min(MOST_ROWS, (registers - 1 - v) // v), v, held=False) for v in widths]
    if 1 < taps <= MOST_HELD and (by_vectors or taps >= SERVED * stride):
        holding = [TileShape(min(MOST_ROWS, (registers - PASSING) // v - taps), v, held=True) for v in widths]
        enough = [shape for shape in holding if shape.rows >= min(count, ENOUGH_ROWS)]
        if by_vectors and enough:  # bound by memory, which is read fastest in one piece
            return min(enough, key=lambda shape: (-(-across // shape.vectors), shape.vectors))
        shapes += holding
    return min((shape for shape in shapes if shape.rows > 0), key=cost)


def _cycles(rows: int, vectors: int, elements: int, stream: float = 0.0, taps: int = 1) -> float:
    """What a tile costs for each summed element: two multiply-adds or loads a cycle, no chain faster than it is.

    Args:
        rows: of the tile.
        vectors: of a row, loaded for every summed element.
        elements: loaded likewise.
        stream: cycles in which a vector comes near.
        taps: of the kernel that each element serves.
    """
    products, factors = rows * vectors * taps, vectors * taps
    instructions = products + elements + factors + TURN
    return max(products / 2, (elements + factors) / 2, stream * factors, LATENCY * taps) + ISSUE * instructions


class Bundle(NamedTuple):
    """Neighbouring results that share a vector (bundles.py).

    Attributes:
        pixels: how many.
        channels: of each.
        window: taps of each.
        stride: from the first tap of one to that of the next.
    """

    pixels: int
    channels: int
    window: int
    stride: int

    @property
    def taps(self) -> int:
        """Taps of all together."""
        return (self.pixels - 1) * self.stride + self.window

    def lanes(self, tap: int) -> tuple[int, int]:
        """The lanes first ≤ i < last that have a tap."""
        first = max(0, -(-(tap - self.window + 1) // self.stride))
        last = min(self.pixels, tap // self.stride + 1)
        return first * self.channels, max(first, last) * self.channels


def bundle_of(count: int, window: int, stride: int, channels: int, lanes: int, registers: int) -> Bundle | None:
    """The bundle of a row of ``count`` results that takes the fewest cycles; None where it pays to have them apart."""

    def cost(bundle: Bundle) -> float:
        tiles = heights(count // bundle.pixels, min(MOST_ROWS, registers - 2))
        return bundle.taps * sum(_cycles(rows, 1, rows) for rows in tiles) * (1 if bundle.pixels > 1 else WORTH)

    several = [k for k in range(1, lanes // channels + 1) if count % k == 0]
    best = min((Bundle(k, channels, window, stride) for k in several), key=cost, default=None)
    return best if best is not None and best.pixels > 1 else None


@dataclass(frozen=True)
class GradientCut:
    """How the sums over windows that make a kernel's gradient are cut.

    Attributes:
        lines: rows of windows in all examples.
        blocks: parts of them that are summed apart, and then together, in a fixed order.
        chunk: rows of windows that all positions visit before the next.
    """

    lines: int
    blocks: int
    chunk: int

    @property
    def longest(self) -> int:
        """Rows of windows that are visited at once, at most."""
        return min(self.chunk, -(-self.lines // self.blocks))


UNITS = 32  # parts that work is to have, for the threads
FEWEST_UNITS = 8  # even where blocks cost much
PARTIAL_SHARE = 8  # a part of the bytes of both operands that unfinished sums may have
CHUNK_BYTES = 48 * 1024  # of both operands, that are to stay in the nearest caches
CHUNK_WINDOWS = 64  # at least, for sums go to memory and back between chunks; twice as many where these are large
LARGE_PANEL = 128 * 1024  # bytes of them


def gradient_cut(lines: int, count: int, line_bytes: int, kernel_bytes: int, panels: int) -> GradientCut:
    """Cut by sizes alone.

    Args:
        lines: rows of windows.
        count: windows of a row.
        line_bytes: of both operands, a row of windows.
        kernel_bytes: of the result.
        panels: of output channels; a unit has a block and a panel.
    """
    affordable = lines * line_bytes // (PARTIAL_SHARE * kernel_bytes)
    blocks = max(min(affordable, -(-UNITS // panels)), -(-FEWEST_UNITS // panels))
    windows = CHUNK_WINDOWS * (2 if kernel_bytes > LARGE_PANEL * panels else 1)
    chunk = max(CHUNK_BYTES // line_bytes, -(-windows // count), 1)
    return GradientCut(lines, max(1, min(lines, blocks)), chunk)


@dataclass(frozen=True)
class GradientTile:
    """A tile of a kernel's gradient: the input channels of neighbouring taps, by vectors of output channels.

    Attributes:
        taps: most taps.
        inputs: most input channels.
        vectors: most vectors.
    """

    taps: int
    inputs: int
    vectors: int

    def tap_groups(self, window: int) -> list[tuple[int, int]]:
        """First and last tap of each group."""
        return [(first, min(first + self.taps, window)) for first in range(0, window, self.taps)]


def gradient_tile(window: int, taken: int, across: int, registers: int, *, by_vectors: bool = False) -> GradientTile:
    """The tile that has the fewest cycles for a kernel of so many taps, input channels and vectors of output channels.

    Rows of neighbouring taps share what is loaded of the output's gradient, and of the input: tiles that have all taps
    of a row need fewer channels of it at a time, so that several tiles find the same lines.
    """

    def cost(tile: GradientTile) -> float:
        groups = [last - first for first, last in tile.tap_groups(window)]
        rows = [taps * inputs for taps in groups for inputs in heights(taken, tile.inputs)]
        widths = [tile.vectors] * (across // tile.vectors) + [across % tile.vectors] * bool(across % tile.vectors)
        cycles = [_cycles(h, w, h * w if by_vectors else h, STREAM) for h in rows for w in widths]
        return sum(cycles) + (ROW_CYCLES + LINE_CYCLES * tile.inputs) * len(cycles)

    found = []
    for v in (v for v in WIDTHS if v <= across):
        share = 5 / 8 if v <= FEW_VECTORS else 3 / 4  # the rest is for the vectors of several windows
        most = max(1, int(registers * share) // v)
        for taps in {t for t in (window, -(-window // 2), most, 1) if 1 <= t <= min(window, most)}:
            found.append(GradientTile(taps, min(taken, most // taps), v))
    return min(found, key=cost)
