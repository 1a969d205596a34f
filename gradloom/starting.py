"""What a data class needs to make and compare instances, written in a fourth of the standard decorator's time.

That decorator compiles a text for each method, on a copy of the class (see records.py).  One text is enough, that of
``__init__``; the methods that keep a frozen instance as it is, and those that compare, are the same for all classes.
Everything unusual is left to the standard decorator, whose errors are also those for mistakes.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from types import FunctionType, MemberDescriptorType
from typing import Any, NamedTuple


class Start(NamedTuple):
    """How a field begins.

    Attributes:
        annotation: its type, as it was written.
        default: the value without an argument, or MISSING.
        factory: what makes that value, or MISSING.
        given: whether there is an argument.
        by_name: whether that is given by name alone.
        compared: whether instances that differ in it are unequal.
        hashed: whether the hash depends on it.
    """

    annotation: str
    default: Any
    factory: Any
    given: bool
    by_name: bool
    compared: bool
    hashed: bool


class _Factory:
    """Stands for the default of an argument that a factory makes."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def starts(cls: type, body: Mapping[str, Any], *, by_name: bool) -> dict[str, Start] | None:
    """How the fields that are written in a class's body begin; None where the standard decorator must be asked.

    Args:
        cls: the class.
        body: its attributes before it was decorated.
        by_name: whether arguments are given by name alone, unless their fields say otherwise.
    """
    written: dict[str, Any] | None = body.get("__annotations__")
    if written is None or any(isinstance(value, Field) and name not in written for name, value in body.items()):
        return None if written is None and _may_have_fields(body) else {}
    found: dict[str, Start] = {}
    for name, annotation in written.items():
        if annotation == "KW_ONLY" and vars(sys.modules[cls.__module__]).get(annotation) is dataclasses.KW_ONLY:
            by_name = True
            continue
        start = _start(annotation, body.get(name, MISSING), by_name=by_name)
        if start is None or (name not in body and any(name in vars(base) for base in cls.__mro__[1:])):
            return None
        found[name] = start
    return found


def _may_have_fields(body: Mapping[str, Any]) -> bool:
    """Whether a body without annotations has them elsewhere, as of Python 3.14, or a mistake."""
    return any(name.startswith("__annotate") or isinstance(value, Field) for name, value in body.items())


def _start(annotation: Any, value: Any, *, by_name: bool) -> Start | None:
    """How a field begins; None for what is no plain field."""
    if not isinstance(annotation, str) or any(word in annotation for word in ("ClassVar", "InitVar", "KW_ONLY")):
        return None
    start = Start(annotation, value, MISSING, True, by_name, True, True)
    if isinstance(value, Field):
        named = by_name if value.kw_only is MISSING else value.kw_only
        hashed = value.compare if value.hash is None else value.hash
        start = Start(annotation, value.default, value.default_factory, value.init, named, value.compare, hashed)
    default = start.default
    bound = hasattr(type(default), "__get__") and not isinstance(default, FunctionType)
    if bound or isinstance(default, MemberDescriptorType) or type(default).__hash__ is None:
        return None
    return start


def init(cls: type, fields: Mapping[str, Start], *, frozen: bool) -> Callable[..., None] | None:
    """The method ``__init__`` of a class with these fields, those of its bases included."""
    arguments = {name: field for name, field in fields.items() if field.given}
    plain = [_argument(name, field) for name, field in arguments.items() if not field.by_name]
    named = [_argument(name, field) for name, field in arguments.items() if field.by_name]
    optional = ["=" in text for text in plain]
    if "self" in fields or optional != sorted(optional):
        return None
    lines = [_assignment(name, field, frozen) for name, field in fields.items() if field.given or _made(field)]
    lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    head = ", ".join(("self", *plain, *(("*", *named) if named else ())))
    known: dict[str, Any] = {"_FACTORY": _FACTORY, "_set": object.__setattr__}
    known |= {f"_default_{name}": field.default for name, field in fields.items()}
    known |= {f"_make_{name}": field.factory for name, field in fields.items()}
    text = "\n  ".join((f" def __init__({head}):", *(lines or ["pass"])))
    made: dict[str, Any] = {}
    exec(f"def outer({', '.join(known)}):\n{text}\n return __init__", vars(sys.modules[cls.__module__]), made)
    function = made["outer"](**known)
    function.__annotations__ = {name: field.annotation for name, field in arguments.items()} | {"return": None}
    function.__qualname__ = f"{cls.__qualname__}.__init__"
    return function


def _made(field: Start) -> bool:
    return field.factory is not MISSING


def _argument(name: str, field: Start) -> str:
    if _made(field):
        return f"{name}=_FACTORY"
    return name if field.default is MISSING else f"{name}=_default_{name}"


def _assignment(name: str, field: Start, frozen: bool) -> str:
    value = name
    if _made(field):
        value = f"_make_{name}() if {name} is _FACTORY else {name}" if field.given else f"_make_{name}()"
    return f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}"


def guards(cls: type, names: frozenset[str]) -> dict[str, Callable[..., None]]:
    """The methods by which an instance of a frozen class refuses to change."""

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return _named(cls, __setattr__, __delattr__)


def comparing(cls: type, fields: Mapping[str, Start]) -> dict[str, Callable[..., Any]]:
    """The methods by which instances are equal, and by which equal ones have one hash."""
    compared = _values(tuple(name for name, field in fields.items() if field.compared))
    hashed = _values(tuple(name for name, field in fields.items() if field.hashed))

    def __eq__(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(hashed(self))

    return _named(cls, __eq__, __hash__)


def _values(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the attributes of these names."""
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda x: (getattr(x, names[0]),)) if names else (lambda x: ())


def _named(cls: type, *methods: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Methods by name, named as those of a class are."""
    for method in methods:
        method.__qualname__ = f"{cls.__qualname__}.{method.__name__}"
    return {method.__name__: method for method in methods}
