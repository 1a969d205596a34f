"""Rows of validation or test data that are also among those of training (catalogue 192: new data must be new)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import SERIOUS, Finding

LEAST_SHARE, LEAST_ROWS = 0.02, 3
_MOST_ROWS = 200_000
_MOST_COLUMNS = 4096


def leakage(case: Case) -> Iterator[Finding]:
    """``leaked_rows``: examples that were trained on are among those that the network is rated on."""
    known = {_key(row) for row in _rows(case.training.inputs)}
    shares = {}
    for name, part in case.parts.items():
        if name == "training":
            continue
        rows = _rows(part.inputs)
        met = sum(_key(row) in known for row in rows)
        expected = len(rows) * min(len(known) * _by_chance(case.training.inputs), 1.0)
        if met >= LEAST_ROWS and met > LEAST_SHARE * len(rows) + 3 * expected:
            shares[name] = met / len(rows)
    if shares:
        told = " and ".join(f"{share:.0%} of the {name} rows" for name, share in shares.items())
        yield Finding(
            "leaked_rows",
            SERIOUS,
            f"{told} have exactly the inputs of a training row.",
            "Their error says how well the network remembers, not how well it will do on new data.",
            "Remove duplicates before the data are split (or keep all copies in one part), train and rate again.",
            Chart("Rows that were trained on", "part", "share", bars=shares),
        )


def _rows(inputs: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(inputs[:_MOST_ROWS].reshape(len(inputs[:_MOST_ROWS]), -1))


def _key(row: np.ndarray) -> bytes:
    return row.tobytes()


def _by_chance(inputs: np.ndarray) -> float:
    """The probability that two rows are equal if their columns had nothing to do with each other."""
    rows = _rows(inputs)[:2000, :_MOST_COLUMNS]
    chance = 1.0
    for column in rows.T:
        counts = np.unique(column, return_counts=True)[1] / len(rows)
        chance *= float(np.square(counts).sum())
        if chance < 1e-9:
            break
    return chance
