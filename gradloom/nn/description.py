"""Objects as plain JSON and back: ``{"type": "Dense", "options": {"units": 10, ...}}``.

What describes an object is its class's name and the arguments of its constructor, which it keeps as attributes of
the same names.  Reading a description looks names up in a table that the reader brings; nothing is imported by
name and no code in a file is run, so a file from a stranger can at worst be refused.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradloom.errors import GradloomError, ModelFileError, OptionError, nearest_hint
from gradloom.nn.module import Module

Description = dict[str, Any]
Classes = Mapping[str, type]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def table_of(classes: Iterable[type]) -> dict[str, type]:
    """Classes by name."""
    return {cls.__name__: cls for cls in classes}


def encode(value: Any, table: Classes) -> Description:
    """The description of an object.

    A module that occurs again (tied parameters) is written as ``{"shared": number}``, the number of modules begun
    before its first occurrence.

    Args:
        value: a module, loss, metric or initialiser.
        table: the classes that readers know; a class of one's own must not take one of their names.

    Raises:
        OptionError: an option cannot be written as JSON, or a class has the name of another.
    """
    return _Encoder(table).object(value)


class _Encoder:
    def __init__(self, table: Classes) -> None:
        self.table = table
        self.seen: dict[int, int] = {}

    def object(self, value: Any) -> Description:
        if id(value) in self.seen:
            return {"shared": self.seen[id(value)]}
        if isinstance(value, Module):
            self.seen[id(value)] = len(self.seen)
        name = type(value).__name__
        if self.table.get(name, type(value)) is not type(value):
            fix = "Give your class another name."
            raise OptionError(name, rule="a model file tells classes apart by name", got="two of this name", fix=fix)
        options = {key: self.option(item, f"{name}.{key}") for key, item in _options_of(value).items()}
        return {"type": name, "options": options}

    def option(self, value: Any, place: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, (list, tuple)):
            return [self.option(item, f"{place}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"type": "dict", "options": {k: self.option(item, f"{place}.{k}") for k, item in value.items()}}
        if isinstance(value, Module) or type(value) in self.table.values():
            return self.object(value)
        raise OptionError(
            place,
            rule="an option in a model file is a number, a text, a module, or a list or dict of these",
            got=f"{value!r}"[:100],
            fix="Use the name of a function in place of the function.",
        )


def _options_of(value: Any) -> dict[str, Any]:
    """The constructor's arguments."""
    try:
        if isinstance(value, Module):
            return value.config()
        return {name: getattr(value, name) for name in inspect.signature(type(value)).parameters}
    except AttributeError as problem:
        raise OptionError(
            type(value).__name__,
            rule="the arguments of __init__ are kept as attributes of the same names",
            got=str(problem),
            fix="Store them in __init__, or override config().",
        ) from None


def decode(description: object, table: Classes, kind: type[Any]) -> Any:
    """The object of a description.

    Args:
        description: as :func:`encode` gave it.
        table: the classes that may occur.
        kind: the class that the object must be of.

    Raises:
        ModelFileError: it is damaged, or names a class or an option that is not known.
    """
    try:
        found = _Decoder(table).value(description)
    except RecursionError:
        raise _refusal("the description is nested too deeply") from None
    if not isinstance(found, kind):
        raise _refusal(f"a {type(found).__name__} stands where a {kind.__name__} belongs")
    return found


class _Decoder:
    def __init__(self, table: Classes) -> None:
        self.table = table
        self.modules: list[Module | None] = []  # in the order they begin; None until complete

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return self.object(value) if isinstance(value, dict) else value

    def object(self, value: dict[str, Any]) -> Any:
        if set(value) == {"shared"}:
            return self.shared(value["shared"])
        name, options = value.get("type"), value.get("options")
        if set(value) != {"type", "options"} or not isinstance(name, str) or not isinstance(options, dict):
            raise _refusal("an object is a type and its options", got=f"{value!r}"[:100])
        if name == "dict":
            return {key: self.value(item) for key, item in options.items()}
        if name not in self.table:
            raise _refusal("no class has this name", got=repr(name), fix=_known(name, self.table))
        cls = self.table[name]
        place = len(self.modules)
        if issubclass(cls, Module):
            self.modules.append(None)
        made = _construct(cls, {key: self.value(item) for key, item in options.items()})
        if isinstance(made, Module):
            self.modules[place] = made
        return made

    def shared(self, number: Any) -> Module:
        is_known = type(number) is int and 0 <= number < len(self.modules)
        found = self.modules[number] if is_known else None
        if found is None:
            raise _refusal("a shared module must occur before", got=f"number {number!r}"[:100])
        return found


def _construct(cls: type, options: dict[str, Any]) -> Any:
    """``cls(**options)``, with arguments that the constructor gathers in ``*args`` spread out."""
    name, parameters = cls.__name__, inspect.signature(cls).parameters
    unknown = [key for key in options if key not in parameters]
    if unknown:
        raise _refusal(f"{name} has no such option", got=repr(unknown[0]), fix=nearest_hint(unknown[0], parameters))
    args: list[Any] = []
    named: dict[str, Any] = {}
    for key, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = options.get(key, [])
            args += rest if isinstance(rest, list) else [rest]
        elif key not in options:
            if parameter.default is inspect.Parameter.empty:
                raise _refusal(f"{name} needs the option {key}", got=", ".join(options) or "no options")
        elif parameter.kind in _POSITIONAL and not named:
            args.append(options[key])
        else:
            named[key] = options[key]
    try:
        return cls(*args, **named)
    except GradloomError as error:
        raise _refusal(f"{name}: {error.rule}", got=error.got, fix=error.fix) from None


def _known(name: str, table: Classes) -> str:
    hint = nearest_hint(name, table)
    return f"{hint} Classes of your own must be passed when loading; none is imported by its name."


def _refusal(rule: str, *, got: str = "", fix: str = "Save the model again, or use a whole copy.") -> ModelFileError:
    return ModelFileError("model description", rule=rule, got=got, fix=fix)
