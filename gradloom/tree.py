"""Nested values: dicts, lists, tuples and registered classes whose leaves are tensors.

Transformations, optimisers and checkpoints work on flat lists of leaves; this file takes a nested value apart
(:func:`flatten`) and builds it again (:func:`unflatten`).  Dict entries are visited in the order of their keys'
sorted text, so two dicts with equal content flatten alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gradloom.errors import ShapeError
from gradloom.records import dataclass

Path = tuple[str, ...]


@dataclass(frozen=True)
class _NodeKind:
    """How values of one registered class come apart and together."""

    children: Callable[[Any], tuple[tuple[str, ...], Iterable[Any], Hashable]]  # names, children, static
    build: Callable[[Hashable, list[Any]], Any]


class TreeDef(NamedTuple):
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


def _dict_children(value: dict[Any, Any]) -> tuple[tuple[str, ...], list[Any], Hashable]:
    keys = sorted(value, key=str)
    return tuple([str(key) for key in keys]), [value[k] for k in keys], tuple(keys)


@lru_cache(64)
def _numbers(count: int) -> tuple[str, ...]:
    return tuple([str(i) for i in range(count)])


_KINDS: dict[type, _NodeKind] = {
    dict: _NodeKind(_dict_children, lambda keys, parts: dict(zip(keys, parts))),  # type: ignore[arg-type]
    list: _NodeKind(lambda v: (_numbers(len(v)), v, None), lambda _, parts: parts),
    tuple: _NodeKind(lambda v: (_numbers(len(v)), v, None), lambda _, parts: tuple(parts)),
    type(None): _NodeKind(lambda v: ((), (), None), lambda _, parts: None),
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

    def taken_apart(value: Any) -> tuple[tuple[str, ...], list[Any], Hashable]:
        entries, static = children(value)
        return tuple([name for name, _ in entries]), [child for _, child in entries], static

    _KINDS[cls] = _NodeKind(taken_apart, build)
    _kind_of.cache_clear()


@lru_cache(256)
def _kind_of(cls: type) -> type | None:
    """The registered class that says how instances come apart; None for leaves."""
    if cls in _KINDS:
        return cls
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
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
    leaves: list[Any] = []
    return leaves, _taken_apart(tree, leaves)


def _taken_apart(value: Any, leaves: list[Any]) -> TreeDef:
    """Collect the leaves; gives the definition."""
    kind = _kind_of(type(value))
    if kind is None:
        leaves.append(value)
        return _LEAF
    names, children, static = _KINDS[kind].children(value)
    return TreeDef(kind, static, names, tuple([_taken_apart(child, leaves) for child in children]))


def unflatten(definition: TreeDef, leaves: Iterable[Any]) -> Any:
    """Build the nested value again from its definition and leaves."""
    return _built(definition, iter(leaves))


def _built(part: TreeDef, supply: Iterator[Any]) -> Any:
    """The value of a part.

    Not a function inside ``unflatten``: one that calls itself lies in a circle, and keeps all leaves, large arrays,
    until Python's collector comes.
    """
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
