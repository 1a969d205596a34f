"""What is written is what was meant: random functions of matrices, their gradients read back from the notation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from notation import NotMatrices, written_value

import gradloom as gl
from gradloom.autodiff import numerical, symbolic

SIZES = {"m": 2, "n": 3, "k": 4}
NAMES = ("A[m,n]", "B[n,k]", "C[m,k]", "u[m]", "v[n]", "w[k]", "s")
SHAPES = {"A": "mn", "B": "nk", "C": "mk", "u": "m", "v": "n", "w": "k", "s": ""}
RNG = np.random.default_rng(1)
VALUES = {name: RNG.uniform(0.3, 1, tuple(SIZES[c] for c in shape)) for name, shape in SHAPES.items()}

ELEMENTWISE = [gl.tanh, gl.sigmoid, gl.softplus, gl.sin, lambda x: x * x, lambda x: -x, lambda x: 1 / (2 + x * x)]


def leaves(shape: str):
    """Functions of all arguments whose result has this shape."""
    found = [lambda v, n=n: v[n] for n, s in SHAPES.items() if s == shape]
    found += [lambda v, n=n: v[n].T for n, s in SHAPES.items() if len(s) == 2 and s[::-1] == shape]
    return st.sampled_from(found or [lambda v: gl.ones(tuple(v["sizes"][c] for c in shape)) * v["s"]])


def arrays(shape: str, depth: int):
    """Functions of a shape: leaves, elementwise functions, sums, products, products of matrices, sums along axes."""
    if depth == 0:
        return leaves(shape)
    inner = arrays(shape, depth - 1)
    kinds = [
        leaves(shape),
        st.tuples(st.sampled_from(ELEMENTWISE), inner).map(lambda p: lambda v: p[0](p[1](v))),
        st.tuples(inner, inner).map(lambda p: lambda v: p[0](v) + p[1](v)),
        st.tuples(inner, inner).map(lambda p: lambda v: p[0](v) - 2 * p[1](v)),
        st.tuples(inner, inner).map(lambda p: lambda v: p[0](v) * p[1](v)),
        arrays("", depth - 1).flatmap(lambda c: inner.map(lambda f: lambda v: c(v) * f(v))),
    ]
    if len(shape) == 2:
        kinds += [product(shape[0] + c, c + shape[1], depth - 1) for c in "mnk"]
        kinds += [arrays(shape[1], depth - 1).flatmap(lambda b: inner.map(lambda f: lambda v: f(v) * b(v) + b(v)))]
        kinds += [arrays(shape[0], depth - 1).flatmap(lambda b: inner.map(lambda f: lambda v: f(v) * b(v)[:, None]))]
        kinds += [inner.map(lambda f: lambda v: gl.softmax(f(v)))]
        kinds += [product_outer(shape, depth - 1)]
    if len(shape) == 1:
        kinds += [product(shape + c, c, depth - 1) for c in "mnk"]
        kinds += [arrays(shape + c, depth - 1).map(lambda f: lambda v: gl.sum(f(v), 1)) for c in "mnk"]
        kinds += [arrays(c + shape, depth - 1).map(lambda f: lambda v: gl.mean(f(v), 0)) for c in "mnk"]
        kinds += [arrays(shape + "n", depth - 1).map(lambda f: lambda v: gl.logsumexp(f(v), 1))]
    if not shape:
        kinds += [product(c, c, depth - 1) for c in "mnk"]
        kinds += [arrays(s, depth - 1).map(lambda f: lambda v: gl.sum(f(v))) for s in ("mn", "nk", "km", "k")]
    return st.one_of(kinds)


def product(left: str, right: str, depth: int):
    return st.tuples(arrays(left, depth), arrays(right, depth)).map(lambda p: lambda v: p[0](v) @ p[1](v))


def product_outer(shape: str, depth: int):
    pair = st.tuples(arrays(shape[0], depth), arrays(shape[1], depth))
    return pair.map(lambda p: lambda v: gl.outer(p[0](v), p[1](v)))


def traced(f):
    def of_all(A, B, C, u, v, w, s):
        sizes = dict(zip("mnk", (*A.shape, B.shape[1])))
        return f({"A": A, "B": B, "C": C, "u": u, "v": v, "w": w, "s": s, "sizes": sizes})

    return of_all


@settings(max_examples=40, deadline=None)
@given(arrays("", 2))
def test_gradients_have_the_value_of_what_is_written(f):
    g = traced(f)
    found = symbolic(g, *NAMES)
    written = [(name, formula) for name, formula in found.gradient.items() if str(formula) != "0"]
    assume(written)
    for name, formula in [("value", found.value), *written]:
        expected = formula(**VALUES)
        if name != "value":
            number = list(SHAPES).index(name)
            measured = numerical(g, number, method="richardson")(*VALUES.values())
            np.testing.assert_allclose(expected, measured, rtol=1e-7, atol=1e-7, err_msg=f"{name}: {formula}")
        try:
            read = written_value(formula.notation, {**VALUES, **SIZES}, np.shape(expected))
        except NotMatrices:
            continue
        np.testing.assert_allclose(read, expected, rtol=1e-12, atol=1e-12, err_msg=f"{name}: {formula}")


@pytest.mark.parametrize(
    ("f", "names", "written"),
    [
        (lambda u, A, B, w: u @ A @ B @ w, ("u[m]", "A[m,n]", "B[n,k]", "w[k]"), {"A": "u(Bw)ᵀ", "B": "Aᵀuwᵀ"}),
        (lambda A, v, B: gl.sum((A * v) @ B), ("A[m,n]", "v[n]", "B[n,k]"), {"v": "(B𝟏)∘(Aᵀ𝟏)"}),
    ],
)
def test_chains(f, names, written):
    found = symbolic(f, *names)
    assert {n: str(found.derivative(n)) for n in written} == written
