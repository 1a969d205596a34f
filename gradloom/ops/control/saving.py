"""What a loop saves in each turn for its linear half.

The linear half needs some values of the turn.  Not all of them need be kept:

- constants and the elements of sequences are there anyway, and so is what the loop stacks for its user;
- a value made by a few cheap operations from one that is no larger is computed again, and that one is kept:
  for tanh the result h serves 1 - h² and whatever else is made of it;
- a value made cheaply from values that are all kept is computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradloom.ir.graph import CONSTANT, Node, dependents, topological
from gradloom.ops import elementwise
from gradloom.ops.core import add, broadcast

_CHEAP = {
    *(add, broadcast, elementwise.sub, elementwise.mul, elementwise.neg, elementwise.abs, elementwise.sign),
    *(elementwise.maximum, elementwise.minimum, elementwise.select, elementwise.cast, elementwise.logical_not),
    *(elementwise.eq, elementwise.ne, elementwise.lt, elementwise.le, elementwise.gt, elementwise.ge),
    *(elementwise.logical_and, elementwise.logical_or),
}
_MOST_OPERATIONS = 8
"""Operations that computing a value again may take."""


def to_save(linear: Sequence[Node], seeds: Collection[Node], free: Collection[Node]) -> list[Node]:
    """The values that a loop must save.

    Args:
        linear: outputs that are linear in the seeds.
        seeds: what they are linear in.
        free: values that can be had without saving them.
    """
    sources = {x: _sources(x, free) for x in _needed_by(linear, seeds)}
    kept = {x: None for x, found in sources.items() if found == [x]}
    for x, found in sources.items():
        if len(found) == 1 and found[0].tensor_type.size <= x.tensor_type.size:
            kept[found[0]] = None
    kept.update({x: None for x, found in sources.items() if not all(s in kept for s in found)})
    return list(kept)


def _needed_by(linear: Sequence[Node], seeds: Collection[Node]) -> list[Node]:
    """The values that a linear graph uses: what its nodes take that does not depend on the seeds."""
    order = topological(linear)
    moving = dependents(order, seeds)
    used = [x for node in order if node in moving and node not in seeds for x in node.inputs if x not in moving]
    return list(dict.fromkeys(map(unrepeated, used)))


def unrepeated(x: Node) -> Node:
    """What a repeated value repeats: repeating is cheaper than saving the repeated."""
    while x.op is broadcast:
        x = x.inputs[0]
    return x


def _sources(x: Node, free: Collection[Node]) -> list[Node]:
    """The values from which cheap operations make one; itself where they would be too many."""
    found: dict[Node, None] = {}
    seen, stack, operations = set(), [x], 0
    while stack:
        node = stack.pop()
        if node in seen or node.op is CONSTANT or node in free:
            continue
        seen.add(node)
        if node.op not in _CHEAP:
            found[node] = None
            continue
        operations += 1
        stack += node.inputs
    return list(found) if operations <= _MOST_OPERATIONS else [x]
