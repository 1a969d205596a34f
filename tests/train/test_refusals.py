"""What the trainer refuses, word by word: who, which rule, the values, the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from small_runs import CLASSES, FEATURES, ROWS, X, Y, Z, fit, network, trainer

from gradloom import nn, train
from gradloom.errors import DataError, GradloomError, OptionError, ShapeError, UnknownNameError
from gradloom.train.examples import as_examples
from gradloom.train.weighting import with_class_weights


def with_one(value: float, place: tuple[int, ...], array: np.ndarray = X) -> np.ndarray:
    changed = array.astype(np.float64)
    changed[place] = value
    return changed


def trained() -> train.Trainer:
    run = trainer()
    fit(run)
    return run


FINITE = "Impute or drop missing values, and find out where infinities come from."
PARTS = "a data set is (inputs, targets) or (inputs, targets, weights)"
ONES = np.ones(ROWS)

REFUSALS: dict[str, tuple[Callable[[], Any], type[GradloomError], str]] = {
    # The data
    "NaN": (
        lambda: fit(trainer(), data=(with_one(np.nan, (3, 1)), Y)),
        DataError,
        f"fit inputs: values must be finite; got nan at (3, 1) (1 such values). {FINITE}",
    ),
    "infinity in targets": (
        lambda: fit(trainer(nn.Sequential(nn.Dense(1)), loss="mse"), data=(X, with_one(-np.inf, (7,), Z))),
        DataError,
        f"fit targets: values must be finite; got -inf at (7,) (1 such values). {FINITE}",
    ),
    "NaN in validation": (
        lambda: fit(trainer(), validation=(with_one(np.nan, (0, 0)), Y)),
        DataError,
        f"validation inputs: values must be finite; got nan at (0, 0) (1 such values). {FINITE}",
    ),
    "beyond float32": (
        lambda: fit(trainer(), data=(with_one(1e300, (2, 0)), Y)),
        DataError,
        "fit inputs: values must be within the range of float32; got 1e+300 at (2, 0) (1 such values). "
        "Scale them first, e.g. with data.Standardize.",
    ),
    "a function": (
        lambda: fit(trainer(), data=lambda: iter([])),
        DataError,
        f"fit: {PARTS}; got function. Chunks that come one after the other are train.Stream(function).",
    ),
    "nothing": (
        lambda: fit(trainer(), data=(X[:0], Y[:0])),
        DataError,
        "fit inputs: at least one row is needed; got shape (0, 4)",
    ),
    "a single number": (
        lambda: fit(trainer(), data=(1.0, 2.0)),
        DataError,
        "fit inputs: at least one row is needed; got shape ()",
    ),
    "lengths": (
        lambda: fit(trainer(), data=(X, Y[:-1])),
        ShapeError,
        "fit: inputs, targets and weights must have equal lengths; got 37, 36 and 37",
    ),
    "text": (
        lambda: fit(trainer(), data=(np.full((5, 2), "blue"), Y[:5])),
        DataError,
        "fit inputs: values must be numbers; got <U4. Encode text first, e.g. with data.pipeline.",
    ),
    "labels as text": (
        lambda: fit(trainer(), data=(X[:2], ["a", "b"])),
        DataError,
        "fit targets: values must be numbers; got <U1. Encode text first, e.g. with data.pipeline.",
    ),
    "dates": (
        lambda: fit(trainer(), data=(np.full((5, 2), "2020-01-01", "M8[D]"), Y[:5])),
        DataError,
        "fit inputs: values must be numbers; got datetime64[D]. Encode text first, e.g. with data.pipeline.",
    ),
    "rows of different lengths": (
        lambda: fit(trainer(), data=([[1.0, 2.0], [3.0]], [0, 1])),
        DataError,
        "fit inputs: all rows must have one shape; got a row of length 2 beside a row of length 1. "
        "Fill up the short rows, or cut the long ones.",
    ),
    "inputs alone": (lambda: trainer().fit(X), DataError, f"fit: {PARTS}; got ndarray"),
    "four parts": (lambda: trainer().fit((X, Y, ONES, ONES)), DataError, f"fit: {PARTS}; got tuple of 4"),
    "no targets": (
        lambda: trainer().fit((X, None)),
        DataError,
        "fit: training and evaluation need targets; got none",
    ),
    "negative weights": (
        lambda: fit(trainer(), data=(X, Y, -ONES)),
        DataError,
        "fit weights: weights must not be negative, nor all zero; got least -1",
    ),
    "weights of 0": (
        lambda: fit(trainer(), data=(X, Y, 0 * ONES)),
        DataError,
        "fit weights: weights must not be negative, nor all zero; got least 0",
    ),
    "a table of weights": (
        lambda: fit(trainer(), data=(X, Y, np.ones((ROWS, 1)))),
        ShapeError,
        "fit weights: there must be one weight for each example; got shape (37, 1)",
    ),
    "a label too many": (
        lambda: fit(trainer(), data=(X, np.where(np.arange(ROWS) == 5, 3, Y))),
        DataError,
        "fit targets: class indices go from 0 to 2, for the model has 3 outputs; got 3 at index 5. "
        "Count classes from 0, and give the last layer one unit for each.",
    ),
    "a label in validation": (
        lambda: fit(trainer(), validation=(X, Y - 9)),
        DataError,
        f"validation targets: class indices go from 0 to 2, for the model has 3 outputs; got {Y[0] - 9} at index 0. "
        "Count classes from 0, and give the last layer one unit for each.",
    ),
    "classes for a binary loss": (
        lambda: fit(trainer(nn.Sequential(nn.Dense(1)), loss="binary_cross_entropy"), data=(X, 2 * ONES)),
        DataError,
        "fit targets: binary targets are 0 or 1; got 2.0 at index 0. For more classes use the loss 'cross_entropy'.",
    ),
    "validation of another width": (
        lambda: fit(trainer(), validation=(X[:, :2], Y)),
        DataError,
        "validation: each example must have the shape that the model was trained on; got (2,), not (4,). "
        "Prepare the inputs as those of training were.",
    ),
    "validation with other targets": (
        lambda: fit(trainer(), validation=(X, np.eye(CLASSES)[Y])),
        ShapeError,
        "validation: validation targets must be shaped as those of training; got (3,) and () an example",
    ),
    "all held out": (
        lambda: fit(trainer(), validation=1.0),
        OptionError,
        "fit: validation as a number is the share, between 0 and 1, of at least 2 examples; got 1.0 of 37",
    ),
    # The options of fit
    "a large batch": (
        lambda: fit(trainer(), batch_size=38),
        OptionError,
        "fit: a batch must not be larger than the data; got batch_size 38 for 37 examples. Use at most 37, or 'auto'.",
    ),
    "no batch": (
        lambda: fit(trainer(), batch_size=0),
        OptionError,
        "fit: batch_size is a whole number from 1; got 0. Use 1 or a larger whole number.",
    ),
    "half a batch": (
        lambda: fit(trainer(), batch_size=2.5),
        OptionError,
        "fit: batch_size is a whole number from 1; got 2.5. Use 1 or a larger whole number.",
    ),
    "batch size in words": (
        lambda: fit(trainer(), batch_size="atuo"),
        OptionError,
        "fit: no such batch_size; got 'atuo'. Did you mean 'auto'? Known: auto.",
    ),
    "no epochs": (
        lambda: fit(trainer(), epochs=0),
        OptionError,
        "fit: epochs is a whole number from 1; got 0. Use 1 or a larger whole number.",
    ),
    "epochs yes": (
        lambda: fit(trainer(), epochs=True),
        OptionError,
        "fit: epochs is a whole number from 1; got True. Use 1 or a larger whole number.",
    ),
    "progress": (
        lambda: fit(trainer(), progress="baar"),
        OptionError,
        "fit: no such progress; got 'baar'. Did you mean 'bar'? Known: auto, bar, lines, silent.",
    ),
    # The trainer
    "loss": (
        lambda: trainer(loss="cross_entrpy"),
        UnknownNameError,
        "losses.get: no loss has this name; got 'cross_entrpy'. Did you mean 'cross_entropy'? Known: absolute_error, "
        "binary_cross_entropy, binary_dice, binary_focal, binary_iou, binary_tversky, cross_entropy, dice, focal, "
        "half_squared_error, huber, iou, mae, mse, squared_error, sum_squared_error, tversky.",
    ),
    "metric": (
        lambda: trainer(metrics=["acuracy"]),
        UnknownNameError,
        "metrics.get: no metric has this name; got 'acuracy'. Did you mean 'accuracy'? Known: accuracy, "
        "class_dice, class_iou, confusion_matrix, dice, error_rate, f1, iou, mae, mean_iou, mse, precision, r2, "
        "recall, rmse, roc_auc, top_3, top_5.",
    ),
    "one metric": (
        lambda: trainer(metrics="accuracy"),
        OptionError,
        "Trainer: metrics is a list; got 'accuracy'. Put it in brackets.",
    ),
    "a metric twice": (
        lambda: trainer(metrics=["mse", "mse"]),
        OptionError,
        "Trainer: no two metrics can have the same name; got mse, mse",
    ),
    "optimiser": (
        lambda: trainer(optimizer="adam"),
        OptionError,
        "Trainer: optimizer is an optimiser, such as optim.Adam(1e-3); got 'adam'",
    ),
    "model": (
        lambda: train.Trainer([nn.Dense(3)]),  # type: ignore[arg-type]
        OptionError,
        "Trainer: model is a Module, such as nn.Sequential(nn.Dense(10)); got [Dense(units=3, activation=None, "
        "bias=True, init='glorot_uniform', bias_init='zeros')]",
    ),
    "seed": (
        lambda: trainer(seed=-1),
        OptionError,
        "Trainer: seed is a whole number from 0; got -1. Use 0 or a larger whole number.",
    ),
    "a large seed": (
        lambda: fit(trainer(seed=2**64)),
        OptionError,
        f"random.key: the seed is a whole number from 0 to 2^64 - 1; got {2**64}. Bring it into range, "
        "e.g. with int(seed) % 2**64.",
    ),
    "negative penalty": (
        lambda: trainer(l1=-1),
        OptionError,
        "Trainer: l1 must not be negative; got -1. Use 0 for no penalty, or a small number such as 0.0001.",
    ),
    "penalty NaN": (lambda: trainer(l2=np.nan), OptionError, "Trainer: l2 is a finite number; got nan"),
    "executor": (
        lambda: trainer(executor="referenz"),
        UnknownNameError,
        "executor: no executor has this name; got 'referenz'. Did you mean 'reference'? Known: native, reference.",
    ),
    "class weight in words": (
        lambda: trainer(class_weight="ballanced"),
        OptionError,
        "class_weight: it is None, 'balanced' or a dict of a weight for each class; got 'ballanced'",
    ),
    "negative class weight": (
        lambda: trainer(class_weight={0: 1, 1: -2}),
        OptionError,
        "class_weight: weights are finite and not negative; got -2 for class 1",
    ),
    "class without weight": (
        lambda: fit(trainer(class_weight={0: 1.0, 2: 1.0})),
        OptionError,
        "class_weight: every class needs a weight; got none for [1]",
    ),
    "all classes without weight": (
        lambda: fit(trainer(class_weight={0: 0, 1: 0, 2: 0})),
        DataError,
        "class_weight: some example must have a weight above 0; got 0 for all classes there",
    ),
    "class weights for numbers": (
        lambda: fit(trainer(nn.Sequential(nn.Dense(1)), loss="mse", class_weight="balanced"), data=(X, Z)),
        DataError,
        "class_weight: class weights need one class index from 0 for each example; got targets float32[37]",
    ),
    # Use
    "prediction before training": (
        lambda: trainer().predict(X),
        OptionError,
        "predict: the model must be trained or loaded first; got a model without parameters. "
        "Call fit before, or load a model file.",
    ),
    "evaluation before training": (
        lambda: trainer().evaluate((X, Y)),
        OptionError,
        "evaluate: the model must be trained or loaded first; got a model without parameters. "
        "Call fit before, or load a model file.",
    ),
    "saving before training": (
        lambda: trainer().save("m"),
        OptionError,
        "save: the model must be trained first; got a model without parameters. Call fit before.",
    ),
    "prediction of another width": (
        lambda: trained().predict(X[:, :2]),
        DataError,
        "predict: each example must have the shape that the model was trained on; got (2,), not (4,). "
        "Prepare the inputs as those of training were.",
    ),
    "a single example": (
        lambda: trained().predict(X[0]),
        DataError,
        "predict: each example must have the shape that the model was trained on; got (), not (4,). "
        "Prepare the inputs as those of training were.",
    ),
    "evaluation of another label": (
        lambda: trained().evaluate((X, Y + 7)),
        DataError,
        f"evaluate targets: class indices go from 0 to 2, for the model has 3 outputs; got {Y[0] + 7} at index 0. "
        "Count classes from 0, and give the last layer one unit for each.",
    ),
    "other data after training": (
        lambda: fit(trained(), data=(X[:, :2], Y)),
        DataError,
        "fit: each example must have the shape that the model was trained on; got (2,), not (4,). "
        "Prepare the inputs as those of training were.",
    ),
    "a table without preprocessing": (
        lambda: trained().predict_table(None),  # type: ignore[arg-type]
        OptionError,
        "predict_table: the model must have been trained from a table; got no preprocessing. "
        "Prepare the inputs as those of training were, and call predict.",
    ),
    # The network
    "too few outputs": (
        lambda: fit(trainer(nn.Sequential(nn.Dense(1))), data=(X, Y * 0)),
        ShapeError,
        "CrossEntropy: logits are (examples, classes) with at least 2 classes; got float32[8]. "
        "For two classes and a single output use BinaryCrossEntropy.",
    ),
    "softmax twice": (
        lambda: fit(trainer(nn.Sequential(nn.Dense(3, activation="softmax")))),
        OptionError,
        "CrossEntropy: the loss takes logits and applies the softmax itself; got the output of a softmax made in "
        "Sequential/layers.0/activation. Remove the softmax after the last layer.",
    ),
    "fewer outputs than examples": (
        lambda: fit(trainer(_Sums(), loss="mse"), data=(X, Z)),
        ShapeError,
        "train: the model must give one output an example; got float32[4] for targets float32[8]",
    ),
}


class _Sums(nn.Module):
    """Forgets which example is which."""

    weight: Any

    def build(self, x: Any) -> None:
        self.add_parameter("weight", (FEATURES,), nn.init.get("zeros"))

    def forward(self, x: Any) -> Any:
        return (x * self.weight).sum(0)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name: str):
    act, error, message = REFUSALS[name]
    with pytest.raises(error) as caught:
        act()
    assert str(caught.value) == message


def test_a_refusal_leaves_the_run_as_it_was():
    run = trained()
    before = run.evaluate((X, Y))
    for data in ((X, Y + 9), (X[:, :2], Y), (X, Y[:3])):
        with pytest.raises(GradloomError):
            fit(run, data=data)
    assert (run.epoch, run.evaluate((X, Y))) == (1, before)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_balanced_class_weights_are_those_of_scikit_learn(shape: tuple[int, ...]):
    labels = np.repeat([0, 2, 5], [20, 10, 7])  # classes 1, 3 and 4 do not occur
    wanted = compute_class_weight("balanced", classes=np.array([0, 2, 5]), y=labels)
    found = with_class_weights(as_examples((X, labels.reshape(shape), 2 * ONES), "test"), "balanced").weights
    np.testing.assert_allclose(found, 2 * np.repeat(wanted, [20, 10, 7]), rtol=1e-6)


def test_class_weights_are_weights_of_examples():
    weights = {0: 1.0, 1: 0.25, 2: 3.0}
    by_class, by_example = trainer(class_weight=weights), trainer()
    fit(by_class, 2)
    fit(by_example, 2, data=(X, Y, [weights[y] for y in Y]))
    np.testing.assert_array_equal(by_class.predict(X), by_example.predict(X))
    assert by_class.history.rows == by_example.history.rows


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("float64", "float32"),
        ("float16", "float32"),
        ("int8", "int64"),
        ("uint16", "int64"),
        ("uint8", "uint8"),
        ("bool", "int64"),
    ],
)
def test_data_types_of_examples(dtype: str, kept: str):
    found = as_examples((np.ones((3, 2), dtype), [0, 1, 0]), "test")
    assert found.inputs.dtype == kept
    assert (found.targets.dtype, found.weights.dtype) == ("int64", "float32")


def test_lists_frames_and_tensors_are_data():
    import pandas as pd
    import polars as pl

    import gradloom as gl

    columns = {f"x{i}": X[:, i] for i in range(FEATURES)}
    expected = trained().history.rows
    for inputs in (X.tolist(), gl.tensor(X), pd.DataFrame(columns), pl.DataFrame(columns)):
        run = trainer(network())
        fit(run, data=(inputs, Y.tolist()))
        assert run.history.rows == expected
