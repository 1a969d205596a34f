"""Matrices of derivatives against closed forms, in both modes, nested, mapped and compiled."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import DTypeError, OptionError

RNG = np.random.default_rng(0)
A, B, X = (RNG.standard_normal(s) for s in ((4, 2), (3, 5), (2, 3)))
S = RNG.standard_normal((2, 2))
MODES = ["auto", "forward", "reverse"]

# A derivative of a matrix by a matrix has four axes: of the result p and q, of the argument m and n.
MATRIX_FUNCTIONS = {
    "A X B": (lambda x: gl.tensor(A) @ x @ gl.tensor(B), np.einsum("pm,nq->pqmn", A, B)),
    "Xᵀ X": (
        lambda x: x.T @ x,
        np.einsum("pn,mq->pqmn", np.eye(3), X) + np.einsum("qn,mp->pqmn", np.eye(3), X),
    ),
    "Xᵀ S X": (
        lambda x: x.T @ gl.tensor(S) @ x,
        np.einsum("pn,mq->pqmn", np.eye(3), S @ X) + np.einsum("qn,pm->pqmn", np.eye(3), X.T @ S),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MATRIX_FUNCTIONS)
def test_matrices_by_matrices(name: str, mode):
    f, wanted = MATRIX_FUNCTIONS[name]
    for g in (gl.jacobian(f, mode=mode), gl.jit(gl.jacobian(f, mode=mode))):
        np.testing.assert_allclose(g(X).numpy(), wanted, rtol=1e-13, atol=1e-14)


def test_the_inverse():
    """dM⁻¹[p, q] / dM[m, n] = -M⁻¹[p, m] M⁻¹[n, q]."""
    m = S + 3 * np.eye(2)
    inverse = np.linalg.inv(m)
    found = gl.jacobian(lambda m: gl.solve(m, np.eye(2)))(m).numpy()
    np.testing.assert_allclose(found, -np.einsum("pm,nq->pqmn", inverse, inverse), rtol=1e-12)


def test_it_says_which_mode_it_takes():
    few, many, square = (lambda x: x[:2], lambda x: gl.outer(x, x), lambda x: x * x)
    x = np.ones(5)
    assert [gl.jacobian(f).mode(x) for f in (few, many, square)] == ["reverse", "forward", "forward"]
    assert gl.jacobian(few).explain(x) == "reverse mode: 2 directions, where forward mode would take 5"
    assert gl.jacobian(many).explain(x) == "forward mode: 5 directions, where reverse mode would take 25"
    assert gl.jacobian(few, mode="forward").mode(x) == "forward"
    with pytest.raises(OptionError, match="no such mode"):
        gl.jacobian(few, mode="sideways")  # pyright: ignore[reportArgumentType]
    with pytest.raises(DTypeError, match="must return floats"):
        gl.jacobian(gl.argmax)(x)


@pytest.mark.parametrize("mode", MODES)
def test_nested_arguments_and_results(mode):
    """Blocks: nested as the result, and each part nested as the arguments; 0 where nothing depends."""

    def f(p, c):
        return {"product": p["w"] @ p["x"], "square": c * c}

    w, x, c = RNG.standard_normal((3, 2)), RNG.standard_normal(2), np.array(1.5)
    found = gl.jacobian(f, (0, 1), mode=mode)({"w": w, "x": x}, c)
    by_p, by_c = found["product"]
    np.testing.assert_allclose(by_p["w"].numpy(), np.einsum("im,n->imn", np.eye(3), x), rtol=1e-14)
    np.testing.assert_allclose(by_p["x"].numpy(), w, rtol=1e-14)
    assert by_c.tolist() == [0, 0, 0]
    assert found["square"][1].item() == 3
    assert {name: (block.shape, gl.any(block != 0).item()) for name, block in found["square"][0].items()} == {
        "w": ((3, 2), False),
        "x": ((2,), False),
    }


def test_hessian_of_nested_arguments():
    """f = Σ aᵢ bᵢ² has the blocks 0, diag 2b, diag 2a."""
    a, b = RNG.standard_normal((2, 3))
    h = gl.hessian(lambda p: gl.sum(p[0] * p[1] ** 2))((a, b))
    wanted = ((0 * np.eye(3), np.diag(2 * b)), (np.diag(2 * b), np.diag(2 * a)))
    for row, wanted_row in zip(h, wanted):
        for block, wanted_block in zip(row, wanted_row):
            np.testing.assert_allclose(block.numpy(), wanted_block, rtol=1e-14, atol=1e-15)


def logistic(w, x, y):
    return gl.mean(gl.softplus(x @ w) - y * (x @ w))


@pytest.mark.parametrize("compile", [lambda f: f, gl.jit])
def test_logistic_regression(compile):
    """H = Xᵀ diag(σ(1 - σ)) X / m, by itself and times a direction; for every example by itself it is σ(1 - σ) x xᵀ."""
    x, y, w = RNG.standard_normal((7, 4)), RNG.integers(0, 2, 7).astype(float), RNG.standard_normal(4)
    s = 1 / (1 + np.exp(-x @ w))
    wanted = x.T * (s * (1 - s)) @ x / 7
    np.testing.assert_allclose(compile(gl.hessian(logistic))(w, x, y).numpy(), wanted, rtol=1e-12)
    (product,) = compile(lambda w, t: gl.hvp(lambda w: logistic(w, x, y), (w,), (t,)))(w, x[0])
    np.testing.assert_allclose(product.numpy(), wanted @ x[0], rtol=1e-12)

    def one(w, x, y):
        return logistic(w, gl.expand_dims(x, 0), gl.expand_dims(y, 0))

    each = (None, 0, 0)
    gradients = compile(gl.vmap(gl.grad(one), each))(w, x, y).numpy()
    np.testing.assert_allclose(gradients, (s - y)[:, None] * x, rtol=1e-12)
    hessians = compile(gl.vmap(gl.hessian(one), each))(w, x, y).numpy()
    np.testing.assert_allclose(hessians, np.einsum("b,bi,bj->bij", s * (1 - s), x, x), rtol=1e-12)
    both = compile(gl.jacobian(lambda w: gl.vmap(one, each)(w, x, y)))(w).numpy()
    np.testing.assert_allclose(both, gradients, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_mapped_jacobians(mode):
    w, xs = RNG.standard_normal((3, 4)), RNG.standard_normal((5, 4))
    found = gl.vmap(gl.jacobian(lambda w, x: gl.tanh(w @ x), 1, mode=mode), (None, 0))(w, xs).numpy()
    np.testing.assert_allclose(found, (1 - np.tanh(xs @ w.T) ** 2)[:, :, None] * w, rtol=1e-12)


def test_hvp_of_several_arguments():
    """For f = xᵀ S y the product of the Hessian with (t, u) is (S u, Sᵀ t)."""
    x, y, t, u = RNG.standard_normal((4, 2))
    by_x, by_y = gl.hvp(lambda x, y: x @ gl.tensor(S) @ y, (x, y), (t, u))
    np.testing.assert_allclose(by_x.numpy(), S @ u, rtol=1e-14)
    np.testing.assert_allclose(by_y.numpy(), S.T @ t, rtol=1e-14)
