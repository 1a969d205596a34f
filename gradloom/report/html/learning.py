"""The section of learning curves."""

from __future__ import annotations

from gradloom.drawing.plot import Line, Plot, Points, Rule
from gradloom.report.html.blocks import Block, Folded, Paragraph, Section, Table, drawn, figure, worded
from gradloom.train.history import History

_STEEP = 30.0
"""A loss that falls by more than this factor is shown on a logarithmic axis."""
_MOST_ROWS = 200


def learning(history: History) -> Section | None:
    """Loss and metrics by epoch, in training and on the validation part, with the best epoch marked.

    Args:
        history: of the run; without rows there is no section.
    """
    rows = history.rows
    if not rows:
        return None
    names = [name for name in dict.fromkeys(n for row in rows for n in row) if name != "epoch"]
    own = [name for name in names if not name.startswith("val_")]
    blocks: list[Block] = [Paragraph(_told(history))]
    blocks += [_curves(history, name) for name in own]
    step = -(-len(rows) // _MOST_ROWS)
    cells = [[str(int(row["epoch"])), *(figure(row.get(name)) for name in names)] for row in rows[::step]]
    head = ["epoch", *map(worded, names)]
    every = "every epoch" if step == 1 else f"every {step}th epoch"
    blocks.append(Folded(f"The numbers, {every}", [Table(head, cells, texts=0)]))
    return Section("learning", "Learning curves", blocks)


def _told(history: History) -> str:
    last = int(history.rows[-1]["epoch"])
    parts = [f"{last} epochs were trained; training ended because {_reason(history.stopped)}."]
    if history.best_epoch is not None:
        parts.append(f"The model has the weights of epoch {history.best_epoch}, the best on the validation part.")
    return " ".join(parts)


def _reason(stopped: str) -> str:
    return stopped or "the run has not said why"


def _curves(history: History, name: str) -> Block:
    lines = {label: _points(history, key) for label, key in (("training", name), ("validation", f"val_{name}"))}
    kept = {label: points for label, points in lines.items() if points}
    marks = [Line(points, label, colour) for (label, points), colour in zip(kept.items(), ("one", "two"))]
    values = [y for points in kept.values() for _, y in points]
    is_steep = min(values) > 0 and max(values) > _STEEP * min(values)
    best = history.best_epoch
    extra = []
    if best is not None:
        extra.append(Rule((best, None), (best, None), f"best epoch, {best}"))
        last = list(kept.values())[-1]
        extra.append(Points([point for point in last if point[0] == best], colour=marks[-1].colour))
    title = worded(name)
    told = "; ".join(
        f"{label} from {figure(points[0][1])} to {figure(points[-1][1])}" for label, points in kept.items()
    )
    about = f"{title} by epoch: {told}" + (f"; best epoch {best}" if best is not None else "")
    scale = ", logarithmic" if is_steep else ""
    return drawn(Plot(about, "epoch", title + scale, [*extra[:1], *marks, *extra[1:]], log_y=is_steep))


def _points(history: History, key: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[key]) for row in history.rows if key in row and row[key] == row[key]]
