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
PICTURES = (RNG.permutation(2 * 6 * 5 * 4).reshape(2, 6, 5, 4) / 60 - 2).astype(np.float32)
SERIES = RNG.standard_normal((2, 7, 3)).astype(np.float32)
VOLUMES = RNG.standard_normal((2, 3, 4, 3, 2)).astype(np.float32)
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
    "dropout spatial": Case(lambda: nn.SpatialDropout(0.4), PICTURES, (2, 6, 5, 4), random=True),
    "drop connect": Case(lambda: nn.DropConnect(3, 0.4, activation="relu"), ROWS, (6, 3), random=True),
    "drop connect scaled": Case(
        lambda: nn.DropConnect(3, 0.4, mode="weight_scaled", mask="example", bias=False), IMAGES, (3, 2, 2, 3), True
    ),
    "drop connect of sums": Case(lambda: nn.DropConnect(3, 0.4, mask="normal"), IMAGES, (3, 2, 2, 3), random=True),
    "drop connect by moments": Case(
        lambda: nn.DropConnect(3, 0.3, activation="tanh", predict="moments", mask="example"), ROWS, (6, 3), random=True
    ),
    "drop connect by moments of relu": Case(
        lambda: nn.DropConnect(3, 0.3, activation="relu", predict="moments"), ROWS, (6, 3), random=True
    ),
    "drop connect none": Case(lambda: nn.DropConnect(3, 0.0, predict="moments", activation="relu"), ROWS, (6, 3)),
    "noise": Case(lambda: nn.GaussianNoise(0.3), IMAGES, (3, 2, 2, 4), random=True),
    "noisy dense": Case(lambda: nn.NoisyDense(3, 0.3, activation="tanh"), ROWS, (6, 3), random=True),
    "batch norm": Case(nn.BatchNorm, ROWS, (6, 4)),
    "batch norm plain": Case(lambda: nn.BatchNorm(affine=False, momentum=0.3, eps=1e-3), ROWS, (6, 4)),
    "batch norm of other kinds": Case(
        lambda: nn.BatchNorm(
            affine="shift", momentum_of="old", momentum=0.9, running_variance="unbiased", eps_mode="outside"
        ),
        *(IMAGES, (3, 2, 2, 4)),
    ),
    "batch norm images": Case(nn.BatchNorm, IMAGES, (3, 2, 2, 4)),
    "layer norm": Case(nn.LayerNorm, IMAGES, (3, 2, 2, 4)),
    "layer norm plain": Case(lambda: nn.LayerNorm(affine=False), ROWS, (6, 4)),
    "group norm": Case(lambda: nn.GroupNorm(2), IMAGES, (3, 2, 2, 4)),
    "instance norm": Case(lambda: nn.GroupNorm(4, affine=False), PICTURES, (2, 6, 5, 4)),
    "response norm across": Case(lambda: nn.LocalResponseNorm(3, alpha=0.5), PICTURES, (2, 6, 5, 4)),
    "response norm of AlexNet": Case(
        lambda: nn.LocalResponseNorm(alpha=0.2, k=2.0, alpha_over_n=False), PICTURES, (2, 6, 5, 4)
    ),
    "response norm within": Case(lambda: nn.LocalResponseNorm(4, alpha=0.5, mode="within"), PICTURES, (2, 6, 5, 4)),
    "conv": Case(lambda: nn.Conv(3, 3, activation="tanh"), PICTURES, (2, 6, 5, 3)),
    "conv strided": Case(lambda: nn.Conv(3, (2, 3), strides=2, padding=((1, 0), (2, 1))), PICTURES, (2, 3, 3, 3)),
    "conv dilated": Case(lambda: nn.Conv(2, 3, dilation=(2, 1), padding="valid", bias=False), PICTURES, (2, 2, 3, 2)),
    "conv of groups": Case(lambda: nn.Conv(6, 2, groups=2), PICTURES, (2, 6, 5, 6)),
    "conv depthwise": Case(lambda: nn.Conv(4, 3, groups=4, padding=1), PICTURES, (2, 6, 5, 4)),
    "conv mirrored borders": Case(lambda: nn.Conv(2, 3, padding_mode="reflect"), PICTURES, (2, 6, 5, 2)),
    "conv repeated borders": Case(lambda: nn.Conv(2, 3, padding_mode="edge", strides=2), PICTURES, (2, 3, 3, 2)),
    "conv round": Case(lambda: nn.Conv(2, 3, padding_mode="circular", flip=True), PICTURES, (2, 6, 5, 2)),
    "conv on series": Case(lambda: nn.Conv(4, 3, strides=2), SERIES, (2, 4, 4)),
    "conv on volumes": Case(lambda: nn.Conv(2, 2), VOLUMES, (2, 3, 4, 3, 2)),
    "conv transpose": Case(lambda: nn.ConvTranspose(3, 3, strides=2), PICTURES, (2, 12, 10, 3)),
    "conv transpose whole": Case(lambda: nn.ConvTranspose(3, 2, padding="valid", flip=True), PICTURES, (2, 7, 6, 3)),
    "conv transpose apart": Case(lambda: nn.ConvTranspose(2, 2, strides=3, groups=2), PICTURES, (2, 18, 15, 2)),
    "conv transpose cut": Case(
        lambda: nn.ConvTranspose(2, 3, strides=2, padding=((1, 0),), activation="relu"), SERIES, (2, 14, 2)
    ),
    "conv transpose round": Case(
        lambda: nn.ConvTranspose(2, 4, strides=2, padding=1, padding_mode="circular"), PICTURES, (2, 12, 10, 2)
    ),
    "conv transpose mirrored": Case(
        lambda: nn.ConvTranspose(2, 3, strides=2, padding=((2, 1),), padding_mode="reflect"), SERIES, (2, 12, 2)
    ),
    "conv transpose dilated": Case(lambda: nn.ConvTranspose(1, 2, dilation=2, padding=((1, 0),)), SERIES, (2, 8, 1)),
    "max pool": Case(nn.MaxPool, PICTURES, (2, 3, 2, 4)),
    "max pool overlapping": Case(lambda: nn.MaxPool(3, strides=2, padding="same"), PICTURES, (2, 3, 3, 4)),
    "avg pool": Case(lambda: nn.AvgPool((2, 1)), PICTURES, (2, 3, 5, 4)),
    "avg pool with padding": Case(lambda: nn.AvgPool(3, padding=1, count_padding=True), PICTURES, (2, 2, 2, 4)),
    "weighted pool": Case(
        lambda: nn.AvgPool(2, weights=[[1, 2], [0.5, 1]], padding="same", strides=1), PICTURES, (2, 6, 5, 4)
    ),
    "median pool": Case(lambda: nn.MedianPool(3, padding="same", strides=1), PICTURES, (2, 6, 5, 4)),
    "median pool of two": Case(lambda: nn.MedianPool(2, dilation=2, strides=1), SERIES, (2, 5, 3)),
    "norm pool": Case(nn.LpPool, VOLUMES, (2, 1, 2, 1, 2)),
    "norm pool of 3": Case(lambda: nn.LpPool(3, 3.0, strides=1, padding=1), PICTURES, (2, 6, 5, 4)),
    "global avg pool": Case(nn.GlobalAvgPool, VOLUMES, (2, 2)),
    "global max pool": Case(nn.GlobalMaxPool, PICTURES, (2, 4)),
    "adaptive avg pool": Case(lambda: nn.AdaptiveAvgPool((4, 2)), PICTURES, (2, 4, 2, 4)),
    "adaptive max pool": Case(lambda: nn.AdaptiveMaxPool(3), SERIES, (2, 3, 3)),
    "upsample": Case(lambda: nn.Upsample(2), PICTURES, (2, 12, 10, 4)),
    "upsample linear": Case(lambda: nn.Upsample((3, 2), mode="linear"), PICTURES, (2, 18, 10, 4)),
    "conv that passes on": Case(lambda: nn.Conv(6, 3, init=nn.init.dirac()), PICTURES, (2, 6, 5, 6)),
    "whitening": Case(nn.Whitening, PICTURES, (2, 5, 4, 32)),
    "whitening without bias": Case(lambda: nn.Whitening(3, eps=0.1, bias=False), SERIES, (2, 5, 18)),
    "rescale": Case(lambda: nn.Rescale(-0.3), ROWS, (6, 4)),
    "residual": Case(
        lambda: nn.Residual(nn.Sequential(nn.Conv(4, 3), nn.BatchNorm()), activation="relu"), PICTURES, (2, 6, 5, 4)
    ),
    "residual with shortcut": Case(
        lambda: nn.Residual(nn.Conv(3, 3, strides=2), nn.Conv(3, 1, strides=2)), PICTURES, (2, 3, 3, 3)
    ),
    "join": Case(lambda: nn.Join(nn.Conv(2, 3)), PICTURES, (2, 6, 5, 6)),
    "join cropped": Case(lambda: nn.Join(nn.Conv(2, (3, 2), padding="valid"), crop=True), PICTURES, (2, 4, 4, 6)),
    "branches": Case(
        lambda: nn.Branches(nn.Flatten(), nn.Dense(2, activation="tanh"), shapes=[(1, 1), (3,)]), ROWS, (6, 3)
    ),
    "pad channels": Case(lambda: nn.PadChannels(6, strides=2), PICTURES, (2, 3, 3, 6)),
    "normalize": Case(lambda: nn.Normalize((0.5, -1.0, 2.0, 0.0), (2.0, 0.1, 1.0, 3.0)), PICTURES, (2, 6, 5, 4)),
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
    wanted = module(case.x).numpy()
    # Sums in another order differ by roundings of their terms, which may be larger than the sum.
    rounding = 4 * np.finfo(np.float32).eps * np.abs(wanted).max()
    np.testing.assert_allclose(compiled(module, case.x).numpy(), wanted, rtol=1e-6, atol=rounding)

    weights = RNG.standard_normal(case.shape).astype(np.float32)

    def train(p: Tensors, s: Tensors, x: gl.Tensor, key: gl.Tensor) -> tuple[gl.Tensor, Tensors, Tensors]:
        def loss(p: Tensors) -> tuple[gl.Tensor, tuple[gl.Tensor, Tensors]]:
            y, after = nn.apply(module, p["layer"], s, p.get("x", x), training=True, key=key)
            return gl.sum(y * weights), (y, after)

        point = {"layer": p, "x": x} if case.x.dtype.kind == "f" else {"layer": p}
        (_, (y, after)), gradient = gl.value_and_grad(loss, has_aux=True)(point)
        return y, after, gradient

    args = (module.parameters(), module.state(), gl.tensor(case.x), gl.random.key(4))
    *values, gradient = gl.jit(train)(*args)
    *wanted_values, wanted_gradient = train(*args)
    # Gradients are sums over all elements, of which there are more than in any of the values.
    for found, expected, least in (values, wanted_values, 1e-6), (gradient, wanted_gradient, 2e-5):
        for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
            assert a.type == b.type
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=least)


def test_bfloat16_comes_out_where_it_goes_in(case: Case) -> None:
    """So a network of any layers computes in it, whatever the layers do inside."""
    module = built(case)
    parameters = tree.map(lambda t: t.astype("bfloat16"), module.parameters())
    x = gl.tensor(case.x).astype("bfloat16") if case.x.dtype.kind == "f" else gl.tensor(case.x)

    def run(parameters: Tensors, x: gl.Tensor) -> gl.Tensor:
        return nn.apply(module, parameters, module.state(), x, training=True, key=gl.random.key(5))[0]

    assert gl.trace(run, parameters, x).output_types[0].dtype == gl.bfloat16


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
