"""Evaluation in batches is evaluation at once; predictions from tables come in the target's own terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, r2_score, roc_auc_score
from small_runs import CLASSES, FEATURES, X, Y, fit, network, tensors, trainer

from gradloom import data, nn, optim, train
from gradloom.data.pipeline import TablePipeline
from gradloom.data.table import Table
from gradloom.data.target import TargetPipeline
from gradloom.errors import DataError
from gradloom.nn import losses
from gradloom.train import measuring
from gradloom.train.measuring import EVALUATION_BATCH
from gradloom.train.preprocessing import probabilities_of

ROWS = 2 * EVALUATION_BATCH + 137
_rng = np.random.default_rng(1)
MANY = _rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
LABELS = _rng.integers(0, CLASSES, ROWS)
WEIGHTS = _rng.random(ROWS)


def test_many_examples_are_measured_as_at_once():
    run = trainer(network(deep=True), metrics=["accuracy", "roc_auc", "confusion_matrix"])
    fit(run, 2)
    found = run.evaluate((MANY, LABELS, WEIGHTS))
    logits = run.predict(MANY).astype(np.float64)
    log_p, chosen = log_softmax(logits, 1), logits.argmax(1)
    assert found["loss"] == pytest.approx(np.average(-log_p[np.arange(ROWS), LABELS], weights=WEIGHTS), rel=1e-6)
    assert found["accuracy"] == pytest.approx(accuracy_score(LABELS, chosen, sample_weight=WEIGHTS), rel=1e-6)
    table = confusion_matrix(LABELS, chosen, sample_weight=WEIGHTS)
    np.testing.assert_allclose(found["confusion_matrix"], table, rtol=1e-5)
    areas = [roc_auc_score(k == LABELS, softmax(logits, 1)[:, k], sample_weight=WEIGHTS) for k in range(CLASSES)]
    assert found["roc_auc"] == pytest.approx(np.mean(areas), rel=1e-6)


def test_a_quantity_is_measured_as_at_once():
    run = trainer(nn.Sequential(nn.Dense(1)), loss="mse", metrics=["r2", "rmse"])
    truth = MANY[:, 0] + 0.1 * MANY[:, 1]
    fit(run, 1, data=(MANY, truth), batch_size=64)
    guessed = run.predict(MANY)[:, 0]
    found = run.evaluate((MANY, truth))
    assert found["r2"] == pytest.approx(r2_score(truth, guessed), rel=1e-5)
    assert found["loss"] == pytest.approx(((truth - guessed) ** 2).mean(), rel=1e-5)
    assert found["rmse"] ** 2 == pytest.approx(found["loss"], rel=1e-5)


def test_predictions_do_not_depend_on_who_else_is_there():
    run = trainer(network(deep=True))
    fit(run)
    together = run.predict(MANY)
    assert together.shape == (ROWS, CLASSES)
    for row in (0, EVALUATION_BATCH, ROWS - 1):
        np.testing.assert_allclose(run.predict(MANY[row : row + 1])[0], together[row], rtol=1e-5, atol=1e-6)


def test_large_examples_come_in_smaller_calls(monkeypatch: pytest.MonkeyPatch):
    run = trainer(network(deep=True), metrics=["accuracy"])
    fit(run, 1)
    at_once, outputs = run.evaluate((X, Y)), run.predict(X)
    monkeypatch.setattr(measuring, "EVALUATION_ELEMENTS", 5 * FEATURES)
    assert [count for _, count in measuring.whole_batches(X[:7])] == [4, 3]
    assert [count for _, count in measuring.whole_batches(np.zeros((3, 99 * FEATURES)))] == [1, 1, 1]
    assert run.evaluate((X, Y)) == pytest.approx(at_once, rel=1e-6)
    np.testing.assert_allclose(run.predict(X), outputs, rtol=1e-5, atol=1e-6)


def test_measuring_and_predicting_change_nothing():
    run = trainer(network(deep=True))
    fit(run)
    before = [t.tobytes() for t in tensors(run)]
    run.evaluate((MANY, LABELS))
    run.predict(MANY)
    assert [t.tobytes() for t in tensors(run)] == before


def test_the_row_of_an_epoch():
    """Numbers alone, and what needs all outputs at once only for validation."""
    run = trainer(metrics=["accuracy", "confusion_matrix", "roc_auc"])
    row = fit(run, validation=(X, Y)).rows[0]
    assert list(row) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc"]
    assert row["epoch"] == 1
    measured = run.evaluate((X, Y))
    assert (row["val_loss"], row["val_roc_auc"]) == (measured["loss"], measured["roc_auc"])
    assert measured["confusion_matrix"].sum() == len(X)


def test_metrics_of_training_are_those_before_each_update():
    """With a rate of 0 nothing is updated, so they are those of the evaluation."""
    run = trainer(metrics=["accuracy"], optimizer=optim.SGD(0.0))
    row = fit(run).rows[0]
    measured = run.evaluate((X, Y))
    assert row["accuracy"] == measured["accuracy"]
    assert row["loss"] == pytest.approx(measured["loss"], rel=1e-6)


def test_probabilities_of_outputs():
    z = _rng.normal(size=(5, 3)) * 300
    np.testing.assert_allclose(probabilities_of(z), softmax(z, 1))
    for single in (z[:, 0], z[:, :1]):
        np.testing.assert_allclose(probabilities_of(single)[:, 1], expit(z[:, 0]), atol=1e-15)
        np.testing.assert_allclose(probabilities_of(single).sum(1), 1)
    p = np.array([[0.25], [1.0]])
    np.testing.assert_array_equal(probabilities_of(p, from_logits=False), [[0.75, 0.25], [0.0, 1.0]])


# Tables ---------------------------------------------------------------------------------------------------------


def table_of(task: str) -> Table:
    """90 flowers whose kind, or weight, follows from width and colour; some widths are missing."""
    rng = np.random.default_rng(3)
    width = rng.normal(size=90)
    blue = rng.integers(0, 2, 90)
    truth = {
        "regression": 50 + 10 * (width + blue),
        "binary": np.where(width + blue > 0.5, "iris", "rose"),
        "multiclass": np.array(["aster", "iris", "rose"])[np.digitize(width + blue, [0, 1])],
    }[task]
    width[:3] = np.nan
    return _loaded({"width": width, "colour": np.array(["red", "blue"])[blue], "truth": truth})


def _loaded(columns: dict[str, np.ndarray]) -> Table:
    found = data.load(columns)
    assert isinstance(found, Table)
    return found


def run_on(table: Table, task: str, *, squashed: bool = False) -> train.Trainer:
    """A run as the command line makes it; ``squashed`` ends in probabilities."""
    features = TablePipeline.fit(table, target="truth")
    target = TargetPipeline.fit(table["truth"])
    assert target.task == task
    loss = {"regression": "mse", "multiclass": "cross_entropy", "binary": "binary_cross_entropy"}[task]
    outputs = len(target.classes) if task == "multiclass" else 1
    run = train.Trainer(
        nn.Sequential(nn.Dense(outputs, activation="sigmoid" if squashed else None)),
        losses.BinaryCrossEntropy(from_logits=False) if squashed else loss,
        optim.Adam(0.05),
        preprocessing=train.Preprocessing(features, target),
    )
    fit(run, 40, data=(features.transform(table), target.encode(table["truth"])))
    return run


CASES = [("regression", False), ("binary", False), ("binary", True), ("multiclass", False)]


@pytest.mark.parametrize(("task", "squashed"), CASES)
def test_a_table_comes_back_in_its_own_terms(task: str, squashed: bool, tmp_path: Path):
    table = table_of(task)
    run = run_on(table, task, squashed=squashed)
    run.save(tmp_path / "m")
    found = train.load(tmp_path / "m").predict_table(table)
    truth = table["truth"].values
    if task == "regression":
        assert found.probabilities is None
        assert found.classes == ()
        assert r2_score(truth, found.values) > 0.9
        return
    assert found.classes == tuple(sorted(set(truth)))
    assert found.probabilities is not None
    assert found.probabilities.shape == (90, len(found.classes))
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    assert list(found.values) == [found.classes[k] for k in found.probabilities.argmax(1)]
    assert (found.values == truth).mean() > 0.85


def test_columns_in_another_order_missing_and_more():
    table = table_of("binary")
    run = run_on(table, "binary")
    expected = run.predict_table(table)
    assert expected.notes == ()
    columns = {name: table[name].values for name in table.names}
    other = _loaded({"extra": np.arange(90.0), "colour": columns["colour"], "width": columns["width"]})
    found = run.predict_table(other)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.notes == ("Column 'extra' was not in the training table and is ignored.",)
    with pytest.raises(DataError, match="none called 'colour'"):
        run.predict_table(table.drop(["colour"]))
