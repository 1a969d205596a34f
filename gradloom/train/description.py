"""What the header of a model file says of a training run, field by field.

The nested descriptions (model, loss, optimiser, metrics, preprocessing) are checked by those who build them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradloom import nn, optim
from gradloom.data import augment
from gradloom.errors import ModelFileError
from gradloom.records import dataclass
from gradloom.train import settings
from gradloom.train.inputs import InputType, is_one
from gradloom.train.precision import FLOATS, PRECISIONS

MOST = 2**63 - 1  # counters are int64 in the graph
REMEDY = "Save the model again, or use a copy of the file that is whole."


@dataclass(frozen=True)
class Field:
    """What a field must be, in words and as a test."""

    rule: str
    holds: Callable[[Any], bool]


def _whole(value: Any, most: int = MOST) -> bool:
    return type(value) is int and 0 <= value <= most


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _class_weight(value: Any) -> bool:
    if not isinstance(value, list):
        return value in (None, "balanced")
    return all(isinstance(pair, list) and len(pair) == 2 and _whole(pair[0]) and _number(pair[1]) for pair in value)


def _input(value: Any) -> bool:
    """One input is [type, shape]; several are a list or an object of such, and not empty."""
    if isinstance(value, dict):
        return bool(value) and all(map(_one_input, value.values()))
    return _one_input(value) or (isinstance(value, list) and bool(value) and all(map(_one_input, value)))


def _one_input(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or value[0] not in (*FLOATS, "int64", "uint8"):
        return False
    shape = value[1]
    return isinstance(shape, list) and all(map(_whole, shape))


def input_as_json(kind: InputType) -> Any:
    """The type of the inputs for a header."""
    if is_one(kind):
        return [kind[0], list(kind[1])]
    return (
        {name: input_as_json(one) for name, one in kind.items()}
        if isinstance(kind, dict)
        else [*map(input_as_json, kind)]
    )


def input_from_json(value: Any) -> InputType:
    """The same, read."""
    if isinstance(value, dict):
        return {name: input_from_json(one) for name, one in value.items()}
    return (value[0], tuple(value[1])) if _one_input(value) else tuple(map(input_from_json, value))


def _history(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"rows", "best_epoch", "stopped"}:
        return False
    rows, best_epoch = value["rows"], value["best_epoch"]
    is_fine = isinstance(value["stopped"], str) and (best_epoch is None or _whole(best_epoch))
    return is_fine and isinstance(rows, list) and all(map(_row, rows))


def _row(value: Any) -> bool:
    return isinstance(value, dict) and "epoch" in value and all(type(v) in (int, float) for v in value.values())


_OBJECT = Field("an object", lambda value: isinstance(value, dict))
_COUNTER = Field("a whole number from 0", _whole)
_SIZE = Field("a whole number from 1", lambda value: _whole(value) and value > 0)
_PENALTY = Field("a finite number from 0", _number)

FIELDS: dict[str, Field] = {
    "model": _OBJECT,
    "loss": _OBJECT,
    "optimizer": _OBJECT,
    "metrics": Field("a list", lambda value: isinstance(value, list)),
    "seed": Field("a whole number below 2^64", lambda value: _whole(value, 2**64 - 1)),
    "l1": _PENALTY,
    "l2": _PENALTY,
    "regularizers": Field("a list", lambda value: isinstance(value, list)),
    "class_weight": Field("null, 'balanced' or pairs of label and weight", _class_weight),
    "preprocessing": Field("null or an object", lambda value: value is None or isinstance(value, dict)),
    "augment": Field("null or an object", lambda value: value is None or isinstance(value, dict)),
    "dtype": Field("float32 or float64", lambda value: value in FLOATS),
    "precision": Field("null or 'bfloat16'", lambda value: value in PRECISIONS),
    "input": Field("the data type and the shape of an example, or those of several inputs", _input),
    "epoch": _COUNTER,
    "step": _COUNTER,
    "position": _COUNTER,
    "batch_size": _SIZE,
    "rows": _SIZE,
    "history": Field("rows of numbers, the best epoch, and why training stopped", _history),
}


def described(run: Any) -> dict[str, Any]:
    """What the header says of a trainer that has parameters; train/loading.py reads it."""
    return {
        "model": nn.registry.describe(run.model),
        "loss": nn.losses.describe(run.loss),
        "optimizer": optim.describe(run.optimizer),
        "metrics": [nn.metrics.describe(m) for m in run.metrics],
        "seed": run.seed,
        "l1": run.l1,
        "l2": run.l2,
        "regularizers": [nn.regularizers.describe(r) for r in run.regularizers],
        "class_weight": settings.class_weight_as_json(run.class_weight),
        "preprocessing": run.preprocessing.state() if run.preprocessing else None,
        "augment": None if run.augment is None else augment.describe(run.augment),
        "dtype": run.dtype,
        "precision": run.precision,
        "input": input_as_json(run.input_type),
        "epoch": run.epoch,
        "step": run.step,
        "position": run.position,
        "batch_size": run.batch_size,
        "rows": run.rows,
        "history": run.history.as_json(),
    }


def check(description: dict[str, Any], who: str) -> None:
    """Refuse a description with a field that is missing or not what it must be.

    Args:
        description: as read from the file.
        who: the file.

    Raises:
        ModelFileError: there is such a field.
    """
    for name, field in FIELDS.items():
        if name not in description or not field.holds(description[name]):
            got = repr(description[name])[:80] if name in description else "nothing"
            raise ModelFileError(
                who, rule=f"the field {name!r} of the description must be {field.rule}", got=got, fix=REMEDY
            )
