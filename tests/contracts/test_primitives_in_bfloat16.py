"""Every primitive on bfloat16: the native executor has the meaning, to one rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from cases import CASES, Case
from flat import legal, placeholders
from test_primitives import EXECUTORS, LESSER

from gradloom.autodiff.reverse import pullback
from gradloom.executors.base import Executor
from gradloom.ir.graph import Node, fill
from gradloom.ir.interpret import evaluate
from gradloom.ir.tensortype import is_float

USES = [case for case in CASES if "bfloat16" in case.dtypes and any(x.generic for x in case.operands)]
PARTS = 4
ROUNDING = 2**-7
"""The distance of neighbouring numbers, in relation to them."""


Results = Callable[[Case, list[Node]], list[Node]]


def gradients(case: Case, inputs: list[Node]) -> list[Node]:
    """Derivatives of the sum of a case's results."""
    outputs = [y for y in case.results(inputs) if y.tensor_type.is_float]
    ones = [fill(y.tensor_type, 1) for y in outputs]
    return pullback(outputs, [inputs[i] for i in case.wrt], ones)[1] if outputs else []


def test_the_table_is_of_many_primitives():
    assert len({case.name for case in USES}) > 60


def check(executor: Executor, cases: Sequence[Case], results: Results, roundings: int) -> None:
    """Hold the results of many cases, which are one program, to their meaning, so many roundings apart at most."""
    arrays, inputs, outputs, names = [], [], [], []
    for case in cases:
        own = case.arrays("bfloat16")
        nodes = placeholders(own)
        found = results(case, nodes)
        arrays, inputs, outputs = [*arrays, *own], [*inputs, *nodes], [*outputs, *found]
        names += [repr(case)] * len(found)
    graph = legal(inputs, outputs, "all")
    meant = evaluate(graph, arrays)
    for value, wanted, case in zip(executor.compile(graph)(arrays), meant, names, strict=True):
        assert value.dtype == wanted.dtype, case
        if is_float(value.dtype):
            both = (x.astype(np.float64) for x in (value, wanted))
            np.testing.assert_allclose(*both, rtol=roundings * ROUNDING, atol=1e-6, err_msg=case)
        else:
            np.testing.assert_array_equal(value, wanted, err_msg=case)


@pytest.mark.parametrize("part", range(PARTS))
def test_values_are_the_meaning_to_one_rounding(part: int):
    check(EXECUTORS["native"][0], USES[part::PARTS], Case.results, 1)


@pytest.mark.parametrize("name", LESSER)
def test_values_are_the_meaning_on_lesser_processors(name: str):
    check(EXECUTORS[name][0], USES[::PARTS], Case.results, 1)


def test_derivatives_are_those_of_the_reference():
    smooth = [case for case in USES if case.wrt and case.label == "0"]
    check(EXECUTORS["native"][0], smooth, gradients, 2)
