"""A network that predicts numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from gradloom.errors import ShapeError
from gradloom.estimators.base import NeuralEstimator, examples_of, identity, moments
from gradloom.records import dataclass


@dataclass(eq=False, repr=False)
class NeuralRegressor(RegressorMixin, NeuralEstimator):
    """A regressor: linear outputs and squared error, of one target or several.

    Args:
        standardize_target: whether the network learns targets of mean 0 and deviation 1; predictions have their own
            units again.
        options: those of :class:`gradloom.estimators.base.NeuralEstimator`.

    Attributes:
        trainer_: the :class:`gradloom.train.Trainer`.
        n_iter_: epochs trained.
        loss_: the last loss, of standardised targets; ``loss_curve_`` has all.
        mean_, scale_: of the features; ``target_mean_``, ``target_scale_`` of the targets.
    """

    standardize_target: bool = True

    @property
    def _loss(self) -> str:
        return "squared_error"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train.

        Args:
            X: features, shape (rows, features).
            y: targets, shape (rows,) or (rows, targets).
            sample_weight: how much each row counts.
            validation: (X, y) to watch in place of a share of the rows.
        """
        goes_on = self._goes_on()
        x, targets = self._checked(X, y, reset=not goes_on)
        weights = self._weights(sample_weight, x)
        if not goes_on:
            self._begin(x, targets, weights)
        held = None
        if validation is not None:
            held = self._checked(*validation, reset=False)
            held = held[0], self._targets(held[1])
        self._train(x, self._targets(targets), weights, held)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Pass over some more rows once; all keep the scales of the first call (catalogue 101, 219)."""
        first = not hasattr(self, "trainer_")
        x, targets = self._checked(X, y, reset=first)
        weights = self._weights(sample_weight, x)
        if first:
            self._begin(x, targets, weights)
        data = self._scaled(x), self._targets(targets), weights
        self.trainer_.fit(data, epochs=1, batch_size=self._batch(len(x)), progress="silent")
        self._learnt()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The targets of rows, shaped as in ``fit``."""
        found = self._outputs(X) * self.target_scale_ + self.target_mean_
        return found[:, 0] if self._is_single else found

    def __sklearn_tags__(self) -> Any:
        """Several targets are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        return examples_of(self, X, y, reset=reset, multi_output=True, y_numeric=True)

    def _begin(self, x: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        self._is_single = targets.ndim == 1
        columns = targets.reshape(len(targets), -1).astype(x.dtype)
        scales = moments(columns, weights) if self.standardize_target else identity(columns)
        self.target_mean_, self.target_scale_ = scales
        self._start(x, weights, columns.shape[1])

    def _targets(self, targets: np.ndarray) -> np.ndarray:
        columns = targets.reshape(len(targets), -1)
        if columns.shape[1] != len(self.target_mean_):
            raise ShapeError(
                type(self).__name__,
                rule="later targets must be as many as the first",
                got=f"{columns.shape[1]}, not {len(self.target_mean_)}",
                fix="Fit a new estimator for other targets.",
            )
        return ((columns - self.target_mean_) / self.target_scale_).astype(self.trainer_.dtype)
