"""Convolutions to few channels: a vector has the channels of several neighbouring results, a *bundle*.

A row of results lies in one piece, so k neighbours of c channels are one result of k · c channels, for which windows
are wider and move k times as far:

    y[q, o] = Σ x[stride · q + t] · w[t, o]     →   y[q', (s, o)] = Σ x[k · stride · q' + t] · w'[t, (s, o)]
    w'[t, (s, o)] = w[t - stride · s, o]

Five positions for each of two neighbours are six for both, in vectors that are twice as full.  What w' has not got is
left out by masks (conv_rows.py), not multiplied by zero, so results are the same to the bit, NaN and infinity included.
The gradient of w is that of w', whose elements are added up along s.
"""

from __future__ import annotations

from dataclasses import replace

from gradloom.executors.native.kernel import Kernel, Store
from gradloom.executors.native.kernels.conv_form import Sides, sides
from gradloom.executors.native.kernels.conv_tiling import Bundle, bundle_of
from gradloom.executors.native.loops import Affine, Block, Gathered, Given, Instruction, Load, RandomWord, contiguous
from gradloom.executors.native.target import Target
from gradloom.ir.graph import Node
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution, elementwise
from gradloom.ops.geometry import Sizes, Windows


def bundle_results(kernel: Kernel, target: Target) -> list[Kernel]:
    """Make a convolution, or the gradient of an input, compute bundles where that pays; gives what copies for it."""
    node = kernel.core
    assert node is not None
    s, gradient = sides(node), node.op is convolution.conv_input_gradient
    windows, taken, made = (_turned(s.windows), s.made, s.taken) if gradient else (s.windows, s.taken, s.made)
    bundle = _bundle(node, s, windows.counts[-1], made, target)
    code = kernel.block.code
    if bundle is None or kernel.pooling or not all(_can_move(place, bundle) for place in _places(kernel)):
        return []
    if any(isinstance(i, Gathered) or (isinstance(i, RandomWord) and _by_channel(i.key)) for i in code):
        return []
    wide = _widened(windows, bundle)
    x, (values, weights) = node.inputs[0], kernel.operands
    spread = _copied(weights.buffer, (*wide.size, taken, bundle.pixels * made))
    kernel.core = Node(convolution.conv, (x, spread), _attrs(wide, bundle), _bundled(node, bundle))
    copies, moved = [_spread(spread, weights, s, bundle, turned=gradient)], list[Instruction]()
    for instruction in code:
        if isinstance(instruction, Load) and _by_channel(instruction.place):
            copies.append(_repeated(instruction, bundle))
        moved.append(_moved(instruction, kernel.core, copies[-1].nodes[0], bundle))
    kernel.block = Block(moved, kernel.block.dtypes)
    kernel.stores = [replace(store, place=_merged(store.place, bundle)) for store in kernel.stores]
    kernel.shape, kernel.operands = kernel.core.shape, (values, _whole(spread))
    return copies


def bundle_gradient(kernel: Kernel, target: Target) -> tuple[Node, Bundle] | None:
    """The gradient by the kernel for bundles, whose elements remain to be added up; None where that does not pay."""
    node = kernel.core
    assert node is not None
    s, (x, y) = sides(node), node.inputs
    bundle = _bundle(node, s, s.windows.counts[-1], s.made, target)
    if bundle is None:
        return None
    wide = _widened(s.windows, bundle)
    shape = (*wide.size, s.taken, bundle.pixels * s.made)
    attrs = {**_attrs(wide, bundle), "kernel": wide.size}
    y = Node(elementwise.stop_gradient, (y,), {}, _bundled(y, bundle))
    return Node(node.op, (x, y), attrs, TensorType(shape, node.dtype)), bundle


def _bundle(node: Node, s: Sides, count: int, made: int, target: Target) -> Bundle | None:
    """The neighbours that had better be computed together."""
    itemsize, strides = node.dtype.itemsize, s.windows.strides
    gradient = node.op is convolution.conv_input_gradient
    if itemsize < 4 or s.groups > 1 or s.windows.dilation[-1] > 1 or (gradient and set(strides) != {1}):
        return None
    if gradient and any(low < 0 for low, _ in _turned(s.windows).padding):
        return None
    return bundle_of(count, s.windows.size[-1], strides[-1], made, target.lanes(itemsize), target.registers)


def _turned(windows: Windows) -> Windows:
    """The windows of a gradient's convolution by the turned kernel, of one without a stride."""
    lows = [d * (n - 1) - low for n, d, (low, _) in zip(windows.size, windows.dilation, windows.padding)]
    ends = zip(windows.spatial, windows.counts, windows.size, windows.dilation, lows)
    padding = tuple((low, size - count - low + d * (n - 1)) for size, count, n, d, low in ends)
    return Windows(windows.counts, windows.size, windows.strides, padding, windows.dilation)


def _widened(windows: Windows, bundle: Bundle) -> Windows:
    """The windows of bundles."""
    *sizes, _ = windows.size
    count = windows.counts[-1]
    stride, (low, _) = bundle.pixels * bundle.stride, windows.padding[-1]
    high = (count // bundle.pixels - 1) * stride + bundle.taps - windows.spatial[-1] - low
    padding, strides = (*windows.padding[:-1], (low, high)), (*windows.strides[:-1], stride)
    return Windows(windows.spatial, (*sizes, bundle.taps), strides, padding, windows.dilation)


def _attrs(windows: Windows, bundle: Bundle) -> dict[str, object]:
    """The attributes of a convolution that computes bundles."""
    options = {"strides": windows.strides, "padding": windows.padding, "dilation": windows.dilation}
    return {**options, "groups": 1, "bundle": bundle}


def _bundled(node: Node, bundle: Bundle) -> TensorType:
    """The type of rows of results as rows of bundles."""
    *front, count, channels = node.shape
    return TensorType((*front, count // bundle.pixels, bundle.pixels * channels), node.dtype)


def _copied(buffer: Node, shape: Sizes) -> Node:
    """Where a copy lies."""
    return Node(elementwise.stop_gradient, (buffer,), {}, TensorType(shape, buffer.dtype))


def _whole(buffer: Node) -> Load:
    return Load(buffer, Affine(0, contiguous(buffer.shape)))


def _spread(spread: Node, weights: Load, s: Sides, bundle: Bundle, *, turned: bool) -> Kernel:
    """Copy each position of a kernel to those at which the neighbours of a bundle have it; others stay as they are."""
    *positions, by_input, by_output = contiguous(s.w)
    start = 0
    if turned:
        start = sum((n - 1) * step for n, step in zip(s.windows.size, positions))
        positions, by_input, by_output = [-step for step in positions], by_output, by_input
    *_, taken, channels = spread.shape
    *to, to_input, _ = contiguous(spread.shape)
    shape = (*s.windows.size, taken, bundle.pixels, channels // bundle.pixels)
    copy = Kernel(shape, nodes=[spread])
    source = Affine(start, (*positions, by_input, 0, by_output))
    target = Affine(0, (*to, to_input, bundle.stride * to[-1] + shape[-1], 1))
    copy.stores.append(Store(copy.block.add(Load(weights.buffer, source), spread.dtype), spread, target))
    return copy


def _repeated(load: Load, bundle: Bundle) -> Kernel:
    """Copy what is one vector of channels for all results, once for each neighbour."""
    buffer = _copied(load.buffer, (bundle.pixels, bundle.channels))
    copy = Kernel(buffer.shape, nodes=[buffer])
    place = Affine(load.place.offset, (0, load.place.strides[-1]))
    copy.stores.append(Store(copy.block.add(Load(load.buffer, place), buffer.dtype), buffer, _whole(buffer).place))
    return copy


# Places over results as places over bundles -------------------------------------------------------------------------


def _places(kernel: Kernel) -> list[Affine]:
    return [*kernel.block.places(), *(store.place for store in kernel.stores)]


def _by_channel(place: Affine) -> bool:
    """Whether a place is the same for all results of a channel, and not for all channels."""
    return place.strides[-1] != 0 and not any(place.strides[:-1])


def _can_move(place: Affine, bundle: Bundle) -> bool:
    """Whether a place over results is one over bundles, or by channel alone."""
    by_result, by_element = place.strides[-2:]
    return _by_channel(place) or bundle.channels == 1 or by_result == bundle.channels * by_element


def _merged(place: Affine, bundle: Bundle) -> Affine:
    """The same place over bundles."""
    *front, by_result, by_element = place.strides
    return Affine(place.offset, (*front, bundle.pixels * by_result, by_result if bundle.channels == 1 else by_element))


def _moved(x: Instruction, core: Node, repeated: Node, bundle: Bundle) -> Instruction:
    """An instruction on results as one on bundles; ``repeated`` has what it reads by channel."""
    match x:
        case Given():
            return Given(core)
        case Load() if _by_channel(x.place):
            return Load(repeated, Affine(0, (*(0 for _ in x.place.strides[1:]), 1)))
        case Load():
            return Load(x.buffer, _merged(x.place, bundle))
        case RandomWord():
            return RandomWord(x.buffer, _merged(x.key, bundle), _merged(x.place, bundle))
        case _:
            return x
