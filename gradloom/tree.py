"""Nested values: dicts, lists, tuples and registered classes whose leaves are tensors.

Transformations, optimisers and checkpoints work on flat lists of leaves; this file takes a nested value apart
(:func:`flatten`) and builds it again (:func:`unflatten`).  Dict entries are visited in the order of their keys'
sorted text, so two dicts with equal content flatten alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gradloom.errors import ShapeError

Path = tuple[str, ...]


@dataclass(frozen=True)
class _NodeKind:
    """How values of one registered class come apart and together."""

    children: Callable[[Any], tuple[list[tuple[str, Any]], Hashable]]
    build: Callable[[Hashable, list[Any]], Any]


@dataclass(frozen=True)
class TreeDef:
    """The shape of a nested value without its leaves; hashable, so that it can key a cache of programs."""

    kind: type | None  # None marks a leaf
    static: Hashable = None
    names: tuple[str, ...] = ()
    children: tuple[TreeDef, ...] = ()

    @property
    def leaves(self) -> int:
        """Number of leaves below this place."""
        return 1 if self.kind is None else sum(child.leaves for child in self.children)


_LEAF = TreeDef(None)


def _dict_children(value: dict[Any, Any]) -> tuple[list[tuple[str, Any]], Hashable]:
    keys = sorted(value, key=str)
    return [(str(k), value[k]) for k in keys], tuple(keys)


_KINDS: dict[type, _NodeKind] = {
    dict: _NodeKind(_dict_children, lambda keys, parts: dict(zip(keys, parts))),  # type: ignore[arg-type]
    list: _NodeKind(lambda v: ([(str(i), x) for i, x in enumerate(v)], None), lambda _, parts: parts),
    tuple: _NodeKind(lambda v: ([(str(i), x) for i, x in enumerate(v)], None), lambda _, parts: tuple(parts)),
    type(None): _NodeKind(lambda v: ([], None), lambda _, parts: None),
}


def register(
    cls: type,
    children: Callable[[Any], tuple[list[tuple[str, Any]], Hashable]],
    build: Callable[[Any, list[Any]], Any],
) -> None:
    """Let instances of ``cls`` (and of its subclasses) be inner places of trees.

    Args:
        cls: the class.
        children: gives ``([(name, child), ...], static)`` for an instance; ``static`` is hashable.
        build: makes an instance from ``(static, children)``.
    """
    _KINDS[cls] = _NodeKind(children, build)


def _kind_of(value: Any) -> type | None:
    cls = type(value)
    if cls in _KINDS:
        return cls
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        register(cls, _named_tuple_children, lambda _, parts, cls=cls: cls(*parts))
        return cls
    for base in cls.__mro__[1:]:
        if base in _KINDS and base not in (dict, list, tuple):
            return base
    return None


def _named_tuple_children(value: Any) -> tuple[list[tuple[str, Any]], Hashable]:
    return list(zip(value._fields, value)), None


def flatten(tree: Any) -> tuple[list[Any], TreeDef]:
    """Take a nested value apart: ``(leaves, definition)``."""
    kind = _kind_of(tree)
    if kind is None:
        return [tree], _LEAF
    entries, static = _KINDS[kind].children(tree)
    leaves: list[Any] = []
    parts = []
    for _, child in entries:
        child_leaves, part = flatten(child)
        leaves += child_leaves
        parts.append(part)
    return leaves, TreeDef(kind, static, tuple(name for name, _ in entries), tuple(parts))


def unflatten(definition: TreeDef, leaves: Iterable[Any]) -> Any:
    """Build the nested value again from its definition and leaves."""
    return _built(definition, iter(leaves))


def _built(part: TreeDef, supply: Iterator[Any]) -> Any:
    """A function of the module, for one inside ``unflatten`` that calls itself would be garbage in a circle, and keep
    all leaves, large arrays, until Python's collector comes."""
    if part.kind is None:
        return next(supply)
    return _KINDS[part.kind].build(part.static, [_built(child, supply) for child in part.children])


def leaves(tree: Any) -> list[Any]:
    """The leaves in order."""
    return flatten(tree)[0]


def paths(definition: TreeDef, prefix: Path = ()) -> list[Path]:
    """For each leaf, the names on the way to it."""
    if definition.kind is None:
        return [prefix]
    found: list[Path] = []
    for name, child in zip(definition.names, definition.children):
        found += paths(child, (*prefix, name))
    return found


def map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply ``function`` to every leaf, or to corresponding leaves of several trees of one structure.

    Raises:
        ShapeError: the trees differ in structure.
    """
    first, definition = flatten(tree)
    columns = [first]
    for other in others:
        column, structure = flatten(other)
        if structure != definition:
            raise ShapeError(
                "tree.map",
                rule="all trees must have one structure",
                got=f"{_outline(definition)} and {_outline(structure)}",
                fix="Pass values nested alike: the same keys, the same lengths.",
            )
        columns.append(column)
    return unflatten(definition, [function(*row) for row in zip(*columns)])


def alike(first: Any, second: Any) -> bool:
    """Whether two nested values of tensors have one structure and the same types."""
    (leaves, definition), (others, structure) = flatten(first), flatten(second)
    return definition == structure and all(a.type == b.type for a, b in zip(leaves, others))


def _outline(definition: TreeDef) -> str:
    """Leaf paths in short, for messages."""
    shown = [".".join(path) or "a single value" for path in paths(definition)]
    return "{" + ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "") + "}"
