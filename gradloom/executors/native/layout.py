"""Bring products into the form that kernels want.

The kernel of matrix products needs the right operand's last axis to be one that stays in the result.  A matrix that
lies otherwise (``x @ W.T``) is packed on the way in (see pack.py); an operand with more axes is transposed first:

    contract(x[m,k,l], w[n,k,l])   →   contract(x[m,k,l], permute(w)[k,l,n])

A sum over a single element is no sum, so that an outer product is computed element by element:

    contract(x[m,1], w[1,n])   →   broadcast(x)[m,n] · broadcast(w)[m,n]

A convolution whose windows are single elements is a product over the channels, and one that has a single window, as
large as the grid, a product over all elements:

    conv(x[n,h,w,i], k[1,1,i,o])   →   contract(x, k[i,o])
    conv(x[n,h,w,i], k[h,w,i,o])   →   contract(x[n,h·w·i], k[h·w·i,o])

So are their gradients, but for that of the kernel of single elements: a product of few elements with a sum over all
pixels, which the kernel for convolutions cuts into blocks.
"""

from __future__ import annotations

import math

from gradloom.executors.native.algebra import simpler
from gradloom.executors.native.kernel import CONVOLUTIONS, is_matrix, is_vector_product, product_segments
from gradloom.executors.native.kernels.conv_form import Sides, sides
from gradloom.ir.graph import Graph, Node, rebuilt, scope_of
from gradloom.ops import contraction, convolution, core, elementwise


def lay_out(graph: Graph) -> Graph:
    """The graph with its products in the form that kernels want."""
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = [made[x] for x in node.inputs]
        if node.op is contraction.contract:
            made[node] = _product(node, inputs)
        else:
            made[node] = _convolution(node, inputs) if node.op in CONVOLUTIONS else rebuilt(node, inputs)
    outputs = tuple(made[y] for y in graph.outputs)
    return graph if outputs == graph.outputs else Graph(graph.inputs, outputs, graph.name)


def _product(node: Node, inputs: list[Node]) -> Node:
    """A product on new operands."""
    with scope_of(node):
        if _is_outer(node):
            return _outer(node, inputs)
        return _transposed(node, inputs) if _needs_transposing(node) else rebuilt(node, inputs)


def _convolution(node: Node, inputs: list[Node]) -> Node:
    """A convolution or one of its relatives on new operands."""
    with scope_of(node):
        return _as_product(node, inputs) or rebuilt(node, inputs)


def _is_outer(node: Node) -> bool:
    return math.prod(product_segments(node)[3]) == 1


def _outer(node: Node, inputs: list[Node]) -> Node:
    """The product of both operands at each index of the result."""
    (sum_left, sum_right), (shared_left, shared_right) = node.attrs["contract"], node.attrs["batch"]
    first, sides = len(shared_left), []
    for x, summed, shared in ((inputs[0], sum_left, shared_left), (inputs[1], sum_right, shared_right)):
        free = [a for a in range(len(x.shape)) if a not in summed and a not in shared]
        x = simpler(core.permute(x, axes=(*shared, *free, *summed)))
        x = simpler(core.reshape(x, shape=x.shape[: len(shared) + len(free)]))
        axes = (*range(len(shared)), *range(first, first + len(free)))
        sides.append(simpler(core.broadcast(x, shape=node.shape, axes=axes)))
        first += len(free)
    return elementwise.mul(*sides)


def _needs_transposing(node: Node) -> bool:
    right, last = node.inputs[1], len(node.inputs[1].shape) - 1
    summed = last in node.attrs["contract"][1] or last in node.attrs["batch"][1]
    return summed and not is_matrix(node) and not is_vector_product(node) and right.tensor_type.size > 0


def _transposed(node: Node, inputs: list[Node]) -> Node:
    """The same product with the right operand's axes in the order shared, summed, free."""
    (sum_left, sum_right), (shared_left, shared_right) = node.attrs["contract"], node.attrs["batch"]
    left, right = inputs
    free = tuple(a for a in range(len(right.shape)) if a not in sum_right and a not in shared_right)
    moved = simpler(core.permute(right, axes=(*shared_right, *sum_right, *free)))
    shared = tuple(range(len(shared_right)))
    summed = tuple(range(len(shared), len(shared) + len(sum_right)))
    return contraction.contract(left, moved, contract=(sum_left, summed), batch=(shared_left, shared))


# Convolutions that are products -------------------------------------------------------------------------------------


def _as_product(node: Node, inputs: list[Node]) -> Node | None:
    """A convolution or its relative as a matrix product, if it is one; halves are summed in float, so those are not."""
    form = sides(node)
    windows = form.windows
    if form.groups > 1 or any(map(sum, windows.padding)) or node.dtype.itemsize == 2 or not node.tensor_type.size:
        return None
    if {*windows.size, *windows.strides} == {1}:
        return _of_elements(node, inputs, form)
    return _of_grids(node, inputs, form) if windows.size == windows.spatial else None


def _of_elements(node: Node, inputs: list[Node], form: Sides) -> Node | None:
    """Windows of single elements: each pixel's channels times a matrix."""
    if node.op is convolution.conv_kernel_gradient:
        return None
    values, matrix = inputs[0], core.reshape(inputs[1], shape=form.w[-2:])
    return _contracted(values, matrix, len(node.shape) - 1, 0 if node.op is convolution.conv else 1)


def _of_grids(node: Node, inputs: list[Node], form: Sides) -> Node:
    """One window, as large as the grid: each example's elements times a matrix."""
    elements, windows = math.prod(form.w[:-1]), form.windows.counts
    x, w, y = (form.examples, elements), (elements, form.made), (form.examples, form.made)
    shapes, left, right = {
        convolution.conv: (((form.examples, *windows, elements), w), 1 + len(windows), 0),
        convolution.conv_input_gradient: ((y, w), 1, 1),
        convolution.conv_kernel_gradient: ((x, y), 0, 0),
    }[node.op]
    a, b = (core.reshape(value, shape=shape) for value, shape in zip(inputs, shapes))
    return simpler(core.reshape(_contracted(a, b, left, right), shape=node.shape))


def _contracted(a: Node, b: Node, left: int, right: int) -> Node:
    """The product of two operands, summed over an axis of each."""
    found = contraction.contract(a, b, contract=((left,), (right,)), batch=((), ()))
    return _outer(found, [a, b]) if _is_outer(found) else found
