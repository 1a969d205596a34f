"""Functions with derivative rules of their own, in every transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import tree
from gradloom.debug import find_nonfinite
from gradloom.errors import GradloomError, OptionError, ShapeError, UnsupportedError


def plain(x, p, ids, *, k):
    """A function of nested values with an integer argument, an option, and a nested result."""
    return {"dot": gl.sum(gl.sin(x) * p["w"]), "taken": (k * gl.take(x, ids),)}


def forward(tangents, y, x, p, ids, *, k):
    t, u, none = tangents
    assert none is None
    return {"dot": gl.sum(gl.cos(x) * p["w"] * t + gl.sin(x) * u["w"]), "taken": (k * gl.take(t, ids),)}


def backward(ct, y, x, p, ids, *, k):
    gathered = gl.scatter_add(gl.zeros_like(x), ids, k * ct["taken"][0])
    return ct["dot"] * gl.cos(x) * p["w"] + gathered, {"w": ct["dot"] * gl.sin(x)}, None


RULES = {"forward": {"forward": forward}, "backward": {"backward": backward}}
RULES["both"] = RULES["forward"] | RULES["backward"]

X, P, IDS = gl.tensor([0.3, -1.2, 2.0], "float64"), {"w": gl.tensor([3.0, -4.0, 0.5], "float64")}, gl.tensor([0, 2, 0])


def loss(f: Callable[..., Any]) -> Callable[..., Any]:
    def of(x, p):
        y = f(x, p, IDS, k=3)
        return gl.exp(y["dot"] / 9) + gl.sum(y["taken"][0] ** 3)

    return of


USES: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f(X, P),
    "gradient": lambda f: gl.grad(f, (0, 1))(X, P),
    "compiled": lambda f: gl.jit(gl.grad(f, (0, 1)))(X, P),
    "on the reference executor": lambda f: gl.jit(gl.grad(f, (0, 1)), "reference")(X, P),
    "compiled value": lambda f: gl.jit(f)(X, P),
    "forward mode": lambda f: gl.jvp(f, (X, P), (gl.cos(X), P)),
    "forward over reverse": lambda f: gl.hessian(lambda x: f(x, P))(X),
    "reverse over reverse": lambda f: gl.grad(lambda x: gl.sum(gl.sin(gl.grad(f)(x, P))))(X),
    "reverse over forward": lambda f: gl.grad(lambda x: gl.jvp(lambda z: f(z, P), (x,), (X,))[1])(X),
    "third derivative": lambda f: gl.grad(lambda x: gl.sum(gl.hessian(lambda z: f(z, P))(x) ** 2))(X),
    "many gradients": lambda f: gl.vmap(gl.grad(f, (0, 1)), in_axes=(0, None))(gl.stack([X, 2 * X]), P),
    "gradient of many": lambda f: gl.grad(
        lambda x, p: gl.sum(gl.vmap(f, in_axes=(0, None))(x, p) * gl.tensor([1.0, -2.0])), (0, 1)
    )(gl.stack([X, 2 * X]), P),
    "forward mode of many": lambda f: gl.jvp(
        lambda x: gl.vmap(f, in_axes=(0, None))(x, P), (gl.stack([X, 2 * X]),), (gl.ones((2, 3), "float64"),)
    ),
    "in a loop": lambda f: gl.jit(
        gl.grad(lambda x: gl.scan(lambda c, _: (c + 0.1 * gl.sin(f(c, P)), c), x, length=3)[0].sum())
    )(X),
    "Hessian of a loop": lambda f: gl.hessian(
        lambda x: gl.scan(lambda c, _: (c + 0.1 * gl.sin(f(c, P)), c), x, length=3)[0].sum()
    )(X),
    "in a branch": lambda f: gl.grad(lambda x: gl.cond(x[0] > 0, f, lambda x, p: gl.sum(x), x, P))(X),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("given", RULES)
def test_a_right_rule_changes_nothing(given: str, use: str):
    found = USES[use](loss(gl.custom_derivative(plain, **RULES[given])))
    wanted = USES[use](loss(plain))
    for a, b in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


# A rule that no function has: the derivative of rounding, said to be 7.
seven_forward = gl.custom_derivative(gl.round, forward=lambda t, y, x: 7 * t[0])
seven_backward = gl.custom_derivative(gl.round, backward=lambda ct, y, x: (7 * ct,))


@pytest.mark.parametrize("f", [seven_forward, seven_backward], ids=["forward", "backward"])
def test_it_is_the_rule_that_is_used(f: Callable[..., Any]):
    xs = gl.tensor([0.6, 1.2, -3.3])

    def looped(x):
        return gl.scan(lambda c, _: (f(c), None), x, length=2)[0]

    assert f(xs).tolist() == [1.0, 1.0, -3.0]
    assert gl.jit(f)(xs).tolist() == [1.0, 1.0, -3.0]
    assert gl.grad(f)(0.6).item() == gl.jvp(f, (0.6,), (1.0,))[1].item() == 7
    assert gl.jit(gl.vmap(gl.grad(f)))(xs).tolist() == [7.0] * 3
    assert gl.grad(lambda x: gl.sum(gl.vmap(f)(x)))(xs).tolist() == [7.0] * 3
    assert gl.jvp(gl.vmap(f), (xs,), (gl.ones(3),))[1].tolist() == [7.0] * 3
    assert gl.grad(looped)(0.6).item() == gl.jvp(looped, (0.6,), (1.0,))[1].item() == 49
    assert gl.grad(lambda x: gl.cond(x > 0, f, gl.sin, x))(0.6).item() == 7
    assert gl.grad(lambda x: gl.grad(f)(x) * x)(0.6).item() == 7  # the derivative of the rule itself is 0
    assert str(gl.autodiff.symbolic(f).derivative("x")) == "7"


def test_operands_that_examples_share_take_the_sum_of_their_cotangents():
    scale = gl.custom_derivative(lambda x, s: x * s, backward=lambda ct, y, x, s: (ct * s, 100 * ct * x))
    xs = gl.tensor([1.0, 2.0, 3.0])
    assert gl.grad(lambda s: gl.sum(gl.vmap(scale, in_axes=(0, None))(xs, s)))(2.0).item() == 600
    ignored = gl.custom_derivative(lambda x, s: x, backward=lambda ct, y, x, s: (ct, gl.tensor(5.0)))
    assert gl.grad(lambda s: gl.sum(gl.vmap(ignored, in_axes=(0, None))(xs, s)))(2.0).item() == 15


def test_rules_are_set_by_decorators():
    @gl.custom_derivative
    def half(x):
        """Half of it."""
        return x / 2

    @half.forward
    def tangent(tangents, y, x):
        return tangents[0] * 3

    @half.backward
    def cotangent(ct, y, x):
        return (ct * 5,)

    named = gl.custom_derivative(forward=lambda t, y, x: t[0])(lambda x: x * 0)
    assert (half.__name__, half.__doc__) == ("half", "Half of it.")
    assert gl.jvp(half, (1.0,), (1.0,))[1].item() == 3
    assert gl.grad(half)(1.0).item() == 5
    assert gl.grad(named)(1.0).item() == 1


def test_a_rule_that_is_not_linear_serves_its_own_mode():
    clipped = gl.custom_derivative(lambda x: x * 1, backward=lambda ct, y, x: (gl.clip(ct, -1, 1),))
    assert gl.grad(lambda x: 5 * clipped(x))(1.0).item() == 1
    assert gl.jit(gl.vmap(gl.grad(lambda x: 0.5 * clipped(x))))(gl.ones(2)).tolist() == [0.5, 0.5]
    with pytest.raises(UnsupportedError, match=r"forward mode needs a rule of its own.*@f\.forward"):
        gl.jvp(clipped, (1.0,), (1.0,))
    absolute = gl.custom_derivative(lambda x: x * 1, forward=lambda t, y, x: gl.abs(t[0]))
    with pytest.raises(UnsupportedError, match=r"reverse mode needs a rule of its own.*@f\.backward"):
        gl.grad(absolute)(1.0)


def test_executors_see_the_function_alone():
    source = gl.trace(gl.jit(seven_forward), 1.0)
    assert "custom" in str(source)
    source.verify()
    nested = gl.custom_derivative(lambda x: seven_forward(x) * gl.exp(x), forward=lambda t, y, x: t[0] * y)
    assert gl.jit(nested)(1.6).item() == pytest.approx(2 * np.exp(1.6), rel=1e-6)
    assert str(gl.autodiff.symbolic(nested, let={}).value) == "e^x·round(x)"


def test_a_search_for_nan_looks_inside():
    f = gl.custom_derivative(lambda x: gl.exp(gl.log(x)), forward=lambda t, y, x: t[0])
    found = find_nonfinite(lambda x: f(x) * 2, gl.tensor(-1.0)).first
    assert found is not None
    assert found.primitive == "log"


REFUSALS: dict[str, tuple[Callable[[], Any], type[GradloomError], str]] = {
    "no rule": (lambda: gl.grad(gl.custom_derivative(gl.sin))(1.0), UnsupportedError, "neither a forward nor a"),
    "a cotangent, no tuple": (
        lambda: gl.grad(gl.custom_derivative(lambda x: x, backward=lambda ct, y, x: ct))(1.0),
        OptionError,
        r"tuple with one entry an argument; got a Tensor\. .*\(ct,\)",
    ),
    "too few cotangents": (
        lambda: gl.grad(gl.custom_derivative(lambda x, y: x, backward=lambda ct, z, x, y: (ct,)))(1.0, 2.0),
        OptionError,
        "got 1 for 2",
    ),
    "a cotangent of another shape": (
        lambda: gl.grad(gl.custom_derivative(gl.sum, backward=lambda ct, y, x: (ct,)))(gl.ones(3)),
        ShapeError,
        r"what a rule gives for x must have its shape; got \(\) for \(3,\)",
    ),
    "a tangent nested otherwise": (
        lambda: gl.jvp(gl.custom_derivative(lambda x: {"y": x}, forward=lambda t, y, x: t[0]), (1.0,), (1.0,)),
        ShapeError,
        "nested as the result",
    ),
    "a function of a value from outside": (
        lambda: gl.grad(lambda z: gl.custom_derivative(lambda x: x * z)(z))(2.0),
        UnsupportedError,
        "the function may use no traced value but its arguments.*got z",
    ),
    "the same, of constants": (
        lambda: gl.grad(lambda z: gl.custom_derivative(lambda x: x * z)(3.0))(2.0),
        UnsupportedError,
        "Pass the value as an argument",
    ),
    "a rule with a value from outside": (
        lambda: gl.grad(lambda z: gl.custom_derivative(lambda x: x, backward=lambda ct, y, x: (z,))(z))(2.0),
        UnsupportedError,
        "the backward rule may use no traced value",
    ),
    "dual numbers": (lambda: seven_forward(gl.autodiff.Dual(1.0, 1.0)), UnsupportedError, "gl.jvp"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str):
    call, error, message = REFUSALS[case]
    with pytest.raises(error, match=message):
        call()
