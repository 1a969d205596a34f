"""Scaling: columns of numbers brought to comparable sizes.

==================  =====================================  =========================================
:class:`Standardize`  (x - mean) / sd                        mean 0, standard deviation 1
:class:`MinMax`       low + (high - low)(x - min)/(max - min)  from ``low`` to ``high``
:class:`Range`        (x - mean) / (max - min)               mean 0, within -1 and 1
==================  =====================================  =========================================

All three are one map, ``(x - center) / spread + offset``, and so they fit to one class, :class:`Affine`.  Unscaled
features make the cost an elongated bowl, in which gradient descent must take small steps along the steep side.
:class:`Log` comes before them for heavy-tailed columns.

Missing cells (NaN) take no part in the fit and stay missing.  A column whose cells are all equal has no spread;
its spread counts as 1, so it becomes ``offset`` everywhere and comes back exactly.
"""

from __future__ import annotations

import numpy as np

from gradloom.data.state import Fitted, Transform
from gradloom.errors import DataError, DTypeError, OptionError, ShapeError
from gradloom.records import dataclass


@dataclass(frozen=True)
class Affine(Fitted, kind="affine"):
    """Fitted scaling ``(x - center) / spread + offset``, feature by feature.

    Attributes:
        center: what becomes ``offset``, one a feature, in units of the data.
        spread: what becomes 1 more, one a feature, in units of the data; never 0.
        offset: added to every scaled value.
    """

    center: tuple[float, ...]
    spread: tuple[float, ...]
    offset: float = 0.0

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The scaled values.

        Args:
            values: shape (rows, features), or (rows,) for one feature.

        Returns:
            Array of the same shape, float64.

        Raises:
            ShapeError: the number of features is not that of the training part.
        """
        numbers = self._checked(values)
        return (numbers - np.array(self.center)) / np.array(self.spread) + self.offset

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """The values in units of the data again: ``(x - offset) * spread + center``.

        Args:
            values: shape (rows, features), or (rows,) for one feature.

        Raises:
            ShapeError: the number of features is not that of the training part.
        """
        numbers = self._checked(values)
        return (numbers - self.offset) * np.array(self.spread) + np.array(self.center)

    def fault(self) -> str:
        if len(self.center) != len(self.spread):
            return f"{len(self.center)} centres and {len(self.spread)} spreads"
        return "a spread of 0" if 0.0 in self.spread else ""

    def _checked(self, values: np.ndarray) -> np.ndarray:
        numbers = float_columns("scaling", values)
        features = 1 if numbers.ndim == 1 else numbers.shape[1]
        if features != len(self.center):
            raise ShapeError(
                "scaling",
                rule="the number of features must be that of the training part",
                got=f"{features} features, fitted on {len(self.center)}",
            )
        return numbers


@dataclass(frozen=True)
class Standardize(Transform[Affine]):
    """Standardisation, ``(x - μ) / σ`` with μ = Σx/m and σ² = Σ(x - μ)²/m (biased, as scikit-learn has it)."""

    def fit(self, values: np.ndarray) -> Affine:
        """Mean and standard deviation of each feature.

        Args:
            values: the training part, shape (rows, features), or (rows,) for one feature; NaN where missing.

        Raises:
            DataError: a feature has no present value, or an infinite one.
        """
        columns = _fit_columns("Standardize", values)
        with np.errstate(over="ignore"):
            centers = [column.mean() for column in columns]
            return _affine("Standardize", columns, centers, [column.std() for column in columns])


@dataclass(frozen=True)
class MinMax(Transform[Affine]):
    """Min-max scaling: the least training value becomes ``low``, the greatest ``high``.

    Args:
        low: where the least value goes.
        high: where the greatest value goes; values outside the training part's range go beyond.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise OptionError("MinMax", rule="low must be less than high", got=f"{self.low} and {self.high}")

    def fit(self, values: np.ndarray) -> Affine:
        """Least and greatest value of each feature.

        Args:
            values: the training part, shape (rows, features), or (rows,) for one feature; NaN where missing.

        Raises:
            DataError: a feature has no present value, or an infinite one.
        """
        columns = _fit_columns("MinMax", values)
        with np.errstate(over="ignore"):
            spreads = [np.ptp(column) / (self.high - self.low) for column in columns]
        return _affine("MinMax", columns, [column.min() for column in columns], spreads, float(self.low))


@dataclass(frozen=True)
class Range(Transform[Affine]):
    """Mean normalisation, ``(x - mean) / (max - min)``: within -1 and 1 on the training part."""

    def fit(self, values: np.ndarray) -> Affine:
        """Mean and range of each feature.

        Args:
            values: the training part, shape (rows, features), or (rows,) for one feature; NaN where missing.

        Raises:
            DataError: a feature has no present value, or an infinite one.
        """
        columns = _fit_columns("Range", values)
        with np.errstate(over="ignore"):
            centers = [column.mean() for column in columns]
            return _affine("Range", columns, centers, [np.ptp(column) for column in columns])


@dataclass(frozen=True)
class FittedLog(Fitted, kind="log"):
    """Fitted :class:`Log`; ``unit`` is in units of the data and greater than 0."""

    unit: float

    def transform(self, values: np.ndarray) -> np.ndarray:
        """``sign(x) log(1 + |x| / unit)``; values below 0, which the training part had none of, go down alike."""
        numbers = float_columns("log scaling", values)
        return np.sign(numbers) * np.log1p(np.abs(numbers) / self.unit)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """The values in units of the data again."""
        numbers = float_columns("log scaling", values)
        return np.sign(numbers) * np.expm1(np.abs(numbers)) * self.unit

    def fault(self) -> str:
        return "" if self.unit > 0 else f"unit {self.unit}"


@dataclass(frozen=True)
class Log(Transform[FittedLog]):
    """``log(1 + x / unit)`` for heavy-tailed columns from 0 up (incomes, counts): draws the tail in, keeps 0.

    The unit is the median of the positive training values, so the result is the same in dollars and in cents.
    """

    def fit(self, values: np.ndarray) -> FittedLog:
        """The unit.

        Args:
            values: the training part, shape (rows,); NaN where missing.

        Raises:
            DataError: no value is positive, or one is negative or infinite.
        """
        (column,) = _fit_columns("Log", values)
        if column.min() < 0 or column.max() == 0:
            raise DataError(
                "Log",
                rule="the training values must be 0 or more, and some above 0",
                got=f"values from {column.min():g} to {column.max():g}",
                fix="Use Standardize alone.",
            )
        return FittedLog(float(np.median(column[column > 0])))


def skewness(values: np.ndarray) -> float:
    """Skewness ``Σ(x - μ)³/m / σ³`` of the present values: 0 if symmetric, 2 for an exponential; 0 if all are equal.

    Args:
        values: shape (rows,), NaN where missing.
    """
    present = values[~np.isnan(values)]
    if len(present) == 0 or present.min() == present.max():
        return 0.0
    unitless = present / np.abs(present).max()  # skewness has no unit, and so the sums cannot overflow
    deviation = unitless - unitless.mean()
    deviation /= np.abs(deviation).max()
    return float((deviation**3).mean() / (deviation**2).mean() ** 1.5)


def float_columns(who: str, values: np.ndarray) -> np.ndarray:
    """``values`` as float64, once it is sure that they are numbers of shape (rows,) or (rows, features).

    Raises:
        DTypeError: they are no numbers.
        ShapeError: they have another number of axes.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DTypeError(who, rule="values must be numbers", got=f"data type {array.dtype}")
    if array.ndim not in (1, 2):
        raise ShapeError(who, rule="values must be of shape (rows,) or (rows, features)", got=str(array.shape))
    return array.astype(np.float64)


def _fit_columns(who: str, values: np.ndarray) -> list[np.ndarray]:
    """The present values of each feature, at least one and all finite."""
    numbers = float_columns(who, values)
    features = numbers[:, np.newaxis] if numbers.ndim == 1 else numbers
    columns = [column[~np.isnan(column)] for column in features.T]
    for feature, column in enumerate(columns):
        if len(column) == 0:
            raise DataError(who, rule="a feature needs at least one value to fit", got=f"none in feature {feature}")
        if not np.isfinite(column).all():
            raise DataError(who, rule="values must be finite", got=f"an infinite one in feature {feature}")
    return columns


def _affine(
    who: str, columns: list[np.ndarray], centers: list[float], spreads: list[float], offset: float = 0.0
) -> Affine:
    """The affine map, with columns that have no spread turned into constant ones."""
    for feature, column in enumerate(columns):
        # Asked of the cells, not of the spread: the mean of equal decimals is rounded, and so differs from them.
        if column.min() == column.max() or spreads[feature] == 0:
            centers[feature], spreads[feature] = column[0], 1.0
        if not np.isfinite([centers[feature], spreads[feature]]).all():
            raise DataError(
                who,
                rule="mean and spread must be within the range of float64",
                got=f"values from {column.min():g} to {column.max():g} in feature {feature}",
                fix="Divide the values by a power of ten first.",
            )
    return Affine(tuple(map(float, centers)), tuple(map(float, spreads)), offset)
