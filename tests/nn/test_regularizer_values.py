"""Values of regularisers, worked out by hand or by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import gradloom as gl
from gradloom.errors import OptionError, UnknownNameError
from gradloom.nn import regularizers

W = {"weight": gl.tensor([[3.0, -1.0], [-4.0, 0.5]], "float64"), "bias": gl.tensor([2.0, -2.0], "float64")}


@pytest.mark.parametrize(
    ("scale", "factor"), [("plain", 1), ("half", 1 / 2), ("per_example", 1 / 5), ("half_per_example", 1 / 10)]
)
def test_scales(scale: str, factor: float) -> None:
    """Σ|w| = 8.5 and Σw² = 26.25 of the matrix (catalogue A-V 7)."""
    l1, l2 = regularizers.L1(0.2, scale=scale), regularizers.L2(0.4, scale=scale)  # type: ignore[arg-type]
    assert l1.penalty(W, 5).item() == pytest.approx(0.2 * 8.5 * factor)
    assert l2.penalty(W, 5).item() == pytest.approx(0.4 * 26.25 * factor)
    elastic = regularizers.Elastic(0.2, 0.4, scale=scale)  # type: ignore[arg-type]
    assert elastic.penalty(W, 5).item() == pytest.approx((0.2 * 8.5 + 0.4 * 26.25) * factor)


def test_weight_decay_factor_of_the_notes() -> None:
    """α = 0.1, λ = 0.7, m = 100: each step multiplies by 1 - αλ/m = 0.9993 (catalogue 134, O9)."""
    slope = gl.grad(lambda p: regularizers.L2(0.7, scale="half_per_example").penalty(p, 100))(W)
    moved = W["weight"].numpy() - 0.1 * slope["weight"].numpy()
    np.testing.assert_allclose(moved, 0.9993 * W["weight"].numpy(), rtol=1e-15)
    assert not slope["bias"].numpy().any()


def test_soft_threshold_by_hand() -> None:
    moved = regularizers.L1(1.0, proximal=True).moved(W, 0.5 * 2)
    assert moved["weight"].numpy().tolist() == [[2.0, 0.0], [-3.0, 0.0]]
    assert moved["bias"] is W["bias"]
    each = {"weight": gl.tensor([[0.0, 1.0], [0.5, 0.1]], "float64"), "bias": gl.tensor(9.0, "float64")}
    moved = regularizers.L1(1.0, proximal=True).moved(W, each)
    assert moved["weight"].numpy().tolist() == [[3.0, 0.0], [-3.5, 0.4]]


def test_norms_by_hand() -> None:
    """The columns (3, -4) and (-1, 0.5) have norms 5 and √1.25; a bias is left out."""
    shortened = regularizers.MaxNorm(2.5).moved(W)
    np.testing.assert_allclose(shortened["weight"].numpy(), [[1.5, -1.0], [-2.0, 0.5]], rtol=1e-15)
    unit = regularizers.UnitNorm().moved(W)["weight"].numpy()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=0), 1, rtol=1e-15)
    assert regularizers.UnitNorm().moved({"w": gl.zeros((2, 2))})["w"].numpy().tolist() == [[0, 0], [0, 0]]


def test_channels_of_a_kernel_are_units() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4))
    found = regularizers.MaxNorm(1.0).moved({"w": gl.tensor(kernel)})["w"].numpy()
    np.testing.assert_allclose((found**2).sum((0, 1, 2)), 1, rtol=1e-12)


@pytest.mark.parametrize("c", [0.5, 2.0, 6.0])
def test_l1_ball_is_scipys_nearest_point(c: float) -> None:
    """Least ‖u - w‖² with Σ|u| ≤ c, as a quadratic program in the positive and negative parts of u."""
    w = np.random.default_rng(1).normal(size=6)
    found = regularizers.L1Ball(c, over="parameter").moved({"w": gl.tensor(w.reshape(3, 2))})["w"].numpy().ravel()
    best = minimize(
        lambda v: ((v[:6] - v[6:] - w) ** 2).sum(),
        np.zeros(12),
        jac=lambda v: np.concatenate([2 * (v[:6] - v[6:] - w), -2 * (v[:6] - v[6:] - w)]),
        bounds=[(0, None)] * 12,
        constraints={"type": "ineq", "fun": lambda v: c - v.sum(), "jac": lambda v: -np.ones(12)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(found, best.x[:6] - best.x[6:], atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(OptionError, match="scale='per_example' divides by the number of examples"):
        regularizers.L2(0.1, scale="per_example").penalty(W)
    with pytest.raises(UnknownNameError, match="no layer or parameter has this name; got 'wait'"):
        regularizers.L2(0.1, at="wait").penalty(W)
    with pytest.raises(OptionError, match="low lies below high"):
        regularizers.Box(1.0, -1.0)
    with pytest.raises(OptionError, match="low lies below high"):
        regularizers.Box()
    with pytest.raises(OptionError, match="c is a finite number above 0"):
        regularizers.MaxNorm(0)
