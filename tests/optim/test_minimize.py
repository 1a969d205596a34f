"""Minimisation by second-order methods, beside SciPy, scikit-learn and formulas written out in NumPy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from sklearn.linear_model import LogisticRegression

import gradloom as gl
from gradloom import optim
from gradloom.errors import DTypeError, GradloomError, NonFiniteError, OptionError, ShapeError

METHODS: dict[str, optim.SecondOrder] = {
    "lbfgs": optim.LBFGS(),
    "backtracking": optim.LBFGS(line_search="backtracking"),
    "newton": optim.Newton("full"),
    "newton cg": optim.Newton("cg"),
}
EXECUTORS = ["reference", "native"]


def rosenbrock(x: gl.Tensor) -> gl.Tensor:
    return gl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def beale(x: gl.Tensor) -> gl.Tensor:
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def powell(x: gl.Tensor) -> gl.Tensor:
    """Its Hessian is singular at the minimum."""
    a, b, c, d = (x[i] for i in range(4))
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


FUNCTIONS: dict[str, tuple[Callable[[gl.Tensor], gl.Tensor], list[float], list[float], float]] = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0], [1.0, 1.0], 1e-7),
    "beale": (beale, [1.0, 1.0], [3.0, 0.5], 1e-7),
    "powell": (powell, [3.0, -1.0, 0.0, 1.0], [0.0] * 4, 1e-2),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(("function", "start", "minimum", "apart"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_standard_functions(
    method: optim.SecondOrder, function: Any, start: list[float], minimum: list[float], apart: float
) -> None:
    found = optim.minimize(function, gl.tensor(start, "float64"), method=method, tolerance=1e-9, executor="reference")
    assert found.converged
    assert found.reason == "the gradient has vanished"
    np.testing.assert_allclose(found.parameters.numpy(), minimum, atol=apart)
    assert len(found.values) == found.steps + 1
    assert found.values[-1] == found.value == function(found.parameters).item()
    rounding = 1e-14 * np.abs(found.values[:-1])
    assert (np.diff(found.values) <= rounding).all()


def test_lbfgs_needs_about_as_many_evaluations_as_scipy() -> None:
    start = np.tile([-1.2, 1.0], 10)
    ours = optim.minimize(rosenbrock, gl.tensor(start), tolerance=1e-5, executor="reference")
    options = {"gtol": 1e-5, "ftol": 0.0, "maxcor": 10}
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="L-BFGS-B", options=options
    )
    assert ours.converged
    assert ours.evaluations <= 1.3 * theirs.nfev


def test_newton_cg_needs_about_as_many_steps_as_scipy() -> None:
    start = np.tile([-1.2, 1.0], 5)
    ours = optim.minimize(rosenbrock, gl.tensor(start), method=optim.Newton("cg"), tolerance=1e-5, executor="reference")
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen,
        start,
        jac=scipy.optimize.rosen_der,
        hess=scipy.optimize.rosen_hess,
        method="trust-ncg",
        options={"gtol": 1e-5},
    )
    assert ours.converged
    assert ours.steps <= 1.3 * theirs.nit


# Logistic regression ----------------------------------------------------------------------------------------------

_rng = np.random.default_rng(0)
X = _rng.normal(size=(80, 4))
Y = (X @ [1.0, -2.0, 0.5, 0.0] + _rng.normal(size=80) > 0.3).astype(np.float64)


def log_loss(p: Any, x: gl.Tensor, y: gl.Tensor) -> gl.Tensor:
    """Σ log(1 + exp(-±z)) + ½ ‖w‖², as scikit-learn has it with C = 1."""
    z = x @ p["w"] + p["b"]
    return gl.sum(gl.softplus(z) - y * z) + gl.sum(p["w"] ** 2) / 2


def zero(dtype: str = "float64") -> dict[str, gl.Tensor]:
    return {"w": gl.zeros(4, dtype), "b": gl.zeros((), dtype)}


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_logistic_regression_is_that_of_scikit_learn(method: optim.SecondOrder, executor: str) -> None:
    found = optim.minimize(log_loss, zero(), X, Y, method=method, tolerance=1e-10, executor=executor)
    expected = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12).fit(X, Y)
    assert found.converged
    np.testing.assert_allclose(found.parameters["w"].numpy(), expected.coef_[0], atol=1e-8)
    np.testing.assert_allclose(found.parameters["b"].item(), expected.intercept_[0], atol=1e-8)


def test_newtons_steps_are_reweighted_least_squares() -> None:
    design, ridge = np.column_stack([np.ones(80), X]), np.diag([0.0, 1, 1, 1, 1])  # b, w: in the order of the tree
    theta = np.zeros(5)
    newton, data = optim.Newton(), (gl.tensor(X), gl.tensor(Y))
    step = gl.jit(lambda p, s: newton.step(lambda q: (log_loss(q, *data), None), p, s), executor="reference")
    parameters, state = zero(), newton.init(zero())
    for _ in range(5):
        p = 1 / (1 + np.exp(-design @ theta))
        weights = p * (1 - p)
        response = design @ theta + (Y - p) / weights
        theta = np.linalg.solve(design.T * weights @ design + ridge, design.T @ (weights * response))
        parameters, state, _ = step(parameters, state)
        found = [parameters["b"].item(), *parameters["w"].tolist()]
        np.testing.assert_allclose(found, theta, rtol=1e-11)


def test_newton_doubles_the_right_digits() -> None:
    best = optim.minimize(log_loss, zero(), X, Y, method=optim.Newton(), tolerance=1e-12, executor="reference")
    excess = best.values[:-1] - best.value
    excess = excess[(excess > 1e-13) & (excess < 1)]
    assert len(excess) >= 2
    assert (excess[1:] < 10 * excess[:-1] ** 2 + 1e-12).all()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_float32_reaches_what_float32_can(method: optim.SecondOrder) -> None:
    data = X.astype(np.float32), Y.astype(np.float32)
    found = optim.minimize(log_loss, zero("float32"), *data, method=method, tolerance=1e-4)
    exact = optim.minimize(log_loss, zero(), X, Y, method=optim.Newton(), tolerance=1e-10, executor="reference")
    assert found.converged
    assert found.parameters["w"].dtype == np.float32
    np.testing.assert_allclose(found.parameters["w"].numpy(), exact.parameters["w"].numpy(), atol=1e-4)


@pytest.mark.parametrize("method", [optim.LBFGS(), optim.Newton()], ids=["lbfgs", "newton"])
def test_compiles_once(method: optim.SecondOrder) -> None:
    minimizer = optim.Minimizer(log_loss, method)
    first = minimizer(zero(), X, Y, tolerance=1e-8)
    assert minimizer.programs == 2
    again = minimizer({"w": gl.ones(4, "float64"), "b": gl.tensor(2.0, "float64")}, X[::-1], Y[::-1], tolerance=1e-9)
    short = minimizer(zero(), X, Y, steps=2)
    assert minimizer.programs == 2
    np.testing.assert_allclose(first.parameters["w"].numpy(), again.parameters["w"].numpy(), atol=1e-8)
    assert (short.steps, short.converged, short.reason) == (2, False, "no steps are left")
    np.testing.assert_array_equal(short.values, first.values[:3])


# A network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [optim.LBFGS(), optim.Newton("cg")], ids=["lbfgs", "newton cg"])
def test_a_network(method: optim.SecondOrder) -> None:
    rng = np.random.default_rng(1)
    start = {"v": rng.normal(size=(4, 6)), "c": np.zeros(6), "w": rng.normal(size=6)}

    def loss(p: Any, x: gl.Tensor, y: gl.Tensor) -> gl.Tensor:
        penalty = sum((gl.sum(leaf * leaf) for leaf in p.values()), gl.tensor(0.0))
        return gl.mean((gl.tanh(x @ p["v"] + p["c"]) @ p["w"] - y) ** 2) + 1e-3 * penalty

    found = optim.minimize(loss, start, X, Y, method=method, tolerance=1e-7)
    p = {name: leaf.numpy() for name, leaf in found.parameters.items()}
    squares = sum((leaf**2).sum() for leaf in p.values())
    by_hand = ((np.tanh(X @ p["v"] + p["c"]) @ p["w"] - Y) ** 2).mean() + 1e-3 * squares
    assert found.converged
    assert found.value == pytest.approx(by_hand, rel=1e-12)
    assert found.value < 0.2 * found.values[0]
    slopes = gl.grad(loss)(found.parameters, X, Y)
    assert max(gl.max(gl.abs(leaf)).item() for leaf in slopes.values()) <= 1e-7


# Saddles, walls and lies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "cg"])
def test_newton_leaves_a_saddle(method: Any) -> None:
    def loss(w: gl.Tensor) -> gl.Tensor:
        return w[0] ** 2 - w[1] ** 2 + w[1] ** 4 / 4

    start = gl.tensor([1.0, 1e-3], "float64")
    bare = start.numpy() - np.linalg.solve(gl.hessian(loss)(start).numpy(), gl.grad(loss)(start).numpy())
    np.testing.assert_allclose(bare, 0, atol=1e-8)  # Newton's step as it is goes to the saddle
    found = optim.minimize(loss, start, method=optim.Newton(method), tolerance=1e-9, executor="reference")
    assert found.converged
    np.testing.assert_allclose(found.parameters.numpy(), [0, np.sqrt(2)], atol=1e-8)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_where_the_loss_is_nan_is_too_far(method: optim.SecondOrder) -> None:
    found = optim.minimize(
        lambda w: w - gl.log(w), gl.tensor(3.0, "float64"), method=method, tolerance=1e-9, executor="reference"
    )
    assert found.converged
    assert found.parameters.item() == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_cannot_be_lowered_is_said_and_left_as_it_was(method: optim.SecondOrder) -> None:
    def lie(w: gl.Tensor) -> gl.Tensor:
        """w², with the slope of -w²."""
        return 2 * gl.stop_gradient(w * w) - w * w

    found = optim.minimize(lie, gl.tensor(1.5, "float64"), method=method, executor="reference")
    assert not found.converged
    assert found.reason == "no step lowers the loss any more"
    assert found.parameters.item() == 1.5
    assert "no step lowers" in str(found)


def test_a_start_at_the_minimum_takes_no_step() -> None:
    found = optim.minimize(lambda w: w * w, gl.tensor(0.0, "float64"))
    assert (found.steps, found.evaluations, found.converged) == (0, 1, True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optim.minimize(lambda w: w * w, gl.ones(3)), ShapeError, "must return a scalar"),
        (lambda: optim.minimize(gl.log, gl.tensor(-1.0)), NonFiniteError, "finite at the start; got a loss of nan"),
        (lambda: optim.minimize(lambda w: w * 1.0, gl.tensor(3)), DTypeError, "parameters are floats"),
        (lambda: optim.Minimizer(gl.square, optim.Adam()), OptionError, "evaluates the function"),  # type: ignore[arg-type]
        (lambda: optim.minimize(lambda w: w, gl.tensor(3.0), steps=0), OptionError, "steps"),
        (lambda: optim.minimize(lambda w: w, gl.tensor(3.0), tolerance=-1.0), OptionError, "tolerance"),
        (lambda: optim.get("lbfgs", 0.1), OptionError, "lbfgs has no learning rate"),
        (lambda: optim.Newton("cgs"), OptionError, "method is one of"),  # type: ignore[arg-type]
        (lambda: optim.LBFGS(history=0), OptionError, "history"),
    ],
)
def test_refusals(call: Callable[[], object], error: type[GradloomError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_another_optimizers_state_is_refused() -> None:
    w = gl.tensor(1.0)
    with pytest.raises(ShapeError, match="the state must be the one that this optimiser made"):
        optim.LBFGS().step(lambda w: (w * w, None), w, optim.LBFGS(history=3).init(w))
