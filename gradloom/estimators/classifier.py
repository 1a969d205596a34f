"""A network that says to which class a row belongs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from gradloom import options
from gradloom.errors import OptionError
from gradloom.estimators.base import NeuralEstimator, examples_of
from gradloom.records import dataclass

MULTICLASS = ("softmax", "one_vs_rest")


@dataclass(eq=False, repr=False)
class NeuralClassifier(ClassifierMixin, NeuralEstimator):
    """A classifier: softmax over the classes and cross-entropy, or each class against the rest.

    Args:
        multiclass: "softmax", or "one_vs_rest" for a sigmoid a class, of which the largest wins (catalogue 84, 85).
        class_weight: None, "balanced", or a dict of weights by class, as in scikit-learn.
        options: those of :class:`gradloom.estimators.base.NeuralEstimator`.

    Attributes:
        classes_: the classes, sorted.
        trainer_: the :class:`gradloom.train.Trainer`.
        n_iter_: epochs trained.
        loss_: the last loss; ``loss_curve_`` has all.
        mean_, scale_: of the features.
    """

    multiclass: str = "softmax"
    class_weight: Any = None

    @property
    def _loss(self) -> str:
        return "cross_entropy" if self._is_softmax else "binary_cross_entropy"

    @property
    def _is_softmax(self) -> bool:
        return options.choice(type(self).__name__, "multiclass", self.multiclass, MULTICLASS) == "softmax"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train.

        Args:
            X: features, shape (rows, features).
            y: classes, shape (rows,).
            sample_weight: how much each row counts.
            validation: (X, y) to watch in place of a share of the rows.
        """
        goes_on = self._goes_on()
        x, labels = self._checked(X, y, reset=not goes_on)
        if goes_on:
            self._refuse_others(labels)
        else:
            self.classes_ = self._several(np.unique(labels))
        weights = self._weights(sample_weight, x) * self._weights_of_classes(labels)
        if not goes_on:
            self._start(x, weights, len(self.classes_))
        held = None if validation is None else self._held(*validation)
        self._train(x, self._targets(labels), weights, held)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Pass over some more rows once; features keep the scales of the first call (catalogue 101, 219).

        Weights of classes are those of ``class_weight``; "balanced" is refused, for a part of the rows does not tell
        how many there are of each class.

        Args:
            X: features.
            y: classes.
            classes: all classes there will be; needed in the first call.
            sample_weight: how much each row counts.
        """
        if self.class_weight == "balanced":
            raise OptionError(
                type(self).__name__,
                rule="partial_fit takes weights by class, for it does not know all rows",
                got="class_weight='balanced'",
                fix="Give a dict, such as scikit-learn's compute_class_weight makes of all labels.",
            )
        first = not hasattr(self, "trainer_")
        x, labels = self._checked(X, y, reset=first)
        if first:
            self.classes_ = self._several(np.unique(labels if classes is None else classes))
        self._refuse_others(labels)
        weights = self._weights(sample_weight, x) * self._weights_of_classes(labels)
        if first:
            self._start(x, weights, len(self.classes_))
        data = self._scaled(x), self._targets(labels), weights
        self.trainer_.fit(data, epochs=1, batch_size=self._batch(len(x)), progress="silent")
        self._learnt()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores, shape (rows, classes); of two classes the difference, shape (rows,)."""
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, shape (rows, classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Their logarithms; of classes told from the rest the sigmoids, divided by their sum."""
        scores = self._outputs(X)
        return log_softmax(scores if self._is_softmax else -np.logaddexp(0, -scores), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        scores = self._outputs(X)
        return self.classes_[scores.argmax(1)]

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        x, labels = examples_of(self, X, y, reset=reset)
        check_classification_targets(labels)
        return x, labels

    def _numbers(self, labels: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.classes_, labels).astype(np.int64)

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        numbers = self._numbers(labels)
        return numbers if self._is_softmax else np.eye(len(self.classes_), dtype=self.trainer_.dtype)[numbers]

    def _held(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        x, labels = self._checked(X, y, reset=False)
        self._refuse_others(labels)
        return x, self._targets(labels)

    def _several(self, classes: np.ndarray) -> np.ndarray:
        if len(classes) < 2:
            raise OptionError(
                type(self).__name__, rule="there are at least two classes", got=f"1 class, {classes[0]!r}"
            )
        return classes

    def _refuse_others(self, labels: np.ndarray) -> None:
        others = np.setdiff1d(labels, self.classes_)
        if len(others):
            raise OptionError(
                type(self).__name__,
                rule="all classes must be known from the first rows on",
                got=f"{others[0]!r}, which is none of {list(self.classes_)[:5]}",
                fix="Name all of them in the first call: partial_fit(X, y, classes=...).",
            )

    def _weights_of_classes(self, labels: np.ndarray) -> np.ndarray | float:
        if self.class_weight is None:
            return 1.0
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
        return weights[self._numbers(labels)]
