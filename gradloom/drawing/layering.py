"""Which row each box lies in, and in which order: the first two steps of Sugiyama's method.

1. Rows by longest path: a box lies below all boxes with arrows to it.  What only begins a chain of arrows is then moved
   down to where it is used.  Where arrows go round in circles, as few as a greedy choice finds are turned around.
2. An arrow over several rows gets a waypoint in each between; arrows that leave one box together share them, so they
   are drawn as one line that branches, the trunk.
3. Crossings are made few by sorting each row by the mean place of its neighbours in the row above, then below, again
   and again; the best order found is kept.

Source: Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures" (1981).
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import pairwise

from gradloom.drawing.picture import Picture
from gradloom.records import dataclass

_SWEEPS = 12
_SWEEPS_OF_LARGE, _LARGE = 4, 3000


@dataclass(eq=False)
class Point:
    """What takes a place in a row: a box, or a waypoint of arrows, which has no box.

    Attributes:
        box: the box's name, or empty.
        width: room that it takes.
        trunk: for a waypoint, all waypoints of the arrows that leave its box with it.
        above: points of the row above that it is joined to.
        below: those of the row below.
        place: its place in its row.
        x: where its middle is (see layout.py).
    """

    box: str
    width: float
    trunk: list[Point] = field(default_factory=list)
    above: list[Point] = field(default_factory=list)
    below: list[Point] = field(default_factory=list)
    place: int = 0
    x: float = 0.0


@dataclass(frozen=True)
class Layers:
    """Rows of points.

    Attributes:
        rows: from top to bottom, each from left to right.
        chains: for every arrow, the points that it goes through from top to bottom.
        upward: the arrows that go from bottom to top.
    """

    rows: list[list[Point]]
    chains: list[list[Point]]
    upward: set[int]


WAYPOINT = 10.0
"""Width of a waypoint."""


def layered(picture: Picture) -> Layers:
    """Assign boxes to rows, cut arrows at the rows that they pass, and order the rows."""
    names = _sequence([box.name for box in picture.boxes], [(a.source, a.target) for a in picture.arrows])
    order = {name: i for i, name in enumerate(names)}
    upward = {i for i, a in enumerate(picture.arrows) if order[a.source] > order[a.target]}
    ends = [(a.target, a.source) if i in upward else (a.source, a.target) for i, a in enumerate(picture.arrows)]
    row_of = _rows(names, [(u, v) for u, v in ends if u != v])
    rows: list[list[Point]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    points = {box.name: Point(box.name, box.width) for box in picture.boxes}
    for name, point in points.items():
        rows[row_of[name]].append(point)
    trunks: dict[tuple[str, str], dict[int, Point]] = {}
    chains = []
    for (u, v), arrow in zip(ends, picture.arrows):
        trunk = trunks.setdefault((u, arrow.kind), {})
        for row in range(row_of[u] + 1 + len(trunk), row_of[v]):
            trunk[row] = Point("", WAYPOINT)
            rows[row].append(trunk[row])
        chains.append([points[u], *(trunk[row] for row in range(row_of[u] + 1, row_of[v])), points[v]])
    for trunk in trunks.values():
        together = list(trunk.values())
        for point in together:
            point.trunk = together
    for a, b in dict.fromkeys((a, b) for chain in chains for a, b in pairwise(chain) if a is not b):
        a.below.append(b)
        b.above.append(a)
    _order(rows)
    return Layers(rows, chains, upward)


def _sequence(names: Sequence[str], ends: Sequence[tuple[str, str]]) -> list[str]:
    """The boxes in an order in which most arrows go forward, else as they are given (Kahn's algorithm).

    Where every box that is left has an arrow to it from another one, the one with the fewest is taken.
    """
    place = {name: i for i, name in enumerate(names)}
    after: dict[str, list[str]] = {name: [] for name in names}
    waiting = dict.fromkeys(names, 0)
    for u, v in ends:
        if u != v:
            after[u].append(v)
            waiting[v] += 1
    free = [place[name] for name in names if not waiting[name]]  # in ascending order, which is a heap
    found: list[str] = []
    while waiting:
        name = names[heapq.heappop(free)] if free else min(waiting, key=lambda n: (waiting[n], place[n]))
        del waiting[name]
        found.append(name)
        for v in after[name]:
            if v in waiting:
                waiting[v] -= 1
                if not waiting[v]:
                    heapq.heappush(free, place[v])
    return found


def _rows(names: Sequence[str], ends: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The row of each box, from 0 at the top; arrows go forward in the order of names."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for u, v in ends:
        before[v].append(u)
        after[u].append(v)
    found: dict[str, int] = {}
    for name in names:
        found[name] = max((found[u] + 1 for u in before[name]), default=0)
    moves = {name: not before[name] for name in names}
    for name in names:
        moves[name] = moves[name] or (len(before[name]) == 1 and moves[before[name][0]])
    for name in reversed(names):
        if moves[name] and after[name]:
            found[name] = min(found[v] for v in after[name]) - 1
    return _without_gaps(found)


def _without_gaps(rows: Mapping[str, int]) -> dict[str, int]:
    used = {row: i for i, row in enumerate(sorted(set(rows.values())))}
    return {name: used[row] for name, row in rows.items()}


# Order -------------------------------------------------------------------------------------------------------------


def _order(rows: list[list[Point]]) -> None:
    """Sort every row for few crossings."""
    _first_order(rows)
    best, fewest = [list(row) for row in rows], _crossings(rows)
    size = sum(map(len, rows))
    for sweep in range(_SWEEPS if size < _LARGE else _SWEEPS_OF_LARGE):
        if not fewest:
            break
        downward = sweep % 2 == 0
        for row in rows[1:] if downward else reversed(rows[:-1]):
            _sort(row, downward)
        found = _crossings(rows)
        if found < fewest:
            best, fewest = [list(row) for row in rows], found
    for row, kept in zip(rows, best):
        row[:] = kept
        _number(row)


def _first_order(rows: list[list[Point]]) -> None:
    """As a walk along the arrows, deep first, meets the points: what belongs together begins side by side."""
    met: dict[Point, int] = {}
    stack = [p for row in reversed(rows) for p in reversed(row) if not p.above]
    while stack:
        point = stack.pop()
        if point not in met:
            met[point] = len(met)
            stack += [p for p in reversed(point.below) if p not in met]
    for row in rows:
        row.sort(key=lambda p: met.get(p, 0))
        _number(row)


def _number(row: list[Point]) -> None:
    for place, point in enumerate(row):
        point.place = place


def _sort(row: list[Point], downward: bool) -> None:
    """By the mean place of the neighbours above or below; points without any stay where they are."""
    keys = {}
    for point in row:
        neighbours = point.above if downward else point.below
        keys[point] = sum(p.place for p in neighbours) / len(neighbours) if neighbours else float(point.place)
    row.sort(key=keys.__getitem__)
    _number(row)


def _crossings(rows: list[list[Point]]) -> int:
    """How many pairs of lines between neighbouring rows cross."""
    count = 0
    for row in rows:
        seen: list[int] = []
        for point in row:
            ends = sorted(p.place for p in point.below)
            count += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return count
