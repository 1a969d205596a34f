"""Formulas as a person would write them, their values, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gradloom as gl
from gradloom.autodiff import symbolic
from gradloom.errors import OptionError, ShapeError, UnknownNameError, UnsupportedError


def a(f, g):
    """The worked example of the notes."""
    e = f * g
    d = 3 + f
    c = e + 2
    b = d + e
    return b * c


def test_the_worked_example_of_the_notes():
    found = symbolic(a)
    assert str(found) == (
        "a = (2 + fg)(3 + f + fg)\n"  #
        "∂a/∂f = 2 + 5g + 2fg + 2fg²\n"
        "∂a/∂g = 5f + f² + 2f²g"
    )
    point = {"f": 4, "g": 2}
    assert (found.value(**point), found.derivative("f")(**point), found.derivative("g")(**point)) == (150, 60, 100)
    hessian = [[found.derivative(i, j) for j in "fg"] for i in "fg"]
    assert [[str(h) for h in row] for row in hessian] == [["2g + 2g²", "5 + 2f + 4fg"], ["5 + 2f + 4fg", "2f²"]]
    assert [[h(**point) for h in row] for row in hessian] == [[12, 45], [45, 32]]


SCALARS = {
    "sigmoid": (lambda z: gl.sigmoid(z), "σ(z)(1 - σ(z))"),
    "sigmoid written out": (lambda z: 1 / (1 + gl.exp(-z)), "σ(z)(1 - σ(z))"),
    "tanh": (lambda z: gl.tanh(z), "1 - tanh(z)²"),
    "softplus": (lambda z: gl.softplus(z), "σ(z)"),
    "relu": (lambda z: gl.relu(z), "[z > 0]"),
    "leaky relu": (lambda z: gl.where(z > 0, z, 0.1 * z), "[z > 0] + 0.1[z ≤ 0]"),
    "abs": (lambda z: gl.abs(z), "sign(z)"),
    "square": (lambda z: z * z, "2z"),
    "power": (lambda z: z**7.0, "7z⁶"),
    "root": (lambda z: gl.sqrt(z), "1/(2√z)"),
    "reciprocal root": (lambda z: gl.rsqrt(z), "-1/(2z^(3/2))"),
    "reciprocal": (lambda z: 1 / z, "-1/z²"),
    "exponential": (lambda z: gl.exp(-(z**2) / 2), "-z·e^(-z²/2)"),
    "expm1 and log1p": (lambda z: gl.expm1(z) + gl.log1p(z), "1/(1 + z) + e^z"),
    "product rule": (lambda z: z**2 * gl.exp(z), "z·e^z·(2 + z)"),
    "chain rule": (lambda z: gl.sin(z**2), "2z·cos(z²)"),
    "quotient": (lambda z: gl.sin(z) / z, None),
    "binary cross-entropy of a logit": (lambda z: gl.softplus(z) - z * 0.3, "σ(z) - 0.3"),
    "binary cross-entropy": (lambda z: -gl.log(gl.sigmoid(z)), "σ(z) - 1"),
    "error function": (lambda z: gl.erf(z), "2e^(-z²)/√π"),
    "Pythagoras": (lambda z: gl.sin(z) * gl.cos(z) - z * gl.sin(z) ** 2 - z * gl.cos(z) ** 2, None),
    "inverse sine": (lambda z: gl.asin(z), "1/√(1 - z²)"),
    "inverse tangent": (lambda z: gl.atan(z), "1/(1 + z²)"),
    "cancels": (lambda z: gl.sqrt(1 - z**2) / z, "-1/(z²·√(1 - z²))"),
    "like terms": (lambda z: 3 * z + z * 2 + z * z - z * z, "5"),
    "no dependence": (lambda z: z * 0 + 3.0, "0"),
    "stop gradient": (lambda z: gl.stop_gradient(z) * z, "z"),
    "decimal": (lambda z: np.float64(0.9) * z**2, "1.8z"),
    "large": (lambda z: np.float64(12345) * z, "12345"),
}


@pytest.mark.parametrize("name", SCALARS)
def test_derivatives_as_one_writes_them(name):
    f, written = SCALARS[name]
    formula = symbolic(f, "z").derivative("z")
    assert written is None or str(formula) == written
    for z in (0.3, 0.8):
        assert formula(z=z) == pytest.approx(gl.grad(f)(np.float64(z)).item(), rel=1e-13, abs=1e-13)


def test_pythagoras():
    assert str(symbolic(lambda z: gl.sin(z) ** 2 + gl.cos(z) ** 2).value) == "1"
    assert str(symbolic(lambda z: z * gl.cosh(z) ** 2 - z * gl.sinh(z) ** 2).value) == "z"


def test_powers_and_choices_of_two_variables():
    assert str(symbolic(lambda x, y: x**y)) == "f = x^y\n∂f/∂x = y·x^(y - 1)\n∂f/∂y = x^y·log(x)"
    assert str(symbolic(lambda x, y: gl.maximum(x, y))) == "f = max(x, y)\n∂f/∂x = [x > y]\n∂f/∂y = [y > x]"


def test_names_of_more_than_one_letter_are_set_apart():
    assert str(symbolic(lambda rate, w: 2 * rate * w**2).value) == "2rate·w²"


# Arrays ---------------------------------------------------------------------------------------------------------------


def dense(X, W, b, Y):
    A = gl.sigmoid(X @ W + b)
    return -gl.sum(Y * gl.log(A) + (1 - Y) * gl.log(1 - A)) / X.shape[0]


def from_logits(X, W, b, Y):
    Z = X @ W + b
    return gl.mean(gl.softplus(Z) - Y * Z, 0).sum()


def softmax_layer(X, W, b, Y):
    return -gl.mean(gl.sum(Y * gl.log_softmax(X @ W + b), -1))


LAYER = ("X[m,n]", "W[n,k]", "b[k]", "Y[m,k]")
ACTIVATION = {"A": lambda X, W, b: gl.sigmoid(X @ W + b)}
PROBABILITIES = {"P": lambda X, W, b: gl.softmax(X @ W + b)}


@pytest.mark.parametrize("loss", [dense, from_logits])
def test_the_dense_layer_with_cross_entropy(loss):
    found = symbolic(loss, *LAYER, let=ACTIVATION)
    assert str(found.definitions["A"]) == "σ(XW + b)"
    assert str(found.derivative("W")) == "Xᵀ(A - Y)/m"
    assert str(found.derivative("b")) == "𝟏ᵀ(A - Y)/m"
    assert str(found.derivative("X")) == "(A - Y)Wᵀ/m"
    assert str(symbolic(loss, *LAYER).derivative("W")) == "Xᵀ(σ(XW + b) - Y)/m"


def test_softmax_with_cross_entropy_is_p_minus_y():
    def loss(z, y):
        return -gl.sum(y * gl.log_softmax(z))

    def written_out(z, y):
        return -gl.sum(y * gl.log(gl.exp(z) / gl.sum(gl.exp(z))))

    for f in (loss, written_out):
        found = symbolic(f, "z[k]", "y[k]", distributions=["y"], let={"p": lambda z: gl.softmax(z)})
        assert str(found.derivative("z")) == "p - y"
    assert str(symbolic(loss, "z[k]", "y[k]", distributions=["y"]).value) == "logsumexp(z) - yᵀz"
    assert str(symbolic(loss, "z[k]", "y[k]").derivative("z")) == "sum(y)·softmax(z) - y"


def test_a_softmax_layer():
    found = symbolic(softmax_layer, *LAYER, distributions=["Y"], let=PROBABILITIES)
    assert str(found.derivative("W")) == "Xᵀ(P - Y)/m"
    assert str(found.definitions["P"]) == "softmax(XW + b)"


ARRAYS = {
    "least squares": (
        lambda X, w, y: gl.mean((X @ w - y) ** 2),
        ("X[m,n]", "w[n]", "y[m]"),
        {"X": "2(Xw - y)wᵀ/m", "w": "2Xᵀ(Xw - y)/m", "y": "2(y - Xw)/m"},
    ),
    "quadratic form": (lambda x, A: x @ A @ x, ("x[n]", "A[n,n]"), {"x": "(Aᵀ + A)x", "A": "xxᵀ"}),
    "bilinear form": (lambda u, A, v: u @ A @ v, ("u[m]", "A[m,n]", "v[n]"), {"u": "Av", "A": "uvᵀ", "v": "Aᵀu"}),
    "norm": (lambda x: gl.sqrt(gl.sum(x * x)), ("x[n]",), {"x": "x/√sum(x²)"}),
    "Frobenius": (lambda A, B: gl.sum((A - B) ** 2) / 2, ("A[m,n]", "B[m,n]"), {"A": "A - B", "B": "B - A"}),
    "sum of a product": (lambda A, B: gl.sum(A @ B), ("A[m,n]", "B[n,k]"), {"A": "𝟏(B𝟏)ᵀ", "B": "Aᵀ𝟏𝟏ᵀ"}),
    "one input": (lambda w, x: gl.tanh(w @ x), ("w[n]", "x[n]"), {"w": "(1 - tanh(wᵀx)²)x"}),
    "diagonal": (lambda A, s: gl.sum((A * s) ** 2), ("A[m,n]", "s[n]"), {"A": "2A∘s²", "s": "2s∘((A²)ᵀ𝟏)"}),
    "column": (lambda A, s: gl.sum(A * gl.expand_dims(s, 1)), ("A[m,n]", "s[m]"), {"A": "s𝟏ᵀ", "s": "A𝟏"}),
    "transposed": (lambda A, B: gl.sum(A.T * B), ("A[m,n]", "B[n,m]"), {"A": "Bᵀ", "B": "Aᵀ"}),
    "mean": (lambda x: gl.mean(x) * x.shape[0], ("x[n]",), {"x": "𝟏"}),
    "sizes as numbers": (lambda x: gl.mean(x * x), ("x[4]",), {"x": "x/2"}),
    "two layers": (
        lambda x, V, W: gl.sum(W @ gl.tanh(V @ x)),
        ("x[n]", "V[h,n]", "W[k,h]"),
        {"W": "𝟏·tanh(Vx)ᵀ", "V": "((Wᵀ𝟏)∘(1 - tanh(Vx)²))xᵀ"},
    ),
    "trace of a cube": (lambda A: gl.einsum("ij,jk,ki->", A, A, A), ("A[n,n]",), {"A": "3(AA)ᵀ"}),
    "third order": (lambda T, x: gl.sum(gl.einsum("ijk,k->ij", T, x)), ("T[a,b,c]", "x[c]"), {"T": "x_k"}),
    "log-sum-exp": (lambda Z: gl.sum(gl.logsumexp(Z, 1)), ("Z[m,k]",), {"Z": "softmax(Z)"}),
    "log-sum-exp of columns": (lambda Z: gl.sum(gl.logsumexp(Z, 0)), ("Z[m,k]",), {"Z": "softmax(Zᵀ)ᵀ"}),
    "softmax": (lambda z, w: w @ gl.softmax(z), ("z[k]", "w[k]"), {"w": "softmax(z)"}),
    "variance": (lambda x: gl.var(x), ("x[n]",), {}),
    "largest": (lambda x: gl.max(x) ** 2, ("x[n]",), {}),
    "centred": (lambda X: gl.sum((X - gl.mean(X, 0)) ** 3), ("X[m,n]",), {}),
    "attention": (
        lambda Q, K, V: gl.sum((gl.softmax(Q @ K.T / 4.0) @ V) ** 2),
        ("Q[m,d]", "K[n,d]", "V[n,e]"),
        {},
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_gradients_of_arrays_as_one_writes_them(name):
    f, names, written = ARRAYS[name]
    found = symbolic(f, *names)
    assert {n: str(found.derivative(n)) for n in written} == written


def values_for(names, rng) -> dict[str, np.ndarray]:
    """Random arrays of the declared shapes, each letter a size of its own."""
    letters = {c: n for n, c in enumerate("mnkhdeabc", start=2)}
    shapes = {n: re.findall(r"\w", n.partition("[")[2]) for n in names}
    sizes = {n: [int(s) if s.isdigit() else letters[s] for s in shape] for n, shape in shapes.items()}
    return {n.partition("[")[0]: rng.uniform(0.2, 1, shape) for n, shape in sizes.items()}


@pytest.mark.parametrize(
    ("f", "names"),
    [
        *((f, names) for f, names, _ in ARRAYS.values()),
        (dense, LAYER),
        (from_logits, LAYER),
        (softmax_layer, LAYER),
    ],
    ids=[*ARRAYS, "dense", "from logits", "softmax layer"],
)
def test_formulas_have_the_values_of_the_gradient(f, names):
    """Central differences are the measure, so that neither the tracing nor the rules can hide a mistake."""
    given = values_for(names, np.random.default_rng(0))
    found = symbolic(f, *names)
    assert found.value(**given) == pytest.approx(f(*map(gl.tensor, given.values())).item(), rel=1e-12)
    for n, (name, formula) in enumerate(found.gradient.items()):
        expected = gl.autodiff.numerical(f, n, method="richardson")(*given.values())
        np.testing.assert_allclose(formula(**given), expected, rtol=1e-8, atol=1e-9, err_msg=name)


def test_abbreviations_and_constant_arrays_have_values_too():
    weights = np.array([1.0, -2.0, 3.0])
    found = symbolic(lambda x: gl.sum(gl.tanh(x * weights) ** 2), "x[3]", let={"t": lambda x: gl.tanh(x * weights)})
    assert str(found.derivative("x")) == "2c1∘t∘(1 - t²)"
    x = np.array([0.1, 0.2, 0.3])
    t = np.tanh(x * weights)
    np.testing.assert_allclose(found.derivative("x")(x=x), 2 * weights * t * (1 - t * t), rtol=1e-14)


def test_a_function_with_an_array_for_its_result_has_a_formula():
    found = symbolic(lambda X, W, b: gl.sigmoid(X @ W + b), "X[m,n]", "W[n,k]", "b[k]")
    assert str(found) == "f = σ(XW + b)"
    assert found.value(X=np.ones((2, 3)), W=np.zeros((3, 4)), b=np.zeros(4)).tolist() == [[0.5] * 4] * 2


def test_formulas_are_equal_when_they_are_written_alike():
    one, other = symbolic(lambda x: x * 2 + x), symbolic(lambda x: 3 * x)
    assert one.value == other.value
    assert one.value != symbolic(lambda x: 2 * x).value


# LaTeX ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "names", "latex"),
    [
        (a, (), r"2 + 5 g + 2 f g + 2 f g^{2}"),
        (lambda z: gl.sigmoid(z), ("z",), r"\sigma\left(z\right) \left(1 - \sigma\left(z\right)\right)"),
        (lambda z: gl.sqrt(z) / 3.0, ("z",), r"\frac{1}{6 \sqrt{z}}"),
        (lambda z: gl.relu(z), ("z",), r"\left[z > 0\right]"),
        (lambda z: gl.erf(z), ("z",), r"\frac{2 e^{-z^{2}}}{\sqrt{\pi}}"),
        (lambda alpha, w: alpha**2 * w, ("alpha", "w"), r"2 \alpha w"),
        (lambda rate, w: rate * gl.log(w), ("rate", "w"), r"\log\left(w\right)"),
        (
            lambda w, X, y: gl.mean((X @ w - y) ** 2),
            ("w[n]", "X[m,n]", "y[m]"),
            r"\frac{2 X^\top \left(X w - y\right)}{m}",
        ),
        (lambda A, B: gl.sum((A * B) ** 2), ("A[m,n]", "B[m,n]"), r"2 A \odot B^{2}"),
        (lambda z: gl.logsumexp(z), ("z[k]",), r"\operatorname{softmax}\left(z\right)"),
        (lambda x, T: gl.sum(gl.einsum("ijk,k->ij", T, x) ** 2), ("x[c]", "T[a,b,c]"), None),
    ],
)
def test_latex(f, names, latex):
    found = symbolic(f, *names)
    first = next(iter(found.gradient.values()))
    assert latex is None or first.latex() == latex
    assert first._repr_latex_() == f"${first.latex()}$"
    for text in (first.latex(), found.latex()):
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")


def test_all_equations_in_latex():
    assert (
        symbolic(lambda x: x**2).latex()
        == r"\begin{aligned}f &= x^{2} \\ \frac{\partial f}{\partial x} &= 2 x\end{aligned}"
    )
    assert symbolic(lambda x: x**2)._repr_latex_().startswith(r"$$\begin{aligned}")


def test_long_polynomials_are_collected_and_large_ones_stay_products():
    def rising(x):
        return x * (1 + x) * (2 + x) * (3 + x) * (4 + x)

    assert str(symbolic(rising).derivative("x")) == "24 + 100x + 105x² + 40x³ + 5x⁴"
    assert str(symbolic(lambda x: (1 + x) ** 20.0).derivative("x")) == "20(1 + x)¹⁹"


# Refusals -------------------------------------------------------------------------------------------------------------


def iterated(x):
    for _ in range(1500):
        x = gl.sin(x)
    return x


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: symbolic(lambda x: gl.sort(x)[0], "x[n]"), UnsupportedError, "the primitive sort has no formula"),
        (lambda: symbolic(lambda x: gl.sum(x[1:]), "x[n]"), UnsupportedError, "the primitive slice"),
        (
            lambda: symbolic(lambda x: gl.sum(x.reshape(6)), "x[2,3]"),
            UnsupportedError,
            "reshape may only add and remove",
        ),
        (lambda: symbolic(iterated, "x"), UnsupportedError, "at most 150 levels of brackets"),
        (lambda: symbolic(a, "f"), TypeError, "missing"),
        (lambda: symbolic(a, "f", "g[2"), OptionError, "declared by its name and the sizes"),
        (lambda: symbolic(a, "f", "f"), OptionError, "different names"),
        (lambda: symbolic(a, "f[g]", "g"), OptionError, "different names"),
        (lambda: symbolic(a, distributions=["h"]), UnknownNameError, "no argument has this name; got 'h'"),
        (lambda: symbolic(a, let={"A": lambda q: q}), UnknownNameError, "no argument has this name; got 'q'"),
        (lambda: symbolic(a).derivative("h"), UnknownNameError, "Known: f, g"),
        (lambda: symbolic(lambda x: x * x, "x[n]").derivative("x"), ShapeError, "only a scalar is differentiated"),
        (lambda: symbolic(lambda x: gl.sum(x**3), "x[n]").derivative("x", "x"), ShapeError, "only a scalar"),
        (lambda: symbolic(a).value(f=1), OptionError, r"a value is needed for every name in it; got none for \['g'\]"),
        (lambda: symbolic(a).value(f=1, h=2), UnknownNameError, "no argument"),
        (lambda: symbolic(a).value(f=[1.0], g=2), ShapeError, "declared with 0 axes"),
        (lambda: symbolic(lambda x, y: x @ y, "x[n]", "y[n]").value(x=[1, 2], y=[1]), ShapeError, "n has one value"),
    ],
)
def test_refusals(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
