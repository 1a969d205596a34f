"""Convolutions of the native executor: cuts of rows, every geometry against NumPy, epilogues, lesser processors."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import run

import gradloom as gl
from gradloom.executors.native.kernels.conv_form import Sides, sides
from gradloom.executors.native.kernels.conv_tiling import (
    Bundle,
    Line,
    backward_lines,
    forward_line,
    gradient_cut,
    gradient_tile,
    heights,
    runs,
    stretches,
    tile_shape,
)
from gradloom.executors.native.kernels.conv_weights import copies_rows, cut
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import Target, host, lesser
from gradloom.ir.graph import Graph, placeholder
from gradloom.ir.tensortype import TensorType
from gradloom.ops import convolution

# How rows are cut ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Geometry:
    """One spatial axis: its size, and window, stride, padding (low, high), dilation."""

    size: int
    window: int
    stride: int
    low: int
    high: int
    dilation: int

    @property
    def count(self) -> int:
        return (self.size + self.low + self.high - self.dilation * (self.window - 1) - 1) // self.stride + 1

    @property
    def axis(self) -> tuple[int, ...]:
        return self.size, self.window, self.stride, self.low, self.dilation, self.count

    def visits(self) -> set[tuple[int, int, int]]:
        """(window, position, element) of all that lie on the grid."""
        every = itertools.product(range(self.count), range(self.window))
        found = {(q, p, q * self.stride + p * self.dilation - self.low) for q, p in every}
        return {visit for visit in found if 0 <= visit[2] < self.size}


@st.composite
def geometries(draw: st.DrawFn, largest: int = 40) -> Geometry:
    window, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    low, high = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    least = max(1, dilation * (window - 1) + 1 - low - high)
    size = draw(st.integers(least, max(least, largest)))
    return Geometry(size, window, draw(st.integers(1, 4)), low, high, dilation)


def met(line: Line, most: int) -> list[tuple[int, int, int]]:
    """(place of the result in its row, position of the kernel, element) of all that tiles compute."""
    found, covered = [], []
    for tiles in runs(line, most):
        for number in range(tiles.count):
            start = tiles.start + number * tiles.height
            covered += range(start, start + tiles.height)
            for span in tiles.spans:
                for t, v in itertools.product(range(span.first, span.last), range(*span.rows)):
                    result = line.first_result + (start + v) * line.result_step
                    found.append((result, line.first_tap + t * line.tap_step, line.element(start + v, t)))
    assert covered == list(range(line.count))
    return found


@given(geometries(), st.integers(1, 16))
def test_tiles_of_a_row_meet_every_element_on_the_grid_once(g: Geometry, most: int):
    found = met(forward_line(*g.axis), most)
    assert len(found) == len(set(found))
    assert set(found) == g.visits()


@given(geometries(), st.integers(1, 16))
def test_a_strided_gradient_is_dense_convolutions_that_share_out_the_kernel(g: Geometry, most: int):
    found = [visit for line in backward_lines(*g.axis) for visit in met(line, most)]
    assert len(found) == len(set(found))
    assert set(found) == {(u, g.window - 1 - p, q) for q, p, u in g.visits()}


@given(geometries())
def test_stretches_hold_the_windows_that_reach_the_grid(g: Geometry):
    line = forward_line(*g.axis)
    for taps in ((0, g.window), (g.window // 2, g.window)):
        found = [
            (q, p, line.element(q, p))
            for s in stretches(line, taps)
            for q, p in itertools.product(range(s.start, s.stop), range(s.first, s.last))
        ]
        assert len(found) == len(set(found))
        assert set(found) == {visit for visit in g.visits() if visit[1] in range(*taps)}


@given(st.integers(1, 300), st.integers(1, 30))
def test_heights_cover_their_rows_and_differ_by_one_at_most(count: int, most: int):
    found = heights(count, most)
    assert sum(found) == count
    assert max(found) <= most
    assert max(found) - min(found) <= 1


@given(
    st.integers(1, 130),
    st.integers(1, 20),
    st.sampled_from([16, 32]),
    st.integers(1, 12),
    st.integers(1, 4),
    st.booleans(),
)
def test_tiles_fit_the_registers(count: int, across: int, registers: int, window: int, stride: int, by_vectors: bool):
    shape = tile_shape(count, across, registers, window, stride, by_vectors=by_vectors)
    sums, factors = shape.rows * shape.vectors, shape.vectors * (window if shape.held else 1)
    assert shape.rows > 0
    assert sums + factors + 1 <= registers
    assert shape.vectors <= across
    tile = gradient_tile(window, count, across, registers, by_vectors=by_vectors)
    assert tile.taps * tile.inputs * tile.vectors < registers
    assert [t for group in tile.tap_groups(window) for t in range(*group)] == list(range(window))


def test_tiles_keep_the_units_busy():
    for count, across, taps in itertools.product((8, 14, 16, 28, 32, 64), (2, 4, 8, 16), (1, 3)):
        rows, vectors, held = tile_shape(count, across, 32, taps)
        assert across % vectors == 0  # so that a copy of the kernel has panels that are all alike
        # Two units, of a latency of four: eight would wait for loads, of which there are fewer where taps are held.
        assert min(heights(count, rows)) * vectors >= (12 if held else 16)
    assert gradient_tile(3, 64, 4, 32).taps == 3


def test_taps_are_held_where_an_element_serves_several():
    assert tile_shape(32, 2, 32, 3).held
    assert not tile_shape(32, 2, 32, 3, 2).held  # every second element serves a single tap
    assert not tile_shape(32, 2, 32, 15).held  # registers do not suffice
    assert tile_shape(32, 4, 32, 3, 2, by_vectors=True).held
    assert tile_shape(32, 4, 32, 3, by_vectors=True).vectors == 4  # memory in one piece


def test_blocks_of_a_gradient_follow_from_the_problem():
    small = gradient_cut(lines=4096, count=32, line_bytes=4096, kernel_bytes=9216, panels=1)
    assert small.blocks == 32  # enough for the threads: the sums are small beside the images
    large = gradient_cut(lines=32, count=8, line_bytes=16384, kernel_bytes=2_359_296, panels=8)
    assert large.blocks == 1  # the sums are larger than the images: panels of channels share the work
    assert gradient_cut(lines=1, count=8, line_bytes=64, kernel_bytes=64, panels=1).blocks == 1


# Values against NumPy -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A convolution: axes, examples, groups, channels of a group in and out."""

    axes: tuple[Geometry, ...]
    examples: int
    groups: int
    taken: int
    made: int

    @property
    def options(self) -> dict[str, object]:
        return {
            "strides": tuple(g.stride for g in self.axes),
            "padding": tuple((g.low, g.high) for g in self.axes),
            "dilation": tuple(g.dilation for g in self.axes),
            "groups": self.groups,
        }

    def arrays(self, dtype: str) -> list[np.ndarray]:
        """x, w and y."""
        rng = np.random.default_rng(7)
        grid, window, counts = (tuple(getattr(g, name) for g in self.axes) for name in ("size", "window", "count"))
        x = (self.examples, *grid, self.groups * self.taken)
        w = (*window, self.taken, self.groups * self.made)
        y = (self.examples, *counts, self.groups * self.made)
        return [rng.normal(size=shape).astype(dtype) for shape in (x, w, y)]


def trilinear(shape: Shape, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The form solved for y, x and w, in float64: the padded grid is cut by strides, position after position."""
    x, w, y = (a.astype(np.float64) for a in (x, w, y))
    padded = np.pad(x, ((0, 0), *((g.low, g.high) for g in shape.axes), (0, 0)))
    found_y, found_x, found_w = np.zeros_like(y), np.zeros_like(padded), np.zeros_like(w)
    for p in itertools.product(*(range(g.window) for g in shape.axes)):
        cut = [
            slice(g.dilation * i, g.dilation * i + g.stride * (g.count - 1) + 1, g.stride)
            for g, i in zip(shape.axes, p)
        ]
        for group in range(shape.groups):
            i = slice(group * shape.taken, (group + 1) * shape.taken)
            o = slice(group * shape.made, (group + 1) * shape.made)
            at = (slice(None), *cut, i)
            found_y[..., o] += padded[at] @ w[(*p, slice(None), o)]
            found_x[at] += y[..., o] @ w[(*p, slice(None), o)].T
            found_w[(*p, slice(None), o)] += padded[at].reshape(-1, shape.taken).T @ y[..., o].reshape(-1, shape.made)
    inside = tuple(slice(g.low, g.low + g.size) for g in shape.axes)
    return [found_y, found_x[(slice(None), *inside)], found_w]


def check(shape: Shape, dtype: str, target: Target | None = None) -> None:
    """All three kernels; the same bits on one thread and on three."""
    arrays = shape.arrays(dtype)
    x, w, y = inputs = tuple(placeholder(TensorType(a.shape, a.dtype)) for a in arrays)
    spatial, kernel = x.shape[1:-1], w.shape[:-2]
    outputs = (
        convolution.conv(x, w, **shape.options),
        convolution.conv_input_gradient(y, w, spatial=spatial, **shape.options),
        convolution.conv_kernel_gradient(x, y, kernel=kernel, **shape.options),
    )
    program = NativeProgram(Graph(inputs, outputs, "test"), target or host())
    program.threads = 1
    found = program(arrays)
    program.threads, program.shared_from = 3, 1
    for one, three in zip(found, program(arrays)):
        assert one.tobytes() == three.tobytes()
    terms = max(arrays[1].size // arrays[1].shape[-1], arrays[2].size // arrays[2].shape[-1])
    for values, wanted in zip(found, trilinear(shape, *arrays)):
        bound = math.sqrt(terms) * 8 * float(np.finfo(dtype).eps) * max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(values, wanted, rtol=0, atol=bound)


def square(size: int, window: int, stride: int = 1, low: int = 0, dilation: int = 1) -> tuple[Geometry, ...]:
    return (Geometry(size, window, stride, low, low, dilation),) * 2


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    rank = draw(st.integers(1, 3))
    axes = tuple(draw(geometries({1: 40, 2: 12, 3: 5}[rank])) for _ in range(rank))
    groups = draw(st.sampled_from([1, 1, 2, 5]))
    channels = st.sampled_from([1, 2, 3, 7, 16, 17])
    return Shape(axes, draw(st.integers(1, 3)), groups, draw(channels), draw(channels))


@settings(max_examples=20, deadline=None)
@given(shapes())
def test_any_geometry(shape: Shape):
    check(shape, "float64")


TYPICAL = {
    "several tiles a row": Shape(square(35, 3, low=1), 2, 1, 5, 16),
    "several panels": Shape(square(6, 3, low=1), 2, 1, 9, 150),
    "first layer": Shape(square(12, 5, low=2), 3, 1, 3, 6),
    "a long window": Shape((Geometry(40, 6, 1, 3, 2, 1),), 2, 1, 6, 40),
    "odd channels": Shape(square(13, 3, low=1), 2, 1, 17, 23),
    "strided": Shape(square(15, 3, stride=2, low=1), 2, 1, 16, 33),
    "stride beyond the window": Shape(square(11, 2, stride=5), 2, 1, 4, 5),
    "depthwise": Shape(square(9, 3, low=1), 2, 70, 1, 1),
    "depthwise with a stride": Shape(square(17, 3, stride=2, low=1), 2, 64, 1, 1),
    "depthwise with a long window": Shape((Geometry(40, 15, 1, 7, 7, 1),), 2, 40, 1, 1),
    "depthwise with gaps": Shape((Geometry(23, 4, 3, 2, 4, 2),), 2, 100, 1, 1),
    "depthwise with several outputs": Shape(square(9, 3, low=1), 2, 6, 1, 4),
    "points": Shape(square(5, 1), 2, 1, 20, 9),
    "points in steps": Shape(square(7, 1, stride=2), 2, 1, 20, 9),
    "the whole grid": Shape(square(4, 4), 5, 1, 6, 10),
    "wide dilation": Shape((Geometry(60, 3, 1, 40, 0, 20),), 2, 1, 3, 8),
    "a large kernel": Shape(square(3, 3, low=1), 1, 1, 130, 100),
    "a large kernel in panels": Shape(square(9, 3, low=1), 1, 1, 64, 256),
    "a small kernel in panels": Shape(square(9, 3, low=1), 1, 1, 20, 96),
    "bundles of two": Shape(square(28, 5, low=2), 2, 1, 1, 6),
    "bundles in both directions": Shape(square(12, 3, low=1), 2, 1, 3, 4),
    "bundles with a stride": Shape((Geometry(17, 3, 1, 0, 1, 1), Geometry(25, 5, 2, 1, 2, 1)), 2, 1, 2, 4),
    "bundles with gaps": Shape((Geometry(24, 2, 1, 1, 0, 1),), 3, 1, 5, 1),
}


@pytest.mark.parametrize("name", TYPICAL)
def test_typical_shapes(name: str):
    check(TYPICAL[name], "float32")


@pytest.mark.parametrize("cpu", list(lesser()))
@pytest.mark.parametrize(
    "name",
    ["several panels", "strided", "odd channels", "first layer", "depthwise", "bundles in both directions"],
)
def test_lesser_processors(cpu: str, name: str):
    check(TYPICAL[name], "float32", lesser()[cpu])


def test_many_rows_are_summed_in_blocks_and_chunks():
    check(Shape(square(40, 3, low=1), 8, 1, 16, 16), "float32")


def form(shape: Shape) -> Sides:
    """The sizes of a kernel's gradient."""
    x, w, y = (placeholder(TensorType(a.shape, a.dtype)) for a in shape.arrays("float32"))
    return sides(convolution.conv_kernel_gradient(x, y, kernel=w.shape[:-2], **shape.options))


def near(shape: Shape, target: Target) -> bool:
    """Whether the kernel's gradient reads copies of y's rows."""
    return copies_rows(form(shape), 4, target)


@pytest.mark.parametrize("axes", [square(12, 3, low=1), square(23, 3, stride=2, low=1)], ids=["dense", "strided"])
def test_rows_of_many_channels_are_copied_in_chunks(axes: tuple[Geometry, ...]):
    shape = Shape(axes, 8, 1, 24, 130)  # the last panel has two channels
    lines = cut(form(shape), 4, host())
    assert lines.lines > lines.chunk * lines.blocks
    assert near(shape, host())
    check(shape, "float32")
    check(shape, "float64")


def test_groups_are_copied_apart():
    shape = Shape(square(10, 3, low=1), 3, 3, 16, 20)
    assert near(shape, host())
    check(shape, "float32")


def test_only_rows_that_many_tiles_read_are_copied():
    machine = Target("avx512", "skylake-avx512", "", 64, 32)
    assert near(Shape(square(8, 3, low=1), 4, 1, 32, 128), machine)
    assert not near(Shape(square(8, 3, low=1), 4, 1, 32, 64), machine)  # a tile has all channels: they lie together
    assert not near(Shape(square(8, 1), 4, 1, 2, 128), machine)  # one tile reads them
    assert not near(Shape((Geometry(4096, 3, 1, 1, 1, 1),), 4, 1, 32, 128), machine)  # a row is too long for the stack
    assert not near(Shape(square(8, 3, low=1), 4, 128, 1, 1), machine)


@pytest.mark.parametrize(("groups", "channels", "made"), [(37, 1, 1), (1, 17, 23), (1, 3, 40)])
def test_what_is_not_finite_stays_where_it_is_met(groups: int, channels: int, made: int):
    """Neither padding nor the lanes beyond the last channel bring it elsewhere."""
    shape = Shape(square(20, 3, low=1), 1, groups, channels, made)
    x, w, _ = shape.arrays("float32")
    x[0, 9, 9], w[0, 0] = np.nan, np.inf
    inputs = tuple(placeholder(TensorType(a.shape, a.dtype)) for a in (x, w))
    (y,) = NativeProgram(Graph(inputs, (convolution.conv(*inputs, **shape.options),), "test"))([x, w])
    finite = np.zeros((20, 20), bool)
    finite[0], finite[:, 0] = True, True  # whose windows have their first position in the padding
    np.testing.assert_array_equal(np.isfinite(y[0]), np.broadcast_to(finite[..., None], y[0].shape))


# Bundles of neighbouring results --------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 7), st.integers(1, 4))
def test_the_lanes_of_a_bundle_have_the_taps_of_their_results(pixels: int, channels: int, window: int, stride: int):
    bundle = Bundle(pixels, channels, window, stride)
    for tap in range(bundle.taps):
        has = [i for i in range(pixels * channels) if 0 <= tap - i // channels * stride < window]
        assert list(range(*bundle.lanes(tap))) == has
    assert bundle.lanes(0)[0] == 0
    assert bundle.lanes(bundle.taps - 1)[1] == pixels * channels


def bundled(program: NativeProgram) -> list[str]:
    """The convolutions that compute bundles."""
    return [str(k).split(" ")[0] for k in program.plan.kernels if k.core is not None and "bundle" in k.core.attrs]


def test_few_channels_are_computed_in_bundles_with_what_follows():
    rng = np.random.default_rng(5)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((3, 9, 20, 2), (3, 3, 2, 6), (6,)))
    r = rng.normal(size=(3, 9, 20, 6)).astype(np.float32)
    program = NativeProgram(gl.trace(layer, *map(gl.tensor, (x, w, b, r))))
    shape = Shape((Geometry(9, 3, 1, 1, 1, 1), Geometry(20, 3, 1, 1, 1, 1)), 3, 1, 2, 6)
    wanted = np.maximum(trilinear(shape, x, w, np.zeros_like(r))[0] + b, 0) + r
    np.testing.assert_allclose(run(program, x, w, b, r)[0], wanted, atol=2e-5)
    if host().lanes(4) >= 12:
        assert bundled(program) == ["conv"]


def test_a_bundle_does_not_spread_infinities():
    x, w = np.ones((1, 1, 24, 1), np.float32), np.ones((1, 3, 1, 2), np.float32)
    x[0, 0, 10], x[0, 0, 17] = np.inf, np.nan
    program = NativeProgram(gl.trace(lambda x, w: gl.conv(x, w, padding="same"), gl.tensor(x), gl.tensor(w)))
    assert bundled(program) == ["conv"]
    found = run(program, x, w)[0][0, 0]
    assert [i for i in range(24) if np.isinf(found[i]).all()] == [9, 10, 11]
    assert [i for i in range(24) if np.isnan(found[i]).all()] == [16, 17, 18]
    assert np.isfinite(np.delete(found, [9, 10, 11, 16, 17, 18], axis=0)).all()


# What is fused ------------------------------------------------------------------------------------------------------


def layer(x: gl.Tensor, w: gl.Tensor, b: gl.Tensor, r: gl.Tensor) -> gl.Tensor:
    return gl.relu(gl.conv(x, w, padding="same") + b) + r


def test_bias_activation_and_residual_are_the_end_of_the_convolution():
    rng = np.random.default_rng(3)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((2, 7, 9, 5), (3, 3, 5, 21), (21,)))
    r = rng.normal(size=(2, 7, 9, 21)).astype(np.float32)
    program = NativeProgram(gl.trace(layer, *map(gl.tensor, (x, w, b, r))))
    assert len(program.plan.kernels) == 1
    shape = Shape((Geometry(7, 3, 1, 1, 1, 1), Geometry(9, 3, 1, 1, 1, 1)), 2, 1, 5, 21)
    wanted = np.maximum(trilinear(shape, x, w, np.zeros_like(r))[0] + b, 0) + r
    np.testing.assert_allclose(run(program, x, w, b, r)[0], wanted, atol=2e-5)


def test_the_update_of_a_kernel_is_the_end_of_its_gradient():
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(4, 8, 8, 3)), rng.normal(size=(3, 3, 3, 4))

    def step(w: gl.Tensor, x: gl.Tensor) -> gl.Tensor:
        return w - 0.1 * gl.grad(lambda w: gl.sum(gl.conv(x, w, padding="same") ** 2))(w)

    program = NativeProgram(gl.trace(step, gl.tensor(w), gl.tensor(x)))
    assert str(program.plan.kernels[-1]).startswith("conv_kernel_gradient + sub")
    shape = Shape(square(8, 3, low=1), 4, 1, 3, 4)
    y = trilinear(shape, x, w, np.zeros((4, 8, 8, 4)))[0]
    np.testing.assert_allclose(run(program, w, x)[0], w - 0.2 * trilinear(shape, x, w, y)[2], atol=1e-10)


def test_points_and_whole_grids_are_matrix_products():
    x, y = gl.zeros((2, 5, 5, 8)), gl.zeros((2, 5, 5, 3))
    points = NativeProgram(gl.trace(lambda x, w, b: gl.relu(gl.conv(x, w) + b), x, gl.zeros((1, 1, 8, 3)), gl.zeros(3)))
    assert [str(k) for k in points.plan.kernels] == ["contract + select [2,5,5,3]"]
    back = NativeProgram(gl.trace(lambda y, w: gl.conv_transpose(y, w, spatial=(5, 5)), y, gl.zeros((1, 1, 8, 3))))
    assert [str(k) for k in back.plan.kernels] == ["contract [2,5,5,8]"]
    whole = NativeProgram(gl.trace(gl.conv, x, gl.zeros((5, 5, 8, 3))))
    assert [str(k) for k in whole.plan.kernels] == ["contract [2,1,1,3]"]
