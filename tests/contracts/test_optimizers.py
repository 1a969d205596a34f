"""What holds for every optimiser.  A line in CASES brings an optimiser all of these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim, tree
from gradloom.optim import FirstOrder, Optimizer, registry, schedules

Tensors = Any


@dataclass(frozen=True)
class Case:
    """An optimiser, and whether it leaves parameters where they are when all gradients are zero."""

    optimizer: FirstOrder
    rests: bool = True


CASES = {
    "sgd": Case(optim.SGD(0.1)),
    "momentum": Case(optim.SGD(0.05, 0.9)),
    "momentum inside": Case(optim.SGD(0.05, 0.9, momentum_form="inside")),
    "momentum ewma": Case(optim.SGD(0.1, 0.9, momentum_form="ewma")),
    "momentum ewma from gradient": Case(optim.SGD(0.1, 0.9, momentum_form="ewma", start="gradient")),
    "nesterov": Case(optim.SGD(0.05, 0.9, nesterov=True)),
    "nesterov inside": Case(optim.SGD(0.05, 0.9, nesterov=True, momentum_form="inside")),
    "nesterov ewma": Case(optim.SGD(0.1, 0.9, nesterov=True, momentum_form="ewma", start="gradient")),
    "nesterov reparametrised": Case(optim.SGD(0.05, 0.9, nesterov="reparametrised")),
    "sgd decayed": Case(optim.SGD(0.1, weight_decay=0.1), rests=False),
    "sgd matrices decayed": Case(optim.SGD(0.1, 0.5, nesterov=True, weight_decay=0.1, decay_bias=False), rests=False),
    "sgd clipped": Case(optim.SGD(0.1, 0.5, clip_norm=0.7, clip_value=0.6)),
    "adagrad": Case(optim.AdaGrad(0.3)),
    "adagrad outside": Case(optim.AdaGrad(0.3, eps_mode="outside")),
    "adagrad without eps": Case(optim.AdaGrad(0.3, eps_mode="none")),
    "adagrad from above": Case(optim.AdaGrad(0.3, initial=0.1)),
    "adagrad decaying": Case(optim.AdaGrad(0.1, 0.9)),
    "adadelta": Case(optim.AdaDelta(eps=1e-4)),
    "adadelta two decays": Case(optim.AdaDelta(eps=1e-4, rho_updates=0.8)),
    "rmsprop": Case(optim.RMSProp(0.03)),
    "rmsprop outside": Case(optim.RMSProp(0.03, eps_mode="outside")),
    "rmsprop without eps": Case(optim.RMSProp(0.03, eps_mode="none")),
    "rmsprop momentum": Case(optim.RMSProp(0.01, momentum=0.8)),
    "adam": Case(optim.Adam(0.05)),
    "adam inside": Case(optim.Adam(0.05, eps_mode="inside")),
    "adam uncorrected": Case(optim.Adam(0.01, bias_correction=False)),
    "adam recursive": Case(optim.Adam(0.3, bias_correction="recursive")),
    "adam eps uncorrected": Case(optim.Adam(0.05, eps_mode="uncorrected")),
    "adam smoothed squares": Case(optim.Adam(0.05, squares="smoothed")),
    "adam l2": Case(optim.Adam(0.05, weight_decay=0.1), rests=False),
    "adamw": Case(optim.AdamW(0.05, clip_norm=0.7), rests=False),
    "step": Case(optim.SGD(schedules.StepDecay(0.1, 0.5, 3))),
    "exponential": Case(optim.SGD(schedules.Exponential(0.1, 0.9, 3), 0.5)),
    "inverse time": Case(optim.Adam(schedules.InverseTime(0.1, 0.02))),
    "linear": Case(optim.SGD(schedules.Linear(0.1, 0.05, 8), 0.5, momentum_form="inside")),
    "cosine": Case(optim.SGD(schedules.Cosine(0.1, 7, 0.03, restarts=True), 0.5, nesterov=True)),
    "warm-up": Case(optim.AdamW(schedules.WarmUp(schedules.Cosine(0.1, 50, 0.01), 7)), rests=False),
    "polynomial": Case(optim.SGD(schedules.Polynomial(0.1, 60, 1.5, 0.02))),
    "inverse square root": Case(optim.SGD(schedules.InverseSquareRoot(0.1, 4), 0.5)),
    "cyclical": Case(optim.SGD(schedules.Cyclical(0.02, 0.1, 6, 0.7))),
    "one cycle": Case(optim.SGD(schedules.OneCycle(0.1, 33, 0.01, 0.002, 0.31))),
    "noisy": Case(
        optim.Composed(optim.chain(optim.AddNoise(0.05, seed=3), optim.ScaleByLearningRate(0.1))), rests=False
    ),
    "piecewise": Case(optim.RMSProp(schedules.Piecewise((2, 9), (0.05, 0.03, 0.01)))),
    "some faster": Case(
        optim.Composed(optim.chain(optim.ScaleByName("b", 3.0), optim.ScaleByLearningRate(0.05))),
    ),
    "composed": Case(
        optim.Composed(
            optim.chain(
                optim.ClipByNorm(2.0),
                optim.ScaleByAdam(),
                optim.Prefixed("late", optim.ClipByNorm(0.9)),
                optim.ScaleByLearningRate(0.05),
            )
        )
    ),
}


SECOND_ORDER = {
    "lbfgs": optim.LBFGS(),
    "lbfgs backtracking": optim.LBFGS(history=2, line_search="backtracking", wolfe=0.5),
    "newton": optim.Newton(),
    "newton damped": optim.Newton("full", damping=1.0),
    "newton cg": optim.Newton("cg", radius=0.3),
}
"""Those that take the loss itself; a gradient alone does not move them."""

OPTIMIZERS = {name: case.optimizer for name, case in CASES.items()} | SECOND_ORDER


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    return request.param


CURVATURE = {"body": {"w": np.array([[0.5, 1.0, 0.0], [0.3, 0.8, 1.2]]), "b": np.array([1.0, 0.2, 0.7])}, "scale": 0.9}
"""Of a quadratic; the element of curvature 0 is a parameter that never has a gradient."""


def start(dtype: str) -> Tensors:
    rng = np.random.default_rng(3)
    return tree.map(lambda c: gl.tensor(rng.uniform(0.5, 1.5, np.shape(c)), dtype), CURVATURE)


def loss(parameters: Tensors) -> gl.Tensor:
    parts = tree.map(lambda p, c: gl.sum(p * p * gl.tensor(c, p.dtype)), parameters, CURVATURE)
    return sum(tree.leaves(parts), gl.tensor(0.0, tree.leaves(parameters)[0].dtype))


def step_of(optimizer: Optimizer) -> Callable[..., Any]:
    def step(parameters: Tensors, state: Tensors, hyper: Tensors) -> tuple[Tensors, Tensors]:
        return optimizer.step(lambda p: (loss(p), None), parameters, state, hyper)[:2]

    return step


def hyper_of(optimizer: Optimizer, dtype: str) -> dict[str, gl.Tensor]:
    return {name: gl.tensor(value, dtype) for name, value in optimizer.hyperparameters().items()}


def types(tensors: Tensors) -> list[Any]:
    return [leaf.type for leaf in tree.leaves(tensors)]


def assert_same(found: Tensors, expected: Tensors) -> None:
    assert tree.flatten(found)[1] == tree.flatten(expected)[1]
    for a, b in zip(tree.leaves(found), tree.leaves(expected)):
        assert a.type == b.type
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_every_optimizer_piece_and_schedule_has_a_case() -> None:
    def kinds(value: Any) -> set[type]:
        if isinstance(value, FirstOrder):
            return {type(value)}.union(*(kinds(option) for option in value.config().values()), kinds(value.chain))
        if isinstance(value, tuple):
            return set().union(*map(kinds, value))
        is_part = isinstance(value, (optim.Piece, optim.Schedule, optim.SecondOrder))
        return {type(value)}.union(*map(kinds, value.config().values())) if is_part else set()

    covered = set().union(*map(kinds, OPTIMIZERS.values()))
    known = {*registry.OPTIMIZERS, *registry.PIECES, *registry.SCHEDULES}
    assert covered >= known - {schedules.Constant}  # a number in place of a schedule


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_descends_a_quadratic_with_types_unchanged(optimizer: Optimizer, dtype: str) -> None:
    parameters = start(dtype)
    state = optimizer.init(parameters)
    before, state_types = types(parameters), types(state)
    step, first = step_of(optimizer), loss(parameters).item()
    for _ in range(40):
        parameters, state = step(parameters, state, optimizer.hyperparameters())
        assert types(parameters) == before
        assert types(state) == state_types
    assert loss(parameters).item() < 0.8 * first


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jit_is_eager_to_the_bit_and_compiles_once(optimizer: Optimizer, dtype: str) -> None:
    step = step_of(optimizer)
    compiled = gl.jit(step, executor="reference")  # eager values are the reference executor's too
    hyper = hyper_of(optimizer, dtype)
    slow = fast = (start(dtype), optimizer.init(start(dtype)))
    for _ in range(4):
        slow, fast = step(*slow, hyper), compiled(*fast, hyper)
        assert_same(fast, slow)
    other = {name: 0.9 * value for name, value in hyper.items()}
    changed = compiled(*slow, other)
    assert_same(changed, step(*slow, other))
    assert len(compiled.programs) == 1
    if isinstance(optimizer, FirstOrder):  # searches may well end at the same place
        pairs = zip(tree.leaves(changed), tree.leaves(step(*slow, hyper)))
        assert any((a.numpy() != b.numpy()).any() for a, b in pairs)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
def test_native_step_is_the_reference_step(optimizer: Optimizer, dtype: str, rtol: float) -> None:
    step, hyper = step_of(optimizer), hyper_of(optimizer, dtype)
    compiled = gl.jit(step, executor="native")
    before = step(start(dtype), optimizer.init(start(dtype)), hyper)
    found, expected = compiled(*before, hyper), step(*before, hyper)
    assert tree.flatten(found)[1] == tree.flatten(expected)[1]
    assert types(found) == types(expected)
    for a, b in zip(tree.leaves(found), tree.leaves(expected)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol)
    compiled(*before, {name: 0.9 * value for name, value in hyper.items()})
    assert len(compiled.programs) == 1


def test_population_is_a_loop_over_its_members(case: Case) -> None:
    step, hyper = step_of(case.optimizer), hyper_of(case.optimizer, "float64")
    factors = np.array([0.5, 0.8, 1.0])

    def train(factor: Any) -> Tensors:
        own = {name: value * factor if name.startswith("lr") else value for name, value in hyper.items()}
        carry = (start("float64"), case.optimizer.init(start("float64")))
        for _ in range(3):
            carry = step(*carry, own)
        return carry[0]

    population = gl.vmap(train)(gl.tensor(factors, "float64"))
    for k, factor in enumerate(factors):
        member = tree.map(lambda leaf, k=k: leaf[k], population)
        for a, b in zip(tree.leaves(member), tree.leaves(train(factor))):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13)
    assert any((leaf.numpy()[0] != leaf.numpy()[2]).any() for leaf in tree.leaves(population))


def test_scan_is_a_loop(optimizer: Optimizer) -> None:
    step, hyper = step_of(optimizer), hyper_of(optimizer, "float32")
    carry = (start("float32"), optimizer.init(start("float32")))
    found, losses = gl.scan(lambda c, _: (step(*c, hyper), loss(c[0])), carry, length=5)
    for k in range(5):
        assert losses.numpy()[k] == loss(carry[0]).item()
        carry = step(*carry, hyper)
    assert_same(found, carry)


def test_gradient_by_hyperparameters_is_that_of_finite_differences(case: Case) -> None:
    step = step_of(case.optimizer)
    parameters = start("float64")
    hyper = hyper_of(case.optimizer, "float64")
    if "eps" in hyper:
        hyper["eps"] = gl.tensor(1e-3, "float64")  # differences over less than its usual 1e-8 are lost in rounding

    def final(numbers: Tensors) -> gl.Tensor:
        carry = (parameters, case.optimizer.init(parameters))
        for _ in range(5):
            carry = step(*carry, numbers)
        return loss(carry[0])

    gradient = gl.grad(final)(hyper)
    for name, value in hyper.items():
        if name.rsplit(".")[-1] in ("steps", "every") or ".boundaries" in name:
            continue  # whole numbers, at which a schedule may have a kink
        change = 1e-5 * (value.item() or 1.0)
        near, far = (
            final({**hyper, name: value + k * change}).item() - final({**hyper, name: value - k * change}).item()
            for k in (1, 2)
        )
        measured = (8 * near - far) / (12 * change)  # of fourth order: √(1 - β₂) is very curved at 0.999
        assert gradient[name].item() == pytest.approx(measured, rel=1e-5, abs=1e-7), name
    assert any(gradient[name].item() != 0 for name in hyper if name.startswith("lr"))


def test_rests_without_gradients(case: Case) -> None:
    parameters = start("float64")
    zeros = tree.map(gl.zeros_like, parameters)
    found, _ = case.optimizer.update(zeros, case.optimizer.init(parameters), parameters)
    is_same = [(a.numpy() == b.numpy()).all() for a, b in zip(tree.leaves(found), tree.leaves(parameters))]
    assert all(is_same) == case.rests


def test_description_round_trip(optimizer: Optimizer) -> None:
    text = json.dumps(optim.describe(optimizer))
    twin = optim.build(json.loads(text))
    assert twin == optimizer
    assert json.dumps(optim.describe(twin)) == text
    assert twin.hyperparameters() == optimizer.hyperparameters()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"a": {}, "b": {"c": gl.ones((2,))}},
        {"a": gl.ones((0, 3))},
        gl.ones(()),
        [gl.ones((2,)), (gl.ones((1, 2)),)],
    ],
    ids=["nothing", "an empty layer", "no elements", "one scalar", "lists and tuples"],
)
def test_any_tree_of_parameters(optimizer: Optimizer, parameters: Tensors) -> None:
    state = optimizer.init(parameters)
    found, new_state, _ = optimizer.step(lambda p: (total(p), None), parameters, state)
    assert tree.flatten(found)[1] == tree.flatten(parameters)[1]
    assert types(found) == types(parameters)
    assert types(new_state) == types(state)
    names = [path[-1] for path in tree.paths(tree.flatten(new_state)[1])]
    steps = [leaf.item() for name, leaf in zip(names, tree.leaves(new_state)) if name == "step"]
    assert steps
    assert set(steps) == {1}


def test_types_may_be_mixed(optimizer: Optimizer) -> None:
    parameters = {"a": gl.ones((2, 2), "float64"), "b": gl.ones((2,), "float32")}
    state = optimizer.init(parameters)
    found, new_state, _ = optimizer.step(lambda p: (total(p), None), parameters, state)
    assert types(found) == types(parameters)
    assert types(new_state) == types(state)


def test_gradients_may_have_other_types(case: Case) -> None:
    parameters = {"a": gl.ones((2, 2), "float64"), "b": gl.ones((2,), "float32")}
    gradients = {"a": gl.ones((2, 2), "float32"), "b": gl.ones((2,), "float64")}
    found, _ = case.optimizer.update(gradients, case.optimizer.init(parameters), parameters)
    assert types(found) == types(parameters)


def total(parameters: Tensors) -> gl.Tensor:
    """Σ θ + θ², whatever the tree."""
    return sum((gl.sum(leaf + leaf * leaf) for leaf in tree.leaves(parameters)), gl.zeros(()))
