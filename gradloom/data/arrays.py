"""Arrays: a data set whose samples are not rows of named columns but arrays, such as images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradloom.errors import DataError
from gradloom.records import dataclass

_KEY_PAIRS = (("x", "y"), ("X", "y"), ("x_train", "y_train"), ("X_train", "y_train"))


@dataclass(frozen=True)
class Arrays:
    """Samples along the first axis, with their targets where there are any.

    Attributes:
        inputs: the samples, shape (N, ...).
        targets: one target per sample, shape (N, ...), or None.
        source: where the arrays came from, for messages.
        test: the held-out part, where the source itself has one (``x_test`` and ``y_test`` of an ``.npz``).
    """

    inputs: np.ndarray
    targets: np.ndarray | None = None
    source: str = "arrays"
    test: Arrays | None = None

    def __post_init__(self) -> None:
        if self.inputs.ndim == 0 or len(self.inputs) == 0:
            raise DataError(
                self.source,
                rule="inputs need at least one sample along their first axis",
                got=f"shape {self.inputs.shape}",
            )
        if self.targets is not None and self.targets.shape[:1] != self.inputs.shape[:1]:
            raise DataError(
                self.source,
                rule="inputs and targets must have the same number of samples",
                got=f"inputs {self.inputs.shape} and targets {self.targets.shape}",
            )


def arrays_from_mapping(named: Mapping[str, np.ndarray], *, source: str) -> Arrays:
    """Arrays from the customary names: ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``.

    Args:
        named: the arrays by name; a capital ``X`` is as good, and the targets may be absent.
        source: where they came from, for messages.

    Returns:
        The arrays; those called ``..._test`` are in the field ``test``.

    Raises:
        DataError: no inputs under a known name, or inputs and targets of different length.
    """
    for inputs, targets in _KEY_PAIRS:
        if inputs in named:
            held_out = inputs.replace("train", "test")
            test = None
            if held_out != inputs and held_out in named:
                test = Arrays(named[held_out], named.get("y_test"), source=f"{source} (test part)")
            return Arrays(named[inputs], named.get(targets), source=source, test=test)
    raise DataError(
        source,
        rule="the arrays must be called x and y, or x_train, y_train, x_test and y_test",
        got=f"keys {', '.join(named) or '(none)'}",
        fix="Save them under these names: np.savez(file, x=inputs, y=targets).",
    )
