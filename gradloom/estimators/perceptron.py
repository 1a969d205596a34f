"""The perceptron with its own rule, which needs no derivative."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

import gradloom as gl
from gradloom import options
from gradloom.estimators.base import examples_of, rows_of
from gradloom.records import dataclass


@dataclass(eq=False, repr=False)
class Perceptron(ClassifierMixin, BaseEstimator):
    """f(x) = sign(w·x) with x₀ = -1 for the threshold; where f errs, w += η f*(x) x, one example after the other.

    The rule ends after a pass without a mistake, which comes if, and only if, a hyperplane divides the classes
    (catalogue 86-88).  Of several classes each is told from the rest by a perceptron of its own, and the largest w·x
    wins (catalogue 84).

    Args:
        learning_rate: η; since w starts at 0 it scales w and changes no prediction.
        epochs: at most so many passes.
        shuffle: whether each pass has a new order; the notes keep the order of the data.
        average: whether prediction uses the mean of w over all examples seen, which errs less where no hyperplane
            divides the classes (Freund and Schapire, 1999).
        random_state: seed of the order.

    Attributes:
        classes_: the classes, sorted.
        coef_, intercept_: the weights, shape (planes, features), and -w₀; one plane for two classes.
        n_iter_: passes made.
        mistakes_: of each pass.

    Source: Rosenblatt, "The perceptron" (1958).
    """

    learning_rate: float = 1.0
    _: KW_ONLY
    epochs: int = 100
    shuffle: bool = True
    average: bool = False
    random_state: Any = None

    def fit(self, X: Any, y: Any) -> Self:
        """Learn until a pass makes no mistake, or all passes are done.

        Args:
            X: features, shape (rows, features).
            y: classes, shape (rows,).
        """
        x, labels = examples_of(self, X, y, reset=True)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        rate = options.positive("Perceptron", "learning_rate", self.learning_rate)
        rows = np.hstack([np.full((len(x), 1), -1, x.dtype), x])
        wanted = _signs(labels, self.classes_).astype(x.dtype)
        weights = np.zeros((wanted.shape[1], rows.shape[1]), x.dtype)
        total = weights.astype(np.float64)  # of rows times passes summands: in float32 it would stand still
        random, learn, self.mistakes_ = check_random_state(self.random_state), gl.jit(_one_pass), []
        for _ in range(options.whole("Perceptron", "epochs", self.epochs)):
            order = random.permutation(len(x)) if self.shuffle else np.arange(len(x))
            arguments = (rows[order], wanted[order], np.asarray(rate, x.dtype))
            found = learn((weights, total, np.zeros((), np.int64)), *arguments)
            weights, total, wrong = (t.numpy() for t in found)
            self.mistakes_.append(int(wrong))
            if not wrong:
                break
        self.n_iter_ = len(self.mistakes_)
        chosen = total / (self.n_iter_ * len(x)) if self.average else weights
        self.coef_, self.intercept_ = chosen[:, 1:], -chosen[:, 0]
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """w·x, shape (rows, classes); of two classes shape (rows,)."""
        check_is_fitted(self)
        x = rows_of(self, X, reset=False)
        scores = x @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row; where w·x is 0 the sign is +1."""
        scores = self.decision_function(X)
        chosen = scores.argmax(1) if scores.ndim == 2 else (scores >= 0).astype(np.int64)
        return self.classes_[np.minimum(chosen, len(self.classes_) - 1)]


def _signs(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """+1 and -1, a column for each plane."""
    positive = classes[1:] if len(classes) == 2 else classes
    return np.where(labels[:, np.newaxis] == positive, 1, -1)


def _one_pass(start: Any, rows: gl.Tensor, wanted: gl.Tensor, rate: gl.Tensor) -> Any:
    """All examples once, as one loop: (w, the sum of w after each example, mistakes)."""

    def learn(carry: Any, example: Any) -> Any:
        weights, total, mistakes = carry
        x, right = example
        wrong = gl.where(weights @ x >= 0, 1.0, -1.0) != right
        step = rate * gl.where(wrong, right, 0.0)
        weights = weights + gl.expand_dims(step, 1) * x
        return (weights, total + gl.cast(weights, "float64"), mistakes + gl.any(wrong)), ()

    return gl.scan(learn, start, (rows, wanted))[0]
