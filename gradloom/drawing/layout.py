"""Where everything in a picture lies.

Rows and their order come from layering.py.  In a row, every point wants to lie at the mean of its neighbours above or
below; the row as a whole gets the places nearest to these wishes (least squares) at which nothing overlaps.  That is
isotonic regression, which the pool-adjacent-violators algorithm solves exactly in one pass.  The waypoints of a trunk
all want to lie at one place and insist most, so long arrows run straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gradloom.drawing.layering import Layers, Point, layered
from gradloom.drawing.picture import Picture
from gradloom.records import dataclass

_ROUNDS, _LAST = 40, 26
_INSISTENCE = 8.0, 200.0
"""How much more the waypoint of a trunk weighs than a box with one neighbour: at first, and at last."""
_BETWEEN, _BESIDE_WAYPOINT = 18.0, 8.0
"""Room between two boxes, and beside a waypoint."""
_LEAST_GAP, _MOST_GAP, _GAP_SLOPE = 16.0, 60.0, 0.06
"""Room between two rows: more where arrows go far to the side."""
MARGIN = 14.0
_PORT = 14.0
"""How far the ends of arrows at one box are apart at most."""


@dataclass(frozen=True)
class Rectangle:
    """A place of a box: its left upper corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Places of boxes by name, the points through which each arrow goes, and the size of the whole.

    An arrow runs straight from its first point to its second, both in one row, in a curve to its third in the next
    row, straight to its fourth, and so on.  One from a box to itself is not drawn and has no points.
    """

    places: dict[str, Rectangle]
    routes: list[list[tuple[float, float]]]
    width: float
    height: float


def lay_out(picture: Picture) -> Layout:
    """Give every box and arrow of a picture its place."""
    layers = layered(picture)
    _place_across(layers.rows)
    boxes = {box.name: box for box in picture.boxes}
    left = min((p.x - p.width / 2 for row in layers.rows for p in row), default=0.0) - MARGIN
    places: dict[str, Rectangle] = {}
    tops: list[tuple[float, float]] = []
    y = MARGIN
    for row in layers.rows:
        height = max((boxes[p.box].height for p in row if p.box), default=0.0)
        for point in row:
            point.x -= left
            if point.box:
                box = boxes[point.box]
                corner = point.x - box.width / 2, y + (height - box.height) / 2
                places[point.box] = Rectangle(*corner, box.width, box.height)
        tops.append((y, y + height))
        y += height + _gap(row, left)
    width = max((p.x + p.width / 2 for row in layers.rows for p in row), default=0.0) + MARGIN
    bottom = tops[-1][1] if tops else 0.0
    return Layout(places, _routes(layers, places, tops), width, bottom + MARGIN)


def _gap(row: list[Point], left: float) -> float:
    """Room below a row; the next one has not been moved yet."""
    farthest = max((abs(p.x - (q.x - left)) for p in row for q in p.below), default=0.0)
    return min(_LEAST_GAP + _GAP_SLOPE * farthest, _MOST_GAP)


# Across ------------------------------------------------------------------------------------------------------------


def _place_across(rows: list[list[Point]]) -> None:
    for row in rows:
        _settle(row, [0.0] * len(row), [1.0] * len(row))
    for turn in range(_ROUNDS):
        last = turn >= _ROUNDS - _LAST
        for row in rows if turn % 2 == 0 else reversed(rows):
            wishes, weights = [], []
            for point in row:
                near = [*point.above, *point.below] if last else (point.above, point.below)[turn % 2]
                if point.trunk:
                    wishes.append(_middle(point.trunk, at_rest=last))
                    weights.append(_INSISTENCE[last])
                else:
                    wishes.append(sum(q.x for q in near) / len(near) if near else point.x)
                    weights.append(float(len(near)) or 0.1)
            _settle(row, wishes, weights)


def _middle(trunk: list[Point], *, at_rest: bool) -> float:
    """Where a trunk wants to lie: nearer to what it joins, at last where it lies in the mean."""
    own = sum(p.x for p in trunk) / len(trunk)
    if at_rest:
        return own
    joined = [q.x for p in trunk for q in (*p.above, *p.below) if q.trunk is not trunk]
    return (own + sum(joined) / len(joined)) / 2


def _settle(row: list[Point], wishes: Sequence[float], weights: Sequence[float]) -> None:
    """Move the points of a row as near to their wishes as their order and sizes allow."""
    offsets, reach = [], 0.0
    for i, point in enumerate(row):
        if i:
            both_boxes = bool(point.box) and bool(row[i - 1].box)
            reach += (row[i - 1].width + point.width) / 2 + (_BETWEEN if both_boxes else _BESIDE_WAYPOINT)
        offsets.append(reach)
    # Blocks of points that touch: mean wish, weight, number of points.  A block that would overlap the one before it
    # is merged with it.
    blocks: list[tuple[float, float, int]] = []
    for wish, weight, offset in zip(wishes, weights, offsets):
        mean, total, count = wish - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            earlier, heavier, more = blocks.pop()
            mean = (mean * total + earlier * heavier) / (total + heavier)
            total, count = total + heavier, count + more
        blocks.append((mean, total, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    for point, mean, offset in zip(row, means, offsets):
        point.x = mean + offset


# Arrows ------------------------------------------------------------------------------------------------------------


def _routes(
    layers: Layers, places: dict[str, Rectangle], tops: Sequence[tuple[float, float]]
) -> list[list[tuple[float, float]]]:
    """The points of every arrow, from its source to its target."""
    row_of = {p: i for i, row in enumerate(layers.rows) for p in row}
    ends = _ends(layers)
    routes = []
    for number, chain in enumerate(layers.chains):
        first, last = places[chain[0].box], places[chain[-1].box]
        lines = [(*ends[pair], row_of[pair[0]]) for pair in pairwise(chain) if pair in ends]
        route = [(lines[0][0], first.y + first.height)] if lines else []
        for upper, lower, row in lines:
            route += [(upper, tops[row][1]), (lower, tops[row + 1][0])]
        route += [(lines[-1][1], last.y)] if lines else []
        routes.append(route[::-1] if number in layers.upward else route)
    return routes


def _ends(layers: Layers) -> dict[tuple[Point, Point], tuple[float, float]]:
    """Where the line between two points leaves the upper one and meets the lower one.

    Lines that meet at a box come in side by side, in the order in which they come.
    """
    leaves: dict[tuple[Point, Point], float] = {}
    meets: dict[tuple[Point, Point], float] = {}
    for row in layers.rows:
        for point in row:
            for q in point.below:
                leaves[point, q] = point.x
            incoming = sorted(point.above, key=lambda p: p.x)
            for k, p in enumerate(incoming):
                step = min(_PORT, 0.7 * point.width / len(incoming)) if point.box else 0.0
                meets[p, point] = point.x + (k - (len(incoming) - 1) / 2) * step
    return {pair: (leaves[pair], meets[pair]) for pair in leaves}
