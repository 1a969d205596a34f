"""A graph as pictures: a large one folded by layer, with a picture for the inside of every layer, loop and branch.

A node belongs to the layer that its ``scope`` names; what reverse mode made comes as a part of its own, in front of
which ``backward`` stands.  Inputs with dotted names are folded along these.  A picture shows the parts of a layer;
parts with few nodes are shown open, as long as the whole stays small.  What comes from outside, and goes there, is
drawn with a dashed frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from gradloom.drawing.page import to_page
from gradloom.drawing.picture import Arrow, Box, Picture, shortened
from gradloom.drawing.svg import to_svg
from gradloom.ir.text import GraphLike, Names, inner_graphs, operands_and_options, short
from gradloom.records import dataclass

FOLD_FROM = 45
"""Graphs with fewer nodes are shown whole."""
_OPEN_UP_TO = 22
"""Parts of a picture are shown open while it has no more boxes than this."""
_LONGEST_LIST, _PART = 60, 30
"""So many nodes without layers of their own are cut into parts of so many."""
_MOST_INPUTS, _FEW_INPUTS = 6, 3
"""More inputs than the first are folded, but for groups of no more than the second."""
_FOLDED = "▸ "
_TEXT, _TYPES = 34, 2
_STAGES = ("backward", "update")


@dataclass(eq=False)
class Part:
    """A layer, or a piece of one: nodes and parts, in the order in which they are computed."""

    path: tuple[str, ...]
    inside: list[Any] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The way to it."""
        return "/".join(self.path)

    @property
    def is_input(self) -> bool:
        """Whether all in it are inputs."""
        return all(n.op.name == "placeholder" for n in self.nodes())

    def nodes(self) -> Iterator[Any]:
        """All nodes, those of parts included."""
        for x in self.inside:
            if isinstance(x, Part):
                yield from x.nodes()
            else:
                yield x


def pictures(graph: GraphLike, name: str = "g", parent: str = "", title: str = "") -> list[Picture]:
    """A graph's pictures: the whole first, then the parts that it leaves folded, and their parts.

    Args:
        graph: the graph.
        name: begins the names of all pictures.
        parent: the picture that holds the node whose graph it is.
        title: what the whole is called.
    """
    return _Drawing(graph, name).all(parent, title or graph.name)


def graph_to_html(graph: GraphLike, beside: GraphLike | None = None) -> str:
    """See ``Graph.to_html``."""
    graphs = [graph] if beside is None else [graph, beside]
    return to_page(" and ".join(g.name for g in graphs), [pictures(g, f"g{i}") for i, g in enumerate(graphs)])


def graph_to_svg(graph: GraphLike) -> str:
    """See ``Graph.to_svg``."""
    return to_svg(pictures(graph)[0])


class _Drawing:
    """One graph being drawn.

    Attributes:
        names: of the nodes, as in the graph's text.
        users: the nodes that use each node.
        results: how often each node is an output.
    """

    def __init__(self, graph: GraphLike, name: str) -> None:
        self.graph, self.name = graph, name
        self.names = Names(graph)
        self.nodes = [n for n in graph.nodes if not _is_hidden(n)]
        self.numbers = {node: i for i, node in enumerate(self.nodes)}
        self.uses: list[tuple[Any, Any, Any]] = []  # source, target, what goes from one to the other
        for node in graph.nodes:
            if node.op.name != "project":
                self.uses += [(_source(x), node, x) for x in dict.fromkeys(node.inputs) if not _is_hidden(_source(x))]
        self.results = {_source(y) for y in graph.outputs}
        self.found: list[Picture] = []
        self.links: dict[Part, str] = {}

    def all(self, parent: str, title: str) -> list[Picture]:
        """The picture of the whole, then those of parts and of graphs inside nodes."""
        whole = Part(())
        folds = len(self.nodes) >= FOLD_FROM
        inputs = sum(n.op.name == "placeholder" for n in self.nodes)
        for node in self.nodes:
            is_input = node.op.name == "placeholder"
            path = _path_of(node) if folds and (not is_input or inputs > _MOST_INPUTS) else ()
            _put(whole, node, path)
        _cut(whole)
        self.draw(whole, self.name, parent, title)
        return self.found

    def draw(self, part: Part, name: str, parent: str, title: str) -> None:
        """One picture, then those that its boxes lead to."""
        shown = _opened(part, most=_OPEN_UP_TO if len(self.nodes) >= FOLD_FROM else len(self.nodes))
        closed = [x for x in shown if isinstance(x, Part)]
        self.links.update({x: f"{self.name}-{len(self.links) + i}" for i, x in enumerate(closed, start=1)})
        place = len(self.found)
        inner = [(n, g) for n in shown if not isinstance(n, Part) for g in inner_graphs(n)]
        names = [f"{self.name}-{self.names.of(n).lstrip('%')}-{i}" for i, (n, _) in enumerate(inner)]
        opens = {n: link for (n, _), link in reversed(list(zip(inner, names)))}
        self.found.insert(place, self.picture(part, shown, opens, name, parent, title))
        for x in closed:
            self.draw(x, self.links[x], name, x.title)
        for (node, graph), link in zip(inner, names):
            which = next(key for key, value in node.attrs.items() if value is graph)
            self.found += pictures(graph, link, name, f"{which} of {node.op.name} {self.names.of(node)}")

    def picture(
        self, part: Part, shown: Sequence[Any], opens: dict[Any, str], name: str, parent: str, title: str
    ) -> Picture:
        """Boxes for what is shown and for what it is joined to outside; what goes between stands on the arrows."""
        item_of = {node: x for x in shown for node in (x.nodes() if isinstance(x, Part) else (x,))}
        carried: dict[tuple[Any, Any], dict[Any, None]] = {}
        for source, target, value in self.uses:
            a, b = item_of.get(source), item_of.get(target)
            if (a is None and b is None) or a is b:
                continue
            a, b = a or ("from", self.outside(source, part)), b or ("to", self.outside(target, part))
            carried.setdefault((a, b), {})[value] = None
        outside = dict.fromkeys(x for pair in carried for x in pair if isinstance(x, tuple))
        ends = {x: Box(" ".join(x), (shortened(x[1], _TEXT),), "outside", " ".join(x)) for x in outside}
        boxes = {x: box for x, box in ends.items() if x[0] == "from"}
        boxes |= {x: self._box(x, opens) for x in shown}
        boxes |= {x: box for x, box in ends.items() if x[0] == "to"}
        labels, arrows = self._arrows(carried, boxes)
        ordered = [box for x in boxes for box in (boxes[x], *labels.get(x, ()))]
        return Picture(name, title, ordered, arrows, parent)

    def outside(self, node: Any, part: Part) -> str:
        """What a node outside a part is called there: its layer, as far as it is not that of the part, or its name."""
        if node.op.name == "placeholder":
            return self.names.of(node)
        path = _path_of(node)
        common = next((i for i, (a, b) in enumerate(zip(path, part.path)) if a != b), min(len(path), len(part.path)))
        return "/".join(path[: common + 1]) or f"{node.op.name} {self.names.of(node)}"

    def _arrows(
        self, carried: dict[tuple[Any, Any], dict[Any, None]], boxes: dict[Any, Box]
    ) -> tuple[dict[Any, list[Box]], list[Arrow]]:
        """For every source a label for what it gives to whom; those who get the same share one."""
        labels: dict[Any, dict[tuple[Any, ...], Box]] = {}
        arrows = []
        for (a, b), values in carried.items():
            of_source = labels.setdefault(a, {})
            key = tuple(values)
            if key not in of_source:
                of_source[key] = self._label(f"{boxes[a].name} gives {len(of_source)}", key)
                arrows.append(Arrow(boxes[a].name, of_source[key].name))
            arrows.append(Arrow(of_source[key].name, boxes[b].name))
        return {a: list(found.values()) for a, found in labels.items()}, arrows

    def _label(self, name: str, values: Sequence[Any]) -> Box:
        types = [str(v.type) for v in values]
        hint = "\n".join(f"{self.names.of(v)}: {t}" for v, t in zip(values, types))
        lines = tuple(types) if len(types) <= _TYPES else (f"{len(types)} tensors",)
        return Box(name, lines, "label", hint)

    def _box(self, x: Any, opens: dict[Any, str]) -> Box:
        if isinstance(x, Part):
            nodes = list(x.nodes())
            results = sum(n in self.results for n in nodes)
            count = f"{len(nodes)} {'inputs' if x.is_input else 'nodes'}{f', {results} results' if results else ''}"
            kind = "input" if x.is_input else next((s for s in _STAGES if s in x.path), "group")
            lines = f"{_FOLDED}{shortened(x.title, _TEXT)}", count
            return Box(f"part {x.title}", lines, f"{kind} folded", f"{x.title}: {count}", self.links[x])
        name = self.names.of(x)
        if x.op.name == "placeholder":
            kind = "output" if x in self.results else "input"
            return Box(name, (shortened(name, _TEXT),), kind, f"{name}: {x.type}")
        if x.op.name == "constant":
            return Box(f"constant {self.numbers[x]}", (f"constant {short(x.value)}",), "operation", str(x.type))
        stage = next((s for s in _STAGES if s in x.scope.split("/")), "operation")
        kind = "output" if x in self.results else "group" if x in opens else stage
        said = operands_and_options(x, self.names)
        hint = f"{name}: {x.type} = {x.op.name} {said}{f'  # {x.scope}' if x.scope else ''}"
        title = f"{x.op.name} of {x.attrs['length']} turns" if "length" in x.attrs else x.op.name
        lines = f"{_FOLDED * (x in opens)}{title}", shortened(f"{name} = {said}", _TEXT, at_end=True)
        return Box(name, lines, f"{kind} folded" if x in opens else kind, hint, opens.get(x, ""))


def _is_hidden(node: Any) -> bool:
    """Numbers stand in the text of the nodes that use them; a project is a part of the node before it."""
    return node.op.name == "project" or (node.op.name == "constant" and not short(node.value).startswith("<"))


def _source(node: Any) -> Any:
    """The node that computes it."""
    return node.inputs[0] if node.op.name == "project" else node


def _path_of(node: Any) -> tuple[str, ...]:
    """The layer of a node, or the group of an input."""
    if node.op.name == "placeholder":
        return tuple(node.attrs["name"].split(".")[:-1])
    steps = tuple(filter(None, node.scope.split("/")))
    return ("backward", *(s for s in steps if s != "backward")) if "backward" in steps else steps


def _put(whole: Part, node: Any, path: Sequence[str]) -> None:
    """Place a node into the part at a path, whose parts are made where they are missing."""
    part = whole
    for depth in range(1, len(path) + 1):
        known = next((x for x in part.inside if isinstance(x, Part) and x.path == tuple(path[:depth])), None)
        if known is None:
            known = Part(tuple(path[:depth]))
            part.inside.append(known)
        part = known
    part.inside.append(node)


def _cut(part: Part) -> None:
    """Put a long list of nodes into parts of some."""
    for x in part.inside:
        if isinstance(x, Part):
            _cut(x)
    while len(part.inside) > _LONGEST_LIST:
        pieces = [part.inside[i : i + _PART] for i in range(0, len(part.inside), _PART)]
        depth = 1 + max((len(x.path) - len(part.path) for x in part.inside if isinstance(x, Part)), default=0)
        part.inside = [
            Part((*part.path, *["part"] * (depth > 1), f"{i} of {len(pieces)}"), piece)
            for i, piece in enumerate(pieces, start=1)
        ]


def _opened(part: Part, most: int) -> list[Any]:
    """What a picture of a part shows: its insides, and those of the smallest parts while there is room.

    Inputs stay folded where there are more than a few together.
    """
    shown = list(part.inside)
    while len(shown) < most:
        parts = [x for x in shown if isinstance(x, Part)]
        smallest = min((x for x in parts if len(shown) == 1 or _may_open(x)), key=lambda x: len(x.inside), default=None)
        if smallest is None or (len(shown) > 1 and len(shown) - 1 + len(smallest.inside) > most):
            break
        place = shown.index(smallest)
        shown[place : place + 1] = smallest.inside
    return shown


def _may_open(part: Part) -> bool:
    """Whether a picture may show the insides of a part: those that consist of parts, and few inputs."""
    if part.is_input:
        return (len(part.inside) if len(part.path) == 1 else len(list(part.nodes()))) <= _FEW_INPUTS
    return 2 * sum(isinstance(x, Part) for x in part.inside) >= len(part.inside)
