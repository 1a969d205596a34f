"""What the estimators share: options, standardised inputs, a trainer, pickles that hold a model file.

scikit-learn asks that a constructor only keeps its arguments, which it reads from the signature, that ``fit`` checks
them and starts anew, and that what was learnt has a name ending in an underscore.  A dataclass does the first two.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gradloom import nn, optim, options, train
from gradloom.errors import OptionError
from gradloom.records import dataclass
from gradloom.train.examples import held_out
from gradloom.train.inputs import are_several

FULL_BATCH = 2000
"""Rows up to which an update sees all of them (catalogue 105).  Then a weight of 2 is exactly a row given twice."""

UPDATES, LEAST_EPOCHS = 1000, 60
"""As long as ``epochs`` is None: how many updates there are at least, and passes over the data."""

FLOATS = ("float64", "float32")


@dataclass(eq=False, repr=False)
class NeuralEstimator(BaseEstimator):
    """A network of dense layers, or a model of your own, behind scikit-learn's methods.

    Args:
        hidden: units of the hidden layers.
        activation: behind each of them.
        dropout: the rate behind each of them while training.
        model: None, or a function of the number of outputs that gives the network in place of the dense layers; it
            must be importable by name if the estimator is to be pickled or cloned.
        optimizer: a name or an optimiser.
        learning_rate: the learning rate or schedule, if the optimiser is a name.
        epochs: passes over the data; None for as many as make 1000 updates, at least 60.
        batch_size: rows an update; "auto" takes all up to 2000 rows, then powers of two from 64 to 512.
        l1: λ of λ Σ|w|.
        l2: λ of λ Σw².
        standardize: whether features get mean 0 and deviation 1, by the weighted rows of the first fit.
        validation_fraction: share of the rows that is held out for early stopping; 0 watches the training loss.
        patience: epochs without an improvement by ``tol`` before training stops; None never stops early.
        tol: smallest improvement of the watched loss that counts.
        warm_start: whether ``fit`` goes on from the weights of the last one.
        random_state: seed of first weights, order and dropout.
        verbose: whether progress is shown.
        executor: what runs the compiled steps.
    """

    hidden: Sequence[int] = (100,)
    _: KW_ONLY
    activation: str = "relu"
    dropout: float = 0.0
    model: Any = None
    optimizer: Any = "adam"
    learning_rate: Any = 0.01
    epochs: int | None = None
    batch_size: int | str = "auto"
    l1: float = 0.0
    l2: float = 0.0
    standardize: bool = True
    validation_fraction: float = 0.0
    patience: int | None = 50
    tol: float = 1e-5
    warm_start: bool = False
    random_state: Any = None
    verbose: bool = False
    executor: str = "native"

    @property
    def _loss(self) -> str:
        """The name of what is minimised."""
        raise NotImplementedError

    # Training ---------------------------------------------------------------------------------------------------

    def _start(self, x: np.ndarray, weights: np.ndarray, outputs: int) -> None:
        """A new network for so many outputs, and the scales of the inputs."""
        self.mean_, self.scale_ = moments(x, weights) if self.standardize else identity(x)
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.trainer_ = train.Trainer(
            self._network(outputs),
            self._loss,
            self.optimizer if isinstance(self.optimizer, optim.Optimizer) else self._optimizer(),
            seed=seed,
            l1=self.l1,
            l2=self.l2,
            dtype=x.dtype.name,
            executor=self.executor,
        )

    def _optimizer(self) -> optim.Optimizer:
        found = optim.get(self.optimizer)
        return optim.get(self.optimizer, self.learning_rate) if hasattr(found, "lr") else found

    def _network(self, outputs: int) -> nn.Module:
        if self.model is not None:
            return self.model(outputs)
        layers: list[nn.Module] = []
        for units in self.hidden:
            layers += [nn.Dense(units, activation=self.activation, init=init_for(self.activation))]
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers, nn.Dense(outputs))

    def _train(self, x: np.ndarray, targets: np.ndarray, weights: np.ndarray, validation: Any = None) -> None:
        """Train on checked rows until the epochs are done or the loss no longer falls."""
        held: Any = self.validation_fraction or None
        if validation is not None:
            held = (self._scaled(validation[0]), *validation[1:])
        rows = len(x) - (held_out(len(x), held) if validation is None and held is not None else 0)
        batch = self._batch(rows)
        column = "loss" if held is None else "val_loss"
        patient = [] if self.patience is None else [train.EarlyStopping(self.patience, monitor=column, margin=self.tol)]
        self.trainer_.fit(
            (self._scaled(x), targets, weights),
            validation=held,
            epochs=self._epochs(rows, batch),
            batch_size=batch,
            callbacks=patient,
            progress="auto" if self.verbose else "silent",
        )
        self._learnt()

    def _epochs(self, rows: int, batch: int) -> int:
        if self.epochs is not None:
            return options.whole(type(self).__name__, "epochs", self.epochs)
        return max(LEAST_EPOCHS, math.ceil(UPDATES * batch / rows))

    def _batch(self, rows: int) -> int:
        if self.batch_size != "auto":
            return min(options.whole(type(self).__name__, "batch_size", self.batch_size), rows)
        if rows <= FULL_BATCH:
            return rows
        return min(512, max(64, 1 << (rows // 100).bit_length() - 1))

    def _learnt(self) -> None:
        self.n_iter_ = self.trainer_.epoch
        self.loss_ = self.trainer_.history.rows[-1]["loss"]
        self.loss_curve_ = self.trainer_.history.column("loss")

    def _goes_on(self) -> bool:
        return self.warm_start and hasattr(self, "trainer_")

    def _weights(self, weights: Any, x: np.ndarray) -> np.ndarray:
        return _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)

    # Using ------------------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> np.ndarray:
        """What the network says of rows."""
        check_is_fitted(self)
        return self.trainer_.predict(self._scaled(rows_of(self, x, reset=False)))

    def _scaled(self, x: Any) -> np.ndarray:
        return ((np.asarray(x, self.trainer_.dtype) - self.mean_) / self.scale_).astype(self.trainer_.dtype)

    # Pickles ----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The trainer goes into a pickle as the bytes of its model file: compiled programs stay behind."""
        kept: Any = super().__getstate__()
        state = dict(kept)
        if "trainer_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.safetensors"
                state["trainer_"].save(path)
                state["trainer_"] = path.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The trainer from its model file."""
        kept = state.get("trainer_")
        if isinstance(kept, bytes):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.safetensors"
                path.write_bytes(kept)
                state = {**state, "trainer_": train.load(path, executor=state["executor"])}
        super().__setstate__(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trainer_")

    def save(self, path: str | Path) -> Self:
        """Write the network to a model file, as :meth:`gradloom.train.Trainer.save` does; it knows no scales."""
        check_is_fitted(self)
        self.trainer_.save(path)
        return self


def rows_of(estimator: BaseEstimator, x: Any, *, reset: bool) -> np.ndarray:
    """Checked features: float32 if they are that, else float64; ``reset`` where their number is learnt anew."""
    _refuse_several(estimator, x)
    found: Any = validate_data(estimator, x, dtype=FLOATS, reset=reset)
    return found


def examples_of(
    estimator: BaseEstimator, x: Any, y: Any, *, reset: bool, **checks: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Checked features, as in :func:`rows_of`, and targets."""
    _refuse_several(estimator, x)
    found: Any = validate_data(estimator, x, y, dtype=FLOATS, reset=reset, **checks)
    return found


def _refuse_several(estimator: BaseEstimator, x: Any) -> None:
    """scikit-learn's estimators take one matrix; a dict of arrays would only fail in its words."""
    if are_several(x):
        raise OptionError(
            type(estimator).__name__,
            rule="scikit-learn's estimators take one matrix of features",
            got=f"a {type(x).__name__} of {len(x)} arrays",
            fix="Train a network of several inputs with train.Trainer.",
        )


def moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and deviation of columns in float64; the deviation of a constant column is 1."""
    x, share = values.astype(np.float64), weights.astype(np.float64) / weights.sum(dtype=np.float64)
    mean = share @ x
    largest = np.abs(x - mean).max(0)
    unit = np.where(largest > 0, largest, 1.0)  # so that squares stay within the range of numbers
    deviation = unit * np.sqrt(share @ np.square((x - mean) / unit))
    tiny = 10 * np.finfo(values.dtype).eps * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
    return mean, np.where(deviation > tiny, deviation, 1.0)


def identity(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean 0 and scale 1 of columns: they stay as they are."""
    return np.zeros(values.shape[1:]), np.ones(values.shape[1:])


def init_for(activation: str) -> str:
    """He's initialiser for half-waves, Glorot's for the rest."""
    return "he_normal" if activation in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus") else "glorot_uniform"
