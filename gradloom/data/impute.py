"""Missing cells: filled with a typical value of the training part, and told to the model as a feature.

That a cell is missing often says something itself (a cabin number known for the rich only), so filling alone
throws information away: :class:`Impute` can add a 0-1 feature "was missing", and :class:`MissingFlag` is that
feature alone, for columns of every kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from gradloom.data.scaling import float_columns
from gradloom.data.state import Fitted, Transform
from gradloom.errors import DataError, OptionError, ShapeError, unknown_name
from gradloom.records import dataclass

Strategy = Literal["median", "mean", "most_frequent", "constant"]


@dataclass(frozen=True)
class FittedImpute(Fitted, kind="impute"):
    """Fitted :class:`Impute`.

    Attributes:
        fills: what replaces a missing cell, one a feature, in units of the data.
        flagged: whether a feature "was missing" follows, one a feature.
    """

    fills: tuple[float, ...]
    flagged: tuple[bool, ...]

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The values with missing cells filled, and the flags after them.

        Args:
            values: shape (rows, features), or (rows,) for one feature; NaN where missing.

        Returns:
            float64 of shape (rows, features + flagged features); of the shape of ``values`` if none is flagged.

        Raises:
            ShapeError: the number of features is not that of the training part.
        """
        numbers = float_columns("Impute", values)
        features = 1 if numbers.ndim == 1 else numbers.shape[1]
        if features != len(self.fills):
            raise ShapeError(
                "Impute",
                rule="the number of features must be that of the training part",
                got=f"{features} features, fitted on {len(self.fills)}",
            )
        missing = np.isnan(numbers)
        filled = np.where(missing, np.array(self.fills), numbers)
        if not any(self.flagged):
            return filled
        shape = (len(numbers), features)
        flags = missing.reshape(shape)[:, np.array(self.flagged)]
        return np.hstack([filled.reshape(shape), flags.astype(np.float64)])

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        flags = (f"{name} is missing" for name, flagged in zip(names, self.flagged) if flagged)
        return (*names, *flags)

    def fault(self) -> str:
        return "" if len(self.fills) == len(self.flagged) else "fills and flags differ in number"


@dataclass(frozen=True)
class Impute(Transform[FittedImpute]):
    """Imputation: a missing cell becomes a typical value of its feature.

    Args:
        strategy: ``median``, ``mean``, ``most_frequent`` (the least of those that tie) or ``constant``.
        fill: the value for ``constant``, in units of the data.
        indicator: add a feature, 1 where the cell was missing, for each feature that has missing cells in the
            training part (without any there, the model could learn nothing from it).
    """

    strategy: Strategy = "median"
    fill: float | None = None
    indicator: bool = False

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise unknown_name("Impute", "strategy", self.strategy, get_args(Strategy))
        if (self.strategy == "constant") != (self.fill is not None):
            raise OptionError(
                "Impute",
                rule="fill is the value for strategy 'constant', and for no other",
                got=f"strategy {self.strategy!r} and fill {self.fill}",
            )

    def fit(self, values: np.ndarray) -> FittedImpute:
        """The fills, from the present cells.

        Args:
            values: the training part, shape (rows, features), or (rows,) for one feature; NaN where missing.

        Raises:
            DataError: a feature has no present cell, or a fill is infinite.
        """
        numbers = float_columns("Impute", values)
        features = numbers[:, np.newaxis] if numbers.ndim == 1 else numbers
        fills = tuple(self._typical(column[~np.isnan(column)], i) for i, column in enumerate(features.T))
        flagged = tuple(self.indicator and bool(np.isnan(column).any()) for column in features.T)
        return FittedImpute(fills, flagged)

    def _typical(self, present: np.ndarray, feature: int) -> float:
        if self.fill is not None:
            return float(self.fill)
        if len(present) == 0:
            raise DataError(
                "Impute",
                rule=f"the {self.strategy} needs at least one present cell",
                got=f"none in feature {feature}",
                fix="Leave the feature out, or use Impute('constant', fill=0).",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            typical = float(_TYPICAL[self.strategy](present))
        if not np.isfinite(typical):
            raise DataError(
                "Impute",
                rule=f"the {self.strategy} must be finite",
                got=f"values from {present.min():g} to {present.max():g} in feature {feature}",
            )
        return typical


@dataclass(frozen=True)
class MissingFlag(Fitted, kind="missing_flag"):
    """The feature "is missing": 1 where the cell is, else 0.  There is nothing to fit."""

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The flags, float64.

        Args:
            values: shape (rows,), of numbers (NaN where missing), dates (NaT) or objects (None).
        """
        if values.dtype.kind == "O":
            return np.array([cell is None for cell in values], dtype=np.float64)
        return (values != values).astype(np.float64)  # NaN and NaT differ from themselves

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{name} is missing" for name in names)


def _most_frequent(present: np.ndarray) -> float:
    distinct, counts = np.unique(present, return_counts=True)
    return distinct[counts.argmax()]


_TYPICAL: dict[str, Callable[[np.ndarray], float]] = {
    "median": lambda present: float(np.median(present)),
    "mean": lambda present: float(np.mean(present)),
    "most_frequent": _most_frequent,
}
