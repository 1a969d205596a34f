"""Categories as numbers: one-hot vectors, ordinals, and class labels of a target.

Cells are told apart by how they are spelled (:func:`spelled`), so that the code 3 is one category whether a
source read it as the number 3.0 or as the text "3".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from gradloom.data.schema import is_number
from gradloom.data.state import Fitted, Stateful, Transform
from gradloom.errors import DataError, IndexRangeError, OptionError, unknown_name
from gradloom.records import dataclass

OTHER = "(other)"
MISSING = "(missing)"


@dataclass(frozen=True)
class FittedOneHot(Fitted, kind="one_hot"):
    """Fitted :class:`OneHot`.

    Attributes:
        categories: the spelled category of each feature, None for missing cells.
        pooled: whether a last feature stands for all other categories.
    """

    categories: tuple[str | None, ...]
    pooled: bool

    def transform(self, values: np.ndarray) -> np.ndarray:
        """One row of 0s with a single 1 a cell; all 0s for an unknown category if there is no feature "other".

        Args:
            values: cells of any kind, shape (rows,).

        Returns:
            float64 of shape (rows, features).
        """
        width = len(self.categories) + self.pooled
        vectors = np.eye(len(self.categories) + 1)[:, :width]  # the last row: other, or nothing
        return vectors[_codes(values, self.categories)]

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """The category with the greatest value in each row; None where it is missing, other or unknown.

        Args:
            values: shape (rows, features).
        """
        names = np.array([*self.categories, None], dtype=object)
        known = values[:, : len(self.categories)].any(axis=1)
        return names[np.where(known, values.argmax(axis=1), len(self.categories))]

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        (name,) = names
        parts = [MISSING if c is None else c for c in self.categories] + [OTHER] * self.pooled
        return tuple(f"{name}={part}" for part in parts)


@dataclass(frozen=True)
class OneHot(Transform[FittedOneHot]):
    """One-hot encoding: a feature for each category, 1 where the cell is of it.

    Missing cells, where the training part has any, are a category of their own.  Rare categories have too few rows
    to learn from and share one feature "other"; categories that the training part does not have join them there, or
    are all 0s if nothing was rare.

    Args:
        min_frequency: categories with fewer rows than this are rare.
        max_categories: at most this many categories keep a feature, the most frequent ones (by name where they
            tie); the others are rare.
    """

    min_frequency: int = 1
    max_categories: int | None = None

    def __post_init__(self) -> None:
        if self.min_frequency < 1 or (self.max_categories is not None and self.max_categories < 1):
            raise OptionError(
                "OneHot",
                rule="min_frequency and max_categories must be 1 or more",
                got=f"{self.min_frequency} and {self.max_categories}",
            )

    def fit(self, values: np.ndarray) -> FittedOneHot:
        """The categories, in order of their names.

        Args:
            values: the training part, cells of any kind, shape (rows,).
        """
        counts = Counter(spelled(values))
        frequent = [c for c in _in_order(counts) if counts[c] >= self.min_frequency]
        kept = sorted(frequent, key=lambda c: -counts[c])[: self.max_categories]
        return FittedOneHot(tuple(_in_order(kept)), pooled=len(kept) < len(counts))


@dataclass(frozen=True)
class FittedOrdinal(Fitted, kind="ordinal"):
    """Fitted :class:`Ordinal`; ``categories`` in order, none of them missing."""

    categories: tuple[str, ...]

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Positions 0, 1, 2, ... among the categories; NaN for missing cells and unknown categories.

        Args:
            values: cells of any kind, shape (rows,).

        Returns:
            float64 of shape (rows,).
        """
        return np.array([*range(len(self.categories)), np.nan])[_codes(values, self.categories)]

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """The categories at these positions, None for NaN.

        Args:
            values: shape (rows,).
        """
        names = np.array([*self.categories, None], dtype=object)
        return names[np.where(np.isnan(values), len(self.categories), values).astype(np.int64)]


@dataclass(frozen=True)
class Ordinal(Transform[FittedOrdinal]):
    """Ordinal encoding, for categories that have an order (``small < medium < large``).

    Args:
        order: the categories from least to greatest; None takes them by name, numbers by size.
    """

    order: tuple[str, ...] | None = None

    def fit(self, values: np.ndarray) -> FittedOrdinal:
        """The categories in order.

        Args:
            values: the training part, cells of any kind, shape (rows,).

        Raises:
            UnknownNameError: ``order`` lacks a category of the training part.
            DataError: every cell is missing.
        """
        found = [c for c in _in_order(set(spelled(values))) if c is not None]
        if not found:
            raise DataError("Ordinal", rule="at least one cell must be present", got=f"{len(values)} missing ones")
        for category in found:
            if self.order is not None and category not in self.order:
                raise unknown_name("Ordinal order", "category", category, self.order)
        return FittedOrdinal(tuple(found) if self.order is None else self.order)


@dataclass(frozen=True)
class Labels(Stateful, kind="labels"):
    """Classes of a target and their labels 0 to k-1.

    Attributes:
        classes: the spelled classes in order: numbers by size, otherwise by name.
    """

    classes: tuple[str, ...]

    @classmethod
    def fit(cls, values: np.ndarray) -> Labels:
        """The classes of the training part; missing cells are none.

        Args:
            values: cells of any kind, shape (rows,).
        """
        return cls(tuple(c for c in _in_order(set(spelled(values))) if c is not None))

    def encode(self, values: np.ndarray, *, name: str = "target") -> np.ndarray:
        """Labels of the cells, int64 of shape (rows,).

        Args:
            values: cells of any kind, shape (rows,).
            name: the column's name, for messages.

        Raises:
            DataError: a cell is missing.
            UnknownNameError: a cell is of no class.
        """
        labels = _codes(values, self.classes)
        strangers = np.flatnonzero(labels == len(self.classes))
        if len(strangers):
            row = int(strangers[0])
            (cell,) = spelled(values[row : row + 1])
            if cell is None:
                raise DataError(
                    f"column {name!r}",
                    rule="every row needs a class",
                    got=f"a missing cell in row {row + 1}",
                    fix="Drop the rows without a target first.",
                )
            raise unknown_name(f"column {name!r}, row {row + 1}", "class", cell, self.classes)
        return labels

    def decode(self, labels: np.ndarray) -> np.ndarray:
        """The class names of labels, an object array of the same shape.

        Args:
            labels: whole numbers from 0 to k-1.

        Raises:
            IndexRangeError: a label is of no class.
        """
        wanted = np.asarray(labels).astype(np.int64)
        outside = wanted[(wanted < 0) | (wanted >= len(self.classes))]
        if outside.size:
            raise IndexRangeError(
                "Labels", rule=f"labels must be from 0 to {len(self.classes) - 1}", got=str(outside.flat[0])
            )
        return np.array(self.classes, dtype=object)[wanted]


def spelled(values: np.ndarray) -> list[str | None]:
    """The cells as text, None where missing; whole numbers without decimals, so that 3.0 and "3" are one.

    Args:
        values: numbers, dates, or objects, shape (rows,).
    """
    if values.dtype.kind == "O":
        return [None if cell is None else str(cell) for cell in values]
    if values.dtype.kind == "f":
        # A column has few different numbers in it, so each is spelled once.
        distinct, where = np.unique(values, return_inverse=True)
        names = [None if np.isnan(x) else str(int(x)) if x.is_integer() else repr(float(x)) for x in distinct]
        return [names[i] for i in where]
    return [None if cell != cell else str(cell) for cell in values]


def _codes(values: np.ndarray, categories: tuple[str | None, ...] | tuple[str, ...]) -> np.ndarray:
    """Position of each cell's category, int64 of shape (rows,); ``len(categories)`` where it is none of them."""
    position: Mapping[str | None, int] = {category: i for i, category in enumerate(categories)}
    return np.array([position.get(cell, len(categories)) for cell in spelled(values)], dtype=np.int64)


def _in_order(categories: Iterable[str | None]) -> list[str | None]:
    """The categories by name, or by size if all are numbers; missing cells come last."""
    names = [c for c in categories if c is not None]
    by_size = all(map(is_number, names))
    names.sort(key=lambda name: (float(name) if by_size else 0.0, name))
    return [*names, *(c for c in categories if c is None)]
