"""What holds for every regulariser.  A line in CASES brings a regulariser all of these tests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import tree
from gradloom.nn import regularizers
from gradloom.nn.regularizers import REGULARIZERS, Regularizer

RNG = np.random.default_rng(5)
PARAMETERS = {
    "layers.0": {"weight": RNG.normal(size=(4, 3)), "bias": RNG.normal(size=3)},
    "layers.1": {"weight": RNG.normal(size=(2, 2, 3, 2)), "scale": np.array(-1.5)},
    "layers.10": {"weight": RNG.normal(size=(3, 2))},
}

CASES: dict[str, Regularizer] = {
    "l1": regularizers.L1(0.1),
    "l1 proximal": regularizers.L1(0.2, proximal=True),
    "l1 per example, biases too": regularizers.L1(0.7, scale="per_example", proximal=True, bias=True),
    "l2": regularizers.L2(0.1),
    "l2 half": regularizers.L2(0.1, scale="half"),
    "l2 of the notes": regularizers.L2(0.7, scale="half_per_example"),
    "elastic": regularizers.Elastic(0.1, 0.2),
    "elastic proximal": regularizers.Elastic(0.3, 0.2, proximal=True, at="layers.1"),
    "max norm": regularizers.MaxNorm(0.9),
    "max norm of matrices": regularizers.MaxNorm(0.8, over="parameter", bias=True),
    "unit norm": regularizers.UnitNorm(),
    "l1 ball": regularizers.L1Ball(0.8),
    "l1 ball of matrices": regularizers.L1Ball(1.2, over="parameter", bias=True),
    "box": regularizers.Box(-0.5, 0.4),
    "box without a lid": regularizers.Box(low=-0.3, bias=True),
    "not negative": regularizers.NonNegative(at="layers.0.bias"),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Regularizer:
    return request.param


def parameters(dtype: str = "float64") -> Any:
    return tree.map(lambda p: gl.tensor(p, dtype), PARAMETERS)


def acted(regularizer: Regularizer, p: Any, hyper: Any = None) -> Any:
    return regularizer.penalty(p, 8, hyper), regularizer.moved(p, 0.5, 8, hyper)


def flat(tensors: Any) -> np.ndarray:
    return np.concatenate([leaf.numpy().ravel() for leaf in tree.leaves(tensors)])


def test_every_regularizer_has_a_case() -> None:
    assert {type(case) for case in CASES.values()} == set(REGULARIZERS)


def test_description_round_trip(case: Regularizer) -> None:
    text = json.dumps(regularizers.describe(case))
    assert regularizers.build(json.loads(text)) == case


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_types_and_nesting_stay(case: Regularizer, dtype: str) -> None:
    before = parameters(dtype)
    value, after = acted(case, before)
    assert value.shape == ()
    assert tree.flatten(after)[1] == tree.flatten(before)[1]
    assert [leaf.type for leaf in tree.leaves(after)] == [leaf.type for leaf in tree.leaves(before)]


def test_only_what_is_chosen_is_touched(case: Regularizer) -> None:
    """By the gradient of the penalty or the move; vectors only with bias=True, or where named."""
    before = parameters()
    slope = gl.grad(lambda p: acted(case, p)[0])(before)
    moved = case.moved(before, 0.5, 8)
    touched = {
        ".".join(path)
        for path, *leaves in zip(tree.paths(tree.flatten(before)[1]), *map(tree.leaves, (before, slope, moved)))
        if leaves[1].numpy().any() or (leaves[0].numpy() != leaves[2].numpy()).any()
    }
    matrices = {"layers.0.weight", "layers.1.weight", "layers.10.weight"}
    wanted = matrices | {"layers.0.bias", "layers.1.scale"} if case.bias else matrices
    if case.at:
        wanted = {"layers.0.bias"} if case.at == "layers.0.bias" else {"layers.1.weight"}
    assert touched == wanted


def test_gradient_of_the_penalty_is_that_of_finite_differences(case: Regularizer) -> None:
    before = parameters()
    direction = tree.map(lambda p: gl.tensor(np.random.default_rng(p.size).normal(size=p.shape)), before)
    step = 1e-6
    ends = [case.penalty(tree.map(lambda p, d, s=s: p + s * d, before, direction), 8).item() for s in (step, -step)]
    slope = gl.grad(lambda p: case.penalty(p, 8))(before)
    found = sum((g * d).sum().item() for g, d in zip(tree.leaves(slope), tree.leaves(direction)))
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)


def test_native_is_the_reference_and_other_numbers_compile_nothing(case: Regularizer) -> None:
    hyper = {name: gl.tensor(value, "float64") for name, value in case.hyperparameters().items()}
    compiled = gl.jit(lambda p, h: acted(case, p, h))
    found, expected = compiled(parameters(), hyper), acted(case, parameters())
    for a, b in zip(tree.leaves(found), tree.leaves(expected)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13, atol=1e-14)
    other = {name: 0.5 * value for name, value in hyper.items()}
    again = compiled(parameters(), other)
    assert len(compiled.programs) == 1
    if hyper:
        changed = replace(case, **{name: value.item() for name, value in other.items()})
        for a, b in zip(tree.leaves(again), tree.leaves(acted(changed, parameters()))):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13, atol=1e-14)
        assert (flat(again) != flat(found)).any()


@pytest.mark.parametrize("case", [r for r in CASES.values() if isinstance(r, regularizers.Constraint)], ids=repr)
def test_a_constraint_is_an_idempotent_projection_onto_the_nearest_point(case: Regularizer) -> None:
    """For a convex set, (w - Pw)·(z - Pw) ≤ 0 for every z in the set; the sphere is not convex."""
    projected = case.moved(parameters())
    np.testing.assert_allclose(flat(case.moved(projected)), flat(projected), rtol=1e-12, atol=1e-15)
    if isinstance(case, regularizers.UnitNorm):
        return
    w, p = flat(parameters()), flat(projected)
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 10.0):
        z = flat(case.moved(tree.map(lambda x, s=size: gl.tensor(s * rng.normal(size=x.shape)), parameters())))
        inside = np.concatenate(
            [np.full(leaf.size, is_in) for leaf, is_in in zip(tree.leaves(parameters()), case.chosen(parameters()))]
        )
        assert ((w - p) * (z - p))[inside].sum() <= 1e-12


@pytest.mark.parametrize("case", [r for r in CASES.values() if r.config().get("proximal")], ids=repr)
def test_a_proximal_step_lessens_what_defines_it(case: Regularizer) -> None:
    """(u - w)²/(2s) + λR(u) is least at the u that was found: no point near it has less."""
    before, size = parameters(), 0.5
    found = case.moved(before, size, 8)

    def cost(u: Any) -> float:
        return ((flat(u) - flat(before)) ** 2).sum() / (2 * size) + case.penalty(u, 8).item()

    assert (flat(found) == 0).any()
    rng = np.random.default_rng(0)
    for width in (1e-3, 1e-1, 1.0):
        for _ in range(5):
            near = tree.map(lambda u, w=width: u + gl.tensor(w * rng.normal(size=u.shape)), found)
            assert cost(near) >= cost(found)
