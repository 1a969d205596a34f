"""What a model is given: one array, or several of one length, in a dict by name or in a tuple by place.

An example is then one row of each array.  Everything that takes rows (batches, shuffling, chunks of a stream, workers)
takes the same ones of every array; everything that needs to know what an example is asks for its :data:`InputType`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradloom import tree
from gradloom.errors import DataError, OptionError, ShapeError
from gradloom.functional import zeros
from gradloom.nn.branches import check_names, listed
from gradloom.tensor import Tensor

Inputs = Any  # an array, a dict of arrays by name, or a tuple of arrays
InputType = Any
"""Type and shape of an example, such as ``("float32", (28, 28, 1))``; of several inputs a dict or a tuple of these."""


def are_several(values: Any) -> bool:
    """Whether values are several inputs: a dict, or a tuple with arrays in it.  Lists are rows of one array."""
    if isinstance(values, tuple):
        return any(hasattr(value, "shape") and len(value.shape) for value in values)
    return isinstance(values, dict) and not hasattr(values, "shape")  # SciPy has matrices that are dicts


def checked_inputs(values: Any, who: str, check: Callable[[Any, str], np.ndarray]) -> Inputs:
    """The inputs as arrays.

    Args:
        values: what was given.
        who: for messages.
        check: makes an array of one of them, which has a name for messages.

    Raises:
        DataError: there is none, or a name is no text.
        ShapeError: they differ in length.
    """
    if not are_several(values):
        return check(values, who)
    entries: dict[Any, Any] = values if isinstance(values, dict) else dict(enumerate(values))
    if not entries or (isinstance(values, dict) and not all(isinstance(name, str) for name in values)):
        got = listed(entries) or "none"
        raise DataError(who, rule="several inputs are arrays by name, the names texts", got=got[:100])
    found = {name: check(value, f"{who} {name!r}") for name, value in entries.items()}
    lengths = {name: len(array) for name, array in found.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{length} of {name!r}" for name, length in lengths.items())
        fix = "Row i of each is what the model sees of example i."
        raise ShapeError(who, rule="all inputs must have equal lengths", got=got, fix=fix)
    return found if isinstance(values, dict) else tuple(found.values())


def type_of(inputs: Inputs) -> InputType:
    """Of checked inputs, without their first axes."""
    return tree.map(lambda array: (array.dtype.name, tuple(array.shape[1:])), inputs)


def is_one(kind: InputType) -> bool:
    """Whether this is the type of a single array."""
    return isinstance(kind, tuple) and isinstance(kind[0], str)


def two_examples(dtype: Any, shape: tuple[int, ...]) -> Tensor:
    """One input of a type, for tracing; it takes no memory, whatever the shape.

    Args:
        dtype: of the input.
        shape: of one example.
    """
    return zeros((2, *shape), dtype)


def stand_ins(kind: InputType) -> Any:
    """All inputs of a type, likewise."""
    if is_one(kind):
        return two_examples(*kind)
    if isinstance(kind, dict):
        return {name: stand_ins(one) for name, one in kind.items()}
    return tuple(map(stand_ins, kind))


def one_example(kind: InputType) -> Inputs:
    """A single example of zeros, which takes no memory either."""
    return tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), (1, *x.shape[1:])), stand_ins(kind))


def numbers_of_one(inputs: Inputs) -> int:
    """How many numbers an example is."""
    return sum(math.prod(array.shape[1:]) for array in tree.leaves(inputs))


def untrained(who: str) -> OptionError:
    """The error for a model that cannot be used yet."""
    return OptionError(
        who,
        rule="the model must be trained or loaded first",
        got="a model without parameters",
        fix="Call fit before, or load a model file.",
    )


def only_input(trained_on: InputType | None, who: str) -> tuple[str, tuple[int, ...]]:
    """The type of a model's input, for what can be done with a single one alone.

    Args:
        trained_on: what the model was trained on; None where it was not.
        who: for the message.

    Raises:
        OptionError: it was not trained, or has several inputs.
    """
    if trained_on is None:
        raise untrained(who)
    if not is_one(trained_on):
        raise OptionError(
            who,
            rule="this is for models with one input",
            got=f"a model with {_said(trained_on)}",
            fix="fit, evaluate, predict, save and load take several inputs; see docs/several-inputs.md.",
        )
    return trained_on


def check_inputs(inputs: Inputs, trained_on: InputType | None, who: str) -> None:
    """See that a model takes these inputs.

    Args:
        inputs: arrays, examples along their first axes.
        trained_on: what the model was trained on; None where it was not.
        who: for the message.

    Raises:
        OptionError: it was not trained.
        DataError: the shape of an example is another, or the inputs are not those that it was trained on.
    """
    if trained_on is None:
        raise untrained(who)
    if is_one(trained_on) and isinstance(inputs, np.ndarray):
        _check_shape(inputs.shape[1:], trained_on[1], who)
        return
    found = type_of(inputs)
    if isinstance(trained_on, dict) and isinstance(found, dict):
        check_names(who, trained_on, found)
        pairs = {name: (found[name], kind) for name, kind in trained_on.items()}
    elif (
        not is_one(trained_on)
        and not is_one(found)
        and type(found) is type(trained_on)
        and len(found) == len(trained_on)
    ):
        pairs = dict(enumerate(zip(found, trained_on)))
    else:
        raise DataError(who, rule=f"the model was trained on {_said(trained_on)}", got=_said(found))
    for name, (given, kind) in pairs.items():
        _check_shape(given[1], kind[1], f"{who} {name!r}")


def _check_shape(shape: tuple[int, ...], trained_on: tuple[int, ...], who: str) -> None:
    if shape != trained_on:
        raise DataError(
            who,
            rule="each example must have the shape that the model was trained on",
            got=f"{shape}, not {trained_on}",
            fix="Prepare the inputs as those of training were.",
        )


def _said(kind: InputType) -> str:
    """A type in words."""
    if is_one(kind):
        return "one array"
    return f"a dict of {listed(kind)}" if isinstance(kind, dict) else f"a tuple of {len(kind)} arrays"
