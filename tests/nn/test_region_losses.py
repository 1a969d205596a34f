"""Focal and overlap losses, labels to ignore, weight maps: closed forms and definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.nn import losses, metrics

RNG = np.random.default_rng(8)
LOGITS, MASK = RNG.standard_normal((3, 4, 5, 3)) * 2, RNG.integers(0, 3, (3, 4, 5))
SINGLE, BITS = RNG.standard_normal((3, 4, 5)) * 2, RNG.integers(0, 2, (3, 4, 5))
P = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
SURE = 800.0  # e⁻⁸⁰⁰ is 0


def test_pixels_are_examples_of_their_own() -> None:
    flat = losses.CrossEntropy()(LOGITS.reshape(-1, 3), MASK.reshape(-1)).item()
    assert losses.CrossEntropy()(LOGITS, MASK).item() == pytest.approx(flat, rel=1e-12)


def test_focal_without_gamma_is_the_cross_entropy() -> None:
    plain = losses.CrossEntropy().per_example(LOGITS, MASK).numpy()
    np.testing.assert_allclose(losses.Focal(0, None).per_example(LOGITS, MASK), plain, rtol=1e-12)
    np.testing.assert_allclose(losses.Focal(0, 0.25).per_example(LOGITS, MASK), plain / 4, rtol=1e-12)
    plain = losses.BinaryCrossEntropy().per_example(SINGLE, BITS).numpy()
    np.testing.assert_allclose(losses.Focal(0, None, True).per_example(SINGLE, BITS), plain, rtol=1e-12)
    np.testing.assert_allclose(losses.Focal(0, 0.5, True).per_example(SINGLE, BITS), plain / 2, rtol=1e-12)


def test_focal_by_its_formula() -> None:
    p = np.take_along_axis(P, MASK[..., None], -1)[..., 0]
    alpha = np.array([0.2, 0.5, 0.3])
    expected = (-alpha[MASK] * (1 - p) ** 1.5 * np.log(p)).mean((1, 2))
    for targets in (MASK, np.eye(3)[MASK]):
        found = losses.Focal(1.5, alpha).per_example(LOGITS, targets)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    p = 1 / (1 + np.exp(-SINGLE))
    p, a = np.where(BITS, p, 1 - p), np.where(BITS, 0.25, 0.75)
    expected = (-a * (1 - p) ** 2 * np.log(p)).mean((1, 2))
    np.testing.assert_allclose(losses.get("binary_focal").per_example(SINGLE, BITS), expected, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_at_certainty(gamma: float) -> None:
    z = np.array([[0.0, 200.0], [200.0, 0.0]], np.float32)
    value, gradient = gl.value_and_grad(lambda z: losses.Focal(gamma, None, reduction="sum")(z, [1, 1]))(z)
    assert value.item() == pytest.approx(200)
    np.testing.assert_allclose(gradient.numpy(), [[0, 0], [1, -1]], atol=1e-6)
    z = np.array([200.0, -200.0], np.float32)
    value, gradient = gl.value_and_grad(lambda z: losses.Focal(gamma, None, True, reduction="sum")(z, [1, 1]))(z)
    assert value.item() == pytest.approx(200)
    np.testing.assert_allclose(gradient.numpy(), [0, -1], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.data())
def test_overlaps_of_sure_outputs_are_those_of_sets(k: int, data: st.DataObject) -> None:
    """Where the model is certain, soft overlap is the overlap of sets."""
    draws = st.lists(st.integers(0, k - 1), min_size=6, max_size=6)
    chosen, true = np.array(data.draw(draws)), np.array(data.draw(draws))
    outputs, labels = SURE * np.eye(k)[chosen][None], list(range(k))
    # Where a class is neither there nor chosen, scikit-learn is told to call it 1, as the loss does.
    dice = f1_score(true, chosen, labels=labels, average="macro", zero_division=1.0)
    iou = jaccard_score(true, chosen, labels=labels, average="macro", zero_division=1)
    assert losses.Dice(0)(outputs, true[None]).item() == pytest.approx(1 - dice, abs=1e-9)
    assert losses.Dice(0, squared=True)(outputs, true[None]).item() == pytest.approx(1 - dice, abs=1e-9)
    assert losses.IoU(0)(outputs, true[None]).item() == pytest.approx(1 - iou, abs=1e-9)
    sizes = [[np.sum(a & b) for a, b in ((c & t, c | t), (c, ~t), (~c, t))] for c, t in _regions(chosen, true, k)]
    tversky = [1 if i + w + m == 0 else i / (i + 0.2 * w + 0.8 * m) for i, w, m in sizes]
    loss = losses.Tversky(0, alpha=0.2, beta=0.8)(outputs, true[None]).item()
    assert loss == pytest.approx(1 - np.mean(tversky), abs=1e-9)


def _regions(chosen: np.ndarray, true: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(chosen == c, true == c) for c in range(k)]


def test_overlaps_by_their_formulas() -> None:
    g = np.eye(3)[MASK]
    both, marked, true = ((x).sum((1, 2)) for x in (P * g, P, g))
    np.testing.assert_allclose(
        losses.Dice(2.0).per_example(LOGITS, MASK), (1 - (2 * both + 2) / (marked + true + 2)).mean(1), rtol=1e-12
    )
    squared = 1 - (2 * both + 1) / ((P**2).sum((1, 2)) + true + 1)
    np.testing.assert_allclose(losses.Dice(squared=True).per_example(LOGITS, MASK), squared.mean(1), rtol=1e-12)
    iou = 1 - (both + 1) / (marked + true - both + 1)
    np.testing.assert_allclose(losses.get("iou").per_example(LOGITS, g), iou.mean(1), rtol=1e-12)
    found = losses.IoU(background=False).per_example(LOGITS, MASK)
    np.testing.assert_allclose(found, iou[:, 1:].mean(1), rtol=1e-12)
    np.testing.assert_allclose(
        losses.Tversky(0.5, alpha=0.5, beta=0.5).per_example(LOGITS, MASK), losses.Dice(1.0).per_example(LOGITS, MASK)
    )
    np.testing.assert_allclose(losses.Tversky(alpha=1, beta=1).per_example(LOGITS, MASK), iou.mean(1), rtol=1e-12)


def test_ignored_labels_are_not_there() -> None:
    flat, labels = LOGITS.reshape(1, -1, 3), MASK.reshape(1, -1)
    void = RNG.random(labels.shape) < 0.4
    rest, known = flat[:, ~void[0]], labels[:, ~void[0]]
    for cls in (losses.CrossEntropy, losses.Focal, losses.Dice, losses.IoU, losses.Tversky):
        found = cls(ignore=255)(flat, np.where(void, 255, labels).astype(np.uint8)).item()
        if issubclass(cls, losses.OverlapLoss):  # its sums run over the other positions alone; s counts beside them
            scale = (~void).mean()
            loss = cls(0, ignore=255)(flat, np.where(void, 255, labels)).item()
            assert loss == pytest.approx(cls(0)(rest, known).item(), rel=1e-12), scale
        else:
            assert found == pytest.approx(cls()(rest, known).item(), rel=1e-12)
    assert losses.CrossEntropy(ignore=9)(flat, np.full_like(labels, 9)).item() == 0


def test_weight_maps_weigh_pixels() -> None:
    maps = RNG.uniform(0, 3, MASK.shape)
    values = -np.log(np.take_along_axis(P, MASK[..., None], -1)[..., 0])
    expected = (maps * values).sum() / maps.sum()
    assert losses.CrossEntropy()(LOGITS, MASK, maps).item() == pytest.approx(expected, rel=1e-12)
    assert metrics.Accuracy().compute(LOGITS, MASK, maps) == pytest.approx(
        (maps * (LOGITS.argmax(-1) == MASK)).sum() / maps.sum(), rel=1e-12
    )
    y, t = RNG.standard_normal((2, 3, 4))
    w = RNG.uniform(0, 3, y.shape)
    assert losses.SquaredError()(y, t, w).item() == pytest.approx((w * (y - t) ** 2).sum() / w.sum(), rel=1e-12)
    with pytest.raises(ShapeError, match=r"one for each of its positions; got weights of shape \(3, 5, 4\)"):
        losses.CrossEntropy()(LOGITS, MASK, np.ones((3, 5, 4)))


def small_run(loss: str | losses.Loss, *, classes: int = 2, **more: object) -> train.Trainer:
    net = nn.Sequential(nn.Conv(3, 3, activation="relu"), nn.Conv(classes, 1))
    return train.Trainer(net, loss=loss, optimizer=optim.SGD(0.5), executor="reference", **more)  # type: ignore[arg-type]


X = RNG.standard_normal((7, 4, 5, 1)).astype(np.float32)
Y = (X[..., 0] > 0.3).astype(np.int64)


def fit(run: train.Trainer, *data: np.ndarray, epochs: int = 2) -> train.History:
    return run.fit(data, epochs=epochs, batch_size=3, progress="silent")


def test_the_trainer_takes_weight_maps() -> None:
    """A map that is the same all over an image is a weight of that image; also where a batch is filled up."""
    each = RNG.uniform(0.5, 2, 7).astype(np.float32)
    runs = [small_run("cross_entropy", metrics=["iou", "error_rate"]) for _ in range(2)]
    first = fit(runs[0], X, Y, each)
    second = fit(runs[1], X, Y, np.broadcast_to(each.reshape(-1, 1, 1), Y.shape))
    for a, b in zip(first.rows, second.rows):
        assert a == pytest.approx(b, rel=1e-5)
    # What weighs 0 may be anything.
    hide = (RNG.random(Y.shape) < 0.5).astype(np.float32)
    wrong = np.where(hide == 0, 1 - Y, Y)
    scores = [runs[0].evaluate((X, y, hide)) for y in (Y, wrong)]
    assert scores[0] == scores[1]
    assert scores[0]["error_rate"] == pytest.approx(
        (hide * (runs[0].predict(X).argmax(-1) != Y)).sum() / hide.sum(), rel=1e-6
    )
    with pytest.raises(ShapeError, match=r"for each position of the targets; got shape \(7, 5, 4\) for \(7, 4, 5\)"):
        fit(runs[0], X, Y, np.ones((7, 5, 4)))


def test_classes_of_masks_are_weighed() -> None:
    run = small_run("cross_entropy", class_weight={0: 1.0, 1: 3.0})
    other = small_run("cross_entropy")
    fit(run, X, Y)
    fit(other, X, Y, np.where(Y == 1, 3.0, 1.0))
    assert run.evaluate((X, Y)) == pytest.approx(other.evaluate((X, Y)), rel=1e-6)
    balanced = small_run("cross_entropy", class_weight="balanced")
    fit(balanced, X, Y)
    fit(again := small_run("cross_entropy"), X, Y, np.where(Y == 1, 0.5 / Y.mean(), 0.5 / (1 - Y.mean())))
    assert balanced.evaluate((X, Y)) == pytest.approx(again.evaluate((X, Y)), rel=1e-5)


def test_one_logit_a_pixel() -> None:
    """Metrics must not take the last axis of a mask for classes."""
    run = small_run("binary_dice", classes=1, metrics=["accuracy", "iou", "confusion_matrix"])
    history = fit(run, X, Y)
    assert {"loss", "accuracy", "iou"} <= set(history.rows[-1])
    chosen, found = run.predict(X)[..., 0] >= 0, run.evaluate((X, Y))
    assert found["accuracy"] == pytest.approx((chosen == Y).mean())
    assert found["iou"] == pytest.approx((chosen & (Y == 1)).sum() / (chosen | (Y == 1)).sum())
    np.testing.assert_array_equal(
        found["confusion_matrix"], [[((chosen == j) & (i == Y)).sum() for j in (0, 1)] for i in (0, 1)]
    )


def test_labels_to_ignore_pass_the_check_of_targets() -> None:
    void = np.where(RNG.random(Y.shape) < 0.2, 255, Y)
    run = small_run(losses.Dice(ignore=255), metrics=[metrics.MeanIoU(ignore=255)])
    fit(run, X, void)
    chosen, known = run.predict(X).argmax(-1), void != 255
    expected = jaccard_score(void[known], chosen[known], average="macro")
    assert run.evaluate((X, void))["mean_iou"] == pytest.approx(expected)
    with pytest.raises(DataError, match="class indices go from 0 to 1, for the model has 2 outputs; got 255"):
        fit(small_run("dice"), X, void)
    with pytest.raises(DataError, match="binary targets are 0 or 1; got 255"):
        fit(small_run("binary_iou", classes=1), X, void)


def test_refusals() -> None:
    with pytest.raises(OptionError, match="Dice: the loss takes logits and applies the softmax itself"):
        gl.trace(lambda z: losses.Dice()(gl.softmax(z), MASK), LOGITS)
    with pytest.raises(OptionError, match="IoU: the loss takes logits and applies the sigmoid itself"):
        gl.trace(lambda z: losses.IoU(binary=True)(gl.sigmoid(z), BITS), SINGLE)
    with pytest.raises(ShapeError, match=r"For two classes and a single output use Dice\(binary=True\)"):
        losses.Dice()(SINGLE[..., None], BITS)
    with pytest.raises(ShapeError, match=r"alpha has one number for each class; got \(0.5, 0.5\) for 3 classes"):
        losses.Focal(alpha=(0.5, 0.5))(LOGITS, MASK)
    with pytest.raises(OptionError, match="alpha is one number where binary"):
        losses.Focal(alpha=(0.5, 0.5), binary=True)
    with pytest.raises(OptionError, match=r"background is for losses of several classes; got binary=True\. A single"):
        losses.Dice(binary=True, background=False)
