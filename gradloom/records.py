"""Data classes whose methods are written when they are first used.

The standard decorator compiles the text of up to eight methods for every class, which takes longer than importing the
rest of the module.  A run needs few of the classes that it imports, and of most only what makes instances.  So this
decorator only leaves a descriptor in the place of each attribute that the standard one would make; whoever first asks
for one of them has it made, with all others or with those that making an instance takes.
"""

from __future__ import annotations

import dataclasses
from abc import ABCMeta
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradloom import starting

_WRITTEN = {
    "init": ("__init__",),
    "repr": ("__repr__",),
    "eq": ("__eq__",),
    "match_args": ("__match_args__",),
    "order": ("__lt__", "__le__", "__gt__", "__ge__"),
    "frozen": ("__setattr__", "__delattr__"),
}
"""What each option makes."""
_DEFAULT = {"init", "repr", "eq", "match_args"}
"""The options that are on unless they are turned off."""
_ALWAYS = ("__dataclass_fields__", "__dataclass_params__", "__replace__")
_OF_INSTANCES = {"__init__", "__setattr__", "__delattr__", "__dataclass_fields__", "__match_args__"}
"""What is made without the rest, once an instance is."""
_WITHOUT = {"repr": False, "eq": False}
_COMPARING = {"__eq__", "__hash__"}
_SWIFT = {"__init__", "__setattr__", "__delattr__"} | _COMPARING
"""What takes no standard decorator (see starting.py)."""
_RECORD = "__record__"
"""The attribute by which a class knows what it was before it was decorated."""
_MISSING = object()


def _later(cls: type | None = None, /, **options: bool) -> Any:
    """``dataclasses.dataclass``, with the same options and the same meaning.

    What differs: a mistake in the fields is an error at the first use of the class, and ``vars(cls)`` shows descriptors
    until then.  Classes with slots, which the standard decorator makes anew, and unusual metaclasses are left to it.
    """
    if cls is None:
        return lambda cls: _later(cls, **options)
    body = dict(vars(cls))
    record = _Record(cls, body, options)
    if record.unusual():
        return dataclasses.dataclass(**options)(cls)
    if record.unhashable():
        cls.__hash__ = None  # type: ignore[assignment]
    for name in record.names():
        setattr(cls, name, _Unwritten(record, name))
    setattr(cls, _RECORD, record)
    return cls


class _Record:
    """A class as it was before it was decorated: its body, and what is asked of the standard decorator."""

    def __init__(self, cls: type, body: dict[str, Any], options: dict[str, bool]):
        self.cls, self.body, self.options = cls, body, options

    def unusual(self) -> bool:
        """Whether descriptors would not do: an abstract method that is about to be made counts when instances are."""
        slots = self.on("slots") or "__slots__" in self.body
        abstract: frozenset[str] = getattr(self.cls, "__abstractmethods__", frozenset())
        return slots or type(self.cls) not in (type, ABCMeta) or not abstract.isdisjoint(self.names())

    def names(self) -> Iterator[str]:
        """The attributes that the standard decorator may make or change."""
        yield from (name for name in _ALWAYS if name not in self.body)
        for option, names in _WRITTEN.items():
            if self.on(option):
                yield from (name for name in names if name not in self.body)
        yield from (name for name, value in self.body.items() if isinstance(value, dataclasses.Field))
        if self.on("unsafe_hash") or (self.on("eq") and self.on("frozen") and not self.chosen_hash()):
            yield "__hash__"
        if not self.body.get("__doc__"):
            yield "__doc__"

    def on(self, option: str) -> bool:
        return self.options.get(option, option in _DEFAULT)

    def chosen_hash(self) -> bool:
        """Whether the body says how to hash; Python itself says None for a body that has ``__eq__`` alone."""
        value = self.body.get("__hash__", _MISSING)
        return value is not _MISSING and not (value is None and "__eq__" in self.body)

    def unhashable(self) -> bool:
        compared = self.on("eq") and not self.on("frozen") and not self.on("unsafe_hash")
        return compared and not self.chosen_hash()

    def write(self, name: str) -> None:
        """Make what is asked for, in the swift way if there is one."""
        made = self.swift(name) if name in _SWIFT else {}
        for key, method in made.items():
            if isinstance(vars(self.cls).get(key), _Unwritten):
                setattr(self.cls, key, method)
        if isinstance(vars(self.cls).get(name), _Unwritten):
            self.write_standard(name)

    def swift(self, name: str) -> dict[str, Callable[..., Any]]:
        """What making or comparing instances takes; nothing where the standard decorator must be asked."""
        frozen = self.on("frozen")
        fields = None if any(map(self.on, ("order", "unsafe_hash"))) else self.starts()
        if fields is None or (frozen and not self.body.keys().isdisjoint(_WRITTEN["frozen"])):
            return {}
        init = starting.init(self.cls, fields, frozen=frozen)
        if init is None:
            return {}
        if name in _COMPARING:
            return starting.comparing(self.cls, fields)
        return {"__init__": init, **(starting.guards(self.cls, frozenset(fields)) if frozen else {})}

    def starts(self) -> dict[str, starting.Start] | None:
        """How all fields begin, those of the bases first; None where the standard decorator must be asked."""
        found: dict[str, starting.Start] = {}
        for base in self.cls.__mro__[:0:-1]:
            if "__dataclass_fields__" in vars(base):
                record: _Record | None = vars(base).get(_RECORD)
                alike = record is not None and record.on("frozen") == self.on("frozen")
                inherited = record.own_starts() if record is not None and alike else None
                if inherited is None:
                    return None
                found |= inherited
        own = self.own_starts()
        return None if own is None else found | own

    def own_starts(self) -> dict[str, starting.Start] | None:
        """Those of the class's own body."""
        return starting.starts(self.cls, self.body, by_name=self.on("kw_only"))

    def write_standard(self, name: str) -> None:
        """Put what the standard decorator makes in the places of descriptors, that of ``name`` among them.

        It works on a copy, so that another thread never meets the class without an ``__init__``.  Two threads that do
        this at once write the same.
        """
        body = {key: value for key, value in self.body.items() if key not in ("__dict__", "__weakref__", "_abc_impl")}
        body["__qualname__"] = self.cls.__qualname__
        bases = [base for base in self.cls.__bases__ if base is not object]
        copy: type = type(self.cls)(self.cls.__name__, (_Unannounced, *bases), body)
        part = name in _OF_INSTANCES and not self.on("order") and not self.on("unsafe_hash")
        made = vars(dataclasses.dataclass(**self.options | (_WITHOUT if part else {}))(copy))
        for key, place in tuple(vars(self.cls).items()):
            if not isinstance(place, _Unwritten) or (part and key not in _OF_INSTANCES):
                continue
            if key in made:
                setattr(self.cls, key, _of(self.cls, copy, made[key]))
            else:
                with suppress(AttributeError):  # another thread was here first
                    delattr(self.cls, key)


class _Unannounced:
    """A first base of copies: the bases of the class itself do not hear of a new class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


def _of(cls: type, copy: type, value: Any) -> Any:
    """A function that was made for the copy, made to mean the class."""
    for cell in getattr(value, "__closure__", None) or ():
        if cell.cell_contents is copy:
            cell.cell_contents = cls
    return value


class _Unwritten:
    """The place of an attribute that is not made yet."""

    __slots__ = ("name", "record")

    def __init__(self, record: _Record, name: str):
        self.record, self.name = record, name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        cls = self.record.cls
        self.record.write(self.name)
        if self.name not in vars(cls):
            asked: Any = owner if instance is None else instance
            inherited = getattr(super(cls, asked), self.name, _MISSING)
            return getattr(asked, self.name) if inherited is _MISSING else inherited  # the usual error, if none
        value = vars(cls)[self.name]
        bind: Callable[[Any, Any, type | None], Any] | None = getattr(type(value), "__get__", None)
        return value if bind is None else bind(value, instance, owner)


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _later

__all__ = ["dataclass"]
