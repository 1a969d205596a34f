"""Pictures: their numbers against oracles, and that what is drawn can be read."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix

import gradloom as gl
from gradloom import models, nn, report, train
from gradloom.errors import DataError, MissingPackageError, OptionError, ShapeError, UnknownNameError
from gradloom.report import pixels
from gradloom.report.svg import png_bytes

RNG = np.random.default_rng(6)
X = RNG.random((30, 6, 8, 1)).astype(np.float32)
Y = RNG.integers(0, 3, 30)


def ready(model: nn.Module, *shape: int, **options: Any) -> train.Trainer:
    """A trainer whose model has parameters, without a step of training."""
    run = train.Trainer(model, **{"executor": "reference", **options})
    model.initialize(np.zeros((1, *shape), np.float32))
    run.input_type = "float32", shape
    return run


def classifier(**options: Any) -> train.Trainer:
    net = nn.Sequential(nn.Conv(4, 3, activation="relu"), nn.Flatten(), nn.Dense(3))
    return ready(net, 6, 8, 1, **options)


def linear(weight: np.ndarray, **options: Any) -> train.Trainer:
    """Logits x·w for images (6, 8, 2)."""
    run = ready(nn.Sequential(nn.Flatten(), nn.Dense(weight.shape[1])), 6, 8, 2, **options)
    run.model.load({"layers.1": {"weight": gl.tensor(weight), "bias": gl.zeros(weight.shape[1])}}, {})
    return run


def texts(figure: report.Figure) -> list[str]:
    root = ElementTree.fromstring(figure.to_svg())
    return [found.text or "" for found in root.iter("{http://www.w3.org/2000/svg}text")]


@cache
def figures() -> dict[str, report.Figure]:
    run = classifier()
    net = ready(models.UNet(2, base=2, depth=1), 6, 8, 1, loss="dice")
    return {
        "confusion": report.confusion_matrix(run, X, Y, labels=["a<b", "é", "a name that is much too long for a cell"]),
        "samples": report.samples(run, X, Y),
        "mistakes": report.mistakes(run, X, Y, count=3),
        "filters": report.filters(run),
        "features": report.feature_maps(run, X[0], "layers.0"),
        "saliency": report.saliency(run, X[:3]),
        "occlusion": report.occlusion(run, X[0]),
        "segmentation": report.segmentation(net, X[:2], (X[:2, ..., 0] > 0.5).astype(int)),
    }


NAMES = ("confusion", "samples", "mistakes", "filters", "features", "saliency", "occlusion", "segmentation")


@pytest.fixture(params=NAMES)
def figure(request: pytest.FixtureRequest) -> report.Figure:
    return figures()[request.param]


def test_every_figure_is_drawn_both_ways(figure: report.Figure, tmp_path: Path) -> None:
    figure.save(tmp_path / "a.svg")
    figure.save(tmp_path / "a.png", scale=1)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    drawn = Image.open(tmp_path / "a.png")
    assert drawn.size == (round(figure.canvas.width), round(figure.canvas.height))
    assert drawn.size == pytest.approx((width, height), abs=1)
    # Nothing lies outside, and there is paper around it, light or dark.
    for element in root.iter():
        if "x" in element.attrib:
            assert 0 <= float(element.attrib["x"]) <= width
            assert 0 <= float(element.attrib["y"]) <= height
    light = np.asarray(drawn)
    dark = np.asarray(Image.open(io.BytesIO(figure.to_png(dark=True, scale=1))))
    for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
        assert (light[edge] == 255).all()
        assert (dark[edge] == (0x14, 0x17, 0x1E)).all()
    assert figure._repr_svg_() == figure.to_svg()


def test_saving() -> None:
    figure = report.filters(classifier())
    with pytest.raises(OptionError, match=r"the file ends in \.svg or \.png; got 'a\.jpg'"):
        figure.save("a.jpg")


def test_without_pillow_svg_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    figure = report.filters(classifier())
    assert figure.to_svg().startswith("<svg")
    with pytest.raises(MissingPackageError, match=r"drawing PNG files needs Pillow; .* 'gradloom\[images\]'"):
        figure.to_png()


def test_our_png_is_read_by_pillow() -> None:
    image = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(image)))), image)


def test_images_of_all_kinds() -> None:
    grey = RNG.random((2, 4, 5))
    np.testing.assert_array_equal(pixels.images("x", grey)[..., 0], (255 * grey).round())
    for channels in (1, 2, 3, 4):
        assert pixels.images("x", RNG.standard_normal((2, 4, 5, channels))).shape == (2, 4, 5, 3)
    colours = RNG.integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels.images("x", colours), colours)
    wide = pixels.images("x", 10 * RNG.standard_normal((2, 4, 5, 3)))
    assert (wide.min(), wide.max()) == (0, 255)
    assert not pixels.images("x", np.full((1, 2, 2), 7.0)).any()
    with pytest.raises(ShapeError, match=r"the inputs must be images; got shape \(3, 4\)"):
        pixels.images("x", np.zeros((3, 4)))


@pytest.mark.parametrize("targets", [Y, np.eye(3)[Y], Y[:, None]])
def test_confusion_matrix_is_that_of_scikit_learn(targets: np.ndarray) -> None:
    run = classifier()
    figure = report.confusion_matrix(run, X, targets)
    expected = confusion_matrix(Y, run.predict(X).argmax(1), labels=range(3))
    np.testing.assert_array_equal(figure.data, expected)
    said = texts(figure)
    assert f"{np.trace(expected)} of 30 right ({np.trace(expected) / 30:.1%})" in said
    assert [t for t in said if t.isdigit() and t != "0"].count("1") >= 2  # the class, as row and as column


def test_confusion_matrix_of_a_single_output() -> None:
    weight, images = RNG.standard_normal((96, 1)).astype(np.float32), RNG.standard_normal((40, 6, 8, 2))
    bits = RNG.integers(0, 2, 40)
    expected = confusion_matrix(bits, images.reshape(40, -1) @ weight[:, 0] > 0)
    run = linear(weight, loss="binary_cross_entropy")
    np.testing.assert_array_equal(report.confusion_matrix(run, images, bits).data, expected)


def test_samples_say_what_is_wrong() -> None:
    run = classifier()
    shares = np.asarray(gl.softmax(run.predict(X)))
    figure = report.samples(run, X, Y, count=5, labels=["cat", "dog", "owl"])
    np.testing.assert_allclose(figure.data, shares[:5], rtol=1e-6)
    wrong = shares[:5].argmax(1) != Y[:5]
    assert sum(t.startswith("is ") for t in texts(figure)) == wrong.sum()


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_mistakes_are_those_of_the_largest_loss(loss: str) -> None:
    run = classifier(loss=loss)
    log_p = np.log(np.asarray(gl.softmax(run.predict(X).astype(np.float64))))[np.arange(30), Y]
    figure = report.mistakes(run, X, Y, count=7)
    np.testing.assert_array_equal(figure.data, np.argsort(log_p)[:7])


def test_filters_are_the_weights() -> None:
    run = classifier()
    weight = run.model.parameters()["layers.0"]["weight"].numpy()
    np.testing.assert_array_equal(report.filters(run).data, np.moveaxis(weight, 3, 0))
    coloured = ready(nn.Sequential(nn.Conv(5, 3), nn.GlobalAvgPool()), 8, 8, 3)
    assert report.filters(coloured, count=2).data.shape == (5, 3, 3, 3)
    weight = RNG.standard_normal((96, 4)).astype(np.float32)
    np.testing.assert_array_equal(report.filters(linear(weight)).data, weight.T.reshape(4, 6, 8, 2))
    with pytest.raises(OptionError, match="the model must begin with a layer on images; got Dense"):
        report.filters(ready(nn.Dense(3), 7))


def test_feature_maps_are_what_a_layer_gives() -> None:
    inner = nn.Sequential(nn.Conv(2, 3), nn.BatchNorm(), nn.ReLU())
    run = ready(nn.Sequential(nn.Conv(3, 3, activation="relu"), inner, nn.MaxPool(2), nn.Flatten()), 6, 8, 1)
    first, block = run.model.children()[0][1], run.model.children()[1][1]
    for layer, expected in (
        ("layers.0", first(X[:1])),
        ("layers.1", block(first(X[:1]))),
        ("layers.1.layers.0", block.children()[0][1](first(X[:1]))),
        ("layers.2", gl.max_pool(block(first(X[:1])), 2)),
    ):
        np.testing.assert_allclose(report.feature_maps(run, X[0], layer).data, expected.numpy()[0], atol=1e-6)
    with pytest.raises(UnknownNameError, match=r"no layer has this name; got 'layer\.0'\. Did you mean 'layers\.0'"):
        report.feature_maps(run, X[0], "layer.0")
    with pytest.raises(ShapeError, match=r"the layer must give .* layers\.3 gives float32\[2,24\]"):
        report.feature_maps(run, X[0], "layers.3")


def test_saliency_of_a_linear_model_is_its_weight() -> None:
    weight = RNG.standard_normal((96, 4)).astype(np.float32)
    images = RNG.standard_normal((3, 6, 8, 2)).astype(np.float32)
    run, slopes = linear(weight), np.abs(weight.T.reshape(4, 6, 8, 2))
    chosen = (images.reshape(3, -1) @ weight).argmax(1)
    np.testing.assert_allclose(report.saliency(run, images).data, slopes[chosen].max(-1), rtol=1e-5)
    np.testing.assert_allclose(report.saliency(run, images, of=2).data, slopes[[2] * 3].max(-1), rtol=1e-5)
    each = np.array([3, 0, 1])
    found = report.saliency(run, images, of=each, method="gradient_times_input").data
    np.testing.assert_allclose(found, (slopes[each] * np.abs(images)).max(-1), rtol=1e-5)
    with pytest.raises(DataError, match="classes are outputs from 0 to 3, one for all or one for each example; got 4"):
        report.saliency(run, images, of=4)
    native = linear(weight, executor="native")
    np.testing.assert_allclose(report.saliency(native, images).data, slopes[chosen].max(-1), rtol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_occlusion_finds_what_the_model_looks_at(loss: str) -> None:
    """A model that looks at one pixel: covering it takes all of it away, covering another nothing."""
    weight = np.zeros((6, 8, 2, 1), np.float32)
    weight[3, 5, 0] = 2.0
    run, image = linear(weight.reshape(96, 1), loss=loss), np.ones((6, 8, 2), np.float32)
    fall = 2.0 if loss == "squared_error" else 1 / (1 + np.exp(-2.0)) - 0.5
    expected = np.zeros((6, 8))
    expected[3, 5] = fall
    found = report.occlusion(run, image, size=1, stride=1, fill=0).data
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # A patch of 2 x 2 covers it from four places; each pixel has the mean of the patches upon it.
    found = report.occlusion(run, image, size=2, stride=1, fill=0).data
    assert found[3, 5] == pytest.approx(fall, rel=1e-6)
    np.testing.assert_allclose(found[2:5, 4:7], fall * np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]), rtol=1e-6)
    assert not found[:2].any()
    # With the mean of the image in place of it nothing changes at all.
    np.testing.assert_allclose(report.occlusion(run, image).data, 0, atol=1e-7)
    with pytest.raises(OptionError, match=r"size is a finite number to 6; got 7\. Use a patch smaller"):
        report.occlusion(run, image, size=7)


def test_segmentation() -> None:
    net = nn.Sequential(nn.Conv(4, 3, padding="valid", activation="relu"), nn.Conv(3, 1))
    run, masks = ready(net, 6, 8, 1), RNG.integers(0, 3, (30, 6, 8))
    figure = report.segmentation(run, X, masks, count=2)
    chosen = run.predict(X[:2]).argmax(-1)
    np.testing.assert_array_equal(figure.data, chosen)
    right = (chosen == masks[:2, 1:-1, 1:-1]).mean((1, 2))
    assert [t for t in texts(figure) if t.endswith("right")] == [f"{r:.1%} right" for r in right]
    assert "mask" not in texts(report.segmentation(run, X))
    one = ready(nn.Conv(1, 3), 6, 8, 1, loss="binary_dice")
    np.testing.assert_array_equal(report.segmentation(one, X, count=3).data, one.predict(X[:3])[..., 0] > 0)
    with pytest.raises(ShapeError, match="the model must give logits for every pixel"):
        report.segmentation(classifier(), X)
    with pytest.raises(ShapeError, match=r"masks are .* as large as the outputs or larger by an equal border"):
        report.segmentation(run, X, masks[:, :3])


def test_refusals() -> None:
    run = classifier()
    with pytest.raises(DataError, match="labels name the 3 classes; got 2 labels"):
        report.confusion_matrix(run, X, Y, labels=["a", "b"])
    with pytest.raises(DataError, match=r"targets are classes from 0 to 2, one an example; got int64\[30\]"):
        report.confusion_matrix(run, X, Y + 1)
    with pytest.raises(ShapeError, match=r"the model must choose one class .* For masks use report\.segmentation"):
        report.samples(ready(nn.Conv(2, 3), 6, 8, 1), X)
    for act in (lambda r: report.filters(r), lambda r: report.saliency(r, X), lambda r: report.samples(r, X)):
        with pytest.raises(OptionError, match="the model must be trained or loaded first"):
            act(train.Trainer(nn.Dense(3)))
