"""Losses: values against independent formulas, softmax twice, special points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

import gradloom as gl
from gradloom import nn
from gradloom.errors import DTypeError, GradloomError, IndexRangeError, OptionError, ShapeError, UnknownNameError
from gradloom.nn import losses

RNG = np.random.default_rng(5)


def sigma(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_three_scalings_of_the_squared_error() -> None:
    y, t = RNG.standard_normal((2, 9))
    total = sum((a - b) ** 2 for a, b in zip(y, t))
    assert losses.SquaredError("mean")(y, t).item() == pytest.approx(total / 9, rel=1e-12)
    assert losses.SquaredError("half")(y, t).item() == pytest.approx(total / 18, rel=1e-12)
    assert losses.SquaredError("sum")(y, t).item() == pytest.approx(np.linalg.norm(y - t) ** 2, rel=1e-12)
    y, t = RNG.standard_normal((2, 9, 3))
    assert losses.get("mse")(y, t).item() == pytest.approx(mean_squared_error(t, y), rel=1e-12)


def test_huber() -> None:
    errors = np.array([-3.0, -0.5, 0.0, 0.5, 2.0, 3.0])
    expected = [np.where(abs(e) <= 2, e * e / 2, 2 * (abs(e) - 1)) for e in errors]
    found = losses.Huber(2.0).per_example(errors, np.zeros(6)).numpy()
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-12)
    slopes = gl.grad(lambda e: losses.Huber(2.0, reduction="sum")(e, np.zeros(6)))(gl.tensor(errors)).numpy()
    np.testing.assert_allclose(slopes, np.clip(errors, -2, 2), rtol=1e-12)


def test_binary_cross_entropy() -> None:
    z, y, w = RNG.standard_normal(50) * 3, RNG.integers(0, 2, 50), RNG.uniform(0.1, 2, 50)
    expected = log_loss(y, sigma(z), sample_weight=w)
    assert losses.BinaryCrossEntropy()(z, y, w).item() == pytest.approx(expected, rel=1e-12)
    assert losses.BinaryCrossEntropy(from_logits=False)(sigma(z), y, w).item() == pytest.approx(expected, rel=1e-10)


def test_binary_cross_entropy_at_special_points() -> None:
    loss = losses.BinaryCrossEntropy(reduction="sum")
    z = np.array([0.0, 0.0, 1e4, -1e4, 1e4], np.float32)
    y = np.array([1, 0, 0, 1, 1])
    value, gradient = gl.value_and_grad(lambda z: loss(z, y))(z)
    assert value.item() == pytest.approx(2 * np.log(2) + 2e4)
    np.testing.assert_allclose(gradient.numpy(), [-0.5, 0.5, 1, -1, 0])
    p = np.array([0.0, 1.0], np.float32)
    value, gradient = gl.value_and_grad(lambda p: losses.BinaryCrossEntropy(from_logits=False)(p, 1 - p))(p)
    assert np.isfinite(value.item())
    assert np.isfinite(gradient.numpy()).all()


def test_cross_entropy() -> None:
    z, y, w = RNG.standard_normal((50, 4)) * 3, RNG.integers(0, 4, 50), RNG.uniform(0.1, 2, 50)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    expected = log_loss(y, p, sample_weight=w, labels=range(4))
    assert losses.CrossEntropy()(z, y, w).item() == pytest.approx(expected, rel=1e-12)
    assert losses.CrossEntropy()(z, np.eye(4, dtype=int)[y], w).item() == pytest.approx(expected, rel=1e-12)
    smooth = 0.9 * np.eye(4)[y] + 0.1 / 4
    expected = (-(smooth * np.log(p)).sum(1)).mean()
    for targets in (y, y.astype(np.uint8), np.eye(4)[y]):
        assert losses.CrossEntropy(0.1)(z, targets).item() == pytest.approx(expected, rel=1e-12)


def test_two_classes_are_the_binary_case() -> None:
    z, y = RNG.standard_normal(20), RNG.integers(0, 2, 20)
    pair = np.stack([np.zeros(20), z], 1)
    assert losses.CrossEntropy()(pair, y).item() == pytest.approx(losses.BinaryCrossEntropy()(z, y).item(), rel=1e-12)


@pytest.mark.parametrize("wrong", [3, -1])
@pytest.mark.parametrize("wrap", [lambda f: f, gl.jit])
def test_class_indices_outside_are_refused(wrong: int, wrap: Callable[..., Callable[..., gl.Tensor]]) -> None:
    with pytest.raises(IndexError, match=f"go from 0 to 2; got {wrong}"):
        wrap(losses.CrossEntropy())(np.zeros((2, 3), np.float32), np.array([0, wrong]))


def test_golden_class_index_outside() -> None:
    with pytest.raises(IndexRangeError) as caught:
        losses.CrossEntropy()(np.zeros((2, 5), np.float32), np.array([4, 7]))
    assert str(caught.value) == (
        "CrossEntropy: class indices go from 0 to 4; got 7 for logits float32[2,5]. "
        "Count classes from 0, and give the last layer one unit for each."
    )


def through(function: Callable[[gl.Tensor], gl.Tensor], loss: losses.Loss, targets: np.ndarray) -> gl.Tensor:
    z = np.zeros((4, 3), np.float32)
    return gl.grad(lambda z: loss(function(z), targets))(z)


INDICES, LABELS = np.array([0, 1, 2, 0]), np.ones((4, 3))
TWICE = {
    "softmax": (gl.softmax, losses.CrossEntropy(), INDICES, "Remove the softmax"),
    "softmax layer": (nn.Softmax(), losses.CrossEntropy(), LABELS, "Remove the softmax"),
    "softmax cast": (lambda z: gl.softmax(z).astype("float64"), losses.CrossEntropy(), INDICES, "Remove the softmax"),
    "softmax reshaped": (
        *(lambda z: gl.softmax(z.reshape(2, 2, 3)).reshape(4, 3), losses.CrossEntropy(), INDICES, "Remove the softmax"),
    ),
    "softmax transposed": (lambda z: gl.softmax(z.T, axis=0).T, losses.CrossEntropy(), INDICES, "Remove the softmax"),
    "sigmoid for classes": (gl.sigmoid, losses.CrossEntropy(), INDICES, "Remove the sigmoid"),
    "sigmoid": (
        *(nn.Sigmoid(), losses.BinaryCrossEntropy(), LABELS),
        r"Remove the sigmoid after the last layer, or use BinaryCrossEntropy\(from_logits=False\)",
    ),
    "softmax for binary": (gl.softmax, losses.BinaryCrossEntropy(), LABELS, "Remove the softmax"),
}


@pytest.mark.parametrize(("function", "loss", "targets", "fix"), TWICE.values(), ids=TWICE.keys())
def test_softmax_twice_is_refused(
    function: Callable[[gl.Tensor], gl.Tensor], loss: losses.Loss, targets: np.ndarray, fix: str
) -> None:
    with pytest.raises(OptionError, match=f"the loss takes logits .* got the output of a .*{fix}"):
        through(function, loss, targets)


@pytest.mark.parametrize(
    ("function", "loss", "targets"),
    [
        (lambda z: z, losses.CrossEntropy(), INDICES),
        (gl.log_softmax, losses.CrossEntropy(), INDICES),
        (gl.exp, losses.CrossEntropy(), INDICES),
        (lambda z: gl.exp(z - gl.max(z, -1, keepdims=True)), losses.CrossEntropy(), INDICES),
        (lambda z: gl.sigmoid(z) * 4 - 2, losses.BinaryCrossEntropy(), LABELS),
        (gl.sigmoid, losses.BinaryCrossEntropy(from_logits=False), LABELS),
    ],
)
def test_what_only_resembles_it_passes(
    function: Callable[[gl.Tensor], gl.Tensor], loss: losses.Loss, targets: np.ndarray
) -> None:
    assert np.isfinite(through(function, loss, targets).numpy()).all()


def test_golden_softmax_in_a_model() -> None:
    model = nn.Sequential(nn.Dense(3), nn.Softmax())
    x = np.ones((4, 2), np.float32)
    model.initialize(x)
    with pytest.raises(OptionError) as caught:
        gl.grad(lambda m: losses.CrossEntropy()(m(x), INDICES))(model)
    assert str(caught.value) == (
        "CrossEntropy: the loss takes logits and applies the softmax itself; got the output of a softmax made in "
        "Sequential/layers.1. Remove the softmax after the last layer."
    )


def message(error: type[GradloomError], act: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def test_golden_errors() -> None:
    ones = np.ones
    assert message(ShapeError, lambda: losses.SquaredError()(ones((3, 1)), ones(3))) == (
        "SquaredError: outputs and targets must have one shape; they do not broadcast; got outputs float64[3,1] and "
        "targets float64[3]. Reshape the targets to (3, 1), or the outputs to (3,)."
    )
    assert message(ShapeError, lambda: losses.CrossEntropy()(ones((3, 4)), ones((3, 5)))) == (
        "CrossEntropy: targets are class indices or one-hot rows as wide as the logits; got logits float64[3,4] and "
        "targets float64[3,5]. Class indices have shape (3,), one-hot targets (3, 4): the last layer needs one unit "
        "for each class."
    )
    assert message(ShapeError, lambda: losses.CrossEntropy()(ones((3, 1)), ones(3, int))) == (
        "CrossEntropy: logits are (examples, classes) with at least 2 classes; got float64[3,1]. "
        "For two classes and a single output use BinaryCrossEntropy."
    )
    assert message(DTypeError, lambda: losses.CrossEntropy()(ones((3, 4)), ones(3))) == (
        "CrossEntropy: class indices are integers; got float64[3]. "
        "Convert them with gl.cast(targets, 'int64'), or pass one-hot rows."
    )
    assert message(DTypeError, lambda: losses.SquaredError()(ones(3, int), ones(3))) == (
        "SquaredError: outputs are floats; got int64[3]. Pass what the model gives, before it is rounded to classes."
    )
    assert message(UnknownNameError, lambda: losses.get("cross_entrpy")).startswith(
        "losses.get: no loss has this name; got 'cross_entrpy'. Did you mean 'cross_entropy'? Known: absolute_error"
    )
    assert message(OptionError, lambda: losses.Huber(0)) == (
        "Huber: delta is a finite number above 0; got 0. Use a positive number, such as 1.0."
    )
    assert message(OptionError, lambda: losses.CrossEntropy(1.5)) == (
        "CrossEntropy: label_smoothing is a finite number from 0 to 1; got 1.5. Usual is 0.1; 0 does without it."
    )
    assert message(OptionError, lambda: losses.AbsoluteError(reduction="avg")) == (
        "AbsoluteError: no such reduction; got 'avg'. Known: mean, sum."
    )
