"""Layers of normalisation over drawn shapes: their formulas in long double, and their gradients by differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom import nn
from gradloom.nn.module import Tensors

LONG = np.longdouble


def standardised(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + LONG(eps))


def of_groups(x: np.ndarray, groups: int, eps: float) -> np.ndarray:
    apart = x.reshape(*x.shape[:-1], groups, -1)
    return standardised(apart, (*range(1, x.ndim - 1), x.ndim), eps).reshape(x.shape)


def lateral(x: np.ndarray, n: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Row by row of the definition, channels beyond the ends being 0."""
    below, above = n // 2, (n - 1) // 2
    sums = [(x[..., max(0, c - below) : c + above + 1] ** 2).sum(-1) for c in range(x.shape[-1])]
    return x / (k + alpha * np.stack(sums, -1)) ** LONG(beta)


Drawn = tuple[nn.Module, Callable[[np.ndarray], np.ndarray]]
LAYERS: dict[str, Callable[[int, int], Drawn]] = {
    "batch": lambda c, n: (nn.BatchNorm(eps=1e-3), lambda x: standardised(x, tuple(range(x.ndim - 1)), 1e-3)),
    "layer": lambda c, n: (nn.LayerNorm(eps=1e-2), lambda x: standardised(x, (x.ndim - 1,), 1e-2)),
    "group": lambda c, n: (nn.GroupNorm(c // n, eps=1e-3), lambda x: of_groups(x, c // n, 1e-3)),
    "response": lambda c, n: (
        nn.LocalResponseNorm(n, alpha=0.4, beta=0.6, k=1.5, alpha_over_n=False),
        lambda x: lateral(x, n, 0.4, 0.6, 1.5),
    ),
}


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("kind", LAYERS)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=3, deadline=None)
def test_formula_and_gradient(executor: str, kind: str, spatial: list[int], n: int, groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, *spatial, n * groups)) * 2 + 1
    layer, formula = LAYERS[kind](n * groups, n)
    layer.initialize(x)
    parameters: Tensors = {name: gl.tensor(rng.standard_normal(p.shape)) for name, p in layer.parameters().items()}
    cotangent, direction = rng.standard_normal(x.shape), rng.standard_normal(x.shape)

    def run(p: Tensors, x: gl.Tensor, cotangent: gl.Tensor) -> Any:
        y, back = gl.vjp(lambda p, x: nn.apply(layer, p, layer.state(), x, training=True)[0], p, x)
        return y, *back(cotangent)

    y, by_parameters, by_x = gl.jit(run, executor)(parameters, x, cotangent)
    clean, long = formula(x.astype(LONG)), {name: p.numpy().astype(LONG) for name, p in parameters.items()}
    scale = long.get("scale", LONG(1))
    np.testing.assert_allclose(y.numpy(), clean * scale + long.get("shift", 0), rtol=1e-10, atol=1e-10)
    over = tuple(range(x.ndim - 1))
    if parameters:
        np.testing.assert_allclose(by_parameters["scale"].numpy(), (clean * cotangent).sum(over), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(by_parameters["shift"].numpy(), cotangent.sum(over), rtol=1e-9, atol=1e-9)
    step = LONG(1e-6)  # differences in long double, of which seven digits are lost
    change = (formula(x + step * direction) - formula(x - step * direction)) / (2 * step) * scale
    assert np.vdot(by_x.numpy(), direction) == pytest.approx(float((change * cotangent).sum()), rel=1e-7, abs=1e-7)
