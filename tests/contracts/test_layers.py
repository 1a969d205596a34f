"""What holds for every layer.  A line in CASES brings a layer all of these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, tree
from gradloom.nn.module import Tensors

RNG = np.random.default_rng(7)
ROWS = RNG.standard_normal((6, 4)).astype(np.float32)
IMAGES = RNG.standard_normal((3, 2, 2, 4)).astype(np.float32)
WORDS = RNG.integers(0, 5, (3, 2))


@dataclass(frozen=True)
class Case:
    """A layer, an input for it, the shape of its output, and whether it draws random numbers while training."""

    make: Callable[[], nn.Module]
    x: np.ndarray
    shape: tuple[int, ...]
    random: bool = False


CASES = {
    "dense": Case(lambda: nn.Dense(3), ROWS, (6, 3)),
    "dense relu": Case(lambda: nn.Dense(3, activation="relu", init="he_normal"), ROWS, (6, 3)),
    "dense no bias": Case(lambda: nn.Dense(3, bias=False), ROWS, (6, 3)),
    "dense on images": Case(lambda: nn.Dense(5, activation=nn.Tanh()), IMAGES, (3, 2, 2, 5)),
    "dense one unit": Case(lambda: nn.Dense(1, bias_init=nn.init.constant(0.5)), ROWS, (6, 1)),
    "flatten": Case(nn.Flatten, IMAGES, (3, 16)),
    "flatten rows": Case(nn.Flatten, ROWS, (6, 4)),
    "dropout": Case(lambda: nn.Dropout(0.3), ROWS, (6, 4), random=True),
    "dropout scaled": Case(lambda: nn.Dropout(0.3, mode="weight_scaled"), ROWS, (6, 4), random=True),
    "dropout none": Case(lambda: nn.Dropout(0.0), ROWS, (6, 4)),
    "batch norm": Case(nn.BatchNorm, ROWS, (6, 4)),
    "batch norm plain": Case(lambda: nn.BatchNorm(affine=False, momentum=0.3, eps=1e-3), ROWS, (6, 4)),
    "batch norm images": Case(nn.BatchNorm, IMAGES, (3, 2, 2, 4)),
    "embedding": Case(lambda: nn.Embedding(5, 3), WORDS, (3, 2, 3)),
    "identity": Case(nn.Identity, ROWS, (6, 4)),
    "relu": Case(nn.ReLU, ROWS, (6, 4)),
    "relu slope 1 at 0": Case(lambda: nn.ReLU(derivative_at_zero=1), ROWS, (6, 4)),
    "leaky relu": Case(lambda: nn.LeakyReLU(0.1), ROWS, (6, 4)),
    "elu": Case(lambda: nn.ELU(0.7), ROWS, (6, 4)),
    "gelu": Case(nn.GELU, ROWS, (6, 4)),
    "silu": Case(nn.SiLU, ROWS, (6, 4)),
    "sigmoid": Case(nn.Sigmoid, ROWS, (6, 4)),
    "tanh": Case(nn.Tanh, ROWS, (6, 4)),
    "softplus": Case(nn.Softplus, ROWS, (6, 4)),
    "softmax": Case(nn.Softmax, ROWS, (6, 4)),
    "softmax groups": Case(lambda: nn.Softmax(groups=(1, 3)), ROWS, (6, 4)),
    "step": Case(nn.Step, ROWS, (6, 4)),
    "sign": Case(nn.Sign, ROWS, (6, 4)),
    "activation": Case(lambda: nn.Activation("tanh"), ROWS, (6, 4)),
    "sequential": Case(
        lambda: nn.Sequential(nn.Dense(5), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5), nn.Dense(2)),
        *(ROWS, (6, 2), True),
    ),
    "sequential nested": Case(
        lambda: nn.Sequential(nn.Sequential(nn.Flatten(), nn.Dense(3)), nn.Sequential(), nn.Sigmoid()), IMAGES, (3, 3)
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def built(case: Case) -> nn.Module:
    module = case.make()
    module.initialize(case.x, seed=3)
    return module


def wide(tensors: Tensors) -> Tensors:
    return tree.map(lambda t: t.astype("float64"), tensors)


def test_every_layer_of_the_registry_has_a_case() -> None:
    def kinds(module: nn.Module) -> set[type]:
        return {type(module)}.union(*(kinds(child) for _, child in module.children()))

    covered = set().union(*(kinds(case.make()) for case in CASES.values()))
    assert covered >= set(nn.registry.LAYERS)


def test_first_call_builds(case: Case) -> None:
    module = case.make()
    y = module(case.x)
    assert y.shape == case.shape
    assert y.dtype == np.float32
    again = case.make()
    again.initialize(case.x)
    assert gl.trace(again, case.x).output_types[0].shape == case.shape
    assert tree.flatten(again.parameters())[1] == tree.flatten(module.parameters())[1]


def test_description_round_trip(case: Case) -> None:
    module = built(case)
    text = json.dumps(nn.registry.describe(module))
    twin = nn.registry.build(json.loads(text))
    assert json.dumps(nn.registry.describe(twin)) == text
    twin.initialize(case.x, blank=True)
    twin.load(module.parameters(), module.state())
    np.testing.assert_array_equal(twin(case.x).numpy(), module(case.x).numpy())


@pytest.mark.parametrize("training", [False, True])
def test_gradient_is_that_of_finite_differences(case: Case, training: bool) -> None:
    module, rng = built(case), np.random.default_rng(1)
    is_float = case.x.dtype.kind == "f"
    point = {"parameters": wide(module.parameters()), "x": gl.tensor(case.x, "float64") if is_float else None}
    weights = rng.standard_normal(case.shape)

    def f(at: Tensors) -> gl.Tensor:
        x = at["x"] if is_float else case.x
        y, _ = nn.apply(module, at["parameters"], wide(module.state()), x, training=training, key=gl.random.key(5))
        return gl.sum(y * weights)

    direction = tree.map(lambda t: gl.tensor(rng.standard_normal(t.shape)), point)
    step = 1e-6
    ends = [f(tree.map(lambda t, d, s=s: t + s * d, point, direction)).item() for s in (step, -step)]
    measured = (ends[0] - ends[1]) / (2 * step)
    gradient = gl.grad(f)(point)
    found = sum((g * d).sum().item() for g, d in zip(tree.leaves(gradient), tree.leaves(direction)))
    assert found == pytest.approx(measured, rel=1e-6, abs=1e-8)


def test_a_key_determines_a_training_call(case: Case) -> None:
    module = built(case)

    def run(seed: int, training: bool) -> np.ndarray:
        key = gl.random.key(seed)
        return nn.apply(module, module.parameters(), module.state(), case.x, training=training, key=key)[0].numpy()

    np.testing.assert_array_equal(run(1, True), run(1, True))
    assert np.array_equal(run(1, True), run(2, True)) == (not case.random)
    np.testing.assert_array_equal(run(1, False), run(2, False))
    np.testing.assert_array_equal(run(1, False), module(case.x).numpy())


def test_jit(case: Case) -> None:
    module = built(case)
    compiled = gl.jit(lambda m, x: m(x))
    np.testing.assert_allclose(compiled(module, case.x).numpy(), module(case.x).numpy(), rtol=1e-6, atol=1e-7)

    def train(p: Tensors, s: Tensors, x: gl.Tensor, key: gl.Tensor) -> tuple[gl.Tensor, Tensors]:
        return nn.apply(module, p, s, x, training=True, key=key)

    args = (module.parameters(), module.state(), case.x, gl.random.key(4))
    (y, state), (expected, expected_state) = gl.jit(train)(*args), train(*args)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    for a, b in zip(tree.leaves(state), tree.leaves(expected_state)):
        assert a.type == b.type
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_vmap(case: Case) -> None:
    module = built(case)
    batches = np.stack([case.x, case.x[::-1]])
    expected = np.stack([module(batch).numpy() for batch in batches])
    np.testing.assert_allclose(gl.vmap(module)(batches).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_module_is_a_tree(case: Case) -> None:
    module = built(case)

    def loss_of(m: nn.Module) -> gl.Tensor:
        return gl.sum(gl.sin(m(case.x)))

    def loss_at(parameters: Tensors) -> gl.Tensor:
        return gl.sum(gl.sin(nn.apply(module, parameters, module.state(), case.x)[0]))

    gradient = gl.grad(loss_of)(module).parameters()
    expected = gl.grad(loss_at)(module.parameters())
    assert tree.flatten(gradient)[1] == tree.flatten(expected)[1]
    for a, b in zip(tree.leaves(gradient), tree.leaves(expected)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
