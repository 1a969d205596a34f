"""Rules for sums: what is the same along the axes is taken out, and what is known to add up to 0 is left out.

    Σ_i c · f_i                            →   c · Σ_i f_i
    Σ_i (c · f_i - d · (x_i - mean x))     →   c · Σ_i f_i
    Σ over the grid of window_place(y, x)  →   Σ over the windows of y
    Σ_i (x_i - mean x)²                    →   Σ_blocks (Σ_i (x_i - mean of block)² + n (mean of block - mean x)²)

Normalisation's derivative is full of them: the gradients of the scale, of the deviation and of the mean are three sums
over all elements, and by these rules one and the same.  Sums of rounded numbers may differ in their last bits.
"""

from __future__ import annotations

import math

from gradloom.executors.native.kernels.units import even_blocks
from gradloom.executors.native.loops import is_expression, only_unit_axes_change, uniform_value
from gradloom.ir.graph import Node, fill
from gradloom.ops import convolution, core, elementwise, window
from gradloom.records import dataclass

Axes = tuple[int, ...]

FEWEST_ELEMENTS = 2**15
"""From which on a tensor's channels are summed block by block."""
BLOCK, BLOCKS = (2**12, 2**13), (64, 512)
"""Elements of a block at least, and the most blocks, of small and of large tensors."""

MOST_TERMS = 8
"""Terms and factors beyond which a sum stays as it is."""


def sum_of_placed(node: Node) -> Node | None:
    """Whatever the places, all that was placed is summed."""
    (x,), axes = node.inputs, node.attrs["axes"]
    if x.op is not window.window_place or not set(range(1, len(x.shape) - 1)) <= set(axes):
        return None
    return core.reduce_sum(x.inputs[0], axes=axes)


def sum_of_blocks(node: Node) -> Node | None:
    """The sums of a large tensor's channels as sums of those of blocks."""
    (x,), axes = node.inputs, node.attrs["axes"]
    blocks = _blocks(x, axes)
    return core.reduce_sum(_parts(_in_blocks(x, blocks)), axes=(0,)) if blocks > 1 else None


def sum_of_squares(node: Node) -> Node | None:
    """Squares of the distances from the mean: within each block from its own, and of that from the mean of all.

    Both moments of a block are summed while it is in the nearest caches, so that a large tensor is read once; and
    nothing is lost by cancellation, however large the mean.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    (product,), axes = node.inputs, node.attrs["axes"]
    if product.op is not elementwise.mul or product.inputs[0] is not product.inputs[1]:
        return None
    (difference, _) = product.inputs
    if difference.op is not elementwise.sub or not _is_mean(difference.inputs[1], difference.inputs[0], axes):
        return None
    x, repeated = difference.inputs
    blocks = _blocks(x, axes)
    if blocks == 1:
        return None
    apart = _in_blocks(x, blocks)
    count, channels = apart.shape[1:]
    means = elementwise.scale(_parts(apart), 1 / count)
    within = elementwise.sub(apart, core.broadcast(means, shape=apart.shape, axes=(0, 2)))
    mean = core.reshape(repeated.inputs[0], shape=(channels,))
    between = elementwise.sub(means, core.broadcast(mean, shape=means.shape, axes=(1,)))
    squares = core.add(_parts(elementwise.mul(within, within)), elementwise.scale(elementwise.square(between), count))
    return core.reduce_sum(squares, axes=(0,))


def _blocks(x: Node, axes: Axes) -> int:
    """Into how many even blocks a tensor in memory is cut of which channels are summed; 1 where that does not pay."""
    size, every = x.tensor_type.size, tuple(range(len(x.shape) - 1))
    if (
        axes != every
        or not _lies_in_memory(x)
        or size < FEWEST_ELEMENTS
        or x.dtype.kind != "f"
        or x.dtype.itemsize == 2
    ):
        return 1
    most = min(max(BLOCKS[0], min(BLOCKS[1], size // BLOCK[1])), size // BLOCK[0])
    return even_blocks(size // x.shape[-1], x.shape[0], most) or 1


def _lies_in_memory(x: Node) -> bool:
    """Whether a tensor will be written: also that which is added to a convolution's result, while it is computed."""
    if x.op is core.add:
        return any(y.op is convolution.conv for y in x.inputs)
    return not is_expression(x) and x.op not in (core.reshape, core.reduce_sum) and x.value is None


def _in_blocks(x: Node, blocks: int) -> Node:
    """(blocks, places of each, channels)."""
    return core.reshape(x, shape=(blocks, x.tensor_type.size // x.shape[-1] // blocks, x.shape[-1]))


def _parts(x: Node) -> Node:
    return core.reduce_sum(x, axes=(1,))


def sum_of_terms(node: Node) -> Node | None:
    """Constant factors come out of the sum; of several terms all but one must be known to add up to 0."""
    (x,), axes = node.inputs, node.attrs["axes"]
    if node.dtype.kind != "f" or node.dtype.itemsize == 2 or not axes:  # unscaled sums of halves may overflow
        return None
    terms = [_term(t, sign, axes) for t, sign in _terms(x, axes)]
    left = [t for t in terms if not _vanishes(t.factors, axes)]
    if len(left) > 1 or (len(terms) == 1 and left and all(uniform_value(f) is not None for f in left[0].outside)):
        return None
    return left[0].summed(node) if left else fill(node.tensor_type, 0)


def _terms(x: Node, axes: Axes) -> list[tuple[Node, int]]:
    """The terms that are added and subtracted, with their signs."""
    if x.op is elementwise.neg:
        return [(t, -sign) for t, sign in _terms(x.inputs[0], axes)]
    if x.op not in (core.add, elementwise.sub) or _vanishes([x], axes):
        return [(x, 1)]
    left, right = (_terms(y, axes) for y in x.inputs)
    if len(left) + len(right) > MOST_TERMS:
        return [(x, 1)]
    return left + (right if x.op is core.add else [(t, -sign) for t, sign in right])


@dataclass(frozen=True)
class _Term:
    """A product.

    Attributes:
        sign: 1 or -1.
        outside: factors that are the same along the axes of the sum.
        factors: the others.
        axes: of the sum.
    """

    sign: int
    outside: list[Node]
    factors: list[Node]
    axes: Axes

    def summed(self, node: Node) -> Node:
        """The sum of the factors inside, times those outside."""
        inside = self.factors[0]
        for factor in self.factors[1:]:
            inside = elementwise.mul(inside, factor)
        total = core.reduce_sum(inside, axes=self.axes)
        for factor in self.outside:
            total = elementwise.mul(total, _without(factor, self.axes, node))
        return elementwise.neg(total) if self.sign < 0 else total


def _term(x: Node, sign: int, axes: Axes) -> _Term:
    factors = _factors(x)
    outside = [f for f in factors if _is_same_along(f, axes)]
    inside = [f for f in factors if f not in outside]
    return _Term(sign, outside, inside, axes) if inside else _Term(sign, [], [x], axes)


def _factors(x: Node) -> list[Node]:
    if x.op is not elementwise.mul:
        return [x]
    found = [f for y in x.inputs for f in _factors(y)]
    return found if len(found) <= MOST_TERMS else [x]


def _is_same_along(x: Node, axes: Axes) -> bool:
    """Whether a factor is seen to be the same along axes: a constant, or repeated along them."""
    if uniform_value(x) is not None:
        return True
    return x.op is core.broadcast and not any(a in axes and n != 1 for a, n in zip(x.attrs["axes"], x.inputs[0].shape))


def _without(factor: Node, axes: Axes, node: Node) -> Node:
    """A factor that is the same along axes, in the shape of the sum."""
    value = uniform_value(factor)
    if value is not None:
        return fill(node.tensor_type, value)
    kept = [a for a in range(len(factor.shape)) if a not in axes]
    (small,) = factor.inputs
    places = [a for a in factor.attrs["axes"] if a not in axes]
    shape = tuple(n for a, n in zip(factor.attrs["axes"], small.shape) if a not in axes)
    small = small if shape == small.shape else core.reshape(small, shape=shape)
    if shape == node.shape:
        return small
    return core.broadcast(small, shape=node.shape, axes=tuple(map(kept.index, places)))


def _vanishes(factors: list[Node], axes: Axes) -> bool:
    """Whether factors are one difference from the mean along the axes."""
    (x, *more) = factors
    return not more and x.op is elementwise.sub and _is_mean(x.inputs[1], x.inputs[0], axes)


def _is_mean(repeated: Node, x: Node, axes: Axes) -> bool:
    """Whether a node is the mean of x along axes, repeated along them."""
    if repeated.op is not core.broadcast or not _is_same_along(repeated, axes):
        return False
    mean, count = repeated.inputs[0], math.prod(x.shape[a] for a in axes)
    if mean.op is not elementwise.mul:
        return False
    total, factor = mean.inputs
    if total.op is core.reshape and only_unit_axes_change(total):
        (total,) = total.inputs
    value = uniform_value(factor)
    return _is_sum(total, x, axes) and value is not None and math.isclose(value * count, 1, rel_tol=1e-6)


def _is_sum(total: Node, x: Node, axes: Axes) -> bool:
    """Whether a node is the sum of x along axes, block by block or not."""
    if total.op is not core.reduce_sum:
        return False
    (summed,) = total.inputs
    if summed is x:
        return total.attrs["axes"] == axes
    in_blocks = summed.op is core.reduce_sum and summed.inputs[0].op is core.reshape
    return in_blocks and summed.inputs[0].inputs[0] is x and _blocks(x, axes) == summed.shape[0]
