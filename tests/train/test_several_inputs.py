"""Models whose input is a dict or a tuple of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradloom import nn, optim, report, train
from gradloom.errors import DataError, ModelFileError, OptionError, ShapeError
from gradloom.train import checkpoint, description, source
from gradloom.train.trainer import Trainer

RNG = np.random.default_rng(5)
ROWS = 60
IMAGES = RNG.standard_normal((ROWS, 3, 3, 1)).astype(np.float32)
TABLE = RNG.standard_normal((ROWS, 2)).astype(np.float32)
LABELS = (IMAGES.mean((1, 2, 3)) * TABLE[:, 0] > 0).astype(np.int64)
NAMED = {"image": IMAGES, "table": TABLE}
FLAT = np.hstack([IMAGES.reshape(ROWS, -1), TABLE])
HOW: Any = {"epochs": 3, "batch_size": 16, "progress": "silent"}


def trainer(executor: str = "reference", names: Any = ("image", "table"), **options: Any) -> Trainer:
    """A small hybrid network; ``shapes`` makes one that reads rows."""
    shapes = options.pop("shapes", None)
    branches = nn.Branches(nn.Flatten(), nn.Dense(3, activation="tanh"), names=names, shapes=shapes)
    model = nn.Sequential(branches, nn.Dropout(0.2), nn.Dense(2))
    return Trainer(model, "cross_entropy", optim.Adam(0.02), ["accuracy"], executor=executor, **options)


def by_rows(**options: Any) -> Trainer:
    """The same network with one array, in whose rows the inputs lie side by side."""
    return trainer(names=(), shapes=[(3, 3, 1), (2,)], **options)


def leaves(run: Trainer) -> list[np.ndarray]:
    return [a for name, a in sorted(run.tensors().items()) if not name.startswith("totals")]


def assert_alike(first: Trainer, second: Trainer) -> None:
    assert len(leaves(first)) == len(leaves(second))
    for a, b in zip(leaves(first), leaves(second)):
        np.testing.assert_array_equal(a, b)


WEIGHTS = RNG.uniform(0.5, 2, ROWS).astype(np.float32)
WAYS: dict[str, dict[str, Any]] = {
    "shuffled": {},
    "held out": {"validation": 0.2},
    "in order": {"shuffle": False},
    "drawn": {"sampling": "weights"},
}


@pytest.mark.parametrize("way", WAYS)
def test_training_is_that_of_one_array_with_all_inputs_side_by_side(way: str) -> None:
    """An array that holds both inputs in its rows is an independent way through all of training."""
    run, other = trainer(class_weight={0: 1.0, 1: 2.0}), by_rows(class_weight={0: 1.0, 1: 2.0})
    found = run.fit((NAMED, LABELS, WEIGHTS), **HOW, **WAYS[way])
    wanted = other.fit((FLAT, LABELS, WEIGHTS), **HOW, **WAYS[way])
    assert found.rows == wanted.rows
    assert_alike(run, other)
    np.testing.assert_array_equal(run.predict(NAMED), other.predict(FLAT))
    assert run.evaluate((NAMED, LABELS)) == other.evaluate((FLAT, LABELS))


def test_a_tuple_goes_by_place() -> None:
    run, other = trainer(names=()), trainer()
    run.fit(((IMAGES, TABLE), LABELS), **HOW)
    other.fit((NAMED, LABELS), **HOW)
    assert_alike(run, other)
    np.testing.assert_array_equal(run.predict((IMAGES[:1], TABLE[:1])), other.predict(NAMED)[:1])
    assert run.input_type == (("float32", (3, 3, 1)), ("float32", (2,)))


def test_the_native_program_takes_the_same_rows_of_each() -> None:
    run, other = trainer("native"), trainer()
    for each in (run, other):
        each.fit((dict(reversed(NAMED.items())), LABELS), **HOW)
    for a, b in zip(leaves(run), leaves(other)):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(run.predict(NAMED), other.predict(NAMED), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_share_batches_of_several_inputs(workers: int) -> None:
    run, other = trainer(), by_rows()
    how = train.MapReduce(workers, chunks=4, advise=False)
    run.fit((NAMED, LABELS), workers=how, **HOW)
    other.fit((FLAT, LABELS), workers=train.MapReduce(1, chunks=4), **HOW)
    assert_alike(run, other)


def test_streams_and_partial_fit() -> None:
    def chunks(data: Any) -> train.Stream:
        cuts = [slice(0, 32), slice(32, 60)]
        of = (lambda rows: {n: a[rows] for n, a in data.items()}) if isinstance(data, dict) else data.__getitem__
        return train.Stream([(of(rows), LABELS[rows]) for rows in cuts], rows=ROWS)

    run, other = trainer(), by_rows()
    run.fit(chunks(NAMED), validation=chunks(NAMED), **HOW)
    other.fit(chunks(FLAT), validation=chunks(FLAT), **HOW)
    assert_alike(run, other)
    assert run.partial_fit(NAMED, LABELS, batch_size=16) == other.partial_fit(FLAT, LABELS, batch_size=16)
    assert_alike(run, other)


def test_a_large_map_among_the_inputs_is_read_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SLICE_BYTES", 256)
    monkeypatch.setattr(source, "LEAST_ROWS", 16)
    np.save(tmp_path / "images.npy", IMAGES)
    data = {"image": np.load(tmp_path / "images.npy", mmap_mode="r"), "table": TABLE}
    assert source.is_stream((data, LABELS))
    assert not source.is_stream((NAMED, LABELS))
    sizes = [len(e) for _, e in source.as_stream((data, LABELS), "fit").items(None, "fit", "float32")]
    assert sizes == [16, 16, 16, 12]
    first, second = trainer(), trainer()
    first.fit((data, LABELS), shuffle=False, **{**HOW, "epochs": 1})
    second.fit((NAMED, LABELS), shuffle=False, **{**HOW, "epochs": 1})
    assert_alike(first, second)


@pytest.mark.parametrize("inputs", [NAMED, (IMAGES, TABLE)], ids=["dict", "tuple"])
def test_a_model_file_keeps_the_inputs(tmp_path: Path, inputs: Any) -> None:
    run = trainer(names=tuple(NAMED) if isinstance(inputs, dict) else ())
    run.fit((inputs, LABELS), checkpoint=tmp_path / "run.safetensors", **HOW)
    again = train.load(tmp_path / "run.safetensors", executor="reference")
    assert again.input_type == run.input_type
    np.testing.assert_array_equal(again.predict(inputs), run.predict(inputs))
    for each in (run, again):
        each.fit((inputs, LABELS), **HOW)
    assert_alike(run, again)


def test_looking_inside() -> None:
    run = trainer()
    assert run.check_gradients((NAMED, LABELS), examples=8).passed
    assert len(run.graph((NAMED, LABELS)).inputs) == len(by_rows().graph((FLAT, LABELS)).inputs) + 1
    watch = train.Watch((NAMED, LABELS), every=1)
    run.fit((NAMED, LABELS), callbacks=[watch], **HOW)
    assert [layer.kind for layer in watch.measured[0].layers if layer.path == "layers.0"] == ["Branches"]
    other = by_rows()
    other.fit((FLAT, LABELS), **HOW)
    mine, theirs = run.curvature((NAMED, LABELS)), other.curvature((FLAT, LABELS))
    assert mine.verdict == theirs.verdict
    page = report.page(run, {"test": (NAMED, LABELS)})
    assert {score.name for score in page.scores} >= {"accuracy"}


# Refusals -----------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str]] = {
    "a misspelt name": (
        {"imag": IMAGES, "table": TABLE},
        "the inputs are 'image', 'table'; got no 'image', 'imag' besides. Did you mean 'image'",
    ),
    "a missing name": ({"image": IMAGES}, "got no 'table'. Pass an array for each name"),
    "one too many": ({**NAMED, "more": TABLE}, "the inputs are 'image', 'table'; got 'more' besides"),
    "different lengths": (
        {"image": IMAGES[:5], "table": TABLE},
        "all inputs must have equal lengths; got 5 of 'image', 60 of 'table'",
    ),
    "no text for a name": ({1: IMAGES, 2: TABLE}, "arrays by name, the names texts; got 1, 2"),
    "no inputs": ({}, "arrays by name, the names texts; got none"),
    "a tuple": ((IMAGES, TABLE), "trained on a dict of 'image', 'table'; got a tuple of 2 arrays"),
    "one array": (FLAT, "trained on a dict of 'image', 'table'; got one array"),
    "another shape": ({"image": IMAGES[:, :2], "table": TABLE}, r"predict 'image': each example must have the shape"),
    "no numbers": ({"image": IMAGES, "table": ["a"] * ROWS}, "predict inputs 'table': values must be numbers"),
}


@pytest.fixture(scope="module")
def fitted() -> Trainer:
    run = trainer()
    run.fit((NAMED, LABELS), **{**HOW, "epochs": 1})
    return run


@pytest.mark.parametrize("wrong", WRONG)
def test_inputs_that_do_not_fit(wrong: str, fitted: Trainer) -> None:
    inputs, message = WRONG[wrong]
    with pytest.raises((DataError, ShapeError), match=message.replace("(", r"\(")):
        fitted.predict(inputs)


def test_the_first_fit_refuses_what_the_network_does_not_know() -> None:
    with pytest.raises(
        DataError, match=r"Branches\): the inputs are 'image', 'table'; got no 'table', 'tabel' besides"
    ):
        trainer().fit(({"image": IMAGES, "tabel": TABLE}, LABELS), **HOW)
    with pytest.raises(DataError, match="its inputs are a dict of 'image', 'table'; got a tuple of 2"):
        trainer().fit(((IMAGES, TABLE), LABELS), **HOW)
    with pytest.raises(ShapeError, match="equal lengths; got 60, 59 and 60"):
        trainer().fit((NAMED, LABELS[1:]), **HOW)
    with pytest.raises(OptionError, match="augment: this is for models with one input; got a model with a dict of"):
        trainer(augment="digits").fit((NAMED, LABELS), **HOW)


@pytest.mark.parametrize(
    "use",
    [
        lambda run: run.predict(NAMED, augment="flips"),
        lambda run: train.predict_tiles(run, IMAGES[0]),
        lambda run: train.diagnose(run, (NAMED, LABELS)),
        lambda run: report.saliency(run, IMAGES),
        lambda run: report.occlusion(run, IMAGES[0]),
        lambda run: report.feature_maps(run, IMAGES[0], "layers.0"),
        lambda run: report.filters(run),
    ],
)
def test_what_is_for_one_input_says_so(use: Any, fitted: Trainer) -> None:
    with pytest.raises(OptionError, match="this is for models with one input; got a model with a dict of 'image'"):
        use(fitted)


@pytest.mark.parametrize("value", [{}, [], "float32", {"a": []}, [["float32", [3]], "x"], {"a": ["float16", [3]]}])
def test_a_damaged_header_is_refused(value: Any) -> None:
    assert not description.FIELDS["input"].holds(value)


def test_a_header_of_other_inputs_than_the_network_has_is_refused(fitted: Trainer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run.safetensors")
    told, arrays = checkpoint.read(tmp_path / "run.safetensors")
    for wrong in (["float32", [11]], {"image": ["float32", [3, 3, 1]]}, [["float32", [2]], ["float32", [2]]]):
        checkpoint.write(tmp_path / "wrong.safetensors", {**told, "input": wrong}, arrays)
        with pytest.raises(ModelFileError, match="the description in the header does not describe a model"):
            train.load(tmp_path / "wrong.safetensors")


def test_rows_as_a_list_or_a_tuple_of_numbers_are_one_array() -> None:
    run = Trainer(nn.Dense(2), executor="reference")
    run.fit((((1.0, 2.0), (3.0, 4.0)), (0, 1)), epochs=1, progress="silent")
    assert run.input_type == ("float32", (2,))
    np.testing.assert_array_equal(run.predict([np.ones(2), np.ones(2)])[0], run.predict(np.ones((1, 2)))[0])
