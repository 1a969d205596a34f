"""The page about a run: it can be read, it holds what is so, it needs nothing else."""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from gradloom import data, nn, optim, report, train
from gradloom.drawing.chart import Chart
from gradloom.errors import MissingPackageError, OptionError
from gradloom.report.html.blocks import worded
from gradloom.train.diagnosis.finding import Finding

RNG = np.random.default_rng(8)
HOSTILE = "<script>alert(1)</script>&\"'"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Elements, and the text of each; complains of tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@cache
def flowers() -> tuple[train.Trainer, dict[str, Any]]:
    """Three clouds in the plane, learned."""
    y = RNG.integers(0, 3, 240)
    x = (RNG.standard_normal((240, 2)) + 2.0 * np.array([[0, 1], [1, -1], [-1, -1]])[y]).astype(np.float32)
    run = train.Trainer(
        nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dense(3)),
        optimizer=optim.Adam(0.05),
        metrics=["accuracy"],
        executor="reference",
    )
    run.fit(
        (x[:120], y[:120]),
        validation=(x[120:160], y[120:160]),
        epochs=12,
        progress="silent",
        callbacks=[train.EarlyStopping(3)],
    )
    return run, {"training": (x[:120], y[:120]), "test": (x[160:], y[160:])}


@cache
def flower_page() -> report.Page:
    run, parts = flowers()
    origin = report.Origin(command=f"gradloom train {HOSTILE}", notes=(HOSTILE,), settings={HOSTILE: HOSTILE})
    return report.page(run, parts, title=HOSTILE, origin=origin)


@cache
def other_pages() -> dict[str, report.Page]:
    x = RNG.random((24, 8, 8, 1)).astype(np.float32)
    mask = (x[..., 0] > 0.5).astype(int)
    options: dict[str, Any] = {"executor": "reference"}
    images = train.Trainer(nn.Sequential(nn.Conv(3, 3, activation="relu"), nn.Flatten(), nn.Dense(2)), **options)
    images.fit((x, mask[:, 0, 0]), epochs=1, progress="silent")
    pixels = train.Trainer(nn.Sequential(nn.Conv(2, 1)), **options)
    pixels.fit((x, mask), epochs=1, progress="silent")
    numbers = train.Trainer(nn.Sequential(nn.Dense(1)), "squared_error", **options)
    numbers.fit((x[:, :, 0, 0], x.sum((1, 2, 3))), epochs=1, progress="silent")
    return {
        "images": report.page(images, {"test": (x, mask[:, 0, 0])}),
        "pixels": report.page(pixels, {"test": (x, mask)}),
        "numbers": report.page(numbers, {"test": (x[:, :, 0, 0], x.sum((1, 2, 3)))}),
        "no data": report.page(numbers),
    }


def test_images_are_called_wrong_only_where_some_are() -> None:
    run = train.Trainer(nn.Sequential(nn.Flatten(), nn.Dense(2)), executor="reference")
    x = np.repeat([0.0, 1.0], 6).reshape(12, 1, 1, 1).astype(np.float32) * np.ones((1, 8, 8, 1), np.float32)
    run.fit((x, np.repeat([0, 1], 6)), epochs=60, progress="silent")
    answers = run.predict(x).argmax(1)
    assert "Images it is least sure of" in report.page(run, {"test": (x, answers)}).html
    assert (
        "Images it is most wrong about"
        in report.page(run, {"test": (x, np.where(np.arange(12) > 0, answers, 1 - answers))}).html
    )


@pytest.fixture(params=["flowers", "images", "pixels", "numbers", "no data"])
def text(request: pytest.FixtureRequest) -> str:
    return flower_page().html if request.param == "flowers" else other_pages()[request.param].html


def test_every_page_is_well_formed_and_has_what_readers_need(text: str) -> None:
    page = Reader(text)
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert svg["aria-label"].strip()
    for scrolls in [a for _, a in page.elements if a.get("tabindex") == "0" and a.get("role") == "region"]:
        assert scrolls["aria-label"].strip()


def test_no_page_asks_for_anything_from_elsewhere(text: str) -> None:
    page = Reader(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base"} & {tag for tag, _ in page.elements}
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        for name in ("href", "src", "xlink:href", "action"):
            target = attributes.get(name, "#overview")
            assert target.startswith("data:image/png;base64,") or target[1:] in ids, target
        assert not any(name.startswith("on") for name in attributes)
    style = "".join(page.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_sections_follow_the_model() -> None:
    sections = {name: [s["id"] for s in Reader(page.html).all("section")] for name, page in other_pages().items()}
    last = ["data", "model", "configuration", "environment"]
    assert sections["images"] == ["overview", "learning", "metrics", "confusion", "calibration", "images", *last]
    assert sections["pixels"] == ["overview", "learning", "metrics", "confusion", "calibration", "images", *last]
    assert sections["numbers"] == ["overview", "learning", "metrics", "residuals", "importance", *last]
    assert sections["no data"] == ["overview", "learning", *last[1:]]
    assert "boundary" in [s["id"] for s in Reader(flower_page().html).all("section")]


def test_text_from_outside_is_only_text() -> None:
    page = Reader(flower_page().html)
    assert page.texts["title"][0] == HOSTILE
    assert f"gradloom train {HOSTILE}" in page.texts["code"]
    assert "<script" not in flower_page().html


def test_the_figures_are_those_of_scikit_learn() -> None:
    run, parts = flowers()
    x, y = parts["test"]
    chosen = run.predict(x).argmax(1)
    accuracy, f1 = metrics.accuracy_score(y, chosen), metrics.f1_score(y, chosen, average="macro")
    found = {score.name: score.value for score in flower_page().scores}
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["mean F1"] == pytest.approx(f1)
    cells = Reader(flower_page().html).texts["td"]
    assert f"{f1:.4f}" in cells
    assert f"{accuracy:.1%}" in Reader(flower_page().html).texts["strong"]
    for count in metrics.confusion_matrix(y, chosen).reshape(-1):
        assert str(count) in cells


def test_the_best_epoch_is_marked() -> None:
    run, _ = flowers()
    assert run.history.best_epoch is not None
    labels = [svg["aria-label"] for svg in Reader(flower_page().html).all("svg")]
    assert any(
        label.startswith("loss by epoch") and f"best epoch {run.history.best_epoch}" in label for label in labels
    )


def test_the_same_run_gives_the_same_page() -> None:
    run, parts = flowers()
    assert report.page(run, parts).html == report.page(run, parts).html


def test_columns_of_a_table_are_named_in_the_unit_of_the_data() -> None:
    names = {"height": 170 + 10 * RNG.standard_normal(60), "weight": 70 + 5 * RNG.standard_normal(60)}
    columns = {name: data.Column(name, "number", values) for name, values in names.items()}
    features = data.TablePipeline.fit(data.Table(columns), target=None)
    x = features.transform(data.Table(columns))
    y = (names["height"] > 170).astype(int)
    run = train.Trainer(nn.Sequential(nn.Dense(2)), executor="reference", preprocessing=train.Preprocessing(features))
    run.fit((x, y), epochs=1, progress="silent")
    page = Reader(report.page(run, {"test": (x, y)}).html)
    assert {"height", "weight"} <= set(page.texts["th"])
    label = next(svg["aria-label"] for svg in page.all("svg") if "What the model says for each" in svg["aria-label"])
    assert label == "What the model says for each height and weight, with 60 examples."
    assert {"160", "180", "70"} <= set(page.texts["text"])


def test_names_of_metrics_are_read_as_words() -> None:
    names = {"val_mean_iou": "validation mean IoU", "cross_entropy": "cross entropy", "loss": "loss"}
    assert {name: worded(name) for name in names} == names


def test_findings_stand_in_front() -> None:
    run, parts = flowers()
    advice = ("serious", "9 of 10", "they learn nothing", "lower the rate")
    finding = Finding("dead_units", *advice, Chart("units", "layer", "dead", bars={"layers.0": 0.9}))
    page = Reader(report.page(run, parts, findings=train.Diagnosis((finding,), "It does not fit.")).html)
    assert [s["id"] for s in page.all("section")][:2] == ["overview", "findings"]
    assert {"It does not fit.", "9 of 10", "lower the rate"} <= set(page.texts["p"])
    assert any(svg["aria-label"] == "units" for svg in page.all("svg"))
    healthy = Reader(report.page(run, parts, findings=train.Diagnosis((), "It fits.")).html)
    assert {"It fits.", "The doctor has found nothing else."} <= set(healthy.texts["p"])


def test_the_page_is_saved(tmp_path: Path) -> None:
    flower_page().save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == flower_page().html


def test_a_target_with_one_value_has_no_importance_of_columns() -> None:
    x = RNG.standard_normal((12, 3)).astype(np.float32)
    run = train.Trainer(nn.Dense(1), "squared_error", executor="reference")
    run.fit((x, np.full(12, 3.0)), epochs=1, progress="silent")
    sections = {s["id"] for s in Reader(report.page(run, {"test": (x, np.full(12, 3.0))}).html).all("section")}
    assert "residuals" in sections
    assert "importance" not in sections


def test_text_that_no_encoding_has_is_replaced(tmp_path: Path) -> None:
    """Names of files whose bytes are no UTF-8 hold lone halves of characters in Python."""
    path = tmp_path / "page.html"
    report.page(flowers()[0], title="caf\udce9").save(path)
    assert "<h1>caf\ufffd</h1>" in path.read_text(encoding="utf-8")


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="page: the model must be trained; got no parameters"):
        report.page(train.Trainer(nn.Dense(1)))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(
        MissingPackageError, match=r"report: pages are made with Jinja2; .* pip install 'gradloom\[report\]'"
    ):
        report.page(flowers()[0])
