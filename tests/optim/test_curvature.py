"""Reports on points whose Hessians are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim, tree
from gradloom.errors import NonFiniteError, OptionError, ShapeError
from gradloom.optim import Curvature


def at_zero(loss: Any, **options: Any) -> Curvature:
    parameters = {"x": gl.tensor(0.0, "float64"), "y": gl.tensor(0.0, "float64")}
    return optim.curvature(lambda p: loss(p["x"], p["y"]), parameters, executor="reference", **options)


@pytest.mark.parametrize("method", ["full", "lanczos"])
@pytest.mark.parametrize(
    ("loss", "verdict", "negative", "positive"),
    [
        (lambda x, y: x * x + 2 * y * y, "minimum", 0, 2),
        (lambda x, y: -x * x - 2 * y * y, "maximum", 2, 0),
        (lambda x, y: x * x - y * y, "saddle", 1, 1),
        (lambda x, y: x * x + y**3, "flat minimum", 0, 1),
        (lambda x, y: 1e-7 * (x * x - y * y), "plateau", 1, 1),
        (lambda x, y: x + y * y, "not stationary", 0, 1),
    ],
    ids=["bowl", "hill", "pass", "valley", "plain", "slope"],
)
def test_verdicts(loss: Any, verdict: str, negative: int, positive: int, method: str) -> None:
    found = at_zero(loss, method=method)
    assert (found.verdict, found.spectrum.negative, found.spectrum.positive) == (verdict, negative, positive)
    assert str(found).startswith(verdict)
    assert (found.escape is not None) == (negative > 0)


def test_the_worked_example_is_indefinite() -> None:
    """a = (2 + fg)(fg + 3 + f) has at f = 4, g = 2 the Hessian [[12, 45], [45, 32]]."""
    point = {"f": gl.tensor(4.0, "float64"), "g": gl.tensor(2.0, "float64")}
    found = optim.curvature(lambda p: (2 + p["f"] * p["g"]) * (p["f"] * p["g"] + 3 + p["f"]), point)
    assert found.value == 150
    assert found.gradient_norm == 100
    assert found.verdict == "not stationary"
    np.testing.assert_allclose(found.spectrum.values, 22 + np.sqrt(2125) * np.array([-1, 1]), rtol=1e-12)
    assert (found.spectrum.negative, found.spectrum.positive) == (1, 1)


def test_the_way_out_of_a_saddle() -> None:
    escape = at_zero(lambda x, y: x * x - y * y + y**4).escape
    assert escape is not None
    assert escape.curvature == pytest.approx(-2)
    assert abs(escape.direction["x"].item()) < 1e-12
    assert abs(escape.direction["y"].item()) == pytest.approx(1)
    y = escape.parameters["y"].item()
    assert abs(y) == escape.length
    assert escape.value == pytest.approx(-(y**2) + y**4)
    assert escape.value < 0


def test_of_its_two_directions_the_way_out_takes_the_one_down() -> None:
    for slope in (-0.01, 0.01):
        escape = at_zero(lambda x, y, slope=slope: x * x - y * y + slope * y).escape
        assert escape is not None
        assert np.sign(escape.direction["y"].item()) == -np.sign(slope)


def quadratic(n: int, seed: int = 0) -> tuple[Any, np.ndarray]:
    half = np.random.default_rng(seed).normal(size=(n, n))
    matrix = (half + half.T) / 2
    return (lambda p, a: gl.dot(p["w"], a @ p["w"]) / 2), matrix


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_whole_spectrum(executor: str, dtype: str) -> None:
    loss, matrix = quadratic(30)
    data = gl.tensor(matrix, dtype)
    found = optim.curvature(loss, {"w": gl.zeros(30, dtype)}, data, executor=executor)
    expected = np.linalg.eigvalsh(matrix)
    assert found.spectrum.is_exact
    np.testing.assert_allclose(found.spectrum.values, expected, atol=2e-5 if dtype == "float32" else 1e-12)
    assert found.spectrum.negative == (expected < 0).sum()
    edges, shares = found.spectrum.density(5)
    edges[[0, -1]] += [-1e-3, 1e-3]  # which are the outermost eigenvalues, to rounding
    np.testing.assert_allclose(shares, np.histogram(expected, edges)[0] / 30, atol=1e-12)


def test_estimates_of_a_large_spectrum() -> None:
    loss, matrix = quadratic(600)
    found = optim.curvature(loss, {"w": gl.zeros(600, "float64")}, gl.tensor(matrix), probes=4, products=60)
    eigenvalues, spectrum = np.linalg.eigvalsh(matrix), found.spectrum
    assert not spectrum.is_exact
    assert spectrum.smallest == pytest.approx(eigenvalues[0], rel=1e-4)
    assert spectrum.largest == pytest.approx(eigenvalues[-1], rel=1e-4)
    assert abs(spectrum.smallest - eigenvalues[0]) <= spectrum.ends_error[0]
    negative = (eigenvalues < 0).sum()
    assert 20 <= spectrum.negative <= negative
    assert spectrum.negative_estimate == pytest.approx(negative, abs=4 * spectrum.negative_error)
    assert spectrum.negative_error < 0.05 * negative
    edges, shares = spectrum.density(4)
    np.testing.assert_allclose(shares, np.histogram(eigenvalues, edges)[0] / 600, atol=0.04)
    assert "at least" in str(found)


def test_a_network_at_its_symmetric_saddle() -> None:
    """With all weights 0 a network has no slope; its units are alike and only breaking the symmetry leads down."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), np.sin(rng.normal(size=50))
    y = y - y.mean() + x[:, 0]
    y -= y.mean()

    def loss(p: Any, x: gl.Tensor, y: gl.Tensor) -> gl.Tensor:
        return gl.mean((gl.tanh(x @ p["v"]) @ p["w"] - y) ** 2)

    zero = {"v": gl.zeros((3, 4), "float64"), "w": gl.zeros(4, "float64")}
    found = optim.curvature(loss, zero, x, y)
    # The Hessian couples v_ij and w_j by -2 mean(x_i y): eigenvalues ±‖that‖ for each unit, and 0.
    coupling = np.linalg.norm(2 * (x * y[:, None]).mean(0))
    np.testing.assert_allclose(
        found.spectrum.values[[0, 3, 4, -5, -4, -1]], coupling * np.array([-1, -1, 0, 0, 1, 1]), atol=1e-12
    )
    assert (found.verdict, found.spectrum.negative, found.spectrum.positive) == ("saddle", 4, 4)
    stuck = optim.minimize(loss, zero, x, y)
    assert (stuck.converged, stuck.steps) == (True, 0)
    assert found.escape is not None
    assert found.escape.value < found.value
    out = optim.minimize(loss, found.escape.parameters, x, y)
    assert out.value < 0.9 * found.value
    assert tree.flatten(found.escape.direction)[1] == tree.flatten(zero)[1]


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="must return a scalar"):
        optim.curvature(lambda w: w * w, gl.ones(3))
    with pytest.raises(OptionError, match="there must be parameters"):
        optim.curvature(lambda p: gl.tensor(1.0), {})
    with pytest.raises(OptionError, match="no such method"):
        optim.curvature(lambda w: w, gl.ones(()), method="fulll")
    with pytest.raises(OptionError, match="probes"):
        optim.curvature(lambda w: w * w, gl.ones(()), method="lanczos", probes=0)
    with pytest.raises(NonFiniteError, match="loss and gradient must be finite"):
        optim.curvature(gl.log, gl.tensor(0.0))
    with pytest.raises(NonFiniteError, match="products with the Hessian must be finite"):
        optim.curvature(lambda w: w**1.5, gl.tensor(0.0))
