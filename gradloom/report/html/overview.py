"""The first section: what one wants to know before all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradloom.report.html.blocks import Block, Paragraph, Section, Table, Tile, Tiles, figure, worded
from gradloom.report.scores import Score
from gradloom.tree import leaves

Figures = Mapping[str, Mapping[str, float]]


def overview(run: Any, found: Sequence[Score], part: str, figures: Figures, notes: Sequence[str]) -> Section:
    """The main score, what training took, the figures of every part, and what is to be said of the page.

    Args:
        run: the trainer.
        found: scores of the rated part; none if no data were given.
        part: what it is called.
        figures: by part and name, where they were kept.
        notes: sentences.
    """
    tiles = []
    if found:
        first = found[0]
        value = f"{first.value:.1%}" if first.name == "accuracy" else figure(first.value)
        ends = (f"{v:.1%}" if first.name == "accuracy" else figure(v) for v in first.interval)
        tiles.append(Tile(first.name, value, f"{' to '.join(ends)} (95%), {part}"))
        tiles += [Tile(s.name, figure(s.value), " to ".join(map(figure, s.interval))) for s in found[1:] if _is_loss(s)]
    history = run.history
    best = "" if history.best_epoch is None else f"best: {history.best_epoch}"
    tiles.append(Tile("epochs", f"{run.epoch:,}", best))
    size = sum(leaf.size for leaf in leaves(run.model.parameters()))
    tiles.append(Tile("parameters", f"{size:,}", f"{type(run.optimizer).__name__}, batches of {run.batch_size}"))
    blocks: list[Block] = [Tiles(tiles)]
    blocks += [Paragraph(note) for note in notes]
    if figures:
        names = list(dict.fromkeys(name for row in figures.values() for name in row))
        rows = [[worded(name), *(figure(row.get(name)) for row in figures.values())] for name in names]
        blocks.append(Table(["", *figures], rows, caption="Measured at the end of training."))
    return Section("overview", "At a glance", blocks)


def _is_loss(score: Score) -> bool:
    return score.name in ("cross-entropy", "mean absolute error", "mean IoU")
