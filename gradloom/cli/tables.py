"""Every data set as a table: samples that are arrays are flattened, one column a number of theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradloom.data.arrays import Arrays
from gradloom.data.frames import table_from_matrix
from gradloom.data.schema import column_from_values
from gradloom.data.table import Table
from gradloom.errors import DataError

TARGET = "y"


def as_tables(dataset: Table | Arrays) -> tuple[Table, Table | None]:
    """The data set as a table, and its test part where the source itself has one.

    Args:
        dataset: arrays become columns ``column_1``, ``column_2``, ... and, where there are targets, ``y``.

    Raises:
        DataError: the samples are not arrays of numbers, or there is more than one target a sample.
    """
    if isinstance(dataset, Table):
        return dataset, None
    return _flattened(dataset), _flattened(dataset.test) if dataset.test else None


def holds_whole_numbers(dataset: Table | Arrays) -> bool:
    """Whether samples are arrays of whole numbers, such as the bytes of images."""
    return isinstance(dataset, Arrays) and dataset.inputs.dtype.kind in "iub"


def _flattened(arrays: Arrays) -> Table:
    inputs = arrays.inputs
    if inputs.dtype.kind not in "fiub":
        raise DataError(arrays.source, rule="samples must be arrays of numbers", got=f"data type {inputs.dtype}")
    table = table_from_matrix(inputs.reshape(len(inputs), -1), source=arrays.source)
    if arrays.targets is None:
        return table
    targets = arrays.targets
    if targets.shape[1:] not in ((), (1,)):
        raise DataError(
            arrays.source,
            rule="there must be one target a sample",
            got=f"targets of shape {targets.shape}",
            fix="Turn one-hot rows into labels: y.argmax(axis=1).",
        )
    column = column_from_values(TARGET, np.reshape(targets, len(targets)), source=arrays.source)
    return replace(table, columns={**table.columns, TARGET: column}, target=TARGET)
