"""The column to predict: which task it asks for, and its values as a network wants them.

The task, where the user does not say it:

1. Text and categories are classes.
2. Numbers are classes if all are whole, they take at most 20 different values, and those are 2, or at most 5% of
   the rows.  Otherwise they are quantities: regression.
3. Two classes make the task ``binary``, more make it ``multiclass``.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from gradloom.data.encode import Labels
from gradloom.data.features import read_cells
from gradloom.data.scaling import Affine, Standardize
from gradloom.data.schema import is_number
from gradloom.data.state import Stateful
from gradloom.data.table import Column
from gradloom.errors import DataError, ShapeError, unknown_name
from gradloom.records import dataclass

Task = Literal["regression", "binary", "multiclass"]
Asked = Task | Literal["classification"]

FEW_CLASSES = 20
FEW_CLASSES_SHARE = 0.05


@dataclass(frozen=True)
class TargetPipeline(Stateful, kind="target_pipeline"):
    """Fitted preprocessing of a target: labels of its classes, or standardised quantities.

    Attributes:
        name: the column's name.
        task: ``regression``, ``binary`` or ``multiclass``.
        labels: the classes; None in regression.
        scale: mean and standard deviation of the training part; None in classification.
        notes: how the task was found, and what else a user should know, a sentence each.
    """

    name: str
    task: Task
    labels: Labels | None
    scale: Affine | None
    notes: tuple[str, ...]

    @classmethod
    def fit(cls, column: Column, *, task: Asked | None = None, source: str = "table") -> TargetPipeline:
        """Find the task, and the classes or the scale.

        Args:
            column: the target in the training part; rows without a target take no part.
            task: ``regression``, ``classification`` (``binary`` or ``multiclass`` if you know), or None to infer it.
            source: where the column came from, for messages.

        Raises:
            DataError: the column cannot be a target: empty, of one value, a date, free text, infinite, or not what
                ``task`` asks for.
            UnknownNameError: there is no such task.
        """
        if task is not None and task not in _TASKS:
            raise unknown_name("TargetPipeline", "task", task, _TASKS)
        present = Column(column.name, column.kind, column.values[cls.present(column)])
        _require_two_values(present, source)
        quantity, why = _is_quantity(present, task)
        notes = [why]
        missing = len(column.values) - len(present.values)
        if missing:
            notes.append(f"{missing} of {len(column.values)} rows have no {column.name!r} and take no part.")
        if quantity:
            return cls(column.name, "regression", None, _fit_scale(present, source), tuple(notes))
        labels = Labels.fit(present.values)
        two = len(labels.classes) == 2 and task != "multiclass"  # a softmax over two classes is as good
        found: Task = "binary" if two else "multiclass"
        _check_classes(present, labels, task, source)
        return cls(column.name, found, labels, None, tuple(notes))

    @staticmethod
    def present(column: Column) -> np.ndarray:
        """Which rows have a target, bool of shape (rows,); the others can be neither learned from nor rated.

        Args:
            column: the target.
        """
        return ~column.missing()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label; empty in regression."""
        return self.labels.classes if self.labels else ()

    def encode(self, column: Column, *, source: str = "table") -> np.ndarray:
        """The targets as a network wants them.

        Args:
            column: the target, present in every row.
            source: where it came from, for messages.

        Returns:
            Labels, int64 of shape (rows,); in regression standardised values, float32 of shape (rows, 1), the shape
            of a network's output.

        Raises:
            DataError: a row has no target, or in regression one that is no finite number or is too great.
            UnknownNameError: a cell is of a class that the training part does not have.
        """
        if self.labels:
            return self.labels.encode(column.values, name=column.name)
        assert self.scale, "a target has labels or a scale"
        numbers = read_cells(column, "number", source=source)
        _require_present(numbers, f"{source}, target {column.name!r}")
        with np.errstate(over="ignore"):
            scaled = self.scale.transform(numbers).astype(np.float32)
        if not np.isfinite(scaled).all():
            raise DataError(
                f"{source}, target {column.name!r}",
                rule="scaled targets must be within the range of float32",
                got=f"{numbers[np.argmin(np.isfinite(scaled))]:g}, far beyond all training values",
            )
        return scaled[:, np.newaxis]

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Predictions in terms of the data.

        Args:
            values: labels of shape (rows,); in regression outputs of the network, shape (rows, 1) or (rows,).

        Returns:
            Names of classes, object array of shape (rows,); in regression float64 of shape (rows,), in units of
            the data.

        Raises:
            IndexRangeError: a label is of no class.
            ShapeError: there is more than one value a row.
        """
        if values.ndim not in (1, 2) or (values.ndim == 2 and (self.labels or values.shape[1] != 1)):
            wanted = "(rows,)" if self.labels else "(rows, 1) or (rows,)"
            raise ShapeError(
                f"target {self.name!r}", rule=f"predictions must be of shape {wanted}", got=str(values.shape)
            )
        if self.labels:
            return self.labels.decode(values)
        assert self.scale, "a target has labels or a scale"
        return self.scale.inverse(values.reshape(-1))

    def fault(self) -> str:
        regression = self.task == "regression"
        return "" if regression == (self.labels is None) == (self.scale is not None) else f"task {self.task}"


_TASKS = (*get_args(Task), "classification")
_OTHER_COLUMN = "Choose another column as target."


def _is_quantity(present: Column, task: str | None) -> tuple[bool, str]:
    """Whether the task is regression, and the sentence that says why."""
    name = present.name
    if task is not None:
        return task == "regression", f"The task is {task}, as asked."
    numbers = present.values
    if numbers.dtype.kind == "O":
        if present.kind != "identifier" or not all(map(is_number, numbers)):
            return False, f"The task is classification, since {name!r} holds names."
        numbers = numbers.astype(np.float64)
    distinct = len(np.unique(numbers))
    if not (numbers == np.rint(numbers)).all():
        return True, f"The task is regression, since {name!r} holds numbers with decimals."
    few = distinct <= FEW_CLASSES and (distinct <= 2 or distinct <= FEW_CLASSES_SHARE * len(numbers))
    values = f"{name!r} takes {distinct} different whole numbers in {len(numbers)} rows"
    return not few, f"The task is {'classification' if few else 'regression'}, since {values}."


def _require_two_values(present: Column, source: str) -> None:
    who, cells = f"{source}, target {present.name!r}", present.values
    if len(cells) == 0:
        raise DataError(who, rule="at least one row needs a target", got="only missing cells")
    if present.kind == "date" or cells.dtype.kind == "M":
        raise DataError(
            who,
            rule="a target must be a number or a class",
            got=f"dates, such as {cells[0]}",
            fix="Turn them into a number, such as the days until then.",
        )
    if all(cell == cells[0] for cell in cells):
        raise DataError(
            who,
            rule="a target must take at least two different values",
            got=f"{cells[0]} in all {len(cells)} rows",
            fix="Choose another column, or add rows of other classes.",
        )


def _fit_scale(present: Column, source: str) -> Affine:
    numbers = read_cells(present, "number", source=source)
    try:
        return Standardize().fit(numbers)
    except DataError as error:
        error.within(f"target {present.name!r}")
        raise


def _check_classes(present: Column, labels: Labels, task: str | None, source: str) -> None:
    who, count, rows = f"{source}, target {present.name!r}", len(labels.classes), len(present.values)
    if task == "binary" and count != 2:
        raise DataError(
            who,
            rule="a binary target has two classes",
            got=f"{count} classes",
            fix="Say the task (task='multiclass', or --task multiclass).",
        )
    if count > max(2, rows / 2):
        quantity = present.values.dtype.kind == "f"
        raise DataError(
            who,
            rule="classes must repeat for a model to learn them",
            got=f"{count} different values in {rows} rows",
            fix="Say the task (task='regression', or --task regression)." if quantity else _OTHER_COLUMN,
        )


def _require_present(numbers: np.ndarray, who: str) -> None:
    missing = np.flatnonzero(np.isnan(numbers))
    if len(missing):
        raise DataError(
            who,
            rule="every row needs a target",
            got=f"a missing cell in row {missing[0] + 1}",
            fix="Drop the rows without a target first.",
        )
