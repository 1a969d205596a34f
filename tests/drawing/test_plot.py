"""Plots: where things stand, what is left out, what those hear who do not see."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom.drawing.plot import WIDTH, Axis, Bars, Line, Plot, Points, Raster, Rule, tick
from gradloom.report.svg import png_bytes

SVG = "{http://www.w3.org/2000/svg}"


def elements(plot: Plot, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(plot.to_svg()).iter(f"{SVG}{name}"))


def test_values_stand_in_proportion() -> None:
    (line,) = elements(Plot("a", "x", "y", [Line([(0, 0), (1, 5), (4, 10)])]), "polyline")
    (a, p), (b, q), (c, r) = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert (b - a) / (c - a) == pytest.approx(1 / 4, abs=1e-3)
    assert (q - p) / (r - p) == pytest.approx(1 / 2, abs=1e-3)
    assert 0 < a < c < WIDTH
    assert r < p  # upwards


def test_powers_stand_evenly_on_a_logarithmic_axis() -> None:
    axis = Axis(1e-3, 1e3, 0.0, 60.0, is_log=True)
    assert [axis(10.0**k) for k in range(-3, 4)] == pytest.approx([0, 10, 20, 30, 40, 50, 60])
    assert axis.ticks() == pytest.approx([1e-3, 1e-2, 0.1, 1, 10, 100, 1000])


@given(st.integers(0, 500), st.integers(0, 5000))
def test_what_counts_has_whole_ticks(first: int, width: int) -> None:
    """Epochs are whole numbers: none is 1.25."""
    epochs = range(first, first + width + 1)
    svg = Plot("loss", "epoch", "", [Line([(e, 1.0 / (1 + e)) for e in (epochs[0], epochs[-1])])]).to_svg()
    below = [float(t) for t in re.findall(r'text-anchor="middle">([^<]*)<', svg)]
    assert 1 <= len(below) <= 7
    assert all(t.is_integer() for t in below)


def test_other_axes_have_fractions_between_whole_numbers() -> None:
    svg = Plot("", "x", "", [Line([(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)])]).to_svg()
    assert ">0.25<" in svg


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_round_and_within(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * max(abs(low), abs(high)) or not high > low:
        return
    ticks = Axis(low, high, 0, 1).ticks()
    room = 1e-6 * (high - low)
    assert 2 <= len(ticks) <= 7
    assert all(low - room <= t <= high + room for t in ticks)
    steps = np.diff(ticks)
    assert steps == pytest.approx(steps[0], rel=1e-3)
    digits = steps[0] / 10.0 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(digits - d) for d in (1, 2, 2.5, 5, 10)) < 1e-2


def test_what_is_not_finite_is_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    (line,) = elements(Plot("a", "x", "y", [Line([(0, 1), (1, nan), (2, inf), (3, 2)])]), "polyline")
    assert len(line.attrib["points"].split()) == 2
    (line,) = elements(Plot("a", "x", "y", [Line([(0, 1), (1, 0), (2, -1), (3, 2)])], log_y=True), "polyline")
    assert len(line.attrib["points"].split()) == 2
    assert not elements(Plot("a", "x", "y", [Points([(0, nan)])]), "circle")


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize(
    "values", [(-1.5e308, 1.5e308), (1e-200, 1e200), (5e-324, 1e308), (0, 2e-323), (1e16, 1e16 + 2), (1e308, 1.0)]
)
def test_numbers_of_any_size_are_drawn(values: tuple[float, float], is_log: bool) -> None:
    low, high = values
    marks = [Line([(0, low), (1, high), (2, 3.0)]), Rule((None, low), (None, high)), Bars([(0, 1, low), (1, 2, high)])]
    text = Plot("a", "x", "y", marks, log_y=is_log).to_svg()
    assert "nan" not in text
    assert "inf" not in text


def test_every_mark_is_drawn_and_named() -> None:
    png = png_bytes(np.zeros((2, 2, 3), np.uint8))
    marks = [
        Raster(png, 0, 1, 0, 1),
        Bars([(0, 0.5, 0.3)], "bars"),
        Line([(0, 0), (1, 1)], "a < line"),
        Points([(0.5, 0.5)], "dots", ranges=[(0.4, 0.6)]),
        Rule((0.2, None), (0.2, None), "best"),
    ]
    plot = Plot('what is "seen" & more', "x", "y", marks)
    root = ElementTree.fromstring(plot.to_svg())
    assert root.attrib["aria-label"] == 'what is "seen" & more'
    assert len(elements(plot, "image")) == len(elements(plot, "rect")) == len(elements(plot, "polyline")) == 1
    texts = [element.text for element in elements(plot, "text")]
    assert {"bars", "a < line", "dots", "best", "x", "y"} <= set(texts)
    assert "<style>" in plot.to_svg()
    assert "<style>" not in plot.to_svg(style=False)


def test_one_value_has_an_axis_as_well() -> None:
    for value in (0.0, 3.0, -1e-9):
        assert elements(Plot("a", "x", "y", [Line([(value, value)])]), "circle")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (20, "20"), (1e5, "1e5"), (1e-4, "1e-4"), (99999, "99999")]
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert tick(value) == text
