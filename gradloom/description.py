"""Objects as plain JSON and back: ``{"type": "Dense", "options": {"units": 10, ...}}``.

What describes an object is its class's name and the arguments of its constructor: what its ``config()`` gives, or
else its attributes of the same names.  Reading a description looks names up in a table that the reader brings;
nothing is imported by name and no code in a file is run, so a file from a stranger can at worst be refused.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

import numpy as np

from gradloom.errors import GradloomError, ModelFileError, OptionError, nearest_hint
from gradloom.records import dataclass

Description = dict[str, Any]
Classes = Mapping[str, type]
Tied = type | tuple[()]
"""Objects of this class are written once and keep their identity; with (), none do."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def table_of(classes: Iterable[type]) -> dict[str, type]:
    """Classes by name."""
    return {cls.__name__: cls for cls in classes}


def encode(value: Any, table: Classes, *, tied: Tied = ()) -> Description:
    """The description of an object.

    A tied object that occurs again is written as ``{"shared": number}``, the number of tied objects begun before its
    first occurrence.

    Args:
        value: a module, loss, metric, initialiser, optimiser, ...
        table: the classes that readers know; a class of one's own must not take one of their names.
        tied: the class of objects that may be shared between places, as modules with tied parameters are.

    Raises:
        OptionError: an option cannot be written as JSON, or a class has the name of another.
    """
    return _Encoder(table, tied).object(value)


class _Encoder:
    def __init__(self, table: Classes, tied: Tied) -> None:
        self.table, self.tied = table, tied
        self.seen: dict[int, int] = {}

    def object(self, value: Any) -> Description:
        if id(value) in self.seen:
            return {"shared": self.seen[id(value)]}
        if isinstance(value, self.tied):
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
        if _has_config(value) or type(value) in self.table.values():
            return self.object(value)
        raise OptionError(
            place,
            rule="an option in a model file is a number, a text, a module, or a list or dict of these",
            got=f"{value!r}"[:100],
            fix="Use the name of a function in place of the function.",
        )


def _has_config(value: Any) -> bool:
    return not isinstance(value, type) and callable(getattr(value, "config", None))


def _options_of(value: Any) -> dict[str, Any]:
    """The constructor's arguments."""
    try:
        if _has_config(value):
            return value.config()
        return {name: getattr(value, name) for name in inspect.signature(type(value)).parameters}
    except AttributeError as problem:
        raise OptionError(
            type(value).__name__,
            rule="the arguments of __init__ are kept as attributes of the same names",
            got=str(problem),
            fix="Store them in __init__, or override config().",
        ) from None


def decode(
    description: object,
    table: Classes,
    kind: type[Any],
    *,
    who: str = "model description",
    tied: Tied = (),
    sequence: Callable[[list[Any]], Any] = list,
) -> Any:
    """The object of a description.

    Args:
        description: as :func:`encode` gave it.
        table: the classes that may occur.
        kind: the class that the object must be of.
        who: what is read, for messages.
        tied: as for :func:`encode`.
        sequence: what lists become; tuple for classes whose objects are hashable.

    Raises:
        ModelFileError: it is damaged, or names a class or an option that is not known.
    """
    decoder = _Decoder(table, who, tied, sequence)
    try:
        found = decoder.value(description)
    except RecursionError:
        raise decoder.refusal("it is nested too deeply") from None
    if not isinstance(found, kind):
        raise decoder.refusal(f"{_one(type(found))} stands where {_one(kind)} belongs")
    return found


def _one(cls: type) -> str:
    return f"{'an' if cls.__name__[0] in 'AEIOU' else 'a'} {cls.__name__}"


@dataclass
class _Decoder:
    table: Classes
    who: str
    tied: Tied
    sequence: Callable[[list[Any]], Any]
    begun: list[Any] = field(default_factory=list)  # tied objects in the order they begin; None until complete

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return self.sequence([self.value(item) for item in value])
        return self.object(value) if isinstance(value, dict) else value

    def object(self, value: dict[str, Any]) -> Any:
        if set(value) == {"shared"}:
            return self.shared(value["shared"])
        name, options = value.get("type"), value.get("options")
        if set(value) != {"type", "options"} or not isinstance(name, str) or not isinstance(options, dict):
            raise self.refusal("an object is a type and its options", got=f"{value!r}"[:100])
        if name == "dict":
            return {key: self.value(item) for key, item in options.items()}
        if name not in self.table:
            hint = nearest_hint(name, self.table)
            fix = f"{hint} Classes of your own must be passed when loading; none is imported by its name."
            raise self.refusal("no class has this name", got=repr(name), fix=fix)
        cls = self.table[name]
        place, is_tied = len(self.begun), issubclass(cls, self.tied)
        if is_tied:
            self.begun.append(None)
        made = self.construct(cls, {key: self.value(item) for key, item in options.items()})
        if is_tied:
            self.begun[place] = made
        return made

    def shared(self, number: Any) -> Any:
        is_known = type(number) is int and 0 <= number < len(self.begun)
        found = self.begun[number] if is_known else None
        if found is None:
            raise self.refusal("a shared module must occur before", got=f"number {number!r}"[:100])
        return found

    def construct(self, cls: type, options: dict[str, Any]) -> Any:
        """``cls(**options)``, with arguments that the constructor gathers in ``*args`` spread out."""
        name, parameters = cls.__name__, inspect.signature(cls).parameters
        unknown = [key for key in options if key not in parameters]
        if unknown:
            raise self.refusal(
                f"{name} has no such option", got=repr(unknown[0]), fix=nearest_hint(unknown[0], parameters)
            )
        args: list[Any] = []
        named: dict[str, Any] = {}
        for key, parameter in parameters.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                rest = options.get(key, [])
                args += rest if isinstance(rest, (list, tuple)) else [rest]
            elif key not in options:
                if parameter.default is inspect.Parameter.empty:
                    raise self.refusal(f"{name} needs the option {key}", got=", ".join(options) or "no options")
            elif parameter.kind in _POSITIONAL and not named:
                args.append(options[key])
            else:
                named[key] = options[key]
        try:
            return cls(*args, **named)
        except GradloomError as error:
            raise self.refusal(f"{name}: {error.rule}", got=error.got, fix=error.fix) from None

    def refusal(
        self, rule: str, *, got: str = "", fix: str = "Save the model again, or use a whole copy."
    ) -> ModelFileError:
        return ModelFileError(self.who, rule=rule, got=got, fix=fix)
