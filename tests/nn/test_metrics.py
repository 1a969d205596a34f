"""Metrics against scikit-learn, with and without weights, and added up over batches."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import gradloom as gl
from gradloom.errors import GradloomError, OptionError, ShapeError, UnknownNameError
from gradloom.nn import metrics
from gradloom.nn.metrics import StreamingMetric

N, K = 60, 4
RNG = np.random.default_rng(2)
LOGITS, CLASSES = RNG.standard_normal((N, K)), RNG.integers(0, K, N)
SINGLE, BITS = RNG.standard_normal(N), RNG.integers(0, 2, N)
CHOSEN, TAKEN = LOGITS.argmax(1), (SINGLE >= 0).astype(int)
GIVEN, WANTED = RNG.standard_normal((2, N, 3))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
HALF = {"average": "binary"}

# Name, metric, outputs, targets, the oracle as a function of weights.
CASES: dict[str, tuple[metrics.Metric, np.ndarray, np.ndarray, Callable[[np.ndarray], object]]] = {
    "accuracy": (
        metrics.get("accuracy"),
        LOGITS,
        CLASSES,
        lambda w: sk.accuracy_score(CLASSES, CHOSEN, sample_weight=w),
    ),
    "accuracy one-hot": (
        *(metrics.Accuracy(), LOGITS, np.eye(K)[CLASSES]),
        lambda w: sk.accuracy_score(CLASSES, CHOSEN, sample_weight=w),
    ),
    "accuracy binary": (metrics.Accuracy(), SINGLE, BITS, lambda w: sk.accuracy_score(BITS, TAKEN, sample_weight=w)),
    "accuracy column": (
        *(metrics.Accuracy(), SINGLE[:, None], BITS[:, None].astype(np.float32)),
        lambda w: sk.accuracy_score(BITS, TAKEN, sample_weight=w),
    ),
    "accuracy threshold": (
        *(metrics.Accuracy(0.7), SINGLE[:, None], BITS),
        lambda w: sk.accuracy_score(BITS, 1 / (1 + np.exp(-SINGLE)) >= 0.7, sample_weight=w),
    ),
    "accuracy pixels": (
        *(metrics.Accuracy(), LOGITS.reshape(10, 2, 3, K).repeat(6, 0), CLASSES.reshape(10, 2, 3).repeat(6, 0)),
        lambda w: sk.accuracy_score(
            *(a.reshape(10, 6).repeat(6, 0).reshape(-1) for a in (CLASSES, CHOSEN)), sample_weight=w.repeat(6)
        ),
    ),
    "error rate": (
        metrics.get("error_rate"),
        LOGITS,
        CLASSES,
        lambda w: sk.zero_one_loss(CLASSES, CHOSEN, sample_weight=w),
    ),
    "top 3": (
        *(metrics.get("top_3"), LOGITS, CLASSES),
        lambda w: sk.top_k_accuracy_score(CLASSES, LOGITS, k=3, sample_weight=w),
    ),
    "top 1 one-hot": (
        *(metrics.TopK(1), LOGITS, np.eye(K)[CLASSES]),
        lambda w: sk.accuracy_score(CLASSES, CHOSEN, sample_weight=w),
    ),
    "mse": (metrics.get("mse"), GIVEN, WANTED, lambda w: sk.mean_squared_error(WANTED, GIVEN, sample_weight=w)),
    "rmse": (
        *(metrics.get("rmse"), GIVEN[:, 0], WANTED[:, 0]),
        lambda w: sk.root_mean_squared_error(WANTED[:, 0], GIVEN[:, 0], sample_weight=w),
    ),
    "mae": (metrics.get("mae"), GIVEN, WANTED, lambda w: sk.mean_absolute_error(WANTED, GIVEN, sample_weight=w)),
    "r2": (metrics.get("r2"), GIVEN, WANTED, lambda w: sk.r2_score(WANTED, GIVEN, sample_weight=w)),
    "r2 single, far from 0": (
        *(metrics.R2(), GIVEN[:, 0] + 1e3, WANTED[:, 0] + 1e3),
        lambda w: sk.r2_score(WANTED[:, 0], GIVEN[:, 0], sample_weight=w),
    ),
    "precision": (
        *(metrics.get("precision"), SINGLE, BITS),
        lambda w: sk.precision_score(BITS, TAKEN, sample_weight=w),
    ),
    "recall": (metrics.get("recall"), SINGLE, BITS, lambda w: sk.recall_score(BITS, TAKEN, sample_weight=w)),
    "f1": (metrics.get("f1"), SINGLE, BITS, lambda w: sk.f1_score(BITS, TAKEN, sample_weight=w)),
    "f1 of two logits": (
        *(metrics.F1(), np.stack([0 * SINGLE, SINGLE], 1), BITS),
        lambda w: sk.f1_score(BITS, SINGLE > 0, sample_weight=w),
    ),
    "macro of two": (
        *(metrics.F1("macro"), SINGLE, BITS),
        lambda w: sk.f1_score(BITS, TAKEN, sample_weight=w, average="macro"),
    ),
    "macro precision": (
        *(metrics.Precision(), LOGITS, CLASSES),
        lambda w: sk.precision_score(CLASSES, CHOSEN, sample_weight=w, average="macro"),
    ),
    "macro recall": (
        *(metrics.Recall(), LOGITS, CLASSES),
        lambda w: sk.recall_score(CLASSES, CHOSEN, sample_weight=w, average="macro"),
    ),
    "macro f1": (
        metrics.F1(),
        LOGITS,
        CLASSES,
        lambda w: sk.f1_score(CLASSES, CHOSEN, sample_weight=w, average="macro"),
    ),
    "confusion": (
        *(metrics.get("confusion_matrix"), LOGITS, CLASSES),
        lambda w: sk.confusion_matrix(CLASSES, CHOSEN, sample_weight=w),
    ),
    "confusion binary": (
        *(metrics.ConfusionMatrix(), SINGLE, BITS),
        lambda w: sk.confusion_matrix(BITS, TAKEN, sample_weight=w),
    ),
    "iou": (metrics.get("iou"), SINGLE, BITS, lambda w: sk.jaccard_score(BITS, TAKEN, sample_weight=w)),
    "iou of several": (
        *(metrics.IoU(), LOGITS, CLASSES),
        lambda w: sk.jaccard_score(CLASSES, CHOSEN, sample_weight=w, average="macro"),
    ),
    "mean iou": (
        *(metrics.get("mean_iou"), SINGLE, BITS),
        lambda w: sk.jaccard_score(BITS, TAKEN, sample_weight=w, average="macro"),
    ),
    "mean iou of binary pixels": (
        *(metrics.MeanIoU(), SINGLE.reshape(10, 2, 3, 1).repeat(6, 0), BITS.reshape(10, 2, 3).repeat(6, 0)),
        lambda w: sk.jaccard_score(
            *(a.reshape(10, 6).repeat(6, 0).reshape(-1) for a in (BITS, TAKEN)),
            sample_weight=w.repeat(6),
            average="macro",
        ),
    ),
    "class iou": (
        *(metrics.get("class_iou"), LOGITS, CLASSES),
        lambda w: sk.jaccard_score(CLASSES, CHOSEN, sample_weight=w, average=None),
    ),
    "dice": (metrics.get("dice"), SINGLE, BITS, lambda w: sk.f1_score(BITS, TAKEN, sample_weight=w)),
    "class dice": (
        *(metrics.get("class_dice"), LOGITS, CLASSES),
        lambda w: sk.f1_score(CLASSES, CHOSEN, sample_weight=w, average=None),
    ),
    "accuracy ignoring": (
        *(metrics.Accuracy(ignore=255), LOGITS, np.where(CLASSES == 3, 255, CLASSES).astype(np.uint8)),
        lambda w: sk.accuracy_score(CLASSES, CHOSEN, sample_weight=w * (CLASSES != 3)),
    ),
    "iou ignoring": (
        *(metrics.ClassIoU(ignore=-1), LOGITS, np.where(CLASSES == 3, -1, CLASSES)),
        lambda w: sk.jaccard_score(CLASSES, CHOSEN, sample_weight=w * (CLASSES != 3), average=None),
    ),
    "roc auc": (metrics.get("roc_auc"), SINGLE, BITS, lambda w: sk.roc_auc_score(BITS, SINGLE, sample_weight=w)),
    "roc auc with ties": (
        *(metrics.RocAuc(), np.round(SINGLE)[:, None], BITS[:, None]),
        lambda w: sk.roc_auc_score(BITS, np.round(SINGLE), sample_weight=w),
    ),
    "roc auc of two logits": (
        *(metrics.RocAuc(), LOGITS[:, :2], BITS),
        lambda w: sk.roc_auc_score(BITS, LOGITS[:, 1] - LOGITS[:, 0], sample_weight=w),
    ),
    "roc auc of several": (
        *(metrics.RocAuc(), LOGITS, np.eye(K)[CLASSES]),
        lambda w: sk.roc_auc_score(CLASSES, SHARES, multi_class="ovr", average="macro", sample_weight=w),
    ),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("metric", "outputs", "targets", "oracle"), CASES.values(), ids=CASES.keys())
def test_scikit_learn_agrees(
    metric: metrics.Metric, outputs: np.ndarray, targets: np.ndarray, oracle: Callable, weighted: bool
) -> None:
    w = RNG.integers(0, 4, N) / 2 if weighted else np.ones(N)
    expected = oracle(w)
    assert isinstance(metric, (StreamingMetric, metrics.WholeSetMetric))
    np.testing.assert_allclose(metric.compute(outputs, targets, w), expected, rtol=1e-9, atol=1e-12)
    if not weighted:
        np.testing.assert_allclose(metric.compute(outputs, targets), expected, rtol=1e-9, atol=1e-12)


STREAMING = {name: case for name, case in CASES.items() if isinstance(case[0], StreamingMetric)}


@pytest.mark.parametrize("name", STREAMING)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_sums_add_up_over_batches(name: str, data: st.DataObject) -> None:
    metric, outputs, targets, _ = STREAMING[name]
    assert isinstance(metric, StreamingMetric)
    cuts = sorted(data.draw(st.sets(st.integers(1, N - 1), max_size=4)))
    weights = np.array(data.draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=N, max_size=N)))
    bounds = list(zip([0, *cuts], [*cuts, N]))
    total = sum(metric.sums(outputs[a:b], targets[a:b], weights[a:b]).numpy() for a, b in bounds)
    whole = metric.sums(outputs, targets, weights)
    assert whole.dtype == np.float64
    assert whole.ndim == 1
    np.testing.assert_allclose(total, whole.numpy(), rtol=1e-9)
    np.testing.assert_allclose(metric.finish(np.asarray(total)), metric.finish(whole.numpy()), rtol=1e-6)


@pytest.mark.parametrize(("metric", "outputs", "targets", "_"), STREAMING.values(), ids=STREAMING.keys())
def test_sums_compile(metric: StreamingMetric, outputs: np.ndarray, targets: np.ndarray, _: object) -> None:
    args = outputs.astype(np.float32), targets, np.ones(N, np.float32)
    np.testing.assert_allclose(gl.jit(metric.sums)(*args).numpy(), metric.sums(*args).numpy(), rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30).filter(
        lambda rows: len({p for _, p, w in rows if w}) == 2
    )
)
def test_roc_auc_counts_pairs(rows: list[tuple[int, bool, int]]) -> None:
    """The definition itself: over all pairs, with ties for one half."""
    won = mass = 0.0
    for s, positive, w in rows:
        for t, other, v in rows:
            if positive and not other:
                won += w * v * (1.0 if s > t else 0.5 if s == t else 0.0)
                mass += w * v
    scores, labels, weights = (np.array(column, float) for column in zip(*rows))
    assert metrics.RocAuc().compute(scores, labels, weights) == pytest.approx(won / mass, rel=1e-12)


WITHOUT_NAN = ("confusion_matrix", "precision", "recall", "f1", "iou", "dice", "class_iou", "class_dice")
"""Metrics that are 0 (or an array) where there is no weight at all."""


def test_special_cases() -> None:
    ones = np.ones(5)
    assert np.isnan(metrics.RocAuc().compute(ones, np.ones(5, int)))
    assert np.isnan(metrics.RocAuc().compute(np.ones((5, 3)), np.zeros(5, int)))
    # A class that nobody has is left out of the mean.
    absent = np.where(CLASSES == 3, 0, CLASSES)
    expected = np.mean([sk.roc_auc_score(absent == k, SHARES[:, k]) for k in range(3)])
    assert metrics.RocAuc().compute(LOGITS, absent) == pytest.approx(expected)
    # A constant target.
    for constant in (0.0, 0.1, 1e6 / 3):
        assert metrics.R2().compute(np.full(7, constant), np.full(7, constant)) == 1
        assert metrics.R2().compute(np.full(7, constant) + 1, np.full(7, constant)) == 0
    # Nothing chosen, nothing there.
    assert metrics.Precision().compute(-ones, np.ones(5)) == 0
    assert metrics.Recall().compute(ones, np.zeros(5)) == 0
    # No weight at all.
    for name in metrics.NAMES:
        metric = metrics.get(name)
        if isinstance(metric, StreamingMetric) and name not in WITHOUT_NAN:
            shape = (5, 6) if name.startswith("top") else (5,)
            targets = np.zeros(5, int) if name.startswith("top") else ones
            assert np.isnan(metric.compute(np.ones(shape), targets, np.zeros(5))), name


def test_a_constant_model_is_not_in_the_top() -> None:
    """With all logits level a class must not count as found only because none is above it."""
    assert metrics.TopK(2).compute(np.zeros((4, 4)), np.arange(4)) == 0.5


def test_names_and_directions() -> None:
    falls = {name for name, metric in metrics.NAMES.items() if not metric.higher_is_better}
    assert falls == {"error_rate", "mse", "rmse", "mae"}
    assert all(metrics.get(name).name == name for name in metrics.NAMES)
    assert metrics.TopK(7).name == "top_7"


@pytest.mark.parametrize(
    "metric", [*metrics.NAMES.values(), metrics.TopK(2), metrics.F1("macro", threshold=0.3)], ids=repr
)
def test_description_round_trip(metric: metrics.Metric) -> None:
    assert metrics.build(json.loads(json.dumps(metrics.describe(metric)))) == metric


def message(error: type[GradloomError], act: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def test_golden_errors() -> None:
    ones = np.ones
    assert message(UnknownNameError, lambda: metrics.get("acuracy")).startswith(
        "metrics.get: no metric has this name; got 'acuracy'. Did you mean 'accuracy'? Known: accuracy, "
    )
    assert message(ShapeError, lambda: metrics.Accuracy().sums(ones((4, 1)), ones((4, 2)))) == (
        "Accuracy: one logit an example needs one target an example; got outputs float64[4,1] and targets "
        "float64[4,2]. Targets are 0 or 1, shape (n,) or (n, 1)."
    )
    assert message(ShapeError, lambda: metrics.TopK(5).sums(ones((4, 3)), ones(4, int))) == (
        "TopK: there must be at least k classes; got float64[4,3]. Use a smaller k than 5."
    )
    assert message(ShapeError, lambda: metrics.MSE().sums(ones((4, 1)), ones(4))).startswith("MSE: outputs and targets")
    assert message(ShapeError, lambda: metrics.RMSE().sums(ones(4), ones(4), ones(3))) == (
        "RMSE: there must be one weight for each example; got weights float64[3] for 4 examples"
    )
    assert message(OptionError, lambda: metrics.Precision("binary").sums(ones((4, 3)), ones(4, int))) == (
        "Precision: a binary average needs 2 classes; got 3. Use average='macro'."
    )
    assert message(OptionError, lambda: metrics.Accuracy(1.0)) == "Accuracy: threshold lies between 0 and 1; got 1.0"
    assert "targets are class indices or one-hot" in message(
        ShapeError, lambda: metrics.RocAuc().compute(ones((4, 3)), ones((4, 2)))
    )
