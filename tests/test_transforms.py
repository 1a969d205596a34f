"""grad, jvp, vjp, jacobian, hessian, vmap and jit, alone and one inside another."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.errors import DTypeError, OptionError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal(4)
A = RNG.standard_normal((4, 4))


def worked_example(f, g):
    """a = b c, b = d + e, c = e + 2, d = 3 + f, e = f g: three paths lead from f to a."""
    e = f * g
    d = 3 + f
    c = e + 2
    b = d + e
    return b * c


def curved(x):
    """A scalar of a vector with a full Hessian."""
    return gl.sum(gl.sin(gl.tensor(A) @ x) * gl.exp(0.3 * x)) + gl.prod(x)


def layer(w, x):
    """A vector of a matrix and a vector."""
    return gl.tanh(w @ x)


def differences(f, x: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """The derivative by every element, by central differences of fourth order; the elements lie along the last axis."""
    columns = []
    for d in np.eye(x.size).reshape(x.size, *x.shape):
        near, far = (f(x + k * step * d) - f(x - k * step * d) for k in (1, 2))
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, -1)


# Tracing --------------------------------------------------------------------------------------------------------


def input_names(f, *args) -> list[str]:
    return [x.attrs["name"] for x in gl.trace(f, *args).inputs]


def test_inputs_are_named_by_parameters_and_paths():
    def f(x, /, parameters, *rest):
        return x * parameters["weight"] + parameters["bias"][1] + rest[0]

    args = 1.0, {"weight": 2.0, "bias": [3.0, 4.0]}, 5.0
    names = ["x", "parameters.bias.0", "parameters.bias.1", "parameters.weight", "2"]
    assert input_names(f, *args) == names
    assert input_names(gl.jit(gl.grad(f, argnums=1)), *args) == names


def test_inputs_of_a_function_without_a_signature_are_numbered():
    with pytest.raises(ValueError, match="no signature found"):
        inspect.signature(dict)
    assert input_names(dict, {"a": 1.0}) == ["0.a"]


# Derivatives ----------------------------------------------------------------------------------------------------


def test_the_worked_example_of_the_catalogue():
    f, g = np.array(4.0), np.array(2.0)
    value, gradient = gl.value_and_grad(worked_example, (0, 1))(f, g)
    assert (value.item(), *(d.item() for d in gradient)) == (150, 60, 100)
    hessian = gl.hessian(lambda v: worked_example(v[0], v[1]))(np.array([4.0, 2.0]))
    assert hessian.tolist() == [[12, 45], [45, 32]]
    assert gl.jvp(worked_example, (f, g), (np.array(1.0), np.array(0.0)))[1].item() == 60


def test_gradient_jacobian_and_hessian_are_differences():
    f = gl.jit(curved)
    np.testing.assert_allclose(gl.grad(curved)(X).numpy(), differences(lambda x: f(x).numpy(), X), rtol=1e-9)
    gradient = gl.jit(gl.grad(curved))
    hessian = gl.hessian(curved)(X).numpy()
    np.testing.assert_allclose(hessian, differences(lambda x: gradient(x).numpy(), X), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(gl.jacobian(gl.grad(curved))(X).numpy(), hessian, rtol=1e-13)
    np.testing.assert_allclose(gl.jit(gl.hessian(curved))(X).numpy(), hessian, rtol=1e-13)


def test_all_ways_to_a_hessian_vector_product_agree():
    t = RNG.standard_normal(4)
    wanted = gl.hessian(curved)(X).numpy() @ t
    ways = {
        "forward over reverse": gl.jvp(gl.grad(curved), (X,), (t,))[1],
        "reverse over reverse": gl.grad(lambda x: gl.sum(gl.grad(curved)(x) * t))(X),
        "reverse over forward": gl.grad(lambda x: gl.jvp(curved, (x,), (t,))[1])(X),
        "by vjp": gl.vjp(gl.grad(curved), X)[1](t)[0],
    }
    for way, found in ways.items():
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, err_msg=way)


def test_derivatives_of_high_order():
    f = gl.sin
    for wanted in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin, np.cos):
        f = gl.grad(f)
        assert f(np.array(0.7)).item() == pytest.approx(wanted(0.7), rel=1e-14)


def test_forward_derivatives_of_high_order():
    def f(x):
        return gl.exp(2 * x)

    for order in range(1, 5):
        f = (lambda inner: lambda x: gl.jvp(inner, (x,), (np.array(1.0),))[1])(f)
        assert f(np.array(0.5)).item() == pytest.approx(2**order * np.e, rel=1e-14)


@pytest.mark.parametrize("shape", [(3, 4), (4, 2)])
def test_jacobian_in_its_cheaper_mode(shape):
    w = RNG.standard_normal(shape)
    x = RNG.standard_normal(shape[1])
    by_x = (1 - np.tanh(w @ x) ** 2)[:, None] * w
    np.testing.assert_allclose(gl.jacobian(layer, 1)(w, x).numpy(), by_x, rtol=1e-13)
    by_w = np.einsum("i,ij,k->ijk", 1 - np.tanh(w @ x) ** 2, np.eye(shape[0]), x)
    np.testing.assert_allclose(gl.jacobian(layer)(w, x).numpy(), by_w, rtol=1e-13)


def test_forward_and_reverse_products_with_the_jacobian():
    w, x = RNG.standard_normal((3, 4)), RNG.standard_normal(4)
    t, v = RNG.standard_normal(4), RNG.standard_normal(3)
    jacobian = gl.jacobian(layer, 1)(w, x).numpy()
    value, forward = gl.jvp(layer, (w, x), (np.zeros_like(w), t))
    same, pull = gl.vjp(layer, w, x)
    np.testing.assert_array_equal(value.numpy(), same.numpy())
    np.testing.assert_allclose(forward.numpy(), jacobian @ t, rtol=1e-13)
    np.testing.assert_allclose(pull(v)[1].numpy(), jacobian.T @ v, rtol=1e-13)


def test_nested_values():
    def loss(parameters, batch):
        x, y = batch
        found = layer(parameters["w"], x) + parameters["b"][0]
        return gl.sum((found - y) ** 2), {"found": found, "name": "aux"}

    parameters = {"w": RNG.standard_normal((2, 3)), "b": [np.array(0.5)]}
    batch = (RNG.standard_normal(3), RNG.standard_normal(2))
    (value, aux), gradient = gl.value_and_grad(loss, has_aux=True)(parameters, batch)
    found = np.tanh(parameters["w"] @ batch[0]) + 0.5
    slope = 2 * (found - batch[1])
    assert value.item() == pytest.approx(((found - batch[1]) ** 2).sum(), rel=1e-14)
    assert aux["name"] == "aux"
    np.testing.assert_allclose(aux["found"].numpy(), found, rtol=1e-14)
    assert gradient["b"][0].item() == pytest.approx(slope.sum(), rel=1e-13)
    wanted = np.outer(slope * (1 - (found - 0.5) ** 2), batch[0])
    np.testing.assert_allclose(gradient["w"].numpy(), wanted, rtol=1e-12)
    assert gl.grad(loss, has_aux=True)(parameters, batch)[1]["name"] == "aux"


def test_a_result_that_does_not_depend_on_an_argument_has_gradient_zero():
    assert gl.grad(lambda x, y: gl.sum(x), 1)(X, X).tolist() == [0] * 4
    assert gl.grad(lambda x: gl.tensor(np.array(3.0)))(X).tolist() == [0] * 4
    assert gl.jvp(lambda x: gl.zeros(2), (X,), (X,))[1].tolist() == [0, 0]
    assert gl.grad(lambda x: gl.cast(gl.argmax(x), "float64"))(X).tolist() == [0] * 4


def test_a_value_used_many_times_costs_one_visit():
    """x doubled 60 times has 2^60 paths from end to start."""

    def doubled(x):
        for _ in range(60):
            x = x + x
        return x

    assert gl.grad(doubled)(np.array(1.0)).item() == 2.0**60
    assert len(gl.trace(gl.grad(doubled), np.array(1.0)).nodes) < 200


def test_a_deep_chain_needs_no_deep_stack():
    def chain(x):
        for _ in range(3000):
            x = gl.sin(x)
        return x

    wanted, slope = 1.0, 1.0
    for _ in range(3000):
        slope *= np.cos(wanted)
        wanted = np.sin(wanted)
    assert gl.grad(chain)(np.array(1.0)).item() == pytest.approx(slope, rel=1e-10)


# vmap -----------------------------------------------------------------------------------------------------------


def test_vmap_axes():
    xs, ys = RNG.standard_normal((5, 3)), RNG.standard_normal((3, 5))
    wanted = np.stack([x * y for x, y in zip(xs, ys.T)])
    np.testing.assert_array_equal(gl.vmap(lambda x, y: x * y, (0, 1))(xs, ys).numpy(), wanted)
    np.testing.assert_array_equal(gl.vmap(lambda x, y: x * y, (0, -1), out_axes=1)(xs, ys).numpy(), wanted.T)
    np.testing.assert_array_equal(gl.vmap(lambda x, y: x * y, (0, 1), out_axes=-1)(xs, ys).numpy(), wanted.T)
    np.testing.assert_array_equal(gl.vmap(lambda x, y: x + y, (0, None))(xs, ys[:, 0]).numpy(), xs + ys[:, 0])


def test_vmap_of_nested_values_and_of_results_that_do_not_vary():
    def f(tree, scale):
        return {"sum": tree["a"] + tree["b"][0], "fixed": gl.ones(2), "scaled": tree["a"] * scale}

    a, b = np.arange(3.0), np.arange(3.0) * 10
    found = gl.vmap(f, (0, None))({"a": a, "b": [b]}, 0.1)
    assert found["sum"].tolist() == (a + b).tolist()
    assert found["fixed"].shape == (3, 2)
    assert found["scaled"].tolist() == (a * 0.1).tolist()  # a Python number stays weak


def test_vmap_in_vmap():
    f = gl.vmap(gl.vmap(lambda x, y: x * gl.sum(y), (0, None)), (None, 0))
    x, y = RNG.standard_normal(3), RNG.standard_normal((2, 4))
    np.testing.assert_allclose(f(x, y).numpy(), np.outer(y.sum(1), x), rtol=1e-14)


def test_gradients_of_every_example():
    w, xs = RNG.standard_normal((3, 4)), RNG.standard_normal((6, 4))
    gradient = gl.grad(lambda w, x: gl.sum(layer(w, x) ** 2))
    found = gl.vmap(gradient, (None, 0))(w, xs).numpy()
    np.testing.assert_allclose(found, [gradient(w, x).numpy() for x in xs], rtol=1e-12)
    whole = gl.grad(lambda w: gl.sum(gl.vmap(layer, (None, 0))(w, xs) ** 2))(w)
    np.testing.assert_allclose(found.sum(0), whole.numpy(), rtol=1e-12)


def test_vmap_over_closed_over_traced_values():
    xs, c = RNG.standard_normal(5), np.array(2.0)
    f = gl.jit(lambda c: gl.vmap(lambda x: x * c)(xs))
    np.testing.assert_array_equal(f(c).numpy(), xs * 2)
    gradient = gl.grad(lambda c: gl.sum(gl.vmap(lambda x: gl.sin(x * c))(xs)))(c)
    assert gradient.item() == pytest.approx((np.cos(xs * 2) * xs).sum(), rel=1e-13)


# jit ------------------------------------------------------------------------------------------------------------


def programs_of(compiled) -> dict:
    """What a compiled function has kept."""
    return compiled.programs


def test_jit_traces_once_for_each_combination_of_types():
    traced = []

    def f(x, mode):
        traced.append(x.type)
        return x + 1 if mode == "up" else x - 1

    compiled = gl.jit(f)
    assert compiled(X, "up").tolist() == (X + 1).tolist()
    compiled(X * 2, "up")
    assert len(programs_of(compiled)) == len(traced) == 1
    assert compiled(X, "down").tolist() == (X - 1).tolist()
    compiled(X.astype("float32"), "up")
    compiled(X[:2], "up")
    assert len(programs_of(compiled)) == len(traced) == 4
    compiled(gl.tensor(X), "up")
    assert len(traced) == 4


def test_jit_inside_transformations():
    f = gl.jit(curved)
    np.testing.assert_allclose(gl.grad(f)(X).numpy(), gl.grad(curved)(X).numpy(), rtol=1e-15)
    np.testing.assert_allclose(gl.hessian(f)(X).numpy(), gl.hessian(curved)(X).numpy(), rtol=1e-15)
    xs = RNG.standard_normal((3, 4))
    np.testing.assert_allclose(gl.vmap(f)(xs).numpy(), [curved(gl.tensor(x)).item() for x in xs], rtol=1e-13)
    assert not programs_of(f)
    assert gl.jit(gl.jit(curved))(X).item() == pytest.approx(curved(gl.tensor(X)).item(), rel=1e-15)


def test_jit_of_a_transformation_of_a_compiled_function():
    cube = gl.jit(lambda x: x**3)
    assert gl.jit(gl.grad(cube))(2.0).item() == 12
    assert gl.jit(gl.vmap(gl.grad(cube)))(gl.tensor([1.0, 2.0])).tolist() == [3, 12]


def test_jit_closing_over_a_traced_value():
    f = gl.grad(lambda w: gl.sum(gl.jit(lambda x: x * w)(X)))
    assert f(np.array(3.0)).item() == pytest.approx(X.sum(), rel=1e-14)


def test_jit_results():
    compiled = gl.jit(lambda x: {"same": x, "constant": gl.ones(2), "twice": (x, x), "text": "a", "nothing": None})
    found = compiled(X)
    assert found["same"].tolist() == found["twice"][1].tolist() == X.tolist()
    assert found["constant"].tolist() == [1, 1]
    assert (found["text"], found["nothing"]) == ("a", None)


def test_a_training_run_is_differentiable_by_its_learning_rate():
    """The loss after 20 steps of gradient descent, by its step size."""
    xs, ys = RNG.standard_normal((8, 3)), RNG.standard_normal(8)

    def loss(w):
        return gl.mean((gl.tanh(gl.tensor(xs) @ w) - ys) ** 2)

    def final(lr):
        def step(w, _):
            return w - lr * gl.grad(loss)(w), None

        return loss(gl.scan(step, np.full(3, 0.1), None, length=20)[0])

    def unrolled(lr):
        w = gl.tensor(np.full(3, 0.1))
        for _ in range(20):
            w = w - lr * gl.grad(loss)(w)
        return loss(w)

    run, lr = gl.jit(final), np.array(0.3)
    measured = differences(lambda v: run(v).numpy(), lr)
    for f in (final, unrolled, gl.jit(final)):
        assert gl.grad(f)(lr).item() == pytest.approx(measured.item(), rel=1e-8)
    assert gl.jvp(final, (lr,), (np.array(1.0),))[1].item() == pytest.approx(measured.item(), rel=1e-8)
    rates = np.array([0.1, 0.3])
    np.testing.assert_allclose(gl.vmap(final)(rates).numpy(), [final(r).item() for r in rates], rtol=1e-12)


# Random expressions -----------------------------------------------------------------------------------------------

UNARY = [gl.sin, gl.tanh, gl.exp, gl.sigmoid, lambda x: x**2, lambda x: gl.softplus(x) * 0.5, lambda x: gl.flip(x),
         lambda x: gl.cumsum(x) * 0.3, lambda x: gl.softmax(x), lambda x: gl.log(1.5 + gl.sin(x)), lambda x: x[::-1] * 0.5,
         lambda x: gl.roll(x, 1), lambda x: gl.logsumexp(x, keepdims=True) - x, lambda x: gl.tensor(A) @ x * 0.2]  # fmt: skip
BINARY = [lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y, lambda x, y: x / (2 + gl.tanh(y)),
          lambda x, y: gl.where(gl.tensor([True, False, True, False]), x, y), lambda x, y: gl.sum(x * y) * 0.2 + y,
          lambda x, y: gl.concatenate([x[:2], y[2:]])]  # fmt: skip
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=7)  # fmt: skip


def expression(steps):
    """A scalar function of a vector: each step applies a function to earlier results."""

    def f(x):
        made = [x, gl.tanh(x)]
        for unary, which, first, second in steps:
            a, b = made[first % len(made)], made[-1 - second % len(made)]
            made.append(gl.tanh(UNARY[which % len(UNARY)](a) if unary else BINARY[which % len(BINARY)](a, b)))
        return gl.sum(made[-1] * np.array([1.0, -2.0, 0.5, 3.0]))

    return f


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_random_expressions(steps):
    f = expression(steps)
    compiled = gl.jit(f)
    reverse = gl.grad(f)(X).numpy()
    forward = gl.vmap(lambda d: gl.jvp(f, (X,), (d,))[1])(np.eye(4)).numpy()
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reverse, differences(lambda x: compiled(x).numpy(), X), rtol=1e-6, atol=1e-7)
    graph = gl.trace(gl.grad(f), X)
    graph.verify()
    t, u = RNG.standard_normal((2, 4))
    product, other = (gl.jvp(gl.grad(f), (X,), (d,))[1].numpy() for d in (t, u))
    np.testing.assert_allclose(product @ u, other @ t, rtol=1e-8, atol=1e-9)


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: gl.grad(gl.sin)(X), ShapeError, "grad: the function must return a scalar; got float64[4]. Reduce it with gl.sum or gl.mean, or use gl.jacobian."),
        (lambda: gl.grad(gl.sum)(np.arange(3)), DTypeError, "grad: a derivative exists with respect to floats alone; got int64[3]. Convert the argument with gl.cast(x, 'float32'), or leave it out of argnums."),
        (lambda: gl.grad(gl.argmax)(X), DTypeError, "grad: the function must return floats, for nothing else has a derivative; got int64[]. Return floats computed from the arguments; comparing, counting and argmax give none."),
        (lambda: gl.jacobian(gl.argmax)(X), DTypeError, "jacobian: the function must return floats, for nothing else has a derivative; got int64[]. Return floats computed from the arguments; comparing, counting and argmax give none."),
        (lambda: gl.grad(gl.sum, 1)(X), OptionError, "grad: argnums counts the 1 arguments from 0; got 1"),
        (lambda: gl.jvp(gl.sin, (X,), (X[:2],)), ShapeError, "jvp: each tangent must have the shape of its argument; got shapes [(4,)] and [(2,)]. Pass one tangent for each argument, such as gl.ones_like(x)."),
        (lambda: gl.vjp(gl.sin, X)[1](X[:2]), ShapeError, "vjp: the cotangent must have the shape of the result; got ['float64[2]'] for ['float64[4]']. Pass one nested as the value, such as gl.ones_like(value)."),
        (lambda: gl.vmap(gl.add)(X, X[:2]), ShapeError, "vmap: all mapped arguments must vary over one number of examples; got sizes [2, 4]. Give them one length along their axes of in_axes; None is for arguments that do not vary."),
        (lambda: gl.vmap(gl.sin, (None,))(X), ShapeError, "vmap: all mapped arguments must vary over one number of examples; got no mapped argument. Let in_axes name an axis of at least one argument."),
        (lambda: gl.vmap(gl.sin, 1)(X), ShapeError, "vmap: the axis must be one of the operand's; got axis 1 for float64[4]. Use an axis from -1 to 0."),
        (lambda: gl.vmap(gl.sin, out_axes=1)(X), ShapeError, "vmap: the axis must be one of the operand's; got axis 1 for float64[4]. Use an axis from -1 to 0."),
        (lambda: gl.vmap(gl.add, (0,))(X, X), OptionError, "vmap: in_axes needs one entry an argument; got (0,) for 2 arguments. Name an axis for each, and None for one that does not vary."),
        (lambda: gl.jit(lambda x, o: x)(X, {1}), OptionError, "jit: arguments that are not tensors must be hashable; got unhashable type: 'set'. Pass them by closure."),
    ],
    ids=range(13),
)  # fmt: skip
def test_golden_messages(call, kind, message: str):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_unknown_executor():
    with pytest.raises(LookupError, match="Did you mean 'reference'"):
        gl.jit(gl.sin, executor="referenz")


# Numbers as arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("how", ["jit", "cond", "vmap", "grad"])
def test_a_number_as_an_argument_is_as_weak_as_in_arithmetic(dtype: str, how: str):
    def f(x, y):
        return gl.sum(x * y + 0.3 * y)

    changed = {
        "jit": lambda x, y: gl.jit(f, "reference")(x, y),
        "cond": lambda x, y: gl.cond(True, f, lambda x, y: gl.sum(x), x, y),
        "vmap": lambda x, y: gl.vmap(f, (0, None))(gl.expand_dims(x, 0), y)[0],
        "grad": lambda x, y: gl.value_and_grad(f)(x, y)[0],
    }
    x = gl.cast(gl.tensor([1.0, 2.5]), dtype)
    expected, found = f(x, 0.1), changed[how](x, 0.1)
    assert found.dtype == expected.dtype == x.dtype
    assert found.item() == expected.item()


def test_where_floats_differ_a_number_is_a_float32():
    given = []
    gl.jit(lambda x, y, z: given.append(z.dtype.name) or x, "reference")(gl.zeros(2, "float16"), gl.zeros(2), 0.1)
    gl.jit(lambda x, z: given.append(z.dtype.name) or x, "reference")(gl.zeros(2, "int32"), 0.1)
    gl.jit(lambda z: given.append(z.dtype.name) or z, "reference")(0.1)
    assert given == ["float32"] * 3
