"""The sections of the data: what they hold, the plane of two features, and images that were mistaken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradloom.data.scaling import Affine
from gradloom.data.summary import ColumnSummary, describe
from gradloom.data.table import Table as DataTable
from gradloom.report import boundary, decisions
from gradloom.report.html.blocks import Block, Paragraph, Picture, Section, Table, drawn, figure
from gradloom.report.rating import Rated
from gradloom.report.samples import mistakes
from gradloom.report.segmentation import segmentation
from gradloom.report.svg import to_svg

_MOST_COLUMNS = 40
_PICTURES = 12
_MASKS = 4


def contents(table: DataTable | None, parts: Mapping[str, Rated], sizes: Mapping[str, int]) -> Section | None:
    """How many examples there are, of which classes, and every column in short.

    Args:
        table: the whole data set, if it is a table.
        parts: those that are at hand.
        sizes: of all parts, by name.
    """
    blocks: list[Block] = []
    if sizes:
        blocks.append(Paragraph("Examples: " + ", ".join(f"{count:,} {name}" for name, count in sizes.items()) + "."))
    classes = next((part.classes for part in parts.values() if part.classes), ())
    if classes:
        known = {name: part.truth[part.truth >= 0] for name, part in parts.items()}
        counts = {name: np.bincount(truth, minlength=len(classes)) for name, truth in known.items()}
        rows = [
            [label, *(f"{n[i]:,} ({n[i] / n.sum():.1%})" for n in counts.values())] for i, label in enumerate(classes)
        ]
        what = "pixels" if any(part.kind == "pixels" for part in parts.values()) else "examples"
        blocks.append(Table(["class", *counts], rows, caption=f"How many {what} each class has."))
    if table is not None:
        columns = describe(table)
        head = ["column", "kind", "missing", "different", "mean", "deviation", "least", "greatest", "most frequent"]
        shown = Table(head, [_cells(c) for c in columns[:_MOST_COLUMNS]], texts=2, caption=f"All {table.rows:,} rows.")
        rest = len(columns) - _MOST_COLUMNS
        blocks.append(shown)
        blocks += [Paragraph(f"And {rest} more columns.")] if rest > 0 else []
    return Section("data", "Data", blocks) if blocks else None


def _cells(column: ColumnSummary) -> list[str]:
    often = "" if column.most_frequent is None else f"{column.most_frequent[:24]} ({column.frequency})"
    figures = (column.mean, column.std, column.minimum, column.maximum)
    shown = ["" if f is None else f if isinstance(f, str) else figure(f) for f in figures]
    return [column.name, column.kind, f"{column.missing:,}", f"{column.distinct:,}", *shown, often]


def plane(run: Any, rated: Rated, part: str) -> Section | None:
    """The map of decisions, where the model takes two numbers."""
    if rated.kind == "pixels" or rated.shape != (2,):
        return None
    names, scales = _axes(run)
    low, slope = np.array([s[0] for s in scales]), np.array([s[1] for s in scales])

    def answer(points: np.ndarray) -> np.ndarray:
        outputs = run.predict(((points - low) / slope).astype(rated.inputs.dtype))
        return decisions.shares(run, outputs) if rated.classes else outputs.reshape(-1)

    found = boundary.decision_boundary(
        boundary.Plane(names, rated.inputs * slope + low, answer), rated.truth, rated.classes
    )
    text = (
        f"What the model says for all values of {names[0]} and {names[1]}; dots are examples of the {part}, coloured "
    )
    text += "by what they are." if rated.classes else "and colours go from low (dark) to high (light)."
    return Section("boundary", "Decisions in the plane", [Paragraph(text), drawn(found)])


def _axes(run: Any) -> tuple[tuple[str, str], list[tuple[float, float]]]:
    """Names of the two features, and for each a and b, so that a + b · feature is in the unit of the data."""
    made = getattr(run.preprocessing, "features", None)
    if made is None or len(made.blocks) != 2:
        names = ("x1", "x2") if made is None else made.features
        return (names[0], names[1]), [(0.0, 1.0), (0.0, 1.0)]
    names, scales = [], []
    for block in made.blocks:
        *before, last = block.steps
        linear = isinstance(last, Affine) and all(type(step).__name__ == "FittedImpute" for step in before)
        a, b = last.inverse(np.array([[0.0], [1.0]])).reshape(-1) if linear else (0.0, 1.0)
        names.append(block.column if linear else f"{block.column} (scaled)")
        scales.append((float(a), float(b - a) if linear else 1.0))
    return (names[0], names[1]), scales


def images(run: Any, rated: Rated, targets: Any) -> Section | None:
    """What the model says of images: the worst mistakes (or, without any, the least sure answers), or masks."""
    if rated.kind == "numbers" or len(rated.shape) != 3 or rated.shape[-1] not in (1, 3):
        return None
    if rated.kind == "pixels":
        wrong = (rated.chosen != rated.truth).reshape(len(rated), -1).mean(1)
        worst = np.argsort(-wrong, kind="stable")[:_MASKS]
        shown = segmentation(run, rated.inputs[worst], rated.truth[worst], count=_MASKS)
        text = "The images with the most pixels wrong, their masks, and what the model says."
        return Section("images", "Masks", [Picture(shown.to_svg(), text, True)])
    shown = mistakes(run, rated.inputs, targets, count=_PICTURES, labels=rated.classes)
    title = "Images it is most wrong about" if (rated.chosen != rated.truth).any() else "Images it is least sure of"
    return Section("images", title, [Picture(to_svg(shown.canvas))])


def groups(run: Any, width: int) -> dict[str, Sequence[int]]:
    """Which features come from which column of a table; of arrays each feature is a column."""
    made = getattr(run.preprocessing, "features", None)
    if made is None:
        return {f"x{i + 1}": [i] for i in range(width)}
    found: dict[str, list[int]] = {}
    place = 0
    for block in made.blocks:
        count = len(block.features)
        found.setdefault(block.column, []).extend(range(place, place + count))
        place += count
    return dict(found)
