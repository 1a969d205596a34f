"""Where windows meet the grid, as code: which positions of a window lie on it, and which windows reach an element."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradloom.executors.native.builder import Function, Index, Value
from gradloom.executors.native.kernels.whole import nest
from gradloom.ops.geometry import Windows
from gradloom.records import dataclass

WindowTurn = Callable[[list[Index], list[Index], list[Value]], list[Value]]


@dataclass(frozen=True)
class Axis:
    """One axis: window q holds at position p the element stride · q + dilation · p - low."""

    b: Function
    size: int
    window: int
    stride: int
    low: int
    dilation: int
    count: int

    def element(self, q: Index, p: Index) -> Index:
        """The element at a position of a window, which may lie in the padding."""
        b = self.b
        return b.iadd(b.iadd(b.imul(q, self.stride), b.imul(p, self.dilation)), -self.low)

    def inside(self, q: Index) -> tuple[Index, Index]:
        """The positions first ≤ p < last of window q that lie on the grid."""
        b = self.b
        before = b.iadd(b.imul(q, -self.stride), self.low)  # elements of the window that lie in front of the grid
        first: Index = 0
        last: Index = self.window
        if self.low:
            first = b.idiv(self._positive(b.iadd(before, self.dilation - 1)), self.dilation)
        if self.element_of_last() >= self.size:
            until = self._positive(b.iadd(before, self.size - 1 + self.dilation))
            last = b.imin(b.idiv(until, self.dilation), self.window)
        return first, last

    def element_of_last(self) -> int:
        """The last element of the last window."""
        return (self.count - 1) * self.stride + (self.window - 1) * self.dilation - self.low

    def whole(self) -> tuple[int, int]:
        """The windows first ≤ q < last that lie on the grid with all their positions."""
        first = min(-(-self.low // self.stride), self.count)
        last = (self.size - 1 - (self.window - 1) * self.dilation + self.low) // self.stride + 1
        return first, max(first, min(last, self.count))

    def reached(self, p: Index) -> tuple[Index, Index]:
        """The windows first ≤ q < last that hold an element of the grid at position p."""
        b = self.b
        before = b.iadd(b.imul(p, -self.dilation), self.low)
        first = b.idiv(self._positive(b.iadd(before, self.stride - 1)), self.stride)
        until = self._positive(b.iadd(before, self.size - 1 + self.stride))
        return first, b.imin(b.idiv(until, self.stride), self.count)

    def window_with(self, u: Index, p: Index) -> tuple[Value, Value]:
        """Whether some window has element u at position p, and which."""
        b = self.b
        start = b.index(b.iadd(b.iadd(u, self.low), b.imul(p, -self.dilation)))
        q, rest = b.index(b.idiv(start, self.stride)), b.index(b.irem(start, self.stride))  # < 0 is very large
        exists = b.compare("ult", q, b.index(self.count))
        return b.binary("and", exists, b.compare("eq", rest, b.index(0))), q

    def _positive(self, x: Index) -> Index:
        """x, or 0 where that is negative."""
        if isinstance(x, int):
            return max(x, 0)
        return self.b.intrinsic("smax", self.b.index(x), self.b.index(0))


def axes_of(b: Function, windows: Windows) -> list[Axis]:
    """The spatial axes."""
    lows = [low for low, _ in windows.padding]
    columns = (windows.spatial, windows.size, windows.strides, lows, windows.dilation, windows.counts)
    return [Axis(b, *values) for values in zip(*columns)]


def elements(axes: Sequence[Axis], windows: Sequence[Index], positions: Sequence[Index]) -> list[Index]:
    """The element at a position of a window, axis by axis."""
    return [axis.element(q, p) for axis, q, p in zip(axes, windows, positions)]


def over_windows_with(axes: Sequence[Axis], at: Sequence[Index], carried: list[Value], body: WindowTurn) -> list[Value]:
    """A loop over all positions at which some window has the element ``at``; ``body(positions, windows, carried)``."""
    if not axes:
        return body([], [], carried)
    axis, b = axes[0], axes[0].b

    def position(p: list[Index], values: list[Value]) -> list[Value]:
        exists, q = axis.window_with(at[0], p[0])
        once = b.select(exists, b.index(1), b.index(0))

        def further(_: list[Index], values: list[Value]) -> list[Value]:
            return over_windows_with(axes[1:], at[1:], values, lambda ps, qs, values: body([*p, *ps], [q, *qs], values))

        return nest(b, [(0, once)], values, further)

    return nest(b, [(0, axis.window)], carried, position)
