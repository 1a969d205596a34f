"""The public functions against NumPy, SciPy and Python's math."""

from __future__ import annotations

import math
from inspect import isfunction
from types import ModuleType

import numpy as np
import pytest
import scipy.linalg
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradloom as gl
from gradloom import arrangement, creation, functional, pointwise, products, reductions
from gradloom.errors import OptionError, ShapeError

_POSITIVE = [0.0, 0.5, 1.0, 2.5, 1e-8, 30.0, 800.0, np.inf]
SPECIAL = np.array([*_POSITIVE, *(-x for x in _POSITIVE), np.nan])

UNARY = {
    "negative": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "square": np.square,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": scipy.special.erf, "sigmoid": scipy.special.expit, "softplus": lambda x: np.logaddexp(x, 0),
    "relu": lambda x: np.where(x > 0, x, 0), "rsqrt": lambda x: 1 / np.sqrt(x), "isfinite": np.isfinite,
    "isnan": np.isnan, "stop_gradient": lambda x: x,
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "maximum": np.maximum, "minimum": np.minimum,
    "atan2": np.arctan2, "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
}  # fmt: skip


@pytest.mark.parametrize("room", [arrangement, creation, pointwise, products, reductions])
def test_every_function_is_public(room: ModuleType):
    made = {name for name, f in vars(room).items() if isfunction(f) and f.__module__ == room.__name__}
    public = {name for name in made if not name.startswith("_")}
    assert public
    assert public <= set(functional.__all__) <= set(gl.__all__)


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(name: str):
    with np.errstate(all="ignore"):
        wanted = UNARY[name](SPECIAL)
    np.testing.assert_allclose(getattr(gl, name)(SPECIAL).numpy(), wanted, rtol=2e-15, atol=1e-300)


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions(name: str):
    x, y = np.meshgrid(SPECIAL, SPECIAL)
    with np.errstate(all="ignore"):
        wanted = BINARY[name](x, y)
    np.testing.assert_array_equal(getattr(gl, name)(x, y).numpy(), wanted)


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic(name: str):
    x, y = np.meshgrid([True, False], [True, False])
    np.testing.assert_array_equal(getattr(gl, name)(x, y).numpy(), getattr(np, name)(x, y))
    bits = np.arange(16)[:, None], np.arange(16)
    of_bits = getattr(np, name.replace("logical", "bitwise"))
    np.testing.assert_array_equal(getattr(gl, name)(*bits).numpy(), of_bits(*bits))


def test_operators_are_numpys():
    x, y = np.array([-3, 2, 7]), np.array([2, 3, -4])
    a, b = gl.tensor(x), gl.tensor(y)
    pairs = [
        (a + b, x + y), (a - b, x - y), (a * b, x * y), (a // b, x // y), (a % b, x % y), (-a, -x), (abs(a), abs(x)),
        (a & b, x & y), (a | b, x | y), (a ^ b, x ^ y), (~a, ~x), (a < b, x < y), (a <= b, x <= y), (a > b, x > y),
        (a >= b, x >= y), (a == b, x == y), (a != b, x != y), (2 - a, 2 - x), (2 * a, 2 * x), (7 // a, 7 // x),
        (7 % a, 7 % x), (x + b, x + y), (x @ b, x @ y), (a @ y, x @ y), (+a, +x), (a**2, x**2),
    ]  # fmt: skip
    for found, wanted in pairs:
        assert isinstance(found, gl.Tensor)
        np.testing.assert_array_equal(found.numpy(), wanted)
    np.testing.assert_allclose((a / b).numpy(), x / y, rtol=1e-7)
    np.testing.assert_allclose((1.0 / a).numpy(), 1 / x, rtol=1e-7)
    np.testing.assert_allclose((2.0 ** gl.tensor(y)).numpy(), 2.0**y, rtol=1e-7)


# Reductions -----------------------------------------------------------------------------------------------------


@st.composite
def reductions(draw, min_side: int = 1, dtypes=("float64", "float32", "int64", "int32", "bool")):
    """An array, axes to reduce and whether to keep them."""
    dtype = draw(st.sampled_from(dtypes))
    elements = {"f": st.integers(-8, 8).map(lambda n: n / 4), "i": st.integers(-5, 5), "b": st.booleans()}
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=4))
    x = draw(hnp.arrays(dtype, shape, elements=elements[np.dtype(dtype).kind]))
    axes = st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape)).map(tuple)
    axis = draw(st.none() | axes) if shape else None
    return x, axis, draw(st.booleans())


@given(reductions(min_side=0))
def test_sum(drawn):
    x, axis, keepdims = drawn
    np.testing.assert_array_equal(gl.sum(x, axis, keepdims).numpy(), np.sum(x, axis, keepdims=keepdims))


@given(reductions(min_side=0, dtypes=("float64", "int64")))
def test_prod(drawn):
    x, axis, keepdims = drawn
    np.testing.assert_allclose(gl.prod(x, axis, keepdims).numpy(), np.prod(x, axis, keepdims=keepdims), rtol=1e-12)


@given(reductions(min_side=0))
def test_any_and_all(drawn):
    x, axis, keepdims = drawn
    np.testing.assert_array_equal(gl.any(x, axis, keepdims).numpy(), np.any(x, axis, keepdims=keepdims))
    np.testing.assert_array_equal(gl.all(x, axis, keepdims).numpy(), np.all(x, axis, keepdims=keepdims))


@given(reductions())
def test_max_and_min(drawn):
    x, axis, keepdims = drawn
    found = gl.max(x, axis, keepdims)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found.numpy(), np.max(x, axis, keepdims=keepdims))
    np.testing.assert_array_equal(gl.min(x, axis, keepdims).numpy(), np.min(x, axis, keepdims=keepdims))


@given(reductions(dtypes=("float64", "int64", "bool")))
def test_mean_var_std(drawn):
    x, axis, keepdims = drawn
    rtol, atol = (1e-13, 1e-13) if x.dtype == "float64" else (1e-5, 1e-6)
    np.testing.assert_allclose(gl.mean(x, axis, keepdims).numpy(), np.mean(x, axis, keepdims=keepdims), rtol, atol)
    np.testing.assert_allclose(gl.var(x, axis, keepdims).numpy(), np.var(x, axis, keepdims=keepdims), rtol, atol)
    if x.dtype == "float64":
        wanted = np.std(x, axis, keepdims=keepdims)
        np.testing.assert_allclose(gl.std(x, axis, keepdims).numpy(), wanted, rtol=1e-7, atol=1e-7)


def test_sample_variance():
    x = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_allclose(gl.var(x, 1, ddof=1).numpy(), np.var(x, 1, ddof=1), rtol=1e-13)


@given(reductions(dtypes=("float64",)))
def test_logsumexp(drawn):
    x, axis, keepdims = drawn
    x = x * 500  # e^x overflows
    found, wanted = gl.logsumexp(x, axis, keepdims).numpy(), scipy.special.logsumexp(x, axis, keepdims=keepdims)
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 1]])
    np.testing.assert_array_equal(gl.logsumexp(x, 1).numpy(), [-np.inf, np.inf, 1])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax(axis: int):
    x = np.random.default_rng(0).standard_normal((3, 4, 2)) * 300
    np.testing.assert_allclose(gl.softmax(x, axis).numpy(), scipy.special.softmax(x, axis), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        gl.log_softmax(x, axis).numpy(), scipy.special.log_softmax(x, axis), rtol=1e-12, atol=1e-300
    )


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.integers(-2, 2)), st.data())
def test_positions_and_order(x, data):
    """Ties everywhere: the first of equals, and a stable order."""
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    np.testing.assert_array_equal(gl.argmax(x, axis).numpy(), np.argmax(x, axis))
    np.testing.assert_array_equal(gl.argmin(x, axis).numpy(), np.argmin(x, axis))
    assert gl.argmax(x).item() == np.argmax(x)
    np.testing.assert_array_equal(gl.sort(x, axis).numpy(), np.sort(x, axis))
    np.testing.assert_array_equal(gl.argsort(x, axis).numpy(), np.argsort(x, axis, kind="stable"))
    np.testing.assert_array_equal(gl.cumsum(x, axis).numpy(), np.cumsum(x, axis))
    backwards = np.flip(np.cumsum(np.flip(x, axis), axis), axis)
    np.testing.assert_array_equal(gl.cumsum(x, axis, reverse=True).numpy(), backwards)
    k = data.draw(st.integers(0, x.shape[axis]))
    values, places = gl.top_k(x, k, axis)
    wanted = np.take(np.argsort(-x, axis, kind="stable"), np.arange(k), axis)
    np.testing.assert_array_equal(places.numpy(), wanted)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, wanted, axis))


def test_order_of_nan():
    x = np.array([2.0, np.nan, -np.inf, 1.0])
    np.testing.assert_array_equal(gl.sort(x).numpy(), np.sort(x))
    assert gl.argmax(x).item() == np.argmax(x)
    assert np.isnan(gl.max(x).item())
    assert gl.top_k(x, 2)[1].tolist() == [1, 0]


# Shapes ---------------------------------------------------------------------------------------------------------

ARRAYS = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))


@given(ARRAYS, st.data())
def test_moving_elements(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    other = data.draw(st.integers(-x.ndim, x.ndim - 1))
    order = data.draw(st.permutations(range(x.ndim)))
    shift = data.draw(st.integers(-9, 9))
    widths = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=x.ndim, max_size=x.ndim))
    pairs = [
        (gl.flip(x, axis), np.flip(x, axis)), (gl.flip(x), np.flip(x)),
        (gl.roll(x, shift, axis), np.roll(x, shift, axis)), (gl.transpose(x, order), np.transpose(x, order)),
        (gl.tensor(x).T, x.T), (gl.moveaxis(x, axis, other), np.moveaxis(x, axis, other)),
        (gl.expand_dims(x, axis), np.expand_dims(x, axis)), (gl.squeeze(x), np.squeeze(x)),
        (gl.pad(x, widths, 7), np.pad(x, widths, constant_values=7)), (gl.pad(x, 1), np.pad(x, 1)),
        (gl.reshape(x, (-1,)) if x.size else gl.tensor(x), x.reshape(-1) if x.size else x),
    ]  # fmt: skip
    for found, wanted in pairs:
        np.testing.assert_array_equal(found.numpy(), wanted)


@given(ARRAYS, st.integers(1, 3), st.data())
def test_joining_and_cutting(x, count, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    parts = [x + i for i in range(count)]
    joined = np.concatenate(parts, axis)
    np.testing.assert_array_equal(gl.concatenate(parts, axis).numpy(), joined)
    place = data.draw(st.integers(-x.ndim - 1, x.ndim))
    np.testing.assert_array_equal(gl.stack(parts, place).numpy(), np.stack(parts, place))
    for found, wanted in zip(gl.split(joined, count, axis), np.split(joined, count, axis), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, joined.shape[axis]), max_size=3)))
    for found, wanted in zip(gl.split(joined, cuts, axis), np.split(joined, cuts, axis), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_broadcast_to():
    x = np.arange(3).reshape(3, 1)
    np.testing.assert_array_equal(gl.broadcast_to(x, (2, 3, 4)).numpy(), np.broadcast_to(x, (2, 3, 4)))


@pytest.mark.parametrize("args", [(5,), (0,), (2, 9), (2, 9, 3), (5, 0, -2), (0.0, 1.0, 0.25), (3, 1)])
def test_arange(args):
    found, wanted = gl.arange(*args), np.arange(*args)
    assert found.dtype == ("int64" if wanted.dtype.kind == "i" else "float32")
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_making_tensors():
    np.testing.assert_array_equal(gl.eye(2, 3).numpy(), np.eye(2, 3))
    np.testing.assert_allclose(gl.linspace(-1, 1, 7).numpy(), np.linspace(-1, 1, 7), rtol=1e-7)
    np.testing.assert_array_equal(gl.full((2, 0), 3).numpy(), np.full((2, 0), 3))
    assert gl.full(3, True).dtype == "bool"
    assert gl.zeros_like(np.zeros((2, 1), np.int32)).type == gl.zeros((2, 1), "int32").type
    assert gl.ones_like(np.zeros(2), "int64").tolist() == [1, 1]
    np.testing.assert_array_equal(gl.tril(np.ones((2, 3, 3))).numpy(), np.tril(np.ones((2, 3, 3))))


def test_one_hot_of_narrow_integers():
    found = gl.one_hot(np.array([1, 255], np.uint8), 300).numpy()
    np.testing.assert_array_equal(found, np.eye(300)[[1, 255]])


# Products -------------------------------------------------------------------------------------------------------

PRODUCTS = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
            ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
            ((3,), (5, 3, 2)), ((5, 2, 3), (3,)), ((2, 0), (0, 3)), ((0, 2), (2, 3))]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), PRODUCTS)
def test_matmul(a, b):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(a), rng.standard_normal(b)
    np.testing.assert_allclose(gl.matmul(x, y).numpy(), x @ y, rtol=1e-13, atol=1e-14)
    if len(a) <= 2 and len(b) <= 2:
        np.testing.assert_allclose(gl.dot(x, y).numpy(), np.dot(x, y), rtol=1e-13, atol=1e-14)


def test_dot_and_outer_of_integers_are_exact():
    x, y = np.array([2**40, 3]), np.array([5, 2**40])
    assert gl.dot(x, y).item() == x @ y
    assert gl.dot(x, 3).tolist() == (x * 3).tolist()
    np.testing.assert_array_equal(gl.outer(x[:1], y).numpy(), np.outer(x[:1], y))


SPECS = ["ij,jk->ik", "ij,kj", "i,i", "i,j->ij", "ii->i", "ii", "iji->j", "ijk->ki", "ij,ij->i", "bij,bjk->bik",
         "bij,bjk,kl->bil", "i,i,i->", "ij,jk,kl,lm->im", "ij->", "ij,j->ij", "a,b,c->cba", "ijj->i", "bi,bj->ij",
         "i->i", "ij,k->k"]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_einsum(spec: str):
    rng = np.random.default_rng(0)
    sizes = dict(zip("abcijklm", (2, 3, 4, 3, 2, 4, 2, 3)))
    arrays = [rng.standard_normal([sizes[a] for a in part]) for part in spec.split("->")[0].split(",")]
    np.testing.assert_allclose(gl.einsum(spec, *arrays).numpy(), np.einsum(spec, *arrays), rtol=1e-12, atol=1e-13)


@given(st.data())
@settings(max_examples=60)
def test_einsum_of_random_specs(data):
    """Two or three operands over five letters, any of them kept, in any order."""
    sizes = dict(zip("abcde", (2, 3, 1, 2, 4)))
    words = data.draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=3))
    letters = sorted(set("".join(words)))
    kept = data.draw(st.permutations(letters))[: data.draw(st.integers(0, len(letters)))]
    spec = f"{','.join(words)}->{''.join(kept)}"
    arrays = [np.random.default_rng(i).integers(-3, 4, [sizes[a] for a in word]) for i, word in enumerate(words)]
    np.testing.assert_array_equal(gl.einsum(spec, *arrays).numpy(), np.einsum(spec, *arrays))


REST = [("...ij,...jk->...ik", (5, 1, 2, 3), (4, 3, 2)), ("...ij,...jk", (2, 3), (4, 3, 2)), ("...", (2, 3)),
        ("i...->...i", (2, 3, 4)), ("...ii->...i", (4, 3, 3)), ("i...,i...", (3, 2), (3, 1)),
        ("...,...->...", (), (2, 3)),
        ("...i,i->...", (3,), (3,)), ("a...b,...->...ab", (2, 1, 3), (5, 4)), ("ij->...ij", (2, 3)),
        ("...,...,...->...", (2, 1), (1, 3), (4, 1, 1)), ("i...,j->ij...", (2, 0), (3,))]  # fmt: skip


@pytest.mark.parametrize("case", REST, ids=lambda case: case[0])
def test_einsum_keeps_the_rest(case: tuple):
    spec, *shapes = case
    arrays = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes)]
    expected = np.einsum(spec, *arrays)
    np.testing.assert_allclose(gl.einsum(spec, *arrays).numpy(), expected, rtol=1e-12, atol=1e-13)
    slopes = gl.grad(lambda xs: gl.sum(gl.einsum(spec, *xs) ** 2))(arrays)
    assert [slope.shape for slope in slopes] == [x.shape for x in arrays]


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ("...i,...i->i", OptionError, r"axes of ... are kept, not summed over; got '...i,...i->i'"),
        ("...i...,i->...", OptionError, "one group of letters an operand"),
        ("..i,i->i", OptionError, "one group of letters an operand"),
        ("...ijk,k->...", ShapeError, "'...ijk' names 3 axes or more; got float64"),
        ("...i,...j->...", ShapeError, r"the axes of ... must broadcast; got \(2,\) and \(4,\)"),
    ],
)
def test_einsum_refuses_what_the_rest_cannot_be(spec: str, error: type, told: str):
    with pytest.raises(error, match=told):
        gl.einsum(spec, np.ones((2, 3)), np.ones((4, 3)))


# Positions --------------------------------------------------------------------------------------------------------


@given(st.data())
def test_take_and_scatter(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    places = hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
    at = data.draw(hnp.arrays(np.int64, places, elements=st.integers(-size, size - 1)))
    x = np.arange(math.prod(shape)).reshape(shape)
    read = np.take(x, at, axis)
    np.testing.assert_array_equal(gl.take(x, at, axis).numpy(), read)
    np.testing.assert_array_equal(gl.take(x, at * 3, axis, mode="clip").numpy(), np.take(x, at * 3, axis, mode="clip"))
    wanted = x.copy()
    np.add.at(wanted, (np.s_[:],) * (axis % x.ndim) + (at,), read)
    np.testing.assert_array_equal(gl.scatter_add(x, at, read, axis).numpy(), wanted)
    order = np.argsort(-x, axis)
    np.testing.assert_array_equal(gl.take_along_axis(x, order, axis).numpy(), np.take_along_axis(x, order, axis))


def test_take_of_narrow_integers():
    x = np.arange(300)
    assert gl.take(x, np.array([200, 255], np.uint8), mode="clip").tolist() == [200, 255]
    tables = np.arange(600).reshape(2, 300)
    found = gl.vmap(gl.take)(tables, np.array([[250], [250]], np.uint8))
    assert found.tolist() == [[250], [550]]


# Linear algebra ---------------------------------------------------------------------------------------------------


def test_linear_systems():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 4, 4)) + 4 * np.eye(4), rng.standard_normal((2, 4, 3))
    np.testing.assert_allclose(gl.solve(a, b).numpy(), np.linalg.solve(a, b), rtol=1e-12)
    np.testing.assert_allclose(gl.solve(a[0], b[0, :, 0]).numpy(), np.linalg.solve(a[0], b[0, :, 0]), rtol=1e-12)
    spd = a @ a.swapaxes(-1, -2)
    np.testing.assert_allclose(gl.cholesky(spd).numpy(), np.linalg.cholesky(spd), rtol=1e-12)
    for lower in (True, False):
        for transposed in (True, False):
            found = gl.triangular_solve(a[0], b[0], lower=lower, transposed=transposed)
            wanted = scipy.linalg.solve_triangular(a[0], b[0], lower=lower, trans=int(transposed))
            np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_special_functions_keep_their_precision(dtype: str):
    """Against exact values rounded once, in units of the last place."""
    x = np.linspace(-4, 4, 33).astype(dtype)
    for name, exact in (("erf", math.erf), ("sigmoid", lambda v: 1 / (1 + math.exp(-v))), ("tanh", math.tanh)):
        wanted = np.array([exact(float(v)) for v in x])
        error = np.abs(getattr(gl, name)(x).numpy().astype(float) - wanted)
        assert (error <= 3 * np.spacing(np.abs(wanted).astype(dtype)).astype(float)).all(), name
