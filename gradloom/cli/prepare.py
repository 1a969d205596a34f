"""From a data set to the parts that a network trains, validates and is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradloom.data.arrays import Arrays
from gradloom.data.pipeline import TablePipeline
from gradloom.data.schema import column_from_values
from gradloom.data.splits import PARTS, default_fractions, split
from gradloom.data.table import Column, Table
from gradloom.data.target import TargetPipeline, Task
from gradloom.errors import DataError, OptionError
from gradloom.train import Preprocessing

TRAINING, VALIDATION, TEST = PARTS


@dataclass(frozen=True)
class Part:
    """Rows with known targets.

    Attributes:
        inputs: what the network takes, shape (rows, ...).
        targets: what its outputs are compared with, as the loss wants them.
        truth: labels (int64), or values in the data's own unit (float64); shape (rows,).
    """

    inputs: np.ndarray
    targets: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """A data set made ready.

    Attributes:
        parts: ``training``, and ``validation`` and ``test`` unless their share is 0.
        preprocessing: what was fitted on the training part.
        target: its target pipeline.
        notes: what was found and decided, a sentence each.
    """

    parts: dict[str, Part]
    preprocessing: Preprocessing
    target: TargetPipeline
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shares:
    """Shares of the rows for validation and test; None for the usual one in data of that size."""

    validation: float | None
    test: float | None

    def fractions(self, rows: int, *, has_test: bool) -> tuple[float, float, float]:
        """Shares of training, validation and test.

        Args:
            rows: number of rows to split.
            has_test: whether the source brings its own test part.

        Raises:
            OptionError: a share lies outside [0, 1), or nothing is left to train on.
        """
        _, usual_validation, usual_test = default_fractions(rows)
        validation = usual_validation if self.validation is None else self.validation
        test = usual_test if self.test is None else self.test
        if has_test:
            test = 0.0
        for name, share in (("--validation", validation), ("--test", test)):
            if not 0 <= share < 1:
                raise OptionError(name, rule="a share of the rows is from 0 to less than 1", got=f"{share:g}")
        if validation + test >= 1:
            raise OptionError(
                "--validation and --test",
                rule="together they must leave rows to train on",
                got=f"{validation:g} and {test:g}",
                fix="Use less than 1 in all, such as 0.2 and 0.2.",
            )
        return 1 - validation - test, validation, test


def prepare_table(table: Table, target: str | None, *, softmax: bool, shares: Shares, seed: int) -> Prepared:
    """Split a table and fit the preprocessing on its training part.

    Args:
        table: the data set.
        target: the column to predict; the one that the source itself knows if None.
        softmax: use one output a class even for two classes.
        shares: of validation and test.
        seed: of the split.

    Raises:
        DataError: the target or the features cannot be used.
        OptionError: there is no target, or the shares are none.
        UnknownNameError: there is no column of this name.
    """
    name = target or table.target
    if name is None:
        raise OptionError(
            table.source,
            rule="say which column is to be predicted",
            got=f"the columns {', '.join(table.names)}",
            fix="Add --target COLUMN.",
        )
    known = TargetPipeline.present(table[name])
    found = _find_task(table[name], softmax, table.source)
    table = table.take(known)
    labels = None if found.task == "regression" else found.encode(table[name])
    fractions = shares.fractions(table.rows, has_test=False)
    rows = split(table.rows, fractions, stratify=labels, seed=seed)
    training = table.take(rows.train)
    features = TablePipeline.fit(training, target=name)
    scaled = _fit_on_training(found, training[name], table.source)
    parts = {
        part: part_of_table(table.take(chosen), features, scaled)
        for part, chosen in zip(PARTS, (rows.train, rows.validation, rows.test))
        if len(chosen)
    }
    notes = (*found.notes, *features.notes, *rows.notes)
    return Prepared(parts, Preprocessing(features, scaled), scaled, notes)


def part_of_table(table: Table, features: TablePipeline, target: TargetPipeline) -> Part:
    """The rows of a table, all of which have a target."""
    return _part(features.transform(table), table[target.name], target, table.source)


def prepare_arrays(arrays: Arrays, *, softmax: bool, shares: Shares, seed: int) -> Prepared:
    """Split arrays, and fit the preprocessing of their targets on the training part.

    Args:
        arrays: the data set; if it has a test part, that is the one.
        softmax: use one output a class even for two classes.
        shares: of validation and test.
        seed: of the split.

    Raises:
        DataError: there are no targets, or they cannot be used.
        OptionError: the shares are none.
    """
    column = target_of_arrays(arrays)
    found = _find_task(column, softmax, arrays.source)
    inputs = arrays.inputs[TargetPipeline.present(column)]
    column = replace(column, values=column.values[TargetPipeline.present(column)])
    labels = None if found.task == "regression" else found.encode(column)
    fractions = shares.fractions(len(inputs), has_test=arrays.test is not None)
    rows = split(len(inputs), fractions, stratify=labels, seed=seed)
    scaled = _fit_on_training(found, replace(column, values=column.values[rows.train]), arrays.source)
    parts = {
        part: _part(as_float(inputs[chosen]), replace(column, values=column.values[chosen]), scaled, arrays.source)
        for part, chosen in zip(PARTS, (rows.train, rows.validation, rows.test))
        if len(chosen)
    }
    notes: Sequence[str] = (*found.notes, *rows.notes)
    if arrays.test is not None:
        parts[TEST] = part_of_arrays(arrays.test, scaled)
        notes = (*found.notes, "The data set brings its own test part.")
    return Prepared(parts, Preprocessing(None, scaled), scaled, tuple(notes))


def part_of_arrays(arrays: Arrays, target: TargetPipeline) -> Part:
    """Samples, all of which have a target."""
    column = target_of_arrays(arrays)
    return _part(as_float(arrays.inputs), replace(column, name=target.name), target, arrays.source)


def target_of_arrays(arrays: Arrays) -> Column:
    """The targets of arrays as a column called ``y``.

    Raises:
        DataError: there are none, or more than one a sample.
    """
    if arrays.targets is None:
        raise DataError(
            arrays.source,
            rule="samples need targets to learn from",
            got="inputs alone",
            fix="Save both: np.savez(file, x=inputs, y=targets).",
        )
    targets = arrays.targets[:, 0] if arrays.targets.shape[1:] == (1,) else arrays.targets
    return column_from_values("y", targets, source=arrays.source)


def as_float(inputs: np.ndarray) -> np.ndarray:
    """Whole numbers, such as the bytes of images, as float32; whatever else they are, the trainer judges."""
    return inputs.astype(np.float32) if inputs.dtype.kind in "iub" else inputs


def _find_task(column: Column, softmax: bool, source: str) -> TargetPipeline:
    found = TargetPipeline.fit(column, source=source)
    if found.task == "binary" and softmax:
        return replace(TargetPipeline.fit(column, task="multiclass", source=source), notes=found.notes)
    return found


def _fit_on_training(found: TargetPipeline, column: Column, source: str) -> TargetPipeline:
    """The names of the classes may be known from all rows; mean and deviation from the training part alone."""
    if found.task != "regression":
        return found
    task: Task = "regression"
    return replace(TargetPipeline.fit(column, task=task, source=source), notes=found.notes)


def _part(inputs: np.ndarray, column: Column, target: TargetPipeline, source: str) -> Part:
    encoded = target.encode(column, source=source)
    if target.task == "regression":
        return Part(inputs, encoded, target.decode(encoded))
    targets = encoded.astype(np.float32)[:, np.newaxis] if target.task == "binary" else encoded
    return Part(inputs, targets, encoded)
