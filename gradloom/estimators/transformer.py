"""A network that learns features from rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from gradloom import nn
from gradloom.estimators.base import NeuralEstimator, init_for, rows_of
from gradloom.records import dataclass
from gradloom.train.measuring import Forward


@dataclass(eq=False, repr=False)
class NeuralTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralEstimator):
    """An autoencoder: rows through a few units and back again; the few units are the new features.

    Encoder and decoder have the ``hidden`` layers, the decoder in reverse; the code itself is linear.  Without hidden
    layers it finds the space of PCA (Baldi and Hornik, 1989), though not its axes.

    Args:
        components: features of the code.
        options: those of :class:`gradloom.estimators.base.NeuralEstimator`; ``model`` is not used.

    Source: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks" (2006).
    """

    components: int = 2

    @property
    def _loss(self) -> str:
        return "squared_error"

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn to give rows back.

        Args:
            X: features, shape (rows, features).
            y: not used.
            sample_weight: how much each row counts.
        """
        goes_on = self._goes_on()
        x = rows_of(self, X, reset=not goes_on)
        weights = self._weights(sample_weight, x)
        if not goes_on:
            self._start(x, weights, x.shape[1])
        self._train(x, self._scaled(x), weights)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes of rows, shape (rows, components)."""
        check_is_fitted(self)
        x = self._scaled(rows_of(self, X, reset=False))
        return Forward(self._halves()[0], self.executor)(x)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows from codes."""
        check_is_fitted(self)
        codes = np.asarray(X, self.trainer_.dtype)
        rows = Forward(self._halves()[1], self.executor)(codes)
        return rows * self.scale_ + self.mean_

    @property
    def _n_features_out(self) -> int:
        return self.components

    def _halves(self) -> Sequence[nn.Module]:
        assert isinstance(self.trainer_.model, nn.Sequential)
        return self.trainer_.model.layers

    def _network(self, outputs: int) -> nn.Module:
        def layers(widths: Any) -> list[nn.Module]:
            return [nn.Dense(n, activation=self.activation, init=init_for(self.activation)) for n in widths]

        return nn.Sequential(
            nn.Sequential(*layers(self.hidden), nn.Dense(self.components)),
            nn.Sequential(*layers(reversed(tuple(self.hidden))), nn.Dense(outputs)),
        )
