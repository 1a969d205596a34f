"""The parts of a message, and the nearest known name."""

from __future__ import annotations

import pickle

import pytest

from gradloom import errors
from gradloom.errors import GradloomError, ShapeError, nearest_hint, unknown_name


def test_a_message_has_four_parts():
    whole = ShapeError("dense", rule="inputs have 3 features", got="4", fix="Pass 3.")
    assert str(whole) == "dense: inputs have 3 features; got 4. Pass 3."
    assert str(ShapeError("dense", rule="no")) == "dense: no"
    assert (whole.who, whole.rule, whole.got, whole.fix) == ("dense", "inputs have 3 features", "4", "Pass 3.")


def test_layers_are_named_from_the_outside_in():
    error = ShapeError("matmul", rule="sizes differ")
    error.within("dense_2")
    error.within("model")
    assert str(error) == "in model > dense_2: matmul: sizes differ"


@pytest.mark.parametrize("layer", ["Dense", "encoder (Dense)"])
def test_a_layer_that_refuses_is_named_once(layer: str):
    error = ShapeError("Dense", rule="3 features")
    error.within(layer)
    error.within("Net")
    assert str(error) == f"in Net > {layer}: 3 features"
    assert error.who == "Dense"


@pytest.mark.parametrize("layer", ["dense (MyDense)", "Dense (Sequential)", "MyDense"])
def test_a_layer_that_only_contains_what_refuses_is_named_beside_it(layer: str):
    error = ShapeError("Dense", rule="3 features")
    error.within(layer)
    assert str(error) == f"in {layer}: Dense: 3 features"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ShapeError", ValueError), ("DTypeError", TypeError), ("IndexRangeError", IndexError),
        ("SymbolicValueError", TypeError), ("OptionError", ValueError), ("UnknownNameError", LookupError),
        ("DataError", ValueError), ("ModelFileError", ValueError), ("NonFiniteError", ArithmeticError),
        ("MissingPackageError", ImportError), ("DomainError", ValueError), ("UnsupportedError", NotImplementedError),
        ("CompileError", RuntimeError), ("OutOfMemoryError", MemoryError), ("WorkerError", RuntimeError),
        ("TrainingError", RuntimeError), ("WriteError", OSError),
    ],
)  # fmt: skip
def test_every_error_is_ours_and_pythons(name: str, base: type):
    kind = getattr(errors, name)
    assert issubclass(kind, GradloomError)
    assert issubclass(kind, base)


def test_the_table_above_is_complete():
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, GradloomError)]
    assert len(kinds) == 18


def test_unknown_names():
    assert str(unknown_name("Trainer", "loss", "cros_entropy", ["mse", "cross_entropy"])) == (
        "Trainer: no loss has this name; got 'cros_entropy'. Did you mean 'cross_entropy'? Known: cross_entropy, mse."
    )
    assert nearest_hint("zzz", ["a", "b"]) == "Known: a, b."
    assert nearest_hint("Age", ["age", "sex"]) == "Did you mean 'age'? Known: age, sex."
    assert nearest_hint("x", []) == "There are none."
    assert nearest_hint("x", (f"c{i:02}" for i in range(40))).endswith("c29, ....")


def test_errors_travel_between_processes():
    error = ShapeError("dense", rule="no", got="1", fix="Do.")
    error.within("model")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
