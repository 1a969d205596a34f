"""Backpropagation as the course writes it out by hand, against gl.grad, in float64.

Examples are columns here, as in the notes: X is (features, m), W[l] is (n[l], n[l-1]), b[l] is (n[l], 1).
The numbers in the names of the tests are rows of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn

Array = np.ndarray
RNG = np.random.default_rng(0)
M = 7


def sigma(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def equal(found: gl.Tensor, expected: Array) -> None:
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


def cross_entropy(logits: gl.Tensor, y: Array) -> gl.Tensor:
    """The mean over examples; the house keeps examples in rows."""
    return nn.losses.BinaryCrossEntropy()(logits.T, y.T)


@pytest.fixture
def logistic() -> tuple[Array, Array, Array, Array]:
    """X (3, m), Y (1, m), w (3, 1), b (1, 1)."""
    x, y = RNG.standard_normal((3, M)), RNG.integers(0, 2, (1, M)).astype(float)
    return x, y, RNG.standard_normal((3, 1)), RNG.standard_normal((1, 1))


def test_30_logistic_loss_of_one_example(logistic: tuple[Array, Array, Array, Array]) -> None:
    x, y = logistic[0][:, 0], logistic[1][0, 0]
    w, b = logistic[2][:, 0], logistic[3][0, 0]
    z = w @ x + b
    a = sigma(z)

    def loss_of_a(a: gl.Tensor) -> gl.Tensor:
        return -(y * gl.log(a) + (1 - y) * gl.log(1 - a))

    equal(gl.grad(loss_of_a)(a), -y / a + (1 - y) / (1 - a))
    equal(gl.grad(lambda z: loss_of_a(gl.sigmoid(z)))(z), a - y)
    by_w, by_b = gl.grad(lambda w, b: loss_of_a(gl.sigmoid(gl.sum(w * x) + b)), argnums=(0, 1))(w, b)
    equal(by_w, x * (a - y))
    equal(by_b, a - y)


def test_31_scalar_loop(logistic: tuple[Array, Array, Array, Array]) -> None:
    x, y, w, b = logistic
    cost, dw, db = 0.0, np.zeros(3), 0.0
    for i in range(M):
        z = sum(w[j, 0] * x[j, i] for j in range(3)) + b[0, 0]
        a = sigma(z)
        cost += -(y[0, i] * np.log(a) + (1 - y[0, i]) * np.log(1 - a))
        dz = a - y[0, i]
        for j in range(3):
            dw[j] += x[j, i] * dz
        db += dz
    value, (by_w, by_b) = gl.value_and_grad(lambda w, b: cross_entropy(w.T @ x + b, y), argnums=(0, 1))(w, b)
    equal(value, np.asarray(cost / M))
    equal(by_w, dw[:, None] / M)
    equal(by_b, np.array([[db / M]]))


def test_32_vectorised(logistic: tuple[Array, Array, Array, Array]) -> None:
    x, y, w, b = logistic
    dz = sigma(w.T @ x + b) - y
    by_w, by_b = gl.grad(lambda w, b: cross_entropy(w.T @ x + b, y), argnums=(0, 1))(w, b)
    equal(by_w, x @ dz.T / M)
    equal(by_b, np.array([[dz.sum() / M]]))


def slope_of_tanh(z: Array) -> Array:
    return 1 - np.tanh(z) ** 2


def slope_of_sigma(z: Array) -> Array:
    return sigma(z) * (1 - sigma(z))


def slope_of_leaky(z: Array) -> Array:
    return np.where(z < 0, 0.01, 1.0)


def leaky(z: Array) -> Array:
    return np.maximum(0.01 * z, z)


HIDDEN = [
    (np.tanh, slope_of_tanh, gl.tanh),
    (sigma, slope_of_sigma, gl.sigmoid),
    (leaky, slope_of_leaky, nn.LeakyReLU()),
]


@pytest.mark.parametrize(("g", "slope", "ours"), HIDDEN)
def test_33_one_hidden_layer(
    g: Callable[[Array], Array], slope: Callable[[Array], Array], ours: Callable[[gl.Tensor], gl.Tensor]
) -> None:
    x, y = RNG.standard_normal((3, M)), RNG.integers(0, 2, (1, M)).astype(float)
    w1, b1 = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 1))
    w2, b2 = RNG.standard_normal((1, 4)), RNG.standard_normal((1, 1))

    z1 = w1 @ x + b1
    a1 = g(z1)
    a2 = sigma(w2 @ a1 + b2)
    dz2 = a2 - y
    dw2, db2 = dz2 @ a1.T / M, np.sum(dz2, axis=1, keepdims=True) / M
    dz1 = w2.T @ dz2 * slope(z1)
    dw1, db1 = dz1 @ x.T / M, np.sum(dz1, axis=1, keepdims=True) / M

    def cost(w1: gl.Tensor, b1: gl.Tensor, w2: gl.Tensor, b2: gl.Tensor) -> gl.Tensor:
        return cross_entropy(w2 @ ours(w1 @ x + b1) + b2, y)

    for found, expected in zip(gl.grad(cost, argnums=(0, 1, 2, 3))(w1, b1, w2, b2), (dw1, db1, dw2, db2)):
        equal(found, expected)


@pytest.mark.parametrize(("g", "slope", "ours"), HIDDEN)
def test_34_many_layers(
    g: Callable[[Array], Array], slope: Callable[[Array], Array], ours: Callable[[gl.Tensor], gl.Tensor]
) -> None:
    sizes = (3, 5, 4, 6, 1)  # n[0] ... n[L], L = 4
    x, y = RNG.standard_normal((3, M)), RNG.integers(0, 2, (1, M)).astype(float)
    ws = [RNG.standard_normal((n, before)) * 0.7 for before, n in pairwise(sizes)]
    bs = [RNG.standard_normal((n, 1)) for n in sizes[1:]]
    last = len(ws) - 1

    a, zs, inputs = x, [], []
    for layer, (w, b) in enumerate(zip(ws, bs)):
        inputs.append(a)
        zs.append(w @ a + b)
        a = sigma(zs[-1]) if layer == last else g(zs[-1])
    da = -y / a + (1 - y) / (1 - a)
    dws, dbs = [], []
    for layer in reversed(range(len(ws))):
        dz = da * (slope_of_sigma if layer == last else slope)(zs[layer])
        dws.insert(0, dz @ inputs[layer].T / M)
        dbs.insert(0, np.sum(dz, axis=1, keepdims=True) / M)
        da = ws[layer].T @ dz

    def cost(ws: list[gl.Tensor], bs: list[gl.Tensor]) -> gl.Tensor:
        a = gl.tensor(x)
        for layer, (w, b) in enumerate(zip(ws, bs)):
            z = w @ a + b
            a = z if layer == last else ours(z)
        return cross_entropy(a, y)

    by_w, by_b = gl.grad(cost, argnums=(0, 1))(ws, bs)
    for found, expected in zip([*by_w, *by_b], [*dws, *dbs]):
        equal(found, expected)


def test_35_delta_form() -> None:
    """δ^{l-1}_i = g'(s_i) Σ_j w_ij δ^l_j and ∂J/∂w_ij = δ_j f_i, one example, unit by unit, W of shape (from, to)."""
    sizes = (3, 4, 2)
    f0, target = RNG.standard_normal(3), RNG.standard_normal(2)
    w1, w2 = (RNG.standard_normal((a, b)) for a, b in pairwise(sizes))
    s1 = np.array([sum(w1[i, j] * f0[i] for i in range(3)) for j in range(4)])
    f1 = np.tanh(s1)
    s2 = np.array([sum(w2[i, j] * f1[i] for i in range(4)) for j in range(2)])
    f2 = sigma(s2)
    delta2 = slope_of_sigma(s2) * (f2 - target)  # ∂J/∂f = f - f* for half the squared error
    delta1 = np.array([slope_of_tanh(s1)[i] * sum(w2[i, j] * delta2[j] for j in range(2)) for i in range(4)])
    dw2 = np.array([[delta2[j] * f1[i] for j in range(2)] for i in range(4)])
    dw1 = np.array([[delta1[j] * f0[i] for j in range(4)] for i in range(3)])

    def cost(w1: gl.Tensor, w2: gl.Tensor) -> gl.Tensor:
        f = gl.sigmoid(gl.tanh(f0 @ w1) @ w2)
        return gl.sum(gl.square(f - target)) * 0.5

    found1, found2 = gl.grad(cost, argnums=(0, 1))(w1, w2)
    equal(found1, dw1)
    equal(found2, dw2)


def test_36_jacobian_of_softmax() -> None:
    s = RNG.standard_normal(5)
    f = np.exp(s) / np.exp(s).sum()
    expected = np.array([[f[j] * (1 - f[j]) if i == j else -f[j] * f[i] for i in range(5)] for j in range(5)])
    equal(gl.jacobian(gl.softmax)(s), expected)


def test_37_softmax_and_cross_entropy_cancel() -> None:
    s, truth = RNG.standard_normal((M, 5)), RNG.integers(0, 5, M)
    f = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    expected = (f - np.eye(5)[truth]) / M
    equal(gl.grad(lambda z: nn.losses.CrossEntropy()(z, truth))(s), expected)
    equal(gl.grad(lambda z: nn.losses.CrossEntropy()(z, np.eye(5)[truth]))(s), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_37_stays_finite_where_probabilities_vanish(dtype: type) -> None:
    s, truth = np.array([[2000.0, 0, -2000], [0, 3000, 0]], dtype), np.array([2, 1])
    value, gradient = gl.value_and_grad(lambda z: nn.losses.CrossEntropy()(z, truth))(s)
    assert value.item() == pytest.approx(2000)
    np.testing.assert_allclose(gradient.numpy(), [[0.5, 0, -0.5], [0, 0, 0]])
