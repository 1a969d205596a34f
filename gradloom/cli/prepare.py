"""From a table to the parts that a network trains, validates and is tested on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradloom.data.features import read_cells
from gradloom.data.pipeline import Numeric, TablePipeline
from gradloom.data.splits import PARTS, Fractions, Split, default_fractions, split
from gradloom.data.table import Column, Table
from gradloom.data.target import Asked, TargetPipeline
from gradloom.errors import OptionError
from gradloom.records import dataclass

TRAINING, VALIDATION, TEST = PARTS


@dataclass(frozen=True)
class Part:
    """Rows with known targets.

    Attributes:
        inputs: what the network takes, float32 of shape (rows, features).
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
        parts: ``training``, and ``validation`` and ``test`` unless they are empty.
        features: fitted on the training part.
        target: likewise; only the names of the classes are known from all rows.
        rows: of which rows the parts are, counted among those that have a target.
        notes: what was found and decided, a sentence each.
    """

    parts: dict[str, Part]
    features: TablePipeline
    target: TargetPipeline
    rows: Split
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """How a table is to be prepared.

    Attributes:
        target: the column to predict; the one that the source itself knows if None.
        validation: share of the rows; None for the usual one in data of that size.
        test: likewise.
        seed: of the split.
        task: what the target asks for; None to find it from the column.
        softmax: one output a class even for two classes, unless ``task`` is ``binary``.
        numeric: scaling of numbers.
    """

    target: str | None = None
    validation: float | None = None
    test: float | None = None
    seed: int = 0
    task: Asked | None = None
    softmax: bool = False
    numeric: Numeric = "standardize"

    def fractions(self, rows: int) -> Fractions:
        """Shares of training, validation and test.

        Args:
            rows: number of rows to split.

        Raises:
            OptionError: a share lies outside [0, 1), or nothing is left to train on.
        """
        _, usual_validation, usual_test = default_fractions(rows)
        validation = usual_validation if self.validation is None else self.validation
        test = usual_test if self.test is None else self.test
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


def prepare(table: Table, plan: Plan, held_out: Table | None = None) -> Prepared:
    """Split a table and fit the preprocessing on its training part.

    Args:
        table: the data set.
        plan: how.
        held_out: the test part, where the source brings one; else it is split off.

    Raises:
        DataError: the target or the features cannot be used.
        OptionError: no target was named, or the shares are none.
        UnknownNameError: there is no column of this name.
    """
    name = _target_name(table, plan.target)
    require_finite(table)
    found = _find_task(table[name], plan, table.source)
    known = table.take(TargetPipeline.present(table[name]))
    labels = None if found.task == "regression" else found.encode(known[name])
    asked = plan if held_out is None else replace(plan, test=0.0)
    rows = split(known.rows, asked.fractions(known.rows), stratify=labels, seed=plan.seed)
    training = known.take(rows.train)
    features = TablePipeline.fit(training, target=name, numeric=plan.numeric, log_skewed=plan.numeric == "standardize")
    target = _fit_on_training(found, training[name], table.source)
    tables = dict(zip(PARTS, (training, known.take(rows.validation), known.take(rows.test))))
    if held_out is not None:
        tables[TEST] = held_out.take(TargetPipeline.present(held_out[name]))
    parts = {part: rows_of(chosen, features, target) for part, chosen in tables.items() if chosen.rows}
    about_split = rows.notes if held_out is None else ("The data set brings its own test part.",)
    return Prepared(parts, features, target, rows, (*found.notes, *features.notes, *about_split))


def require_finite(table: Table) -> None:
    """Refuse infinities while rows still have the numbers that they have in the file, before any split.

    Raises:
        DataError: a column of numbers holds an infinity.
    """
    for column in table.columns.values():
        if column.kind == "number":
            read_cells(column, "number", source=table.source)


def rows_of(table: Table, features: TablePipeline, target: TargetPipeline) -> Part:
    """A table whose rows all have a target, as the network takes it.

    Raises:
        DataError: cells cannot be used.
        UnknownNameError: a target is of a class that training did not have.
    """
    inputs, column = features.transform(table), table[target.name]
    encoded = target.encode(column, source=table.source)
    if target.task == "regression":
        return Part(inputs, encoded, read_cells(column, "number", source=table.source))
    targets = encoded.astype(np.float32)[:, np.newaxis] if target.task == "binary" else encoded
    return Part(inputs, targets, encoded)


def _target_name(table: Table, asked: str | None) -> str:
    name = asked or table.target
    if name is None:
        shown = ", ".join(table.names[:30]) + (", ..." if len(table.names) > 30 else "")
        raise OptionError(
            table.source,
            rule="the column to predict must be named",
            got=f"no --target, and columns {shown}",
            fix="Add --target COLUMN.",
        )
    return name


def _find_task(column: Column, plan: Plan, source: str) -> TargetPipeline:
    found = TargetPipeline.fit(column, task=plan.task, source=source)
    if found.task == "binary" and plan.softmax and plan.task != "binary":
        return replace(TargetPipeline.fit(column, task="multiclass", source=source), notes=found.notes)
    return found


def _fit_on_training(found: TargetPipeline, column: Column, source: str) -> TargetPipeline:
    """Classes may be known from all rows, so that the split can be stratified; a scale only from the training part."""
    if found.task != "regression":
        return found
    return replace(TargetPipeline.fit(column, task="regression", source=source), notes=found.notes)
