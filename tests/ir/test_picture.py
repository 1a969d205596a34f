"""Pictures of graphs: all nodes are there, large graphs are folded by layer, links lead on, a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.ir.graph import Graph, scope
from gradloom.ir.picture import FOLD_FROM, pictures


def worked_example(f, g):
    e = f * g
    d = 3 + f
    c = e + 2
    b = d + e
    return b * c


def training_step() -> Graph:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 5)).astype(np.float32), rng.integers(0, 3, 64)
    model = nn.Sequential(nn.Dense(8, activation="relu"), nn.Dense(8, activation="relu"), nn.Dense(3))
    return train.Trainer(model, optimizer=optim.Adam(0.1)).graph(data, batch_size=16)


@pytest.fixture(scope="module")
def step() -> Graph:
    return training_step()


def boxes(svg: str) -> list[str]:
    """The first lines of all framed boxes."""
    tree = ElementTree.fromstring(svg)
    found = []
    for group in tree.iter("{http://www.w3.org/2000/svg}g"):
        if "label" not in group.attrib["class"].split():
            found.append(next(group.iter("{http://www.w3.org/2000/svg}text")).text or "")
    return found


def test_a_small_graph_shows_every_node_and_the_types_between():
    graph = gl.trace(worked_example, 4.0, 2.0)
    assert sorted(boxes(graph.to_svg())) == ["add", "add", "add", "f", "g", "mul", "mul"]
    assert graph.to_svg().count("float32[]") >= 6


def test_numbers_stand_in_the_text_and_arrays_have_boxes():
    graph = gl.trace(lambda x: x * 2.0 + np.arange(3, dtype=np.float32), gl.zeros(3))
    assert sorted(boxes(graph.to_svg())) == ["add", "constant <3 values>", "mul", "x"]
    assert re.search(r"= x 2<", graph.to_svg())


def test_a_large_graph_is_folded_by_layer(step: Graph):
    assert len(step.nodes) > FOLD_FROM
    whole = boxes(step.to_svg())
    assert len(whole) < 30
    assert {"▸ Sequential/layers.0", "▸ loss", "▸ update", "▸ backward/loss"} <= set(whole)


def test_every_node_is_in_exactly_one_picture(step: Graph):
    drawn = [box.name for p in pictures(step) for box in p.boxes if box.name[0] == "%" and not box.is_label]
    assert len(drawn) == len(set(drawn))
    shown = [n for n in step.nodes if n.op.name not in ("constant", "placeholder", "project")]
    assert len(drawn) == len(shown)


def test_all_links_lead_to_a_picture_and_all_parents_exist(step: Graph):
    found = pictures(step)
    names = [p.name for p in found]
    assert len(names) == len(set(names))
    assert {box.link for p in found for box in p.boxes if box.link} == set(names[1:])
    assert {p.parent for p in found[1:]} <= set(names)


def test_every_arrow_joins_boxes_that_are_there(step: Graph):
    for p in pictures(step):
        names = [box.name for box in p.boxes]
        assert len(names) == len(set(names))
        assert {x for a in p.arrows for x in (a.source, a.target)} <= set(names)


def test_loops_and_branches_have_pictures_of_their_graphs():
    def f(x):
        total = gl.scan(lambda c, v: (gl.tanh(c) + v, c), gl.zeros(()), x)[0]
        return gl.cond(total > 0, lambda t: gl.exp(t), lambda t: gl.sin(t), total)

    found = pictures(gl.trace(f, gl.zeros(7)))
    assert [p.title.split(" of ")[0] for p in found[1:]] == ["body", "on_true", "on_false"]
    assert "▸ scan of 7 turns" in [box.lines[0] for box in found[0].boxes]
    assert "tanh" in [box.lines[0] for box in found[1].boxes]


def test_a_loop_inside_a_loop_is_found():
    def inner(c, _):
        return gl.scan(lambda d, _: (gl.sin(d), None), c, None, length=3)[0], None

    found = pictures(gl.trace(lambda x: gl.scan(inner, x, None, length=2)[0], gl.zeros(())))
    assert [p.parent for p in found] == ["", found[0].name, found[1].name]


def test_a_long_graph_without_layers_is_cut_into_parts():
    def f(x):
        for _ in range(500):
            x = gl.sin(x)
        return x

    found = pictures(gl.trace(f, 1.0))
    assert max(len(p.boxes) for p in found) < 150
    assert sum("sin" in box.lines and box.kind != "outside" for p in found for box in p.boxes) == 500


def test_a_layer_that_is_used_twice_is_drawn_though_arrows_go_round():
    def f(x):
        for i in range(60):
            with scope("abc"[i % 3]):
                x = gl.sin(x)
        return x

    assert boxes(gl.trace(f, 1.0).to_svg()) == ["x", "▸ a", "▸ b", "▸ c"]


def test_hostile_names_do_no_harm():
    def f(**_):
        raise AssertionError

    x = gl.ones(3)
    graph = gl.trace(lambda d: gl.sum(d['<b>"&'] * 2.0), {'<b>"&': x})
    graph = Graph(graph.inputs, graph.outputs, '</script><script>alert("1")</script>')
    page = graph.to_html()
    assert "<b>" not in page
    assert page.count("<script>") == 1
    ElementTree.fromstring(graph.to_svg())
    assert '\\"' in graph.to_dot()


def test_dot_escapes_quotes_and_backslashes():
    graph = gl.trace(lambda x: x + 1.0, 1.0)
    dot = Graph(graph.inputs, graph.outputs, 'a"b\\').to_dot()
    assert dot.startswith('digraph "a\\"b\\\\" {')


class _Checked(HTMLParser):
    """Counts the elements that must be closed, and what would load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {k}" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]
        if not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(step: Graph):
    page = step.to_html(beside=gl.trace(worked_example, 4.0, 2.0))
    checked = _Checked(page)
    assert not checked.open
    assert not checked.loads
    assert "@import" not in page
    assert "url(" not in page
    assert page.count("<article>") == 2


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

PROBE = """
const found = {texts: 0, outside: [], shown: [], overlapping: []};
for (const section of document.querySelectorAll("section")) section.hidden = false;
for (const group of document.querySelectorAll("g.box")) {
  const frame = group.querySelector("rect").getBBox();
  for (const text of group.querySelectorAll("text")) {
    const box = text.getBBox();
    found.texts += 1;
    if (box.x < frame.x || box.x + box.width > frame.x + frame.width ||
        box.y < frame.y - 1 || box.y + box.height > frame.y + frame.height + 1) found.outside.push(text.textContent);
  }
}
show = id => { location.hash = id; dispatchEvent(new HashChangeEvent("hashchange")); };
show("g0-1");
for (const s of document.querySelectorAll("article:first-child section")) if (!s.hidden) found.shown.push(s.id);
found.path = document.querySelector("nav").textContent;
const note = document.createElement("pre");
note.id = "probe"; note.textContent = JSON.stringify(found); document.body.append(note);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (looked for on PATH)")
def test_a_browser_shows_it(step: Graph, tmp_path: Path):
    """The script runs and follows links, and in the browser's own font all text lies inside its frame."""
    assert CHROMIUM is not None
    page = tmp_path / "page.html"
    page.write_text(step.to_html().replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --user-data-dir={tmp_path / 'profile'} --dump-dom"
    done = subprocess.run(
        [CHROMIUM, *flags.split(), page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL).group(1))
    first = pictures(step, "g0")[1]
    assert found["texts"] > 400
    assert found["outside"] == []
    assert found["shown"] == [first.name]
    assert found["path"] == f"train › {first.title}"
