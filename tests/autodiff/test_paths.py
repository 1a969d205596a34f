"""gl.autodiff.explain: the notes' worked example to the letter, and sums over paths that are gl.grad's derivatives."""

from __future__ import annotations

import sys
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.autodiff import explain
from gradloom.errors import OptionError, ShapeError, UnknownNameError


def a(f, g):
    e = f * g
    d = 3 + f
    c = e + 2
    b = d + e
    return b * c


# The notes' worked example (catalogue 24, O1) ---------------------------------------------------------------


def test_the_paths_of_the_worked_example():
    found = explain(a, (4.0, 2.0), "f")
    assert (found.value, found.derivative, found.count) == (150.0, 60.0, 3)
    assert [p.nodes for p in found.paths] == [
        ("a", "b", "d", "f"),
        ("a", "b", "e", "f"),
        ("a", "c", "e", "f"),
    ]
    assert [p.formula for p in found.paths] == ["c", "cg", "bg"]
    assert [p.values for p in found.paths] == [(10.0, 1.0, 1.0), (10.0, 1.0, 2.0), (15.0, 1.0, 2.0)]
    assert [p.product for p in found.paths] == [10.0, 20.0, 30.0]
    assert found.adjoints == {"a": 1.0, "b": 10.0, "c": 15.0, "d": 10.0, "e": 25.0, "f": 60.0}


def test_the_other_argument_of_the_worked_example():
    found = explain(a, (4, 2), wrt=1)
    assert (found.value, found.derivative, found.count) == (150.0, 100.0, 2)
    assert "5f + f² + 2f²g" in str(found)


def test_the_worked_example_as_text():
    assert str(explain(a, (4.0, 2.0))).splitlines() == [
        "at f = 4, g = 2",
        "  d = 3 + f = 7",
        "  e = fg = 8",
        "  b = d + e = 15",
        "  c = 2 + e = 10",
        "  a = bc = 150",
        "",
        "∂a/∂f along 3 paths",
        "  a ← b ← d ← f   c · 1 · 1 = 10 · 1 · 1 = 10",
        "  a ← b ← e ← f   c · 1 · g = 10 · 1 · 2 = 20",
        "  a ← c ← e ← f   b · 1 · g = 15 · 1 · 2 = 30",
        "  their sum       c + cg + bg = 10 + 20 + 30 = 60",
        "  substituted     2 + 5g + 2fg + 2fg²",
        "∂a/∂f = 60",
    ]


def test_the_worked_example_as_a_drawing():
    found = explain(a, (4.0, 2.0))
    tree = ElementTree.fromstring(found.to_svg())
    texts = [t.text for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"e = fg", "8", "∂a/∂e = 25", "∂e/∂f = g = 2", "sends back 25·2 = 50"} <= set(texts)
    assert texts.count("∂a/∂b = c = 10") == 1
    assert "their sum" in found.to_html()
    assert found._repr_html_().count("<svg") == 1


# How many paths ---------------------------------------------------------------------------------------------


def ladder(x):
    for _ in range(60):
        x = gl.sin(x) + gl.cos(x)
    return x


def test_a_ladder_of_sixty_steps_is_counted_exactly_and_shown_by_layers():
    start = time.process_time()
    found = explain(ladder, (0.3,))
    text, page = str(found), found.to_html()
    assert time.process_time() - start < 60  # listing 2^60 paths would take an age of the world
    assert found.count == 2**60
    assert not found.listed
    assert found.paths == []
    assert "1,152,921,504,606,846,976 paths, too many to list" in text
    assert "∂ladder/∂" in text
    assert page.count("<article>") == 1
    x, slope = 0.3, 1.0
    for _ in range(60):
        x, slope = np.sin(x) + np.cos(x), slope * (np.cos(x) - np.sin(x))
    assert found.derivative == pytest.approx(slope, rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3))
def test_counts_are_those_of_the_list(depth: int, width: int):
    def f(x):
        for _ in range(depth):
            x = sum((gl.sin(x * (i + 1.0)) for i in range(1, width)), start=gl.cos(x))
        return x

    found = explain(f, (0.4,), most=10_000)
    assert found.count == width**depth == len(found.paths)
    assert sum(p.product for p in found.paths) == pytest.approx(found.derivative, rel=1e-9, abs=1e-12)
    assert found.derivative == pytest.approx(gl.grad(f)(gl.tensor(0.4, "float64")).item(), rel=1e-9, abs=1e-12)


def test_numbers_keep_their_digits():
    assert explain(lambda x: x * 1.0, (0.1,)).value == 0.1


def test_an_operand_that_is_used_twice_is_two_paths():
    found = explain(lambda x: x * x, (3.0,))
    assert [p.product for p in found.paths] == [3.0, 3.0]
    assert found.derivative == 6.0


def test_a_variable_that_is_the_result_has_one_path_without_steps():
    found = explain(lambda x: x, (3.0,))
    assert (found.count, found.derivative) == (1, 1.0)
    assert str(found)
    assert found.to_svg()


@pytest.mark.parametrize("f", [lambda x, y: y * 2, lambda x, y: gl.stop_gradient(x) * y, lambda x, y: gl.floor(x) + y])
def test_no_path_no_derivative(f):
    found = explain(f, (3.0, 2.0))
    assert (found.count, found.derivative) == (0, 0.0)
    assert "no path leads" in str(found)
    ElementTree.fromstring(found.to_svg())


# Arrays, loops, branches ------------------------------------------------------------------------------------


def loss(w, x, y):
    z = x @ w
    p = gl.sigmoid(z)
    return -gl.mean(y * gl.log(p) + (1 - y) * gl.log(1 - p))


def test_paths_through_arrays_add_up_to_the_gradient():
    rng = np.random.default_rng(0)
    w, x, y = rng.normal(size=3), rng.normal(size=(5, 3)), np.array([0.0, 1, 1, 0, 1])
    found = explain(loss, (w, x, y), "w")
    p = 1 / (1 + np.exp(-(x @ w)))
    np.testing.assert_allclose(found.derivative, x.T @ (p - y) / 5, rtol=1e-12)
    assert found.count == 2
    np.testing.assert_allclose(sum(q.product for q in found.paths), found.derivative, rtol=1e-12)
    assert "z = xw" in str(found)
    assert "p = σ(z)" in str(found)


def test_local_derivatives_of_arrays_are_told_by_size_and_norm():
    x = np.arange(12.0).reshape(3, 4)
    found = explain(lambda w: gl.sum(gl.tensor(x) @ w), (np.ones(4),))
    step = found._network.users(found._network.variable)[0]
    np.testing.assert_array_equal(step.jacobian, x)
    assert f"3x4 matrix of norm {np.linalg.norm(x):.4g}" in found.to_svg()


def test_large_arrays_are_told_by_type_and_norm():
    text = str(explain(lambda w: gl.sum(w * 2.0), (np.ones((10, 10)),)))
    assert "w = float64[10,10] of norm 10" in text
    assert text.endswith("∂f/∂w = float64[10,10] of norm 20")


def test_a_loop_is_one_step():
    def f(x):
        total = gl.scan(lambda c, _: (c * x, None), gl.ones((), "float64"), None, length=3)[0]
        return total + x

    found = explain(f, (2.0,))
    assert found.count == 2
    assert found.derivative == pytest.approx(3 * 2**2 + 1)


def test_of_a_branch_the_side_that_is_taken_counts():
    def f(x):
        return gl.cond(x > 0, lambda x: x * x, lambda x: -x, x)

    assert explain(f, (3.0,)).derivative == pytest.approx(6.0)
    assert explain(f, (-3.0,)).derivative == pytest.approx(-1.0)


# Arguments and names ----------------------------------------------------------------------------------------


def test_nested_arguments_are_chosen_by_name():
    found = explain(lambda p, x: p["w"] * x + p["b"], ({"w": 2.0, "b": 1.0}, 3.0), "p.w")
    assert (found.variable, found.derivative) == ("p.w", 3.0)


def test_values_without_a_variable_are_numbered_and_no_name_is_used_twice():
    def f(v1, x):
        y = gl.sin(x)
        z = y
        return gl.exp(y) * z * v1 * gl.cos(x)

    text = str(explain(f, (2.0, 0.5), "x"))
    names = [line.split(" = ")[0].strip() for line in text.split("\n\n")[0].splitlines()[1:]]
    assert len(names) == len(set(names))
    assert "v1" not in names
    assert {"y", "f"} <= set(names)


def test_a_profiler_that_was_set_is_set_again():
    def profiler(*_):
        return None

    sys.setprofile(profiler)
    try:
        explain(a, (4.0, 2.0))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    ("f", "args", "wrt", "error"),
    [
        (lambda x: x * 2, (np.ones(3),), 0, ShapeError),
        (lambda x: (x, x), (1.0,), 0, ShapeError),
        (lambda x: x > 0, (1.0,), 0, ShapeError),
        (a, (1.0, 2.0), "h", UnknownNameError),
        (a, (1.0, 2.0), 2, OptionError),
        (lambda p: p["w"], ({"w": 1.0, "b": 2.0},), 0, OptionError),
    ],
)
def test_what_cannot_be_explained_is_refused(f, args, wrt, error):
    with pytest.raises(error, match="explain: "):
        explain(f, args, wrt)
