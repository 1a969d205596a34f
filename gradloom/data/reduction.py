"""Fewer features: principal components, and features that say nothing of their own left out."""

from __future__ import annotations

import numpy as np

from gradloom import options
from gradloom.data.scaling import float_columns
from gradloom.data.state import Fitted, Transform
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.records import dataclass


@dataclass(frozen=True)
class FittedPCA(Fitted, kind="pca"):
    """Fitted :class:`PCA`.

    Attributes:
        mean: of each feature.
        components: directions of length 1, at right angles to each other, that of the largest variance first.
        variances: of the training part along them, sums of squares divided by the number of rows.
        shares: of the variance of all features together.
        whiten: whether each component is divided by its standard deviation.
    """

    mean: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    shares: tuple[float, ...]
    whiten: bool

    def transform(self, values: np.ndarray) -> np.ndarray:
        """(x - mean) along each component.

        Args:
            values: shape (rows, features), without missing cells.

        Returns:
            float64 of shape (rows, components).

        Raises:
            ShapeError: the number of features is not that of the training part.
            DataError: a cell is missing.
        """
        numbers = _checked("PCA", values, len(self.mean))
        return (numbers - np.array(self.mean)) @ np.array(self.components).T / self._scale

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """The point in the space of the features, which is the nearest one to where ``values`` came from.

        Args:
            values: shape (rows, components).
        """
        return (np.asarray(values, np.float64) * self._scale) @ np.array(self.components) + np.array(self.mean)

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"component {i + 1}" for i in range(len(self.components)))

    def fault(self) -> str:
        lengths = {len(row) for row in self.components} | {len(self.mean)}
        counts = {len(self.components), len(self.variances), len(self.shares)}
        return "" if len(lengths) == len(counts) == 1 else "lengths that do not fit"

    @property
    def _scale(self) -> np.ndarray:
        return np.sqrt(self.variances) if self.whiten else np.ones(len(self.variances))


@dataclass(frozen=True)
class PCA(Transform[FittedPCA]):
    """Principal components: the directions along which the data vary most (Pearson, 1901; catalogue 155).

    Scale features first, unless their units are one.  The sign of a direction is free; its largest element is positive.

    Args:
        components: how many to keep; or the share of the variance, below 1, that they keep at least; None for all.
        whiten: divide each by its standard deviation.
    """

    components: int | float | None = None
    whiten: bool = False

    def __post_init__(self) -> None:
        options.flag("PCA", "whiten", self.whiten)
        if isinstance(self.components, float):
            fix = "Use e.g. 0.95, or a whole number of components."
            if not 0 < self.components < 1:
                rule = "a share of the variance lies between 0 and 1"
                raise OptionError("PCA", rule=rule, got=str(self.components), fix=fix)
        elif self.components is not None:
            options.whole("PCA", "components", self.components)

    def fit(self, values: np.ndarray) -> FittedPCA:
        """Mean and directions.

        Args:
            values: the training part, shape (rows, features), without missing cells.

        Raises:
            DataError: a cell is missing or infinite, no feature varies, or there are fewer directions than asked for.
        """
        numbers = _checked("PCA", values)
        mean = numbers.mean(0)
        _, sizes, directions = np.linalg.svd(numbers - mean, full_matrices=False)
        variances = sizes**2 / len(numbers)
        there = int((sizes > sizes[0] * max(numbers.shape) * np.finfo(float).eps).sum()) if sizes[0] > 0 else 0
        if not there:
            raise DataError("PCA", rule="some feature must vary", got="rows that are all alike")
        kept = self._kept(variances[:there] / variances[:there].sum(), there)
        directions = directions[:kept]
        largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
        directions, shares = directions * np.sign(largest), variances / variances.sum()
        rows = tuple(tuple(map(float, row)) for row in directions)
        of_kept, share_of_kept = (tuple(map(float, found[:kept])) for found in (variances, shares))
        return FittedPCA(tuple(map(float, mean)), rows, of_kept, share_of_kept, self.whiten)

    def _kept(self, shares: np.ndarray, there: int) -> int:
        if isinstance(self.components, float):
            return min(int(np.searchsorted(np.cumsum(shares), self.components)) + 1, there)
        wanted = there if self.components is None else self.components
        if wanted > there:
            rule = f"the data vary along {there} direction{'' if there == 1 else 's'}"
            raise DataError("PCA", rule=rule, got=f"components={wanted}", fix=f"Use at most {there}.")
        return wanted


@dataclass(frozen=True)
class FittedSelection(Fitted, kind="selection"):
    """Fitted :class:`DropFeatures`: the numbers of the features that are kept, out of ``of``."""

    kept: tuple[int, ...]
    of: int

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The kept features, float64 of shape (rows, kept features).

        Args:
            values: shape (rows, features).

        Raises:
            ShapeError: the number of features is not that of the training part.
            DataError: a cell is missing.
        """
        return _checked("DropFeatures", values, self.of)[:, list(self.kept)]

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names[i] for i in self.kept)

    def fault(self) -> str:
        return "" if all(0 <= i < self.of for i in self.kept) else "a feature that is not there"


@dataclass(frozen=True)
class DropFeatures(Transform[FittedSelection]):
    """Leaves out features that hardly vary, or that repeat an earlier one (catalogue 155).

    Args:
        variance: features whose variance is this or less go; 0 takes out those of one value.
        correlation: features whose correlation with one kept before is this or more, in absolute value, go; None keeps
            them.
    """

    variance: float = 0.0
    correlation: float | None = None

    def __post_init__(self) -> None:
        options.number("DropFeatures", "variance", self.variance, low=0)
        if self.correlation is not None:
            options.number("DropFeatures", "correlation", self.correlation, low=0, high=1)

    def fit(self, values: np.ndarray) -> FittedSelection:
        """Which features stay.

        Args:
            values: the training part, shape (rows, features), without missing cells.

        Raises:
            DataError: a cell is missing or infinite, or no feature is left.
        """
        numbers = _checked("DropFeatures", values)
        varies = (numbers.max(0) > numbers.min(0)) & (numbers.var(0) > self.variance)
        kept: list[int] = []
        for feature in np.flatnonzero(varies).tolist():
            limit = np.inf if self.correlation is None else self.correlation
            if all(abs(np.corrcoef(numbers[:, i], numbers[:, feature])[0, 1]) < limit for i in kept):
                kept.append(feature)
        if not kept:
            fix = "Lower the variance that is asked for."
            raise DataError("DropFeatures", rule="some feature must stay", got="none that varies enough", fix=fix)
        return FittedSelection(tuple(kept), numbers.shape[1])


def _checked(who: str, values: np.ndarray, features: int | None = None) -> np.ndarray:
    """The values as finite float64 of shape (rows, features)."""
    numbers = float_columns(who, values)
    if numbers.ndim != 2 or not numbers.size or (features is not None and numbers.shape[1] != features):
        expected = "features" if features is None else f"{features} features, as in the training part"
        raise ShapeError(who, rule=f"values must be of shape (rows, {expected})", got=str(np.shape(values)))
    if not np.isfinite(numbers).all():
        row, feature = np.argwhere(~np.isfinite(numbers))[0]
        got = f"{numbers[row, feature]} in row {row + 1}, feature {feature}"
        raise DataError(who, rule="values must be finite", got=got, fix="Fill missing cells first, with data.Impute.")
    return numbers
