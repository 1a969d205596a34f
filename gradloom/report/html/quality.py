"""The sections that tell how good a model is on one part of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradloom.drawing.plot import Bars, Plot, Points, Rule
from gradloom.report.calibration import BINS, calibration
from gradloom.report.confusion import confusion_canvas
from gradloom.report.html.blocks import Block, Cell, Folded, Paragraph, Picture, Section, Table, drawn, figure
from gradloom.report.importance import Importance
from gradloom.report.rating import Rated
from gradloom.report.scores import BOOTSTRAP, WILSON, Score, confusion
from gradloom.report.svg import to_svg

_METHODS = {
    WILSON: "Wilson: the interval of a share of independent {of}, by its formula.",
    BOOTSTRAP: "Bootstrap: the middle 95% of the figure over {of} drawn anew with replacement.",
}
_MOST_CLASSES, _MOST_POINTS, _MOST_COLUMNS = 30, 2000, 30


def metrics(found: Sequence[Score], part: str, count: int, of: str) -> Section:
    """Every figure with its interval.

    Args:
        found: the figures.
        part: what they were measured on.
        count: how many examples that has.
        of: what an example is.
    """
    rows = [[s.name, figure(s.value), f"{figure(s.interval[0])} to {figure(s.interval[1])}", s.method] for s in found]
    table = Table(["metric", "value", "95% interval", "method"], rows)
    used = {s.method: _METHODS[s.method] for s in found}
    return Section(
        "metrics",
        "Metrics",
        [
            Paragraph(f"Measured on the {part}, {count:,} {of}."),
            table,
            Paragraph(" ".join(used.values()).format(of=of)),
        ],
    )


def mistakes(rated: Rated) -> Section:
    """The confusion matrix, or for numbers what is left over."""
    if rated.kind == "numbers":
        return Section("residuals", "Residuals", _residuals(rated))
    counts = confusion(rated)
    head = ["actual \\ predicted", *rated.classes]
    table = Table(head, [[name, *(f"{n:,}" for n in row)] for name, row in zip(rated.classes, counts)])
    if len(rated.classes) > _MOST_CLASSES:
        return Section("confusion", "Confusion matrix", [Paragraph(_worst(rated, counts)), table])
    picture = Picture(to_svg(confusion_canvas(counts, list(rated.classes))), _worst(rated, counts), wide=True)
    return Section("confusion", "Confusion matrix", [picture, Folded("The same as a table", [table])])


def _worst(rated: Rated, counts: np.ndarray) -> str:
    """The mistake that is made most often."""
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return "Nothing was taken for something else."
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    times = f"{wrong[i, j]:,} of {counts[i].sum():,}"
    return f"The mistake made most often: {rated.classes[i]} taken for {rated.classes[j]}, {times}."


def _residuals(rated: Rated) -> list[Block]:
    some = np.arange(0, len(rated), -(-len(rated) // _MOST_POINTS))
    truth, said = rated.truth[some], rated.said[some]
    errors = said - truth
    left = Plot(
        "Predicted against actual values; the nearer to the dashed line, the better.",
        "actual",
        "predicted",
        [_diagonal(truth, said), Points(_pairs(truth, said))],
    )
    right = Plot(
        "Residuals, predicted less actual, against predicted values; they should scatter evenly around 0.",
        "predicted",
        "residual",
        [Rule((None, 0), (None, 0)), Points(_pairs(said, errors))],
    )
    edges = np.histogram_bin_edges(errors, bins=min(max(round(len(errors) ** 0.5), 5), 40))
    tops, _ = np.histogram(errors, edges)
    bars = [(float(a), float(b), float(n)) for a, b, n in zip(edges[:-1], edges[1:], tops)]
    spread = Plot("How often residuals of each size occur.", "residual", "examples", [Bars(bars)])
    note = "Residuals should scatter evenly around 0: a bend means that something is not learned, a funnel that large "
    note += "values are less sure."
    return [
        drawn(left, "Predicted against actual; on the dashed line both are the same."),
        drawn(right, note),
        drawn(spread),
    ]


def _diagonal(truth: np.ndarray, said: np.ndarray) -> Rule:
    low, high = float(min(truth.min(), said.min())), float(max(truth.max(), said.max()))
    return Rule((low, low), (high, high))


def _pairs(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in zip(x, y)]


def reliability(rated: Rated) -> Section:
    """How sure the model is against how often it is right."""
    found = calibration(rated)
    bars = [(b.low, b.high, b.count / sum(c.count for c in found.bins)) for b in found.bins]
    dots = [(b.confidence, b.accuracy) for b in found.bins]
    about = f"Accuracy against confidence in {len(dots)} bins; expected calibration error {found.error:.4f}."
    marks = [
        Bars(bars, "share of answers", "five"),
        Rule((0, 0), (1, 1), "perfectly calibrated"),
        Points(dots, "accuracy, with 95% interval", "one", [b.interval for b in found.bins]),
    ]
    plot = Plot(about, "confidence", "accuracy", marks, x_range=(0, 1), y_range=(0, 1.03))
    side = sum(b.count * (b.confidence - b.accuracy) for b in found.bins)
    leaning = "surer than it should be" if side > 0 else "less sure than it could be"
    text = f"Expected calibration error {found.error:.4f}: so far, on average over {BINS} bins, confidence is from "
    text += f"accuracy. On the whole the model is {leaning}."
    head = ["confidence", "answers", "mean confidence", "accuracy", "95% interval"]
    rows = [
        [
            f"{b.low:.1f} to {b.high:.1f}",
            f"{b.count:,}",
            figure(b.confidence),
            figure(b.accuracy),
            f"{figure(b.interval[0])} to {figure(b.interval[1])}",
        ]
        for b in found.bins
    ]
    return Section(
        "calibration", "Calibration", [Paragraph(text), drawn(plot), Folded("The bins", [Table(head, rows)])]
    )


def importances(found: Sequence[Importance], score: str) -> Section:
    """What each column is worth, the most important first."""
    largest = max((one.mean for one in found), default=0.0)
    rows: list[list[str | Cell]] = []
    for one in found[:_MOST_COLUMNS]:
        bar = max(one.mean, 0.0) / largest if largest > 0 else 0.0
        rows.append([one.name, Cell(f"{one.mean:.4f}", bar), f"± {one.deviation:.4f}"])
    repeats = len(found[0].drops) if found else 0
    text = f"By how much {score} falls when one column is shuffled among the rows, {repeats} times each, with the "
    text += "standard deviation. A column that another can stand in for loses little, though both together may matter."
    if len(found) > _MOST_COLUMNS:
        text += f" The first {_MOST_COLUMNS} of {len(found)} columns are shown."
    table = Table(["column", f"{score} lost", "deviation"], rows)
    return Section("importance", "Importance of columns", [Paragraph(text), table])
