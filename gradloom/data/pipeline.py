"""A table as a matrix of features, decided on and fitted by the training part alone.

What is done with a column follows from its kind:

==============  ================================================================================================
``number``      missing cells filled, then scaled; first ``log(1 + x/median)`` if heavy-tailed (:data:`SKEWED`)
``category``    one-hot, rare categories pooled
``date``        year, month, day of the week, hour and elapsed days, each a scaled number
``text``        left out
``identifier``  left out: it would let the network learn rows by heart
==============  ================================================================================================

A column of which some cells are missing gives one feature more, 1 where the cell is missing, even if the column
itself is left out.  Columns that are empty, or have one value throughout, teach nothing and are left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Literal, get_args

import numpy as np

from gradloom.data.dates import DateParts
from gradloom.data.encode import OneHot, Ordinal, spelled
from gradloom.data.features import Block, Reading, read_cells
from gradloom.data.impute import Impute, MissingFlag, Strategy
from gradloom.data.scaling import Affine, Log, MinMax, Range, Standardize, skewness
from gradloom.data.schema import is_name_of_identifier
from gradloom.data.state import Fitted, Stateful, Transform
from gradloom.data.table import Column, Table
from gradloom.errors import DataError, OptionError, unknown_name
from gradloom.records import dataclass

Numeric = Literal["standardize", "minmax", "range", "unscaled"]
Categorical = Literal["onehot", "ordinal"]
Treatment = Numeric | Categorical | Literal["date", "leave_out"]

SKEWED = 2.0
"""A column of numbers from 0 up is heavy-tailed if its skewness is more than this, that of an exponential."""

RARE_ROWS, RARE_SHARE, MOST_CATEGORIES = 5, 0.01, 64
"""A category is rare with fewer than 5 rows (1% of the rows, in tables of less than 500), or past the 64th."""

_SCALINGS: dict[str, Transform[Affine] | None] = {
    "standardize": Standardize(),
    "minmax": MinMax(),
    "range": Range(),
    "unscaled": None,
}
_TREATMENTS = (*_SCALINGS, *get_args(Categorical), "date", "leave_out")


@dataclass(frozen=True)
class TablePipeline(Stateful, kind="table_pipeline"):
    """Fitted preprocessing of a table.

    Attributes:
        blocks: what turns columns into features, in order.
        left_out: columns of the training table that are not read.
        target: the target's column, not read either.
        notes: the decisions, a sentence each.
    """

    blocks: tuple[Block, ...]
    left_out: tuple[str, ...]
    target: str | None
    notes: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        table: Table,
        *,
        target: str | None,
        numeric: Numeric = "standardize",
        categorical: Categorical = "onehot",
        impute: Strategy | Impute = "median",
        log_skewed: bool = True,
        overrides: Mapping[str, Treatment] | None = None,
    ) -> TablePipeline:
        """Decide on every column and fit the steps.

        Args:
            table: the training part, and nothing else: what validation and test rows hold must not be known here.
            target: the column to predict, which gives no feature; None if there is none in the table.
            numeric: scaling of numbers: ``standardize``, ``minmax``, ``range``, or ``unscaled``.
            categorical: encoding of categories: ``onehot``, or ``ordinal`` (unknown ones are filled as if missing).
            impute: how missing numbers are filled.
            log_skewed: take the logarithm of heavy-tailed numbers from 0 up.
            overrides: for single columns another treatment than their kind suggests: one of the names above,
                ``date``, or ``leave_out``.  Numbers are then scaled without a logarithm.

        Raises:
            DataError: there are no rows, no column is left, or a cell cannot be used.
            UnknownNameError: an option, or a column in ``overrides`` or ``target``, does not exist.
        """
        chosen = dict(overrides or {})
        _check_options(table, target, numeric, categorical, chosen)
        filler = impute if isinstance(impute, Impute) else Impute(impute)
        recipe = _Recipe(table.source, numeric, categorical, replace(filler, indicator=False), log_skewed)
        blocks: list[Block] = []
        left_out: list[str] = []
        notes: list[str] = []
        for name, column in table.columns.items():
            if name == target:
                continue
            made = recipe.decide(column, chosen.get(name))
            blocks += made.blocks
            notes += made.notes
            if not made.blocks:
                left_out.append(name)
        if not blocks:
            raise DataError(
                table.source,
                rule="at least one column must give a feature",
                got=" ".join(notes).rstrip(".") or "no column besides the target",
                fix="Say how a column is to be used (overrides={'name': 'onehot'}, or --kinds name=category).",
            )
        return cls(tuple(blocks), tuple(left_out), target, tuple(notes))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(name for block in self.blocks for name in block.features)

    def transform(self, table: Table) -> np.ndarray:
        """The features of each row, float32 of shape (rows, features).

        Args:
            table: any table with the columns that were learned from, in any order; others are not read
                (:meth:`unused` lists them).

        Raises:
            DataError: a column is missing, or a cell cannot be read, is infinite, or is too great for float32.
        """
        self._require_columns(table)
        parts = [block.transform(table[block.column], source=table.source) for block in self.blocks]
        features = np.hstack(parts)
        too_great = np.argwhere(~np.isfinite(features))
        if len(too_great):
            row, feature = too_great[0]
            raise DataError(
                table.source,
                rule="scaled numbers must be within the range of float32",
                got=f"feature {self.features[feature]!r} in row {row + 1}, far beyond all training values",
                fix="Correct the cell or leave it empty (missing).",
            )
        return features

    def unused(self, table: Table) -> tuple[str, ...]:
        """A sentence for each column of ``table`` that the training table did not have.

        Args:
            table: a table to predict on.
        """
        known = {block.column for block in self.blocks} | {*self.left_out, self.target}
        return tuple(
            f"Column {name!r} was not in the training table and is ignored."
            for name in table.names
            if name not in known
        )

    def _require_columns(self, table: Table) -> None:
        wanted = dict.fromkeys(block.column for block in self.blocks)
        gone = [name for name in wanted if name not in table.columns]
        if not gone:
            return
        spare = {name.lower(): name for name in table.names if name not in wanted}
        told = []
        for name in gone:
            close = difflib.get_close_matches(name.lower(), spare, n=1, cutoff=0.6)
            told.append(f"{name!r}" + (f" (nearest: {spare[close[0]]!r})" if close else ""))
        raise DataError(
            table.source,
            rule="all columns that the model learned from must be there",
            got=f"none called {', '.join(told)}",
            fix="Add or rename them; leave cells empty where the value is not known.",
        )


@dataclass(frozen=True)
class _Decision:
    """What becomes of one column."""

    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Recipe:
    """The options, applied to one column after another."""

    source: str
    numeric: str
    categorical: str
    impute: Impute
    log_skewed: bool

    def decide(self, column: Column, asked: str | None) -> _Decision:
        """Steps for one column, fitted, and the sentences about it."""
        by_kind = {"number": self.numeric, "category": self.categorical, "date": "date"}
        treatment = asked or by_kind.get(column.kind, "leave_out")
        made = _Decision()
        useless = _nothing_to_learn(column)
        if treatment == "leave_out" or useless:
            why = "as asked" if asked == "leave_out" else useless or _why_left_out(column)
            made.notes.append(f"Column {column.name!r} is left out: {why}.")
        elif treatment in _SCALINGS:
            logarithm = self.log_skewed and asked is None
            made.blocks.append(self._number(column, treatment, logarithm, made.notes))
        elif treatment == "onehot":
            self._one_hot(column, made)
        else:
            encoder = Ordinal() if treatment == "ordinal" else DateParts()
            reading: Reading = "any" if treatment == "ordinal" else "date"
            made.blocks.append(self._encoded(column, reading, encoder, made.notes))
        # One-hot encoding has a category for missing cells already.
        if asked != "leave_out" and (treatment != "onehot" or useless):
            self._flag_missing(column, made)
        return made

    def _number(self, column: Column, scaling: str, logarithm: bool, notes: list[str]) -> Block:
        cells = read_cells(column, "number", source=self.source)
        before: list[Transform] = [self.impute]
        skew, least = skewness(cells), min(np.nanmin(cells), self.impute.fill or 0.0)
        if logarithm and skew > SKEWED and least >= 0:
            before.append(Log())
            notes.append(
                f"Column {column.name!r} is heavy-tailed (skewness {skew:.1f}): log(1 + x/median) is taken first."
            )
        return self._chain(column.name, "number", cells, [*before, _SCALINGS[scaling]])

    def _one_hot(self, column: Column, made: _Decision) -> None:
        rare = min(RARE_ROWS, max(1, int(len(column.values) * RARE_SHARE)))
        encoder = OneHot(rare, MOST_CATEGORIES).fit(column.values)
        categories = len(set(spelled(column.values)))
        if not encoder.categories:
            made.notes.append(
                f"Column {column.name!r} is left out: each of its {categories} categories has fewer than {rare} rows."
            )
            return
        made.blocks.append(Block(column.name, "any", (encoder,)))
        if encoder.pooled:
            pooled = categories - len(encoder.categories)
            made.notes.append(
                f"Column {column.name!r} pools its rare categories, {pooled} of {categories}, in one feature."
            )

    def _encoded(self, column: Column, reading: Reading, encoder: Transform, notes: list[str]) -> Block:
        cells = read_cells(column, reading, source=self.source)
        block = self._chain(column.name, reading, cells, [encoder, self.impute, _SCALINGS[self.numeric]])
        if reading == "date":
            parts = (name.removeprefix(f"{column.name} ") for name in block.features)
            notes.append(f"Column {column.name!r} is a date; its features are {', '.join(parts)}.")
        return block

    def _chain(self, name: str, reading: Reading, cells: np.ndarray, steps: list[Transform | None]) -> Block:
        """Fit the steps one after another, each on what the one before it gives."""
        fitted: list[Fitted] = []
        for step in steps:
            if step is None:
                continue
            try:
                done, cells = step.fit_transform(cells)
            except DataError as error:
                error.within(f"column {name!r}")
                raise
            fitted.append(done)
        return Block(name, reading, tuple(fitted))

    def _flag_missing(self, column: Column, made: _Decision) -> None:
        missing = int(column.missing().sum())
        if 0 < missing < len(column.values):
            made.blocks.append(Block(column.name, "any", (MissingFlag(),)))
            made.notes.append(
                f"Column {column.name!r} lacks {missing} of {len(column.values)} cells: a feature says where it does."
            )


def _nothing_to_learn(column: Column) -> str:
    """Why the column cannot help, whatever its kind; empty if it can."""
    present = column.values[~column.missing()]
    if len(present) == 0:
        return "all its cells are missing"
    same = all(cell == present[0] for cell in present)
    return "all its cells that are present hold the same value" if same else ""


def _why_left_out(column: Column) -> str:
    if column.kind == "identifier" and is_name_of_identifier(column.name):
        return "it only tells rows apart"
    if column.kind == "identifier":
        keep = f"kinds={{{column.name!r}: 'number'}} (or --kinds {column.name}=number)"
        return f"its values only tell rows apart, as numbers of rows do; if it measures something, say {keep}"
    distinct = len(set(spelled(column.values)) - {None})
    return f"it is free text, with {distinct} different values in {len(column.values)} rows"


def _check_options(
    table: Table, target: str | None, numeric: str, categorical: str, overrides: Mapping[str, str]
) -> None:
    who = "TablePipeline"
    if table.rows == 0:
        raise DataError(table.source, rule="there must be rows to learn from", got="none")
    if target is not None:
        table[target]  # its own error proposes the nearest name
    if numeric not in _SCALINGS:
        raise unknown_name(who, "scaling of numbers", numeric, _SCALINGS)
    if categorical not in get_args(Categorical):
        raise unknown_name(who, "encoding of categories", categorical, get_args(Categorical))
    for name, treatment in overrides.items():
        table[name]
        if name == target:
            raise OptionError(who, rule="overrides are for columns that give features", got=f"the target {name!r}")
        if treatment not in _TREATMENTS:
            raise unknown_name(f"{who}, column {name!r}", "treatment", treatment, _TREATMENTS)
