"""Graphs: order, substitution, verification, text, drawings, and the memory of the interpreter."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import OutOfMemoryError
from gradloom.ir.graph import Graph, Node, Op, constant, inline, placeholder, scope, substitute, topological
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import TensorType, as_dtype
from gradloom.ir.verify import IllegalGraphError, verify
from gradloom.ops.core import add, reduce_sum
from gradloom.ops.elementwise import exp, mul, neg

VECTOR = TensorType((3,), np.dtype("float64"))


@pytest.fixture
def x() -> Node:
    return placeholder(VECTOR, "x")


def affine(w, x):
    return gl.sum(w * x + 1.5)


# Nodes ----------------------------------------------------------------------------------------------------------


def test_types_print_shortly():
    assert str(VECTOR) == "float64[3]"
    assert str(TensorType((), as_dtype(bool))) == "bool[]"
    assert as_dtype(float) == "float32"
    assert as_dtype(int) == "int64"


def test_operations_on_constants_are_folded():
    node = add(constant(np.ones(3)), constant(np.ones(3)))
    assert node.op.name == "constant"
    assert node.value.tolist() == [2, 2, 2]


def test_a_filled_constant_takes_no_memory():
    assert gl.zeros((1000, 1000)).numpy().strides == (0, 0)


def test_order_is_operands_before_users_and_each_once(x):
    y = exp(x)
    z = add(mul(y, y), y)
    assert topological([z, y]) == [x, y, z.inputs[0], z]


def test_a_million_nodes_need_no_deep_stack(x):
    y = x
    for _ in range(3 * sys.getrecursionlimit()):
        y = neg(y)
    assert len(topological([y])) == 3 * sys.getrecursionlimit() + 1
    assert evaluate(Graph((x,), (y,)), [np.ones(3)])[0].tolist() == [1, 1, 1]


def test_a_primitive_is_declared_once():
    with pytest.raises(AssertionError, match="the primitive add is declared twice"):
        Op("add", lambda t: t, np.add)


# Substitution ---------------------------------------------------------------------------------------------------


def test_substitution_rebuilds_only_what_changes(x):
    y, other = placeholder(VECTOR, "y"), placeholder(VECTOR, "other")
    kept, changed = exp(y), exp(x)
    (found,) = substitute([add(kept, changed)], {x: other})
    assert found.inputs[0] is kept
    assert found.inputs[1].inputs == (other,)


def test_substituting_constants_evaluates(x):
    (found,) = substitute([reduce_sum(exp(x), axes=(0,))], {x: constant(np.zeros(3))})
    assert found.value == 3


def test_inlining_applies_a_graph(x):
    graph = Graph((x,), (exp(x), neg(x)))
    y = placeholder(VECTOR)
    first, second = inline(graph, [y])
    assert first.inputs == second.inputs == (y,)


def test_substitution_keeps_the_layer(x):
    with scope("model"), scope("dense"):
        y = exp(x)
    (found,) = substitute([y], {x: placeholder(VECTOR)})
    assert found.scope == "model/dense"


# Verification ---------------------------------------------------------------------------------------------------


def test_verification_of_a_legal_graph(x):
    verify(Graph((x,), (exp(x), constant(1.0))))


def test_verification_names_the_node_and_its_operands(x):
    with scope("model/dense"):
        wrong = Node(add, (x, x), {}, TensorType((4,), VECTOR.dtype))
    with pytest.raises(IllegalGraphError) as caught:
        verify(Graph((x,), (neg(wrong),), "step"))
    assert str(caught.value) == (
        "step: the type rule gives float64[3], the node says float64[4]\n"
        "  node: <add float64[4]> {} in model/dense\n"
        "  operand 0: <placeholder float64[3]>\n"
        "  operand 1: <placeholder float64[3]>"
    )


def test_verification_finds_other_mistakes(x):
    stranger = placeholder(VECTOR, "stranger")
    with pytest.raises(IllegalGraphError, match="a placeholder that is not among the inputs"):
        verify(Graph((x,), (add(x, stranger),)))
    with pytest.raises(IllegalGraphError, match="must be distinct placeholders"):
        verify(Graph((x, x), (x,)))
    with pytest.raises(IllegalGraphError, match="must be distinct placeholders"):
        verify(Graph((exp(x),), (x,)))
    lying = Node(constant(1.0).op, (), {}, VECTOR, np.ones(2))
    with pytest.raises(IllegalGraphError, match=r"the constant's array is float64\[2\], its type float64\[3\]"):
        verify(Graph((x,), (add(x, lying),)))


def test_verification_finds_circles(x):
    first = neg(x)
    second = exp(first)
    verify(Graph((x,), (second,)))
    first.inputs = (second,)
    with pytest.raises(
        IllegalGraphError, match=r"data flows one way, but <neg .*> uses <exp .*>, which was made after"
    ):
        verify(Graph((x,), (second,)))


def test_verification_looks_inside_loops(x):
    graph = gl.trace(lambda v: gl.scan(lambda c, e: (c + e, None), np.array(0.0), v)[0], np.ones(3))
    graph.verify()
    (loop,) = [n for n in graph.nodes if n.op.name == "scan"]
    body = loop.attrs["body"]
    loop.attrs["body"] = Graph(body.inputs, (add(body.outputs[0], placeholder(body.output_types[0])),), "broken")
    with pytest.raises(IllegalGraphError, match="broken: a placeholder that is not among the inputs"):
        graph.verify()


# Text and drawings ------------------------------------------------------------------------------------------------


def test_text():
    text = str(gl.trace(affine, np.ones(3), np.ones(3)))
    assert text.splitlines() == [
        "affine(w: float64[3], x: float64[3])",
        "  %2: float64[3] = mul w x",
        "  %3: float64[3] = add %2 1.5",
        "  %4: float64[] = reduce_sum %3 axes=(0,)",
        "  return %4",
    ]


def test_text_of_loops_and_constants():
    def f(x):
        return gl.scan(lambda c, e: (gl.where(gl.tensor([True, False]), c, e), None), np.zeros(2), x)[0]

    text = str(gl.trace(f, np.ones((4, 2))))
    assert "scan <2 values> x body=<lambda>" in text
    assert "\n    <lambda>(carry: float64[2], x: float64[2])\n" in text
    assert "select <2 values> carry x" in text
    assert "True" in str(gl.trace(lambda m: gl.logical_and(m, True), np.ones(2, bool)))


def test_drawing():
    drawing = gl.trace(affine, np.ones(3), np.ones(3)).to_dot()
    assert drawing.startswith('digraph "affine" {')
    assert drawing.endswith("}")
    assert '[label="mul\\nfloat64[3]"' in drawing
    assert drawing.count(" -> ") == 5  # two operands each of mul and add, one of the sum


# The interpreter ----------------------------------------------------------------------------------------------------


class Counted(np.ndarray):
    """An array that knows how many of its kind are alive."""

    alive = peak = 0

    def __array_finalize__(self, parent) -> None:
        Counted.alive += 1
        Counted.peak = max(Counted.peak, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


def test_the_interpreter_drops_values_after_their_last_use(x):
    y = x
    for _ in range(50):
        y = exp(neg(y))
    graph = Graph((x,), (y,))
    given = np.ones(3).view(Counted)
    Counted.peak = Counted.alive
    evaluate(graph, [given])
    assert Counted.peak - Counted.alive < 6


def test_outputs_may_be_inputs_constants_and_repeated(x):
    y = exp(x)
    found = evaluate(Graph((x,), (y, x, constant(2.0), y)), [np.zeros(3)])
    assert [v.tolist() for v in found] == [[1, 1, 1], [0, 0, 0], 2, [1, 1, 1]]


def test_a_graph_with_outside_values_is_refused(x):
    with pytest.raises(AssertionError, match="depends on values outside it"):
        evaluate(Graph((), (exp(x),), "open"), [])


def test_a_value_that_cannot_fit_is_refused_before_it_is_computed():
    many = gl.zeros((2**44,), "float32")  # which is a view of one number
    with pytest.raises(OutOfMemoryError, match=r"add: a value must fit .* float32\[17592186044416\] of 65,536\.0 GiB"):
        _ = many + 1
    assert gl.reshape(many, (2**22, 2**22)).shape == (2**22, 2**22)
