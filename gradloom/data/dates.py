"""Dates as numbers that a network can learn from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradloom.data.state import Fitted, Transform
from gradloom.errors import DataError
from gradloom.records import dataclass

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class FittedDateParts(Fitted, kind="date_parts"):
    """Fitted :class:`DateParts`.

    Attributes:
        origin: the earliest training date, from which days are counted, as an ISO 8601 string.
        parts: the parts that become features.
    """

    origin: str
    parts: tuple[str, ...]

    def transform(self, values: np.ndarray) -> np.ndarray:
        """The parts of each date.

        Args:
            values: datetime64, shape (rows,), NaT where missing.

        Returns:
            float64 of shape (rows, parts), NaN where missing.
        """
        columns = [_part(name, values, self.origin) for name in self.parts]
        return np.stack(columns, axis=1) if columns else np.empty((len(values), 0))

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        (name,) = names
        return tuple(f"{name} {part}" for part in self.parts)

    def fault(self) -> str:
        try:
            np.datetime64(self.origin, "s")
        except ValueError:
            return f"origin {self.origin!r}"
        return "" if set(self.parts) <= set(PARTS) else f"parts {', '.join(self.parts)}"


@dataclass(frozen=True)
class DateParts(Transform[FittedDateParts]):
    """Year, month (1-12), day of the week (Monday 0), hour with its fraction, and days since the earliest date.

    The parts show what recurs (seasons, working days), the days since the start show a trend.  A part that is the
    same in all training rows is left out.
    """

    def fit(self, values: np.ndarray) -> FittedDateParts:
        """The earliest date, and the parts that differ between the rows.

        Args:
            values: the training part, datetime64 of shape (rows,), NaT where missing.

        Raises:
            DataError: every date is missing.
        """
        present = values[~np.isnat(values)].astype("datetime64[s]")
        if len(present) == 0:
            raise DataError("DateParts", rule="at least one date must be present", got=f"{len(values)} missing")
        origin = str(present.min())
        varying = (name for name in PARTS if np.ptp(_part(name, present, origin)) > 0)
        return FittedDateParts(origin, tuple(varying))


def _part(name: str, dates: np.ndarray, origin: str) -> np.ndarray:
    """One part of each date, float64, NaN where the date is missing."""
    seconds = dates.astype("datetime64[s]")
    known = ~np.isnat(seconds)
    numbers = np.full(len(seconds), np.nan)
    numbers[known] = PARTS[name](seconds[known], np.datetime64(origin, "s"))
    return numbers


PARTS: dict[str, Callable[[np.ndarray, np.datetime64], np.ndarray]] = {
    "year": lambda dates, _: dates.astype("datetime64[Y]").astype(np.int64) + 1970,
    "month": lambda dates, _: dates.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    # 1 January 1970 was a Thursday, day 3 of a week that begins on Monday.
    "day of week": lambda dates, _: (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7,
    "hour": lambda dates, _: (dates - dates.astype("datetime64[D]")) / np.timedelta64(1, "h"),
    "elapsed days": lambda dates, origin: (dates - origin) / _DAY,
}
