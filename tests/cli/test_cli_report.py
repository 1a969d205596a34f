"""``gradloom report`` and ``gradloom see`` from end to end, and the page in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_files import write_flowers
from PIL import Image

from gradloom import train
from gradloom.cli.recipe import Recipe
from gradloom.cli.request import TrainOptions
from gradloom.errors import ModelFileError

FAILURE, USAGE = 1, 2
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run on flowers.csv, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_page_about_a_run_on_a_table(cli, run: Path):
    found = cli("report", "run")
    assert (found.code, found.out, found.err) == (0, "Written: run/report.html\n", "")
    page = (run / "report.html").read_text(encoding="utf-8")
    for title in ("Learning curves", "Confusion matrix", "Calibration", "Importance of columns", "Environment"):
        assert f">{title}" in page
    assert "gradloom train flowers.csv --target kind --epochs 30 --seed 0" in page
    assert str(run.parent) not in page


def test_the_figures_are_those_of_training(cli, run: Path):
    found = json.loads(cli("report", "run", "--json", "-o", "page.html").out)
    kept = json.loads((run / "metrics.json").read_text())["metrics"]["test"]
    assert found["file"] == "page.html"
    assert found["part"] == "test"
    assert found["metrics"]["accuracy"]["value"] == kept["accuracy"]
    assert found["metrics"]["cross-entropy"]["value"] == pytest.approx(kept["cross_entropy"], rel=1e-9)
    assert found["metrics"]["accuracy"]["low"] < kept["accuracy"] <= found["metrics"]["accuracy"]["high"]


def test_other_data_can_be_named(cli, run: Path, tmp_path: Path):
    write_flowers(tmp_path / "others.csv", rows=24, seed=9)
    found = json.loads(cli("report", "run", "--data", "others.csv", "--json").out)
    rated = json.loads(cli("evaluate", "run", "others.csv", "--json").out)
    assert found["part"] == "given data"
    assert found["metrics"]["accuracy"]["value"] == rated["metrics"]["accuracy"]
    assert "Measured on the given data, 24 examples." in (run / "report.html").read_text()


def _say_where(run: Path, place: str) -> None:
    """Let the run have been trained on another file."""
    figures = json.loads((run / "metrics.json").read_text())
    figures["recipe"]["options"]["data"] = place
    (run / "metrics.json").write_text(json.dumps(figures))


def test_without_its_data_the_page_tells_of_training(cli, run: Path, tmp_path: Path):
    _say_where(run, "gone.csv")
    found = cli("report", "run")
    assert found.code == 0
    assert found.out.startswith("The data of the training cannot be read (gone.csv: there is no such file")
    page = (run / "report.html").read_text()
    assert "Learning curves" in page
    assert "Confusion matrix" not in page
    write_flowers(tmp_path / "gone.csv", seed=1)
    note = "gone.csv is no longer what the model was trained on. Name other data with --data."
    assert cli("report", "run").out == f"{note}\nWritten: run/report.html\n"
    assert note in (run / "report.html").read_text()


def test_a_model_file_alone(cli, run: Path):
    (run / "metrics.json").unlink()
    note = "The run does not say which data it was trained on. Name some with --data."
    assert cli("report", "run").out == f"{note}\nWritten: run/report.html\n"
    assert cli("report", "run/model.safetensors").out == f"{note}\nWritten: run/model.html\n"


def test_a_page_about_images(cli, classifier: Path, segmenter: Path, monkeypatch: pytest.MonkeyPatch):
    for folder, title in ((classifier, "Images it is least sure of"), (segmenter, ">Masks<")):
        monkeypatch.chdir(folder)
        assert cli("report", str(folder), "-o", "page.html").code == 0
        page = Path("page.html").read_text()
        assert title in page
        assert "Confusion matrix" in page
        assert "What the doctor says" in page
        assert ("Left out: label noise" in page) == (folder is segmenter), "neighbours are not asked of masks"


def _damage(text: str) -> Callable[[Path], object]:
    return lambda run: (run / "metrics.json").write_text(text)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", None), ("seed", "x"), ("seed", True), ("encoding", None), ("kinds", -1), ("kinds", {"a": "colour"}),
        ("validation", "x"), ("validation", []), ("l2", "x"), ("hidden", [1, "a"]), ("hidden", "12"), ("header", "no"),
        ("task", "x"), ("out", 3), ("data", None),
    ],
)  # fmt: skip
def test_options_of_a_run_that_no_one_can_have_asked_for(option: str, value: object):
    asked = {"data": "x", option: value}
    with pytest.raises(ModelFileError, match=r"run: the field 'recipe' must say how the run was made; got .*\. Train"):
        Recipe.from_json({"options": asked, "data": {}, "environment": {}}, "run")


@pytest.mark.parametrize(
    ("change", "words", "code", "message"),
    [
        (lambda run: shutil.rmtree(run), "report run", FAILURE, "run: there is no such model file"),
        (
            lambda run: (run / "model.safetensors").unlink(),
            "report run",
            FAILURE,
            "run/model.safetensors: there is no such model file",
        ),
        (
            _damage('{"metrics": '),
            "report run",
            FAILURE,
            "run/metrics.json: the figures of a run are a JSON object; got Expecting value: line 1 column 13 (char 12)."
            " Train again, or use a copy of the folder that is whole.",
        ),
        (
            _damage("[1]"),
            "report run",
            FAILURE,
            "run/metrics.json: the figures of a run are a JSON object; got no object. Train again, or use a copy of "
            "the folder that is whole.",
        ),
        (
            _damage('{"recipe": {"options": {"data": "x", "speed": 3}, "data": {}, "environment": {}}}'),
            "report run",
            FAILURE,
            "run/metrics.json: the field 'recipe' must say how the run was made; got TrainOptions.__init__() got an "
            "unexpected keyword argument 'speed'. Train again, or use a copy of the folder that is whole.",
        ),
        (
            lambda run: None,
            "report run -o nowhere/page.html",
            USAGE,
            "-o: the page must go to a file that can be written; got nowhere/page.html: No such file or directory. "
            "Create its folder first, or choose another place.",
        ),
        (lambda run: None, "report run --masks m", USAGE, "--masks: masks belong to images that --data names; got m"),
        (
            lambda run: None,
            "report run --data run/history.csv",
            USAGE,
            "run/history.csv: no column has this name; got 'kind'. ",
        ),
    ],
)
def test_what_cannot_be_reported_is_refused(
    cli, run: Path, change: Callable[[Path], object], words: str, code: int, message: str
):
    change(run)
    found = cli(*words.split())
    assert found.code == code
    assert found.out == ""
    assert found.err.startswith(f"gradloom: {message}")


def test_how_a_run_was_made_is_read_as_it_was_written():
    options = TrainOptions(
        "/home/someone/a b.csv",
        target="price",
        hidden=(8, 4),
        learning_rate=0.1,
        kinds={"x": "number"},
        size=(4, 6),
        masks=Path("m"),
        header=False,
        tensorboard=True,
        out=Path("/secret"),
    )
    recipe = Recipe.of(options, {"test": (np.arange(3), np.zeros(2))})
    again = Recipe.from_json(json.loads(json.dumps(recipe.as_json())), "a file")
    assert again == recipe
    assert recipe.command() == (
        "gradloom train 'a b.csv' --target price --hidden 8,4 --lr 0.1 --seed 0 --header no --kinds x=number --masks m "
        "--size 4x6 --tensorboard"
    )
    assert recipe.settings()["--hidden"] == "8,4"
    assert "--out" not in recipe.settings()


def test_the_command_makes_the_run_again(cli, run: Path, tmp_path: Path):
    write_flowers(tmp_path / "flowers.csv")
    cli("report", "run")
    page = (run / "report.html").read_text()
    found = re.search(r"<code>gradloom (.*?)</code>", page)
    assert found is not None
    assert cli(*found[1].split(), "--out", "again").code == 0
    first, second = (train.load(folder / "model.safetensors").tensors() for folder in (run, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_training_for_tensorboard(cli, tmp_path: Path):
    write_flowers(tmp_path / "flowers.csv")
    words = "train flowers.csv --target kind --epochs 1 --tensorboard --executor reference -q"
    assert cli(*words.split()).code == 0
    files = list((tmp_path / "runs/flowers-001/tensorboard").glob("*/events.out.tfevents.*"))
    assert sorted(file.parent.name for file in files) == ["train", "validation"]
    assert (tmp_path / "runs/flowers-001/model.safetensors").exists()


# Seeing ---------------------------------------------------------------------------------------------------------


def test_pictures_of_a_classifier(cli, classifier: Path, tmp_path: Path):
    found = cli("see", str(classifier), str(classifier / "shapes"), "-o", "seen", "--count", "3", "--json")
    assert found.code == 0
    names = ["confusion", "samples", "mistakes", "filters", "features", "saliency", "occlusion"]
    assert json.loads(found.out) == {"files": {n: f"seen/{n}.png" for n in names}, "images": 20, "notes": []}
    for name in names:
        with Image.open(tmp_path / "seen" / f"{name}.png") as picture:
            assert min(picture.size) > 50


def test_pictures_of_masks_as_svg(cli, segmenter: Path, tmp_path: Path):
    words = ["see", str(segmenter), str(segmenter / "cells"), "--masks", str(segmenter / "masks"), "-o", "seen"]
    found = cli(*words, "--what", "masks,features", "--format", "svg")
    assert (found.code, found.out) == (0, "Written: seen/masks.svg, seen/features.svg\n")
    assert (tmp_path / "seen/masks.svg").read_text().startswith("<svg")


def test_what_cannot_be_seen_is_refused(cli, trained: Path, classifier: Path, tmp_path: Path):
    shapes, model = str(classifier / "shapes"), str(classifier)
    (tmp_path / "taken").write_text("")
    for words, message in (
        (
            [model, shapes, "-o", "x", "--what", "confuson"],
            "--what: no picture has this name; got 'confuson'. Did you mean 'confusion'? Known: confusion, features, "
            "filters, masks, mistakes, occlusion, saliency, samples.",
        ),
        (
            [model, shapes, "-o", "x", "--what", "masks"],
            "--what: a model like this has confusion, samples, mistakes, filters, features, saliency, occlusion; "
            "got masks",
        ),
        (
            [model, shapes, "-o", "x", "--what", ","],
            "--what: at least one picture must be named; got ','. Or leave it out.",
        ),
        ([model, shapes, "-o", "x", "--count", "0"], "--count: this is a whole number from 1; got 0"),
        ([model, shapes, "-o", "taken"], "--out: this must be a folder, and it is a file; got taken"),
        (
            [str(trained), shapes, "-o", "x"],
            "see: pictures are of models of images; got a model of tables. Use gradloom report for models of tables.",
        ),
    ):
        found = cli("see", *words)
        assert (found.code, found.err) == (USAGE, f"gradloom: {message}\n")


# In a browser ---------------------------------------------------------------------------------------------------


def screenshot(page: Path, width: int, *flags: str) -> np.ndarray:
    """What a browser shows of a page, in grey, (height, width)."""
    assert BROWSER is not None
    place = page.with_suffix(".png")
    common = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={page.parent / 'b'}",
    ]
    words = [BROWSER, *common, *flags, f"--window-size={width},1400", f"--screenshot={place}", page.as_uri()]
    subprocess.run(words, check=True, timeout=120, capture_output=True)
    with Image.open(place) as picture:
        return np.asarray(picture.convert("L"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed to look at the page with")
def test_the_page_in_a_browser(cli, run: Path):
    cli("report", "run")
    page = run / "report.html"
    light = screenshot(page, 1000)
    assert light.shape == (1400, 1000)
    assert np.median(light) > 230
    assert 0.01 < (light < 100).mean() < 0.3  # words and curves
    dark = screenshot(page, 1000, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    assert np.median(dark) < 40
    assert 0.005 < (dark > 150).mean() < 0.3


def widths(page: Path, width: int, change: Callable[[str], str] = str) -> tuple[int, int, set[str]]:
    """How wide a page wants to be in a window, how wide it is there, and in which sections tables are wider still."""
    wide = "boxes.filter(b => b.scrollWidth > b.clientWidth).map(b => b.closest('section').id).join(' ')"
    told = f"`${{d.scrollWidth}} of ${{d.clientWidth}}, wider: ${{{wide}}}`"
    look = f"const d = document.documentElement, boxes = [...d.querySelectorAll('.scroll')]; document.title = {told}"
    inner = change(page.read_text()).replace("</body>", f"<script>{look}</script></body>")
    (page.parent / "inner.html").write_text(inner)
    frame = f'<iframe id="f" src="inner.html" style="width: {width}px; height: 800px; border: 0"></iframe>'
    ask = "<script>onload = () => document.title = document.getElementById('f').contentDocument.title</script>"
    outer = page.parent / "outer.html"
    outer.write_text(f"<!DOCTYPE html><html><head></head><body>{frame}{ask}</body></html>")
    assert BROWSER is not None
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=3000",
    ]
    words = [BROWSER, *flags, f"--user-data-dir={page.parent / 'b'}", "--dump-dom", outer.as_uri()]
    dom = subprocess.run(words, check=True, timeout=120, capture_output=True, text=True).stdout
    (found,) = re.findall(r"<title>(\d+) of (\d+), wider:([^<]*)</title>", dom)
    return int(found[0]), int(found[1]), set(found[2].split())


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed to look at the page with")
def test_the_page_is_as_wide_as_a_phone(cli, run: Path):
    """No element reaches beyond the window; only tables of many columns scroll, in boxes of their own."""
    cli("report", "run")
    needed, there, wider = widths(run / "report.html", 390)
    assert needed == there <= 390
    assert wider <= {"data", "learning"}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed to look at the page with")
def test_the_page_is_as_wide_as_paper(cli, run: Path):
    """The rules for print at the width of A4 between its margins: nothing is cut off, for paper does not scroll."""
    cli("report", "run")

    def printed(page: str) -> str:
        return page.replace("@media print, (max-width: 34rem)", "@media all").replace("@media print", "@media all")

    assert "@media print" in (run / "report.html").read_text()
    needed, there, wider = widths(run / "report.html", 673, printed)
    assert needed == there <= 673
    assert wider == set()
