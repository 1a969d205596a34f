"""Diagnoses as a whole: what goes in, what comes out, and that the run stays as it is."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sick_runs import blobs, cut, network

from gradloom import nn, optim, train, tree
from gradloom.drawing.chart import Chart
from gradloom.errors import DataError, OptionError
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, Finding

DATA, VALIDATION, TEST = cut(blobs(), 700, 250)


def trained(epochs: int = 3, **options: Any) -> train.Trainer:
    """A run that was ended too soon."""
    run = train.Trainer(network(4, 16), optimizer=optim.Adam(0.001), seed=3, **options)
    run.fit(DATA, validation=VALIDATION, epochs=epochs, batch_size=64, progress="silent")
    return run


def all_bits(run: train.Trainer) -> list[bytes]:
    return [leaf.numpy().tobytes() for leaf in tree.leaves(run.snapshot())]


def test_the_run_stays_as_it_is_and_the_diagnosis_is_the_same_again():
    run = trained()
    before, facts = all_bits(run), (run.epoch, run.step, run.rows, run.batch_size, len(run.history.rows))
    first = train.diagnose(run, DATA, validation=VALIDATION, test=TEST)
    again = train.diagnose(run, DATA, validation=VALIDATION, test=TEST)
    assert not first.is_healthy
    assert all_bits(run) == before
    assert (run.epoch, run.step, run.rows, run.batch_size, len(run.history.rows)) == facts
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())


def test_what_is_not_finite_is_none_in_json():
    chart = Chart("Loss", "step", "", curves={"a": [(0, 1.0), (1, float("nan"))]}, bars={"b": float("inf")})
    finding = train.Finding("high_bias", "serious", "a", "b", "c", chart)
    found = train.Diagnosis((finding,), "d", {"training": float("nan")}).to_dict()
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read["findings"][0]["picture"]["curves"] == {"a": [[0.0, 1.0], [1.0, None]]}
    assert read["findings"][0]["picture"]["bars"] == {"b": None}
    assert read["errors"] == {"training": None}


def test_errors_are_those_of_evaluate():
    run = trained(metrics=["accuracy"])
    found = train.diagnose(run, DATA, validation=VALIDATION, test=TEST, experiments=False)
    for name, part in (("training", DATA), ("validation", VALIDATION), ("test", TEST)):
        assert found.errors[name] == pytest.approx(1 - run.evaluate(part)["accuracy"], abs=1e-9)


def test_a_share_is_the_one_that_fit_held_out():
    run = train.Trainer(network(4, 16), optimizer=optim.Adam(0.003), metrics=["accuracy"], seed=3)
    run.fit(DATA, validation=0.25, epochs=4, batch_size=64, progress="silent")
    found = train.diagnose(run, DATA, validation=0.25, experiments=False)
    assert found.errors["validation"] == pytest.approx(1 - run.history.rows[-1]["val_accuracy"], abs=1e-9)


def test_an_optimal_error_as_high_as_the_training_error_takes_bias_away():
    run = trained()
    assert train.diagnose(run, DATA, experiments=False).verdict.startswith("High bias")
    found = train.diagnose(run, DATA, optimal_error=0.9, experiments=False)
    assert found.verdict.startswith("Neither")


def test_without_validation_or_test_there_is_a_note():
    run = trained()
    assert "no_validation" in {f.name for f in train.diagnose(run, DATA, experiments=False).findings}
    notes = {f.name: f for f in train.diagnose(run, DATA, validation=VALIDATION, experiments=False).findings}
    assert notes["no_test"].severity == NOTE


def test_pictures_are_svg_that_parsers_take():
    run = trained()
    pictures = [f.to_svg() for f in train.diagnose(run, DATA, validation=VALIDATION).findings if f.picture]
    assert pictures
    assert {ElementTree.fromstring(svg).tag for svg in pictures} == {"{http://www.w3.org/2000/svg}svg"}


@pytest.mark.parametrize("log", [False, True])
def test_charts_leave_out_what_has_no_place(log: bool):
    points = [(0.0, 1.0), (1.0, np.nan), (2.0, np.inf), (3.0, 0.0), (4.0, 5.0)]
    curves = Chart("a < b", "x", "y", curves={"one": points, "none": []}, log_y=log, limit=2.0).to_svg()
    bars = Chart("a & b", "x", "y", bars={"p": 1.0, "q": np.nan, "r": 0.0}, log_y=log, limit=0.5).to_svg()
    line = ElementTree.fromstring(curves).find("{*}polyline")
    assert line is not None
    assert len(line.attrib["points"].split()) == (2 if log else 3)
    assert len(ElementTree.fromstring(bars).findall("{*}rect")) == (1 if log else 2)


def test_a_finding_says_all_of_it():
    finding = Finding("dead_units", SERIOUS, "m", "w", "d", follows_from=("unscaled_inputs",))
    assert str(finding).splitlines() == [
        "serious: dead units",
        "  measured: m",
        "  why: w",
        "  what to do: d",
        "  probably follows from: unscaled inputs",
    ]
    assert finding.to_svg() == ""


def test_a_model_with_modules_of_ones_own_is_diagnosed():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Dense(8, activation="relu")

        def config(self) -> dict[str, Any]:
            return {}

        def forward(self, x: Any) -> Any:
            return 2 * self.inner(x)

    run = train.Trainer(nn.Sequential(Doubled(), nn.Dense(4)), optimizer=optim.Adam(0.01))
    run.fit(DATA, epochs=20, batch_size=64, progress="silent")
    assert train.diagnose(run, DATA, validation=VALIDATION, test=TEST).is_healthy


def test_segmentation_is_diagnosed():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 6, 6, 1)).astype(np.float32)
    y = (x[..., 0] > 0).astype(np.int64)
    run = train.Trainer(nn.Sequential(nn.Conv(4, 3, activation="relu"), nn.Conv(2, 1)), optimizer=optim.Adam(0.03))
    run.fit((x, y), epochs=25, batch_size=20, progress="silent")
    found = train.diagnose(run, (x, y), experiments=False)
    assert found.errors["training"] == pytest.approx(float((run.predict(x).argmax(-1) != y).mean()))
    assert found.is_healthy


def test_refusals():
    with pytest.raises(OptionError, match="the run must have begun"):
        train.diagnose(train.Trainer(network(4, 8)), DATA)
    with pytest.raises(DataError, match="shape"):
        train.diagnose(trained(), (DATA[0][:, :3], DATA[1]))
    with pytest.raises(OptionError, match="optimal_error"):
        train.diagnose(trained(), DATA, optimal_error=-1)


# Watching -------------------------------------------------------------------------------------------------------


def watched(watch: train.Watch | None) -> train.Trainer:
    run = train.Trainer(network(4, 16), optimizer=optim.Adam(0.01), seed=3)
    run.fit(DATA, epochs=6, batch_size=64, progress="silent", callbacks=[watch] if watch else [])
    return run


def test_watching_changes_no_bit_of_training():
    watch = train.Watch(DATA, every=2)
    assert all_bits(watched(watch)) == all_bits(watched(None))
    assert watch.epochs == [0, 2, 4, 6]
    assert [m.loss for m in watch.measured] == sorted((m.loss for m in watch.measured), reverse=True)
    assert watch.cost > 0
    assert all(ElementTree.fromstring(chart.to_svg()).tag.endswith("svg") for chart in watch.charts())
    assert list(watch.charts()[1].curves) == ["layers.0/weight", "layers.1/weight"]


def test_watching_keeps_to_its_share_of_the_time():
    watch = train.Watch(DATA, share=0.0)
    watched(watch)
    assert watch.epochs == [0]


def test_a_callback_that_is_not_due_is_not_called():
    class Odd(train.Callback):
        def __init__(self) -> None:
            self.asked, self.called = 0, list[int]()

        def is_due(self) -> bool:
            self.asked += 1
            return self.asked % 2 == 1

        def on_epoch(self, run: Any, row: dict[str, float]) -> None:
            self.called.append(run.epoch)

    odd = Odd()
    train.Trainer(network(4, 4)).fit(DATA, epochs=5, batch_size=64, progress="silent", callbacks=[odd])
    assert odd.called == [1, 3, 5]
