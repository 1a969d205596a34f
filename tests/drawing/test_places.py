"""Layouts: nothing overlaps, arrows go down and through no box, long ones run straight; for any graph at all."""

from __future__ import annotations

from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradloom.drawing.layering import layered
from gradloom.drawing.layout import Layout, lay_out
from gradloom.drawing.picture import Arrow, Box, Picture, columns, shortened
from gradloom.drawing.svg import to_svg


def picture(count: int, pairs: list[tuple[int, int]], kinds: str = "o") -> Picture:
    boxes = [
        Box(f"b{i}", ("w" * (1 + 7 * i % 23), "second")[: 1 + i % 2], "label" if kinds[i % len(kinds)] == "l" else "x")
        for i in range(count)
    ]
    return Picture("p", "p", boxes, [Arrow(f"b{i}", f"b{j}") for i, j in pairs])


def crossed(found: Layout, route: list[tuple[float, float]]) -> set[str]:
    """The boxes that an arrow passes through, by points along it."""
    hit = set()
    for i, ((x, y), (u, v)) in enumerate(pairwise(route)):
        for t in (k / 24 for k in range(25)):
            s = t if not i % 2 else 3 * t**2 - 2 * t**3  # the curve's way to the side
            along = t if not i % 2 else 1.5 * t - 1.5 * t**2 + t**3
            at_x, at_y = x + (u - x) * s, y + (v - y) * along
            hit |= {
                name
                for name, r in found.places.items()
                if r.x + 0.1 < at_x < r.x + r.width - 0.1 and r.y + 0.1 < at_y < r.y + r.height - 0.1
            }
    return hit


def check(drawn: Picture) -> None:
    found = lay_out(drawn)
    assert set(found.places) == {box.name for box in drawn.boxes}
    for a, b in combinations(found.places.values(), 2):
        apart_x = a.x + a.width <= b.x + 1e-6 or b.x + b.width <= a.x + 1e-6
        assert apart_x or a.y + a.height <= b.y + 1e-6 or b.y + b.height <= a.y + 1e-6
    for r in found.places.values():
        assert r.x >= 0
        assert r.y >= 0
        assert r.x + r.width <= found.width
        assert r.y + r.height <= found.height
    for _arrow, route in zip(drawn.arrows, found.routes):
        if route:
            assert not crossed(found, route)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30, unique=True),
    st.sampled_from(["o", "ol", "ool"]),
)))  # fmt: skip
def test_nothing_overlaps_whatever_the_arrows(drawn: tuple[int, list[tuple[int, int]], str]):
    check(picture(*drawn))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=25, unique=True))
def test_arrows_of_a_graph_without_circles_go_down(pairs: list[tuple[int, int]]):
    drawn = picture(12, [(i, j) for i, j in pairs if i < j])
    found = lay_out(drawn)
    assert not layered(drawn).upward
    for arrow in drawn.arrows:
        source, target = found.places[arrow.source], found.places[arrow.target]
        assert source.y + source.height <= target.y


def crossings(drawn: Picture) -> int:
    """Counted pair by pair."""
    count = 0
    for row in layered(drawn).rows:
        lines = [(p.place, q.place) for p in row for q in p.below]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(lines, 2))
    return count


def test_what_can_be_drawn_without_crossings_is():
    tree = [((i - 1) // 2, i) for i in range(1, 15)]
    assert crossings(picture(15, tree)) == 0
    twisted = [(0, 5), (1, 4), (2, 3)]
    assert crossings(picture(6, twisted)) == 0


def test_of_two_by_two_all_joined_one_crossing_is_left():
    assert crossings(picture(4, [(0, 2), (0, 3), (1, 2), (1, 3)])) == 1


def test_a_circle_has_one_arrow_that_goes_up():
    assert len(layered(picture(3, [(0, 1), (1, 2), (2, 0)])).upward) == 1


def test_a_long_arrow_runs_straight():
    chain = [(i, i + 1) for i in range(9)]
    found = lay_out(picture(10, [*chain, (0, 9)]))
    inside = [x for x, _ in found.routes[-1][2:-2]]
    assert max(inside) - min(inside) < 1.0


def test_what_is_used_late_stands_late():
    found = lay_out(picture(6, [(0, 1), (1, 2), (2, 3), (4, 5), (5, 3)]))
    assert found.places["b5"].y > found.places["b1"].y
    assert found.places["b4"].y > found.places["b0"].y


def test_a_ladder_of_sixty_steps_and_a_flat_graph_of_thousands_are_laid_out():
    check(picture(121, [(i, j) for s in range(0, 120, 2) for i, j in ((s, s + 1), (s, s + 2), (s + 1, s + 2))]))
    found = lay_out(picture(2000, [(i, i + 1) for i in range(1999)]))
    assert len(found.places) == 2000


def test_an_empty_picture_is_empty():
    assert lay_out(picture(0, [])).places == {}


HOSTILE = [
    '<script>alert("1")</script>',
    "a&b",
    "]]>",
    "quote\"'",
    "nul\x00 bell\x07",
    "日本語" * 30,
    "e\u0301",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_escaped(name: str):
    drawn = Picture(
        "p", name, [Box(name, (name, "x"), hint=name, link=name), Box("other", ("x",))], [Arrow(name, "other")]
    )
    tree = ElementTree.fromstring(to_svg(drawn))
    assert not [e for e in tree.iter() if e.tag.endswith("script")]
    if name.isprintable():
        assert name in "".join(tree.itertext())


def test_wide_characters_count_twice_and_texts_are_cut_to_a_width():
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
    assert shortened("carry.optimizer.mean", 11) == "carry….mean"
    assert shortened("carry.optimizer.mean", 11, at_end=True) == "carry.opti…"
    assert all(columns(shortened("日本語" * 9, n)) <= n for n in range(3, 20))
