"""What holds for every loss.  A line in CASES brings a loss all of these tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import ShapeError
from gradloom.nn import losses

RNG = np.random.default_rng(11)
N = 6


@dataclass(frozen=True)
class Case:
    """A loss with outputs and targets for it."""

    loss: losses.Loss
    outputs: np.ndarray
    targets: np.ndarray


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape) * 2


def one_hot(k: int) -> np.ndarray:
    return np.eye(k)[RNG.integers(0, k, N)]


CASES = {
    "squared": Case(losses.SquaredError(), normal(N), normal(N)),
    "squared, several outputs": Case(losses.SquaredError(), normal(N, 3), normal(N, 3)),
    "half squared": Case(losses.SquaredError("half"), normal(N, 2), normal(N, 2)),
    "sum of squares": Case(losses.SquaredError("sum"), normal(N, 2), normal(N, 2)),
    "absolute": Case(losses.AbsoluteError(), normal(N), normal(N)),
    "huber": Case(losses.Huber(0.8), normal(N, 2), normal(N, 2)),
    "binary": Case(losses.BinaryCrossEntropy(), normal(N), RNG.integers(0, 2, N)),
    "binary, column": Case(losses.BinaryCrossEntropy(), normal(N, 1), RNG.random((N, 1))),
    "binary, labels": Case(losses.BinaryCrossEntropy(), normal(N, 3), RNG.integers(0, 2, (N, 3)).astype(bool)),
    "binary from probabilities": Case(
        losses.BinaryCrossEntropy(from_logits=False), RNG.uniform(0.05, 0.95, N), RNG.integers(0, 2, N)
    ),
    "cross-entropy": Case(losses.CrossEntropy(), normal(N, 4), RNG.integers(0, 4, N)),
    "cross-entropy of groups": Case(
        losses.CrossEntropy(groups=(2, 3), label_smoothing=0.1), normal(N, 5), RNG.integers(0, 2, (N, 2))
    ),
    "cross-entropy, one-hot": Case(losses.CrossEntropy(), normal(N, 4), one_hot(4)),
    "cross-entropy, soft": Case(losses.CrossEntropy(), normal(N, 3), RNG.dirichlet(np.ones(3), N)),
    "cross-entropy, smoothed": Case(losses.CrossEntropy(0.1), normal(N, 4), RNG.integers(0, 4, N)),
    "cross-entropy, smoothed one-hot": Case(losses.CrossEntropy(0.1), normal(N, 4), one_hot(4)),
    "cross-entropy, pixels": Case(losses.CrossEntropy(), normal(N, 2, 5, 3), RNG.integers(0, 3, (N, 2, 5))),
    "cross-entropy, ignoring": Case(
        losses.CrossEntropy(ignore=255), normal(N, 4, 3), RNG.choice(np.array([0, 1, 2, 255], np.uint8), (N, 4))
    ),
    "focal": Case(losses.Focal(), normal(N, 4), RNG.integers(0, 4, N)),
    "focal, pixels": Case(losses.Focal(0.5, (0.2, 0.3, 0.5)), normal(N, 2, 3, 3), RNG.integers(0, 3, (N, 2, 3))),
    "focal, soft": Case(losses.Focal(1.5, None), normal(N, 3), RNG.dirichlet(np.ones(3), N)),
    "focal, binary": Case(losses.Focal(binary=True), normal(N, 2, 3), RNG.integers(0, 2, (N, 2, 3))),
    "dice": Case(losses.Dice(), normal(N, 2, 3, 3), RNG.integers(0, 3, (N, 2, 3))),
    "dice, squared": Case(losses.Dice(0.5, squared=True), normal(N, 4, 2), np.eye(2)[RNG.integers(0, 2, (N, 4))]),
    "dice, binary": Case(losses.Dice(binary=True, ignore=2), normal(N, 2, 3), RNG.integers(0, 3, (N, 2, 3))),
    "iou": Case(losses.IoU(background=False), normal(N, 2, 3, 3), RNG.integers(0, 3, (N, 2, 3))),
    "iou, binary": Case(losses.IoU(0.0, binary=True), normal(N, 5), RNG.integers(0, 2, (N, 5))),
    "tversky": Case(losses.Tversky(ignore=-1), normal(N, 2, 3, 3), RNG.integers(-1, 3, (N, 2, 3))),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_every_named_loss_has_a_case() -> None:
    assert {type(loss) for loss in losses.NAMES.values()} <= {type(case.loss) for case in CASES.values()}


def test_gradient_is_that_of_finite_differences(case: Case) -> None:
    weights = RNG.uniform(0.5, 2, N)

    def f(outputs: np.ndarray) -> gl.Tensor:
        return case.loss(outputs, case.targets, weights)

    gradient = gl.grad(f)(gl.tensor(case.outputs)).numpy()
    step = 1e-6
    for place in np.ndindex(case.outputs.shape):
        change = np.zeros_like(case.outputs)
        change[place] = step
        measured = (f(case.outputs + change).item() - f(case.outputs - change).item()) / (2 * step)
        assert gradient[place] == pytest.approx(measured, rel=1e-6, abs=1e-8), place


def test_weights(case: Case) -> None:
    values = case.loss.per_example(case.outputs, case.targets).numpy()
    assert values.shape == (N,)
    assert np.all(np.isfinite(values))
    weights = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0])
    for reduction, expected in (("sum", weights @ values), ("mean", weights @ values / weights.sum())):
        if isinstance(case.loss, losses.SquaredError) and case.loss.scale == "sum" and reduction == "mean":
            continue  # a sum is what this scaling means
        loss = replace(case.loss, reduction=reduction)
        assert loss(case.outputs, case.targets, weights).item() == pytest.approx(expected, rel=1e-12)
        assert loss(case.outputs, case.targets).item() == pytest.approx(
            values.sum() if reduction == "sum" else values.mean(), rel=1e-12
        )
    repeats = weights.astype(int)
    repeated = case.loss(np.repeat(case.outputs, repeats, 0), np.repeat(case.targets, repeats, 0))
    assert case.loss(case.outputs, case.targets, weights).item() == pytest.approx(repeated.item(), rel=1e-12)


def test_weights_of_zero_give_zero_and_no_nan(case: Case) -> None:
    value, gradient = gl.value_and_grad(lambda y: case.loss(y, case.targets, np.zeros(N)))(gl.tensor(case.outputs))
    assert value.item() == 0
    assert not gradient.numpy().any()


def test_jit_keeps_the_value_and_the_data_type(case: Case) -> None:
    outputs = case.outputs.astype(np.float32)
    compiled = gl.jit(case.loss)(outputs, case.targets)
    assert compiled.type == gl.tensor(np.float32(0)).type
    assert compiled.item() == pytest.approx(case.loss(outputs, case.targets).item(), rel=1e-6)


def test_nothing_broadcasts(case: Case) -> None:
    y, t = case.outputs, case.targets
    name = type(case.loss).__name__
    for outputs, targets in ((y, t[..., None]), (y[..., None], t), (y, t[:1]), (y[:1], t)):
        with pytest.raises(ShapeError, match=rf"^{name}: .*got .*\. [A-Z]"):
            case.loss(outputs, targets)
    for weights in (np.ones(N - 1), np.ones((N, 1, 1)), np.ones((N, 7)), np.ones(1)):
        with pytest.raises(ShapeError, match=f"{name}: there must be one weight for each example"):
            case.loss(y, t, weights)


def test_weight_maps(case: Case) -> None:
    """A map that is constant on every example weighs examples; a weight of 0 makes what stands there not matter."""
    positions = case.outputs.shape[:-1] if case.loss.kind == "classes" else case.outputs.shape
    if len(positions) < 2:
        pytest.skip("an example is one position")
    weights = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0])
    spread = np.broadcast_to(weights.reshape(-1, *[1] * (len(positions) - 1)), positions)
    assert case.loss(case.outputs, case.targets, spread).item() == pytest.approx(
        case.loss(case.outputs, case.targets, weights).item(), rel=1e-12
    )
    shown = RNG.integers(0, 2, positions) * RNG.uniform(0.5, 2, positions)
    hidden = (shown == 0).reshape(*positions, *[1] * (case.outputs.ndim - len(positions)))
    value, gradient = gl.value_and_grad(lambda y: case.loss(y, case.targets, shown))(gl.tensor(case.outputs))
    other = case.loss(case.outputs + 3 * hidden * normal(*case.outputs.shape), case.targets, shown).item()
    assert value.item() == pytest.approx(other, rel=1e-12)
    assert not (gradient.numpy() * hidden).any()


def test_description_round_trip(case: Case) -> None:
    text = json.dumps(losses.describe(case.loss))
    assert losses.build(json.loads(text)) == case.loss
